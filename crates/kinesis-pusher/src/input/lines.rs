//! Lines out of a byte stream, in bounded memory.

use std::io::{self, Read};

use bytes::Bytes;
use memchr::{memchr, memchr_iter};

use super::{DATA_BYTES_MAX, TRUNCATED_BYTES};

/// Splits what it reads into lines.
///
/// A line's bytes are copied out of the read buffer. A slice of the buffer would be cheaper by some 20 ns a line, but
/// one line that waits for a throttled shard would then keep the whole block in memory, and the producer's bound on
/// buffered bytes would mean nothing.
pub(crate) struct LineReader<R> {
    input: R,
    /// `buffer[..pending]` is the beginning of a line whose end has not been read, and holds no line end.
    buffer: Vec<u8>,
    pending: usize,
    oversize: Option<Oversize>,
    ended: bool,
}

/// A line without its end (`\n` or `\r\n`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All of it; at most [`DATA_BYTES_MAX`] bytes.
    Whole(Bytes),
    /// Larger than any record.
    Oversize {
        /// The first [`TRUNCATED_BYTES`] of it.
        head: Bytes,
        /// Bytes it has.
        bytes: u64,
    },
}

/// A line that is being skipped to its end.
struct Oversize {
    head: Bytes,
    bytes: u64,
    ends_in_return: bool,
}

impl<R: Read> LineReader<R> {
    /// Reads from `input` in blocks.
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; BLOCK_BYTES], pending: 0, oversize: None, ended: false }
    }

    /// Reads once and hands every line that is now complete to `take`. Returns the bytes read; 0 at the end, where
    /// a last line without a line end is handed out too.
    ///
    /// # Errors
    /// Whatever the input reports. Interrupted reads are repeated.
    pub(crate) fn read_lines(&mut self, mut take: impl FnMut(Line)) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let block_end = self.pending + BLOCK_BYTES;
        if self.buffer.len() < block_end {
            // Doubling, so that a long line is not copied once for every block of it.
            self.buffer.resize(block_end.max(self.buffer.len() * 2), 0);
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.pending..block_end]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read == 0 {
            self.ended = true;
            self.finish(take);
            return Ok(0);
        }
        let filled = self.pending + read;
        let mut start = match self.oversize.take() {
            Some(oversize) => self.skip(oversize, filled, &mut take),
            None => 0,
        };
        if self.oversize.is_none() {
            // Only what is new can hold a line end.
            let from = start.max(self.pending);
            for end in memchr_iter(b'\n', &self.buffer[from..filled]).map(|at| from + at) {
                take(whole(strip_return(&self.buffer[start..end])));
                start = end + 1;
            }
        }
        self.keep(start, filled);
        Ok(read)
    }

    /// Moves the beginning of the next line to the front, or gives up on it when it has outgrown every record.
    fn keep(&mut self, start: usize, filled: usize) {
        self.pending = filled - start;
        // One byte more may be the `\r` of the line's end.
        if self.pending > DATA_BYTES_MAX + 1 {
            let line = &self.buffer[start..filled];
            self.oversize = Some(Oversize {
                head: Bytes::copy_from_slice(&line[..TRUNCATED_BYTES]),
                bytes: line.len() as u64,
                ends_in_return: line.ends_with(b"\r"),
            });
            self.pending = 0;
        } else if start > 0 {
            self.buffer.copy_within(start..filled, 0);
        }
    }

    /// Looks for the end of a line that is too large in `buffer[..filled]`; returns where the next one starts.
    fn skip(&mut self, mut oversize: Oversize, filled: usize, take: &mut impl FnMut(Line)) -> usize {
        let end = memchr(b'\n', &self.buffer[..filled]);
        let part = &self.buffer[..end.unwrap_or(filled)];
        oversize.bytes += part.len() as u64;
        if let Some(last) = part.last() {
            oversize.ends_in_return = *last == b'\r';
        }
        match end {
            Some(end) => {
                oversize.bytes -= u64::from(oversize.ends_in_return);
                take(Line::Oversize { head: oversize.head, bytes: oversize.bytes });
                end + 1
            }
            None => {
                self.oversize = Some(oversize);
                filled
            }
        }
    }

    /// A last line without a line end counts as a line; a `\r` at its end is data, as no line end follows it.
    fn finish(&mut self, mut take: impl FnMut(Line)) {
        if let Some(Oversize { head, bytes, .. }) = self.oversize.take() {
            take(Line::Oversize { head, bytes });
        } else if self.pending > 0 {
            take(whole(&self.buffer[..self.pending]));
            self.pending = 0;
        }
    }
}

fn strip_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn whole(line: &[u8]) -> Line {
    if line.len() > DATA_BYTES_MAX {
        return Line::Oversize {
            head: Bytes::copy_from_slice(&line[..TRUNCATED_BYTES]),
            bytes: line.len() as u64,
        };
    }
    Line::Whole(Bytes::copy_from_slice(line))
}

/// Large enough that a system call costs nothing a line, small enough for the caches.
const BLOCK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hands its bytes out in pieces, so that line ends fall on every side of a read.
    struct Pieces<'a> {
        bytes: &'a [u8],
        piece: usize,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.piece.min(buffer.len()).min(self.bytes.len());
            buffer[..n].copy_from_slice(&self.bytes[..n]);
            self.bytes = &self.bytes[n..];
            Ok(n)
        }
    }

    fn lines_of(input: impl Read) -> Vec<Line> {
        let mut reader = LineReader::new(input);
        let mut lines = Vec::new();
        while reader.read_lines(|line| lines.push(line)).unwrap() > 0 {}
        assert_eq!(reader.read_lines(|_| panic!("nothing follows the end")).unwrap(), 0);
        lines
    }

    fn texts(input: &[u8]) -> Vec<Vec<u8>> {
        lines_of(input)
            .into_iter()
            .map(|line| match line {
                Line::Whole(data) => data.to_vec(),
                Line::Oversize { .. } => panic!("no line here is oversize"),
            })
            .collect()
    }

    #[test]
    fn a_line_ends_with_a_newline_with_or_without_a_return() {
        assert_eq!(texts(b"a\nb\r\nc\n"), [b"a", b"b", b"c"]);
        assert_eq!(texts(b"a\rb\n\r\n"), [b"a\rb".to_vec(), b"".to_vec()], "a return within a line is data");
        assert_eq!(texts(b"a\r\r\n"), [b"a\r"], "only one return belongs to the end");
    }

    #[test]
    fn the_last_line_counts_without_a_newline_and_an_end_adds_no_empty_line() {
        assert_eq!(texts(b"a\nb"), [b"a", b"b"]);
        assert_eq!(texts(b"a\r"), [b"a\r"], "a return that no newline follows is data");
        assert_eq!(texts(b""), Vec::<Vec<u8>>::new());
        assert_eq!(texts(b"\n\n"), [b"", b""], "an empty line is a line");
    }

    #[test]
    fn bytes_that_are_not_text_pass_through() {
        assert_eq!(texts(b"\xff\xfe\0\n\x80"), [b"\xff\xfe\0".to_vec(), b"\x80".to_vec()]);
    }

    #[test]
    fn the_largest_record_passes_and_one_byte_more_is_skipped_with_its_length() {
        for end in ["\n", "\r\n", ""] {
            let mut input = vec![b'x'; DATA_BYTES_MAX];
            input.extend_from_slice(end.as_bytes());
            let lines = lines_of(&input[..]);
            assert!(
                matches!(&lines[..], [Line::Whole(data)] if data.len() == DATA_BYTES_MAX),
                "a line of exactly the largest record, ended by {end:?}"
            );
            for more in [1, 2, 700_000] {
                let mut input = vec![b'x'; DATA_BYTES_MAX + more];
                input.extend_from_slice(end.as_bytes());
                if !end.is_empty() {
                    input.extend_from_slice(b"next");
                }
                let mut lines = lines_of(&input[..]).into_iter();
                let Some(Line::Oversize { head, bytes }) = lines.next() else { panic!("an oversize line") };
                assert_eq!(bytes, (DATA_BYTES_MAX + more) as u64, "{more} more, ended by {end:?}");
                assert_eq!(head.len(), TRUNCATED_BYTES);
                let rest = if end.is_empty() { None } else { Some(Line::Whole(Bytes::from_static(b"next"))) };
                assert_eq!(lines.next(), rest, "the line after it is whole");
            }
        }
    }

    #[test]
    fn an_endless_line_is_not_held_in_memory() {
        let mut reader = LineReader::new(io::repeat(b'x').take(100 << 20));
        let mut lines = Vec::new();
        while reader.read_lines(|line| lines.push(line)).unwrap() > 0 {}
        assert!(matches!(&lines[..], [Line::Oversize { bytes, .. }] if *bytes == 100 << 20));
        let most = 2 * (DATA_BYTES_MAX + BLOCK_BYTES);
        assert!(
            reader.buffer.capacity() <= most,
            "the buffer stayed below {most}: {}",
            reader.buffer.capacity()
        );
    }

    #[test]
    fn an_error_in_the_middle_is_passed_on_after_the_lines_before_it() {
        struct Breaks(u32);
        impl Read for Breaks {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => {
                        buffer[..4].copy_from_slice(b"a\nbb");
                        Ok(4)
                    }
                    2 => Err(io::ErrorKind::Interrupted.into()),
                    _ => Err(io::Error::other("the disk is gone")),
                }
            }
        }
        let mut reader = LineReader::new(Breaks(0));
        let mut lines = Vec::new();
        assert_eq!(reader.read_lines(|line| lines.push(line)).unwrap(), 4);
        assert_eq!(lines, [Line::Whole(Bytes::from_static(b"a"))]);
        let error = reader.read_lines(|_| panic!("half a line is none")).unwrap_err();
        assert_eq!(error.to_string(), "the disk is gone", "an interrupted read was repeated");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn the_pieces_of_a_read_do_not_change_the_lines(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            piece in 1usize..40,
        ) {
            let ended = bytes.is_empty() || bytes.ends_with(b"\n");
            let mut expected: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
            let last = expected.pop().filter(|_| !ended);
            let expected: Vec<Line> = expected.into_iter().map(strip_return).chain(last).map(whole).collect();
            prop_assert_eq!(lines_of(Pieces { bytes: &bytes, piece }), expected);
        }
    }
}

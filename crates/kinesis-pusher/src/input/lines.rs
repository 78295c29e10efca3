//! Lines out of a byte stream, in bounded memory.

use std::io::{self, Read};

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memrchr};

use super::blocks::{BLOCK_BYTES, Blocks};
use super::{DATA_BYTES_MAX, TRUNCATED_BYTES};

/// Splits what it reads into lines.
///
/// Lines are slices of the [block](Blocks) they were read into as long as blocks may be lent and a read fills at least
/// half of one; else each is copied, so that a line of a slow pipe does not keep a block to itself.
pub(crate) struct LineReader<R> {
    input: R,
    blocks: Blocks,
    /// A block, or more while a line is longer than that. `buffer[..pending]` is the beginning of a line whose end has
    /// not been read, and holds no line end.
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
    /// Reads from `input` into blocks.
    pub(crate) fn new(input: R, blocks: Blocks) -> Self {
        Self { input, buffer: blocks.take(), blocks, pending: 0, oversize: None, ended: false }
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
        if self.pending > self.buffer.len() / 2 {
            // Doubling, so that a long line is not copied once for every block of it.
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = loop {
            match self.input.read(&mut self.buffer[self.pending..]) {
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
            if let Some(last) = memrchr(b'\n', &self.buffer[from..filled]) {
                let end = from + last + 1;
                if end - start >= BLOCK_BYTES / 2
                    && self.buffer.len() == BLOCK_BYTES
                    && self.blocks.may_lend()
                {
                    self.lend_lines(start, from, end, filled, take);
                    return Ok(read);
                }
                self.copy_lines(start, from, end, take);
                start = end;
            }
        }
        self.keep(start, filled);
        Ok(read)
    }

    /// Hands out the lines of `buffer[start..end]` as slices of it, and goes on with another buffer.
    fn lend_lines(
        &mut self,
        start: usize,
        from: usize,
        end: usize,
        filled: usize,
        mut take: impl FnMut(Line),
    ) {
        let mut next = self.blocks.take();
        self.pending = filled - end;
        next[..self.pending].copy_from_slice(&self.buffer[end..filled]);
        let block = self.blocks.lend(std::mem::replace(&mut self.buffer, next));
        each_line(&block, start, from, end, |start, line| {
            // A block is smaller than any record may be.
            take(Line::Whole(block.slice(start..start + line.len())));
        });
    }

    fn copy_lines(&self, start: usize, from: usize, end: usize, mut take: impl FnMut(Line)) {
        each_line(&self.buffer, start, from, end, |_, line| take(whole(line)));
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
        if self.buffer.len() > BLOCK_BYTES && self.pending < BLOCK_BYTES / 2 {
            // The long line is over.
            let mut block = self.blocks.take();
            block[..self.pending].copy_from_slice(&self.buffer[..self.pending]);
            self.buffer = block;
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

/// The lines of `buffer[start..end]`, which ends with a line end, and where each begins. There is none before `from`.
fn each_line(buffer: &[u8], mut start: usize, from: usize, end: usize, mut take: impl FnMut(usize, &[u8])) {
    for end in memchr_iter(b'\n', &buffer[from..end]).map(|at| from + at) {
        take(start, strip_return(&buffer[start..end]));
        start = end + 1;
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

    /// Two blocks, so that some lines are slices and others copies.
    const LENT_BYTES_MAX: usize = 2 * BLOCK_BYTES;

    fn lines_of(input: impl Read) -> Vec<Line> {
        let mut reader = LineReader::new(input, Blocks::new(LENT_BYTES_MAX));
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
        let mut reader = LineReader::new(io::repeat(b'x').take(100 << 20), Blocks::new(LENT_BYTES_MAX));
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
    fn lines_are_slices_of_what_was_read_until_too_much_of_it_is_held() {
        let blocks = Blocks::new(LENT_BYTES_MAX);
        let text: Vec<u8> = (0..40_000).flat_map(|number| format!("{number:09}\n").into_bytes()).collect();
        let mut reader = LineReader::new(&text[..], blocks.clone());
        let mut lines: Vec<Bytes> = Vec::new();
        let mut ends = Vec::new();
        let mut take = |line| match line {
            Line::Whole(data) => lines.push(data),
            Line::Oversize { .. } => panic!("no line here is oversize"),
        };
        while reader.read_lines(&mut take).unwrap() > 0 {
            ends.push(blocks.may_lend());
        }
        assert_eq!(ends[..2], [true, false], "a block was lent for each of the first two reads");
        assert!(
            lines.iter().enumerate().all(|(number, line)| line[..] == *format!("{number:09}").as_bytes())
        );
        let is_slice = |number: usize| lines[number + 1].as_ptr() == lines[number].as_ptr().wrapping_add(10);
        assert!((0..12_000).filter(|&number| is_slice(number)).count() > 11_990, "two blocks of slices");
        let others = (14_000..39_999).filter(|&number| is_slice(number)).count();
        assert!(others < 1_000, "{others} of the lines behind them are slices too");
        drop(lines);
        assert!(blocks.may_lend(), "with the lines, the blocks came back");
    }

    #[test]
    fn short_lines_behind_a_long_one_are_slices_again() {
        let blocks = Blocks::new(LENT_BYTES_MAX);
        let mut text = vec![b'x'; 5 * BLOCK_BYTES];
        text.extend("\n123456789".repeat(40_000).into_bytes());
        let mut reader = LineReader::new(&text[..], blocks.clone());
        let mut held = Vec::new();
        while reader.read_lines(|line| held.push(line)).unwrap() > 0 {}
        assert_eq!(held.len(), 40_001);
        assert_eq!(reader.buffer.len(), BLOCK_BYTES, "the buffer is back at its size");
        assert!(!blocks.may_lend(), "blocks were lent");
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
        let mut reader = LineReader::new(Breaks(0), Blocks::new(LENT_BYTES_MAX));
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

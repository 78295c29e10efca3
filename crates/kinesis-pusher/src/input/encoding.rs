//! What the first bytes of an input say about its encoding.

use std::io::{self, Read};

/// An encoding whose line ends are not those of text, so that its lines would be garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// What the input is, to follow "it is".
    pub(crate) is: &'static str,
    /// The command that writes it as plain text to stdout.
    pub(crate) decode: &'static str,
}

/// Looks at the first bytes of an input. Returns the length of the UTF-8 byte-order mark to skip; 0 without one.
///
/// # Errors
/// The encoding, when the bytes are not those of plain lines.
pub(crate) fn examine(head: &[u8]) -> Result<usize, Foreign> {
    if let Some((_, foreign)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(*foreign);
    }
    if is_bzip2(head) {
        return Err(BZIP2);
    }
    if has_nul_at_every_other(head, 1) {
        return Err(UTF_16LE);
    }
    if has_nul_at_every_other(head, 0) {
        return Err(UTF_16BE);
    }
    Ok(if head.starts_with(UTF_8_MARK) { UTF_8_MARK.len() } else { 0 })
}

/// Reads the first bytes of an input: [`HEAD_BYTES`], or up to the read that brings a line end. Before that there is
/// no record to hold up.
///
/// # Errors
/// Errors of the input. Interrupted reads are repeated.
pub(crate) fn read_head(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let mut filled = 0;
    while filled < HEAD_BYTES {
        match input.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(read) => {
                filled += read;
                if head[..filled].contains(&b'\n') {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// `BZh`, a level, and the magic of a block or of the end: the first three bytes alone could be text.
fn is_bzip2(head: &[u8]) -> bool {
    matches!(
        head,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..]
    )
}

/// Whether the bytes are Latin text in 16-bit units without a mark: NULs at this parity, text between them.
fn has_nul_at_every_other(head: &[u8], parity: usize) -> bool {
    let is_text = |byte: u8| byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r');
    head.len() >= UTF_16_BYTES_MIN
        && head.iter().enumerate().all(|(at, &byte)| if at % 2 == parity { byte == 0 } else { is_text(byte) })
}

/// Enough for every magic number, and to tell 16-bit text by its NULs.
pub(crate) const HEAD_BYTES: usize = 512;

/// Two characters: fewer are no evidence.
const UTF_16_BYTES_MIN: usize = 4;

const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";

const UTF_16: Foreign = Foreign { is: "UTF-16", decode: "iconv -f UTF-16 -t UTF-8" };
const UTF_16LE: Foreign = Foreign { is: "UTF-16", decode: "iconv -f UTF-16LE -t UTF-8" };
const UTF_16BE: Foreign = Foreign { is: "UTF-16", decode: "iconv -f UTF-16BE -t UTF-8" };
const UTF_32: Foreign = Foreign { is: "UTF-32", decode: "iconv -f UTF-32 -t UTF-8" };
const GZIP: Foreign = Foreign { is: "compressed with gzip", decode: "zcat" };
const ZSTD: Foreign = Foreign { is: "compressed with zstd", decode: "zstdcat" };
const BZIP2: Foreign = Foreign { is: "compressed with bzip2", decode: "bzcat" };
const XZ: Foreign = Foreign { is: "compressed with xz", decode: "xzcat" };
const ZIP: Foreign = Foreign { is: "a zip archive", decode: "unzip -p" };

/// The first that fits decides: the mark of UTF-32 begins with that of UTF-16.
const MAGICS: [(&[u8], Foreign); 10] = [
    (b"\xff\xfe\0\0", UTF_32),
    (b"\0\0\xfe\xff", UTF_32),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (b"\x1f\x8b\x08", GZIP),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"\xfd7zXZ\0", XZ),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PK\x07\x08", ZIP),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_of_utf_8_is_skipped_and_is_no_mark_elsewhere() {
        assert_eq!(examine(b"\xef\xbb\xbf{}\n"), Ok(3));
        assert_eq!(examine(b"\xef\xbb\xbf"), Ok(3), "an empty file with a mark");
        for plain in [&b""[..], b"a", b"{}\n", b"\xef\xbb", b"a\xef\xbb\xbf"] {
            assert_eq!(examine(plain), Ok(0), "{plain:?}");
        }
    }

    #[test]
    fn text_in_16_bit_units_is_recognised_with_and_without_a_mark() {
        for text in ["a\n", "{\"id\":1}\n", "caf\u{e9}\r\n", "one line without an end"] {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(examine(&little), Err(UTF_16LE), "{text:?}");
            assert_eq!(examine(&big), Err(UTF_16BE), "{text:?}");
            assert_eq!(examine(&little[..little.len() - 1]).is_err(), little.len() > 4, "cut in a unit");
            assert_eq!(examine(&[b"\xff\xfe", &little[..]].concat()), Err(UTF_16));
            assert_eq!(examine(&[b"\xfe\xff", &big[..]].concat()), Err(UTF_16));
        }
        assert_eq!(examine(b"\xff\xfe\0\0a\0\0\0"), Err(UTF_32));
        for bytes in [&b"\0\x01\0\x02"[..], b"a\0b", b"a\0\0b\0", b"\0\0\0\0"] {
            assert_eq!(examine(bytes), Ok(0), "{bytes:?} are bytes, and no evidence of text");
        }
    }

    #[test]
    fn compressed_input_is_recognised_by_its_magic_and_text_like_it_is_not() {
        for (head, foreign) in [
            (&b"\x1f\x8b\x08\0"[..], GZIP),
            (b"\x28\xb5\x2f\xfd$", ZSTD),
            (b"BZh91AY&SY", BZIP2),
            (b"BZh9\x17\x72\x45\x38\x50\x90", BZIP2),
            (b"\xfd7zXZ\0\0", XZ),
            (b"PK\x03\x04\x14", ZIP),
        ] {
            assert_eq!(examine(head), Err(foreign));
        }
        for text in [&b"BZh9 is a line"[..], b"PK", b"(\xb5", b"7zXZ"] {
            assert_eq!(examine(text), Ok(0), "{text:?}");
        }
    }

    #[test]
    fn the_head_ends_with_the_read_that_brings_a_line_end() {
        /// Gives one part a read, and must not be read after the last.
        struct Parts(Vec<&'static [u8]>);
        impl Read for Parts {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let part = self.0.remove(0);
                if part == b"interrupted" {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                buffer[..part.len()].copy_from_slice(part);
                Ok(part.len())
            }
        }
        let head = read_head(&mut Parts(vec![b"\xef", b"interrupted", b"\xbb\xbfa\nb"])).unwrap();
        assert_eq!(head, b"\xef\xbb\xbfa\nb", "a line is not held up for more");
        assert_eq!(read_head(&mut Parts(vec![b"\x1f", b"\x8b", b""])).unwrap(), b"\x1f\x8b");
        let long = vec![b'x'; 2 * HEAD_BYTES];
        assert_eq!(read_head(&mut &long[..]).unwrap().len(), HEAD_BYTES);
    }
}

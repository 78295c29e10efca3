//! Texts as JSON has them.

use std::io::Write;

/// The UTF-8 text between the quotes of a JSON string.
pub(crate) fn write_escaped(body: &mut Vec<u8>, bytes: &[u8]) {
    if !needs_escapes(bytes) {
        return body.extend_from_slice(bytes);
    }
    for byte in bytes {
        match byte {
            b'"' | b'\\' => body.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => write!(body, "\\u{byte:04x}").expect("a vector takes whatever is written"),
            _ => body.push(*byte),
        }
    }
}

/// Looks at eight bytes at once; keys are short, and there are five hundred in a request.
fn needs_escapes(bytes: &[u8]) -> bool {
    let (eights, rest) = bytes.as_chunks::<8>();
    if let [.., last] = bytes.as_rchunks::<8>().1
        && !rest.is_empty()
        && eight_need_escapes(*last)
    {
        return true;
    }
    let is_short = eights.is_empty();
    eights.iter().any(|eight| eight_need_escapes(*eight))
        || is_short && rest.iter().any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'))
}

/// Whether a byte is below 0x20, a quote or a backslash. A byte's highest bit tells: subtracting what is greater borrows
/// from it, and bytes that had it set are masked out. The borrow of a byte that was found may find its neighbour too.
fn eight_need_escapes(eight: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let bytes = u64::from_le_bytes(eight);
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes;
    let equal = |byte: u8| below(bytes ^ (ONES * u64::from(byte)), 1);
    (below(bytes, 0x20) | equal(b'"') | equal(b'\\')) & (ONES * 0x80) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_that_needs_an_escape_is_found_wherever_it_stands_and_no_other() {
        for length in 1..=40 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'k'; length];
                    bytes[at] = byte;
                    let expected = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(needs_escapes(&bytes), expected, "{byte:#x} at {at} of {length}");
                }
            }
        }
    }
}

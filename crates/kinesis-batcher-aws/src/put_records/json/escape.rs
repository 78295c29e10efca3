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

/// Looks at sixteen bytes at once, the last ones twice unless they are sixteen; keys are short, and there are five hundred
/// in a request. What was found is kept apart for each of the sixteen, or it would be one byte after the other.
fn needs_escapes(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<16>() else {
        return bytes.iter().any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\'));
    };
    let mut found = [0; 16];
    for sixteen in bytes.as_chunks::<16>().0.iter().chain([last]) {
        for (found, byte) in found.iter_mut().zip(sixteen) {
            *found |= u8::from(*byte < 0x20) | u8::from(*byte == b'"') | u8::from(*byte == b'\\');
        }
    }
    found.iter().fold(0, |any, found| any | found) != 0
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

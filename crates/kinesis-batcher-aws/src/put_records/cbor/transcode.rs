//! CBOR as JSON, for errors: they are rare, and the SDK reads them from JSON.

use std::io::Write;

use base64_simd::STANDARD;

use super::scanner::{Head, Kind, Scanner};
use crate::put_records::json::write_escaped;
use crate::put_records::scan::{Malformed, Scan};

/// The JSON of the same value: byte strings are base64 in it, and members whose names are no text are left out.
pub(crate) fn to_json(cbor: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut scanner = Scanner::new(cbor);
    let mut json = Vec::with_capacity(cbor.len());
    write_value(&mut scanner, &mut json)?;
    if scanner.is_at_end() { Ok(json) } else { Err(scanner.malformed("more than one value")) }
}

fn write_value(scanner: &mut Scanner<'_>, json: &mut Vec<u8>) -> Result<(), Malformed> {
    match scanner.kind()? {
        Kind::Text => {
            let text = scanner.string()?;
            write_string(json, &text);
        }
        Kind::Bytes => {
            let mut bytes = Vec::new();
            scanner.chunks(Kind::Bytes, |chunk| bytes.extend_from_slice(chunk))?;
            write_string(json, &STANDARD.encode_to_string(&bytes));
        }
        Kind::Array => {
            let mut before = b'[';
            scanner.members(Kind::Array, |scanner| {
                json.push(std::mem::replace(&mut before, b','));
                write_value(scanner, json)
            })?;
            json.extend_from_slice(if before == b'[' { b"[]" } else { b"]" });
        }
        Kind::Map => {
            let mut before = b'{';
            scanner.members(Kind::Map, |scanner| {
                if scanner.kind()? != Kind::Text {
                    scanner.skip()?;
                    return scanner.skip();
                }
                json.push(std::mem::replace(&mut before, b','));
                let name = scanner.string()?;
                write_string(json, &name);
                json.push(b':');
                write_value(scanner, json)
            })?;
            json.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
        }
        Kind::Unsigned | Kind::Negative | Kind::Simple => {
            let head = scanner.head()?;
            write_number(json, head);
        }
    }
    Ok(())
}

fn write_string(json: &mut Vec<u8>, text: &str) {
    json.push(b'"');
    write_escaped(json, text.as_bytes());
    json.push(b'"');
}

/// Also what is simpler than a number. What JSON has no word for is null.
fn write_number(json: &mut Vec<u8>, head: Head) {
    let argument = head.argument.unwrap_or_default();
    let float = match (head.kind, head.argument_bytes) {
        (Kind::Simple, 2) => half(argument as u16),
        (Kind::Simple, 4) => f32::from_bits(argument as u32).into(),
        (Kind::Simple, 8) => f64::from_bits(argument),
        _ => f64::NAN,
    };
    let written = match (head.kind, argument) {
        (Kind::Unsigned, number) => write!(json, "{number}"),
        (Kind::Negative, number) => write!(json, "{}", -1 - i128::from(number)),
        (_, 20) if head.argument_bytes == 0 => write!(json, "false"),
        (_, 21) if head.argument_bytes == 0 => write!(json, "true"),
        _ if float.is_finite() => write!(json, "{float:e}"),
        _ => write!(json, "null"),
    };
    written.expect("a vector takes whatever is written");
}

/// A number of 16 bits (RFC 8949, appendix D).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 => f64::NAN,
        _ => (fraction + 1_024.0) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_in_json() {
        let cases = [
            r#"{"__type":"a#B","message":"\"é\"\n","list":[],"map":{},"more":[{"a":[null,true,false]}]}"#,
            "[0,23,24,255,256,65536,4294967296,18446744073709551615,-1,-256,-9223372036854775808]",
            "[0.5,-0.25,1.5,65504.0,0.00006103515625,0.000030517578125,3.4e38,1e300,-1e-300,0.1]",
        ];
        for json in cases {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let mut cbor = Vec::new();
            ciborium::into_writer(&value, &mut cbor).unwrap();
            let back: serde_json::Value = serde_json::from_slice(&to_json(&cbor).unwrap()).unwrap();
            assert_eq!(back, value);
        }
    }

    #[test]
    fn what_json_has_no_word_for_is_base64_or_null_or_left_out() {
        let cases: [(&[u8], &str); 6] = [
            (b"\x5f\x42ab\x41c\xff", r#""YWJj""#),
            (b"\xa2\x01\x02\x61a\x03", r#"{"a":3}"#),
            (b"\xf9\x7e\x00", "null"),
            (b"\xf9\x7c\x00", "null"),
            (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "-18446744073709551616"),
            (b"\xf8\x14", "null"),
        ];
        for (cbor, json) in cases {
            assert_eq!(String::from_utf8(to_json(cbor).unwrap()).unwrap(), json, "{cbor:x?}");
        }
        assert!(to_json(b"").is_err() && to_json(b"\x01\x01").is_err());
    }
}

//! CBOR by another hand than the transport's, in every form that RFC 8949 allows.
#![allow(clippy::unwrap_used)]

use base64_simd::STANDARD;
use ciborium::Value;

/// The value that a JSON text is, with its members in their order, doubles included; `None` if serde's reader does not
/// take it.
pub fn of_json(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok()
}

/// A request as JSON, with byte strings in base64.
pub fn to_json(cbor: &[u8]) -> serde_json::Value {
    json_of(ciborium::from_reader(cbor).unwrap())
}

fn json_of(value: Value) -> serde_json::Value {
    match value {
        Value::Text(text) => text.into(),
        Value::Bytes(bytes) => STANDARD.encode_to_string(bytes).into(),
        Value::Array(items) => items.into_iter().map(json_of).collect(),
        Value::Map(members) => {
            let members =
                members.into_iter().map(|(name, value)| (name.into_text().unwrap(), json_of(value)));
            serde_json::Value::Object(members.collect())
        }
        other => panic!("no request has {other:?} in it"),
    }
}

/// Writes a value; the bits of `form` decide in turn whether an item has a length or goes on until a break, a string comes
/// in chunks, a head is longer than it has to be, and there is a tag.
pub fn write(value: &Value, form: &mut Form) -> Vec<u8> {
    let mut cbor = Vec::new();
    write_item(&mut cbor, value, form);
    cbor
}

pub struct Form(pub u64);

impl Form {
    fn draw(&mut self) -> bool {
        self.0 = self.0.rotate_right(1);
        self.0 >> 63 == 1
    }
}

fn write_item(cbor: &mut Vec<u8>, value: &Value, form: &mut Form) {
    if form.draw() && form.draw() && form.draw() {
        // "Self-described CBOR" (RFC 8949, 3.4.6), which says nothing.
        cbor.extend_from_slice(b"\xd9\xd9\xf7");
    }
    match value {
        Value::Text(text) => write_string(cbor, 3, &chunks_of(text), form),
        Value::Bytes(bytes) => write_string(cbor, 2, &bytes.chunks(3).collect::<Vec<_>>(), form),
        Value::Array(items) => {
            let ends = write_head(cbor, 4, items.len(), form);
            items.iter().for_each(|item| write_item(cbor, item, form));
            cbor.extend_from_slice(ends);
        }
        Value::Map(members) => {
            let ends = write_head(cbor, 5, members.len(), form);
            for (name, value) in members {
                write_item(cbor, name, form);
                write_item(cbor, value, form);
            }
            cbor.extend_from_slice(ends);
        }
        Value::Null if form.draw() => cbor.push(0xf7),
        other => ciborium::into_writer(other, cbor).unwrap(),
    }
}

/// Cut between characters, as chunks of a text must be.
fn chunks_of(text: &str) -> Vec<&[u8]> {
    let (first, rest) = text.split_at(text.char_indices().nth(2).map_or(text.len(), |(at, _)| at));
    vec![first.as_bytes(), b"", rest.as_bytes()]
}

fn write_string(cbor: &mut Vec<u8>, kind: u8, chunks: &[&[u8]], form: &mut Form) {
    if form.draw() && form.draw() {
        cbor.push(kind << 5 | 31);
        for chunk in chunks {
            write_length(cbor, kind, chunk.len(), form);
            cbor.extend_from_slice(chunk);
        }
        cbor.push(0xff);
    } else {
        let string = chunks.concat();
        write_length(cbor, kind, string.len(), form);
        cbor.extend_from_slice(&string);
    }
}

/// What ends it.
fn write_head(cbor: &mut Vec<u8>, kind: u8, count: usize, form: &mut Form) -> &'static [u8] {
    if form.draw() {
        cbor.push(kind << 5 | 31);
        return b"\xff";
    }
    write_length(cbor, kind, count, form);
    b""
}

fn write_length(cbor: &mut Vec<u8>, kind: u8, length: usize, form: &mut Form) {
    let kind = kind << 5;
    match length {
        _ if form.draw() && form.draw() && form.draw() => {
            cbor.push(kind | 27);
            cbor.extend_from_slice(&(length as u64).to_be_bytes());
        }
        0..24 => cbor.push(kind | length as u8),
        24..0x100 => cbor.extend_from_slice(&[kind | 24, length as u8]),
        _ => {
            cbor.push(kind | 26);
            cbor.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

//! The body of a PutRecords request in CBOR, written straight from the records into one buffer; large payloads, which are
//! in CBOR as they are in memory, stay where they are.
//!
//! It is what AWS's SDK for Java writes, byte for byte: maps and arrays go on until a break, texts and byte strings have
//! the shortest head. Any form of CBOR should do for the service, but of this one it is known.

use std::io::Write;

use bytes::Bytes;
use kinesis_batcher_driver::{PutRecords, RequestRecord};

use super::scanner::BREAK;
use crate::put_records::body::Body;
use crate::stream_id::StreamId;

/// The CBOR of the request.
pub(crate) fn body(stream: &StreamId, request: &PutRecords) -> Body {
    let (written, payloads) = write_body(stream, request);
    Body::of_pieces(written, payloads)
}

/// All but the large payloads, in a buffer of its size; and those, each with its place in there.
fn write_body(stream: &StreamId, request: &PutRecords) -> (Vec<u8>, Vec<(usize, Bytes)>) {
    let mut body = Vec::with_capacity(length(stream, request));
    let mut payloads = Vec::new();
    body.extend_from_slice(RECORDS);
    for record in request.records() {
        write_entry(&mut body, &mut payloads, record);
    }
    body.push(BREAK);
    let (field, name) = stream.field();
    write_string(&mut body, TEXT, field.as_bytes());
    write_string(&mut body, TEXT, name.as_bytes());
    body.push(BREAK);
    (body, payloads)
}

/// Of the body without large payloads.
fn length(stream: &StreamId, request: &PutRecords) -> usize {
    let (field, name) = stream.field();
    let around =
        RECORDS.len() + string_length(field.len()) + string_length(name.len()) + [BREAK, BREAK].len();
    let entries = request.records().map(|record| {
        let explicit = record.explicit_hash_key();
        let explicit = explicit.map_or(0, |key| EXPLICIT_HASH_KEY.len() + string_length(digits(key.value())));
        let key = record.partition_key_bytes();
        let key = key.map_or(0, |key| PARTITION_KEY.len() + string_length(key.len()));
        let data = string_length(record.data().len());
        let apart = if is_large(record.data()) { record.data().len() } else { 0 };
        DATA.len() + data - apart + explicit + key + [BREAK].len()
    });
    around + entries.sum::<usize>()
}

fn write_entry(body: &mut Vec<u8>, payloads: &mut Vec<(usize, Bytes)>, record: RequestRecord<'_>) {
    body.extend_from_slice(DATA);
    if is_large(record.data()) {
        write_head(body, BYTES, record.data().len());
        payloads.push((body.len(), record.data().clone()));
    } else {
        write_string(body, BYTES, record.data());
    }
    if let Some(key) = record.explicit_hash_key() {
        body.extend_from_slice(EXPLICIT_HASH_KEY);
        write_head(body, TEXT, digits(key.value()));
        write!(body, "{key}").expect("a vector takes whatever is written");
    }
    if let Some(key) = record.partition_key_bytes() {
        body.extend_from_slice(PARTITION_KEY);
        write_string(body, TEXT, key);
    }
    body.push(BREAK);
}

/// Whether a copy would cost more than to send it by itself.
fn is_large(data: &[u8]) -> bool {
    data.len() >= LARGE_BYTES
}

fn write_string(body: &mut Vec<u8>, kind: u8, string: &[u8]) {
    write_head(body, kind, string.len());
    body.extend_from_slice(string);
}

/// The major type and the length in the fewest bytes.
fn write_head(body: &mut Vec<u8>, kind: u8, length: usize) {
    match length {
        0..24 => body.push(kind | length as u8),
        24..0x100 => body.extend_from_slice(&[kind | 24, length as u8]),
        0x100..0x1_0000 => {
            let [high, low] = (length as u16).to_be_bytes();
            body.extend_from_slice(&[kind | 25, high, low]);
        }
        _ => {
            let length = u32::try_from(length).expect("a request is smaller than 4 GiB");
            body.push(kind | 26);
            body.extend_from_slice(&length.to_be_bytes());
        }
    }
}

/// What a string of so many bytes takes with its head.
fn string_length(length: usize) -> usize {
    let head = match length {
        0..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        _ => 5,
    };
    head + length
}

/// How many digits the number has in decimal.
fn digits(number: u128) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// A map until a break, the name of its first member, and an array until a break.
const RECORDS: &[u8] = b"\xbf\x67Records\x9f";
/// A map until a break, and the name of its first member.
const DATA: &[u8] = b"\xbf\x64Data";
const EXPLICIT_HASH_KEY: &[u8] = b"\x6fExplicitHashKey";
const PARTITION_KEY: &[u8] = b"\x6cPartitionKey";
/// A page, and a multiple of what a piece costs on its way through HTTP and to the socket.
const LARGE_BYTES: usize = 4_096;
/// Major types in place (RFC 8949, 3).
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_batcher_driver::Record;

    #[test]
    fn the_buffer_is_of_the_size_of_the_body() {
        for bytes in [0, 23, 24, 255, 256, 4_095, 4_096, 65_535, 65_536] {
            for (key, explicit) in [(1, None), (23, Some(0)), (24, Some(9)), (256, Some(u128::MAX))] {
                let record = Record::new("k".repeat(key), vec![7; bytes]).unwrap();
                let record = explicit.map_or(record.clone(), |key| record.with_explicit_hash_key(key.into()));
                let keyless = Record::without_partition_key("").unwrap();
                let request = PutRecords::of_records([record, keyless]).unwrap();
                for stream in ["clicks", "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"] {
                    let stream = stream.parse().unwrap();
                    let (written, payloads) = write_body(&stream, &request);
                    assert_eq!(
                        length(&stream, &request),
                        written.len(),
                        "{bytes} bytes under a key of {key}"
                    );
                    assert_eq!(written.capacity(), written.len(), "nothing is to spare");
                    assert_eq!(payloads.len(), usize::from(bytes >= 4_096), "{bytes} bytes");
                }
            }
        }
    }

    /// The bytes of `{"Records": [{"Data": h'0102', "ExplicitHashKey": "17", "PartitionKey": "k"}], "StreamName": "s"}` as
    /// Jackson's generator writes them for `writeStartObject` and `writeStartArray` without a size.
    #[test]
    fn a_request_is_what_the_sdk_for_java_writes() {
        let record = Record::new("k", vec![1, 2]).unwrap().with_explicit_hash_key(17.into());
        let (body, _) = write_body(&"s".parse().unwrap(), &PutRecords::of_records([record]).unwrap());
        let expected: &[u8] = b"\xbf\x67Records\x9f\
            \xbf\x64Data\x42\x01\x02\x6fExplicitHashKey\x6217\x6cPartitionKey\x61k\xff\
            \xff\x6aStreamName\x61s\xff";
        assert_eq!(body, expected);
    }
}

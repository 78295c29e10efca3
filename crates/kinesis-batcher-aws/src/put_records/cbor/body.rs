//! The body of a PutRecords request in CBOR, written straight from the records into one buffer.
//!
//! It is what AWS's SDK for Java writes, byte for byte: maps and arrays go on until a break, texts and byte strings have
//! the shortest head. Any form of CBOR should do for the service, but of this one it is known.

use std::io::Write;

use kinesis_batcher_driver::{PutRecords, RequestRecord};

use super::scanner::BREAK;
use crate::stream_id::StreamId;

/// The CBOR of the request, in a buffer of its size.
pub(crate) fn body(stream: &StreamId, request: &PutRecords) -> Vec<u8> {
    let mut body = Vec::with_capacity(length(stream, request));
    body.push(MAP);
    write_text(&mut body, RECORDS);
    body.push(ARRAY);
    for record in request.records() {
        write_entry(&mut body, record);
    }
    body.push(BREAK);
    let (field, name) = stream.field();
    write_text(&mut body, field);
    write_text(&mut body, name);
    body.push(BREAK);
    body
}

fn length(stream: &StreamId, request: &PutRecords) -> usize {
    let (field, name) = stream.field();
    let around =
        [MAP, ARRAY, BREAK, BREAK].len() + text_length(RECORDS) + text_length(field) + text_length(name);
    let entries = request.records().map(|record| {
        let explicit = record
            .explicit_hash_key()
            .map_or(0, |key| text_length(EXPLICIT_HASH_KEY) + string_length(digits(key.value())));
        let key = record.partition_key_bytes();
        let key = key.map_or(0, |key| text_length(PARTITION_KEY) + string_length(key.len()));
        [MAP, BREAK].len() + text_length(DATA) + string_length(record.data().len()) + explicit + key
    });
    around + entries.sum::<usize>()
}

fn write_entry(body: &mut Vec<u8>, record: RequestRecord<'_>) {
    body.push(MAP);
    write_text(body, DATA);
    write_head(body, BYTES, record.data().len());
    body.extend_from_slice(record.data());
    if let Some(key) = record.explicit_hash_key() {
        write_text(body, EXPLICIT_HASH_KEY);
        write_head(body, TEXT, digits(key.value()));
        write!(body, "{key}").expect("a vector takes whatever is written");
    }
    if let Some(key) = record.partition_key_bytes() {
        write_text(body, PARTITION_KEY);
        write_head(body, TEXT, key.len());
        body.extend_from_slice(key);
    }
    body.push(BREAK);
}

fn write_text(body: &mut Vec<u8>, text: &str) {
    write_head(body, TEXT, text.len());
    body.extend_from_slice(text.as_bytes());
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

fn text_length(text: &str) -> usize {
    string_length(text.len())
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

const RECORDS: &str = "Records";
const DATA: &str = "Data";
const EXPLICIT_HASH_KEY: &str = "ExplicitHashKey";
const PARTITION_KEY: &str = "PartitionKey";
/// Major types in place (RFC 8949, 3).
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
/// Until a break.
const ARRAY: u8 = 4 << 5 | 31;
const MAP: u8 = 5 << 5 | 31;

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_batcher_driver::Record;

    #[test]
    fn the_buffer_is_of_the_size_of_the_body() {
        for bytes in [0, 23, 24, 255, 256, 65_535, 65_536] {
            for (key, explicit) in [(1, None), (23, Some(0)), (24, Some(9)), (256, Some(u128::MAX))] {
                let record = Record::new("k".repeat(key), vec![7; bytes]).unwrap();
                let record = explicit.map_or(record.clone(), |key| record.with_explicit_hash_key(key.into()));
                let keyless = Record::without_partition_key("").unwrap();
                let request = PutRecords::of_records([record, keyless]).unwrap();
                for stream in ["clicks", "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"] {
                    let stream = stream.parse().unwrap();
                    let body = body(&stream, &request);
                    assert_eq!(length(&stream, &request), body.len(), "{bytes} bytes under a key of {key}");
                    assert_eq!(body.capacity(), body.len(), "nothing is to spare");
                }
            }
        }
    }

    /// The bytes of `{"Records": [{"Data": h'0102', "ExplicitHashKey": "17", "PartitionKey": "k"}], "StreamName": "s"}` as
    /// Jackson's generator writes them for `writeStartObject` and `writeStartArray` without a size.
    #[test]
    fn a_request_is_what_the_sdk_for_java_writes() {
        let record = Record::new("k", vec![1, 2]).unwrap().with_explicit_hash_key(17.into());
        let body = body(&"s".parse().unwrap(), &PutRecords::of_records([record]).unwrap());
        let expected: &[u8] = b"\xbf\x67Records\x9f\
            \xbf\x64Data\x42\x01\x02\x6fExplicitHashKey\x6217\x6cPartitionKey\x61k\xff\
            \xff\x6aStreamName\x61s\xff";
        assert_eq!(body, expected);
    }
}

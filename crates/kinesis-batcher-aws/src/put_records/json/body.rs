//! The body of a PutRecords request in JSON, written straight from the records into one buffer.

use std::io::Write;

use base64_simd::STANDARD;
use kinesis_batcher_driver::{PutRecords, RequestRecord};

use super::escape::write_escaped;
use crate::stream_id::StreamId;

/// The JSON of the request, in a buffer that is allocated once: it only grows when keys need more escapes than there are
/// bytes to spare.
pub(crate) fn body(stream: &StreamId, request: &PutRecords) -> Vec<u8> {
    let mut body = Vec::with_capacity(length(stream, request));
    let mut separator: &[u8] = b"{\"Records\":[";
    for record in request.records() {
        body.extend_from_slice(separator);
        separator = b",";
        write_entry(&mut body, record);
    }
    let (field, name) = stream.field();
    body.extend_from_slice(b"],\"");
    body.extend_from_slice(field.as_bytes());
    body.extend_from_slice(b"\":\"");
    write_escaped(&mut body, name.as_bytes());
    body.extend_from_slice(b"\"}");
    body
}

/// The body's length if no key needs escapes, and all records have one.
fn length(stream: &StreamId, request: &PutRecords) -> usize {
    let mut data_bytes = 0;
    let mut length = request.len() * (b",".len() + DATA.len() + PARTITION_KEY.len() + ENTRY_END.len());
    for record in request.records() {
        data_bytes += record.data().len();
        length += STANDARD.encoded_length(record.data().len());
        if let Some(key) = record.explicit_hash_key() {
            length += EXPLICIT_HASH_KEY.len() + key.value().checked_ilog10().unwrap_or(0) as usize + 1;
        }
    }
    let (field, name) = stream.field();
    // The comma that the first record does not have is the brace before all of them.
    length + (request.bytes() - data_bytes) + b"\"Records\":[],\"\":\"\"}".len() + field.len() + name.len()
}

fn write_entry(body: &mut Vec<u8>, record: RequestRecord<'_>) {
    body.extend_from_slice(DATA);
    STANDARD.encode_append(record.data(), body);
    if let Some(key) = record.explicit_hash_key() {
        body.extend_from_slice(EXPLICIT_HASH_KEY);
        write!(body, "{key}").expect("a vector takes whatever is written");
    }
    if let Some(key) = record.partition_key_bytes() {
        body.extend_from_slice(PARTITION_KEY);
        write_escaped(body, key);
    }
    body.extend_from_slice(ENTRY_END);
}

const DATA: &[u8] = b"{\"Data\":\"";
const EXPLICIT_HASH_KEY: &[u8] = b"\",\"ExplicitHashKey\":\"";
const PARTITION_KEY: &[u8] = b"\",\"PartitionKey\":\"";
const ENTRY_END: &[u8] = b"\"}";

#[cfg(test)]
mod tests {
    use super::*;
    use kinesis_batcher_driver::Record;

    fn stream() -> StreamId {
        "clicks".parse().unwrap()
    }

    #[test]
    fn the_buffer_is_of_the_size_of_the_body() {
        for (data, explicit) in [("", None), ("a", Some(0)), ("ab", Some(9)), ("abcd", Some(u128::MAX))] {
            for count in [1, 2, 500] {
                let records = (0..count).map(|number| {
                    let record = Record::new(format!("key-{number}"), data).unwrap();
                    match explicit {
                        Some(key) => record.with_explicit_hash_key(key.into()),
                        None => record,
                    }
                });
                let request = PutRecords::of_records(records).unwrap();
                for stream in [stream(), "arn:aws:kinesis:eu-west-1:1:stream/s".parse().unwrap()] {
                    let body = body(&stream, &request);
                    assert_eq!(length(&stream, &request), body.len(), "{}", String::from_utf8_lossy(&body));
                }
            }
        }
    }

    #[test]
    fn keys_are_escaped_and_absent_ones_left_out() {
        let records = [
            Record::new("quote \" backslash \\ tab \t nul \0 é 😀", "x").unwrap(),
            Record::without_partition_key("").unwrap(),
        ];
        let body = body(&stream(), &PutRecords::of_records(records).unwrap());
        let expected = concat!(
            r#"{"Records":[{"Data":"eA==","PartitionKey":"quote \" backslash \\ tab \u0009 nul \u0000 é 😀"},"#,
            r#"{"Data":""}],"StreamName":"clicks"}"#
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}

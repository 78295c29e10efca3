//! A reply to PutRecords, written into one buffer in one pass.

use crate::routing::SEQUENCE_PREFIX;

/// Writes replies; keep one a connection, so that its buffer is allocated once.
pub(crate) struct Answer {
    bytes: Vec<u8>,
    is_cbor: bool,
    /// The number of the next record, as 20 digits.
    number: [u8; 20],
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(64 << 10), is_cbor: false, number: [b'0'; 20] }
    }

    /// Begins a reply whose records have the numbers from `first` on.
    pub(crate) fn begin(&mut self, first: u64, is_cbor: bool) {
        self.bytes.clear();
        self.is_cbor = is_cbor;
        for part in
            if is_cbor { [HEAD, CBOR, HEAD_END, CBOR_BEGIN] } else { [HEAD, JSON, HEAD_END, JSON_BEGIN] }
        {
            self.bytes.extend_from_slice(part);
        }
        write_digits(&mut self.number, first);
    }

    /// One more record, in the shard of this id.
    pub(crate) fn entry(&mut self, shard_id: &[u8; 20]) {
        // Copied whole and then patched: one growth of the buffer, one long copy, two short ones.
        if self.is_cbor {
            const TEMPLATE: [u8; length(&CBOR_ENTRY)] = concat(&CBOR_ENTRY);
            self.patched(TEMPLATE, CBOR_ENTRY[0].len(), shard_id);
        } else {
            const TEMPLATE: [u8; length(&JSON_ENTRY)] = concat(&JSON_ENTRY);
            self.patched(TEMPLATE, JSON_ENTRY[0].len(), shard_id);
        }
        increment(&mut self.number);
    }

    fn patched<const LENGTH: usize>(&mut self, mut entry: [u8; LENGTH], before: usize, shard_id: &[u8; 20]) {
        let number = before + SEQUENCE_PREFIX.len();
        let shard =
            if self.is_cbor { LENGTH - CBOR_ENTRY[5].len() } else { LENGTH - JSON_ENTRY[5].len() } - 20;
        entry[number..number + 20].copy_from_slice(&self.number);
        entry[shard..shard + 20].copy_from_slice(shard_id);
        self.bytes.extend_from_slice(&entry);
    }

    /// The whole reply, head included. There is at least one entry.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let head = HEAD.len() + if self.is_cbor { CBOR.len() } else { JSON.len() };
        if self.is_cbor {
            self.bytes.extend_from_slice(b"\xff\xff");
        } else {
            // The comma after the last entry.
            self.bytes.pop();
            self.bytes.extend_from_slice(b"]}");
        }
        let end = head + HEAD_END.len() - b"\r\n\r\n".len();
        let length = self.bytes.len() - head - HEAD_END.len();
        let mut digits = [0; 20];
        write_digits(&mut digits, length as u64);
        let significant = digits.iter().position(|digit| *digit != b'0').unwrap_or(19);
        let digits = &digits[significant..];
        self.bytes[end - digits.len()..end].copy_from_slice(digits);
        &self.bytes
    }
}

const fn length(parts: &[&[u8]; 6]) -> usize {
    let (mut part, mut length) = (0, 0);
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}

const fn concat<const LENGTH: usize>(parts: &[&[u8]; 6]) -> [u8; LENGTH] {
    let mut whole = [0; LENGTH];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut byte = 0;
        while byte < parts[part].len() {
            whole[at] = parts[part][byte];
            at += 1;
            byte += 1;
        }
        part += 1;
    }
    whole
}

fn write_digits(digits: &mut [u8; 20], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Nine times of ten it touches one digit, which is much less than a division a digit.
fn increment(digits: &mut [u8; 20]) {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n\
    content-type: ";
const JSON: &[u8] = b"application/x-amz-json-1.1";
const CBOR: &[u8] = b"application/x-amz-cbor-1.1";
/// The length is only known at the end and goes into the blanks, which HTTP allows before a value (RFC 9110, 5.5).
const HEAD_END: &[u8] = b"\r\ncontent-length:            \r\n\r\n";
const JSON_BEGIN: &[u8] = br#"{"EncryptionType":"NONE","FailedRecordCount":0,"Records":["#;
/// Maps and arrays go on until a break, as Java's writer of CBOR has them.
const CBOR_BEGIN: &[u8] = b"\xbf\x6eEncryptionType\x64NONE\x71FailedRecordCount\x00\x67Records\x9f";
const JSON_ENTRY: [&[u8]; 6] = [
    br#"{"SequenceNumber":""#,
    SEQUENCE_PREFIX.as_bytes(),
    &[b'0'; 20],
    br#"","ShardId":""#,
    &[b'0'; 20],
    br#""},"#,
];
const CBOR_ENTRY: [&[u8]; 6] = [
    b"\xbf\x6eSequenceNumber\x78\x38",
    SEQUENCE_PREFIX.as_bytes(),
    &[b'0'; 20],
    b"\x67ShardId\x74",
    &[b'0'; 20],
    b"\xff",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::routing::sequence_number;

    #[test]
    fn the_reply_is_json_or_cbor_of_the_announced_length() {
        let mut answer = Answer::new();
        for (first, is_cbor) in [1, 9_998, u64::MAX - 2].map(|first| [(first, false), (first, true)]).concat()
        {
            answer.begin(first, is_cbor);
            answer.entry(b"shardId-000000000007");
            answer.entry(b"shardId-000000000123");
            let reply = answer.finish().to_vec();
            let end = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
            let (head, body) = (std::str::from_utf8(&reply[..end]).unwrap(), &reply[end + 4..]);
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
            assert_eq!(length.trim(), body.len().to_string());
            assert_eq!(head.contains("application/x-amz-cbor-1.1"), is_cbor);
            let body: serde_json::Value = match is_cbor {
                true => ciborium::from_reader(body).unwrap(),
                false => serde_json::from_slice(body).unwrap(),
            };
            assert_eq!(body["Records"][0]["SequenceNumber"], sequence_number(first));
            assert_eq!(body["Records"][1]["SequenceNumber"], sequence_number(first + 1));
            assert_eq!(body["Records"][1]["ShardId"], "shardId-000000000123");
        }
    }
}

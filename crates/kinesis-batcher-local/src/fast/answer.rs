//! A reply to PutRecords, written into one buffer in one pass.

use crate::routing::SEQUENCE_PREFIX;

/// Writes replies; keep one a connection, so that its buffer is allocated once.
pub(crate) struct Answer {
    bytes: Vec<u8>,
    /// The number of the next record, as 20 digits.
    number: [u8; 20],
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(64 << 10), number: [b'0'; 20] }
    }

    /// Begins a reply whose records have the numbers from `first` on.
    pub(crate) fn begin(&mut self, first: u64) {
        self.bytes.clear();
        self.bytes.extend_from_slice(HEAD);
        self.bytes.extend_from_slice(BEFORE_ENTRIES);
        write_digits(&mut self.number, first);
    }

    /// One more record, in the shard of this id.
    pub(crate) fn entry(&mut self, shard_id: &[u8; 20]) {
        const NUMBER: usize = BEFORE_NUMBER.len() + SEQUENCE_PREFIX.len();
        const SHARD: usize = NUMBER + 20 + BETWEEN.len();
        const LENGTH: usize = SHARD + 20 + AFTER_SHARD.len();
        // Copied whole and then patched: one growth of the buffer, one long copy, two short ones.
        const TEMPLATE: [u8; LENGTH] = {
            let parts: [&[u8]; 6] =
                [BEFORE_NUMBER, SEQUENCE_PREFIX.as_bytes(), &[b'0'; 20], BETWEEN, &[b'0'; 20], AFTER_SHARD];
            let mut template = [0; LENGTH];
            let (mut part, mut at) = (0, 0);
            while part < parts.len() {
                let mut byte = 0;
                while byte < parts[part].len() {
                    template[at] = parts[part][byte];
                    at += 1;
                    byte += 1;
                }
                part += 1;
            }
            template
        };
        let mut entry = TEMPLATE;
        entry[NUMBER..NUMBER + 20].copy_from_slice(&self.number);
        entry[SHARD..SHARD + 20].copy_from_slice(shard_id);
        self.bytes.extend_from_slice(&entry);
        increment(&mut self.number);
    }

    /// The whole reply, head included. There is at least one entry.
    pub(crate) fn finish(&mut self) -> &[u8] {
        // The comma after the last entry.
        self.bytes.pop();
        self.bytes.extend_from_slice(b"]}");
        let length = self.bytes.len() - HEAD.len();
        let end = HEAD.len() - HEAD_END.len();
        let mut digits = [0; 20];
        write_digits(&mut digits, length as u64);
        let significant = digits.iter().position(|digit| *digit != b'0').unwrap_or(19);
        let digits = &digits[significant..];
        self.bytes[end - digits.len()..end].copy_from_slice(digits);
        &self.bytes
    }
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

/// The length is only known at the end and goes into the blanks, which HTTP allows before a value (RFC 9110, 5.5).
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n\
    content-type: application/x-amz-json-1.1\r\ncontent-length:            \r\n\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";
const BEFORE_ENTRIES: &[u8] = br#"{"EncryptionType":"NONE","FailedRecordCount":0,"Records":["#;
const BEFORE_NUMBER: &[u8] = br#"{"SequenceNumber":""#;
const BETWEEN: &[u8] = br#"","ShardId":""#;
const AFTER_SHARD: &[u8] = br#""},"#;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::routing::sequence_number;

    #[test]
    fn the_reply_is_json_of_the_announced_length() {
        let mut answer = Answer::new();
        for first in [1, 9_998, u64::MAX - 2] {
            answer.begin(first);
            answer.entry(b"shardId-000000000007");
            answer.entry(b"shardId-000000000123");
            let text = String::from_utf8(answer.finish().to_vec()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
            assert_eq!(length.trim(), body.len().to_string());
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["Records"][0]["SequenceNumber"], sequence_number(first));
            assert_eq!(body["Records"][1]["SequenceNumber"], sequence_number(first + 1));
            assert_eq!(body["Records"][1]["ShardId"], "shardId-000000000123");
        }
    }
}

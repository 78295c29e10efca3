//! What goes into a PutRecords call, and what comes out for each entry.

use std::fmt;

use kinesis_batcher_core::limits::PARTITION_KEY_CHARS_MAX;
use kinesis_batcher_core::{HashKey, SequenceNumber, ShardId};

use super::options::{Distribution, ServiceOptions};
use super::refusal::{Malformed, Refusal};

/// One entry of a PutRecords call.
#[derive(Clone, Copy)]
pub struct PutEntry<'a> {
    /// The payload.
    pub data: &'a [u8],
    /// The partition key, if there is one.
    pub partition_key: Option<&'a str>,
    /// The explicit hash key, if there is one.
    pub explicit_hash_key: Option<HashKey>,
}

impl<'a> PutEntry<'a> {
    /// An entry with an explicit hash key as the wire has it; `position` is its place in the call, from 0.
    ///
    /// # Errors
    /// [`Malformed::ExplicitHashKey`] unless it is decimal text without leading zeros, at most 2^128 − 1.
    pub fn from_wire(
        data: &'a [u8],
        partition_key: Option<&'a str>,
        explicit_hash_key: Option<&str>,
        position: usize,
    ) -> Result<Self, Refusal> {
        let explicit_hash_key = explicit_hash_key
            .map(str::parse)
            .transpose()
            .map_err(|_| Refusal::Validation(Malformed::ExplicitHashKey(position)))?;
        Ok(Self { data, partition_key, explicit_hash_key })
    }

    /// What it counts against every limit: bytes of data and partition key.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len() + self.partition_key.map_or(0, str::len)
    }

    /// What it takes in a body of JSON: base64, key, explicit hash key, and the names around them.
    pub(super) fn wire_bytes(&self) -> usize {
        self.data.len().div_ceil(3) * 4 + self.partition_key.map_or(0, str::len) + NAMES_BYTES
    }

    /// The service's rules for one entry.
    pub(super) fn check(&self, position: usize, options: &ServiceOptions) -> Result<(), Malformed> {
        if self.bytes() > options.record_bytes_max {
            return Err(Malformed::RecordBytes(position));
        }
        match self.partition_key {
            None if options.distribution == Distribution::Auto => Ok(()),
            None => Err(Malformed::PartitionKeyMissing(position)),
            // No character takes less than a byte, so counting them is seldom needed.
            Some(key) if (1..=PARTITION_KEY_CHARS_MAX).contains(&key.len()) => Ok(()),
            Some(key) if (1..=PARTITION_KEY_CHARS_MAX).contains(&key.chars().count()) => Ok(()),
            Some(_) => Err(Malformed::PartitionKeyChars(position)),
        }
    }
}

/// Payloads and keys stay out of logs.
impl fmt::Debug for PutEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PutEntry({} B)", self.bytes())
    }
}

/// What the service says of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryReply {
    /// It is stored.
    Stored {
        /// Where.
        shard_id: ShardId,
        /// Its number there: higher than that of anything stored in the shard before.
        sequence_number: SequenceNumber,
    },
    /// It is not, for the reason that this code gives.
    Failed(&'static str),
}

/// The text of a counter as a sequence number, without an allocation.
pub(super) fn sequence_number(mut count: u64) -> SequenceNumber {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (count % 10) as u8;
        count /= 10;
        if count == 0 {
            break;
        }
    }
    let text = std::str::from_utf8(&digits[start..]).expect("decimal digits are UTF-8");
    SequenceNumber::new(text)
}

/// `{"Data":"","PartitionKey":""},` and some more for an explicit hash key.
const NAMES_BYTES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_becomes_the_sequence_number_of_its_decimal_text() {
        for count in [0, 1, 9, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(sequence_number(count).to_string(), count.to_string());
        }
        assert!(sequence_number(99) < sequence_number(100), "they order by value");
    }

    #[test]
    fn an_explicit_hash_key_is_read_as_the_service_reads_it() {
        let read = |text| PutEntry::from_wire(b"x", Some("k"), Some(text), 3);
        assert!(read("0").is_ok() && read("340282366920938463463374607431768211455").is_ok());
        for text in ["", "-1", "+1", "01", "1.0", " 1", "abc", "340282366920938463463374607431768211456"] {
            let refusal = read(text).expect_err("it is not canonical or too large");
            assert_eq!(refusal, Refusal::Validation(Malformed::ExplicitHashKey(3)), "{text:?}");
        }
    }
}

//! User records on their way into one Kinesis record, and out of it again.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use kinesis_aggregation::{AggregateBuilder, Decoded, decode, decode_without_checksum, starts_with_magic};

use crate::entry::{Content, Entry, Member, Members};
use crate::event::Receipt;
use crate::hash_key::HashKey;
use crate::record::{HashKeyOrigin, Record, key_text};
use crate::sequence_number::SequenceNumber;
use crate::shard_id::ShardId;
use crate::time::Timestamp;

/// The aggregate that a shard's records are being added to.
///
/// A record that stays alone is never encoded: it goes out as it came in, as the KPL does it, and consumers without
/// de-aggregation can read it.
pub(crate) struct OpenAggregate<T> {
    /// The first record, until there is a second.
    lone: Option<Record>,
    builder: AggregateBuilder,
    members: Vec<Member<T>>,
    /// What the last aggregate came to: user records, and bytes as it was encoded.
    last: (usize, usize),
    /// Room that may be made for the next one beforehand, in bytes.
    room: usize,
    records_max: usize,
    hash_key: HashKey,
    sequence: u64,
    /// Bytes of data and partition keys as they were pushed.
    bytes: u64,
}

impl<T> OpenAggregate<T> {
    /// For aggregates of at most `encoded_len_max` bytes and `records_max` user records, in one of so many lanes.
    pub(crate) fn new(encoded_len_max: usize, records_max: usize, lanes: usize) -> Self {
        Self {
            lone: None,
            builder: AggregateBuilder::new(encoded_len_max),
            members: Vec::new(),
            last: (0, 0),
            room: (ROOM_BYTES / lanes.max(1)).max(ROOM_BYTES_MIN),
            records_max,
            hash_key: HashKey::MIN,
            sequence: 0,
            bytes: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// When the oldest record was accepted, and its place in the order of pushes.
    pub(crate) fn oldest(&self) -> Option<(Timestamp, u64)> {
        self.members.first().map(|member| (member.accepted_at, self.sequence))
    }

    /// Adds a record, or gives it back if the aggregate has no room for it.
    pub(crate) fn push(
        &mut self,
        record: Record,
        member: Member<T>,
        sequence: u64,
    ) -> Result<(), (Record, Member<T>)> {
        if self.members.len() == self.records_max {
            return Err((record, member));
        }
        let bytes = record.bytes() as u64;
        if self.members.is_empty() {
            if !could_hold(&self.builder, &record) {
                return Err((record, member));
            }
            self.members.reserve(first_room(self.last.0).min(self.room / ROOM_BYTES_A_MEMBER));
            (self.hash_key, self.sequence) = (record.hash_key, sequence);
            self.lone = Some(record);
        } else {
            if let Some(first) = self.lone.take() {
                self.builder.reserve(first_room(self.last.1).min(self.room));
                encode(&mut self.builder, &first).expect("the first record was checked to fit");
                if encode(&mut self.builder, &record).is_err() {
                    self.builder.clear();
                    self.lone = Some(first);
                    return Err((record, member));
                }
            } else if encode(&mut self.builder, &record).is_err() {
                return Err((record, member));
            }
        }
        self.bytes += bytes;
        self.members.push(member);
        Ok(())
    }

    /// Ends the aggregate and starts the next; `None` if there is nothing in it.
    pub(crate) fn close(&mut self) -> Option<Entry<T>> {
        let members = core::mem::take(&mut self.members);
        let accepted_at = members.first()?.accepted_at;
        let bytes = core::mem::take(&mut self.bytes);
        if let Some(record) = self.lone.take() {
            let member = members.into_iter().next()?;
            self.last = (1, 0);
            return Some(Entry::new(record, member.tag, accepted_at, self.sequence));
        }
        let data = self.builder.finish_unsealed();
        self.last = (members.len(), data.len());
        Some(Entry {
            data,
            partition_key: Bytes::from_static(OUTER_PARTITION_KEY),
            hash_key: self.hash_key,
            content: Content::Aggregate(Box::new(Members {
                members: members.into_boxed_slice(),
                bytes,
                sealed: false,
            })),
            accepted_at,
            sequence: self.sequence,
            attempts: 0,
            hash_key_is_explicit: true,
            possible_duplicate: false,
            misplacements: 0,
        })
    }
}

/// How much room an aggregate wants at its start when the last one came to `last`: as much and a bit, so that it
/// need not grow, which would copy what it has time and again and touch fresh memory each time.
fn first_room(last: usize) -> usize {
    last + last / 8
}

/// Says of each user record of a stored entry where it is.
#[inline]
pub(crate) fn tell<T>(
    entry: Entry<T>,
    shard_id: ShardId,
    sequence_number: SequenceNumber,
    mut tell_one: impl FnMut(T, Receipt),
) {
    let mut receipt = Receipt {
        shard_id,
        sequence_number,
        sub_sequence_number: None,
        attempts: entry.attempts,
        possible_duplicate: entry.possible_duplicate,
    };
    match entry.content {
        Content::Record(tag) => tell_one(tag, receipt),
        Content::Aggregate(all) => {
            for (index, member) in (0u32..).zip(all.members) {
                receipt.sub_sequence_number = Some(index);
                tell_one(member.tag, receipt.clone());
            }
        }
    }
}

/// Whether this payload is an aggregate already, which must not go into another.
pub(crate) fn is_aggregate(data: &[u8]) -> bool {
    starts_with_magic(data) && matches!(decode(data), Decoded::Aggregate(_))
}

/// Takes an entry apart into its user records, in order. Their data are slices of the entry's: nothing is copied.
pub(crate) fn dissolve<T>(entry: Entry<T>) -> Vec<(Record, Member<T>)> {
    let accepted_at = entry.accepted_at;
    let all = match entry.content {
        Content::Record(tag) => {
            let record = Record {
                data: entry.data,
                partition_key: entry.partition_key,
                hash_key: entry.hash_key,
                hash_key_origin: HashKeyOrigin::of(entry.hash_key_is_explicit),
            };
            return alloc::vec![(record, Member { tag, accepted_at })];
        }
        Content::Aggregate(all) => *all,
    };
    let Decoded::Aggregate(aggregate) = decode_without_checksum(&entry.data) else {
        unreachable!("OpenAggregate wrote this aggregate, and nothing changes it");
    };
    let records = aggregate.iter().map(|record| {
        let partition_key = entry.data.slice_ref(record.partition_key.as_bytes());
        let explicit = record.explicit_hash_key.and_then(|key| key.parse().ok());
        Record {
            data: entry.data.slice_ref(record.data),
            hash_key: explicit.unwrap_or_else(|| HashKey::of_bytes(&partition_key)),
            partition_key,
            hash_key_origin: HashKeyOrigin::of(explicit.is_some()),
        }
    });
    records.zip(all.members).collect()
}

/// The user records of an entry as entries of their own, each with the entry's attempts behind it.
pub(crate) fn take_apart<T>(entry: Entry<T>) -> Vec<Entry<T>> {
    let (sequence, attempts) = (entry.sequence, entry.attempts);
    let (possible_duplicate, misplacements) = (entry.possible_duplicate, entry.misplacements);
    let records = dissolve(entry).into_iter();
    let alone = records.map(|(record, member)| Entry {
        attempts,
        possible_duplicate,
        misplacements,
        ..Entry::new(record, member.tag, member.accepted_at, sequence)
    });
    alone.collect()
}

/// Whether every user record of the entry has a hash key that `belongs`.
pub(crate) fn all_belong<T>(entry: &Entry<T>, belongs: impl Fn(HashKey) -> bool) -> bool {
    if matches!(entry.content, Content::Record(_)) {
        return belongs(entry.hash_key);
    }
    let Decoded::Aggregate(aggregate) = decode_without_checksum(&entry.data) else { return false };
    aggregate.iter().all(|record| record.hash_key().is_ok_and(|key| belongs(HashKey::new(key))))
}

fn could_hold(builder: &AggregateBuilder, record: &Record) -> bool {
    let explicit = record.explicit_hash_key().map(HashKey::value);
    let key = key_text(&record.partition_key);
    builder.encoded_len_with(key, explicit, record.data.len(), &[]) <= builder.encoded_len_max()
}

fn encode(builder: &mut AggregateBuilder, record: &Record) -> Result<(), kinesis_aggregation::Full> {
    let explicit = record.explicit_hash_key().map(HashKey::value);
    builder.push(key_text(&record.partition_key), explicit, &record.data, &[])
}

/// An aggregate is routed by its explicit hash key; the key that the service asks for besides means nothing. The KPL
/// writes the same letter.
pub(crate) const OUTER_PARTITION_KEY: &[u8] = b"a";
/// What all lanes may make room for together, in bytes: a full aggregate each for forty shards. Every shard of a stream of
/// thousands would else hold the room of a full aggregate for its first two records once a burst is over.
const ROOM_BYTES: usize = 2 << 20;
/// What each lane may, however many there are; it spares the first and most frequent of the doublings.
const ROOM_BYTES_MIN: usize = 8_192;
/// What a member of an aggregate takes with its record, for the room of members: 24 B with a tag of eight, and a small
/// record.
const ROOM_BYTES_A_MEMBER: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn member(tag: u64) -> Member<u64> {
        Member { tag, accepted_at: Timestamp::from_millis(tag) }
    }

    fn record(key: &str, data: &'static str) -> Record {
        Record::new(key, data).expect("a valid record")
    }

    fn push(open: &mut OpenAggregate<u64>, record: Record, tag: u64) -> bool {
        open.push(record, member(tag), 100 + tag).is_ok()
    }

    #[test]
    fn a_lone_record_goes_out_as_it_came_in() {
        let mut open = OpenAggregate::new(1_000, 100, 1);
        assert!(push(&mut open, record("k", "data"), 1));
        let entry = open.close().expect("there is a record");
        assert_eq!((&entry.data[..], &entry.partition_key[..]), (&b"data"[..], &b"k"[..]));
        assert!(matches!(entry.content, Content::Record(1)) && !entry.hash_key_is_explicit);
        assert!(open.close().is_none());
    }

    #[test]
    fn an_aggregate_gives_back_what_went_in() {
        let mut open = OpenAggregate::new(1_000, 100, 1);
        let records =
            [record("é", "one"), record("k", "").with_explicit_hash_key(HashKey::MAX), record("é", "three")];
        for (tag, record) in records.iter().enumerate() {
            assert!(push(&mut open, record.clone(), tag as u64));
        }
        let mut entry = open.close().expect("there are records");
        kinesis_aggregation::seal(entry.take_unsealed());
        assert!(is_aggregate(&entry.data) && entry.take_unsealed().is_none());
        assert_eq!((entry.hash_key, entry.sequence), (records[0].hash_key(), 100));
        assert_eq!(entry.held().bytes, records.iter().map(|record| record.bytes() as u64).sum::<u64>());
        let (back, members): (Vec<_>, Vec<_>) = dissolve(entry).into_iter().unzip();
        assert_eq!(back, records);
        assert_eq!(members.iter().map(|member| member.tag).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn what_does_not_fit_is_given_back_and_the_aggregate_is_as_before() {
        let mut open = OpenAggregate::new(64, 100, 1);
        let large = Record::new("k", alloc::vec![0; 64]).expect("a valid record");
        assert!(!push(&mut open, large.clone(), 0), "not even alone");
        assert!(push(&mut open, record("k", "0123456789"), 1));
        assert!(!push(&mut open, large, 2));
        let entry = open.close().expect("there is a record");
        assert!(matches!(entry.content, Content::Record(1)), "still alone");

        let mut open = OpenAggregate::new(1_000, 2, 1);
        assert!(push(&mut open, record("k", "1"), 1) && push(&mut open, record("k", "2"), 2));
        assert!(!push(&mut open, record("k", "3"), 3), "the number of records is bounded too");
    }
}

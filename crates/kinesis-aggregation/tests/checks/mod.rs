//! What must hold for any bytes and any records. The fuzz targets, the replay of their corpus and the property
//! tests all run these.
#![allow(dead_code, unreachable_pub, missing_docs)]

use kinesis_aggregation::{
    Aggregate, AggregateBuilder, CHECKSUM_LEN, Decoded, MAGIC, Tag, UserRecord, decode,
    decode_without_checksum,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub partition_key: String,
    pub explicit_hash_key: Option<u128>,
    pub data: Vec<u8>,
    pub tags: Vec<(String, Option<String>)>,
}

impl Member {
    pub fn tags(&self) -> Vec<Tag<'_>> {
        self.tags.iter().map(|(key, value)| Tag { key, value: value.as_deref() }).collect()
    }

    fn is(&self, record: &UserRecord<'_>) -> bool {
        self.partition_key == record.partition_key
            && self.explicit_hash_key.map(|key| key.to_string()).as_deref() == record.explicit_hash_key
            && self.data == record.data
            && self.tags().into_iter().eq(record.tags)
    }
}

/// Decodes `data` as it is, and what an aggregate with it for a message would be.
pub fn decodes_or_says_why(data: &[u8]) {
    decoded(data, decode(data));
    decoded(data, decode_without_checksum(data));
    let wrapped = [&MAGIC, data, &[0; CHECKSUM_LEN]].concat();
    decoded(&wrapped, decode_without_checksum(&wrapped));
}

fn decoded(data: &[u8], decoded: Decoded<'_>) {
    match decoded {
        Decoded::Plain => {
            assert!(!data.starts_with(&MAGIC), "data with the magic is an aggregate or damaged");
        }
        Decoded::Damaged(_) => assert!(data.starts_with(&MAGIC), "data without the magic is plain"),
        Decoded::Aggregate(aggregate) => {
            assert!(data.starts_with(&MAGIC), "an aggregate begins with the magic");
            read_through(data, &aggregate);
            write_again(&aggregate);
        }
    }
}

fn read_through(data: &[u8], aggregate: &Aggregate<'_>) {
    let mut records = aggregate.iter();
    for read in 0..aggregate.len() {
        assert_eq!(records.len(), aggregate.len() - read, "the length shrinks by one a record");
        let record = records.next().expect("there are as many records as the aggregate says");
        assert!(
            data.as_ptr_range().start <= record.data.as_ptr_range().start,
            "a payload lies inside the data"
        );
        assert!(record.data.as_ptr_range().end <= data.as_ptr_range().end, "a payload lies inside the data");
        let tags = record.tags.map(|tag| 2 + tag.key.len()).sum::<usize>();
        assert!(tags <= data.len(), "the tags lie inside the data");
        _ = record.hash_key();
    }
    assert!(records.next().is_none(), "there are no more records than the aggregate says");
    assert_eq!(aggregate.is_kept_by_kcl(&(0..=u128::MAX)), aggregate.iter().all(|r| r.hash_key().is_ok()));
}

/// Other writers may write what ours does not, but ours can write all that matters of it.
fn write_again(aggregate: &Aggregate<'_>) {
    let mut builder = AggregateBuilder::new(usize::MAX);
    for record in aggregate {
        // A hostile table lets each of many records name one long key.
        if builder.push_user_record(&record).is_err() {
            return;
        }
    }
    let bytes = builder.finish();
    match decode(&bytes) {
        Decoded::Aggregate(again) => assert!(again.iter().eq(aggregate.iter()), "the records are the same"),
        _ => assert!(aggregate.is_empty(), "what was written is an aggregate"),
    }
}

/// Builds aggregates of at most `encoded_len_max` bytes from `members` and reads them back.
pub fn round_trips(encoded_len_max: usize, members: &[Member]) {
    let mut builder = AggregateBuilder::new(encoded_len_max);
    let mut model = Model::default();
    for member in members {
        if !push(&mut builder, &mut model, member) {
            finish(&mut builder, &mut model);
            // It may be too large even alone.
            push(&mut builder, &mut model, member);
        }
    }
    finish(&mut builder, &mut model);
}

fn push<'m>(builder: &mut AggregateBuilder, model: &mut Model<'m>, member: &'m Member) -> bool {
    let before = builder.encoded_len();
    let tags = member.tags();
    let (key, explicit, data) = (&member.partition_key, member.explicit_hash_key, &member.data);
    let expected = builder.encoded_len_with(key, explicit, data.len(), &tags);
    assert_eq!(expected, model.encoded_len_with(member), "the length foretold is what the format says");
    let result = builder.push(key, explicit, data, &tags);
    match result {
        Ok(()) => {
            assert!(expected <= builder.encoded_len_max(), "the limit is kept");
            assert_eq!(builder.encoded_len(), expected, "the length is the one foretold");
            model.push(member);
        }
        Err(full) => {
            assert_eq!(full.encoded_len, expected, "a refusal says how long it would have been");
            assert!(expected > builder.encoded_len_max(), "nothing that fits is refused");
            assert_eq!(builder.encoded_len(), before, "a refusal changes nothing");
        }
    }
    assert_eq!(builder.len(), model.members.len());
    result.is_ok()
}

fn finish(builder: &mut AggregateBuilder, model: &mut Model<'_>) {
    let members = std::mem::take(model).members;
    assert_same(&members, &builder.as_aggregate());
    let encoded_len = builder.encoded_len();
    let bytes = builder.finish();
    assert_eq!(bytes.len(), encoded_len, "the length is exact");
    assert!(builder.is_empty() && builder.encoded_len() == 0, "a finished builder is empty");
    match decode(&bytes) {
        Decoded::Aggregate(aggregate) => assert_same(&members, &aggregate),
        _ => assert!(members.is_empty() && bytes.is_empty(), "what was written is an aggregate"),
    }
}

fn assert_same(members: &[&Member], aggregate: &Aggregate<'_>) {
    assert_eq!(aggregate.len(), members.len());
    for (member, record) in members.iter().zip(aggregate) {
        assert!(member.is(&record), "{member:?} came back as {record:?}");
    }
}

/// The format's arithmetic again, as plainly as possible.
#[derive(Default)]
struct Model<'m> {
    members: Vec<&'m Member>,
    /// Distinct, in the order of their first use.
    partition_keys: Vec<&'m str>,
    explicit_hash_keys: Vec<u128>,
    fields_len: usize,
}

impl<'m> Model<'m> {
    fn encoded_len_with(&self, member: &Member) -> usize {
        MAGIC.len() + self.fields_len + self.fields_len_of(member) + CHECKSUM_LEN
    }

    fn push(&mut self, member: &'m Member) {
        self.fields_len += self.fields_len_of(member);
        self.members.push(member);
        if !self.partition_keys.contains(&&*member.partition_key) {
            self.partition_keys.push(&member.partition_key);
        }
        if let Some(explicit) = member.explicit_hash_key
            && !self.explicit_hash_keys.contains(&explicit)
        {
            self.explicit_hash_keys.push(explicit);
        }
    }

    fn fields_len_of(&self, member: &Member) -> usize {
        let field = |content: usize| 1 + varint_len(content) + content;
        let index = |found: Option<usize>, table: usize| 1 + varint_len(found.unwrap_or(table));
        let mut fields = 0;
        let found = self.partition_keys.iter().position(|key| *key == member.partition_key);
        let mut record = index(found, self.partition_keys.len()) + field(member.data.len());
        if found.is_none() {
            fields += field(member.partition_key.len());
        }
        if let Some(explicit) = member.explicit_hash_key {
            let found = self.explicit_hash_keys.iter().position(|key| *key == explicit);
            record += index(found, self.explicit_hash_keys.len());
            if found.is_none() {
                fields += field(explicit.to_string().len());
            }
        }
        for (key, value) in &member.tags {
            record += field(field(key.len()) + value.as_ref().map_or(0, |value| field(value.len())));
        }
        fields + field(record)
    }
}

fn varint_len(value: usize) -> usize {
    1 + (1..10).filter(|groups| value >> (7 * groups) > 0).count()
}

/// Reads a limit and members from arbitrary bytes: a fuzzer's way of saying what to build.
pub fn round_trips_as_told(mut told: &[u8]) {
    let mut next = |len: usize| {
        let (taken, rest) = told.split_at_checked(len).unwrap_or((told, &[]));
        told = rest;
        taken
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |number, &byte| number << 8 | usize::from(byte));
    let encoded_len_max = number(next(2)) * 16;
    let mut members: Vec<Member> = Vec::new();
    while members.len() < 100 {
        let &[kind] = next(1) else { break };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let member = match kind % 8 {
            0 if !members.is_empty() => members[number(next(1)) % members.len()].clone(),
            1 => Member { data: vec![kind; number(next(2)) >> (2 + kind / 16 % 8)], ..EMPTY },
            2 => Member { explicit_hash_key: next(16).try_into().ok().map(u128::from_be_bytes), ..EMPTY },
            3 => {
                let (key, value) = (text(next(3)), (kind >= 64).then(|| text(next(5))));
                Member { tags: vec![(key, value); usize::from(kind) % 3], ..EMPTY }
            }
            _ => {
                let lens = number(next(1));
                Member { partition_key: text(next(lens / 8)), data: next(lens % 8 * 8).to_vec(), ..EMPTY }
            }
        };
        members.push(member);
    }
    round_trips(encoded_len_max, &members);
}

const EMPTY: Member =
    Member { partition_key: String::new(), explicit_hash_key: None, data: Vec::new(), tags: Vec::new() };

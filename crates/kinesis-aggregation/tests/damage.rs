//! One message for each way of being wrong, and for each oddity that is right.

use kinesis_aggregation::{CHECKSUM_LEN, Damage, Decoded, MAGIC, decode, decode_without_checksum};
use md5::{Digest, Md5};

const KEY: &[u8] = b"\x0a\x01k";
const RECORD: &[u8] = b"\x1a\x05\x08\x00\x1a\x01d";

#[test]
fn data_without_the_magic_is_plain() {
    for data in
        [&b""[..], b"\xf3", b"\xf3\x89\x9a", b"{\"a\":1}", b"\xf3\x89\x9a\xc3aaaaaaaaaaaaaaaaaaaaaaaaa"]
    {
        assert!(matches!(decode(data), Decoded::Plain), "{data:?} is not plain");
    }
}

// S-30
#[test]
fn a_payload_that_only_begins_with_the_magic_is_damaged() {
    assert_eq!(damage_of(&MAGIC), Some(Damage::TooShort));
    assert_eq!(damage_of(&[&MAGIC[..], &[0; CHECKSUM_LEN]].concat()), Some(Damage::TooShort));
    assert_eq!(damage_of(&[&MAGIC[..], b"a payload of somebody else's"].concat()), Some(Damage::Checksum));
}

#[test]
fn a_flipped_bit_anywhere_makes_it_damaged_or_plain() {
    let sound = envelope(&[KEY, RECORD]);
    assert_eq!(damage_of(&sound), None);
    for bit in 0..sound.len() * 8 {
        let mut data = sound.clone();
        data[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 32 { "Plain" } else { "Damaged(Checksum)" };
        assert_eq!(format!("{:?}", decode(&data)), expected, "after flipping bit {bit}");
    }
}

#[test]
fn without_the_checksum_only_the_message_counts() {
    let mut data = envelope(&[KEY, RECORD]);
    *data.last_mut().expect("it is not empty") ^= 1;
    assert_eq!(damage_of(&data), Some(Damage::Checksum));
    assert_eq!(decode_without_checksum(&data).aggregate().map(|aggregate| aggregate.len()), Some(1));
}

#[test]
fn every_kind_of_damage_is_told_apart() {
    let cases: &[(&str, &[u8], Damage)] = &[
        ("a key that goes on beyond the end", b"\x0a\x05k", Damage::Truncated),
        ("a length of 2^64 - 1", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Damage::Truncated),
        ("a length of 2^63", b"\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", Damage::Truncated),
        ("a tag without a value", b"\x0a", Damage::Truncated),
        ("a payload longer than its record", b"\x1a\x05\x08\x00\x1a\x02d", Damage::Truncated),
        ("a fixed64 cut short", b"\x39\x00\x00\x00", Damage::Truncated),
        ("a fixed32 cut short", b"\x3d\x00\x00", Damage::Truncated),
        (
            "a varint of eleven bytes",
            b"\x38\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
            Damage::VarintTooLong,
        ),
        ("field 0", b"\x02\x00", Damage::FieldNumber),
        ("field 2^29", b"\x82\x80\x80\x80\x10\x00", Damage::FieldNumber),
        ("a table entry that is a varint", b"\x08\x01", Damage::WireType),
        ("a record that is a group", b"\x1b\x1c", Damage::WireType),
        ("an unknown group", b"\x3b\x3c", Damage::WireType),
        ("a wire type that does not exist", b"\x3e\x00", Damage::WireType),
        ("an index that is bytes", b"\x1a\x06\x0a\x01\x00\x1a\x01d", Damage::WireType),
        ("data that is a varint", b"\x1a\x04\x08\x00\x18\x01", Damage::WireType),
        ("a record without data", b"\x1a\x02\x08\x00", Damage::FieldMissing),
        ("a record without a key", b"\x1a\x03\x1a\x01d", Damage::FieldMissing),
        ("an empty record", b"\x1a\x00", Damage::FieldMissing),
        ("a tag without a key", b"\x1a\x07\x08\x00\x1a\x01d\x22\x00", Damage::FieldMissing),
        ("a key that is not UTF-8", b"\x0a\x01\xff", Damage::NotUtf8),
        ("an explicit hash key that is not UTF-8", b"\x12\x02\xc3\x28", Damage::NotUtf8),
        ("a tag that is not UTF-8", b"\x1a\x0a\x08\x00\x1a\x01d\x22\x03\x0a\x01\xff", Damage::NotUtf8),
        ("a key beyond the table", b"\x1a\x05\x08\x01\x1a\x01d", Damage::KeyIndex),
        (
            "a key index of 2^64 - 1",
            b"\x1a\x0e\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x01d",
            Damage::KeyIndex,
        ),
        ("an explicit hash key beyond the table", b"\x1a\x07\x08\x00\x10\x00\x1a\x01d", Damage::KeyIndex),
    ];
    for (what, message, damage) in cases {
        assert_eq!(damage_of(&envelope(&[KEY, message])), Some(*damage), "{what}");
        assert_eq!(
            damage_of(&envelope(&[KEY, RECORD, message])),
            Some(*damage),
            "{what}, after a sound record"
        );
    }
}

#[test]
fn what_other_writers_may_do_is_read() {
    let cases: &[(&str, &[&[u8]])] = &[
        ("the table after the record", &[RECORD, KEY]),
        ("unknown fields of every kind", &[KEY, b"\x38\x01\x39aaaabbbb\x3a\x02xx\x3daaaa", RECORD]),
        ("an unknown field in the record", &[KEY, b"\x1a\x07\x08\x00\x28\x09\x1a\x01d"]),
        ("data before the key", &[KEY, b"\x1a\x05\x1a\x01d\x08\x00"]),
        ("the last of two payloads counts", &[KEY, b"\x1a\x09\x08\x00\x1a\x02no\x1a\x01d"]),
        ("needless varint groups", &[b"\x8a\x80\x00\x81\x00k", b"\x1a\x86\x00\x08\x80\x00\x1a\x01d"]),
        ("a key that nobody uses", &[KEY, b"\x0a\x05other", RECORD]),
    ];
    for (what, message) in cases {
        let data = envelope(message);
        let aggregate = decode(&data).aggregate().unwrap_or_else(|| panic!("{what} is not read"));
        let records: Vec<_> = aggregate.iter().map(|record| (record.partition_key, record.data)).collect();
        assert_eq!(records, [("k", &b"d"[..])], "{what}");
    }
}

#[test]
fn an_aggregate_without_records_yields_none() {
    let data = envelope(&[KEY]);
    let aggregate = decode(&data).aggregate().expect("a table alone is a message");
    assert!(aggregate.is_empty() && aggregate.iter().next().is_none());
}

#[test]
fn tags_are_read_in_order_wherever_they_stand() {
    let record =
        b"\x1a\x19\x22\x03\x0a\x01a\x08\x00\x22\x05\x0a\x01b\x12\x00\x1a\x01d\x22\x06\x12\x01v\x0a\x01c";
    let data = envelope(&[KEY, record]);
    let aggregate = decode(&data).aggregate().expect("it is well formed");
    let record = aggregate.iter().next().expect("there is a record");
    let tags: Vec<_> = record.tags.map(|tag| (tag.key, tag.value)).collect();
    assert_eq!(tags, [("a", None), ("b", Some("")), ("c", Some("v"))]);
}

#[test]
fn nothing_that_is_printed_holds_a_payload() {
    let mut builder = kinesis_aggregation::AggregateBuilder::new(1000);
    let tags = [kinesis_aggregation::Tag { key: "name", value: Some("secret") }];
    builder.push("key", None, b"secret", &tags).expect("it fits");
    let mut printed = format!("{builder:?}");
    let data = builder.finish();
    let aggregate = decode(&data).aggregate().expect("it was just built");
    printed += &format!("{aggregate:?} {:?} {:?}", aggregate.iter(), aggregate.iter().next());
    let payload = format!("{:?}", b"secret");
    assert!(!printed.contains("secret") && !printed.contains(&payload), "{printed}");
}

fn damage_of(data: &[u8]) -> Option<Damage> {
    match decode(data) {
        Decoded::Damaged(damage) => Some(damage),
        Decoded::Aggregate(_) | Decoded::Plain => None,
    }
}

fn envelope(message: &[&[u8]]) -> Vec<u8> {
    let message = message.concat();
    [&MAGIC, &message[..], &Md5::digest(&message)].concat()
}

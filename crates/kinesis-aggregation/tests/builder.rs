//! What the builder promises about its memory and its limit.

use bytes::BytesMut;
use kinesis_aggregation::{AggregateBuilder, ENCODED_LEN_MAX, decode};

#[test]
fn the_finished_bytes_are_the_buffer_itself() {
    let mut builder = AggregateBuilder::new(1 << 20);
    builder.reserve(1 << 20);
    for n in 0..9_000 {
        builder.push(&format!("key-{}", n % 10), None, &[0; 100], &[]).expect("it fits");
    }
    let address = |aggregate: &kinesis_aggregation::Aggregate<'_>| {
        aggregate.iter().next().map(|record| record.data.as_ptr()).expect("there is a record")
    };
    let before = address(&builder.as_aggregate());
    let bytes = builder.finish();
    let after = address(&decode(&bytes).aggregate().expect("it was just built"));
    assert_eq!(before, after, "finishing moved the payloads");
}

#[test]
fn no_more_than_an_eighth_of_finished_bytes_is_spare_capacity() {
    let mut builder = AggregateBuilder::new(1 << 20);
    for records in (1..400).step_by(7) {
        builder.reserve(records * 200);
        for _ in 0..records {
            builder.push("key", None, &[0; 100], &[]).expect("it fits");
        }
        let encoded_len = builder.encoded_len();
        let bytes =
            BytesMut::from(if records % 2 == 0 { builder.finish() } else { builder.finish_unsealed() });
        assert_eq!(bytes.len(), encoded_len);
        let spare = bytes.capacity() - bytes.len();
        assert!(spare <= bytes.capacity() / 8, "{spare} bytes are spare in {encoded_len}");
    }
    builder.reserve(1_000);
    let allocated = builder.allocated_bytes();
    assert!(builder.finish().is_empty(), "there are no records");
    assert_eq!(builder.allocated_bytes(), allocated, "finishing nothing gave away what was reserved");
}

#[test]
fn a_reserved_builder_allocates_for_keys_alone() {
    let mut builder = AggregateBuilder::new(1 << 20);
    assert_eq!(builder.allocated_bytes(), 0, "an empty builder holds no memory");
    builder.reserve(1 << 20);
    let reserved = builder.allocated_bytes();
    assert_eq!(reserved, 1 << 20, "no more is reserved than was asked for");
    let mut keys = 0;
    while builder.push(&format!("key-{keys}"), None, &[0; 100], &[]).is_ok() {
        keys += 1;
    }
    let a_key = (builder.allocated_bytes() - reserved) as f64 / f64::from(keys);
    assert!(a_key <= 25.0, "a key takes {a_key} bytes");
    let room = (1 << 20) - builder.encoded_len_with("key-1", None, 0, &[]);
    builder.push("key-1", None, &vec![0; room], &[]).expect("there is room for just that");
    let tables = builder.allocated_bytes() - reserved;
    assert_eq!(builder.finish().len(), 1 << 20);
    assert_eq!(
        builder.allocated_bytes(),
        tables,
        "filling it to the last byte needed more than was reserved"
    );
}

#[test]
fn clearing_keeps_the_memory_and_finishing_keeps_that_of_the_tables() {
    let mut builder = AggregateBuilder::new(1 << 20);
    let fill = |builder: &mut AggregateBuilder| {
        for n in 0..100_u128 {
            builder.push(&format!("key-{n}"), Some(n), &[0; 100], &[]).expect("it fits");
        }
    };
    fill(&mut builder);
    let (allocated, encoded_len) = (builder.allocated_bytes(), builder.encoded_len());
    builder.clear();
    assert_eq!((builder.len(), builder.encoded_len()), (0, 0));
    assert_eq!(builder.allocated_bytes(), allocated);
    fill(&mut builder);
    assert_eq!(builder.allocated_bytes(), allocated, "the second filling needs no more memory");
    assert_eq!(builder.finish().len(), encoded_len);
    let tables = builder.allocated_bytes();
    assert!(0 < tables && tables < allocated - encoded_len + 1, "the tables stay and the buffer goes");
}

#[test]
fn a_record_exactly_at_the_limit_fits_and_one_byte_more_does_not() {
    let encoded_len = AggregateBuilder::new(usize::MAX).encoded_len_with("k", Some(7), 1_000, &[]);
    let mut builder = AggregateBuilder::new(encoded_len);
    let full = builder.push("k", Some(7), &[0; 1_001], &[]).expect_err("it is one byte too long");
    assert_eq!((full.encoded_len, full.encoded_len_max), (encoded_len + 1, encoded_len));
    assert!(builder.is_empty(), "a refused record left something behind");
    builder.push("k", Some(7), &[0; 1_000], &[]).expect("it fits exactly");
    assert_eq!(builder.finish().len(), encoded_len);
}

#[test]
fn no_aggregate_is_longer_than_any_record_may_be() {
    let mut builder = AggregateBuilder::new(usize::MAX);
    assert_eq!(builder.encoded_len_max(), ENCODED_LEN_MAX);
    assert!(builder.encoded_len_with("k", None, usize::MAX, &[]) > ENCODED_LEN_MAX);
    let megabyte = vec![0; 1 << 20];
    let held = (0..20).take_while(|_| builder.push("k", None, &megabyte, &[]).is_ok()).count();
    assert_eq!(held, 9, "ten do not fit with their envelope");
    let bytes = builder.finish();
    assert_eq!(decode(&bytes).aggregate().map(|aggregate| aggregate.len()), Some(9));
}

#[test]
fn keys_beyond_all_limits_are_written_too() {
    let mut builder = AggregateBuilder::new(usize::MAX);
    let long = "k".repeat(70_000);
    for _ in 0..3 {
        let expected = builder.encoded_len_with(&long, None, 1, &[]);
        builder.push(&long, None, b"d", &[]).expect("it fits");
        assert_eq!(builder.encoded_len(), expected);
    }
    let bytes = builder.finish();
    let aggregate = decode(&bytes).aggregate().expect("it was just built");
    assert!(aggregate.iter().all(|record| record.partition_key == long));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let build = || {
        let mut builder = AggregateBuilder::new(1 << 20);
        for n in 0..5_000_u32 {
            let key = format!("{}", n.wrapping_mul(2_654_435_761) % 700);
            builder
                .push(&key, n.is_multiple_of(3).then_some(n.into()), &n.to_be_bytes(), &[])
                .expect("it fits");
        }
        builder.finish()
    };
    assert_eq!(build(), build());
}

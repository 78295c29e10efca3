//! What `seal` promises about aggregates that were taken without their checksum.

use bytes::Bytes;
use kinesis_aggregation::{
    AggregateBuilder, CHECKSUM_LEN, Damage, Decoded, MAGIC, decode, decode_without_checksum, seal,
};

/// Aggregates of 0 records, 1 record, 8, 27 and so on.
fn build(count: usize, finish: impl Fn(&mut AggregateBuilder) -> Bytes) -> Vec<Bytes> {
    let mut builder = AggregateBuilder::new(1 << 20);
    let mut aggregate = |n: usize| {
        for record in 0..n.pow(3) {
            builder.push(&format!("key-{record}"), None, &[n as u8; 90], &[]).expect("it fits");
        }
        finish(&mut builder)
    };
    (0..count).map(&mut aggregate).collect()
}

#[test]
fn sealed_aggregates_are_those_that_finish_would_have_built() {
    for count in 0..=17 {
        let mut aggregates = build(count, AggregateBuilder::finish_unsealed);
        seal(&mut aggregates);
        assert_eq!(aggregates, build(count, AggregateBuilder::finish), "{count} aggregates");
    }
}

#[test]
fn an_unsealed_aggregate_has_its_final_length_and_can_be_read() {
    let unsealed = build(12, AggregateBuilder::finish_unsealed);
    for (n, (unsealed, sealed)) in
        unsealed.iter().zip(build(12, AggregateBuilder::finish)).enumerate().skip(1)
    {
        assert_eq!(unsealed.len(), sealed.len());
        let aggregate =
            decode_without_checksum(unsealed).aggregate().expect("it is an aggregate but for its checksum");
        assert_eq!(aggregate.len(), n.pow(3));
        assert!(matches!(decode(unsealed), Decoded::Damaged(Damage::Checksum)), "it has no checksum yet");
        assert_eq!(unsealed[unsealed.len() - CHECKSUM_LEN..], [0; CHECKSUM_LEN]);
    }
}

#[test]
fn sealing_changes_bytes_where_they_lie_unless_they_are_shared() {
    let mut aggregates = build(12, AggregateBuilder::finish_unsealed).split_off(1);
    let addresses: Vec<_> = aggregates.iter().map(|aggregate| aggregate.as_ptr()).collect();
    let shared = aggregates[3].clone();
    seal(&mut aggregates);
    for (n, (aggregate, address)) in aggregates.iter().zip(addresses).enumerate() {
        assert_eq!(aggregate.as_ptr() == address, n != 3, "aggregate {n} was copied, or changed for others");
    }
    assert!(
        matches!(decode(&shared), Decoded::Damaged(Damage::Checksum)),
        "the other owner sees what it saw"
    );
}

#[test]
fn sealing_again_changes_and_copies_nothing() {
    let mut aggregates = build(6, AggregateBuilder::finish);
    let shared = aggregates.clone();
    seal(&mut aggregates);
    for (aggregate, shared) in aggregates.iter().zip(&shared).skip(1) {
        assert_eq!((aggregate, aggregate.as_ptr()), (shared, shared.as_ptr()));
    }
}

#[test]
fn what_cannot_be_an_aggregate_is_left_as_it_is() {
    let others = [Bytes::new(), Bytes::from_static(&MAGIC), Bytes::from_static(&[7; 100])];
    let mut sealed = others.clone();
    seal(&mut sealed);
    assert_eq!(sealed, others);
}

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kinesis_batcher_core::{HashKey, SequenceNumber, ShardId, Timestamp};
use proptest::prelude::*;

use super::*;

fn kinesis(shards: u32) -> Kinesis {
    let options = ServiceOptions { shards, ..ServiceOptions::default() };
    Kinesis::new(options, 7, Timestamp::ZERO)
}

fn id(number: u32) -> ShardId {
    ShardId::new(&format!("shardId-{number:012}"))
}

fn entry<'a>(data: &'a [u8], key: &'a str) -> PutEntry<'a> {
    PutEntry { data, partition_key: Some(key), explicit_hash_key: None }
}

fn at_key(key: u128) -> PutEntry<'static> {
    PutEntry { data: b"x", partition_key: Some("k"), explicit_hash_key: Some(HashKey::new(key)) }
}

fn shard_of(kinesis: &mut Kinesis, now: Timestamp, entry: PutEntry<'_>) -> ShardId {
    match kinesis.put_records(now, &[entry]).unwrap().remove(0) {
        EntryReply::Stored { shard_id, .. } => shard_id,
        EntryReply::Failed(code) => panic!("the entry failed with {code}"),
    }
}

fn assert_tiles(kinesis: &Kinesis) {
    let mut next = Some(0u128);
    for shard in kinesis.open_shards() {
        assert!(shard.is_open && shard.first <= shard.last);
        assert_eq!(Some(shard.first.value()), next, "a gap or an overlap before {}", shard.id);
        next = shard.last.value().checked_add(1);
    }
    assert_eq!(next, None, "the last open shard ends with the key space");
}

#[test]
fn the_shards_of_a_new_stream_are_of_equal_size() {
    for shards in [1, 2, 3, 4, 7, 1_000] {
        let kinesis = kinesis(shards);
        assert_tiles(&kinesis);
        let sizes: Vec<u128> =
            kinesis.open_shards().map(|shard| shard.last.value() - shard.first.value()).collect();
        assert!(sizes.iter().all(|size| size.abs_diff(sizes[0]) < u128::from(shards)), "{shards} shards");
    }
    let first = kinesis(4).open_shards().next().unwrap().last;
    assert_eq!(first.value(), (1 << 126) - 1, "as the service does it");
}

#[test]
fn a_record_lands_where_the_map_says() {
    let mut kinesis = kinesis(16);
    let map = kinesis.shard_map();
    for number in 0..1_000 {
        let key = format!("key-{number}");
        let owner = &map.shards()[map.index_of(HashKey::of_partition_key(&key))];
        assert_eq!(shard_of(&mut kinesis, Timestamp::ZERO, entry(b"x", &key)), owner.id);
    }
    assert_eq!(shard_of(&mut kinesis, Timestamp::ZERO, at_key(u128::MAX)), id(15), "an explicit key decides");
}

#[test]
fn a_record_lands_in_the_child_as_soon_as_its_shard_was_split() {
    let mut kinesis = kinesis(4);
    let key = (1 << 126) + 7;
    assert_eq!(shard_of(&mut kinesis, Timestamp::ZERO, at_key(key)), id(1));
    kinesis.split(Timestamp::ZERO, &id(1)).unwrap();
    assert_eq!(shard_of(&mut kinesis, Timestamp::ZERO, at_key(key)), id(4));
    assert_eq!(kinesis.parents(&id(4)).collect::<Vec<_>>(), [&id(1)]);
    assert!(!kinesis.shard(&id(1)).unwrap().is_open);
    kinesis.merge(Timestamp::ZERO, &id(0), &id(4)).unwrap();
    assert_eq!(shard_of(&mut kinesis, Timestamp::ZERO, at_key(key)), id(6));
    assert_eq!(kinesis.parents(&id(6)).collect::<Vec<_>>(), [&id(0), &id(4)]);
    assert_tiles(&kinesis);
}

#[test]
fn sequence_numbers_rise_in_each_shard_and_from_parent_to_child() {
    let mut kinesis = kinesis(2);
    let mut last: Option<SequenceNumber> = None;
    for round in 0..3u64 {
        for _ in 0..20 {
            let now = Timestamp::from_millis(round);
            let EntryReply::Stored { sequence_number, .. } =
                kinesis.put_records(now, &[at_key(5)]).unwrap().remove(0)
            else {
                panic!("the limits let sixty records through");
            };
            assert!(last.as_ref().is_none_or(|last| *last < sequence_number));
            last = Some(sequence_number);
        }
        let first = kinesis.open_shards().next().unwrap().id.clone();
        kinesis.split(Timestamp::from_millis(round), &first).unwrap();
    }
}

#[test]
fn what_exceeds_a_shards_limit_fails_entry_by_entry_and_its_neighbour_is_spared() {
    let mut kinesis = kinesis(2);
    let calls: Vec<_> = (0..500).map(|n| if n % 5 == 4 { at_key(u128::MAX) } else { at_key(0) }).collect();
    let mut throttled = 0;
    for _ in 0..3 {
        let replies = kinesis.put_records(Timestamp::ZERO, &calls).unwrap();
        throttled +=
            replies.iter().filter(|reply| **reply == EntryReply::Failed(THROUGHPUT_EXCEEDED)).count();
    }
    assert_eq!(throttled, 200, "1,200 records went to the first shard, and it takes 1,000 at once");
    let shards: Vec<_> = kinesis.open_shards().collect();
    assert_eq!((shards[0].records_accepted, shards[0].records_throttled), (1_000, 200));
    assert_eq!((shards[1].records_accepted, shards[1].records_throttled), (300, 0));
    assert_eq!(shards[1].bytes_accepted, 600, "data and key count");
}

#[test]
fn one_bad_entry_refuses_the_whole_call_and_nothing_is_stored() {
    let mut kinesis = kinesis(1);
    kinesis.set_poison(*b"bad!");
    let good = entry(b"x", "k");
    let long_key = "é".repeat(257);
    let large = vec![0; (1 << 20) + 1];
    let huge = vec![0; 1 << 20];
    let cases: Vec<(Vec<PutEntry<'_>>, Malformed)> = vec![
        (vec![], Malformed::Entries),
        (vec![good; 501], Malformed::Entries),
        (vec![good, entry(b"x", "")], Malformed::PartitionKeyChars(1)),
        (vec![good, entry(b"x", &long_key)], Malformed::PartitionKeyChars(1)),
        (vec![good, PutEntry { partition_key: None, ..good }], Malformed::PartitionKeyMissing(1)),
        (vec![entry(&large, "k"), good], Malformed::RecordBytes(0)),
        (vec![entry(&huge[1..], "k"); 11], Malformed::RequestBytes),
        (vec![good, good, entry(b"__bad!__", "k")], Malformed::Poison(2)),
    ];
    for (entries, malformed) in cases {
        assert_eq!(kinesis.put_records(Timestamp::ZERO, &entries), Err(Refusal::Validation(malformed)));
    }
    assert_eq!(kinesis.open_shards().next().unwrap().records_accepted, 0);
    let longest_key = "é".repeat(256);
    assert!(kinesis.put_records(Timestamp::ZERO, &[entry(b"x", &longest_key)]).is_ok(), "characters count");
    assert!(kinesis.put_records(Timestamp::ZERO, &[entry(&huge[1..], "k"); 10]).is_ok(), "exactly 10 MiB");
    kinesis.set_poison([]);
    assert!(kinesis.put_records(Timestamp::ZERO, &[entry(b"bad!", "k")]).is_ok(), "it is healed");
}

#[test]
fn a_stream_for_large_records_takes_them() {
    let options = ServiceOptions { record_bytes_max: 10 << 20, ..ServiceOptions::default() };
    let mut kinesis = Kinesis::new(options, 0, Timestamp::ZERO);
    let large = vec![0; (10 << 20) - 1];
    assert!(matches!(
        kinesis.put_records(Timestamp::ZERO, &[entry(&large, "k")]).unwrap()[..],
        [EntryReply::Stored { .. }]
    ));
    assert_eq!(kinesis.shard_map().record_bytes_max(), 10 << 20);
}

// S-24
#[test]
fn a_stream_that_distributes_by_itself_ignores_keys_and_uses_every_shard() {
    let options = ServiceOptions { distribution: Distribution::Auto, shards: 3, ..ServiceOptions::default() };
    let mut kinesis = Kinesis::new(options, 0, Timestamp::ZERO);
    assert!(kinesis.shard_map().is_auto());
    let keyless = PutEntry { partition_key: None, ..at_key(0) };
    kinesis.put_records(Timestamp::ZERO, &[keyless; 300]).unwrap();
    assert!(kinesis.open_shards().all(|shard| shard.records_accepted == 100), "each in its turn");
}

#[test]
fn a_producer_that_may_not_list_learns_the_count_alone() {
    let options = ServiceOptions { permits: Permits::SummaryOnly, ..ServiceOptions::default() };
    let map = Kinesis::new(options, 0, Timestamp::ZERO).shard_map();
    assert_eq!((map.open_shards(), map.shards().len(), map.is_auto()), (4, 0, false));
}

#[test]
fn the_shard_count_goes_step_by_step_to_its_target() {
    let options =
        ServiceOptions { shards: 3, reshard_step: Duration::from_secs(1), ..ServiceOptions::default() };
    let mut kinesis = Kinesis::new(options, 0, Timestamp::ZERO);
    kinesis.set_shard_count(Timestamp::ZERO, 6).unwrap();
    let mut steps = 0;
    while let Some(at) = kinesis.poll_timeout() {
        steps += 1;
        assert!(steps < 100, "a reshard of three steps ends");
        kinesis.handle_timeout(at);
        assert_tiles(&kinesis);
    }
    let sizes: Vec<_> =
        kinesis.open_shards().map(|shard| (shard.last.value() - shard.first.value()) >> 100).collect();
    assert_eq!(sizes.len(), 6);
    assert!(sizes.iter().all(|&size| size == sizes[0]), "each of equal shards was split: {sizes:?}");
    kinesis.set_shard_count(Timestamp::from_millis(60_000), 1).unwrap();
    kinesis.handle_timeout(Timestamp::from_millis(120_000));
    assert_eq!(kinesis.open_shards().count(), 1);
    assert_eq!(kinesis.set_shard_count(Timestamp::ZERO, 0), Err(ReshardError::None));
    assert_eq!(kinesis.set_shard_count(Timestamp::ZERO, 10_241), Err(ReshardError::TooMany));
}

// S-12
#[test]
fn a_hot_shard_of_an_on_demand_stream_splits_after_a_while_and_others_do_not() {
    let options = ServiceOptions { shards: 2, mode: StreamMode::OnDemand, ..ServiceOptions::default() };
    let mut kinesis = Kinesis::new(options, 0, Timestamp::ZERO);
    let hot = vec![at_key(9); 90];
    let mut split_at = None;
    for tenth in 0..400u64 {
        let now = Timestamp::from_millis(tenth * 100);
        kinesis.put_records(now, &hot).unwrap();
        kinesis.put_records(now, &[at_key(u128::MAX)]).unwrap();
        if kinesis.open_shards().count() > 2 && split_at.is_none() {
            split_at = Some(tenth / 10);
        }
    }
    assert_eq!(split_at, Some(20), "hot for five seconds, then fifteen of delay");
    assert!(kinesis.shard(&id(1)).unwrap().is_open, "the idle shard stays");
    assert!(kinesis.map_version() > 2, "a reader can see that the shards are others");
}

#[test]
fn what_cannot_be_resharded_is_refused_and_changes_nothing() {
    let mut kinesis = kinesis(4);
    let now = Timestamp::ZERO;
    assert_eq!(kinesis.merge(now, &id(0), &id(2)), Err(ReshardError::NotNeighbours));
    assert_eq!(kinesis.merge(now, &id(1), &id(0)), Err(ReshardError::NotNeighbours));
    assert_eq!(kinesis.split_at(now, &id(0), HashKey::MIN), Err(ReshardError::OutOfRange));
    assert_eq!(kinesis.split_at(now, &id(0), HashKey::MAX), Err(ReshardError::OutOfRange));
    assert_eq!(kinesis.split(now, &ShardId::new("none")), Err(ReshardError::NotOpen));
    kinesis.split_at(now, &id(0), HashKey::new(1)).unwrap();
    assert_eq!(kinesis.split(now, &id(0)), Err(ReshardError::NotOpen));
    assert_eq!(kinesis.split(now, &id(4)), Err(ReshardError::TooSmall), "it owns hash key 0 alone");
    assert_eq!(kinesis.open_shards().count(), 5);
    assert_tiles(&kinesis);
}

#[test]
fn the_same_seed_gives_the_same_replies() {
    let run = |seed| {
        let mut kinesis = Kinesis::new(ServiceOptions::default(), seed, Timestamp::ZERO);
        let mut faults = ServiceFaults::default();
        (faults.internal_failure, faults.kms, faults.calls_throttled) = (100_000, 50_000, 200_000);
        kinesis.set_faults(faults);
        (0..50u64)
            .map(|n| kinesis.put_records(Timestamp::from_millis(n), &[at_key(u128::from(n) << 120); 10]))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[derive(Clone, Debug)]
enum Op {
    Split(usize),
    SplitAt(usize, u128),
    Merge(usize),
    Count(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        any::<usize>().prop_map(Op::Split),
        (any::<usize>(), any::<u128>()).prop_map(|(which, key)| Op::SplitAt(which, key)),
        any::<usize>().prop_map(Op::Merge),
        (0u32..40).prop_map(Op::Count),
    ]
}

proptest! {
    #[test]
    fn ranges_tile_the_key_space_whatever_was_done_to_them(
        shards in 1u32..50,
        ops in prop::collection::vec(op(), 1..30),
        keys in prop::collection::vec(any::<u128>(), 1..10),
    ) {
        let mut kinesis = kinesis(shards);
        let now = Timestamp::ZERO;
        for op in ops {
            let ids: Vec<ShardId> = kinesis.open_shards().map(|shard| shard.id.clone()).collect();
            // Refusals are as good as successes here: both must leave the space tiled.
            let _ = match op {
                Op::Split(which) => kinesis.split(now, &ids[which % ids.len()]),
                Op::SplitAt(which, key) => {
                    let shard = kinesis.shard(&ids[which % ids.len()]).unwrap();
                    let size = shard.last.value() - shard.first.value();
                    let key = shard.first.value() + key % size.max(1);
                    kinesis.split_at(now, &ids[which % ids.len()], HashKey::new(key))
                }
                Op::Merge(which) => {
                    let left = which % ids.len();
                    kinesis.merge(now, &ids[left], &ids[(left + 1) % ids.len()])
                }
                Op::Count(count) => kinesis.set_shard_count(now, count),
            };
            assert_tiles(&kinesis);
        }
        for key in keys {
            let owner = shard_of(&mut kinesis, now, at_key(key));
            let owner = kinesis.shard(&owner).unwrap();
            prop_assert!(owner.is_open && owner.first.value() <= key && key <= owner.last.value());
        }
    }
}

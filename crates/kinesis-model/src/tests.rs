#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use crate::faults::THROUGHPUT_EXCEEDED;
use crate::*;

fn kinesis(shards: u32) -> Kinesis {
    let options = ServiceOptions { shards, ..ServiceOptions::default() };
    Kinesis::new(options, 7, Time::ZERO)
}

fn id(number: u32) -> ShardId {
    ShardId::new(number)
}

fn entry<'a>(data: &'a [u8], key: &'a str) -> PutEntry<'a> {
    PutEntry { data, partition_key: Some(key), explicit_hash_key: None }
}

fn at_key(key: u128) -> PutEntry<'static> {
    PutEntry { data: b"x", partition_key: Some("k"), explicit_hash_key: Some(key) }
}

fn shard_of(kinesis: &mut Kinesis, now: Time, entry: PutEntry<'_>) -> ShardId {
    match kinesis.put_records(now, &[entry]).answer().unwrap().remove(0) {
        EntryReply::Stored { shard_id, .. } => shard_id,
        reply => panic!("the entry failed: {reply:?}"),
    }
}

fn assert_tiles(kinesis: &Kinesis) {
    let mut next = Some(0u128);
    for shard in kinesis.open_shards() {
        assert!(shard.is_open && shard.first <= shard.last);
        assert_eq!(Some(shard.first), next, "a gap or an overlap before {}", shard.id);
        next = shard.last.checked_add(1);
    }
    assert_eq!(next, None, "the last open shard ends with the key space");
}

#[test]
fn the_shards_of_a_new_stream_are_of_equal_size() {
    for shards in [1, 2, 3, 4, 7, 1_000] {
        let kinesis = kinesis(shards);
        assert_tiles(&kinesis);
        let sizes: Vec<u128> = kinesis.open_shards().map(|shard| shard.last - shard.first).collect();
        assert!(sizes.iter().all(|size| size.abs_diff(sizes[0]) < u128::from(shards)), "{shards} shards");
    }
    let first = kinesis(4).open_shards().next().unwrap().last;
    assert_eq!(first, (1 << 126) - 1, "as the service does it");
}

#[test]
fn a_record_lands_where_the_map_says() {
    let mut kinesis = kinesis(16);
    let shards: Vec<OpenShard> = kinesis.open_shards().collect();
    for number in 0..1_000 {
        let key = format!("key-{number}");
        let owner = shards.iter().find(|shard| (shard.first..=shard.last).contains(&hash_key(&key))).unwrap();
        assert_eq!(shard_of(&mut kinesis, Time::ZERO, entry(b"x", &key)), owner.id);
    }
    assert_eq!(shard_of(&mut kinesis, Time::ZERO, at_key(u128::MAX)), id(15), "an explicit key decides");
}

#[test]
fn a_record_lands_in_the_child_as_soon_as_its_shard_was_split() {
    let mut kinesis = kinesis(4);
    let key = (1 << 126) + 7;
    assert_eq!(shard_of(&mut kinesis, Time::ZERO, at_key(key)), id(1));
    kinesis.split(Time::ZERO, id(1)).unwrap();
    assert_eq!(shard_of(&mut kinesis, Time::ZERO, at_key(key)), id(4));
    assert_eq!(kinesis.parents(id(4)).collect::<Vec<_>>(), [id(1)]);
    assert!(!kinesis.shard(id(1)).unwrap().is_open);
    kinesis.merge(Time::ZERO, id(0), id(4)).unwrap();
    assert_eq!(shard_of(&mut kinesis, Time::ZERO, at_key(key)), id(6));
    assert_eq!(kinesis.parents(id(6)).collect::<Vec<_>>(), [id(0), id(4)]);
    assert_tiles(&kinesis);
}

#[test]
fn sequence_numbers_rise_in_each_shard_and_from_parent_to_child() {
    let mut kinesis = kinesis(2);
    let mut last: Option<SequenceNumber> = None;
    for round in 0..3u64 {
        for _ in 0..20 {
            let now = Time::from_millis(round);
            let EntryReply::Stored { sequence_number, .. } =
                kinesis.put_records(now, &[at_key(5)]).answer().unwrap().remove(0)
            else {
                panic!("the limits let sixty records through");
            };
            assert!(last.as_ref().is_none_or(|last| *last < sequence_number));
            last = Some(sequence_number);
        }
        let first = kinesis.open_shards().next().unwrap().id;
        kinesis.split(Time::from_millis(round), first).unwrap();
    }
}

#[test]
fn what_exceeds_a_shards_limit_fails_entry_by_entry_and_its_neighbour_is_spared() {
    let mut kinesis = kinesis(2);
    let calls: Vec<_> = (0..500).map(|n| if n % 5 == 4 { at_key(u128::MAX) } else { at_key(0) }).collect();
    let mut throttled = 0;
    for _ in 0..3 {
        let replies = kinesis.put_records(Time::ZERO, &calls).answer().unwrap();
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
        let refused = PutReply::refused(Refusal::Validation(malformed));
        assert_eq!(kinesis.put_records(Time::ZERO, &entries), refused);
    }
    assert_eq!(kinesis.open_shards().next().unwrap().records_accepted, 0);
    let longest_key = "é".repeat(256);
    assert!(
        kinesis.put_records(Time::ZERO, &[entry(b"x", &longest_key)]).refusal.is_none(),
        "characters count"
    );
    assert!(
        kinesis.put_records(Time::ZERO, &[entry(&huge[1..], "k"); 10]).refusal.is_none(),
        "exactly 10 MiB"
    );
    kinesis.set_poison([]);
    assert!(kinesis.put_records(Time::ZERO, &[entry(b"bad!", "k")]).refusal.is_none(), "it is healed");
}

#[test]
fn a_stream_for_large_records_takes_them() {
    let options = ServiceOptions { record_bytes_max: 10 << 20, ..ServiceOptions::default() };
    let mut kinesis = Kinesis::new(options, 0, Time::ZERO);
    let large = vec![0; (10 << 20) - 1];
    assert!(matches!(
        kinesis.put_records(Time::ZERO, &[entry(&large, "k")]).answer().unwrap()[..],
        [EntryReply::Stored { .. }]
    ));
}

// S-24
#[test]
fn a_stream_that_distributes_by_itself_ignores_keys_and_uses_every_shard() {
    let options = ServiceOptions { distribution: Distribution::Auto, shards: 3, ..ServiceOptions::default() };
    let mut kinesis = Kinesis::new(options, 0, Time::ZERO);
    let keyless = PutEntry { partition_key: None, ..at_key(0) };
    kinesis.put_records(Time::ZERO, &[keyless; 300]).answer().unwrap();
    assert!(kinesis.open_shards().all(|shard| shard.records_accepted == 100), "each in its turn");
}

#[test]
fn a_reader_sees_by_the_version_that_a_listing_would_show_something_else() {
    let mut kinesis = kinesis(2);
    let mut version = kinesis.map_version();
    let mut changes = |kinesis: &mut Kinesis, change: &dyn Fn(&mut Kinesis)| {
        change(kinesis);
        std::mem::replace(&mut version, kinesis.map_version()) != version
    };
    let now = Time::ZERO;
    assert!(changes(&mut kinesis, &|kinesis| kinesis.split(now, id(0)).unwrap()));
    assert!(changes(&mut kinesis, &|kinesis| kinesis.set_distribution(Distribution::Auto)));
    assert!(!changes(&mut kinesis, &|kinesis| kinesis.set_distribution(Distribution::Auto)));
    assert!(changes(&mut kinesis, &|kinesis| kinesis.set_record_bytes_max(5 << 20)));
    assert!(!changes(&mut kinesis, &|kinesis| kinesis.set_record_bytes_max(5 << 20)));
    assert!(changes(&mut kinesis, &|kinesis| kinesis.set_permits(Permits::SummaryOnly)));
    assert!(changes(&mut kinesis, &|kinesis| kinesis.create_again(now, 3, Numbering::Anew)));
    assert!(changes(&mut kinesis, &|kinesis| kinesis.create_again(now, 3, Numbering::Anew)));
}

// S-21
#[test]
fn the_shards_of_a_stream_that_was_created_again_begin_anew_or_go_on() {
    let mut kinesis = kinesis(3);
    let ids = |kinesis: &Kinesis| kinesis.open_shards().map(|shard| shard.id).collect::<Vec<_>>();
    kinesis.create_again(Time::ZERO, 2, Numbering::GoesOn);
    assert_eq!(ids(&kinesis), [id(3), id(4)]);
    assert!(kinesis.shard(id(2)).is_none() && kinesis.shard(id(5)).is_none());
    assert_eq!(shard_of(&mut kinesis, Time::ZERO, at_key(u128::MAX)), id(4));
    kinesis.split(Time::ZERO, id(4)).unwrap();
    assert_eq!(ids(&kinesis), [id(3), id(5), id(6)]);
    kinesis.create_again(Time::ZERO, 2, Numbering::Anew);
    assert_eq!(ids(&kinesis), [id(0), id(1)]);
    assert_tiles(&kinesis);
}

// S-23, S-46, S-49
#[test]
fn what_a_failure_hides_is_stored_and_only_that() {
    let entries = [at_key(0); 100];
    let with = |change: &dyn Fn(&mut ServiceFaults)| {
        let mut kinesis = kinesis(1);
        let mut faults = ServiceFaults::default();
        change(&mut faults);
        kinesis.set_faults(faults);
        let reply = kinesis.put_records(Time::ZERO, &entries);
        let stored = reply.entries.iter().filter(|entry| entry.stored().is_some()).count() as u64;
        assert_eq!(kinesis.open_shards().next().unwrap().records_accepted, stored);
        (stored, reply)
    };
    let (stored, reply) = with(&|faults| faults.calls_unavailable = 1_000_000);
    assert_eq!((stored, reply.answer()), (0, Err(Refusal::ServiceUnavailable)));
    let (stored, reply) =
        with(&|faults| (faults.calls_unavailable, faults.calls_failed_stored) = (1_000_000, 1_000_000));
    assert_eq!((stored, reply.answer()), (100, Err(Refusal::ServiceUnavailable)));
    let (stored, reply) = with(&|faults| {
        (faults.calls_internal_failure, faults.calls_failed_stored) = (1_000_000, 1_000_000);
        faults.calls_failed_stored_part = 500_000;
    });
    assert!((20..80).contains(&stored), "about a half, not {stored}");
    assert_eq!(reply.answer(), Err(Refusal::InternalFailure));
    let (stored, reply) =
        with(&|faults| (faults.internal_failure, faults.failures_stored) = (1_000_000, 500_000));
    assert!((20..80).contains(&stored), "about a half, not {stored}");
    assert!(reply.answer().unwrap().iter().all(|entry| entry.code() == Some("InternalFailure")));
}

#[test]
fn the_shard_count_goes_step_by_step_to_its_target() {
    let options =
        ServiceOptions { shards: 3, reshard_step: Duration::from_secs(1), ..ServiceOptions::default() };
    let mut kinesis = Kinesis::new(options, 0, Time::ZERO);
    kinesis.set_shard_count(Time::ZERO, 6).unwrap();
    let mut steps = 0;
    while let Some(at) = kinesis.poll_timeout() {
        steps += 1;
        assert!(steps < 100, "a reshard of three steps ends");
        kinesis.handle_timeout(at);
        assert_tiles(&kinesis);
    }
    let sizes: Vec<_> = kinesis.open_shards().map(|shard| (shard.last - shard.first) >> 100).collect();
    assert_eq!(sizes.len(), 6);
    assert!(sizes.iter().all(|&size| size == sizes[0]), "each of equal shards was split: {sizes:?}");
    kinesis.set_shard_count(Time::from_millis(60_000), 1).unwrap();
    kinesis.handle_timeout(Time::from_millis(120_000));
    assert_eq!(kinesis.open_shards().count(), 1);
    assert_eq!(kinesis.set_shard_count(Time::ZERO, 0), Err(ReshardError::None));
    assert_eq!(kinesis.set_shard_count(Time::ZERO, 10_241), Err(ReshardError::TooMany));
}

// S-12
#[test]
fn a_hot_shard_of_an_on_demand_stream_splits_after_a_while_and_others_do_not() {
    let options = ServiceOptions { shards: 2, mode: StreamMode::OnDemand, ..ServiceOptions::default() };
    let mut kinesis = Kinesis::new(options, 0, Time::ZERO);
    let hot = vec![at_key(9); 90];
    let mut split_at = None;
    for tenth in 0..400u64 {
        let now = Time::from_millis(tenth * 100);
        kinesis.put_records(now, &hot).answer().unwrap();
        kinesis.put_records(now, &[at_key(u128::MAX)]).answer().unwrap();
        if kinesis.open_shards().count() > 2 && split_at.is_none() {
            split_at = Some(tenth / 10);
        }
    }
    assert_eq!(split_at, Some(20), "hot for five seconds, then fifteen of delay");
    assert!(kinesis.shard(id(1)).unwrap().is_open, "the idle shard stays");
    assert!(kinesis.map_version() > 2, "a reader can see that the shards are others");
}

#[test]
fn what_cannot_be_resharded_is_refused_and_changes_nothing() {
    let mut kinesis = kinesis(4);
    let now = Time::ZERO;
    assert_eq!(kinesis.merge(now, id(0), id(2)), Err(ReshardError::NotNeighbours));
    assert_eq!(kinesis.merge(now, id(1), id(0)), Err(ReshardError::NotNeighbours));
    assert_eq!(kinesis.split_at(now, id(0), 0), Err(ReshardError::OutOfRange));
    assert_eq!(kinesis.split_at(now, id(0), u128::MAX), Err(ReshardError::OutOfRange));
    assert_eq!(kinesis.split(now, id(99)), Err(ReshardError::NotOpen));
    kinesis.split_at(now, id(0), 1).unwrap();
    assert_eq!(kinesis.split(now, id(0)), Err(ReshardError::NotOpen));
    assert_eq!(kinesis.split(now, id(4)), Err(ReshardError::TooSmall), "it owns hash key 0 alone");
    assert_eq!(kinesis.open_shards().count(), 5);
    assert_tiles(&kinesis);
}

#[test]
fn the_same_seed_gives_the_same_replies() {
    let run = |seed| {
        let mut kinesis = Kinesis::new(ServiceOptions::default(), seed, Time::ZERO);
        let mut faults = ServiceFaults::default();
        (faults.internal_failure, faults.kms, faults.calls_throttled) = (100_000, 50_000, 200_000);
        kinesis.set_faults(faults);
        (0..50u64)
            .map(|n| kinesis.put_records(Time::from_millis(n), &[at_key(u128::from(n) << 120); 10]))
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
        let now = Time::ZERO;
        for op in ops {
            let ids: Vec<ShardId> = kinesis.open_shards().map(|shard| shard.id).collect();
            // Refusals are as good as successes here: both must leave the space tiled.
            let _ = match op {
                Op::Split(which) => kinesis.split(now, ids[which % ids.len()]),
                Op::SplitAt(which, key) => {
                    let shard = kinesis.shard(ids[which % ids.len()]).unwrap();
                    let size = shard.last - shard.first;
                    let key = shard.first + key % size.max(1);
                    kinesis.split_at(now, ids[which % ids.len()], key)
                }
                Op::Merge(which) => {
                    let left = which % ids.len();
                    kinesis.merge(now, ids[left], ids[(left + 1) % ids.len()])
                }
                Op::Count(count) => kinesis.set_shard_count(now, count),
            };
            assert_tiles(&kinesis);
        }
        for key in keys {
            let owner = shard_of(&mut kinesis, now, at_key(key));
            let owner = kinesis.shard(owner).unwrap();
            prop_assert!(owner.is_open && owner.first <= key && key <= owner.last);
        }
    }
}

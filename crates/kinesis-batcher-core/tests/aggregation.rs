//! Small records share Kinesis records, and consumers get every one of them.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use common::{World, key_for, millis, record};
use kinesis_aggregation::{Decoded, decode};
use kinesis_batcher_core::{
    AlreadyAggregated, Bytes, Config, ConfigBuilder, Event, FailureReason, HashKey, PushErrorReason, Record,
    RecordOutcome, Request, RequestError, Response, ServiceError, Shard, ShardLimit, ShardMap, Timestamp,
};

/// A user record as a consumer reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Read {
    tag: u64,
    partition_key: String,
    explicit_hash_key: Option<u128>,
}

/// A stream that stores by its own map, and a consumer built on the KCL.
struct Stream {
    map: ShardMap,
    read: Vec<Read>,
    dropped: usize,
    kinesis_records: usize,
    bytes: BTreeMap<String, Vec<(Timestamp, usize)>>,
    /// The service distributes Kinesis records itself, whatever their keys.
    spreads: bool,
}

impl Stream {
    fn new(map: ShardMap) -> Self {
        Self { map, read: vec![], dropped: 0, kinesis_records: 0, bytes: BTreeMap::new(), spreads: false }
    }

    fn store(&mut self, now: Timestamp, request: &Request<u64>) -> Response {
        let outcomes = request.records().map(|record| {
            let key =
                record.explicit_hash_key().or_else(|| record.partition_key().map(HashKey::of_partition_key));
            let index = self.map.index_of(key.unwrap_or(HashKey::MIN));
            let index = if self.spreads { self.kinesis_records % self.map.shards().len() } else { index };
            let owner = self.map.shards().get(index);
            self.kinesis_records += 1;
            let name = owner.map_or("shardId-000000000000".to_owned(), |owner| owner.id.to_string());
            let size = record.data().len() + record.partition_key().map_or(0, str::len);
            self.bytes.entry(name.clone()).or_default().push((now, size));
            match decode(record.data()) {
                Decoded::Aggregate(aggregate) => {
                    let range = owner.map(|owner| owner.first.value()..=owner.last.value());
                    if range.is_some_and(|range| !aggregate.is_kept_by_kcl(&range)) {
                        self.dropped += aggregate.len();
                    } else {
                        self.read.extend(aggregate.iter().map(|member| Read {
                            tag: tag_of(member.data),
                            partition_key: member.partition_key.to_owned(),
                            explicit_hash_key:
                                member.explicit_hash_key.map(|key| key.parse().expect("canonical")),
                        }));
                    }
                }
                _ => self.read.push(Read {
                    tag: tag_of(record.data()),
                    partition_key: record.partition_key().unwrap_or_default().to_owned(),
                    explicit_hash_key: record.explicit_hash_key().map(HashKey::value),
                }),
            }
            RecordOutcome::Stored { shard_id: name.as_str().into(), sequence_number: "7".into() }
        });
        Response::new(outcomes.collect())
    }
}

fn tag_of(data: &[u8]) -> u64 {
    u64::from_be_bytes(data[..8].try_into().expect("a test's data starts with its tag"))
}

fn aggregating() -> ConfigBuilder {
    Config::builder().aggregation(true)
}

/// Answers every request at once until nothing is left, and collects what came of it.
fn drain(world: &mut World, stream: &mut Stream) {
    let mut steps = 0;
    loop {
        while let Some(request) = world.batcher.poll_request() {
            let response = stream.store(world.now, &request);
            world.batcher.handle_response(world.now, request, Ok(response));
        }
        world.settle();
        if world.held() == 0 {
            return;
        }
        let deadline = world.batcher.poll_timeout().expect("something is held");
        world.now = world.now.max(deadline.at);
        world.batcher.handle_timeout(world.now);
        steps += 1;
        assert!(steps < 100_000, "it drains in a bounded number of steps");
    }
}

// S-31
#[test]
fn a_consumer_reads_every_record_with_its_own_key_and_each_has_a_receipt_of_its_own() {
    let mut world = World::new(aggregating().build().unwrap(), 4);
    let mut stream = Stream::new(world.map.clone());
    let mut expected = vec![];
    for tag in 0..3_000u64 {
        let partition_key = format!("kéy-{}", tag % 70);
        let explicit = [None, Some(0), Some(u128::MAX), None][tag as usize % 4];
        let mut pushed = record(tag, &partition_key, 60);
        if let Some(key) = explicit {
            pushed = pushed.with_explicit_hash_key(HashKey::new(key));
        }
        world.push_record(tag, pushed).unwrap();
        expected.push(Read { tag, partition_key, explicit_hash_key: explicit });
    }
    drain(&mut world, &mut stream);
    stream.read.sort();
    assert_eq!(stream.read, expected);
    assert!(stream.kinesis_records < 20, "{} Kinesis records carry 3,000", stream.kinesis_records);
    assert_eq!(world.delivered.len(), 3_000);
    let places: BTreeSet<_> = world
        .delivered
        .values()
        .map(|(_, receipt)| (receipt.shard_id.clone(), receipt.sub_sequence_number))
        .collect();
    assert!(places.iter().all(|(_, sub)| sub.is_some()));
    let stats = world.stats();
    assert_eq!(
        (stats.records_delivered, stats.kinesis_records_delivered),
        (3_000, stream.kinesis_records as u64)
    );
}

#[test]
fn a_lone_record_goes_raw() {
    let mut world = World::new(aggregating().build().unwrap(), 4);
    world.push(0, "k", 20).unwrap();
    world.run_until_done();
    assert_eq!(world.delivered[&0].1.sub_sequence_number, None);
}

#[test]
fn aggregates_close_at_their_size_and_never_exceed_it() {
    let config = aggregating().aggregate_bytes_max(2_000).shard_limit(ShardLimit::Off).build().unwrap();
    let mut world = World::new(config, 1);
    let mut stream = Stream::new(world.map.clone());
    for tag in 0..500 {
        let bytes = if tag % 100 == 50 { 5_000 } else { 90 };
        world.push(tag, "k", bytes).unwrap();
    }
    drain(&mut world, &mut stream);
    let tags: Vec<u64> = stream.read.iter().map(|read| read.tag).collect();
    assert_eq!(tags, (0..500).collect::<Vec<_>>(), "a record too large to share keeps its place");
    let sizes: Vec<usize> =
        stream.bytes.values().flatten().map(|(_, size)| *size).filter(|&size| size < 5_000).collect();
    assert!(sizes.iter().all(|&size| size <= 2_001), "the outer key is one byte: {sizes:?}");
    assert!(
        sizes.iter().filter(|&&size| size > 1_900).count() > sizes.len() / 2,
        "most are nearly full: {sizes:?}"
    );
}

#[test]
fn aggregates_close_at_their_number_of_records() {
    let mut world = World::new(aggregating().aggregate_records_max(10).build().unwrap(), 1);
    let mut stream = Stream::new(world.map.clone());
    for tag in 0..100 {
        world.push(tag, "k", 20).unwrap();
    }
    drain(&mut world, &mut stream);
    assert_eq!(stream.kinesis_records, 10);
}

#[test]
fn an_aggregate_of_thousands_of_shards_lingers_and_is_not_rushed() {
    let mut world = World::new(aggregating().build().unwrap(), 1_000);
    let mut stream = Stream::new(world.map.clone());
    for tag in 0..20_000 {
        world.push(tag, &format!("k{tag}"), 20).unwrap();
        world.settle();
    }
    assert_eq!(
        world.stats().requests_sent,
        0,
        "a thousand aggregates that are still filling make no request"
    );
    drain(&mut world, &mut stream);
    assert_eq!(stream.kinesis_records, 1_000);
    assert_eq!(stream.read.len(), 20_000);
}

#[test]
fn ten_thousand_small_records_a_second_fit_into_two_shards() {
    let mut world = World::new(aggregating().time_to_live(None).build().unwrap(), 2);
    let mut stream = Stream::new(world.map.clone());
    let start = world.now;
    for tag in 0..100_000 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
        if tag % 10 == 9 {
            let tick = world.now.after(millis(1));
            while let Some(deadline) = world.batcher.poll_timeout().filter(|deadline| deadline.at <= tick) {
                world.now = deadline.at;
                world.batcher.handle_timeout(world.now);
                while let Some(request) = world.batcher.poll_request() {
                    let response = stream.store(world.now, &request);
                    world.batcher.handle_response(world.now, request, Ok(response));
                }
            }
            world.settle_with(|now, request| stream.store(now, request));
            world.now = tick;
        }
    }
    drain(&mut world, &mut stream);
    let took = world.now.since(start);
    assert!(took < millis(10_500), "ten seconds' worth took {took:?}");
    assert_eq!(stream.read.len(), 100_000);
    for (shard, sent) in &stream.bytes {
        for second in 0..10 {
            let from = start.after(Duration::from_secs(second));
            let to = start.after(Duration::from_secs(second + 1));
            let within = sent.iter().filter(|(at, _)| (from..to).contains(at));
            let (records, bytes) =
                within.fold((0, 0), |(records, bytes), (_, size)| (records + 1, bytes + size));
            assert!(
                records <= 1_000 && bytes <= 1 << 20,
                "{shard} got {records} records, {bytes} B in second {second}"
            );
        }
    }
}

fn shard(id: u32, first: u128, last: u128) -> Shard {
    Shard::new(format!("shardId-{id:012}").as_str(), HashKey::new(first), HashKey::new(last))
}

fn split() -> ShardMap {
    let half = u128::MAX / 2;
    ShardMap::known(vec![shard(1, 0, half), shard(2, half + 1, u128::MAX)]).expect("two halves tile")
}

#[test]
fn a_queued_aggregate_is_divided_when_its_shard_splits() {
    let mut world = World::new(aggregating().linger(Duration::from_secs(1)).build().unwrap(), 1);
    for tag in 0..1_000 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
    }
    world.batcher.handle_shard_map(world.now, split());
    let mut stream = Stream::new(split());
    drain(&mut world, &mut stream);
    assert_eq!(stream.dropped, 0, "each child got its own");
    assert_eq!(stream.read.len(), 1_000);
    assert_eq!(world.delivered.len(), 1_000);
}

#[test]
fn an_aggregate_that_straddled_a_split_reaches_every_consumer_once() {
    straddle_a_split(split());
}

#[test]
fn so_it_does_if_the_stream_no_longer_tells_more_than_the_number_of_its_shards() {
    straddle_a_split(ShardMap::count_only(NonZeroU32::new(2).unwrap()));
}

/// A split that the batcher learns of by this map, once it has sent aggregates by the map before.
fn straddle_a_split(map: ShardMap) {
    let mut world = World::new(aggregating().build().expect("a test's settings are valid"), 1);
    let mut stream = Stream::new(split());
    for tag in 0..1_000 {
        world.push(tag, &format!("k{tag}"), 20).expect("there is room");
    }
    world.batcher.flush(world.now);
    while let Some(request) = world.batcher.poll_request() {
        let response = stream.store(world.now, &request);
        world.batcher.handle_response(world.now, request, Ok(response));
    }
    world.settle();
    assert!(stream.dropped > 0, "a KCL consumer drops what was stored by the wrong child");
    assert_eq!(world.stale_events, 1);
    assert!(world.delivered.len() < 1_000, "and that is not reported as delivered");
    world.batcher.handle_shard_map(world.now, map);
    drain(&mut world, &mut stream);
    let tags: BTreeSet<u64> = stream.read.iter().map(|read| read.tag).collect();
    assert_eq!(
        (tags.len(), stream.read.len()),
        (1_000, 1_000),
        "every record reaches consumers, and none twice"
    );
    assert_eq!(world.delivered.len(), 1_000);
    assert!(
        world.delivered.values().any(|(_, receipt)| receipt.possible_duplicate),
        "readers without the rule are told"
    );
}

/// A stream that becomes `AUTO` under load: the service distributes Kinesis records itself, and consumers still apply
/// the KCL's rule by the ranges of the shards.
// S-24, S-25
#[test]
fn a_stream_that_becomes_auto_and_keyed_again_loses_nothing_and_ends_without_aggregates() {
    let config = aggregating().linger(millis(200)).shard_limit(ShardLimit::Off).build().unwrap();
    let mut world = World::new(config, 4);
    let keyed = world.map.clone();
    let mut stream = Stream::new(keyed.clone());
    let mut next = 0;
    let mut send = |world: &mut World, stream: &mut Stream, spreads: bool| {
        for _ in 0..500 {
            world.push(next, &format!("k{next}"), 20).unwrap();
            next += 1;
        }
        stream.spreads = spreads;
        world.run_quietly_for(millis(60));
        while let Some(request) = world.batcher.poll_request() {
            let response = stream.store(world.now, &request);
            world.batcher.handle_response(world.now, request, Ok(response));
        }
        world.settle();
    };
    for _ in 0..10 {
        send(&mut world, &mut stream, false);
    }
    let stale = world.stale_events;
    for _ in 0..10 {
        send(&mut world, &mut stream, true);
    }
    assert!(world.stale_events > stale, "misrouted records ask for the strategy");
    assert!(
        stream.dropped > 0,
        "aggregates that were sent before the switch was known are lost to consumers"
    );
    // Some records are in open aggregates at this moment.
    world.batcher.handle_shard_map(world.now, ShardMap::auto(NonZeroU32::new(4).unwrap()));
    let before = stream.kinesis_records;
    let dropped = stream.dropped;
    for _ in 0..10 {
        send(&mut world, &mut stream, true);
    }
    assert!(stream.kinesis_records - before >= 5_000, "each record goes by itself");
    assert_eq!(stream.dropped, dropped);
    assert!(world.stats().aggregation_suspended);
    world.batcher.handle_shard_map(world.now, keyed);
    let before = stream.kinesis_records;
    for _ in 0..10 {
        send(&mut world, &mut stream, false);
    }
    assert!(stream.kinesis_records - before < 2_000, "aggregation is on again");
    drain(&mut world, &mut stream);
    let tags: BTreeSet<u64> = stream.read.iter().map(|read| read.tag).collect();
    assert_eq!((world.delivered.len(), tags.len()), (20_000, 20_000), "consumers read every record");
    assert!(world.failed.is_empty());
}

/// No map without ranges can say whether consumers read an aggregate, so there is nothing to wait for.
// S-24, S-26
#[test]
fn aggregates_in_flight_at_a_switch_to_a_map_without_ranges_are_sent_again_at_once() {
    let four = NonZeroU32::new(4).unwrap();
    for map in [ShardMap::auto(four), ShardMap::count_only(four)] {
        let mut world = World::new(aggregating().shard_limit(ShardLimit::Off).build().unwrap(), 4);
        let mut stream = Stream::new(world.map.clone());
        for tag in 0..1_000 {
            world.push(tag, &format!("k{tag}"), 20).unwrap();
        }
        world.batcher.flush(world.now);
        let request = world.batcher.poll_request().unwrap();
        stream.spreads = true;
        let response = stream.store(world.now, &request);
        world.batcher.handle_shard_map(world.now, map);
        world.batcher.handle_response(world.now, request, Ok(response));
        let start = world.now;
        drain(&mut world, &mut stream);
        assert!(world.now.since(start) < Duration::from_secs(2), "{:?}", world.now.since(start));
        let tags: BTreeSet<u64> = stream.read.iter().map(|read| read.tag).collect();
        assert_eq!((world.delivered.len(), tags.len()), (1_000, 1_000), "consumers read every record");
    }
}

#[test]
fn a_map_is_asked_for_again_while_an_aggregate_waits_for_it() {
    let mut world = World::new(aggregating().time_to_live(Duration::from_secs(60)).build().unwrap(), 1);
    let mut stream = Stream::new(split());
    for tag in 0..100 {
        world.push(tag, &format!("k{tag}"), 20).unwrap();
    }
    drain(&mut world, &mut stream);
    assert!((4..9).contains(&world.stale_events), "asked {} times in a minute", world.stale_events);
    assert!(stream.kinesis_records <= 3, "it was sent {} times in a minute", stream.kinesis_records);
    assert_eq!(world.failed.len(), 100);
    assert!(world.failed.values().all(|(_, failure)| {
        failure.possibly_stored && matches!(failure.reason, FailureReason::Expired { .. })
    }));
}

// S-31
#[test]
fn input_that_is_an_aggregate_already_is_sent_as_it_is_or_refused() {
    let mut builder = kinesis_aggregation::AggregateBuilder::new(1_000);
    builder.push("inner", None, &7u64.to_be_bytes(), &[]).unwrap();
    let inner = builder.finish();

    let mut world = World::new(aggregating().build().unwrap(), 1);
    world.push(0, "k", 20).unwrap();
    world.batcher.push(world.now, Record::new("outer", inner.clone()).unwrap(), 1).unwrap();
    world.push(2, "k", 20).unwrap();
    world.batcher.flush(world.now);
    let request = world.batcher.poll_request().unwrap();
    let sent: Vec<Bytes> = request.records().map(|record| record.data().clone()).collect();
    assert_eq!(sent.len(), 3, "it neither joins an aggregate nor is joined");
    assert_eq!(sent[1], inner);

    let config = aggregating().already_aggregated(AlreadyAggregated::Refuse).build().unwrap();
    let mut world = World::new(config, 1);
    let refused = world.batcher.push(world.now, Record::new("outer", inner).unwrap(), 1).unwrap_err();
    assert_eq!(refused.reason, PushErrorReason::AlreadyAggregated);
}

#[test]
fn without_known_shards_and_on_auto_streams_nothing_is_aggregated() {
    let four = NonZeroU32::new(4).unwrap();
    let mut world = World::with_map(aggregating().build().unwrap(), ShardMap::count_only(four));
    let mut stream = Stream::new(world.map.clone());
    for tag in 0..50 {
        world.push(tag, &format!("k{tag}"), 20).unwrap();
    }
    drain(&mut world, &mut stream);
    assert_eq!(stream.kinesis_records, 50);
    assert!(!world.stats().aggregation_suspended);

    let mut world = World::with_map(aggregating().build().unwrap(), ShardMap::auto(four));
    let mut stream = Stream::new(world.map.clone());
    for tag in 0..50u64 {
        if tag % 2 == 0 {
            world.push(tag, &format!("k{tag}"), 20).unwrap();
        } else {
            world
                .push_record(tag, Record::without_partition_key(tag.to_be_bytes().to_vec()).unwrap())
                .unwrap();
        }
    }
    drain(&mut world, &mut stream);
    assert_eq!((stream.kinesis_records, stream.read.len()), (50, 50));
    assert!(world.stats().aggregation_suspended, "the operator can see why");
}

#[test]
fn a_throttled_aggregate_is_sent_again_as_it_is_and_counts_its_attempts() {
    let mut world = World::new(aggregating().attempts_max(2).build().unwrap(), 1);
    for tag in 0..100 {
        world.push(tag, "k", 20).unwrap();
    }
    let mut sent = vec![];
    for _ in 0..2 {
        world.run_to_request(|request| sent.push(request.records().next().unwrap().data().clone()));
        let throttled =
            RecordOutcome::Failed(ServiceError::from_code("ProvisionedThroughputExceededException"));
        world.answer(Ok(Response::new(vec![throttled])));
    }
    assert_eq!(sent[0], sent[1]);
    assert!(
        matches!(decode(&sent[0]), Decoded::Aggregate(aggregate) if aggregate.len() == 100),
        "one layer of it"
    );
    assert_eq!(world.failed.len(), 100);
    assert!(world.failed.values().all(|(_, failure)| failure.attempts == 2));
    assert_eq!(world.stats().records_exhausted, 100);
}

#[test]
fn each_member_of_an_aggregate_expires_in_its_own_time() {
    let config = aggregating().time_to_live(millis(500)).linger(millis(200)).build().unwrap();
    let mut world = World::new(config, 1);
    let start = world.now;
    for tag in 0..4 {
        world.push(tag, "k", 20).unwrap();
        world.run_quietly_for(millis(50));
    }
    world.run_to_request(|_| {});
    world.now = start.after(millis(560));
    world.answer(Err(RequestError::not_sent("no route")));
    assert_eq!(world.failed.keys().copied().collect::<Vec<_>>(), [0, 1], "two are past their time");
    let mut stream = Stream::new(world.map.clone());
    drain(&mut world, &mut stream);
    assert_eq!(world.delivered.keys().copied().collect::<Vec<_>>(), [2, 3], "the others are sent again");
}

#[test]
fn abort_hands_back_every_member_as_it_was_pushed() {
    let mut world = World::new(aggregating().build().unwrap(), 2);
    let keys = [key_for(&world.map, 0), key_for(&world.map, 1)];
    let mut pushed = vec![];
    for tag in 0..100 {
        let record = record(tag, &keys[tag as usize % 2], 30);
        let record = if tag % 3 == 0 { record.with_explicit_hash_key(HashKey::MAX) } else { record };
        pushed.push(record.clone());
        world.push_record(tag, record).unwrap();
    }
    world.batcher.abort(world.now);
    let mut back = BTreeMap::new();
    while let Some(event) = world.batcher.poll_event() {
        if let Event::Failed { tag, record, .. } = event {
            back.insert(tag, record);
        }
    }
    assert_eq!(back.into_values().collect::<Vec<_>>(), pushed);
}

/// Records that were in one aggregate come from one entry, and a stream with more shards divides them again.
#[test]
fn abort_hands_back_the_oldest_first_after_an_aggregate_was_divided() {
    let mut world = World::new(aggregating().linger(Duration::from_secs(1)).build().unwrap(), 1);
    let shards = 24;
    let map = ShardMap::uniform(NonZeroU32::new(shards).unwrap());
    // The first goes to the last shard.
    for tag in 0..u64::from(shards) {
        let shard = &map.shards()[shards as usize - 1 - tag as usize];
        world.push_record(tag, record(tag, "k", 30).with_explicit_hash_key(shard.first)).unwrap();
        world.run_quietly_for(millis(1));
    }
    world.batcher.handle_shard_map(world.now, map);
    world.batcher.abort(world.now);
    let mut back = vec![];
    while let Some(event) = world.batcher.poll_event() {
        if let Event::Failed { tag, .. } = event {
            back.push(tag);
        }
    }
    assert!(back.is_sorted() && back.len() == shards as usize, "they come back as {back:?}");
}

#[test]
fn aggregates_of_different_shards_share_requests() {
    let mut world = World::new(aggregating().time_to_live(None).build().unwrap(), 16);
    let mut stream = Stream::new(world.map.clone());
    for tag in 0..50_000 {
        world.push(tag, &format!("k{tag}"), 100).unwrap();
        if tag % 10 == 9 {
            world.run_quietly_for(millis(1));
            world.settle_with(|now, request| stream.store(now, request));
        }
    }
    drain(&mut world, &mut stream);
    let requests = world.stats().requests_sent;
    assert!(requests < 100, "five seconds of sixteen shards took {requests} requests");
    assert!(stream.kinesis_records < 16 * 100, "and {} aggregates", stream.kinesis_records);
    let slowest = (0..50_000).map(|tag| world.delay(tag)).max().unwrap();
    assert!(slowest <= millis(110), "the slowest record took {slowest:?}");
}

//! The invariants, under operations that nobody thought of.

mod checks;

use std::num::NonZeroU32;
use std::time::Duration;

use checks::{Answer, Op, the_promises_hold};
use kinesis_batcher_core::{Config, Ordering, RequestError, ServiceError, ShardLimit, ShardMap};
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => push(),
        3 => (0u32..300_000).prop_map(|micros| Op::Wait { micros }),
        3 => Just(Op::WaitForDeadline),
        1 => (0u32..1_000_000).prop_map(|micros| Op::StepBack { micros }),
        6 => (any::<usize>(), answer()).prop_map(|(which, answer)| Op::Answer { which, answer }),
        1 => Just(Op::Flush),
        1 => prop::collection::vec(1u128.., 0..5).prop_map(|cuts| Op::Reshard { cuts }),
        1 => shards().prop_map(|shards| Op::Map(ShardMap::count_only(shards))),
        1 => shards().prop_map(|shards| Op::Map(ShardMap::auto(shards))),
    ]
}

fn shards() -> impl Strategy<Value = NonZeroU32> {
    (1u32..9).prop_map(|shards| NonZeroU32::new(shards).expect("the range starts at one"))
}

fn push() -> impl Strategy<Value = Op> {
    (
        prop_oneof![3 => any::<u16>().prop_map(Some), 6 => (0u16..6).prop_map(Some), 1 => Just(None)],
        prop::option::weighted(0.2, (0u128..4).prop_map(|quarter| quarter << 126)),
        prop_oneof![8u32..200, 8u32..300_000],
    )
        .prop_map(|(key, explicit, bytes)| Op::Push { key, explicit, bytes })
}

fn answer() -> impl Strategy<Value = Answer> {
    let codes = prop_oneof![
        Just("ValidationException"),
        Just("AccessDeniedException"),
        Just("ProvisionedThroughputExceededException"),
        Just("ExpiredTokenException"),
        Just(""),
    ];
    prop_oneof![
        8 => any::<u64>().prop_map(Answer::Each),
        1 => (0usize..600).prop_map(Answer::WrongLength),
        2 => (prop_oneof![Just(400u16), Just(500), Just(503)], codes).prop_map(|(status, code)| {
            Answer::Error(RequestError::refused(status, ServiceError::from_code(code)))
        }),
        1 => Just(Answer::Error(RequestError::not_sent("no route"))),
        1 => Just(Answer::Error(RequestError::outcome_unknown("reset"))),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    (
        prop_oneof![Just(0u64), 1u64..200_000],
        1usize..5,
        prop_oneof![Just(500usize), 1usize..20],
        prop_oneof![Just(10usize << 20), 1_024usize..400_000],
        prop_oneof![Just(ShardLimit::Off), (1u16..1_000).prop_map(ShardLimit::Percent)],
        prop::option::of(1u64..2_000),
        prop::option::of(1u32..5),
        (10_000usize..2_000_000, 1usize..400),
        (any::<bool>(), 1_024usize..20_000, 1usize..50),
        prop_oneof![Just(Ordering::None), Just(Ordering::PartitionKey)],
        any::<bool>(),
    )
        .prop_map(
            |(
                linger,
                in_flight,
                records,
                bytes,
                limit,
                time_to_live,
                attempts,
                (buffer, buffer_records),
                (aggregation, aggregate_bytes, aggregate_records),
                ordering,
                adaptive_rates,
            )| {
                Config::builder()
                    .linger(Duration::from_micros(linger))
                    .in_flight_requests_max(in_flight)
                    .request_records_max(records)
                    .request_bytes_max(bytes)
                    .shard_limit(limit)
                    .time_to_live(time_to_live.map(Duration::from_millis))
                    .attempts_max(attempts)
                    .buffer_bytes_max(buffer)
                    .buffer_records_max(buffer_records)
                    .aggregation(aggregation)
                    .aggregate_bytes_max(aggregate_bytes)
                    .aggregate_records_max(aggregate_records)
                    .ordering(ordering)
                    .adaptive_rates(adaptive_rates)
                    .build()
                    .expect("each range above is within the allowed")
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_invariants_hold(config in config(), ops in prop::collection::vec(op(), 1..120), abort in any::<bool>()) {
        the_promises_hold(&config, &ops, abort);
    }
}

//! Settings and operations from bytes.

use std::num::NonZeroU32;
use std::time::Duration;

use kinesis_batcher_core::{Config, Ordering, RequestError, ServiceError, ShardLimit, ShardMap};

use super::model::the_promises_hold_or_it_shows;
use super::op::{Answer, Op};
use super::told::Told;

/// The promises hold for the settings and operations that `bytes` tell.
pub fn operations_hold(bytes: &[u8]) {
    let mut told = Told::new(bytes);
    let (config, aborts) = (config(&mut told), told.flag());
    let mut ops = Vec::new();
    while !told.is_over() && ops.len() < OPS_MAX {
        ops.push(op(&mut told));
    }
    the_promises_hold_or_it_shows(&config, &ops, aborts);
}

pub(super) fn config(told: &mut Told<'_>) -> Config {
    let mut config = Config::builder()
        .linger(Duration::from_millis(told.one_of(&[100, 0, 1, 10, 1_000])))
        .in_flight_requests_max(told.one_of(&[4, 1, 2, 16]))
        .request_records_max(told.one_of(&[500, 1, 2, 3, 7, 20]))
        .request_bytes_max(told.one_of(&[10 << 20, 1 << 10, 10_000, 400_000]))
        .shard_limit(told.maybe(&[1, 10, 100, 1_000]).map_or(ShardLimit::Off, ShardLimit::Percent))
        .adaptive_rates(told.flag())
        .time_to_live(told.maybe(&[1, 20, 300, 2_000]).map(Duration::from_millis))
        .attempts_max(told.maybe(&[1, 2, 3]))
        .buffer_bytes_max(told.one_of(&[1_000_000, 1_024, 10_000, 100_000]))
        .buffer_records_max(told.one_of(&[200, 1, 3, 30]));
    if told.flag() {
        config = config
            .aggregation(true)
            .aggregate_bytes_max(told.one_of(&[20_000, 1_024, 4_000]))
            .aggregate_records_max(told.one_of(&[50, 1, 2, 5]));
    }
    if told.flag() {
        config = config.ordering(Ordering::PartitionKey);
    }
    config.build().expect("each choice is within its range")
}

fn op(told: &mut Told<'_>) -> Op {
    match told.byte() % 16 {
        0..=5 => push(told),
        6 | 7 => Op::WaitForDeadline,
        8 => Op::Wait { micros: told.number(2) as u32 * 5 },
        9..=11 => Op::Answer { which: told.byte().into(), answer: answer(told) },
        12 => Op::Flush,
        13 => Op::StepBack { micros: told.number(2) as u32 * 16 },
        14 => Op::Reshard { cuts: (0..told.below(6)).map(|_| told.hash_key().max(1)).collect() },
        _ => {
            let shards = NonZeroU32::MIN.saturating_add(told.below(8) as u32);
            Op::Map(if told.flag() { ShardMap::auto(shards) } else { ShardMap::count_only(shards) })
        }
    }
}

pub(super) fn push(told: &mut Told<'_>) -> Op {
    let how = told.byte();
    Op::Push {
        key: (how % 16 != 15).then_some(u16::from(how % 16)),
        explicit: (how & 0x30 == 0x30).then(|| told.hash_key()),
        bytes: match how >> 6 {
            0 => 20,
            1 => 8 + u32::from(told.byte()),
            2 => 8 + u32::from(told.byte()) * 64,
            _ => 8 + u32::from(told.byte()) * 1_024,
        },
    }
}

fn answer(told: &mut Told<'_>) -> Answer {
    match told.byte() % 8 {
        0..=3 => Answer::Each(told.number(1) as u64),
        4 => Answer::WrongLength(told.byte().into()),
        5 => {
            let code = told.one_of(&[
                "ValidationException",
                "AccessDeniedException",
                "ProvisionedThroughputExceededException",
                "ExpiredTokenException",
                "",
            ]);
            Answer::Error(RequestError::refused(told.one_of(&[400, 500, 503]), ServiceError::from_code(code)))
        }
        6 => Answer::Error(RequestError::not_sent("no route")),
        _ => Answer::Error(RequestError::outcome_unknown("reset")),
    }
}

/// So that one input takes milliseconds.
const OPS_MAX: usize = 200;

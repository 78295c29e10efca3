//! Runs that arbitrary bytes describe. The fuzz target and the replay of its corpus both make them.
//!
//! A seed draws its faults from a swarm; here the fuzzer picks each fault and its time, and learns from what the run
//! reached.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "each user takes a part"
)]

#[path = "../../../kinesis-batcher-core/tests/checks/told.rs"]
mod told;

use std::time::Duration;

use kinesis_batcher_core::{AlreadyAggregated, Config, Ordering, ShardLimit};
use kinesis_batcher_sim::{
    AccountFault, Accounting, Distribution, Ending, Fault, FaultKind, Faults, KeyText, Keys, Latency, Law,
    Network, Options, OutageKind, Permits, Rate, ServiceFaults, ServiceOptions, Sizes, Spacing, StreamMode,
    Workload, run,
};
use told::Told;

/// Every promise is kept in the run that `bytes` describe.
pub fn runs_keep_every_promise(bytes: &[u8]) {
    let mut told = Told::new(bytes);
    let seed = told.number(2) as u64;
    let options = options(&mut told);
    let report = run(seed, &options);
    if !report.is_ok() {
        let traced = run(seed, &options.trace_lines_max(TRACE_LINES));
        panic!("{}\n{traced}", traced.trace);
    }
}

fn options(told: &mut Told<'_>) -> Options {
    let mut options = Options::default()
        .config(config(told))
        .duration(Duration::from_millis(told.one_of(&[1_000, 100, 300, 3_000])))
        .producers(told.one_of(&[1, 1, 2, 3]))
        .ending(told.one_of(&[Ending::Close, Ending::Drain, Ending::Abort]));
    options.service = service(told);
    let auto = options.service.distribution == Distribution::Auto;
    options.workload = workload(told, options.duration, auto);
    options.network = network(told);
    options.refresh = latency(told);
    options.refresh_every = told.maybe(&[50, 700]).map(Duration::from_millis);
    let mut faults = Vec::new();
    while !told.is_over() && faults.len() < FAULTS_MAX {
        faults.push(fault(told, &options));
    }
    options.faults(Faults::Plan(faults))
}

fn config(told: &mut Told<'_>) -> Config {
    let mut config = Config::builder()
        .linger(Duration::from_millis(told.one_of(&[100, 0, 1, 10, 1_000])))
        .in_flight_requests_max(told.one_of(&[16, 1, 2, 4]))
        .request_records_max(told.one_of(&[500, 1, 2, 3, 7, 20]))
        .request_bytes_max(told.one_of(&[10 << 20, 1 << 10, 10_000, 400_000]))
        .shard_limit(told.maybe(&[1, 10, 100, 1_000]).map_or(ShardLimit::Off, ShardLimit::Percent))
        .adaptive_rates(told.flag())
        .time_to_live(told.maybe(&[1, 20, 300, 2_000, 20_000]).map(Duration::from_millis))
        .attempts_max(told.maybe(&[1, 2, 3, 8]))
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
    if told.flag() {
        config = config.already_aggregated(AlreadyAggregated::Refuse);
    }
    config.build().expect("each choice is within its range")
}

fn service(told: &mut Told<'_>) -> ServiceOptions {
    let mut service = ServiceOptions::default();
    service.shards = told.one_of(&[4, 1, 2, 3, 8]);
    let token = |millis| Accounting::of(Law::Token { burst: Duration::from_millis(millis) });
    service.accounting = told.one_of(&[
        token(1_000),
        token(1),
        token(100),
        token(2_000),
        Accounting::CLOCK,
        Accounting::FIRST,
        Accounting::SLIDING,
    ]);
    service.records_per_second_per_shard = told.one_of(&[1_000, 5, 30, 200]);
    // With less, what was pushed in seconds takes most of an hour, and the run as long as a fuzzer waits for one.
    service.bytes_per_second_per_shard = told.one_of(&[1 << 20, 8 << 10, 50_000]);
    service.record_bytes_max = told.one_of(&[1 << 20, 2 << 20]);
    service.reshard_step = Duration::from_millis(told.one_of(&[0, 1, 300]));
    service.mode = told.one_of(&[StreamMode::Provisioned, StreamMode::Provisioned, StreamMode::OnDemand]);
    service.scaling_delay = Duration::from_millis(told.one_of(&[10, 500]));
    service.shards_max = 16;
    match told.byte() % 8 {
        6 => service.distribution = Distribution::Auto,
        7 => service.permits = Permits::SummaryOnly,
        _ => {}
    }
    service
}

fn workload(told: &mut Told<'_>, duration: Duration, auto: bool) -> Workload {
    let records = told.one_of(&[50, 10, 200]);
    let per_second = records * 1_000 / duration.as_millis() as u64;
    let period = duration / told.one_of(&[1, 2, 5]);
    let keys = told.one_of(&[20, 1, 2, 200]);
    let mut workload = Workload::default();
    workload.rate = match told.byte() % 4 {
        0 => Rate::Constant(per_second),
        1 => Rate::Bursts { records: (records / 5) as u32, every: duration / 5 },
        2 => Rate::Ramp { from: 0, to: 2 * per_second },
        _ => Rate::Waves { low: 0, high: 2 * per_second, period },
    };
    workload.spacing = told.one_of(&[Spacing::Random, Spacing::Even]);
    workload.sizes = told.one_of(&[
        Sizes::Constant(100),
        Sizes::Constant(8),
        Sizes::Uniform { low: 8, high: 5_000 },
        Sizes::Bimodal { small: 20, large: 60_000, large_in_a_million: 100_000 },
        Sizes::Bimodal { small: 200, large: 1_500_000, large_in_a_million: 20_000 },
    ]);
    workload.keys = told.one_of(&[
        Keys::Uniform { keys },
        Keys::Hot { keys, percent: 60 },
        Keys::Zipf { keys, exponent_milli: 1_200 },
    ]);
    workload.key_text = told.one_of(&[KeyText::Short, KeyText::Short, KeyText::Long]);
    workload.explicit_hash_keys = told.one_of(&[0, 0, 300_000]);
    workload.without_key = if auto { told.one_of(&[0, 300_000]) } else { 0 };
    workload.aggregates = told.one_of(&[0, 0, 200_000]);
    workload.poison = told.one_of(&[0, 0, 20_000]);
    workload.pushes_together = told.flag();
    workload.waiting_max = told.one_of(&[100, 1, 10]);
    workload
}

fn network(told: &mut Told<'_>) -> Network {
    let (out, back) = (latency(told), latency(told));
    // A producer that waits for less than a request takes at its slowest may never learn of a success.
    let shortest = out.max() + back.max() + Duration::from_millis(1);
    Network::new(out, back)
        .request_timeout(shortest.max(Duration::from_millis(told.one_of(&[10_000, 20, 500]))))
}

fn latency(told: &mut Told<'_>) -> Latency {
    let one = Duration::from_micros(told.one_of(&[10_000, 10, 1_000, 100_000]));
    told.one_of(&[
        Latency::Constant(one),
        Latency::Uniform { low: one / 10, high: one },
        Latency::LongTail { median: one },
    ])
}

fn fault(told: &mut Told<'_>, options: &Options) -> Fault {
    let what = fault_kind(told, options);
    let (one, other) = (time(told, options.duration), time(told, options.duration));
    match told.byte() % 4 {
        0 => Fault::at(one, what),
        1 => Fault::always(what),
        _ => Fault::new(one.min(other), one.max(other), what),
    }
}

/// A 256th of the run from the next, and a little after it.
fn time(told: &mut Told<'_>, duration: Duration) -> Duration {
    let byte = u32::from(told.byte());
    duration * byte / 256 + Duration::from_micros(u64::from(byte % 7))
}

fn fault_kind(told: &mut Told<'_>, options: &Options) -> FaultKind {
    let kind = told.byte();
    let often = told.one_of(&[1_000_000, 1_000, 30_000, 200_000, 500_000]);
    let producer = told.below(options.producers as usize) as u32;
    let by_shard = options.service.distribution == Distribution::UserPartitionKey
        && options.service.permits == Permits::ListShards;
    if let Some(kind) = kind.checked_sub(OTHER_KINDS) {
        return other_fault_kind(told, kind);
    }
    match kind % 27 {
        0 => FaultKind::Split,
        1 => FaultKind::Merge,
        2 => FaultKind::ShardCount(told.one_of(&[1, 2, 3, 5, 16])),
        3 => FaultKind::LostBeforeWrite(often),
        4 => FaultKind::LostAfterWrite(often),
        5 => FaultKind::LateArrival(often),
        6 => FaultKind::ReplyStuck(often),
        7 => FaultKind::Slow(told.one_of(&[10, 200, 1_000, 10_000])),
        8 => FaultKind::Outage(told.one_of(&[
            OutageKind::Refused,
            OutageKind::TimesOut,
            OutageKind::ServerError,
        ])),
        9 => FaultKind::ReplyTooShort(often),
        10 => FaultKind::ReplyTooLong(often),
        11 => FaultKind::UnknownShard(often),
        12 => FaultKind::NoVerdict(often),
        13 | 14 => FaultKind::Service(service_faults(told, often)),
        15 => FaultKind::MapFails(often),
        16 => FaultKind::MapStale(often),
        17 if by_shard => FaultKind::MapDenied(often),
        17 | 18 => FaultKind::MapSlow(Duration::from_millis(told.one_of(&[1, 50, 1_000]))),
        19 => FaultKind::TimersLate(Duration::from_micros(told.one_of(&[1, 1_000, 100_000]))),
        20 => FaultKind::Spurious(often),
        21 => FaultKind::StepBack(often),
        22 => FaultKind::CoarseClock(Duration::from_micros(told.one_of(&[1, 15_000, 200_000]))),
        23 => {
            FaultKind::ClockBack { producer, by: Duration::from_micros(told.one_of(&[1, 10_000, 5_000_000])) }
        }
        24 => FaultKind::ClockRight { producer },
        25 => FaultKind::Flush { producer },
        _ if told.flag() => FaultKind::Close { producer },
        _ => FaultKind::Abort { producer },
    }
}

/// What says nothing about a record, and the distribution.
fn other_fault_kind(told: &mut Told<'_>, kind: u8) -> FaultKind {
    match kind % 8 {
        0..=2 => FaultKind::Account(told.one_of(&AccountFault::ALL)),
        3 => FaultKind::BodyTooLarge(told.one_of(&[10_000, 1_000, 100_000])),
        4 => FaultKind::ClockSkewed,
        5 => FaultKind::KeysRotated { reload: Duration::from_millis(told.one_of(&[1, 100, 2_000])) },
        6 => FaultKind::Distribution(Distribution::Auto),
        _ => FaultKind::Distribution(Distribution::UserPartitionKey),
    }
}

fn service_faults(told: &mut Told<'_>, often: u32) -> ServiceFaults {
    let mut faults = ServiceFaults::default();
    let kinds = [
        &mut faults.internal_failure,
        &mut faults.throttle,
        &mut faults.unknown_code,
        &mut faults.kms,
        &mut faults.kms_throttle,
        &mut faults.calls_internal_failure,
        &mut faults.calls_unavailable,
        &mut faults.calls_throttled,
        &mut faults.calls_expired_token,
        &mut faults.calls_access_denied,
    ];
    let chosen = told.number(2) as usize;
    for (bit, kind) in kinds.into_iter().enumerate() {
        if chosen >> bit & 1 == 1 {
            *kind = often;
        }
    }
    faults
}

/// Kinds from here on are of another list, so that those of the corpus stay what they were.
const OTHER_KINDS: u8 = 216;
/// A run then takes a few milliseconds.
const FAULTS_MAX: usize = 16;
/// Of the end of a run that broke a promise.
const TRACE_LINES: usize = 300;

//! Short runs, in which anything may be chosen.

use std::time::Duration;

use kinesis_batcher_core::{AlreadyAggregated, Config, Ordering, ShardLimit};
use kinesis_model::limits::{SHARD_BYTES_PER_SECOND, SHARD_BYTES_PER_SECOND_DECIMAL};
use kinesis_model::{Accounting, Distribution, Law, Others, Permits, StreamMode};

use super::{caller, narrow, storm};
use crate::faults::Faults;
use crate::latency::Latency;
use crate::network::Network;
use crate::options::{Ending, Options};
use crate::service::ServiceOptions;
use crate::workload::{KeyText, Keys, Rate, Sizes, Spacing, Workload};
use kinesis_model::Rng;

/// Everything chosen by the seed.
pub(super) fn options(root: &Rng) -> Options {
    let mut rng = root.fork("flood");
    if rng.one_in(FLOOD_ONE_IN) {
        return storm::flood(&mut rng);
    }
    let mut rng = root.fork("storm");
    if rng.one_in(STORM_ONE_IN) {
        let mut options = storm::options(&mut rng);
        options.caller = caller(&mut root.fork("caller"));
        return options;
    }
    let mut service = service(&mut root.fork("service"));
    let mut rng = root.fork("run");
    let producers = if rng.one_in(3) { rng.between(2, 4) as u32 } else { 1 };
    let duration = Duration::from_millis(rng.magnitude(100, 10_000));
    let config = config(&mut root.fork("config"));
    let auto = service.distribution == Distribution::Auto;
    // Links may carry late copies too.
    let bytes_in_flight_max = 2 * config.buffer_bytes_max() as u64;
    let mut network_rng = root.fork("network");
    let network = network(&mut network_rng);
    let workload = workload(&mut root.fork("workload"), producers, duration, auto);
    restrict(&mut service.accounting, &config, &workload);
    Options {
        config,
        workload,
        caller: caller(&mut root.fork("caller")),
        network: narrow(&mut network_rng, network, bytes_in_flight_max),
        refresh: latency(&mut rng, 1_000_000),
        refresh_every: rng.one_in(6).then(|| Duration::from_millis(rng.magnitude(10, 3_000))),
        ending: *rng.pick(&[Ending::Close, Ending::Close, Ending::Drain, Ending::Drain, Ending::Abort]),
        faults: Faults::Swarm,
        service,
        producers,
        duration,
        ..Options::default()
    }
}

fn config(rng: &mut Rng) -> Config {
    let mut config = Config::builder();
    config = match rng.below(5) {
        0 => config.linger(Duration::ZERO),
        1 => config,
        _ => config.linger(Duration::from_micros(rng.magnitude(1, 1_000_000))),
    };
    config = config.in_flight_requests_max(rng.magnitude(1, 16) as usize);
    if rng.one_in(2) {
        config = config.request_records_max(rng.magnitude(1, 100) as usize);
    }
    if rng.one_in(3) {
        config = config.request_bytes_max(rng.magnitude(1_024, 1 << 20) as usize);
    }
    if rng.one_in(3) {
        config = config.buffer_bytes_max(rng.magnitude(1_024, 1 << 20) as usize);
    }
    if rng.one_in(3) {
        config = config.buffer_records_max(rng.magnitude(1, 400) as usize);
    }
    config = match rng.below(3) {
        0 => config,
        1 => config.time_to_live(None),
        _ => config.time_to_live(Duration::from_millis(rng.magnitude(1, 20_000))),
    };
    if rng.one_in(3) {
        config = config.attempts_max(rng.magnitude(1, 8) as u32);
    }
    if rng.one_in(2) {
        config = config
            .aggregation(true)
            .aggregate_bytes_max(rng.magnitude(1_024, 50 << 10) as usize)
            .aggregate_records_max(rng.magnitude(1, 200) as usize);
    }
    config = match rng.below(6) {
        0 | 1 => config,
        2 => config.shard_limit(ShardLimit::Off),
        _ => config.shard_limit(ShardLimit::Percent(rng.magnitude(1, 1_000) as u16)),
    };
    if rng.one_in(2) {
        config = config.already_aggregated(AlreadyAggregated::Refuse);
    }
    if rng.one_in(3) {
        config = config.ordering(Ordering::PartitionKey);
    }
    config = config.adaptive_rates(!rng.one_in(3)).fail_fast(rng.one_in(8));
    config.build().expect("each range above is within the allowed")
}

fn service(rng: &mut Rng) -> ServiceOptions {
    let shards = rng.magnitude(1, 64) as u32;
    let mut service = ServiceOptions::default();
    service.shards = shards;
    if rng.one_in(2) {
        let burst = Duration::from_millis(rng.magnitude(1, 2_000));
        service.accounting = Accounting::of(Law::Token { burst });
    }
    if rng.one_in(2) {
        // As if others wrote to the stream too.
        service.records_per_second_per_shard = rng.magnitude(5, 1_000) as u32;
    }
    if rng.one_in(4) {
        service.bytes_per_second_per_shard = rng.magnitude(1_024, 1 << 20) as u32;
    }
    if rng.one_in(8) {
        service.record_bytes_max = rng.between(1 << 20, 10 << 20) as usize;
    }
    if rng.one_in(3) {
        service.reshard_step = Duration::from_millis(rng.magnitude(1, 2_000));
    }
    if rng.one_in(5) {
        service.mode = StreamMode::OnDemand;
        service.scaling_delay = Duration::from_millis(rng.magnitude(1, 5_000));
        service.shards_max = 128;
    }
    accounting(&mut rng.fork("accounting"), &mut service);
    match rng.below(10) {
        0 => service.distribution = Distribution::Auto,
        1 => {
            service.permits = Permits::SummaryOnly;
            // Rates do not adapt where the shards are not known.
            service.accounting.counts_refused = false;
        }
        _ => {}
    }
    service
}

/// S-07, S-08: every way in which a shard can count its second, beside other producers or not.
///
/// Small limits stay without other producers and do not count refused attempts: see [`restrict`].
fn accounting(rng: &mut Rng, service: &mut ServiceOptions) {
    if rng.one_in(2) {
        service.accounting = *rng.pick(&Accounting::ALL);
    }
    if service.bytes_per_second_per_shard < SHARD_BYTES_PER_SECOND {
        return;
    }
    if service.records_per_second_per_shard >= 100 && rng.one_in(3) {
        service.accounting = service.accounting.counting_refused();
    }
    if rng.one_in(3) {
        let (low_percent, high_percent) = (rng.below(90) as u32, rng.below(90) as u32);
        let period = Duration::from_millis(rng.magnitude(100, 20_000));
        service.accounting = service.accounting.beside(Others { low_percent, high_percent, period });
    }
    if rng.one_in(4) {
        service.bytes_per_second_per_shard = SHARD_BYTES_PER_SECOND_DECIMAL;
    }
}

/// Leaves out what no producer can do well under, so that every run must drain.
fn restrict(accounting: &mut Accounting, config: &Config, workload: &Workload) {
    // A second that others never leave empty never has room for the largest records, nor has a small bucket.
    let is_small = matches!(accounting.law, Law::Token { burst } if burst < Duration::from_millis(200));
    if is_small || matches!(workload.sizes, Sizes::Bimodal { .. }) {
        accounting.others = Others::default();
    }
    // Where refused attempts count, a rate above the limit that does not adapt is refused for ever.
    accounting.counts_refused &= config.adaptive_rates() && config.shard_limit() != ShardLimit::Off;
}

fn workload(rng: &mut Rng, producers: u32, duration: Duration, auto: bool) -> Workload {
    let records = rng.magnitude(20, 600) / u64::from(producers) + 1;
    let millis = duration.as_millis() as u64;
    let per_second = (records * 1_000 / millis).max(1);
    let rate = match rng.below(5) {
        0 => {
            let bursts = rng.between(1, records.min(10));
            Rate::Bursts {
                records: (records / bursts) as u32,
                every: Duration::from_millis((millis / bursts).max(1)),
            }
        }
        1 => Rate::Ramp { from: 0, to: 2 * per_second },
        2 => {
            let period = Duration::from_millis((millis / rng.between(1, 5)).max(1));
            Rate::Waves { low: 0, high: 2 * per_second, period }
        }
        _ => Rate::Constant(per_second),
    };
    let sizes = match rng.below(6) {
        0 => Sizes::Constant(8),
        1 | 2 => Sizes::Constant(rng.magnitude(8, 2_000) as u32),
        3 | 4 => Sizes::Uniform { low: 8, high: rng.magnitude(8, 20_000) as u32 },
        _ => Sizes::Bimodal {
            small: rng.magnitude(8, 500) as u32,
            large: rng.magnitude(20_000, 1_500_000) as u32,
            large_in_a_million: rng.magnitude(1_000, 50_000) as u32,
        },
    };
    let count = rng.magnitude(1, 500) as u32;
    let keys = match rng.below(4) {
        0 => Keys::Zipf { keys: count, exponent_milli: rng.between(500, 2_500) as u32 },
        1 => Keys::Hot { keys: count, percent: rng.between(10, 100) as u32 },
        _ => Keys::Uniform { keys: count },
    };
    Workload {
        rate,
        spacing: *rng.pick(&[Spacing::Even, Spacing::Random]),
        sizes,
        keys,
        key_text: if rng.one_in(12) { KeyText::Long } else { KeyText::Short },
        explicit_hash_keys: if rng.one_in(3) { rng.magnitude(10_000, 1_000_000) as u32 } else { 0 },
        without_key: if auto && rng.one_in(2) { rng.magnitude(10_000, 1_000_000) as u32 } else { 0 },
        aggregates: if rng.one_in(10) { rng.magnitude(10_000, 500_000) as u32 } else { 0 },
        poison: if rng.one_in(8) { rng.magnitude(1_000, 100_000) as u32 } else { 0 },
        pushes_together: rng.one_in(3),
        waiting_max: rng.magnitude(1, 100) as u32,
    }
}

fn network(rng: &mut Rng) -> Network {
    let (out, back) = (latency(rng, 200_000), latency(rng, 500_000));
    // A producer that waits for less than a request takes at its slowest may never learn of a success.
    let shortest = out.max() + back.max() + Duration::from_millis(1);
    Network::new(out, back).request_timeout(shortest.max(Duration::from_millis(rng.magnitude(20, 10_000))))
}

/// Up to this median, in microseconds.
pub(super) fn latency(rng: &mut Rng, micros_max: u64) -> Latency {
    let one = Duration::from_micros(rng.magnitude(10, micros_max));
    match rng.below(3) {
        0 => Latency::Constant(one),
        1 => Latency::Uniform { low: one / 10, high: one },
        _ => Latency::LongTail { median: one },
    }
}

/// A flood has ten times the records of other runs.
const FLOOD_ONE_IN: u64 = 60;
/// One run in so many is a storm or a drought.
const STORM_ONE_IN: u64 = 6;

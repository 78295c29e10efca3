//! Minutes of many producers on a full stream.

use std::time::Duration;

use kinesis_batcher_core::{Config, Ordering};
use kinesis_model::{Accounting, Law};

use super::{caller, narrow};
use crate::faults::Faults;
use crate::latency::Latency;
use crate::network::Network;
use crate::options::{Ending, Options};
use crate::workload::{Keys, Rate, Sizes};
use kinesis_model::Rng;

pub(super) fn options(root: &Rng) -> Options {
    let mut rng = root.fork("run");
    let producers = *rng.pick(&[64, 64, 32, 16, 8]);
    let duration = Duration::from_secs(rng.between(300, 480));
    let shards = rng.magnitude(1, 4) as u32;
    let mut options = Options::default().producers(producers).duration(duration);
    options.service.shards = shards;
    options.service.records_per_second_per_shard = rng.magnitude(32, 128) as u32 / shards;
    if rng.one_in(2) {
        let burst = Duration::from_millis(rng.magnitude(50, 1_000));
        options.service.accounting = Accounting::of(Law::Token { burst });
    }
    let capacity = u64::from(shards * options.service.records_per_second_per_shard);
    options.config = config(&mut root.fork("config"), capacity / u64::from(producers));
    // From a little less than the stream takes to three times as much.
    let offered = (capacity * rng.between(80, 300) / 100 / u64::from(producers)).max(1);
    options.workload.rate = match rng.below(3) {
        0 => Rate::Constant(offered),
        1 => Rate::Bursts { records: 10 * offered as u32, every: Duration::from_secs(10) },
        // Silence for longer than anything that a producer remembers of a throttled shard.
        _ => Rate::Waves { low: 0, high: 2 * offered, period: Duration::from_secs(rng.between(135, 240)) },
    };
    options.workload.sizes = Sizes::Constant(rng.magnitude(8, 1_000) as u32);
    let keys = rng.magnitude(100, 10_000) as u32;
    options.workload.keys = match rng.below(3) {
        0 => Keys::Zipf { keys, exponent_milli: rng.between(500, 1_200) as u32 },
        _ => Keys::Uniform { keys },
    };
    options.workload.waiting_max = rng.magnitude(1, 20) as u32;
    options.caller = caller(&mut root.fork("caller"));
    let one_way = Latency::LongTail { median: Duration::from_millis(rng.magnitude(1, 100)) };
    let bytes_in_flight_max = 2 * options.config.buffer_bytes_max() as u64;
    options.network = narrow(&mut root.fork("network"), Network::new(one_way, one_way), bytes_in_flight_max);
    options.refresh = Latency::Constant(Duration::from_millis(rng.magnitude(10, 2_000)));
    options.ending = *rng.pick(&[Ending::Close, Ending::Drain]);
    options.faults(if rng.one_in(3) { Faults::None } else { Faults::Swarm })
}

/// Most buffers hold more than a producer's share of the stream takes in the default time to live of five minutes.
fn config(rng: &mut Rng, records_per_second: u64) -> Config {
    let five_minutes = records_per_second.max(1) * 300;
    let buffer = five_minutes * rng.between(10, 200) / 100 + 20;
    let mut config = Config::builder()
        .buffer_records_max(buffer as usize)
        .buffer_bytes_max(4 << 20)
        .linger(Duration::from_millis(rng.magnitude(1, 1_000)))
        .aggregation(rng.one_in(3))
        .adaptive_rates(!rng.one_in(4));
    if rng.one_in(4) {
        config = config.ordering(Ordering::PartitionKey);
    }
    if rng.one_in(4) {
        config = config.time_to_live(None);
    }
    config.build().expect("each range above is within the allowed")
}

//! Ten days of a few records a minute.

use std::time::Duration;

use kinesis_batcher_core::{Config, Ordering};

use super::{caller, narrow};
use crate::faults::Faults;
use crate::latency::Latency;
use crate::network::Network;
use crate::options::{Ending, Options};
use crate::workload::{Keys, Rate, Sizes, Spacing};
use kinesis_model::Rng;

pub(super) fn options(root: &Rng) -> Options {
    let mut rng = root.fork("run");
    let mut options = Options::default().producers(rng.between(1, 3) as u32).duration(TEN_DAYS);
    options.config = config(&mut root.fork("config"));
    options.service.shards = rng.magnitude(1, 8) as u32;
    options.workload.rate = Rate::Bursts {
        records: rng.magnitude(1, 8) as u32,
        every: Duration::from_secs(rng.magnitude(60, 600)),
    };
    options.workload.spacing = Spacing::Random;
    options.workload.sizes = Sizes::Uniform { low: 8, high: rng.magnitude(8, 2_000) as u32 };
    options.workload.keys = Keys::Uniform { keys: rng.magnitude(1, 1_000) as u32 };
    options.workload.waiting_max = 10;
    options.caller = caller(&mut root.fork("caller"));
    let one_way = Latency::LongTail { median: Duration::from_millis(rng.magnitude(1, 100)) };
    let bytes_in_flight_max = 2 * options.config.buffer_bytes_max() as u64;
    options.network = narrow(&mut root.fork("network"), Network::new(one_way, one_way), bytes_in_flight_max);
    // As the drivers refresh their maps: now and then.
    options.refresh_every = rng.one_in(2).then_some(Duration::from_secs(300));
    options.ending = *rng.pick(&[Ending::Close, Ending::Drain]);
    options.faults(if rng.one_in(3) { Faults::None } else { Faults::Swarm })
}

fn config(rng: &mut Rng) -> Config {
    let mut config = Config::builder()
        .buffer_records_max(1_000)
        .buffer_bytes_max(1 << 20)
        .linger(Duration::from_millis(rng.magnitude(1, 60_000)))
        .aggregation(rng.one_in(2));
    if rng.one_in(4) {
        config = config.ordering(Ordering::PartitionKey);
    }
    if rng.one_in(4) {
        config = config.time_to_live(None);
    }
    config.build().expect("each range above is within the allowed")
}

const TEN_DAYS: Duration = Duration::from_secs(10 * 24 * 3_600);

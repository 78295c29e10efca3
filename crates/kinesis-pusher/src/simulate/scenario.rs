//! From what was typed to what is simulated.

use std::time::Duration;

use kinesis_batcher_core::{ConfigBuilder, Ordering, ShardLimit};
use kinesis_batcher_sim::{
    Accounting, Checks, Latency, Network, Options, Rate, ServiceOptions, Sizes, Workload,
};

use super::fault::plan;
use super::keys::KeysSpec;
use crate::cli::{SimulateArgs, write_duration};
use crate::exit::StartError;
use crate::summary::grouped;

/// What is simulated.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    /// Records a second that all producers together are offered.
    pub(super) rate: u64,
    pub(super) record_bytes: u32,
    pub(super) keys: KeysSpec,
    pub(super) key_count: u32,
    /// What 99 of 100 records may take, where shards are counted.
    pub(super) latency: Duration,
    /// The settings of each producer.
    pub(super) settings: ConfigBuilder,
    pub(super) options: Options,
    /// The faults, as they were typed.
    faults: String,
}

impl Scenario {
    /// # Errors
    /// When settings that are right by themselves do not go together.
    pub(super) fn new(args: &SimulateArgs) -> Result<Self, StartError> {
        let (load, stream, report) = (&args.load, &args.stream, &args.report);
        let settings = args.producer.config();
        let config = settings.clone().build().map_err(|error| StartError::usage(error.to_string()))?;
        let one_way = Latency::LongTail { median: stream.round_trip / 2 };
        let mut workload = Workload::default();
        workload.rate = rate_of_one(load.rate, load.producers);
        workload.sizes = Sizes::Constant(load.record_size);
        workload.keys = load.keys.of(load.key_count);
        let settling = report.settling.unwrap_or(report.duration / 3);
        let mut options = Options::default()
            .config(config)
            .service(service(stream.shards, stream.others, stream.accounting))
            .producers(load.producers)
            .workload(workload)
            .network(Network::new(one_way, one_way))
            .faults(plan(&stream.faults, stream.shards, stream.round_trip))
            .duration(report.duration)
            .settling(settling)
            .checks(checks(load.rate, report.duration))
            .interval((report.duration / POINTS).max(Duration::from_millis(1)));
        options.stops_at_violation = false;
        let faults: Vec<String> = stream.faults.iter().map(ToString::to_string).collect();
        Ok(Self {
            seed: report.seed,
            rate: load.rate,
            record_bytes: load.record_size,
            keys: load.keys,
            key_count: load.key_count,
            latency: report.latency,
            settings,
            options,
            faults: faults.join(", "),
        })
    }

    /// Records a second that one shard takes.
    pub(super) fn shard_records(&self) -> u64 {
        self.options.service.records_per_second_per_shard.into()
    }

    /// Bytes a second that one shard takes.
    pub(super) fn shard_bytes(&self) -> u64 {
        self.options.service.bytes_per_second_per_shard.into()
    }

    /// What is simulated, in one line.
    pub(super) fn title(&self) -> String {
        let count = |number: u32, noun: &str| {
            let ending = if number == 1 { "" } else { "s" };
            format!("{} {noun}{ending}", grouped(number.into()))
        };
        let options = &self.options;
        let mut title = format!(
            "{} records/s of {} B, {} {} keys, {} to {} for {}, seed {}",
            grouped(self.rate),
            grouped(self.record_bytes.into()),
            grouped(self.key_count.into()),
            self.keys,
            count(options.producers, "producer"),
            count(options.service.shards, "shard"),
            write_duration(options.duration),
            self.seed,
        );
        if options.config.aggregation() {
            title.push_str(", aggregated");
        }
        if options.config.ordering() == Ordering::PartitionKey {
            title.push_str(", ordered");
        }
        match (options.config.shard_limit(), options.config.adaptive_rates()) {
            (ShardLimit::Off, _) => title.push_str(", without limits"),
            (ShardLimit::Percent(100), true) => {}
            (ShardLimit::Percent(percent), true) => title.push_str(&format!(", rates from {percent} %")),
            (ShardLimit::Percent(percent), false) => title.push_str(&format!(", rates fixed at {percent} %")),
        }
        if options.service.accounting != Accounting::default() {
            title.push_str(&format!(", shards count by {}", options.service.accounting));
        }
        if !self.faults.is_empty() {
            title.push_str(", faults ");
            title.push_str(&self.faults);
        }
        title
    }
}

/// A stream of which others use up a part all the time.
fn service(shards: u32, others_percent: u32, accounting: Accounting) -> ServiceOptions {
    let mut service = ServiceOptions::default();
    service.accounting = accounting;
    let left = |limit: u32| (u64::from(limit) * u64::from(100 - others_percent) / 100).max(1) as u32;
    service.records_per_second_per_shard = left(service.records_per_second_per_shard);
    service.bytes_per_second_per_shard = left(service.bytes_per_second_per_shard);
    service.shards = shards;
    service.shards_max = SHARDS_MAX.max(shards);
    service
}

/// One producer's part, exactly: 16 producers of 1,000 records/s get 62.5 each. Above 100,000 a second several
/// records come at once.
fn rate_of_one(rate: u64, producers: u32) -> Rate {
    let records = rate.div_ceil(u64::from(producers) * CLUMPS_PER_SECOND_MAX).max(1);
    let nanos = 1_000_000_000 * records * u64::from(producers) / rate.max(1);
    Rate::Bursts { records: records as u32, every: Duration::from_nanos(nanos) }
}

/// Every promise of the batcher is watched, but where that would double a long time.
fn checks(rate: u64, duration: Duration) -> Checks {
    let records = u128::from(rate) * duration.as_nanos() / 1_000_000_000;
    if records <= CHECKED_RECORDS_MAX { Checks::ALL } else { Checks::NONE }
}

/// Enough for a smooth line, few enough to label.
const POINTS: u32 = 60;
const SHARDS_MAX: u32 = 40_000;
/// A few seconds of work.
const CHECKED_RECORDS_MAX: u128 = 3_000_000;
const CLUMPS_PER_SECOND_MAX: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_producers_add_up_to_the_rate() {
        for (rate, producers) in [(1_000, 16), (1_000_000, 1), (48_000, 64), (3, 7)] {
            let Rate::Bursts { records, every } = rate_of_one(rate, producers) else { panic!("bursts") };
            let total = f64::from(records) * f64::from(producers) / every.as_secs_f64();
            assert!((total / rate as f64 - 1.0).abs() < 1e-4, "{total} records/s are not {rate}");
            assert!(every >= Duration::from_micros(9), "{every:?} apart");
        }
    }

    #[test]
    fn what_others_use_is_not_there() {
        let service = service(4, 25, Accounting::CLOCK);
        assert_eq!(
            (service.records_per_second_per_shard, service.bytes_per_second_per_shard),
            (750, 786_432)
        );
    }
}

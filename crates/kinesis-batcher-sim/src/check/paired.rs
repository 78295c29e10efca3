//! The same seed with and without its disturbances: what is over must not show for long.

use std::time::Duration;

use kinesis_batcher_core::{Config, ShardLimit};

use crate::faults::{Fault, FaultKind, Faults};
use crate::network::Network;
use crate::options::{Ending, Options};
use crate::report::Report;
use crate::simulation::run;
use crate::workload::Sizes;

/// A run, and the same run without its faults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Paired {
    /// With its faults, which are over after half of [`Options::duration`].
    pub disturbed: Report,
    /// Without them.
    pub calm: Report,
}

/// Runs a seed with its faults and without. Of the options those are changed that would make the two differ for good:
/// faults end after half of the duration, those that last are left out, and no record expires or is dropped.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn run_paired(seed: u64, options: &Options) -> Paired {
    let mut options = comparable(options);
    let half = options.duration / 2;
    let mut faults = options.faults.resolve(seed, &options);
    faults.retain(|fault| fault.from < half && passes(fault));
    for fault in &mut faults {
        fault.to = fault.to.min(half);
    }
    options.faults = Faults::None;
    let calm = run(seed, &options);
    options.faults = Faults::Plan(faults);
    Paired { disturbed: run(seed, &options), calm }
}

impl Paired {
    /// Whether both keep every promise, deliver the same records, and finish at about the same time.
    ///
    /// # Errors
    /// What is different, in words.
    pub fn compare(&self) -> Result<(), String> {
        let Self { disturbed, calm } = self;
        for report in [disturbed, calm] {
            if let Some(violation) = report.violations.first() {
                return Err(violation.to_string());
            }
        }
        let (ours, theirs) = (&disturbed.totals, &calm.totals);
        if (ours.records_offered, ours.records_delivered)
            != (theirs.records_offered, theirs.records_delivered)
        {
            return Err(format!(
                "of {} records {} were delivered; without the disturbance, {} of {}",
                ours.records_offered,
                ours.records_delivered,
                theirs.records_delivered,
                theirs.records_offered
            ));
        }
        let most = 2 * calm.elapsed + bound(&disturbed.options);
        if disturbed.elapsed > most {
            return Err(format!(
                "it took {:?}, and {:?} without the disturbance, which was over after {:?}",
                disturbed.elapsed,
                calm.elapsed,
                disturbed.options.duration / 2
            ));
        }
        Ok(())
    }
}

fn comparable(options: &Options) -> Options {
    let mut options = options.clone();
    let config = &options.config;
    let changed = Config::builder()
        .linger(config.linger())
        .in_flight_requests_max(config.in_flight_requests_max())
        .buffer_bytes_max(config.buffer_bytes_max())
        .buffer_records_max(config.buffer_records_max())
        .request_records_max(config.request_records_max())
        .request_bytes_max(config.request_bytes_max())
        .aggregation(config.aggregation())
        .aggregate_bytes_max(config.aggregate_bytes_max())
        .aggregate_records_max(config.aggregate_records_max())
        .already_aggregated(config.already_aggregated())
        .ordering(config.ordering())
        .adaptive_rates(config.adaptive_rates())
        .shard_limit(match config.shard_limit() {
            ShardLimit::Percent(percent) => ShardLimit::Percent(percent.max(SHARE_PERCENT_MIN)),
            limit => limit,
        })
        .time_to_live(None);
    options.config = changed.build().unwrap_or_else(|_| config.clone());
    options.workload.sizes = match options.workload.sizes {
        Sizes::Constant(bytes) => Sizes::Constant(bytes.min(BYTES_MAX)),
        Sizes::Uniform { low, high } => Sizes::Uniform { low: low.min(BYTES_MAX), high: high.min(BYTES_MAX) },
        Sizes::Bimodal { small, .. } => Sizes::Constant(small.min(BYTES_MAX)),
    };
    // Which records share an aggregate with poison, and fail with it, is a matter of time.
    options.workload.poison = 0;
    // They may be refused for good.
    options.workload.aggregates = 0;
    options.workload.waiting_max = u32::MAX;
    options.ending = Ending::Drain;
    options
}

/// Whether a fault leaves nothing behind that lasts.
fn passes(fault: &Fault) -> bool {
    !matches!(
        fault.what,
        FaultKind::Split
            | FaultKind::Merge
            | FaultKind::ShardCount(_)
            | FaultKind::CreatedAgain { .. }
            | FaultKind::RecordBytesMax(_)
            | FaultKind::Permits(_)
            | FaultKind::Distribution(_)
            | FaultKind::BodyTooLarge(_)
            | FaultKind::Crash { .. }
            | FaultKind::Start
            | FaultKind::Close { .. }
            | FaultKind::Abort { .. }
            // A clock stands still for as long as it was ahead.
            | FaultKind::ClockForward { .. }
    )
}

/// How much longer than twice as long a disturbed run may take: what was not stored meanwhile is stored later, after every
/// wait that faults may have left behind.
fn bound(options: &Options) -> Duration {
    let Faults::Plan(faults) = &options.faults else { return Duration::ZERO };
    let any = |is: fn(&FaultKind) -> bool| faults.iter().any(|fault| is(&fault.what));
    let mut bound = options.duration + RECOVERED_WITHIN;
    if any(|what| matches!(what, FaultKind::ReplyStuck(_) | FaultKind::UnknownShard(_))) {
        bound += Duration::from_secs(60);
    }
    let Network { request_timeout, .. } = options.network;
    bound + 4 * request_timeout
}

/// As a producer with less of a shard, or with larger records, takes longer to find its place again.
const SHARE_PERCENT_MIN: u16 = 50;
const BYTES_MAX: u32 = 2_000;
/// Much longer than any wait between two attempts.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);

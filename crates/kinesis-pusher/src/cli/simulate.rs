//! `simulate`: what a stream would do with a load, in virtual time.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kinesis_batcher_sim::{Accounting, Law};

use super::producer::ProducerArgs;
use super::push::SummaryFormat;
use super::values::{duration_within, number, size};
use crate::simulate::{FaultSpec, KeysSpec};

/// Everything `simulate` can be told.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SimulateArgs {
    /// What is offered.
    #[command(flatten)]
    pub(crate) load: LoadArgs,

    /// What it is offered to.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,

    /// How it is sent.
    #[command(flatten)]
    pub(crate) producer: ProducerArgs,

    /// What is asked and told.
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// What is offered.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArgs {
    /// Records a second, from all producers together. They come at random times and do not wait: what a full buffer
    /// refuses is turned away
    #[arg(long, value_name = "RECORDS", default_value = "3000", value_parser = number(RATE))]
    pub(crate) rate: u64,

    /// Bytes of data in a record
    #[arg(long, value_name = "SIZE", default_value = "200", value_parser = record_size)]
    pub(crate) record_size: u32,

    /// Which partition keys records have: 'uniform' (each as often), 'zipf:S' (the n-th in proportion to
    /// 1/n^S), 'hot:PERCENT' (one key for so much of all, the others as often)
    #[arg(long, value_name = "KEYS", default_value = "zipf:1.2", value_parser = KeysSpec::parse)]
    pub(crate) keys: KeysSpec,

    /// How many partition keys there are. With few of them for each shard, even uniform ones load shards unevenly
    #[arg(long, value_name = "N", default_value = "100000", value_parser = number(KEY_COUNT))]
    pub(crate) key_count: u32,

    /// Producers that share the load and know nothing of each other
    #[arg(long, value_name = "N", default_value = "1", value_parser = number(PRODUCERS))]
    pub(crate) producers: u32,
}

/// What it is offered to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Stream")]
pub(crate) struct StreamArgs {
    /// Open shards at the start, of equal size
    #[arg(long, value_name = "N", default_value = "4", value_parser = number(SHARDS))]
    pub(crate) shards: u32,

    /// Share of each shard's limits that somebody else uses up all the time
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = number(OTHERS))]
    pub(crate) others: u32,

    /// How a shard counts its second, which AWS does not publish: 'token:TIME' (a bucket that holds so much of a second),
    /// 'clock' (seconds of the wall clock), 'first' (seconds that begin with a record), 'sliding' (the last second). With
    /// '+refused' behind it, refused records count too
    #[arg(long, value_name = "LAW", default_value = "token:1s", value_parser = accounting)]
    pub(crate) accounting: Accounting,

    /// The median time from a request to its reply; one in a hundred takes more than twice as long
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = duration_within(ROUND_TRIP))]
    pub(crate) round_trip: Duration,

    /// What goes wrong; may be given again. Each but the last five lasts the whole run, or from AT for so long with
    /// '@AT+FOR' behind it.
    /// 'throttle:PERCENT' entries are throttled though their shard has room;
    /// 'failures:PERCENT' entries fail inside the service;
    /// 'refused:PERCENT' requests are refused with 503;
    /// 'loss:PERCENT' requests get lost on their way;
    /// 'lost-replies:PERCENT' replies get lost, and the records are stored;
    /// 'slow:TIME' requests take so much longer;
    /// 'outage:AT+FOR' no request arrives;
    /// 'reshard:AT' twice as many shards from then on, 'reshard:AT=N' N of them;
    /// 'split:AT' one shard splits; 'merge:AT' two merge.
    /// Such as 'loss:1%', 'throttle:10%@20s+10s', 'outage:10s+30s', 'reshard:20s'
    #[arg(long = "fault", value_name = "FAULT", value_parser = FaultSpec::parse)]
    pub(crate) faults: Vec<FaultSpec>,
}

/// What is asked and told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Simulation")]
pub(crate) struct ReportArgs {
    /// How long records are offered, in virtual time; then everything drains
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration_within(DURATION))]
    pub(crate) duration: Duration,

    /// How much of the beginning is left out of the figures called settled [default: a third of --duration]
    #[arg(long, value_name = "TIME", value_parser = duration_within(SETTLING))]
    pub(crate) settling: Option<Duration>,

    /// Decides every choice that is left to chance: the same seed prints the same bytes
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,

    /// Write a plot of it all over time to this file, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,

    /// Do not work out how many shards the load needs
    #[arg(long)]
    pub(crate) no_capacity: bool,

    /// For that question: 99 of 100 records must be delivered within this time
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration_within(LATENCY))]
    pub(crate) latency: Duration,

    /// A table over time with totals, or all of it as one line of JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) summary: SummaryFormat,
}

fn record_size(text: &str) -> Result<u32, String> {
    let bytes = size(text)?;
    match u32::try_from(bytes) {
        Ok(bytes) if RECORD_SIZE.contains(&bytes) => Ok(bytes),
        _ => Err(format!("must be from {} to {} bytes", RECORD_SIZE.start(), RECORD_SIZE.end())),
    }
}

fn accounting(text: &str) -> Result<Accounting, String> {
    let (law, counts_refused) = match text.strip_suffix("+refused") {
        Some(law) => (law, true),
        None => (text, false),
    };
    let law = match (law, law.strip_prefix("token:")) {
        ("clock", _) => Law::Clock,
        ("first", _) => Law::First,
        ("sliding", _) => Law::Sliding,
        (_, Some(burst)) => Law::Token { burst: duration_within(TOKEN_BURST)(burst)? },
        _ => {
            return Err("must be 'token:TIME', 'clock', 'first' or 'sliding', perhaps with '+refused'".into());
        }
    };
    let accounting = Accounting::of(law);
    Ok(if counts_refused { accounting.counting_refused() } else { accounting })
}

/// Ten million a second are ten times what the largest streams by default take.
const RATE: RangeInclusive<u64> = 1..=10_000_000;
/// Each record carries its number in eight bytes; 1 MiB is what a shard takes in a second, the key included.
const RECORD_SIZE: RangeInclusive<u32> = 8..=(1 << 20) - 1_024;
const KEY_COUNT: RangeInclusive<u32> = 1..=10_000_000;
const PRODUCERS: RangeInclusive<u32> = 1..=10_000;
/// An on-demand stream of 10 GiB/s has 10,240.
const SHARDS: RangeInclusive<u32> = 1..=20_000;
const OTHERS: RangeInclusive<u32> = 0..=99;
const ROUND_TRIP: RangeInclusive<Duration> = Duration::from_micros(10)..=Duration::from_secs(2);
const TOKEN_BURST: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
const DURATION: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);
const SETTLING: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 60 * 60);
const LATENCY: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60 * 60);

// Within 80 columns, as clap would otherwise break the lines somewhere.
const EXAMPLES: &str = "\
Examples:
  kinesis-pusher simulate
  kinesis-pusher simulate --shards 12 --rate 9000 --record-size 1KiB --plot 12.svg
  kinesis-pusher simulate --keys hot:30 --adaptive-rates off \\
      --shard-limit-percent 150
  kinesis-pusher simulate --shards 32 --rate 48000 --producers 64
  kinesis-pusher simulate --fault outage:10s+30s --fault lost-replies:1%
  kinesis-pusher simulate --rate 20000 --aggregate --summary json | jq .capacity

Nothing is sent anywhere, and it takes seconds: time is virtual.

Exit codes:
  0  every record was delivered, late perhaps
  1  some were turned away, expired or failed
  2  wrong usage
  3  the plot cannot be written";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_count_a_second_can_be_typed() {
        for (text, wanted) in [
            ("token:1s", Accounting::TOKEN_1_S),
            ("token:50ms", Accounting::TOKEN_50_MS),
            ("clock", Accounting::CLOCK),
            ("first+refused", Accounting::FIRST.counting_refused()),
            ("sliding", Accounting::SLIDING),
        ] {
            assert_eq!(accounting(text), Ok(wanted), "{text}");
        }
        for text in ["", "token", "token:0s", "token:1h", "refused", "clock+", "+refused"] {
            assert!(accounting(text).is_err(), "{text:?} is refused");
        }
    }

    #[test]
    fn a_record_size_is_within_what_a_shard_takes_in_a_second() {
        assert_eq!(record_size("1KiB"), Ok(1_024));
        for text in ["7", "1MiB", "5GiB"] {
            assert_eq!(record_size(text), Err("must be from 8 to 1047552 bytes".to_owned()), "{text}");
        }
    }
}

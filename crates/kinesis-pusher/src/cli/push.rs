//! `push`: records from files or stdin into a stream.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use kinesis_batcher_core::{Config, ConfigBuilder};
use kinesis_batcher_metrics::ListenAddress;

use super::producer::{Order, ProducerArgs};
use super::target::Target;
use super::values::{duration_within, number, setting, size};
use crate::key::KeySpec;

/// Everything `push` can be told.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("destination").args(["stream", "stream_arn", "local"]).required(true).multiple(true),
    // What is read can wait, so no record needs to fail because of its age.
    mut_arg("time_to_live", |arg| arg.default_value("none")),
    after_help = EXAMPLES
)]
pub(crate) struct PushArgs {
    /// Files to read; stdin for '-' or none. A file that grows meanwhile is read to its new end; one that shrinks is an
    /// error
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Where to.
    #[command(flatten)]
    pub(crate) target: Target,

    /// Start a Kinesis inside this process with that many shards and the service's per-shard limits, push to it over
    /// HTTP, read everything back and compare [4 shards when no number is given]
    #[arg(
        long,
        value_name = "SHARDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "4",
        value_parser = number(LOCAL_SHARDS),
        conflicts_with_all = ["stream_arn", "endpoint_url", "region", "profile"],
        help_heading = "Stream"
    )]
    pub(crate) local: Option<u32>,

    /// What a record is.
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// How it is sent.
    #[command(flatten)]
    pub(crate) delivery: DeliveryArgs,

    /// What is said about it.
    #[command(flatten)]
    pub(crate) reporting: ReportingArgs,

    /// Who may watch it.
    #[command(flatten)]
    pub(crate) status: StatusArgs,
}

/// What a record is, and what to do with what cannot be one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Records")]
pub(crate) struct InputArgs {
    /// What a record is. With lines and ndjson, a UTF-8 byte-order mark at the start of a file is skipped, and UTF-16 and
    /// compressed input are refused
    #[arg(long, value_enum, default_value_t = Format::Lines)]
    pub(crate) format: Format,

    /// Where the partition key (1 to 256 characters) comes from: 'random' (a UUID a record), 'line' (the record
    /// itself), 'const:TEXT', 'json:/POINTER' (text, a number or true/false inside the record), 'regex:PATTERN' (its
    /// first capture group)
    #[arg(long, value_name = "KEY", default_value = "random", value_parser = KeySpec::parse)]
    pub(crate) partition_key: KeySpec,

    /// What to do with a record that cannot be sent (too large, bad JSON, no key). It is written to the dead letters
    /// in both cases
    #[arg(long, value_name = "ACTION", value_enum, default_value_t = OnBadRecord::Fail)]
    pub(crate) on_bad_record: OnBadRecord,

    /// Append what is not delivered to this file, one JSON object a line: file, line, reason, attempts, request_id (where
    /// the service gave one), partition_key, data_base64
    #[arg(long, value_name = "FILE")]
    pub(crate) dead_letters: Option<PathBuf>,
}

/// The producer's settings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
pub(crate) struct DeliveryArgs {
    /// Batches, limits and retries.
    #[command(flatten)]
    pub(crate) producer: ProducerArgs,

    /// Bytes in one request, at most; a larger record goes alone. The service takes 10MiB, some other servers only
    /// 5MiB; more gets more done where the service is far away
    #[arg(long, value_name = "SIZE", default_value = "512KiB", value_parser = setting(size, ConfigBuilder::request_bytes_max))]
    pub(crate) request_bytes: usize,

    /// How long to go on delivering what was read after SIGINT, SIGTERM or SIGHUP; a second signal stops at once
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration_within(DRAIN_TIMEOUT))]
    pub(crate) drain_timeout: Duration,
}

impl PushArgs {
    /// The producer's settings.
    ///
    /// # Errors
    /// In the user's words, when settings that are right by themselves do not go together.
    pub(crate) fn config(&self) -> Result<Config, String> {
        // Whoever asks for order believes to have it, and a key a record orders nothing.
        if self.delivery.producer.order == Order::PartitionKey
            && matches!(self.input.partition_key, KeySpec::Random)
        {
            return Err(ORDER_OF_RANDOM_KEYS.to_owned());
        }
        self.delivery
            .producer
            .config()
            .request_bytes_max(self.delivery.request_bytes)
            .build()
            .map_err(|error| error.to_string())
    }
}

/// What the user sees of it.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct ReportingArgs {
    /// Progress on stderr; 'auto' draws a bar on a terminal, 'always' writes lines where there is none
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,

    /// The last line on stdout
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SummaryFormat::Text)]
    pub(crate) summary: SummaryFormat,
}

/// The HTTP service that tells of a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct StatusArgs {
    /// Serve a status page (/), Prometheus metrics (/metrics), /api/stats, /healthz and /readyz over HTTP while this runs.
    /// A port alone, such as 9464, is one of the loopback interface; 0 is any free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<ListenAddress>,

    /// Ask for a password everywhere but at /healthz. A line of the file is user:password, or what 'htpasswd -B' writes
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(crate) listen_auth: Option<PathBuf>,
}

/// `--format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line without its end (\n or \r\n); an empty line is an empty record
    Lines,
    /// A line that is checked to be JSON; blank lines are skipped
    Ndjson,
    /// A whole file, whatever its bytes are
    Raw,
}

/// `--on-bad-record`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnBadRecord {
    /// Go on with the next record
    Skip,
    /// Read no further, deliver what was read before it
    Fail,
}

/// `--progress`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it, and a doc comment would become help text")]
pub(crate) enum ProgressMode {
    Auto,
    Always,
    Never,
}

/// `--summary`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it, and a doc comment would become help text")]
pub(crate) enum SummaryFormat {
    Text,
    Json,
}

const ORDER_OF_RANDOM_KEYS: &str = "--order partition-key keeps records of one key in order, and --partition-key \
     random gives each a key of its own: say where the key is, such as --partition-key json:/customer/id";

/// More would take longer to make than anybody waits.
pub(super) const LOCAL_SHARDS: RangeInclusive<u32> = 1..=1_000;

const DRAIN_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 60 * 60);

// Within 80 columns, as clap would otherwise break the lines somewhere.
const EXAMPLES: &str = "\
Examples:
  kinesis-pusher push --local access.log
  kinesis-pusher push --stream orders orders.csv
  kinesis-pusher push --stream orders orders.ndjson --format ndjson \\
      --partition-key json:/customer/id
  kinesis-pusher push --stream logs app.log --on-bad-record skip \\
      --partition-key 'regex:user=(\\S+)' --dead-letters dead.ndjson
  tail -f app.log | kinesis-pusher push --stream logs --linger 1s
  kinesis-pusher push --stream clicks clicks.ndjson --aggregate
  kinesis-pusher push --stream orders orders.ndjson --order partition-key \\
      --partition-key json:/customer/id
  kinesis-pusher push --stream orders orders.csv --shard-limit-percent off \\
      --endpoint-url http://127.0.0.1:4567
  kinesis-pusher push --stream orders orders.csv --summary json | jq .throttled
  tail -f app.log | kinesis-pusher push --stream logs --listen 9464

The last line on stdout is the summary.

Environment:
  AWS_CBOR_DISABLE  true: requests to AWS are in JSON instead of CBOR
                    false: those to other endpoints are in CBOR, too

Exit codes:
  0  everything was delivered
  1  something was not: it says what, and where it was written
  2  wrong usage
  3  it could not start";

#[cfg(test)]
mod tests {
    use clap::Parser;
    use kinesis_batcher_core::{Ordering, ShardLimit};

    use super::*;
    use crate::cli::{Cli, Command};

    fn config(flags: &[&str]) -> Config {
        let typed = ["kinesis-pusher", "push"].iter().chain(flags);
        match Cli::try_parse_from(typed).unwrap().command {
            Command::Push(args) => args.config().unwrap(),
            other => panic!("push was typed, not {other:?}"),
        }
    }

    #[test]
    fn without_flags_the_producer_has_its_own_defaults_but_no_time_to_live() {
        assert_eq!(Ok(config(&["--stream", "s"])), Config::builder().time_to_live(None).build());
        let minute = Config::builder().time_to_live(Duration::from_secs(60)).build();
        assert_eq!(Ok(config(&["--stream", "s", "--time-to-live", "1m"])), minute);
    }

    #[test]
    fn every_flag_reaches_the_setting_it_is_named_for() {
        let config = config(&[
            "--stream=s",
            "--aggregate",
            "--order=partition-key",
            "--partition-key=line",
            "--linger=7ms",
            "--in-flight=3",
            "--buffer-bytes=2MiB",
            "--buffer-records=77",
            "--request-bytes=3MiB",
            "--shard-limit-percent=off",
            "--adaptive-rates=off",
            "--time-to-live=none",
            "--attempts=9",
            "--fail-fast",
        ]);
        let expected = Config::builder()
            .aggregation(true)
            .ordering(Ordering::PartitionKey)
            .linger(Duration::from_millis(7))
            .in_flight_requests_max(3)
            .buffer_bytes_max(2 << 20)
            .buffer_records_max(77)
            .request_bytes_max(3 << 20)
            .ordering(Ordering::PartitionKey)
            .shard_limit(ShardLimit::Off)
            .adaptive_rates(false)
            .time_to_live(None)
            .attempts_max(9)
            .fail_fast(true)
            .build();
        assert_eq!(Ok(config), expected);
    }
}

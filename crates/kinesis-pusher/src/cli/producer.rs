//! The producer's settings, as every subcommand with a producer has them.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kinesis_batcher_core::{Config, ConfigBuilder, Ordering, ShardLimit};

use super::values::{OrNone, duration, or_none, setting, size, whole};

/// How records are batched, limited and tried again.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
pub(crate) struct ProducerArgs {
    /// Pack small records into aggregates, as the KPL does: a shard takes 1,000 of them a second, whatever they hold.
    /// Consumers must take them apart, as the KCL and 'read' do
    #[arg(long)]
    pub(crate) aggregate: bool,

    /// In which order records are stored: 'none' promises none; with 'partition-key', those of one key stay in the
    /// order of the input, whatever has to be sent again. Needs a --partition-key that records share. A key then gets
    /// one record a round trip; with --aggregate, a shard gets one aggregate a round trip, which fills it up to 48 ms
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Order::None)]
    pub(crate) order: Order,

    /// How long a record may wait for company before it is sent
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = setting(duration, ConfigBuilder::linger))]
    pub(crate) linger: Duration,

    /// Requests on their way at once, at most
    #[arg(long, value_name = "REQUESTS", default_value = "16", value_parser = setting(whole, ConfigBuilder::in_flight_requests_max))]
    pub(crate) in_flight: usize,

    /// Bytes of records waiting or on their way, at most; reading waits when they are reached. One shard gets half of
    /// them at most, and as records go in the order of the input, reading waits for a shard that is behind too
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = setting(size, ConfigBuilder::buffer_bytes_max))]
    pub(crate) buffer_bytes: usize,

    /// Records waiting or on their way, at most; reading waits when they are reached
    #[arg(long, value_name = "RECORDS", default_value = "200000", value_parser = setting(whole, ConfigBuilder::buffer_records_max))]
    pub(crate) buffer_records: usize,

    /// Share of the service's limit of a shard (1,000 records/s and 1 MiB/s) to start from, 1 to 1000, or 'off' for
    /// a server without limits
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = or_none("off", setting(whole, percent)))]
    pub(crate) shard_limit_percent: OrNone<u16>,

    /// Whether a shard that throttles is sent less, until it takes more again
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Switch::On)]
    pub(crate) adaptive_rates: Switch,

    /// The least share of the limits that a shard is sent while it throttles. Beside producers that do not slow down, such
    /// as the KPL, it keeps a part of the shard, and costs throttled attempts
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = setting(whole::<u16>, ConfigBuilder::rate_min_percent))]
    pub(crate) rate_min_percent: u16,

    /// How long to go on trying to deliver a record, or 'none' for without end
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = or_none("none", setting(duration, ConfigBuilder::time_to_live)))]
    pub(crate) time_to_live: OrNone<Duration>,

    /// Fail records at once when the stream takes none at all (deleted, no permission, KMS, credentials) instead of holding
    /// them until it does; 'push' then reads no further
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// How often to send a record, at most, or 'none' for as often as its time to live allows
    #[arg(long, value_name = "N", default_value = "none", value_parser = or_none("none", setting(whole::<u32>, ConfigBuilder::attempts_max)))]
    pub(crate) attempts: OrNone<u32>,
}

impl ProducerArgs {
    /// The settings, for a subcommand to add its own.
    pub(crate) fn config(&self) -> ConfigBuilder {
        Config::builder()
            .aggregation(self.aggregate)
            .ordering(self.order.into())
            .linger(self.linger)
            .in_flight_requests_max(self.in_flight)
            .buffer_bytes_max(self.buffer_bytes)
            .buffer_records_max(self.buffer_records)
            .shard_limit(self.shard_limit_percent.0.map_or(ShardLimit::Off, ShardLimit::Percent))
            .adaptive_rates(self.adaptive_rates == Switch::On)
            .rate_min_percent(self.rate_min_percent)
            .time_to_live(self.time_to_live.0)
            .fail_fast(self.fail_fast)
            .attempts_max(self.attempts.0)
    }
}

fn percent(builder: ConfigBuilder, percent: u16) -> ConfigBuilder {
    builder.shard_limit(ShardLimit::Percent(percent))
}

/// `--order`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it, and a doc comment would become help text")]
pub(crate) enum Order {
    None,
    PartitionKey,
}

impl From<Order> for Ordering {
    fn from(order: Order) -> Self {
        match order {
            Order::None => Self::None,
            Order::PartitionKey => Self::PartitionKey,
        }
    }
}

/// `on` or `off`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names say it, and a doc comment would become help text")]
pub(crate) enum Switch {
    On,
    Off,
}

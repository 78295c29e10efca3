//! What the caller decides, checked once.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::limits::{REQUEST_BYTES_MAX, REQUEST_RECORDS_MAX};

/// The settings of a [`Batcher`](crate::Batcher), each within its range.
///
/// ```
/// use core::time::Duration;
/// use kinesis_batcher_core::Config;
///
/// let config = Config::builder().linger(Duration::from_millis(20)).time_to_live(None).build()?;
/// assert_eq!(config.linger(), Duration::from_millis(20));
///
/// let error = Config::builder().in_flight_requests_max(0).build().unwrap_err();
/// assert_eq!(error.to_string(), "in_flight_requests_max is 0; it must be from 1 to 10000");
/// # Ok::<(), kinesis_batcher_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    settings: ConfigBuilder,
}

impl Config {
    /// Settings to change before [`build`](ConfigBuilder::build); each starts at its default.
    pub fn builder() -> ConfigBuilder {
        ConfigBuilder::default()
    }

    /// How long a record may wait for others to share its request.
    #[must_use]
    pub fn linger(&self) -> Duration {
        self.settings.linger
    }

    /// Requests in flight at once, at most.
    #[must_use]
    pub fn in_flight_requests_max(&self) -> usize {
        self.settings.in_flight_requests_max
    }

    /// Bytes of data and partition keys held at once, queued and in flight, at most.
    #[must_use]
    pub fn buffer_bytes_max(&self) -> usize {
        self.settings.buffer_bytes_max
    }

    /// Records held at once, queued and in flight, at most.
    #[must_use]
    pub fn buffer_records_max(&self) -> usize {
        self.settings.buffer_records_max
    }

    /// Records in one request, at most.
    #[must_use]
    pub fn request_records_max(&self) -> usize {
        self.settings.request_records_max
    }

    /// Bytes of data and partition keys in one request, at most; a larger record goes alone.
    #[must_use]
    pub fn request_bytes_max(&self) -> usize {
        self.settings.request_bytes_max
    }

    /// How much of each shard's limits to use.
    #[must_use]
    pub fn shard_limit(&self) -> ShardLimit {
        self.settings.shard_limit
    }

    /// Whether a shard that throttles is sent less.
    #[must_use]
    pub fn adaptive_rates(&self) -> bool {
        self.settings.adaptive_rates
    }

    /// The least share of its limits that a shard is sent while it throttles, in percent.
    #[must_use]
    pub fn rate_min_percent(&self) -> u16 {
        self.settings.rate_min_percent
    }

    /// How long after its acceptance a record may still be sent.
    #[must_use]
    pub fn time_to_live(&self) -> Option<Duration> {
        self.settings.time_to_live
    }

    /// Whether small records share Kinesis records.
    #[must_use]
    pub fn aggregation(&self) -> bool {
        self.settings.aggregation
    }

    /// Bytes of an aggregate, at most.
    #[must_use]
    pub fn aggregate_bytes_max(&self) -> usize {
        self.settings.aggregate_bytes_max
    }

    /// User records in an aggregate, at most.
    #[must_use]
    pub fn aggregate_records_max(&self) -> usize {
        self.settings.aggregate_records_max
    }

    /// Whether records keep their order.
    #[must_use]
    pub fn ordering(&self) -> Ordering {
        self.settings.ordering
    }

    /// What happens to records that are aggregates already.
    #[must_use]
    pub fn already_aggregated(&self) -> AlreadyAggregated {
        self.settings.already_aggregated
    }

    /// How many attempts a record gets, at most.
    #[must_use]
    pub fn attempts_max(&self) -> Option<u32> {
        self.settings.attempts_max
    }

    /// Whether an account-level error fails records instead of holding them.
    #[must_use]
    pub fn fail_fast(&self) -> bool {
        self.settings.fail_fast
    }
}

/// Settings on their way to a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "settings take effect once built"]
pub struct ConfigBuilder {
    linger: Duration,
    in_flight_requests_max: usize,
    buffer_bytes_max: usize,
    buffer_records_max: usize,
    request_records_max: usize,
    request_bytes_max: usize,
    shard_limit: ShardLimit,
    adaptive_rates: bool,
    rate_min_percent: u16,
    time_to_live: Option<Duration>,
    attempts_max: Option<u32>,
    fail_fast: bool,
    aggregation: bool,
    aggregate_bytes_max: usize,
    aggregate_records_max: usize,
    already_aggregated: AlreadyAggregated,
    ordering: Ordering,
}

impl ConfigBuilder {
    /// How long a record may wait for others to share its request: 0 to 1 h, 100 ms unless set. With zero, a record
    /// goes as soon as a request may be in flight; under load, records still gather while none may.
    ///
    /// Whatever it is, once a quarter of the [requests that may be in flight](Self::in_flight_requests_max) are, one that
    /// is not full waits a moment after the last: a round trip divided by the number of the others, 0.4 ms if the service
    /// takes 5 ms, and at most 10 ms.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Requests in flight at once: 1 to 10,000, 16 unless set. In an outage the bound shrinks by itself.
    pub fn in_flight_requests_max(mut self, requests: usize) -> Self {
        self.in_flight_requests_max = requests;
        self
    }

    /// Bytes of data and partition keys held at once, queued and in flight: 1 KiB to 1 TiB, 64 MiB unless set. A
    /// record larger than this is refused as too large.
    pub fn buffer_bytes_max(mut self, bytes: usize) -> Self {
        self.buffer_bytes_max = bytes;
        self
    }

    /// Records held at once, queued and in flight: 1 to 100,000,000, 200,000 unless set. Each costs up to 128 bytes
    /// besides its data and key, and some 40 more if it is [ordered](Ordering::PartitionKey) and alone of its key.
    pub fn buffer_records_max(mut self, records: usize) -> Self {
        self.buffer_records_max = records;
        self
    }

    /// Records in one request: 1 to 500 (the service's limit), 500 unless set.
    pub fn request_records_max(mut self, records: usize) -> Self {
        self.request_records_max = records;
        self
    }

    /// Bytes of data and partition keys in one request: 1 KiB to 10 MiB (the service's limit), 512 KiB unless set.
    /// A larger record goes alone. Larger requests are no faster: they leave the processor's caches while they are made.
    pub fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.request_bytes_max = bytes;
        self
    }

    /// How much of each shard's limits to use; all of it unless set.
    pub fn shard_limit(mut self, limit: ShardLimit) -> Self {
        self.shard_limit = limit;
        self
    }

    /// Whether a shard that throttles is sent less, and more again up to `shard_limit` once it has room; it is unless set.
    /// Producers that share a stream find their shares of each shard in this way, without knowing of each other.
    pub fn adaptive_rates(mut self, adaptive_rates: bool) -> Self {
        self.adaptive_rates = adaptive_rates;
        self
    }

    /// The least share of `shard_limit` that a shard is sent while it throttles, in percent: 0 to 100; 0 unless set, which
    /// means 4 records and 4 KiB a second.
    ///
    /// A producer that slows down gets little of a full shard beside one that does not, such as the KPL. With a least
    /// share it goes on sending that much, and pays in throttled attempts: beside a producer that sends 150 % of the
    /// limit, 65 here gets a fifth to a third of the shard, by the way the shard counts its second, and half of all
    /// attempts are throttled. Where all producers slow down, leave it at 0, or a full shard is asked for more than it takes.
    pub fn rate_min_percent(mut self, percent: u16) -> Self {
        self.rate_min_percent = percent;
        self
    }

    /// How long after its acceptance a record may still be sent, before it is handed back as expired: from 1 ms;
    /// 5 min unless set. `None`: for ever.
    pub fn time_to_live(mut self, time_to_live: impl Into<Option<Duration>>) -> Self {
        self.time_to_live = time_to_live.into();
        self
    }

    /// How many attempts a record gets, at most: from 1; `None`, the default, as many as its time to live allows.
    ///
    /// An attempt is a request that may have reached a shard. Requests that were not sent, that the service refused
    /// because of the account, the credentials or their size, or that it rejected because of another record do not
    /// count; the time to live bounds those.
    pub fn attempts_max(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.attempts_max = attempts.into();
        self
    }

    /// Whether an [account-level error](crate::ErrorClass::Account) fails records at once, as
    /// [`Permanent`](crate::FailureReason::Permanent); not unless set. Without it, the producer
    /// [holds](crate::Hold) its records until the error is repaired or their time to live ends. An error of the
    /// [credentials](crate::ErrorClass::Credentials) fails records when it comes again after the transport got new ones.
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }

    /// Whether small records share Kinesis records, in the KPL's format that AWS's consumers take apart; not unless
    /// set. Where only the number of shards is known, and on streams with `AUTO` record distribution, nothing is
    /// aggregated: consumers drop an aggregate of which a record lies outside its shard (docs/SERVICE.md).
    pub fn aggregation(mut self, aggregation: bool) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// Bytes of an aggregate: 1 KiB to 1 MiB, 50 KiB unless set, as the KPL has it. A larger record goes by itself.
    pub fn aggregate_bytes_max(mut self, bytes: usize) -> Self {
        self.aggregate_bytes_max = bytes;
        self
    }

    /// User records in an aggregate: 1 to 1,000,000, 10,000 unless set.
    pub fn aggregate_records_max(mut self, records: usize) -> Self {
        self.aggregate_records_max = records;
        self
    }

    /// What happens to records that are aggregates already, while aggregation is on; they are sent as they are unless
    /// set. They never go into another aggregate: consumers take only one layer off.
    pub fn already_aggregated(mut self, already_aggregated: AlreadyAggregated) -> Self {
        self.already_aggregated = already_aggregated;
        self
    }

    /// Whether records keep their order; none is promised unless set. [`Ordering`] says what it costs.
    pub fn ordering(mut self, ordering: Ordering) -> Self {
        self.ordering = ordering;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting out of its range; the message names it, its value and the range.
    pub fn build(self) -> Result<Config, ConfigError> {
        check_number("in_flight_requests_max", self.in_flight_requests_max, 1, 10_000)?;
        check_number("buffer_bytes_max", self.buffer_bytes_max, 1 << 10, BUFFER_BYTES_LIMIT)?;
        check_number("buffer_records_max", self.buffer_records_max, 1, 100_000_000)?;
        check_number("request_records_max", self.request_records_max, 1, REQUEST_RECORDS_MAX)?;
        check_number("request_bytes_max", self.request_bytes_max, 1 << 10, REQUEST_BYTES_MAX)?;
        check_number("aggregate_bytes_max", self.aggregate_bytes_max, 1 << 10, 1 << 20)?;
        check_number("aggregate_records_max", self.aggregate_records_max, 1, 1_000_000)?;
        if let ShardLimit::Percent(percent) = self.shard_limit {
            check_number("shard_limit percent", usize::from(percent), 1, 1_000)?;
        }
        check_number("rate_min_percent", usize::from(self.rate_min_percent), 0, 100)?;
        if self.linger > LINGER_MAX {
            return Err(ConfigError::new("linger", format!("{:?}", self.linger), "from 0 to 1 h"));
        }
        if let Some(time_to_live) = self.time_to_live.filter(|&time| time < TIME_TO_LIVE_MIN) {
            return Err(ConfigError::new(
                "time_to_live",
                format!("{time_to_live:?}"),
                "1 ms or longer, or none",
            ));
        }
        if self.attempts_max == Some(0) {
            return Err(ConfigError::new("attempts_max", "0".into(), "1 or more, or none"));
        }
        Ok(Config { settings: self })
    }
}

impl Default for ConfigBuilder {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(100),
            in_flight_requests_max: 16,
            buffer_bytes_max: 64 << 20,
            buffer_records_max: 200_000,
            request_records_max: REQUEST_RECORDS_MAX,
            request_bytes_max: REQUEST_BYTES_DEFAULT,
            shard_limit: ShardLimit::Percent(100),
            adaptive_rates: true,
            rate_min_percent: 0,
            time_to_live: Some(Duration::from_secs(5 * 60)),
            attempts_max: None,
            fail_fast: false,
            aggregation: false,
            aggregate_bytes_max: 50 << 10,
            aggregate_records_max: 10_000,
            already_aggregated: AlreadyAggregated::SendAsIs,
            ordering: Ordering::None,
        }
    }
}

/// What happens to a record whose data is an aggregate already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlreadyAggregated {
    /// It is sent as it is, with its own partition key.
    SendAsIs,
    /// The push is refused.
    Refuse,
}

/// In which order records are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ordering {
    /// None is promised: a record that is sent again comes after later ones.
    #[default]
    None,
    /// Records of one hash key are stored in the order in which they were pushed, through throttling, partial
    /// failures, requests of unknown outcome, rejected requests and reshards: of the records delivered, the first
    /// copy of each comes after that of the one before. An attempt of unknown outcome may leave another copy later.
    /// A record that fails is handed back, and the next one goes.
    ///
    /// The hash key is what decides the shard: the MD5 of the partition key, or the explicit hash key where there is
    /// one. Records of one partition key with different explicit hash keys may go to different shards, so they have
    /// no order among themselves; records with the same explicit hash key do, whatever their partition keys.
    ///
    /// **Without aggregation** one record of a key is under way at a time: 50 a second for each key, if a round trip
    /// takes 20 ms. Different keys do not wait for each other. While a record is on its way, those behind it that
    /// expire are handed back once it has come back. A key at hand costs some 40 bytes more.
    ///
    /// **With aggregation** one Kinesis record of a shard is under way at a time, whatever its keys, and one that
    /// must be sent again holds up its shard. Records gather in the next aggregate meanwhile. Full aggregates of
    /// 50 KiB, the default, fill a shard's 1 MiB/s as long as a round trip takes no more than 50/1,024 s, 48 ms; with
    /// a longer one, raise [`aggregate_bytes_max`](ConfigBuilder::aggregate_bytes_max). For a few busy keys this is
    /// the faster way by far. (Records that go by themselves, such as those too large for an aggregate, share a
    /// request as long as no key comes twice. Where only the number of shards is known, that is all of them, and the
    /// stream as a whole is the unit: leave aggregation, which does nothing there, off.)
    ///
    /// Streams with `AUTO` record distribution keep no order: pushes are refused, and what is held when a stream
    /// becomes one is handed back.
    PartitionKey,
}

/// How much of each shard's limits (1,000 records/s, 1 MiB/s; S-06, S-07) a producer uses. A saturated shard is sent 97.5 %
/// of that, so that no second holds more, however the service counts it (S-08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardLimit {
    /// So many per cent, 1 to 1,000. Producers that share a stream may divide 100 among themselves; more than 100
    /// trades throttled attempts for the bursts the service lets through.
    Percent(u16),
    /// No limit of ours, for a server without limits. Throttled records still back off.
    Off,
}

impl ShardLimit {
    /// The share of a service limit, at least 1; `None` when off.
    pub(crate) fn of(self, limit: u64) -> Option<u64> {
        match self {
            Self::Percent(percent) => Some((limit.saturating_mul(u64::from(percent)) / 100).max(1)),
            Self::Off => None,
        }
    }
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: &'static str,
    value: String,
    range: String,
}

impl ConfigError {
    fn new(setting: &'static str, value: String, range: impl Into<String>) -> Self {
        Self { setting, value, range: range.into() }
    }

    /// The name of the setting, as its method on [`ConfigBuilder`] is called.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// The values that are allowed, in words.
    #[must_use]
    pub fn range(&self) -> &str {
        &self.range
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; it must be {}", self.setting, self.value, self.range)
    }
}

impl core::error::Error for ConfigError {}

fn check_number(setting: &'static str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(setting, format!("{value}"), format!("from {min} to {max}")))
}

/// 1 TiB, or all that pointers of 32 bits reach.
const BUFFER_BYTES_LIMIT: usize = match 1_usize.checked_shl(40) {
    Some(bytes) => bytes,
    None => usize::MAX,
};
/// A record that may wait longer than an hour for company is a mistake in units.
const LINGER_MAX: Duration = Duration::from_secs(60 * 60);
/// Below a millisecond no request comes back in time.
const TIME_TO_LIVE_MIN: Duration = Duration::from_millis(1);

/// Some 4,000 aggregated log lines: the cost of a request vanishes in them, and a few bodies fit into a core's cache.
const REQUEST_BYTES_DEFAULT: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_defaults_are_within_their_own_ranges() {
        assert_eq!(Config::builder().build(), Ok(Config::default()));
    }

    #[test]
    fn each_setting_out_of_range_is_named_with_its_value_and_range() {
        let hours = Duration::from_secs(7_200);
        let cases = [
            (Config::builder().linger(hours), "linger is 7200s; it must be from 0 to 1 h"),
            (
                Config::builder().buffer_bytes_max(1),
                "buffer_bytes_max is 1; it must be from 1024 to 1099511627776",
            ),
            (
                Config::builder().buffer_records_max(0),
                "buffer_records_max is 0; it must be from 1 to 100000000",
            ),
            (
                Config::builder().request_records_max(501),
                "request_records_max is 501; it must be from 1 to 500",
            ),
            (
                Config::builder().request_bytes_max(usize::MAX),
                "request_bytes_max is 18446744073709551615; it must be from 1024 to 10485760",
            ),
            (
                Config::builder().shard_limit(ShardLimit::Percent(0)),
                "shard_limit percent is 0; it must be from 1 to 1000",
            ),
            (
                Config::builder().time_to_live(Duration::ZERO),
                "time_to_live is 0ns; it must be 1 ms or longer, or none",
            ),
            (Config::builder().rate_min_percent(101), "rate_min_percent is 101; it must be from 0 to 100"),
            (Config::builder().attempts_max(0), "attempts_max is 0; it must be 1 or more, or none"),
        ];
        for (builder, message) in cases {
            assert_eq!(builder.build().expect_err("out of range").to_string(), message);
        }
    }

    #[test]
    fn the_smallest_share_of_a_limit_still_makes_progress() {
        assert_eq!(ShardLimit::Percent(1).of(10), Some(1));
        assert_eq!(ShardLimit::Percent(150).of(1_000), Some(1_500));
        assert_eq!(ShardLimit::Off.of(1_000), None);
    }
}

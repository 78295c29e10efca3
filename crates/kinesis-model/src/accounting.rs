//! How a shard counts its second.
//!
//! A shard accepts so many records and bytes a second (S-06, S-07). AWS does not publish how it counts that second
//! (S-08), so every way is modelled:
//!
//! | name | [`Law`] | a shard admits a record if |
//! |---|---|---|
//! | `token 1 s`, `token 0.2 s`, … | [`Token`](Law::Token) | a bucket that refills at the limit and holds a burst has it |
//! | `clock` | [`Clock`](Law::Clock) | the current second of the wall clock has room |
//! | `first` | [`First`](Law::First) | a second has room that began with the first record after the last such second |
//! | `sliding` | [`Sliding`](Law::Sliding) | the trailing second has room |
//!
//! With [`Accounting::counts_refused`], refused attempts take room, too: a sender that does not slow down can then be
//! refused for ever by a bucket or a sliding second. [`Accounting::others`] is the share of the shard that other
//! producers use.
//!
//! A record that is larger than the limit, or than the bucket, is admitted where nothing else was, and what exceeds the
//! limit counts in the seconds that follow. Of a record over 1 MiB, the first MiB counts here and the rest draws on a
//! tank of 10 MiB, which refills at the shard's bytes a second (S-09 publishes no figures).

mod meter;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::limits::{
    RECORD_BYTES_MAX_CEILING, RECORD_BYTES_MAX_DEFAULT, SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND,
};
use crate::time::Time;
use meter::{Meter, SECOND, Token};

/// The limits of a shard, and how it counts them. Bytes are data and partition key, before base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLimits {
    /// Records a second; 0 counts as 1.
    pub records_per_second: u32,
    /// Bytes a second; 0 counts as 1.
    pub bytes_per_second: u32,
    /// How they are counted.
    pub accounting: Accounting,
}

impl ShardLimits {
    /// The service's limits (S-06, S-07) in this accounting.
    #[must_use]
    pub fn of_the_service(accounting: Accounting) -> Self {
        Self {
            records_per_second: SHARD_RECORDS_PER_SECOND,
            bytes_per_second: SHARD_BYTES_PER_SECOND,
            accounting,
        }
    }
}

/// One of the ways in which a shard can count its second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accounting {
    /// How admitted records are counted.
    pub law: Law,
    /// Whether refused attempts are counted as well.
    pub counts_refused: bool,
    /// Other producers on the shard.
    pub others: Others,
}

/// How admitted records are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// A token bucket, full at first.
    Token {
        /// What it holds, as time at the limit: 1 ms to 1 h, and at least one record.
        burst: Duration,
    },
    /// Windows of the wall clock's second: they begin at whole seconds since the epoch.
    Clock,
    /// Windows of a second, each of which begins with a record.
    First,
    /// The second before each moment.
    Sliding,
}

/// Other producers on a shard, which do not react to refusals.
///
/// Every millisecond they attempt a share of both limits: for half a period the low one, then the high one. After a
/// pause in which nothing else was attempted, only their last 2 s are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Percent of the limits in the first half of each period.
    pub low_percent: u32,
    /// Percent of the limits in the second half.
    pub high_percent: u32,
    /// The period; zero for the low share all the time.
    pub period: Duration,
}

impl Accounting {
    /// A token bucket of a full second.
    pub const TOKEN_1_S: Self = Self::of(Law::Token { burst: Duration::from_secs(1) });
    /// A token bucket of 200 ms.
    pub const TOKEN_200_MS: Self = Self::of(Law::Token { burst: Duration::from_millis(200) });
    /// A token bucket of 50 ms.
    pub const TOKEN_50_MS: Self = Self::of(Law::Token { burst: Duration::from_millis(50) });
    /// Windows of the wall clock's second.
    pub const CLOCK: Self = Self::of(Law::Clock);
    /// Windows that begin with a record.
    pub const FIRST: Self = Self::of(Law::First);
    /// The trailing second.
    pub const SLIDING: Self = Self::of(Law::Sliding);
    /// One of each.
    pub const ALL: [Self; 6] =
        [Self::TOKEN_1_S, Self::TOKEN_200_MS, Self::TOKEN_50_MS, Self::CLOCK, Self::FIRST, Self::SLIDING];

    /// This law, without refused attempts and without other producers.
    #[must_use]
    pub const fn of(law: Law) -> Self {
        let others = Others { low_percent: 0, high_percent: 0, period: Duration::ZERO };
        Self { law, counts_refused: false, others }
    }

    /// The same, with refused attempts counted.
    #[must_use]
    pub const fn counting_refused(self) -> Self {
        Self { counts_refused: true, ..self }
    }

    /// The same, with other producers.
    #[must_use]
    pub const fn beside(self, others: Others) -> Self {
        Self { others, ..self }
    }
}

impl Default for Accounting {
    fn default() -> Self {
        Self::TOKEN_1_S
    }
}

impl Others {
    /// The same share of the limits all the time.
    #[must_use]
    pub const fn constant(percent: u32) -> Self {
        Self { low_percent: percent, high_percent: percent, period: Duration::ZERO }
    }

    /// The largest of their shares, in percent.
    #[must_use]
    pub const fn percent_max(&self) -> u32 {
        if self.low_percent < self.high_percent { self.high_percent } else { self.low_percent }
    }

    /// Their share at this time.
    fn percent_at(&self, nanos: u64) -> u32 {
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        match nanos.checked_rem(period) {
            Some(into) if into >= period / 2 => self.high_percent,
            _ => self.low_percent,
        }
    }
}

/// The names of the rate lab: `token 0.2 s`, `clock`, `first`, `sliding`.
impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { burst } => {
                let (seconds, nanos) = (burst.as_secs(), burst.subsec_nanos());
                let fraction = format!("{nanos:09}");
                match fraction.trim_end_matches('0') {
                    "" => write!(f, "token {seconds} s"),
                    fraction => write!(f, "token {seconds}.{fraction} s"),
                }
            }
            Self::Clock => f.write_str("clock"),
            Self::First => f.write_str("first"),
            Self::Sliding => f.write_str("sliding"),
        }
    }
}

impl fmt::Display for Accounting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.law, f)?;
        if self.counts_refused {
            f.write_str(", refused attempts counted")?;
        }
        match self.others {
            others if others == Others::default() => Ok(()),
            Others { low_percent, high_percent, .. } if low_percent == high_percent => {
                write!(f, ", others use {low_percent} %")
            }
            Others { low_percent, high_percent, period } => {
                write!(f, ", others use {low_percent} % and {high_percent} % every {period:?}")
            }
        }
    }
}

/// The limits of one shard at work.
#[derive(Clone, Debug)]
pub struct ShardMeter {
    records: Meter,
    bytes: Meter,
    /// For the part of records above 1 MiB (S-09).
    tank: Token,
    limits: ShardLimits,
    now: u64,
    /// The number of the next attempt of the others, in steps since the epoch.
    others_next: u64,
}

impl ShardMeter {
    /// A shard on which nothing was attempted before `now`.
    #[must_use]
    pub fn new(limits: ShardLimits, now: Time) -> Self {
        let law = limits.accounting.law;
        let (records, bytes) = (limits.records_per_second.max(1), limits.bytes_per_second.max(1));
        let now = now.as_nanos();
        Self {
            records: Meter::new(law, records, now),
            bytes: Meter::new(law, bytes, now),
            tank: Token::new(bytes, RECORD_BYTES_MAX_CEILING as u64, now),
            limits,
            now,
            others_next: now / OTHERS_STEP,
        }
    }

    /// Admits a record of so many bytes, or refuses it. A time before an earlier one counts as that one.
    pub fn admit(&mut self, now: Time, bytes: usize) -> bool {
        self.now = self.now.max(now.as_nanos());
        if self.limits.accounting.others.percent_max() > 0 {
            self.others_attempt();
        }
        let ordinary = bytes.min(RECORD_BYTES_MAX_DEFAULT) as u64;
        let above = bytes as u64 - ordinary;
        self.records.advance(self.now);
        self.bytes.advance(self.now);
        if above > 0 {
            self.tank.advance(self.now);
        }
        let has_room =
            self.records.has(1) && self.bytes.has(ordinary) && (above == 0 || self.tank.has(above));
        if has_room {
            self.records.take(self.now, 1);
            self.bytes.take(self.now, ordinary);
            if above > 0 {
                self.tank.take(above);
            }
        } else if self.limits.accounting.counts_refused {
            self.records.refuse(self.now, 1);
            self.bytes.refuse(self.now, ordinary);
        }
        has_room
    }

    /// Changes the limits. What was admitted before stays counted.
    pub fn set_rates(&mut self, records_per_second: u32, bytes_per_second: u32) {
        (self.limits.records_per_second, self.limits.bytes_per_second) =
            (records_per_second, bytes_per_second);
        self.records.set_limit(self.limits.accounting.law, records_per_second.max(1));
        self.bytes.set_limit(self.limits.accounting.law, bytes_per_second.max(1));
        self.tank.advance(self.now);
        self.tank.set_rate(bytes_per_second.max(1));
    }

    /// What the others attempted since the last call.
    fn others_attempt(&mut self) {
        let Accounting { others, counts_refused, .. } = self.limits.accounting;
        let end = self.now / OTHERS_STEP + 1;
        let first = self.others_next.max(end.saturating_sub(OTHERS_STEPS_MAX));
        for step in first..end {
            let at = step * OTHERS_STEP;
            let percent = u64::from(others.percent_at(at));
            // Differences of what is due since the epoch, so that a small limit loses nothing by rounding.
            let due = |limit: u32, steps: u64| {
                (u128::from(limit) * u128::from(percent) * u128::from(steps) / STEPS_AND_PERCENT) as u64
            };
            let amount = |limit: u32| due(limit, step + 1) - due(limit, step);
            let (records, bytes) =
                (amount(self.limits.records_per_second), amount(self.limits.bytes_per_second));
            for (meter, wanted) in [(&mut self.records, records), (&mut self.bytes, bytes)] {
                meter.advance(at);
                let taken = wanted.min(meter.room());
                if taken > 0 {
                    meter.take(at, taken);
                }
                if counts_refused && wanted > taken {
                    meter.refuse(at, wanted - taken);
                }
            }
        }
        self.others_next = end;
    }
}

const OTHERS_STEP: u64 = SECOND / 1_000;
/// 2 s: no window is longer, and the effort after a pause is bounded.
const OTHERS_STEPS_MAX: u64 = 2_000;
/// Steps in a second, times 100 %.
const STEPS_AND_PERCENT: u128 = 1_000 * 100;

//! One limit of one shard, counted by one law.

use std::collections::VecDeque;
use std::time::Duration;

use super::Law;

/// One limit at work. [`advance`](Self::advance) comes before every question.
#[derive(Clone, Debug)]
pub(super) enum Meter {
    Token(Token),
    Window(Window),
    Sliding(Sliding),
}

impl Meter {
    pub(super) fn new(law: Law, limit: u32, now: u64) -> Self {
        match law {
            Law::Token { burst } => Self::Token(Token::of_burst(limit, burst, now)),
            Law::Clock => Self::Window(Window::new(limit, true)),
            Law::First => Self::Window(Window::new(limit, false)),
            Law::Sliding => Self::Sliding(Sliding::new(limit)),
        }
    }

    pub(super) fn set_limit(&mut self, law: Law, limit: u32) {
        match (self, law) {
            (Self::Token(token), Law::Token { burst }) => {
                token.set_rate(limit);
                token.set_capacity(capacity(limit, burst));
            }
            (Self::Token(token), _) => token.set_rate(limit),
            (Self::Window(window), _) => window.limit = u64::from(limit),
            (Self::Sliding(sliding), _) => sliding.limit = u64::from(limit),
        }
    }

    /// Lets time pass until `now`, which is not before an earlier one.
    pub(super) fn advance(&mut self, now: u64) {
        match self {
            Self::Token(token) => token.advance(now),
            Self::Window(window) => window.advance(now),
            Self::Sliding(sliding) => sliding.advance(now),
        }
    }

    /// Whether so many units are admitted.
    pub(super) fn has(&self, units: u64) -> bool {
        match self {
            Self::Token(token) => token.has(units),
            Self::Window(window) => admits(window.limit, window.used + window.refused, units),
            Self::Sliding(sliding) => admits(sliding.limit, sliding.used(), units),
        }
    }

    /// The most units that are admitted one by one.
    pub(super) fn room(&self) -> u64 {
        match self {
            Self::Token(token) => token.room(),
            Self::Window(window) => window.limit.saturating_sub(window.used + window.refused),
            Self::Sliding(sliding) => sliding.limit.saturating_sub(sliding.used()),
        }
    }

    /// Counts units that were admitted.
    pub(super) fn take(&mut self, now: u64, units: u64) {
        match self {
            Self::Token(token) => token.take(units),
            Self::Window(window) => {
                window.begin(now);
                window.used += units;
            }
            Self::Sliding(sliding) => sliding.take(now, units),
        }
    }

    /// Counts units that were refused.
    pub(super) fn refuse(&mut self, now: u64, units: u64) {
        match self {
            Self::Token(token) => token.refuse(units),
            Self::Window(window) => {
                window.begin(now);
                window.refused += units;
            }
            Self::Sliding(sliding) => sliding.refuse(now, units),
        }
    }
}

/// Whether a second with this limit, of which `used` is taken, admits so many units. More than the limit is admitted
/// where nothing is taken.
fn admits(limit: u64, used: u64, units: u64) -> bool {
    used + units <= limit || (used == 0 && units > limit)
}

/// A bucket, counted in billionths of a unit so that a refill by nanoseconds is exact.
#[derive(Clone, Debug)]
pub(super) struct Token {
    per_second: i128,
    capacity: i128,
    /// Negative after units that exceed the bucket.
    available: i128,
    at: u64,
}

impl Token {
    fn of_burst(limit: u32, burst: Duration, now: u64) -> Self {
        let capacity = capacity(limit, burst);
        Self { per_second: i128::from(limit), capacity, available: capacity, at: now }
    }

    /// A full bucket of so many units.
    pub(super) fn new(limit: u32, units: u64, now: u64) -> Self {
        let capacity = i128::from(units) * BILLION;
        Self { per_second: i128::from(limit), capacity, available: capacity, at: now }
    }

    pub(super) fn set_rate(&mut self, limit: u32) {
        self.per_second = i128::from(limit);
    }

    fn set_capacity(&mut self, capacity: i128) {
        self.capacity = capacity;
        self.available = self.available.min(capacity);
    }

    pub(super) fn advance(&mut self, now: u64) {
        if now > self.at {
            let elapsed = i128::from(now - self.at);
            self.available = (self.available + elapsed * self.per_second).min(self.capacity);
            self.at = now;
        }
    }

    /// Whether the bucket has so many units; of more units than it holds, whether it is full.
    pub(super) fn has(&self, units: u64) -> bool {
        self.available >= (i128::from(units) * BILLION).min(self.capacity)
    }

    fn room(&self) -> u64 {
        u64::try_from(self.available / BILLION).unwrap_or(0)
    }

    pub(super) fn take(&mut self, units: u64) {
        self.available -= i128::from(units) * BILLION;
    }

    /// A refused attempt spends what is there, but makes no debt.
    fn refuse(&mut self, units: u64) {
        if self.available > 0 {
            self.available = (self.available - i128::from(units) * BILLION).max(0);
        }
    }
}

/// What comes in during the burst, at least one unit.
fn capacity(limit: u32, burst: Duration) -> i128 {
    let burst = burst.clamp(BURST_MIN, BURST_MAX);
    (i128::from(limit) * burst.as_nanos().cast_signed()).max(BILLION)
}

/// Windows of a second, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Window {
    limit: u64,
    /// They begin at whole seconds, else with a record.
    by_clock: bool,
    /// When the current one began; `None` between windows that begin with a record.
    start: Option<u64>,
    /// Units admitted in the current window. What exceeds the limit counts in the windows after it.
    used: u64,
    /// Units refused in the current window, if they are counted.
    refused: u64,
}

impl Window {
    fn new(limit: u32, by_clock: bool) -> Self {
        Self { limit: u64::from(limit), by_clock, start: None, used: 0, refused: 0 }
    }

    fn advance(&mut self, now: u64) {
        let Some(start) = self.start else { return };
        let whole = now.saturating_sub(start) / SECOND;
        if whole > 0 {
            self.used = self.used.saturating_sub(whole.saturating_mul(self.limit));
            self.refused = 0;
            // A window that is still in use follows the last at once.
            self.start = (self.used > 0).then(|| start + whole * SECOND);
        }
    }

    /// Begins a window, unless one is open.
    fn begin(&mut self, now: u64) {
        let start = if self.by_clock { now - now % SECOND } else { now };
        self.start.get_or_insert(start);
    }
}

/// The second before each moment.
#[derive(Clone, Debug)]
pub(super) struct Sliding {
    limit: u64,
    /// When units were counted and how many, oldest first. At most as many as the limit, see [`refuse`](Self::refuse).
    counted: VecDeque<(u64, u64)>,
    sum: u64,
    /// Units that exceed the limit: so many of them count at each of the seconds that follow.
    oversize: Option<(u64, u64)>,
}

impl Sliding {
    fn new(limit: u32) -> Self {
        Self { limit: u64::from(limit), counted: VecDeque::new(), sum: 0, oversize: None }
    }

    fn used(&self) -> u64 {
        self.sum + self.oversize.map_or(0, |(_, units)| units)
    }

    fn advance(&mut self, now: u64) {
        while let Some(&(at, units)) = self.counted.front()
            && at + SECOND <= now
        {
            self.counted.pop_front();
            self.sum -= units;
        }
        if let Some((at, units)) = self.oversize {
            let whole = (now - at) / SECOND;
            let left = units.saturating_sub(whole.saturating_mul(self.limit));
            self.oversize = (left > 0).then(|| (at + whole * SECOND, left));
        }
    }

    fn take(&mut self, now: u64, units: u64) {
        if units > self.limit {
            self.oversize = Some((now, units));
        } else {
            self.count(now, units);
        }
    }

    /// The newest units up to the limit refuse everything for as long as any older ones, which need not be kept.
    fn refuse(&mut self, now: u64, units: u64) {
        self.count(now, units);
        while let Some(&(_, oldest)) = self.counted.front()
            && self.sum - oldest >= self.limit
        {
            self.counted.pop_front();
            self.sum -= oldest;
        }
    }

    fn count(&mut self, now: u64, units: u64) {
        self.sum += units;
        match self.counted.back_mut() {
            Some((at, counted)) if *at == now => *counted += units,
            _ => self.counted.push_back((now, units)),
        }
    }
}

pub(super) const SECOND: u64 = 1_000_000_000;
const BILLION: i128 = 1_000_000_000;
const BURST_MIN: Duration = Duration::from_millis(1);
const BURST_MAX: Duration = Duration::from_secs(3_600);

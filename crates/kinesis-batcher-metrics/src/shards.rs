//! Which shards are told one by one, and how busy each is.

use std::collections::HashMap;
use std::time::Duration;

use kinesis_batcher_driver::{ShardId, ShardStats, Snapshot, Timestamp};

/// One line of shard figures.
#[derive(Clone, Debug)]
pub(crate) struct ShardRow {
    /// The value of the label `shard`.
    pub(crate) name: String,
    pub(crate) counters: Counters,
    pub(crate) records_per_second: Option<u64>,
    pub(crate) bytes_per_second: Option<u64>,
    /// What was sent lately against what may be sent; of records and bytes, the higher.
    pub(crate) utilisation: f64,
    pub(crate) records_queued: u64,
    pub(crate) bytes_held: u64,
    pub(crate) oldest_age: Duration,
}

/// Figures that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) records_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) records_throttled: u64,
}

/// What is remembered of shards from scrape to scrape.
#[derive(Debug)]
pub(crate) struct ShardTable {
    shown_max: usize,
    memory: HashMap<Option<ShardId>, Memory>,
    /// The window that utilisation is taken over began here; the next one will begin at `latest_at`.
    previous_at: Timestamp,
    latest_at: Timestamp,
    /// What went to shards while they were not shown. A sum over those that are not shown now would step back when
    /// one of them comes to be, and a counter that steps back looks as if the process had started anew.
    rest: Counters,
    rounds: u64,
}

#[derive(Debug, Default)]
struct Memory {
    previous: Counters,
    latest: Counters,
    told: Counters,
    shown: bool,
    round: u64,
}

impl ShardTable {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let mut table = Self {
            shown_max: SHOWN_MAX,
            memory: HashMap::new(),
            previous_at: snapshot.now,
            latest_at: snapshot.now,
            rest: Counters::default(),
            rounds: 0,
        };
        for shard in &snapshot.shards {
            let counters = Counters::of(shard);
            // Not told yet: what is not shown at the first scrape belongs to the rest in full.
            let memory = Memory { previous: counters, latest: counters, ..Memory::default() };
            table.memory.insert(shard.shard_id.clone(), memory);
        }
        table
    }

    pub(crate) fn set_shown_max(&mut self, shown_max: usize) {
        self.shown_max = shown_max;
    }

    /// The rows of a scrape: shards in the order of their keys, and behind them the sum of those left out.
    pub(crate) fn update(&mut self, snapshot: &Snapshot) -> Vec<ShardRow> {
        self.rounds += 1;
        let window_ends = snapshot.now.since(self.latest_at) >= WINDOW;
        if window_ends {
            (self.previous_at, self.latest_at) = (self.latest_at, snapshot.now);
        }
        let elapsed = snapshot.now.since(self.previous_at);
        let looks: Vec<Look> =
            snapshot.shards.iter().map(|shard| self.look_at(shard, window_ends, elapsed)).collect();
        // Shards that were closed since.
        self.memory.retain(|_, memory| memory.round == self.rounds);

        let chosen = choose(&looks, self.shown_max);
        let mut rest = Rest::default();
        let mut rows = Vec::with_capacity(self.shown_max.min(looks.len()) + 1);
        for ((shard, look), &shown) in snapshot.shards.iter().zip(&looks).zip(&chosen) {
            let memory = self.memory.get_mut(&shard.shard_id).expect("each shard was looked at");
            let counters = Counters::of(shard);
            if shown {
                rows.push(row_of(shard, look, snapshot.now));
            } else {
                self.rest.add(counters.since(memory.told));
                rest.add(shard, look, snapshot.now);
            }
            (memory.shown, memory.told) = (shown, counters);
        }
        if rest.shards > 0 {
            rows.push(rest.into_row(self.rest));
        }
        rows
    }

    fn look_at(&mut self, shard: &ShardStats, window_ends: bool, elapsed: Duration) -> Look {
        let memory = self.memory.entry(shard.shard_id.clone()).or_default();
        let counters = Counters::of(shard);
        memory.round = self.rounds;
        if window_ends {
            (memory.previous, memory.latest) = (memory.latest, counters);
        }
        let lately = counters.since(memory.previous);
        let per_second =
            |count: u64| if elapsed < ELAPSED_MIN { 0.0 } else { count as f64 / elapsed.as_secs_f64() };
        Look {
            records_per_second: per_second(lately.records_sent),
            bytes_per_second: per_second(lately.bytes_sent),
            throttled: lately.records_throttled > 0,
            was_shown: memory.shown,
        }
    }
}

/// What a shard has been doing lately.
#[derive(Debug)]
struct Look {
    records_per_second: f64,
    bytes_per_second: f64,
    throttled: bool,
    was_shown: bool,
}

/// Which shards are shown: those that are throttled, then those with the highest utilisation. One that was shown
/// keeps its place against others that are hardly busier: series that come and go are of little use.
fn choose(looks: &[Look], shown_max: usize) -> Vec<bool> {
    let mut chosen = vec![true; looks.len()];
    if looks.len() <= shown_max {
        return chosen;
    }
    let score = |&index: &usize| {
        let look = &looks[index];
        // Without limits there is no utilisation; the rates tell as well which shard is busiest, and streams have
        // shards of one size.
        let busy = (look.records_per_second / 1_000.0).max(look.bytes_per_second / f64::from(1 << 20));
        (if look.was_shown { STAYING * busy } else { busy })
            + if look.throttled { THROTTLED_FIRST } else { 0.0 }
    };
    let mut order: Vec<usize> = (0..looks.len()).collect();
    order.select_nth_unstable_by(shown_max, |left, right| {
        score(right).total_cmp(&score(left)).then(left.cmp(right))
    });
    for &index in &order[shown_max..] {
        chosen[index] = false;
    }
    chosen
}

fn row_of(shard: &ShardStats, look: &Look, now: Timestamp) -> ShardRow {
    ShardRow {
        name: shard.shard_id.as_ref().map_or_else(|| WHOLE_STREAM.to_owned(), ToString::to_string),
        counters: Counters::of(shard),
        records_per_second: shard.records_per_second,
        bytes_per_second: shard.bytes_per_second,
        utilisation: utilisation(look, shard.records_per_second, shard.bytes_per_second),
        records_queued: shard.records_queued,
        bytes_held: shard.bytes_held,
        oldest_age: oldest_age(shard, now),
    }
}

fn utilisation(look: &Look, records_per_second: Option<u64>, bytes_per_second: Option<u64>) -> f64 {
    let share = |rate: f64, limit: Option<u64>| limit.map_or(0.0, |limit| rate / limit.max(1) as f64);
    share(look.records_per_second, records_per_second).max(share(look.bytes_per_second, bytes_per_second))
}

fn oldest_age(shard: &ShardStats, now: Timestamp) -> Duration {
    shard.oldest_accepted_at.map_or(Duration::ZERO, |at| now.since(at))
}

/// The shards that are not told one by one.
#[derive(Debug, Default)]
struct Rest {
    shards: usize,
    sum: Option<ShardRow>,
    records_per_second: f64,
    bytes_per_second: f64,
}

impl Rest {
    fn add(&mut self, shard: &ShardStats, look: &Look, now: Timestamp) {
        self.shards += 1;
        self.records_per_second += look.records_per_second;
        self.bytes_per_second += look.bytes_per_second;
        let plus = |left: Option<u64>, right: Option<u64>| Some(left? + right?);
        let Some(sum) = &mut self.sum else {
            self.sum = Some(ShardRow { name: REST.to_owned(), ..row_of(shard, look, now) });
            return;
        };
        sum.records_per_second = plus(sum.records_per_second, shard.records_per_second);
        sum.bytes_per_second = plus(sum.bytes_per_second, shard.bytes_per_second);
        sum.records_queued += shard.records_queued;
        sum.bytes_held += shard.bytes_held;
        sum.oldest_age = sum.oldest_age.max(oldest_age(shard, now));
    }

    fn into_row(self, counters: Counters) -> ShardRow {
        let look = Look {
            records_per_second: self.records_per_second,
            bytes_per_second: self.bytes_per_second,
            throttled: false,
            was_shown: false,
        };
        let sum = self.sum.expect("there is a shard in it");
        ShardRow {
            counters,
            utilisation: utilisation(&look, sum.records_per_second, sum.bytes_per_second),
            ..sum
        }
    }
}

impl Counters {
    fn of(shard: &ShardStats) -> Self {
        Self {
            records_sent: shard.records_sent,
            bytes_sent: shard.bytes_sent,
            records_throttled: shard.records_throttled,
        }
    }

    /// A shard that was closed and opened again under its old name starts from zero.
    fn since(self, earlier: Self) -> Self {
        Self {
            records_sent: self.records_sent.saturating_sub(earlier.records_sent),
            bytes_sent: self.bytes_sent.saturating_sub(earlier.bytes_sent),
            records_throttled: self.records_throttled.saturating_sub(earlier.records_throttled),
        }
    }

    fn add(&mut self, more: Self) {
        self.records_sent += more.records_sent;
        self.bytes_sent += more.bytes_sent;
        self.records_throttled += more.records_throttled;
    }
}

/// Nine hundred lines, as much as a scrape of a small service has anyway.
const SHOWN_MAX: usize = 100;
/// Long enough for several requests to each shard, short enough to see a shard become hot.
const WINDOW: Duration = Duration::from_secs(5);
/// In less, a single request looks like a flood.
const ELAPSED_MIN: Duration = Duration::from_millis(100);
/// More than any utilisation.
const THROTTLED_FIRST: f64 = 1e9;
/// Another takes its place once it is half as busy again.
const STAYING: f64 = 1.5;
/// The label `shard` of shards that are not told one by one.
const REST: &str = "other";
/// The label `shard` where shards are not known, or not told apart.
const WHOLE_STREAM: &str = "stream";

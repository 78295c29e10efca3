//! What share of a shard producers use, under every way of counting a second (S-08).

mod contention;

use std::num::NonZeroU32;
use std::time::Duration;

use contention::{Contention, Outcome, Race};
use kinesis_batcher_core::{Batcher, Config, ShardLimit, ShardMap};
use kinesis_model::Accounting;

const SECOND: Duration = Duration::from_secs(1);

fn config(limit: ShardLimit, adaptive: bool, rate_min_percent: u16) -> Config {
    Config::builder()
        .rate_min_percent(rate_min_percent)
        .shard_limit(limit)
        .adaptive_rates(adaptive)
        .buffer_records_max(3_000)
        .buffer_bytes_max(256 << 20)
        .time_to_live(None)
        .build()
        .expect("a test's configuration is valid")
}

#[derive(Clone, Copy)]
struct Case {
    producers: usize,
    shards: u32,
    record_bytes: usize,
    round_trip_millis: u64,
    percent_offered: u64,
    throttled_percent: u64,
    rate_min_percent: u16,
}

const ALONE: Case = Case {
    producers: 1,
    shards: 1,
    record_bytes: 100,
    round_trip_millis: 20,
    percent_offered: 200,
    throttled_percent: 0,
    rate_min_percent: 0,
};

impl Case {
    fn capacity(&self) -> u64 {
        1_000.min((1 << 20) / self.record_bytes as u64) * u64::from(self.shards)
    }

    fn race(&self, accounting: Accounting) -> Race {
        Race::new(Contention {
            producers: self.producers,
            shards: self.shards,
            records_per_second: self.capacity() * self.percent_offered / 100 / self.producers as u64,
            record_bytes: self.record_bytes,
            config: config(ShardLimit::Percent(100), true, self.rate_min_percent),
            round_trip: Duration::from_millis(self.round_trip_millis),
            accounting,
            throttled_percent: self.throttled_percent,
        })
    }

    fn used(&self, outcome: &Outcome, seconds: u64) -> f64 {
        let capacity = (1_000.0_f64).min(1_048_576.0 / self.record_bytes as f64) * f64::from(self.shards);
        outcome.delivered() as f64 / (capacity * seconds as f64)
    }
}

fn accountings() -> Vec<Accounting> {
    let mut all = Accounting::ALL.to_vec();
    all.extend(
        [Accounting::TOKEN_1_S, Accounting::FIRST, Accounting::SLIDING].map(Accounting::counting_refused),
    );
    all
}

#[allow(clippy::print_stdout, reason = "the figures go into docs/SCALING.md")]
fn row(name: &str, mut cell: impl FnMut(Accounting) -> String) {
    let cells: Vec<String> =
        accountings().into_iter().map(|accounting| format!("{:>15}", cell(accounting))).collect();
    println!("{name:30}{}", cells.concat());
}

/// Seconds until the delivered share of a second reaches `wanted`.
fn seconds_until(case: &Case, race: &mut Race, wanted: f64, most: u64) -> String {
    let fifth = SECOND / 5;
    let mut window = std::collections::VecDeque::new();
    for step in 0..most * 5 {
        let outcome = race.run(fifth);
        window.push_back(outcome.delivered());
        if window.len() > 5 {
            window.pop_front();
        }
        let capacity = (1_000.0_f64).min(1_048_576.0 / case.record_bytes as f64) * f64::from(case.shards);
        if window.len() == 5 && window.iter().sum::<u64>() as f64 >= wanted * capacity {
            return format!("{:.1}", (step + 1) as f64 / 5.0);
        }
    }
    "-".to_owned()
}

#[test]
fn a_producer_that_is_alone_uses_its_shard_and_is_not_throttled() {
    for accounting in accountings() {
        // The burst of an idle shard is too much for a bucket of 50 ms, and it takes a while to make up for that.
        let least = if accounting == Accounting::TOKEN_50_MS { 0.92 } else { 0.97 };
        for round_trip_millis in [5, 20] {
            let case = Case { round_trip_millis, ..ALONE };
            let mut race = case.race(accounting);
            race.run(2 * SECOND);
            let outcome = race.run(10 * SECOND);
            let used = case.used(&outcome, 10);
            assert!(used >= least, "{accounting}: {used:.3} of the shard is used");
            assert!(outcome.throttled_share() <= 0.005, "{accounting}: {:.4}", outcome.throttled_share());
        }
    }
}

#[test]
fn four_producers_share_two_full_shards_under_every_accounting() {
    for accounting in accountings() {
        let case = Case { producers: 4, shards: 2, ..ALONE };
        let mut race = case.race(accounting);
        race.run(10 * SECOND);
        let outcome = race.run(20 * SECOND);
        let (used, throttled, fairness) =
            (case.used(&outcome, 20), outcome.throttled_share(), outcome.fairness());
        // Where refused attempts count in a sliding second, every one of them costs a record.
        let least = if accounting == Accounting::SLIDING.counting_refused() { 0.85 } else { 0.94 };
        assert!(used >= least, "{accounting}: {used:.3} of the shards are used");
        assert!(throttled <= 0.04, "{accounting}: {throttled:.4} of the attempts are throttled");
        assert!(fairness >= 0.8, "{accounting}: shares are as {fairness:.3}");
    }
}

#[test]
fn a_shard_that_was_away_for_30_seconds_is_used_again_within_10() {
    for (record_bytes, wanted) in [(100, 0.9), (51_200, 0.9), (900_000, 0.8)] {
        let case = Case { record_bytes, ..ALONE };
        let mut race = case.race(Accounting::TOKEN_1_S);
        race.run(10 * SECOND);
        race.is_away = true;
        race.run(30 * SECOND);
        race.is_away = false;
        let took = seconds_until(&case, &mut race, wanted, 10);
        assert_ne!(took, "-", "records of {record_bytes} B");
    }
}

#[test]
fn refusals_at_random_do_not_slow_a_producer_down() {
    let case = Case { throttled_percent: 10, ..ALONE };
    for accounting in [Accounting::TOKEN_1_S, Accounting::FIRST] {
        let mut race = case.race(accounting);
        race.run(10 * SECOND);
        let used = case.used(&race.run(20 * SECOND), 20);
        assert!(
            used >= 0.8 * 0.9,
            "{accounting}: {used:.3} of the shard is used, and 0.9 without rates that adapt"
        );
    }
}

#[test]
#[ignore = "a table for docs/SCALING.md: cargo test --release -p kinesis-batcher-core --test rates -- --ignored --nocapture table"]
fn table() {
    // For one row at a time: ONLY=outage.
    let only = std::env::var("ONLY").unwrap_or_default();
    let on = |name: &str| name.contains(&only);
    row("", |accounting| accounting.to_string().replace(", refused attempts counted", "+r"));
    if on("alone") {
        for (record_bytes, round_trip_millis) in
            [(100, 5), (100, 20), (100, 100), (51_200, 5), (51_200, 20), (51_200, 100)]
        {
            let case = Case { record_bytes, round_trip_millis, ..ALONE };
            row(&format!("alone {record_bytes} B {round_trip_millis} ms"), |accounting| {
                let mut race = case.race(accounting);
                let early = race.run(2 * SECOND);
                let outcome = race.run(20 * SECOND);
                format!(
                    "{:.3} {:4.1} {:3}",
                    case.used(&outcome, 20),
                    100.0 * outcome.throttled_share(),
                    early.throttled
                )
            });
        }
    }
    if on("sixteen") {
        let case = Case { shards: 16, round_trip_millis: 20, ..ALONE };
        row("16 shards", |accounting| {
            let mut race = case.race(accounting);
            race.run(2 * SECOND);
            let outcome = race.run(10 * SECOND);
            format!("{:.3} {:4.1}", case.used(&outcome, 10), 100.0 * outcome.throttled_share())
        });
    }
    if on("company") {
        for producers in [2, 4, 16, 64] {
            let case = Case { producers, shards: 2, ..ALONE };
            let mut jain = 1.0_f64;
            row(&format!("{producers} producers"), |accounting| {
                let mut race = case.race(accounting);
                let early = race.run(10 * SECOND);
                let outcome = race.run(20 * SECOND);
                jain = outcome.fairness();
                format!(
                    "{:.2} {:4.1} {:.2} {:.0}",
                    case.used(&outcome, 20),
                    100.0 * outcome.throttled_share(),
                    jain,
                    100.0 * early.throttled_share()
                )
            });
        }
    }
    if on("leave") {
        for producers in [4, 16] {
            let case = Case { producers, ..ALONE };
            row(&format!("half of {producers} leave"), |accounting| {
                let mut race = case.race(accounting);
                race.setup.records_per_second *= 2;
                race.run(30 * SECOND);
                race.active = producers / 2;
                race.run(SECOND * 3);
                seconds_until(&case, &mut race, 0.9, 30)
            });
        }
    }
    if on("random") {
        let case = Case { throttled_percent: 10, ..ALONE };
        row("one in ten at random", |accounting| {
            let mut race = case.race(accounting);
            race.run(10 * SECOND);
            let outcome = race.run(30 * SECOND);
            format!("{:.3} {:4.1}", case.used(&outcome, 30), 100.0 * outcome.throttled_share())
        });
        let case = Case { throttled_percent: 10, percent_offered: 15, ..ALONE };
        row("the same, 150 a second", |accounting| {
            let mut race = case.race(accounting);
            race.run(20 * SECOND);
            let outcome = race.run(20 * SECOND);
            format!("{:.3} {:4.1}", case.used(&outcome, 20), 100.0 * outcome.throttled_share())
        });
    }
    if on("beside") {
        for (record_bytes, rate_min_percent) in [(100, 0), (100, 65), (51_200, 0), (51_200, 65)] {
            let case = Case { record_bytes, rate_min_percent, producers: 2, percent_offered: 300, ..ALONE };
            row(&format!("beside 150 %, {record_bytes} B, {rate_min_percent} %"), |accounting| {
                let mut race = case.race(accounting);
                let map = ShardMap::uniform(NonZeroU32::MIN);
                race.batchers[1] = Batcher::new(config(ShardLimit::Percent(150), false, 0), map, 7, race.now);
                race.run(15 * SECOND);
                let outcome = race.run(30 * SECOND);
                race.active = 1;
                race.run(3 * SECOND);
                let back = seconds_until(&case, &mut race, 0.9, 40);
                let mine = case.used(&outcome, 30) * outcome.stored[0] as f64 / outcome.delivered() as f64;
                format!("{mine:.3} {:2.0} {back}", 100.0 * outcome.throttled_share())
            });
        }
    }
    if on("outage") {
        for record_bytes in [100, 51_200, 900_000] {
            let case = Case { record_bytes, ..ALONE };
            row(&format!("outage 30 s, {record_bytes} B"), |accounting| {
                let mut race = case.race(accounting);
                race.run(10 * SECOND);
                race.is_away = true;
                race.run(30 * SECOND);
                race.is_away = false;
                let wanted = if record_bytes > 500_000 { 0.8 } else { 0.9 };
                seconds_until(&case, &mut race, wanted, 60)
            });
        }
    }
    if on("half") {
        row("shard takes half, then all", |accounting| {
            let mut race = ALONE.race(accounting);
            race.run(5 * SECOND);
            race.scale_shard(0, 50);
            race.run(10 * SECOND);
            let outcome = race.run(20 * SECOND);
            race.scale_shard(0, 100);
            let back = seconds_until(&ALONE, &mut race, 0.9, 60);
            format!("{:.3} {:4.1} {back}", 2.0 * ALONE.used(&outcome, 20), 100.0 * outcome.throttled_share())
        });
    }
}

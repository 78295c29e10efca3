//! Thousands of seeds, each with settings, stream, workload, network and faults of its own.
//!
//! `SEEDS=20000 SEED_FROM=5000 cargo test -p kinesis-batcher-sim --test seeds` runs others; for many more there is
//! `cargo run --release -p kinesis-batcher-sim --example seeds -- --seeds 1000000 --threads 2`.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use kinesis_batcher_core::Config;
use kinesis_batcher_sim::{
    Breach, Checker, Checks, Faults, Invariant, Observation, Options, Profile, Rate, Report, Scene, run,
    run_with,
};

#[test]
fn every_promise_is_kept_in_every_short_run() {
    every_promise_is_kept(Profile::Short, from_environment("SEED_FROM", 0), from_environment("SEEDS", SEEDS));
}

#[test]
fn every_promise_is_kept_in_minutes_of_many_producers() {
    every_promise_is_kept(Profile::Long, 1, LONG_SEEDS);
}

#[test]
fn every_promise_is_kept_in_ten_days() {
    every_promise_is_kept(Profile::Soak, 0, SOAK_SEEDS);
}

fn every_promise_is_kept(profile: Profile, from: u64, seeds: u64) {
    let next = AtomicU64::new(from);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |threads| threads.get().min(8)) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    if let Err(what) = try_seed(profile, seed) {
                        failed.lock().expect("no thread panics while it holds the lock").push((seed, what));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().expect("no thread panics while it holds the lock");
    failed.sort();
    if let Some((seed, what)) = failed.first() {
        let count = failed.len();
        panic!(
            "{count} of {seeds} {profile} seeds fail. Seed {seed}:\n{what}\nTo see every step of it:\n\
             {REPLAY} --profile {profile} --seed {seed}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_report_byte_for_byte() {
    for seed in 0..100 {
        let options = Options::of_seed(seed).interval(Duration::from_millis(500)).trace_lines_max(100_000);
        let (first, second) = (run(seed, &options), run(seed, &options));
        assert_eq!(first, second, "seed {seed} has two reports");
        assert_eq!(first.to_string(), second.to_string());
    }
}

#[test]
fn watching_changes_nothing() {
    for seed in 0..100 {
        let watched =
            run(seed, &Options::of_seed(seed).interval(Duration::from_millis(100)).trace_lines_max(10));
        let alone = run(seed, &Options::of_seed(seed).checks(Checks::NONE));
        assert_eq!(watched.digest, alone.digest, "seed {seed} runs otherwise when nobody looks");
        assert_eq!((watched.totals, watched.elapsed), (alone.totals, alone.elapsed));
    }
}

#[test]
fn two_seeds_make_two_runs() {
    let digests: BTreeSet<u64> = (0..100).map(|seed| run(seed, &Options::of_seed(seed)).digest).collect();
    assert_eq!(digests.len(), 100);
}

/// Seeds that never reach a state say nothing of it.
#[test]
fn short_runs_reach_every_end_that_a_record_can_have() {
    let mut reached: Vec<(&str, u64)> = Vec::new();
    for seed in 0..400 {
        let report = run(seed, &Options::of_seed(seed));
        for (index, (what, count)) in ends(&report).into_iter().enumerate() {
            match reached.get_mut(index) {
                Some((_, sum)) => *sum += count,
                None => reached.push((what, count)),
            }
        }
    }
    for (what, count) in reached {
        assert!(count >= 20, "400 seeds saw {count} records or requests {what}");
    }
}

#[test]
fn all_that_is_accepted_is_delivered_when_nothing_goes_wrong() {
    let options = Options::default().duration(Duration::from_secs(5)).interval(Duration::from_secs(1));
    let report = run(3, &options);
    assert!(report.is_ok(), "{report}");
    let totals = &report.totals;
    assert!((4_700..5_300).contains(&totals.records_offered), "1,000 a second for 5 s are offered");
    assert_eq!(totals.records_offered, totals.records_delivered);
    assert_eq!((totals.entries_throttled, totals.duplicates_stored, totals.records_failed), (0, 0, 0));
    assert!(report.delay.max < Duration::from_millis(250), "linger and a round trip: {}", report.delay);
    let in_series: u64 = report.series.iter().map(|point| point.records_offered).sum();
    assert_eq!(in_series, totals.records_offered, "the series ends with the offers");
    let by_shard: u64 =
        report.series.iter().flat_map(|point| &point.shards).map(|shard| shard.entries_stored).sum();
    assert!(by_shard > 0 && by_shard <= totals.entries_stored);
}

#[test]
fn a_saturated_stream_is_used_up_and_shared() {
    let mut options =
        Options::default().producers(4).duration(Duration::from_secs(10)).settling(Duration::from_secs(2));
    options.service.shards = 2;
    options.workload.rate = Rate::Constant(2_000);
    let mut fairness = Vec::new();
    for seed in 0..8 {
        let report = run(seed, &options);
        assert!(report.is_ok(), "{report}");
        let steady = &report.steady;
        assert_eq!(steady.duration, Duration::from_secs(8));
        assert_eq!(steady.capacity_records, 16_000, "two shards take 2,000 records/s for 8 s");
        let used = steady.utilisation_millionths();
        assert!((500_000..=1_130_000).contains(&used), "{used} millionths of the capacity were used");
        fairness.push(steady.fairness_millionths);
    }
    // A fair division takes longer than ten seconds; one that has all has 250,000.
    fairness.sort_unstable();
    assert!(fairness[0] > 400_000 && fairness[4] > 700_000, "four equals share about equally: {fairness:?}");
}

#[test]
fn ones_own_settings_are_tested_with_faults_chosen_by_seed() {
    let config = Config::builder()
        .linger(Duration::from_millis(20))
        .aggregation(true)
        .attempts_max(3)
        .build()
        .expect("within range");
    let options = Options::default().config(config).duration(Duration::from_secs(2)).faults(Faults::Swarm);
    for seed in 0..20 {
        let report = run(seed, &options);
        assert!(report.is_ok(), "{report}");
        assert!(report.to_string().contains("aggregation: true"), "the settings are listed");
        assert!(matches!(report.options.faults, Faults::Plan(_)), "every choice is listed in the report");
    }
}

/// Sees how many requests each producer has made.
#[derive(Default)]
struct AtMost {
    requests: u64,
}

impl Checker for AtMost {
    fn invariant(&self) -> Invariant {
        Invariant::I2
    }

    fn observe(&mut self, _scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        let Observation::Requested { request, .. } = observation else { return Ok(()) };
        self.requests += 1;
        if self.requests <= 10 {
            Ok(())
        } else {
            Err(Breach::of_record(request.records.all()[0], "too many"))
        }
    }
}

#[test]
fn a_checker_of_ones_own_watches_too_and_its_breach_names_the_record() {
    let options = Options::default().duration(Duration::from_secs(3));
    let report = run_with(1, &options, vec![Box::new(AtMost::default())]);
    let [violation] = &report.violations[..] else { panic!("the run ends at the first violation: {report}") };
    assert_eq!((violation.producer, violation.what.as_str()), (Some(0), "too many"));
    assert!(violation.record.is_some() && violation.at > Duration::from_millis(500));
}

fn try_seed(profile: Profile, seed: u64) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| run(seed, &profile.options(seed)))) {
        Ok(report) if report.is_ok() => Ok(()),
        Ok(report) => Err(report.to_string()),
        Err(_) => Err("it panicked; the message is above".into()),
    }
}

fn ends(report: &Report) -> [(&'static str, u64); 20] {
    let totals = &report.totals;
    [
        ("refused", totals.records_refused),
        ("delivered", totals.records_delivered),
        ("expired", totals.records_expired),
        ("exhausted", totals.records_exhausted),
        ("refused for good", totals.records_permanent),
        ("rejected", totals.records_rejected),
        ("aborted", totals.records_aborted),
        ("possibly duplicated", totals.records_possibly_duplicated),
        ("stored twice", totals.duplicates_stored),
        ("refused as a whole", totals.requests_refused),
        ("without an outcome", totals.requests_failed),
        ("arriving late", totals.requests_late),
        ("duplicated by the network", totals.requests_duplicated),
        ("lost in a crash", totals.records_lost),
        ("throttled", totals.entries_throttled),
        ("failed by the service", totals.entries_failed),
        ("sent after a reshard", totals.reshards),
        ("routed by a newer map", totals.shard_maps),
        ("that made a batcher ask for a map", totals.shard_maps_asked_for),
        ("let in after a refusal", totals.unblocked),
    ]
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// About twenty seconds of one core in the dev profile.
const SEEDS: u64 = 5_000;
/// A second or two each.
const LONG_SEEDS: u64 = 5;
const SOAK_SEEDS: u64 = 2;
const REPLAY: &str = "cargo run --release -p kinesis-batcher-sim --example replay --";

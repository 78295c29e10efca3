//! Ten days cost no memory: state that grows with time or with the number of records is a leak.

use std::alloc::System;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinesis_batcher_sim::{Breach, Checker, Faults, Invariant, Observation, Profile, Scene, run_with};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// The most bytes that were live in each day.
struct EachDay(Arc<Mutex<Vec<usize>>>);

impl Checker for EachDay {
    fn invariant(&self) -> Invariant {
        Invariant::I4
    }

    fn observe(&mut self, scene: &Scene<'_>, _observation: &Observation<'_>) -> Result<(), Breach> {
        let elapsed = Duration::from_nanos(scene.now.as_nanos()) - BEGIN;
        let day = (elapsed.as_secs() / (24 * 3_600)) as usize;
        let mut days = self.0.lock().expect("no other thread");
        if days.len() <= day {
            days.resize(day + 1, 0);
        }
        days[day] = days[day].max(live_bytes());
        Ok(())
    }
}

/// One test, because tests of one binary run side by side and would count each other.
#[test]
fn a_batcher_takes_no_more_memory_after_ten_days_than_after_one() {
    for seed in 0..SEEDS {
        let options = Profile::Soak.options(seed).faults(Faults::None);
        let days = Arc::new(Mutex::new(Vec::new()));
        let report = run_with(seed, &options, vec![Box::new(EachDay(Arc::clone(&days)))]);
        assert!(report.is_ok(), "{report}");
        assert!(report.totals.records_delivered > 1_000, "{report}");
        let days = days.lock().expect("no other thread");
        assert!(days.len() >= 10, "a run has ten days");
        let (first, last) = (days[0], days[9]);
        // The simulation keeps a bit for each record that was ever stored.
        let kept = 2 * report.totals.records_offered as usize / 8;
        assert!(
            last <= first + kept + SLACK,
            "seed {seed}: {first} bytes on the first day, {last} on the last"
        );
    }
}

/// The simulation begins at this time.
const BEGIN: Duration = Duration::from_secs(1_000);
const SEEDS: u64 = 3;
/// A buffer may have doubled since.
const SLACK: usize = 64 << 10;

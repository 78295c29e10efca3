//! The example of docs/TESTING.md, as it stands there.

// The example.
use std::time::Duration;

use kinesis_batcher_core::Config;
use kinesis_batcher_sim::{Fault, FaultKind, Faults, Keys, Options, Rate, run};

/// What the service runs with.
fn options() -> Options {
    let config =
        Config::builder().linger(Duration::from_millis(20)).aggregation(true).build().expect("in range");
    let mut options = Options::default().config(config).producers(3).duration(Duration::from_secs(5));
    options.service.shards = 2;
    options.workload.rate = Rate::Constant(300);
    options.workload.keys = Keys::Hot { keys: 500, percent: 20 };
    options
}

#[test]
fn our_settings_survive_whatever_goes_wrong() {
    for seed in 0..50 {
        let report = run(seed, &options().faults(Faults::Swarm));
        assert!(report.is_ok(), "{report}");
    }
}

#[test]
fn a_split_under_load_delays_no_record_by_more_than_a_second() {
    let split = Fault::at(Duration::from_secs(2), FaultKind::Split);
    let report = run(1, &options().faults(Faults::Plan(vec![split])).trace_lines_max(200));
    assert!(report.is_ok(), "{report}\n{}", report.trace);
    assert_eq!(report.totals.records_delivered, report.totals.records_offered);
    assert!(report.delay.max < Duration::from_secs(1), "{report}");
}
// The end of the example.

#[test]
fn the_documentation_shows_the_example() {
    let here = include_str!("embedding.rs");
    let (_, from) = here.split_once("// The example.\n").expect("the mark is above");
    let (example, _) = from.split_once("// The end of the example.\n").expect("the mark is above");
    let documentation = include_str!("../../../docs/TESTING.md");
    assert!(documentation.contains(example), "docs/TESTING.md has another example than tests/embedding.rs");
}

//! What a producer makes of a stream, as its owner would measure it.

use std::time::Duration;

use kinesis_batcher_sim::{Accounting, Options, Rate, Report, Sizes, run, run_paired};

/// A producer that offers half as much again as two shards take, small records or large ones.
fn saturated(accounting: Accounting, records_per_second: u32, bytes: u32) -> Report {
    let mut options = Options::default().duration(Duration::from_secs(60)).settling(Duration::from_secs(20));
    options.service.shards = 2;
    options.service.accounting = accounting;
    options.service.records_per_second_per_shard = records_per_second;
    options.workload.sizes = Sizes::Constant(bytes);
    let takes = u64::from(records_per_second).min((1 << 20) / u64::from(bytes + 6));
    options.workload.rate = Rate::Constant(2 * takes * 3 / 2);
    let report = run(1, &options);
    assert!(report.is_ok(), "{report}");
    report
}

#[test]
fn a_producer_alone_uses_what_shards_take_and_little_of_it_is_throttled() {
    for accounting in Accounting::ALL.into_iter().flat_map(|law| [law, law.counting_refused()]) {
        for (records_per_second, bytes) in [(1_000, 100), (1_000, 4_000), (100, 100)] {
            let steady = saturated(accounting, records_per_second, bytes).steady;
            let used = steady.utilisation_millionths() / 10_000;
            // A limit far below the service's own is found by being refused.
            let (least, most) = if records_per_second == 1_000 { (90, 50_000) } else { (80, 100_000) };
            assert!(used >= least, "{accounting}, {bytes} B: {used} % of {records_per_second}/s are used");
            let throttled = steady.throttled_millionths();
            assert!(throttled <= most, "{accounting}, {bytes} B: {throttled} in a million are throttled");
        }
    }
}

#[test]
fn what_is_over_does_not_show_for_long() {
    let mut disturbed = 0;
    for seed in 0..64 {
        let paired = run_paired(seed, &Options::of_seed(seed));
        disturbed += u64::from(paired.disturbed.digest != paired.calm.digest);
        if let Err(what) = paired.compare() {
            panic!("seed {seed}: {what}\n{}\n{}", paired.disturbed, paired.calm);
        }
    }
    assert!(disturbed > 32, "{disturbed} of 64 runs were disturbed");
}

//! What seeds have found, with the options of those seeds spelled out: other options would come with the same seeds once
//! the swarm changes.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kinesis_batcher_core::{AlreadyAggregated, Config, ShardLimit};
use kinesis_batcher_sim::{
    Fault, FaultKind, Faults, Keys, Latency, Network, Options, Rate, Sizes, Spacing, run,
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// Each time that a record of a due lane expired, the lane went to the end of the line. More records expired than
/// requests could go, so that the lane's turn never came.
#[test]
fn a_shard_whose_records_expire_keeps_its_turn_under_overload() {
    let config = Config::builder()
        .in_flight_requests_max(2)
        .buffer_bytes_max(27_520)
        .request_records_max(1)
        .request_bytes_max(702_461)
        .shard_limit(ShardLimit::Percent(6))
        .time_to_live(ms(5_486))
        .already_aggregated(AlreadyAggregated::Refuse)
        .build()
        .unwrap();
    let out = Latency::Uniform { low: Duration::from_nanos(19_650_200), high: micros(196_502) };
    let network = Network::new(out, Latency::Constant(micros(56))).request_timeout(micros(197_558));
    let faults = vec![
        Fault::always(FaultKind::LostAfterWrite(99_557)),
        Fault::at(micros(3_275_335), FaultKind::Merge),
        Fault::at(micros(5_797_766), FaultKind::Merge),
        Fault::at(micros(9_875_425), FaultKind::Split),
        Fault::new(micros(6_419_714), micros(8_232_963), FaultKind::CoarseClock(micros(81_951))),
    ];
    let mut options = Options::default().config(config).network(network).faults(Faults::Plan(faults));
    options.service.shards = 9;
    options.service.reshard_step = Duration::ZERO;
    options.workload.rate = Rate::Waves { low: 0, high: 120, period: Duration::from_secs(10) };
    options.workload.spacing = Spacing::Random;
    options.workload.sizes = Sizes::Constant(8);
    options.workload.keys = Keys::Uniform { keys: 139 };
    options.workload.explicit_hash_keys = 34_844;
    options.workload.pushes_together = true;
    options.workload.waiting_max = 50;
    options.refresh = Latency::Constant(micros(1_776));
    let report = run(135_627, &options);
    assert!(report.totals.records_expired > 300, "records expire because requests are scarce: {report}");
    assert!(report.is_ok(), "{report}");
}

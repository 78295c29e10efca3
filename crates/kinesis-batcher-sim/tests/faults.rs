//! Each fault does what it says, and every promise is kept all the same.

use std::time::Duration;

use kinesis_batcher_core::Config;
use kinesis_batcher_sim::{
    Fault, FaultKind, Faults, Keys, Options, OutageKind, Rate, Report, ServiceFaults, Sizes, Totals, run,
};

const MILLION: u32 = 1_000_000;

fn options() -> Options {
    let mut options = Options::default().duration(Duration::from_secs(4));
    options.workload.rate = Rate::Constant(500);
    options
}

fn with(faults: Vec<Fault>) -> Report {
    let report = run(11, &options().faults(Faults::Plan(faults)));
    assert!(report.is_ok(), "{report}");
    assert_eq!(
        report.totals.records_accepted,
        report.totals.records_delivered + report.totals.records_failed
    );
    report
}

fn always(what: FaultKind) -> Report {
    with(vec![Fault::always(what)])
}

fn for_a_second(what: FaultKind) -> Report {
    with(vec![Fault::new(Duration::from_secs(1), Duration::from_secs(2), what)])
}

#[test]
fn a_request_lost_before_the_write_stores_nothing_and_is_sent_again() {
    let Totals { duplicates_stored, requests_failed, records_possibly_duplicated, .. } =
        always(FaultKind::LostBeforeWrite(MILLION / 5)).totals;
    assert!(requests_failed > 0 && records_possibly_duplicated > 0);
    assert_eq!(duplicates_stored, 0);
}

#[test]
fn a_reply_lost_after_the_write_makes_copies_that_are_marked() {
    let totals = always(FaultKind::LostAfterWrite(MILLION / 5)).totals;
    assert!(totals.duplicates_stored > 0);
    assert!(totals.records_possibly_duplicated > 0);
}

#[test]
fn a_request_that_was_given_up_can_still_arrive() {
    let totals = always(FaultKind::LateArrival(MILLION / 5)).totals;
    assert!(totals.requests_late > 0, "some arrive before the run is over: {totals:?}");
}

#[test]
fn a_stuck_reply_is_waited_for() {
    let report = always(FaultKind::ReplyStuck(MILLION / 20));
    assert_eq!(report.totals.duplicates_stored, 0);
    assert!(report.delay.max > Duration::from_secs(10), "{}", report.delay);
}

#[test]
fn a_slow_network_is_as_much_slower_as_was_said() {
    let (usual, slow) = (with(vec![]), always(FaultKind::Slow(1_000)));
    assert!(
        slow.delay.p50 > usual.delay.p50 + Duration::from_millis(50),
        "{} to {}",
        usual.delay,
        slow.delay
    );
}

#[test]
fn an_outage_ends_and_everything_is_delivered() {
    for kind in [OutageKind::Refused, OutageKind::TimesOut, OutageKind::ServerError] {
        let report = for_a_second(FaultKind::Outage(kind));
        let totals = &report.totals;
        assert!(totals.requests_failed > 0, "{kind:?}");
        assert_eq!(totals.records_delivered, totals.records_offered, "{kind:?}");
        assert!(report.delay.max > Duration::from_millis(900), "{kind:?} lasts a second: {}", report.delay);
        let marked = totals.records_possibly_duplicated > 0;
        assert_eq!(marked, kind != OutageKind::Refused, "only what may have arrived may have been stored");
    }
}

#[test]
fn a_reply_of_the_wrong_length_is_no_proof() {
    for what in [FaultKind::ReplyTooShort(MILLION / 10), FaultKind::ReplyTooLong(MILLION / 10)] {
        let totals = always(what).totals;
        assert!(totals.duplicates_stored > 0 && totals.records_possibly_duplicated > 0, "{what:?}");
    }
}

#[test]
fn an_entry_without_a_verdict_is_sent_again() {
    assert!(always(FaultKind::NoVerdict(MILLION / 10)).totals.duplicates_stored > 0);
}

#[test]
fn an_unknown_shard_makes_a_batcher_ask_for_a_map() {
    assert_eq!(with(vec![]).totals.shard_maps_asked_for, 0);
    assert!(for_a_second(FaultKind::UnknownShard(MILLION / 10)).totals.shard_maps_asked_for > 0);
}

#[test]
fn the_service_fails_as_it_is_told() {
    let mut faults = ServiceFaults::default();
    faults.throttle = MILLION / 10;
    faults.calls_internal_failure = MILLION / 10;
    let totals = always(FaultKind::Service(faults)).totals;
    assert!(totals.entries_throttled > 0 && totals.requests_refused > 0);
    let mut faults = ServiceFaults::default();
    faults.kms = MILLION / 10;
    assert!(always(FaultKind::Service(faults)).totals.records_permanent > 0);
}

#[test]
fn a_batcher_learns_of_a_reshard_even_if_listing_is_hard() {
    let second = Duration::from_secs(1);
    let reshards = [FaultKind::Split, FaultKind::Merge, FaultKind::ShardCount(9)];
    let hard = [
        None,
        Some(FaultKind::MapFails(MILLION / 2)),
        Some(FaultKind::MapStale(MILLION / 2)),
        Some(FaultKind::MapDenied(MILLION / 2)),
        Some(FaultKind::MapSlow(second)),
    ];
    for hard in hard {
        let mut faults: Vec<Fault> = reshards.iter().map(|&what| Fault::at(second, what)).collect();
        faults.extend(hard.map(Fault::always));
        let report = with(faults);
        assert_eq!(report.totals.reshards, 3);
        assert!(report.totals.shard_maps > 0, "{hard:?}: {report}");
        assert_eq!(report.totals.records_delivered, report.totals.records_offered, "{hard:?}");
    }
}

#[test]
fn clocks_and_timers_may_be_as_bad_as_they_like() {
    let second = Duration::from_secs(1);
    let usual = with(vec![]);
    for what in [
        FaultKind::TimersLate(Duration::from_millis(300)),
        FaultKind::CoarseClock(Duration::from_millis(100)),
    ] {
        let report = always(what);
        assert_ne!(report.digest, usual.digest, "{what:?} changes nothing");
    }
    for what in [FaultKind::Spurious(MILLION), FaultKind::StepBack(MILLION)] {
        let report = always(what);
        assert!(report.digest == usual.digest, "a batcher that was called in vain does the same: {what:?}");
    }
    let back = FaultKind::ClockBack { producer: 0, by: second };
    let right = FaultKind::ClockRight { producer: 0 };
    let report = with(vec![Fault::at(second, back), Fault::at(2 * second, right)]);
    assert!(
        report.delay.max > Duration::from_millis(500),
        "nothing lingers while time stands still: {report}"
    );
}

#[test]
fn commands_come_when_they_are_said_to() {
    let second = Duration::from_secs(1);
    let flushed = with(vec![Fault::at(second, FaultKind::Flush { producer: 0 })]);
    assert_ne!(flushed.digest, with(vec![]).digest);
    for what in [FaultKind::Close { producer: 0 }, FaultKind::Abort { producer: 0 }] {
        let totals = with(vec![Fault::at(second, what)]).totals;
        assert!(totals.records_dropped > 1_000, "what comes after {what:?} is refused for good: {totals:?}");
        assert_eq!(totals.records_aborted > 0, matches!(what, FaultKind::Abort { .. }));
    }
}

#[test]
fn poison_is_found_and_its_neighbours_are_delivered() {
    let mut options = options();
    options.workload.poison = 5_000;
    let report = run(2, &options);
    assert!(report.is_ok(), "{report}");
    let totals = &report.totals;
    assert!(totals.records_rejected > 0);
    assert_eq!(totals.records_delivered + totals.records_rejected, totals.records_offered);
}

#[test]
fn a_hot_shard_is_visible_in_the_series() {
    let mut options = options().interval(Duration::from_secs(1));
    options.workload.keys = Keys::Hot { keys: 1_000, percent: 90 };
    let report = run(2, &options);
    let stored: Vec<u64> = report.series[2].shards.iter().map(|shard| shard.entries_stored).collect();
    let hottest = stored.iter().max().copied().unwrap_or_default();
    assert!(hottest * 10 > stored.iter().sum::<u64>() * 8, "one of four shards takes nearly all: {stored:?}");
}

#[test]
fn what_a_stream_does_not_take_is_dropped_and_what_does_not_fit_waits() {
    let mut options = options();
    options.workload.sizes = Sizes::Bimodal { small: 50, large: 2 << 20, large_in_a_million: 10_000 };
    let totals = run(2, &options).totals;
    assert!(totals.records_dropped > 0, "2 MiB are more than the stream takes");
    let config = Config::builder().buffer_records_max(20).build().expect("within range");
    let totals = run(2, &self::options().config(config)).totals;
    assert!(totals.records_refused > 0 && totals.unblocked > 0);
}

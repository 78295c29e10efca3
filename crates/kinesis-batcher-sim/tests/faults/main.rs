//! Each fault does what it says, and every promise is kept all the same.

mod account;

use std::time::Duration;

use kinesis_batcher_core::Config;
use kinesis_batcher_sim::{
    AccountFault, Calls, Checks, Distribution, Fault, FaultKind, Faults, Invariant, Keys, Network, Numbering,
    Options, OutageKind, Permits, Polling, Rate, Report, ServiceFaults, Sizes, Totals, run,
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
        report.totals.records_delivered + report.totals.records_failed + report.totals.records_lost
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
    let faults = vec![Fault::always(FaultKind::LateArrival(MILLION / 5))];
    let network = Network::default().request_timeout(Duration::from_secs(1));
    let report = run(11, &options().network(network).faults(Faults::Plan(faults)));
    assert!(report.is_ok(), "{report}");
    let totals = report.totals;
    assert!(totals.requests_late > 0, "some arrive before the run is over: {totals:?}");
    assert!(totals.duplicates_stored > 0, "a copy that arrives late follows one that was stored: {totals:?}");
}

#[test]
fn a_request_that_the_network_duplicates_is_stored_twice_and_its_producer_cannot_know() {
    let totals = always(FaultKind::Duplicated(MILLION / 5)).totals;
    assert!(totals.requests_duplicated > 0 && totals.duplicates_stored > 0, "{totals:?}");
    assert_eq!(totals.records_possibly_duplicated, 0);
}

#[test]
fn a_narrow_link_delays_what_is_sent_over_it() {
    let mut options = options();
    options.workload.sizes = Sizes::Constant(1_000);
    let usual = run(11, &options);
    // 500 records of 1 KB a second over a link that takes twice as much.
    let narrow = run(11, &options.clone().network(Network::default().bytes_per_second(1_000_000)));
    assert!(usual.is_ok() && narrow.is_ok(), "{narrow}");
    let transfer = Duration::from_millis(25);
    assert!(narrow.delay.p50 > usual.delay.p50 + transfer, "{} to {}", usual.delay, narrow.delay);
    assert_eq!(narrow.totals.records_delivered, narrow.totals.records_offered);
}

#[test]
fn waves_lift_the_latency_of_every_producer_at_their_crest() {
    let second = Duration::from_secs(1);
    let mut options = options().producers(3).interval(second / 2);
    options.network = Network::default().waves(4 * second, 2_000);
    let report = run(11, &options);
    assert!(report.is_ok(), "{report}");
    let (trough, crest) = (report.series[0].delay.p50, report.series[4].delay.p50);
    assert!(crest > trough + Duration::from_millis(50), "{trough:?} to {crest:?}");
}

#[test]
fn a_fault_of_one_link_leaves_the_other_producers_alone() {
    let faults = vec![Fault::always(FaultKind::Outage(OutageKind::Refused)).of(0)];
    let mut options = options().producers(2).faults(Faults::Plan(faults));
    options.config = Config::builder().time_to_live(Duration::from_secs(1)).build().expect("within range");
    let report = run(11, &options);
    assert!(report.is_ok(), "{report}");
    let Totals { records_expired, records_delivered, records_offered, .. } = report.totals;
    assert!(records_expired > 1_000, "producer 0 reaches nothing: {report}");
    assert!(records_delivered >= records_offered / 2, "producer 1 is well: {report}");
}

#[test]
fn a_producer_that_crashes_loses_what_it_held_and_another_starts() {
    let second = Duration::from_secs(1);
    let crash = |restarts_after| FaultKind::Crash { producer: 0, restarts_after };
    let gone = with(vec![Fault::at(second, crash(None))]).totals;
    assert!((400..600).contains(&gone.records_offered), "500 a second come until it crashes: {gone:?}");
    assert!((1..100).contains(&gone.records_lost), "it held what lingered and was on its way: {gone:?}");
    let restarted = with(vec![Fault::at(second, crash(Some(second)))]).totals;
    assert!((1_400..1_600).contains(&restarted.records_offered), "three of four seconds: {restarted:?}");
    assert_eq!(restarted.records_delivered + restarted.records_lost, restarted.records_offered);
}

#[test]
fn a_producer_that_starts_late_sends_from_then_on() {
    let started = with(vec![Fault::at(Duration::from_secs(3), FaultKind::Start)]).totals;
    assert!((2_400..2_600).contains(&started.records_offered), "500 in the last second: {started:?}");
    assert_eq!(started.records_delivered, started.records_offered);
}

#[test]
fn a_process_that_stands_still_goes_on_where_it_was() {
    let second = Duration::from_secs(1);
    let pause = Fault::new(second, 3 * second, FaultKind::Pause { producer: 0 });
    let report = with(vec![pause]);
    assert_eq!(report.totals.records_delivered, report.totals.records_offered);
    let max = report.delay.max;
    assert!(max > 2 * second && max < 3 * second, "replies wait for two seconds: {max:?}");
}

#[test]
fn a_clock_that_jumps_forward_ends_every_wait() {
    let second = Duration::from_secs(1);
    let jump = FaultKind::ClockForward { producer: 0, by: 600 * second };
    let config = Config::builder().time_to_live(300 * second).build().expect("within range");
    let faults = vec![
        Fault::new(second, 2 * second, FaultKind::Outage(OutageKind::Refused)),
        Fault::at(2 * second, jump),
        Fault::at(3 * second, FaultKind::ClockRight { producer: 0 }),
    ];
    let report = run(11, &options().config(config).faults(Faults::Plan(faults)));
    assert!(report.is_ok(), "{report}");
    assert!(report.totals.records_expired > 300, "five minutes have passed by its clock: {report}");
}

#[test]
fn programs_that_poll_late_or_a_little_at_a_time_lose_nothing() {
    let mut usual = options();
    let prompt = run(11, &usual);
    for calls in [Calls::Single, Calls::Batch] {
        let again = Duration::from_millis(5);
        let partial = Polling::Partial { requests: 1, events: 16, again };
        for polling in [Polling::Prompt, Polling::Late(Duration::from_millis(200)), partial] {
            (usual.caller.calls, usual.caller.polling) = (calls, polling);
            let report = run(11, &usual);
            assert!(report.is_ok(), "{report}");
            assert_eq!(report.totals.records_delivered, report.totals.records_offered, "{report}");
            if let Polling::Late(by) = polling {
                assert!(report.delay.p50 > prompt.delay.p50 + by / 10, "{report}");
            }
        }
    }
}

#[test]
fn a_producer_without_a_map_takes_records_in_and_sends_them_once_it_has_one() {
    let mut options = options();
    options.caller.starts_without_map = true;
    let report = run(
        11,
        &options.faults(Faults::Plan(vec![Fault::new(
            Duration::ZERO,
            Duration::from_secs(1),
            FaultKind::MapFails(MILLION),
        )])),
    );
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.totals.records_delivered, report.totals.records_offered);
    assert!(report.delay.max > Duration::from_secs(1), "{report}");
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
    let totals = always(FaultKind::Service(faults)).totals;
    assert!(totals.entries_failed > 0, "S-16: entries fail with a KMS code");
    assert_eq!(totals.records_failed, 0, "S-42: which says nothing about them");
}

#[test]
fn a_body_that_is_too_large_is_divided_until_it_fits() {
    let mut options = options();
    options.workload.sizes = Sizes::Constant(1_000);
    let faults = vec![Fault::always(FaultKind::BodyTooLarge(5_000))];
    let report = run(11, &options.faults(Faults::Plan(faults)));
    assert!(report.is_ok(), "{report}");
    let totals = &report.totals;
    assert!((1..=40).contains(&totals.requests_refused), "S-38: requests stay small: {report}");
    assert_eq!(totals.records_delivered, totals.records_offered);
}

#[test]
fn consumers_read_all_that_is_delivered_though_the_distribution_changes() {
    let config = Config::builder().aggregation(true).build().expect("within range");
    let second = Duration::from_secs(1);
    let faults = vec![
        Fault::at(second, FaultKind::Distribution(Distribution::Auto)),
        Fault::at(3 * second, FaultKind::Distribution(Distribution::UserPartitionKey)),
    ];
    let report = run(11, &options().config(config).faults(Faults::Plan(faults)));
    assert!(report.is_ok(), "S-25, S-28: {report}");
    let totals = &report.totals;
    assert_eq!(totals.records_delivered, totals.records_offered);
    assert!(totals.shard_maps > 0 && totals.duplicates_stored > 0, "aggregates in the wrong shard go again");
}

#[test]
fn consumers_read_all_that_is_delivered_though_the_stream_was_created_again_with_other_shards() {
    let config = Config::builder().aggregation(true).build().expect("within range");
    let second = Duration::from_secs(1);
    let cases =
        [1, 3, 5, 8].into_iter().flat_map(|shards| [(shards, Numbering::Anew), (shards, Numbering::GoesOn)]);
    for (shards, numbering) in cases {
        let faults = vec![
            Fault::new(second, 2 * second, FaultKind::Account(AccountFault::StreamMissing)),
            Fault::at(2 * second, FaultKind::CreatedAgain { shards, numbering }),
        ];
        let report = run(11, &options().config(config.clone()).faults(Faults::Plan(faults)));
        assert!(report.is_ok(), "S-21, S-22, S-28: {report}");
        assert_eq!(report.totals.records_delivered, report.totals.records_offered, "{report}");
    }
}

/// What a producer learns of a failure that stored its records all the same.
#[test]
fn what_a_failure_hides_is_sent_again_and_marked() {
    let with = |change: &dyn Fn(&mut ServiceFaults)| {
        let mut faults = ServiceFaults::default();
        change(&mut faults);
        let totals = always(FaultKind::Service(faults)).totals;
        assert_eq!(totals.records_delivered, totals.records_offered);
        (totals.records_possibly_duplicated, totals.duplicates_stored)
    };
    let (marked, twice) = with(&|faults| faults.internal_failure = MILLION / 10);
    assert!(marked > 100 && twice == 0, "S-49: not stored, and nobody can know: {marked}, {twice}");
    let (_, twice) =
        with(&|faults| (faults.internal_failure, faults.failures_stored) = (MILLION / 10, MILLION));
    assert!(twice > 100, "S-49: stored, and sent again: {twice}");
    let (_, twice) =
        with(&|faults| (faults.calls_unavailable, faults.calls_failed_stored) = (MILLION / 10, MILLION));
    assert!(twice > 100, "S-46: stored, and sent again: {twice}");
    let (marked, part) = with(&|faults| {
        (faults.calls_unavailable, faults.calls_failed_stored) = (MILLION / 10, MILLION);
        faults.calls_failed_stored_part = MILLION / 2;
    });
    assert!(part > 50 && part < marked, "S-46: a part is stored: {part} of {marked}");
}

// S-03, S-26
#[test]
fn the_record_limit_and_the_permits_may_change_while_it_runs() {
    let mut options = options();
    options.service.record_bytes_max = 4 << 20;
    options.workload.sizes = Sizes::Bimodal { small: 50, large: 2 << 20, large_in_a_million: 1_000 };
    let second = Duration::from_secs(1);
    let faults = vec![
        Fault::at(second, FaultKind::RecordBytesMax(1 << 20)),
        Fault::at(second, FaultKind::Permits(Permits::SummaryOnly)),
        Fault::at(2 * second, FaultKind::Split),
        Fault::at(3 * second, FaultKind::Permits(Permits::ListShards)),
        Fault::at(3 * second, FaultKind::Merge),
    ];
    let report = run(11, &options.faults(Faults::Plan(faults)));
    assert!(report.is_ok(), "{report}");
    let totals = &report.totals;
    assert!(totals.records_rejected > 0, "2 MiB are too much after a second: {report}");
    assert_eq!(
        totals.records_delivered + totals.records_rejected + totals.records_dropped,
        totals.records_offered,
        "{report}"
    );
}

#[test]
fn a_reply_that_is_wrong_about_its_entries_does_not_stop_a_batcher() {
    for what in [FaultKind::ReplyPermuted(MILLION / 2), FaultKind::ReplyWrong(MILLION / 10)] {
        let checks =
            Checks::ALL.without(Invariant::Honesty).without(Invariant::Readable).without(Invariant::I11);
        let mut faults = ServiceFaults::default();
        faults.throttle = MILLION / 5;
        let plan = vec![Fault::always(what), Fault::always(FaultKind::Service(faults))];
        let options = options().faults(Faults::Plan(plan));
        let report = run(11, &options.clone().checks(checks));
        assert!(report.is_ok(), "{what:?}: {report}");
        assert_eq!(report.totals.records_delivered, report.totals.records_offered, "{what:?}");
        let watched = run(11, &options);
        assert!(!watched.is_ok(), "Honesty sees that {what:?} lies");
    }
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

//! Errors that say nothing about a record: of the account, of the signature, of the stream as a whole.

use std::sync::{Arc, Mutex};

use kinesis_batcher_core::Event;
use kinesis_batcher_sim::{AccountFault, Breach, Checker, Invariant, Observation, Scene, run_with};

use super::*;

#[test]
fn an_error_of_the_account_fails_nothing_and_its_end_is_noticed() {
    for fault in AccountFault::ALL {
        let report = for_a_second(FaultKind::Account(fault));
        let totals = &report.totals;
        assert!(totals.requests_refused + totals.entries_failed > 0, "{fault:?}");
        assert_eq!(totals.records_delivered, totals.records_offered, "S-42, S-45, S-47: {fault:?}");
        assert_eq!(totals.records_possibly_duplicated, 0, "{fault:?} stores nothing");
        assert!(report.delay.max < Duration::from_millis(3_200), "{fault:?}: {}", report.delay);
    }
}

#[test]
fn an_error_of_the_account_fails_records_at_once_where_that_was_asked_for() {
    let config = Config::builder().fail_fast(true).build().expect("within range");
    let faults = vec![Fault::new(
        Duration::from_secs(1),
        Duration::from_secs(2),
        FaultKind::Account(AccountFault::StreamMissing),
    )];
    let report = run(11, &options().config(config).faults(Faults::Plan(faults)));
    assert!(report.is_ok(), "{report}");
    assert!(report.totals.records_permanent > 100, "{report}");
}

#[test]
fn a_clock_that_is_off_and_keys_that_were_rotated_lose_nothing() {
    let second = Duration::from_secs(1);
    for what in [FaultKind::ClockSkewed, FaultKind::KeysRotated { reload: Duration::from_millis(700) }] {
        let report = with(vec![Fault::at(second, what), Fault::at(3 * second, what)]);
        let totals = &report.totals;
        assert!(totals.requests_refused > 0, "{what:?}");
        assert_eq!(totals.records_delivered, totals.records_offered, "S-36, S-41: {what:?}");
        assert_eq!(totals.records_possibly_duplicated, 0, "{what:?} stores nothing");
    }
}

/// Requests, and the most bytes that a batcher held, while the stream is away.
#[derive(Debug, Default)]
struct WhileAway {
    requests: u64,
    bytes_max: u64,
    delivered_at: Option<Duration>,
}

/// Shares what it sees, because a run takes its checkers.
struct Watch(Arc<Mutex<WhileAway>>);

impl Checker for Watch {
    fn invariant(&self) -> Invariant {
        Invariant::I13
    }

    fn observe(&mut self, scene: &Scene<'_>, observation: &Observation<'_>) -> Result<(), Breach> {
        let mut seen = self.0.lock().expect("no other thread");
        let elapsed = Duration::from_nanos(scene.now.as_nanos()) - BEGIN;
        let is_away = (AWAY_FROM..AWAY_TO).contains(&elapsed);
        match observation {
            Observation::Requested { .. } => seen.requests += u64::from(is_away),
            Observation::Settled { batcher, .. } if is_away => {
                seen.bytes_max = seen.bytes_max.max(batcher.stats().buffered_bytes);
            }
            Observation::Event { event: Event::Delivered { .. }, .. } if elapsed >= AWAY_TO => {
                seen.delivered_at.get_or_insert(elapsed);
            }
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn ten_minutes_of_an_error_of_the_account_cost_no_memory_and_less_than_a_request_a_second() {
    for fault in AccountFault::ALL {
        let config =
            Config::builder().buffer_records_max(1_000).time_to_live(None).build().expect("within range");
        let faults = vec![Fault::new(AWAY_FROM, AWAY_TO, FaultKind::Account(fault))];
        let options = Options::default()
            .config(config)
            .duration(AWAY_TO + Duration::from_secs(10))
            .faults(Faults::Plan(faults));
        let seen = Arc::new(Mutex::new(WhileAway::default()));
        let report = run_with(3, &options, vec![Box::new(Watch(Arc::clone(&seen)))]);
        assert!(report.is_ok(), "{report}");
        let totals = &report.totals;
        assert_eq!(totals.records_failed, 0, "{fault:?}");
        assert!(totals.records_refused > 100_000, "the buffer is full: {report}");
        let seen = seen.lock().expect("no other thread");
        assert!((300..=600).contains(&seen.requests), "{fault:?}: {} requests in 600 s", seen.requests);
        assert!(seen.bytes_max <= 1_000 * 200, "{fault:?}: {} bytes", seen.bytes_max);
        let delivered_at = seen.delivered_at.expect("the stream is back");
        assert!(delivered_at <= AWAY_TO + Duration::from_millis(2_100), "{fault:?}: {delivered_at:?}");
    }
}

/// The simulation begins at this time.
const BEGIN: Duration = Duration::from_secs(1_000);
const AWAY_FROM: Duration = Duration::from_secs(2);
const AWAY_TO: Duration = Duration::from_secs(602);

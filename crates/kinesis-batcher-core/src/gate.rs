//! How many requests may be in flight, and when the next may go.

use core::time::Duration;

use crate::backoff::Backoff;
use crate::rng::Rng;
use crate::time::Timestamp;

/// Opens wide while requests are answered, and narrows to one probe at a time while they fail: an outage then costs
/// a request a second, not a core.
///
/// A quarter of the requests that may be in flight go whenever there is something to send. Of the others, those that are
/// not full go at even steps over a round trip. Without that a burst takes all of them within microseconds, each with a
/// record or two; they come back together, and are taken together again: all else waits for a round trip.
#[derive(Debug)]
pub(crate) struct Gate {
    in_flight: usize,
    allowed: usize,
    allowed_max: usize,
    closed_until: Timestamp,
    /// When the last failure was counted. Requests sent before that failed for the same cause, and count no more.
    failed_at: Option<Timestamp>,
    backoff: Backoff,
    /// When the last request went that was not full.
    stepped_at: Timestamp,
    /// Nanoseconds from a request to its answer, smoothed over some eight of them; 0 before the first.
    round_trip: u64,
}

impl Gate {
    pub(crate) fn new(in_flight_requests_max: usize) -> Self {
        Self {
            in_flight: 0,
            allowed: in_flight_requests_max,
            allowed_max: in_flight_requests_max,
            closed_until: Timestamp::ZERO,
            failed_at: None,
            backoff: Backoff::default(),
            stepped_at: Timestamp::ZERO,
            round_trip: 0,
        }
    }

    /// Whether a request may go now.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.has_slot() && self.closed_until <= now
    }

    /// Whether one more request may be in flight, now or once [`closed_until`](Self::closed_until) has come.
    pub(crate) fn has_slot(&self) -> bool {
        self.in_flight < self.allowed
    }

    /// Nothing goes before this.
    pub(crate) fn closed_until(&self) -> Timestamp {
        self.closed_until
    }

    /// A request that is not full goes no earlier than this.
    pub(crate) fn paced_until(&self) -> Timestamp {
        let at_once = self.allowed / 4;
        if self.in_flight < at_once.max(1) {
            return Timestamp::ZERO;
        }
        let steps = (self.allowed - at_once) as u64;
        self.stepped_at.after(Duration::from_nanos(self.round_trip / steps).min(STEP_MAX))
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn allowed(&self) -> usize {
        self.allowed
    }

    pub(crate) fn sent(&mut self) {
        self.in_flight += 1;
    }

    /// A request that is not full is going.
    pub(crate) fn stepped(&mut self, now: Timestamp) {
        self.stepped_at = now;
    }

    /// A request that was sent at `sent_at` came back with an answer, good or bad: the service is there.
    pub(crate) fn answered(&mut self, now: Timestamp, sent_at: Timestamp) {
        let took = now.nanos_since(sent_at);
        self.round_trip =
            if self.round_trip == 0 { took } else { self.round_trip - self.round_trip / 8 + took / 8 };
        self.in_flight -= 1;
        self.allowed = (self.allowed + 1).min(self.allowed_max);
        self.closed_until = Timestamp::ZERO;
        self.failed_at = None;
        self.backoff.reset();
    }

    /// A request that was sent at `sent_at` came back without an answer, or was throttled as a whole.
    pub(crate) fn failed(&mut self, now: Timestamp, sent_at: Timestamp, rng: &mut Rng) {
        self.in_flight -= 1;
        if self.is_of_counted_failure(sent_at) {
            return;
        }
        self.failed_at = Some(now);
        self.allowed = (self.allowed / 2).max(1);
        self.closed_until = now.after(self.backoff.fail(rng, WAIT_BASE, WAIT_CEILING));
    }

    /// A request that was sent at `sent_at` was refused with an error of the account: one probe at a time from now on.
    pub(crate) fn refused(&mut self, now: Timestamp, sent_at: Timestamp, rng: &mut Rng) {
        self.in_flight -= 1;
        self.hold(now, sent_at, rng);
    }

    /// As [`refused`](Self::refused), for a request that was answered, each of its records with such an error.
    pub(crate) fn hold(&mut self, now: Timestamp, sent_at: Timestamp, rng: &mut Rng) {
        self.allowed = 1;
        if self.is_of_counted_failure(sent_at) {
            return;
        }
        self.failed_at = Some(now);
        self.closed_until = now.after(self.backoff.fail_late(rng, WAIT_BASE, PROBE_WAIT_CEILING));
    }

    /// Whether a request that was sent then failed for the same cause as the last failure that was counted.
    fn is_of_counted_failure(&self, sent_at: Timestamp) -> bool {
        self.failed_at.is_some_and(|failed_at| sent_at < failed_at)
    }
}

/// About a round trip to the service from the same region, with its write.
const WAIT_BASE: Duration = Duration::from_millis(50);
/// Long enough that an outage costs nothing, short enough that its end is noticed within a second.
const WAIT_CEILING: Duration = Duration::from_secs(1);
/// Between probes of a stream that cannot be written to: a wait of 1 to 2 s is less than one request a second, and an
/// operator who repairs it sees records within two.
const PROBE_WAIT_CEILING: Duration = Duration::from_secs(2);
/// A step of a service that takes 120 ms, with sixteen requests in flight. Where it takes longer, a wait of more than
/// this for a request that could go would cost more than the one it spares others.
const STEP_MAX: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_fail_together_count_as_one_failure() {
        let mut rng = Rng::new(3);
        let mut gate = Gate::new(16);
        for _ in 0..16 {
            gate.sent();
        }
        let now = Timestamp::from_millis(20);
        for _ in 0..16 {
            gate.failed(now, Timestamp::ZERO, &mut rng);
        }
        assert_eq!(gate.allowed(), 8, "sixteen requests met one outage");
        assert_eq!(gate.in_flight(), 0);
        assert!(gate.closed_until() <= now.after(WAIT_BASE));
    }

    #[test]
    fn an_outage_narrows_the_gate_to_one_probe_and_its_end_opens_it_again() {
        let mut rng = Rng::new(3);
        let mut gate = Gate::new(16);
        let mut now = Timestamp::from_millis(1);
        for _ in 0..20 {
            now = now.max(gate.closed_until());
            gate.sent();
            let sent_at = now;
            now = now.after(Duration::from_millis(20));
            gate.failed(now, sent_at, &mut rng);
            assert!(gate.closed_until() <= now.after(WAIT_CEILING));
        }
        assert_eq!(gate.allowed(), 1);
        let mut answers = 0;
        while gate.allowed() < 16 {
            gate.sent();
            gate.answered(now, now);
            assert!(gate.is_open(now), "an answer opens the gate at once");
            answers += 1;
        }
        assert_eq!(answers, 15);
    }

    #[test]
    fn a_hold_probes_less_than_once_a_second_one_request_at_a_time() {
        let mut rng = Rng::new(3);
        let mut gate = Gate::new(16);
        let mut now = Timestamp::from_millis(1);
        let end = now.after(Duration::from_secs(600));
        let mut probes = 0;
        while now < end {
            assert!(gate.is_open(now));
            gate.sent();
            let sent_at = now;
            now = now.after(Duration::from_millis(5));
            gate.refused(now, sent_at, &mut rng);
            assert_eq!((gate.in_flight(), gate.allowed()), (0, 1));
            assert!(gate.closed_until() <= now.after(PROBE_WAIT_CEILING));
            now = gate.closed_until();
            probes += 1;
        }
        assert!((300..600).contains(&probes), "{probes} probes in ten minutes");
    }

    #[test]
    fn three_quarters_of_the_requests_go_at_even_steps_over_a_round_trip() {
        let mut gate = Gate::new(16);
        let start = Timestamp::from_millis(1);
        gate.sent();
        let now = start.after(Duration::from_millis(12));
        gate.answered(now, start);
        for _ in 0..4 {
            assert!(gate.paced_until() <= now, "the others go at once");
            gate.stepped(now);
            gate.sent();
        }
        for step in 1..=12 {
            assert_eq!(gate.paced_until(), now.after(Duration::from_millis(step)));
            gate.stepped(gate.paced_until());
            gate.sent();
        }
        assert!(!gate.has_slot());
    }

    #[test]
    fn a_single_request_in_flight_is_not_paced() {
        let mut gate = Gate::new(1);
        let now = Timestamp::from_millis(100);
        gate.sent();
        gate.answered(now, Timestamp::ZERO);
        assert!(gate.paced_until() <= now, "with none in flight, it goes at once");
    }
}

//! The faults of a moment.

use std::time::Duration;

use super::{Fault, FaultKind, OutageKind};
use crate::service::{AccountFault, ServiceFaults};

/// The faults of a moment, summed up so that the loop asks one field and not a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) lost_before: u32,
    pub(crate) lost_after: u32,
    pub(crate) late_arrival: u32,
    pub(crate) duplicated: u32,
    pub(crate) reply_stuck: u32,
    pub(crate) outage: Option<OutageKind>,
    pub(crate) too_short: u32,
    pub(crate) too_long: u32,
    pub(crate) unknown_shard: u32,
    pub(crate) no_verdict: u32,
    pub(crate) permuted: u32,
    pub(crate) wrong: u32,
    pub(crate) service: ServiceFaults,
    pub(crate) account: Option<AccountFault>,
    pub(crate) body_bytes_max: Option<u32>,
    pub(crate) map_fails: u32,
    pub(crate) map_stale: u32,
    pub(crate) map_denied: u32,
    pub(crate) map_slow: Duration,
    pub(crate) timers_late: Duration,
    pub(crate) spurious: u32,
    pub(crate) step_back: u32,
    pub(crate) coarse: Duration,
    /// Hundredths; 0 is 100.
    slow: u32,
}

impl Conditions {
    /// The faults of this producer at this time since the beginning; without a producer, those of all. Where two faults
    /// say the same thing, the later one counts.
    pub(crate) fn at(elapsed: Duration, faults: &[Fault], producer: Option<u32>) -> Self {
        let mut now = Self::default();
        let is_on = |fault: &&Fault| fault.from <= elapsed && elapsed < fault.to;
        let concerns = |fault: &&Fault| fault.producer.is_none() || fault.producer == producer;
        for fault in faults.iter().filter(is_on).filter(concerns) {
            match fault.what {
                FaultKind::LostBeforeWrite(often) => now.lost_before = often,
                FaultKind::LostAfterWrite(often) => now.lost_after = often,
                FaultKind::LateArrival(often) => now.late_arrival = often,
                FaultKind::Duplicated(often) => now.duplicated = often,
                FaultKind::ReplyStuck(often) => now.reply_stuck = often,
                FaultKind::Slow(hundredths) => now.slow = hundredths,
                FaultKind::Outage(kind) => now.outage = Some(kind),
                FaultKind::ReplyTooShort(often) => now.too_short = often,
                FaultKind::ReplyTooLong(often) => now.too_long = often,
                FaultKind::UnknownShard(often) => now.unknown_shard = often,
                FaultKind::NoVerdict(often) => now.no_verdict = often,
                FaultKind::ReplyPermuted(often) => now.permuted = often,
                FaultKind::ReplyWrong(often) => now.wrong = often,
                FaultKind::Service(faults) => now.service = faults,
                FaultKind::Account(fault) => now.account = Some(fault),
                FaultKind::BodyTooLarge(most) => now.body_bytes_max = Some(most),
                FaultKind::MapFails(often) => now.map_fails = often,
                FaultKind::MapStale(often) => now.map_stale = often,
                FaultKind::MapDenied(often) => now.map_denied = often,
                FaultKind::MapSlow(by) => now.map_slow = by,
                FaultKind::TimersLate(by) => now.timers_late = by,
                FaultKind::Spurious(often) => now.spurious = often,
                FaultKind::StepBack(often) => now.step_back = often,
                FaultKind::CoarseClock(step) => now.coarse = step,
                FaultKind::ClockSkewed
                | FaultKind::KeysRotated { .. }
                | FaultKind::CreatedAgain { .. }
                | FaultKind::RecordBytesMax(_)
                | FaultKind::Permits(_)
                | FaultKind::Distribution(_)
                | FaultKind::Split
                | FaultKind::Merge
                | FaultKind::ShardCount(_)
                | FaultKind::ClockBack { .. }
                | FaultKind::ClockForward { .. }
                | FaultKind::ClockRight { .. }
                | FaultKind::Pause { .. }
                | FaultKind::Crash { .. }
                | FaultKind::Start
                | FaultKind::Flush { .. }
                | FaultKind::Close { .. }
                | FaultKind::Abort { .. } => {}
            }
        }
        now
    }

    /// A latency as it is now.
    pub(crate) fn slowed(&self, latency: Duration) -> Duration {
        if self.slow == 0 { latency } else { latency.saturating_mul(self.slow) / 100 }
    }

    /// Whether replies are not what the service said.
    pub(crate) fn replies_are_garbled(&self) -> bool {
        self.too_short > 0
            || self.too_long > 0
            || self.unknown_shard > 0
            || self.no_verdict > 0
            || self.permuted > 0
            || self.wrong > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_counts_from_its_beginning_until_just_before_its_end() {
        let second = Duration::from_secs(1);
        let faults = [Fault::new(second, 2 * second, FaultKind::Slow(300))];
        let slowed = |at| Conditions::at(at, &faults, Some(0)).slowed(second);
        assert_eq!(slowed(Duration::ZERO), second);
        assert_eq!(slowed(second), 3 * second);
        assert_eq!(slowed(2 * second), second);
    }

    #[test]
    fn a_fault_of_one_producer_leaves_the_others_alone() {
        let second = Duration::from_secs(1);
        let faults = [Fault::always(FaultKind::LostAfterWrite(7)), Fault::always(FaultKind::Slow(300)).of(1)];
        let slowed = |producer| Conditions::at(second, &faults, producer).slowed(second);
        assert_eq!([slowed(None), slowed(Some(0)), slowed(Some(1))], [second, second, 3 * second]);
        assert_eq!(Conditions::at(second, &faults, Some(0)).lost_after, 7);
    }
}

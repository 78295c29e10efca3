//! One producer's link to the service.

use std::time::Duration;

use kinesis_batcher_core::Timestamp;

use super::BEGIN;
use crate::faults::{Conditions, OutageKind};
use crate::network::Network;
use kinesis_model::Rng;

/// A link: latencies, bytes that queue, and what is wrong with it at the moment.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) conditions: Conditions,
    network: Network,
    rng: Rng,
    /// When the last byte that was sent is on its way.
    sent_until: Timestamp,
}

impl Link {
    pub(super) fn new(network: Network, rng: Rng) -> Self {
        Self { conditions: Conditions::default(), network, rng, sent_until: Timestamp::ZERO }
    }

    /// Sends a request of so many bytes.
    pub(super) fn send(&mut self, now: Timestamp, bytes: u64) -> Departure {
        let timeout = self.network.request_timeout;
        match self.conditions.outage {
            Some(OutageKind::Refused) => return Departure::Fails { after: CONNECT, how: Failing::NotSent },
            Some(OutageKind::TimesOut) => {
                return Departure::Fails { after: timeout, how: Failing::TimedOut };
            }
            Some(OutageKind::ServerError) => {
                let after = self.draw_out(now).saturating_add(self.draw_back(now));
                return Departure::Fails { after: after.min(timeout), how: Failing::ServerError };
            }
            None => {}
        }
        self.sent_until = self.sent_until.max(now).after(self.network.transfer(bytes));
        let out = self.sent_until.since(now).saturating_add(self.draw_out(now));
        if self.rng.happens(self.conditions.lost_before) {
            return if self.rng.happens(HALF) {
                Departure::Fails { after: out.min(timeout), how: Failing::Reset }
            } else {
                Departure::Fails { after: timeout, how: Failing::TimedOut }
            };
        }
        if self.rng.happens(self.conditions.late_arrival) {
            let later = Duration::from_nanos(self.rng.below((timeout.as_nanos() as u64).saturating_mul(2)));
            return Departure::Arrives { after: timeout.saturating_add(later), again_after: None };
        }
        let is_duplicated = self.rng.happens(self.conditions.duplicated);
        let again_after = is_duplicated.then(|| out.saturating_add(self.draw_out(now)));
        Departure::Arrives { after: out, again_after }
    }

    /// Sends the reply to a request that was sent so long ago.
    pub(super) fn reply(&mut self, now: Timestamp, sent_ago: Duration) -> Return {
        let remaining = self.network.request_timeout.saturating_sub(sent_ago);
        if self.rng.happens(self.conditions.lost_after) {
            return if self.rng.happens(HALF) {
                Return::Lost { after: self.draw_back(now).min(remaining), how: Failing::Reset }
            } else {
                Return::Lost { after: remaining, how: Failing::TimedOut }
            };
        }
        if self.rng.happens(self.conditions.reply_stuck) {
            let after = Duration::from_nanos(self.rng.below(STUCK_MAX.as_nanos() as u64));
            return Return::Comes { after };
        }
        let after = self.draw_back(now);
        if after > remaining {
            return Return::Lost { after: remaining, how: Failing::TimedOut };
        }
        Return::Comes { after }
    }

    fn draw_out(&mut self, now: Timestamp) -> Duration {
        let latency = self.network.out.draw(&mut self.rng);
        self.slowed(now, latency)
    }

    fn draw_back(&mut self, now: Timestamp) -> Duration {
        let latency = self.network.back.draw(&mut self.rng);
        self.slowed(now, latency)
    }

    fn slowed(&self, now: Timestamp, latency: Duration) -> Duration {
        let latency = self.conditions.slowed(latency);
        match self.network.swell(now.since(BEGIN)) {
            100 => latency,
            swell => latency.saturating_mul(swell) / 100,
        }
    }
}

/// A request on its way to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Arrives {
        after: Duration,
        /// The network delivers it a second time.
        again_after: Option<Duration>,
    },
    /// It never arrives, and the producer gets this error.
    Fails { after: Duration, how: Failing },
}

/// A reply on its way to the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    Comes { after: Duration },
    Lost { after: Duration, how: Failing },
}

/// The error of a request without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// There was no connection.
    NotSent,
    /// The connection broke.
    Reset,
    /// The request timeout passed.
    TimedOut,
    /// A proxy answered with status 503.
    ServerError,
}

/// A connection that is refused is refused at once.
const CONNECT: Duration = Duration::from_millis(1);
/// Longer than any timeout and back-off, so that whatever was to happen meanwhile has.
pub(super) const STUCK_MAX: Duration = Duration::from_secs(60);
const HALF: u32 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    const NOW: Timestamp = Timestamp::from_millis(2_000_000);

    #[test]
    fn without_faults_every_request_arrives_and_every_reply_returns() {
        let mut link = Link::new(Network::default(), Rng::new(1));
        for _ in 0..1_000 {
            assert!(matches!(link.send(NOW, 100), Departure::Arrives { again_after: None, .. }));
            assert!(matches!(link.reply(NOW, Duration::ZERO), Return::Comes { .. }));
        }
    }

    #[test]
    fn a_reply_that_takes_longer_than_the_producer_waits_is_lost() {
        let slow = Latency::Constant(Duration::from_secs(1));
        let network = Network::new(slow, slow).request_timeout(Duration::from_millis(1_500));
        let reply = Link::new(network, Rng::new(1)).reply(NOW, Duration::from_secs(1));
        assert_eq!(reply, Return::Lost { after: Duration::from_millis(500), how: Failing::TimedOut });
    }

    #[test]
    fn bytes_queue_behind_those_that_were_sent_before() {
        let none = Latency::Constant(Duration::ZERO);
        let mut link = Link::new(Network::new(none, none).bytes_per_second(1_000), Rng::new(1));
        for seconds in 1..=3 {
            let after = Duration::from_secs(seconds);
            assert_eq!(link.send(NOW, 1_000), Departure::Arrives { after, again_after: None });
        }
        let later = NOW.after(Duration::from_secs(10));
        assert_eq!(
            link.send(later, 500),
            Departure::Arrives { after: Duration::from_millis(500), again_after: None }
        );
    }
}

//! What lies between a producer and the service.

use std::time::Duration;

use crate::faults::{Conditions, OutageKind};
use crate::latency::Latency;
use kinesis_model::Rng;

/// The network of each producer, when nothing is wrong with it. Each request draws its own latencies, so requests
/// and replies overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// From the producer to the service.
    pub out: Latency,
    /// From the service to the producer, the time that the service takes included.
    pub back: Latency,
    /// A request without a reply for so long is given back with an unknown outcome.
    pub request_timeout: Duration,
}

impl Network {
    /// A network with these latencies and a request timeout of 10 s.
    #[must_use]
    pub fn new(out: Latency, back: Latency) -> Self {
        Self { out, back, request_timeout: Duration::from_secs(10) }
    }

    /// The same with another request timeout; at least 1 ms.
    #[must_use]
    pub fn request_timeout(self, request_timeout: Duration) -> Self {
        Self { request_timeout: request_timeout.max(Duration::from_millis(1)), ..self }
    }

    /// What becomes of a request that is sent now.
    pub(crate) fn send(&self, conditions: &Conditions, rng: &mut Rng) -> Departure {
        let out = conditions.slowed(self.out.draw(rng));
        match conditions.outage {
            Some(OutageKind::Refused) => return Departure::Fails { after: CONNECT, how: Failing::NotSent },
            Some(OutageKind::TimesOut) => {
                return Departure::Fails { after: self.request_timeout, how: Failing::TimedOut };
            }
            Some(OutageKind::ServerError) => {
                let after = out.saturating_add(conditions.slowed(self.back.draw(rng)));
                return Departure::Fails { after, how: Failing::ServerError };
            }
            None => {}
        }
        if rng.happens(conditions.lost_before) {
            return if rng.happens(HALF) {
                Departure::Fails { after: out.min(self.request_timeout), how: Failing::Reset }
            } else {
                Departure::Fails { after: self.request_timeout, how: Failing::TimedOut }
            };
        }
        if rng.happens(conditions.late_arrival) {
            let timeout = self.request_timeout.as_nanos() as u64;
            let later = Duration::from_nanos(rng.below(timeout.saturating_mul(2)));
            return Departure::Arrives { after: self.request_timeout.saturating_add(later) };
        }
        Departure::Arrives { after: out }
    }

    /// What becomes of the reply to a request that was sent so long ago.
    pub(crate) fn reply(&self, conditions: &Conditions, sent_ago: Duration, rng: &mut Rng) -> Return {
        let remaining = self.request_timeout.saturating_sub(sent_ago);
        if rng.happens(conditions.lost_after) {
            return if rng.happens(HALF) {
                let after = conditions.slowed(self.back.draw(rng)).min(remaining);
                Return::Lost { after, how: Failing::Reset }
            } else {
                Return::Lost { after: remaining, how: Failing::TimedOut }
            };
        }
        if rng.happens(conditions.reply_stuck) {
            let after = Duration::from_nanos(rng.below(STUCK_MAX.as_nanos() as u64));
            return Return::Comes { after };
        }
        let after = conditions.slowed(self.back.draw(rng));
        if after > remaining {
            return Return::Lost { after: remaining, how: Failing::TimedOut };
        }
        Return::Comes { after }
    }
}

impl Default for Network {
    fn default() -> Self {
        let half = Latency::LongTail { median: Duration::from_millis(5) };
        Self::new(half, half)
    }
}

/// A request on its way to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    Arrives {
        after: Duration,
    },
    /// It never arrives, and the producer learns so much.
    Fails {
        after: Duration,
        how: Failing,
    },
}

/// A reply on its way to the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    Comes { after: Duration },
    Lost { after: Duration, how: Failing },
}

/// What a producer learns of a request that got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// There was no connection.
    NotSent,
    /// The connection broke.
    Reset,
    /// It waited long enough.
    TimedOut,
    /// Something between said 503.
    ServerError,
}

/// A connection that is refused is refused at once.
const CONNECT: Duration = Duration::from_millis(1);
/// Longer than any timeout and back-off, so that whatever was to happen meanwhile has.
pub(crate) const STUCK_MAX: Duration = Duration::from_secs(60);
const HALF: u32 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_faults_every_request_arrives_and_every_reply_returns() {
        let (network, conditions, mut rng) = (Network::default(), Conditions::default(), Rng::new(1));
        for _ in 0..1_000 {
            assert!(matches!(network.send(&conditions, &mut rng), Departure::Arrives { .. }));
            assert!(matches!(network.reply(&conditions, Duration::ZERO, &mut rng), Return::Comes { .. }));
        }
    }

    #[test]
    fn a_reply_that_takes_longer_than_the_producer_waits_is_lost() {
        let slow = Latency::Constant(Duration::from_secs(1));
        let network = Network::new(slow, slow).request_timeout(Duration::from_millis(1_500));
        let reply = network.reply(&Conditions::default(), Duration::from_secs(1), &mut Rng::new(1));
        assert_eq!(reply, Return::Lost { after: Duration::from_millis(500), how: Failing::TimedOut });
    }
}

//! The network between producers and the service.

use std::time::Duration;

use crate::latency::Latency;

/// The network of each producer without faults. Each request draws its own latencies, so requests and replies overtake
/// each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Network {
    /// From the producer to the service.
    pub out: Latency,
    /// From the service to the producer, the time that the service takes included.
    pub back: Latency,
    /// A request without a reply for so long is given back with an unknown outcome.
    pub request_timeout: Duration,
    /// Bytes a second from each producer to the service, from 1. A request leaves after those before it, so that large
    /// requests and bursts take longer. `None` for no limit.
    pub bytes_per_second: Option<u64>,
    /// Latencies rise and fall, for all producers together.
    pub waves: Option<Waves>,
}

/// Latencies that rise to a crest and fall again, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waves {
    /// From crest to crest; at least 1 us.
    pub period: Duration,
    /// The factor at the crest in hundredths, from 100.
    pub crest: u32,
}

impl Network {
    /// A network with these latencies and a request timeout of 10 s.
    #[must_use]
    pub fn new(out: Latency, back: Latency) -> Self {
        let request_timeout = Duration::from_secs(10);
        Self { out, back, request_timeout, bytes_per_second: None, waves: None }
    }

    /// The same with another request timeout; at least 1 ms.
    #[must_use]
    pub fn request_timeout(self, request_timeout: Duration) -> Self {
        Self { request_timeout: request_timeout.max(Duration::from_millis(1)), ..self }
    }

    /// The same with links of so many bytes a second.
    #[must_use]
    pub fn bytes_per_second(self, bytes_per_second: u64) -> Self {
        Self { bytes_per_second: Some(bytes_per_second.max(1)), ..self }
    }

    /// The same with latencies that rise to so many hundredths and fall again in each period.
    #[must_use]
    pub fn waves(self, period: Duration, crest: u32) -> Self {
        let period = period.max(Duration::from_micros(1));
        Self { waves: Some(Waves { period, crest: crest.max(100) }), ..self }
    }

    /// How long a request and its reply take, at most, besides the time that the link needs for the bytes.
    pub(crate) fn round_trip_max(&self) -> Duration {
        let crest = self.waves.map_or(100, |waves| waves.crest);
        (self.out.max() + self.back.max()).saturating_mul(crest) / 100
    }

    /// How long the link needs for so many bytes.
    pub(crate) fn transfer(&self, bytes: u64) -> Duration {
        let Some(per_second) = self.bytes_per_second else { return Duration::ZERO };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The factor of latencies in hundredths, at this time since the beginning.
    pub(crate) fn swell(&self, elapsed: Duration) -> u32 {
        let Some(Waves { period, crest }) = self.waves else { return 100 };
        let period = period.as_nanos().max(2);
        let at = elapsed.as_nanos() % period;
        let from_trough = at.min(period - at) * 2;
        100 + (u128::from(crest.saturating_sub(100)) * from_trough / period) as u32
    }
}

impl Default for Network {
    fn default() -> Self {
        let half = Latency::LongTail { median: Duration::from_millis(5) };
        Self::new(half, half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_rise_to_their_crest_and_fall_again() {
        let second = Duration::from_secs(1);
        let network = Network::default().waves(4 * second, 500);
        let swell: Vec<u32> = (0..=4).map(|at| network.swell(at * second)).collect();
        assert_eq!(swell, [100, 300, 500, 300, 100]);
        assert_eq!(Network::default().swell(second), 100, "without waves latencies are as they are drawn");
    }

    #[test]
    fn a_link_needs_time_for_bytes() {
        let network = Network::default().bytes_per_second(1_000_000);
        assert_eq!(network.transfer(250_000), Duration::from_millis(250));
        assert_eq!(Network::default().transfer(u64::MAX), Duration::ZERO);
    }
}

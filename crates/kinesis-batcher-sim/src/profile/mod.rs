//! Options that a seed chooses.

mod long;
mod short;
mod soak;
mod storm;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::caller::{Caller, Calls, Polling};
use crate::network::Network;
use crate::options::Options;
use kinesis_model::Rng;

/// A kind of run, the rest of which a seed chooses: settings, stream, workload, callers, network and faults.
///
/// ```
/// use kinesis_batcher_sim::{Profile, run};
///
/// for seed in 0..20 {
///     let report = run(seed, &Profile::Short.options(seed));
///     assert!(report.is_ok(), "{report}");
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// A few hundred records in a few seconds of virtual time: about a millisecond a run, so that many can be made.
    Short,
    /// Minutes with up to 64 producers on a stream that is full most of the time, with quiet periods of more than 64 s
    /// and records that reach the default time to live.
    Long,
    /// Ten days of a few records a minute.
    Soak,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Short, Self::Long, Self::Soak];

    /// The options that this seed chooses.
    #[must_use]
    pub fn options(self, seed: u64) -> Options {
        let root = Rng::new(seed).fork("options");
        match self {
            Self::Short => short::options(&root),
            Self::Long => long::options(&root.fork("long")),
            Self::Soak => soak::options(&root.fork("soak")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::Soak => "soak",
        }
    }
}

impl Options {
    /// The options of [`Profile::Short`].
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Profile::Short.options(seed)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == name);
        found.ok_or_else(|| format!("{name} is no profile; there are short, long and soak"))
    }
}

/// How programs call, in most runs as the documentation or the drivers do it.
fn caller(rng: &mut Rng) -> Caller {
    let polling = match rng.below(8) {
        0 => Polling::Late(Duration::from_micros(rng.magnitude(1, 200_000))),
        1 => Polling::Partial {
            requests: rng.magnitude(1, 8) as u32,
            events: rng.magnitude(1, 64) as u32,
            again: Duration::from_micros(rng.magnitude(1, 5_000)),
        },
        _ => Polling::Prompt,
    };
    Caller {
        calls: if rng.one_in(2) { Calls::Batch } else { Calls::Single },
        polling,
        starts_without_map: rng.one_in(10),
    }
}

/// Adds a narrow link or waves to some networks. No request may need longer than its timeout, or its producer may
/// never learn of a success.
fn narrow(rng: &mut Rng, network: Network, bytes_in_flight_max: u64) -> Network {
    let mut network = network;
    if rng.one_in(6) {
        network =
            network.waves(Duration::from_millis(rng.magnitude(10, 60_000)), rng.magnitude(101, 2_000) as u32);
    }
    if rng.one_in(6) {
        network = network.bytes_per_second(rng.magnitude(50_000, 100_000_000));
    }
    let slowest = network.round_trip_max() + network.transfer(bytes_in_flight_max);
    let timeout = network.request_timeout.max(slowest + Duration::from_millis(1));
    network.request_timeout(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_by_its_name() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert!("swarm".parse::<Profile>().is_err());
    }
}

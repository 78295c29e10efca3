//! What is simulated.

use std::fmt;
use std::time::Duration;

use kinesis_batcher_core::Config;

use crate::caller::Caller;
use crate::check::Checks;
use crate::faults::Faults;
use crate::latency::Latency;
use crate::network::Network;
use crate::service::ServiceOptions;
use crate::workload::Workload;

/// What a run is made of, apart from its seed.
///
/// The default is one producer with the core's default settings that pushes 1,000 records/s of 100 B for 10 s to four
/// shards 10 ms away, without faults, with every checker on.
///
/// ```
/// use std::time::Duration;
/// use kinesis_batcher_sim::{Faults, Options, Rate, run};
///
/// let mut options = Options::default().duration(Duration::from_secs(2)).producers(2).faults(Faults::Swarm);
/// options.workload.rate = Rate::Constant(200);
/// let report = run(7, &options);
/// assert!(report.violations.is_empty(), "{report}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The settings of each producer's batcher.
    pub config: Config,
    /// The stream.
    pub service: ServiceOptions,
    /// How many producers there are at the beginning, from 1; none knows of the others.
    pub producers: u32,
    /// What each producer is asked to send.
    pub workload: Workload,
    /// How the programs around the batchers call them.
    pub caller: Caller,
    /// The network between the producers and the service.
    pub network: Network,
    /// What goes wrong, and when.
    pub faults: Faults,
    /// How long it takes to list the shards when a batcher asks for a new map.
    pub refresh: Latency,
    /// Whether the shards are also listed from time to time without being asked for.
    pub refresh_every: Option<Duration>,
    /// How long records are offered and faults may happen. Afterwards the faults are over and everything must drain.
    pub duration: Duration,
    /// How much of the beginning is left out of [`Report::steady`](crate::Report::steady).
    pub settling: Duration,
    /// How the producers end.
    pub ending: Ending,
    /// Which invariants are watched.
    pub checks: Checks,
    /// The run ends at the first violation.
    pub stops_at_violation: bool,
    /// The time between two points of [`Report::series`](crate::Report::series); `None` for no series.
    pub interval: Option<Duration>,
    /// Lines kept of [`Report::trace`](crate::Report::trace), the last ones; 0 for no trace.
    pub trace_lines_max: usize,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        impl Options {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(self, $name: $type) -> Self {
                Self { $name, ..self }
            })*
        }
    };
}

setters! {
    /// The settings of each producer's batcher.
    config: Config,
    /// The stream.
    service: ServiceOptions,
    /// How many producers there are; 0 counts as 1.
    producers: u32,
    /// What each producer is asked to send.
    workload: Workload,
    /// How the programs around the batchers call them.
    caller: Caller,
    /// The network between the producers and the service.
    network: Network,
    /// What goes wrong.
    faults: Faults,
    /// How long records are offered and faults may happen.
    duration: Duration,
    /// How much of the beginning is left out of the steady figures.
    settling: Duration,
    /// How the producers end.
    ending: Ending,
    /// Which invariants are watched.
    checks: Checks,
    /// Lines kept of the trace.
    trace_lines_max: usize,
}

impl Options {
    /// The time between two points of the series.
    #[must_use]
    pub fn interval(self, interval: impl Into<Option<Duration>>) -> Self {
        Self { interval: interval.into(), ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Config::default(),
            service: ServiceOptions::default(),
            producers: 1,
            workload: Workload::default(),
            caller: Caller::default(),
            network: Network::default(),
            faults: Faults::None,
            refresh: Latency::Constant(Duration::from_millis(50)),
            refresh_every: None,
            duration: Duration::from_secs(10),
            settling: Duration::ZERO,
            ending: Ending::Close,
            checks: Checks::ALL,
            stops_at_violation: true,
            interval: None,
            trace_lines_max: 0,
        }
    }
}

/// What is chosen, a line each.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "config     {:?}", self.config)?;
        writeln!(f, "service    {:?}", self.service)?;
        writeln!(f, "producers  {}", self.producers)?;
        writeln!(f, "workload   {:?}", self.workload)?;
        writeln!(f, "caller     {:?}", self.caller)?;
        writeln!(f, "network    {:?}", self.network)?;
        writeln!(f, "refresh    {:?}, every {:?}", self.refresh, self.refresh_every)?;
        writeln!(f, "duration   {:?}, then {:?}", self.duration, self.ending)?;
        fmt::Display::fmt(&self.faults, f)
    }
}

/// How the producers end once the faults are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// They are closed at once.
    Close,
    /// They are left alone until they hold nothing, then closed.
    Drain,
    /// They are aborted.
    Abort,
}

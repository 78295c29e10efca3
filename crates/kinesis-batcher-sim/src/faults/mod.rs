//! What can go wrong, and when.

mod conditions;
mod swarm;

use std::fmt;
use std::time::Duration;

use crate::service::{AccountFault, ServiceFaults};
use kinesis_model::{Distribution, Numbering, Permits};

pub(crate) use conditions::Conditions;

/// What goes wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Faults {
    /// Nothing.
    None,
    /// These.
    Plan(Vec<Fault>),
    /// What the seed says: some kinds of fault and not others, with strengths and times of their own. Each choice is
    /// listed in the report.
    Swarm,
}

/// One thing that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Since the beginning of the run.
    pub from: Duration,
    /// Since the beginning of the run. All faults end with [`Options::duration`](crate::Options::duration).
    pub to: Duration,
    /// What.
    pub what: FaultKind,
    /// The one producer that it concerns; `None` for all. Only faults of links, replies, listings, timers and clocks
    /// that last for a while can concern one.
    pub producer: Option<u32>,
}

impl Fault {
    /// A fault from one time to another, since the beginning of the run.
    #[must_use]
    pub fn new(from: Duration, to: Duration, what: FaultKind) -> Self {
        Self { from, to, what, producer: None }
    }

    /// A fault of a moment.
    #[must_use]
    pub fn at(at: Duration, what: FaultKind) -> Self {
        Self::new(at, at, what)
    }

    /// A fault of the whole run.
    #[must_use]
    pub fn always(what: FaultKind) -> Self {
        Self::new(Duration::ZERO, Duration::MAX, what)
    }

    /// What kind of fault it is, by the name of its [`FaultKind`].
    #[must_use]
    pub fn name(&self) -> String {
        let text = format!("{:?}", self.what);
        text.split([' ', '(']).next().unwrap_or_default().to_owned()
    }

    /// The same fault of one producer alone.
    #[must_use]
    pub fn of(self, producer: u32) -> Self {
        Self { producer: Some(producer), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (Duration::ZERO, Duration::MAX) => f.write_str("always"),
            (from, to) if from == to => write!(f, "at {from:?}"),
            (from, Duration::MAX) => write!(f, "from {from:?}"),
            (from, to) => write!(f, "{from:?} to {to:?}"),
        }?;
        if let Some(producer) = self.producer {
            write!(f, ", producer {producer}")?;
        }
        write!(f, ": {:?}", self.what)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("fault      none"),
            Self::Swarm => f.write_str("fault      chosen by seed"),
            Self::Plan(faults) if faults.is_empty() => f.write_str("fault      none"),
            Self::Plan(faults) => {
                for (index, fault) in faults.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "fault      {fault}")?;
                }
                Ok(())
            }
        }
    }
}

/// What can go wrong. Figures without a unit are cases in a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Requests get lost on their way: nothing is stored, and the producer does not know.
    LostBeforeWrite(u32),
    /// Replies get lost: what the service stored is stored, and the producer does not know.
    LostAfterWrite(u32),
    /// Requests reach the service after the producer gave them up.
    LateArrival(u32),
    /// Requests reach the service a second time: a proxy has repeated them. The producer learns of one reply only.
    Duplicated(u32),
    /// Replies come up to a minute later, and the producer waits that long.
    ReplyStuck(u32),
    /// Latencies are multiplied by so many hundredths.
    Slow(u32),
    /// No request arrives.
    Outage(OutageKind),
    /// Replies have fewer entries than the request.
    ReplyTooShort(u32),
    /// Replies have more entries than the request.
    ReplyTooLong(u32),
    /// Entries of replies name a shard that nobody has heard of.
    UnknownShard(u32),
    /// Entries of replies name neither a shard nor an error.
    NoVerdict(u32),
    /// The service itself fails.
    Service(ServiceFaults),
    /// No call stores anything, for a reason that says nothing about its records.
    Account(AccountFault),
    /// A call whose body has more bytes is refused with status 413.
    BodyTooLarge(u32),
    /// The service's clock and the producers' part: every call is refused that was signed before a reply told its
    /// producer the time. At the beginning of the fault.
    ClockSkewed,
    /// The producers' keys are rotated: every call is refused that was signed before its producer has loaded the new
    /// keys, which it does once it was refused. At the beginning of the fault.
    KeysRotated {
        /// How long loading takes.
        reload: Duration,
    },
    /// Another stream has the name. At the beginning of the fault, which should be the end of
    /// one during which the stream was missing: else no producer can know.
    CreatedAgain {
        /// Open shards of the new stream.
        shards: u32,
        /// How it numbers them.
        numbering: Numbering,
    },
    /// A record of the stream may have so many bytes from then on (S-03). At the beginning of the fault.
    RecordBytesMax(u32),
    /// Producers may ask the service for this from then on. At the beginning of the fault.
    Permits(Permits),
    /// Replies exchange the results of two of their entries. No producer can notice: leave Honesty, Readable and I11
    /// out of the checks.
    ReplyPermuted(u32),
    /// Entries of replies say `InternalFailure` though they are stored, or that they are stored though they are not: as
    /// [`ReplyPermuted`](Self::ReplyPermuted).
    ReplyWrong(u32),
    /// The stream's record distribution changes. At the beginning of the fault.
    Distribution(Distribution),
    /// A shard splits in the middle. At the beginning of the fault.
    Split,
    /// Two neighbours merge. At the beginning of the fault.
    Merge,
    /// The stream is brought to so many open shards. At the beginning of the fault.
    ShardCount(u32),
    /// Listing the shards fails.
    MapFails(u32),
    /// Listing the shards gives those that were open the last time something was listed.
    MapStale(u32),
    /// Listing the shards is not permitted for the moment: only their number is learned.
    MapDenied(u32),
    /// Listing the shards takes so much longer.
    MapSlow(Duration),
    /// Timers fire up to so much too late.
    TimersLate(Duration),
    /// `handle_timeout` is called for no reason after a step.
    Spurious(u32),
    /// `handle_timeout` is called with an earlier time after a step.
    StepBack(u32),
    /// The producers' clocks move in steps of so much and stand still in between.
    CoarseClock(Duration),
    /// A producer's clock is set back by so much. At the beginning of the fault.
    ClockBack {
        /// Whose.
        producer: u32,
        /// How far.
        by: Duration,
    },
    /// A producer's clock jumps forward by so much. At the beginning of the fault.
    ClockForward {
        /// Whose.
        producer: u32,
        /// How far.
        by: Duration,
    },
    /// A producer's clock is set right after jumps. At the beginning of the fault.
    ClockRight {
        /// Whose.
        producer: u32,
    },
    /// A producer's process stands still from the beginning of the fault to its end: nothing calls its batcher, and
    /// replies wait.
    Pause {
        /// Which.
        producer: u32,
    },
    /// A producer's process ends with everything that it holds. At the beginning of the fault.
    Crash {
        /// Which.
        producer: u32,
        /// Another producer starts so much later.
        restarts_after: Option<Duration>,
    },
    /// Another producer starts. It has the next number. At the beginning of the fault.
    Start,
    /// A producer flushes. At the beginning of the fault.
    Flush {
        /// Which.
        producer: u32,
    },
    /// A producer is closed early. At the beginning of the fault.
    Close {
        /// Which.
        producer: u32,
    },
    /// A producer is aborted early. At the beginning of the fault.
    Abort {
        /// Which.
        producer: u32,
    },
}

/// How requests fail in an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutageKind {
    /// No connection, at once.
    Refused,
    /// No reply.
    TimesOut,
    /// A status of 503 from something in between.
    ServerError,
}

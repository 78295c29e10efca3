//! How programs call their batchers.

use std::time::Duration;

/// How the program around each batcher calls it.
///
/// The default is the loop that the documentation of `kinesis-batcher-core` shows: single calls, everything polled at
/// once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caller {
    /// Which calls it makes.
    pub calls: Calls,
    /// When it polls.
    pub polling: Polling,
    /// It starts without a map of the shards, and pushes before it has one.
    pub starts_without_map: bool,
}

/// Which calls a program makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Calls {
    /// `push`, `poll_request` and `handle_response`; requests are polled before events.
    #[default]
    Single,
    /// The calls of `kinesis-batcher-driver`: `push_all`, `poll_unsealed_request` and `handle_answer`. Events are polled
    /// before each request. The time of an answer is read before the lock is taken, so that other calls may bring a
    /// later time first.
    Batch,
}

/// When a program polls requests, events and the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Polling {
    /// After each call, until nothing is left.
    #[default]
    Prompt,
    /// Up to so long after a call. Other calls may come in between.
    Late(Duration),
    /// A few requests and events after each call, and again later while more may be left.
    Partial {
        /// Requests at a time, from 1.
        requests: u32,
        /// Events at a time, from 1.
        events: u32,
        /// From one time to the next, at most.
        again: Duration,
    },
}

impl Polling {
    /// From a call to the poll that follows, at most; of several polls, from one to the next.
    pub(crate) fn delay_max(self) -> Duration {
        match self {
            Self::Prompt => Duration::ZERO,
            Self::Late(by) => by,
            Self::Partial { again, .. } => again,
        }
    }
}

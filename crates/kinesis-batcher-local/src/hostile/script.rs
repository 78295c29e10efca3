//! What is to happen to the calls to come.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::swarm::Swarm;
use super::{Fault, Operation, Rejection};

/// The faults that a test asked for.
#[derive(Default)]
pub(crate) struct Script {
    next: HashMap<Operation, VecDeque<Fault>>,
    every: HashMap<Operation, Fault>,
    pub(crate) swarm: Option<Swarm>,
    pub(crate) poison: Vec<Vec<u8>>,
    /// What a request with this key gets.
    pub(crate) refused_keys: HashMap<String, Rejection>,
    pub(crate) body_bytes_max: Option<usize>,
    /// Larger bodies are refused before they are read.
    pub(crate) unread_body_bytes: Option<usize>,
    /// When DescribeStreamSummary was answered within the last second, if its limit counts.
    pub(crate) summaries: Option<VecDeque<Instant>>,
    /// What a request in CBOR gets.
    pub(crate) cbor_refusal: Option<Rejection>,
}

impl Script {
    pub(crate) fn push(&mut self, operation: Operation, fault: Fault) {
        check(operation, &fault);
        self.next.entry(operation).or_default().push_back(fault);
    }

    pub(crate) fn stand(&mut self, operation: Operation, fault: Fault) {
        check(operation, &fault);
        self.every.insert(operation, fault);
    }

    /// The fault for the call that is there.
    pub(crate) fn draw(&mut self, operation: Operation, entries: usize) -> Fault {
        if let Some(fault) = self.next.get_mut(&operation).and_then(VecDeque::pop_front) {
            return fault;
        }
        match self.every.get(&operation) {
            Some(Fault::None) | None => {}
            Some(fault) => return fault.clone(),
        }
        if operation == Operation::DescribeStreamSummary && !self.admits_summary() {
            return Fault::Reject(Rejection::limit_exceeded());
        }
        self.swarm.as_mut().map_or(Fault::None, |swarm| swarm.draw(operation, entries))
    }

    fn admits_summary(&mut self) -> bool {
        let Some(answered) = &mut self.summaries else { return true };
        let now = Instant::now();
        answered.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        let is_admitted = answered.len() < SUMMARIES_PER_SECOND;
        if is_admitted {
            answered.push_back(now);
        }
        is_admitted
    }
}

fn check(operation: Operation, fault: &Fault) {
    assert!(
        operation == Operation::PutRecords || fault.is_for_any_operation(),
        "{fault:?} is about the entries of PutRecords, and {operation:?} has none"
    );
}

/// S-11.
const SUMMARIES_PER_SECOND: usize = 20;

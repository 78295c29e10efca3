//! I9: the same inputs give the same outputs.

use crate::options::Options;
use crate::report::Report;
use crate::simulation::run;

use super::{Invariant, Violation};

/// Runs a simulation twice and gives the first report. If the second is not the same, byte for byte, the first has a
/// violation of [`Invariant::I9`].
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn run_twice(seed: u64, options: &Options) -> Report {
    let mut first = run(seed, options);
    let second = run(seed, options);
    if first.digest != second.digest || first.to_string() != second.to_string() {
        first.violations.push(Violation {
            invariant: Invariant::I9,
            at: first.elapsed,
            producer: None,
            record: None,
            what: format!("a second run has the digest {:016x}", second.digest),
        });
    }
    first
}

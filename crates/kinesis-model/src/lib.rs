//! A model of Amazon Kinesis Data Streams as a state machine without I/O.
//!
//! It is written from `docs/SERVICE.md` and depends on no other crate of this workspace: a producer and the tests that
//! judge it must not share a mistake about the service. Comments cite facts of that page by their numbers (S-NN).

#![forbid(unsafe_code)]

mod meaning;

pub use meaning::{Cause, Meaning, NO_ANSWER, NOT_SENT, Stored, entry_meaning, meaning};

//! The tests against servers once more, past the SDK's orchestrator.
#![allow(clippy::duplicate_mod, reason = "each of them brings what they have in common")]

#[path = "embedded.rs"]
mod embedded;
#[path = "healing.rs"]
mod healing;
#[path = "hostile.rs"]
mod hostile;
#[path = "node.rs"]
mod node;

//! The tests against servers once more, with requests written and replies read by the SDK.
#![allow(clippy::duplicate_mod, reason = "each of them brings what they have in common")]

#[path = "embedded.rs"]
mod embedded;
#[path = "healing.rs"]
mod healing;
#[path = "hostile.rs"]
mod hostile;
#[path = "node.rs"]
mod node;

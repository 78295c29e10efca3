//! What every runtime crate of kinesis-batcher must do, as tests.
//!
//! This crate is no test itself and knows no runtime. A runtime crate says how it is started, waited for and ended
//! ([`Subject`], [`Ends`]), and [`conformance!`] makes one `#[test]` of each case. So all runtimes keep the same promises against
//! the same servers: a faithful Kinesis (ferrokinesis) over TCP and over TLS, and one that fails on command.
//!
//! ```ignore
//! // tests/conformance.rs
//! struct MultiThread(tokio::runtime::Runtime);
//!
//! impl kinesis_batcher_conformance::Subject for MultiThread { /* … */ }
//!
//! mod multi_thread {
//!     kinesis_batcher_conformance::conformance!(super::MultiThread, with an end);
//! }
//! ```
//!
//! | cases | what is promised |
//! |---|---|
//! | [`delivery`](cases::delivery) | what goes in comes out, where its receipt says; nobody's handler is left out |
//! | [`room`](cases::room) | back-pressure: a full buffer makes senders wait, and wakes them |
//! | [`senders`](cases::senders) | a thousand senders at once: all get on, none starves |
//! | [`ending`](cases::ending) | flush, close with a deadline, drop of the last handle, drop of the runtime |
//! | [`cancelling`](cases::cancelling) | every future dropped at every await point: accounts still add up |
//! | [`timers`](cases::timers) | order, reset, times past and far |
//! | [`faults`](cases::faults) | resets, hangs, cut replies, outages: nothing is lost, and doubt is told |
//! | [`transport`](cases::transport) | a transport that panics costs an attempt and no record |
//! | [`tls`](cases::tls) | delivery over TLS, by HTTP/1.1 and by HTTP/2 where the runtime speaks it; certificates of the wrong name or authority are refused |
//!
//! Cases about certificates run in a process of their own, because the root certificates a process trusts are read from
//! `SSL_CERT_FILE`, once.

pub mod cases;
mod child;
mod outcomes;
mod polls;
mod subject;
mod suite;

pub use child::{PEM_FILE, in_child};
pub use outcomes::Outcomes;
pub use polls::{give_up_after, is_pending};
pub use subject::{Ends, Subject, Target};

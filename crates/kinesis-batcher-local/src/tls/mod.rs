//! TLS, with HTTP/1.1 and HTTP/2, for servers on loopback.
//!
//! [`TlsFront`] speaks TLS before any server that speaks plain HTTP/1.1. `FastKinesis` speaks
//! TLS itself if its options have a [`ServerTls`], which costs less. Like the endpoints of AWS, both offer `h2` and
//! `http/1.1` by ALPN unless an [`Alpn`] says otherwise, and prefer `h2` (S-39).
//!
//! ```
//! # #[cfg(feature = "embedded")]
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use kinesis_batcher_local::tls::{TestAuthority, TlsFront};
//! use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions};
//!
//! let kinesis = EmbeddedKinesis::start(EmbeddedOptions::default())?;
//! let authority = TestAuthority::new();
//! let front = TlsFront::start(kinesis.address(), &authority, "localhost")?;
//! // Clients that look at SSL_CERT_FILE, if it names this file when they start, accept front.endpoint_url():
//! std::fs::write("/tmp/authority.pem", authority.pem())?;
//! # Ok(())
//! # }
//! ```

mod authority;
mod front;
mod gateway;
mod server;

pub use authority::TestAuthority;
pub use front::{FrontConnections, TlsFront};
pub use server::{Alpn, ServerTls};
#[cfg(feature = "fast")]
pub(crate) use server::{Windows, is_http2, serve_http2};

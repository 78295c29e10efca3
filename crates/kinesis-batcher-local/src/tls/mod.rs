//! TLS, for servers that speak plain TCP.
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

pub use authority::TestAuthority;
pub use front::TlsFront;

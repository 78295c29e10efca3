//! The HTTP service: routes, who may use them, and a server that bounds what strangers can cost.

mod address;
mod api;
mod auth;
mod credentials;
mod page;
mod router;
mod serve;
mod stall_guard;
#[cfg(feature = "tls")]
mod tls;

pub use address::{ListenAddress, ListenAddressError};
pub use credentials::{Credentials, CredentialsError};
pub use router::{StatusOptions, router};
pub use serve::{ServeOptions, serve};
#[cfg(feature = "tls")]
pub use tls::{TlsError, TlsIdentity};

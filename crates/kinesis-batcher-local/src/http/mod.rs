//! As much HTTP/1.1 as Kinesis clients speak, on bare TCP, so that a server decides about every byte and every reset.

mod connection;
mod reply;
mod request;

#[cfg(feature = "hostile")]
pub(crate) use connection::accept;
#[cfg(feature = "fast")]
pub(crate) use connection::accept_stream;
pub(crate) use connection::{Connection, ReadError};
pub(crate) use reply::Reply;
#[cfg(all(feature = "fast", feature = "tls"))]
pub(crate) use request::BODY_BYTES_MAX;
#[cfg(feature = "fast")]
pub(crate) use request::Head;
pub(crate) use request::Request;

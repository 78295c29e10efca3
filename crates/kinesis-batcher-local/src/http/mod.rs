//! As much HTTP/1.1 as Kinesis clients speak, on bare TCP, so that a server decides about every byte and every reset.

mod connection;
mod reply;
mod request;

pub(crate) use connection::{Connection, ReadError, accept};
pub(crate) use reply::Reply;
pub(crate) use request::Request;

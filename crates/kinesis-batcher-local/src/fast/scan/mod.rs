//! PutRecords bodies, scanned in place.

mod cbor;
mod json;

use std::borrow::Cow;

/// One entry of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) data: Data<'a>,
    pub(crate) partition_key: Cow<'a, [u8]>,
    /// Decimal.
    pub(crate) explicit_hash_key: Option<Cow<'a, [u8]>>,
}

/// The data of a record, as JSON and as CBOR have it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Data<'a> {
    Base64(Cow<'a, [u8]>),
    Bytes(Cow<'a, [u8]>),
}

/// The body is not that of PutRecords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Hands every entry to `each`, in order, and stops with its first error.
pub(crate) fn scan<'a, E: From<Malformed>>(
    body: &'a [u8],
    is_cbor: bool,
    each: impl FnMut(Entry<'a>) -> Result<(), E>,
) -> Result<(), E> {
    if is_cbor { cbor::scan(body, each) } else { json::scan(body, each) }
}

/// Deeper than anything Kinesis has, and shallower than the stack.
const DEPTH_MAX: u32 = 32;

//! `application/x-amz-cbor-1.1`: the same requests and replies as in JSON, in CBOR (RFC 8949), with data as it is. Not
//! every endpoint takes it (S-34).
//!
//! No document of the service describes it. AWS's SDKs for Java, 1 and 2, speak it to Kinesis unless told not to, and
//! what is known is read off them (`aws-cbor-protocol` of aws-sdk-java-v2): the operation is in `X-Amz-Target` as ever, a
//! structure is a map with the names of its members as text, a blob a byte string. kinesalite, kinesis-mock, LocalStack and
//! ferrokinesis serve those SDKs.

mod acceptance;
mod body;
mod scan;
mod scanner;
mod transcode;

pub(crate) use acceptance::Acceptance;
pub(super) use body::body;
pub(super) use scanner::Scanner;
pub(super) use transcode::to_json;

/// Whether a reply is in CBOR.
///
/// A reply whose type says neither is told apart by its first byte: a map, an array or a tag begins with a byte from 0x80
/// on, which no JSON begins with.
pub(super) fn is_cbor(content_type: Option<&str>, body: &[u8]) -> bool {
    match content_type {
        Some(text) if text.contains("cbor") => true,
        Some(text) if text.contains("json") => false,
        _ => body.first().is_some_and(|byte| *byte >= 0x80),
    }
}

pub(super) const CONTENT_TYPE: &str = "application/x-amz-cbor-1.1";

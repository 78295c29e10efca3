//! The head of a request, and what of it concerns Kinesis.

use bytes::Bytes;

/// A request that was read to its end.
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
}

/// What the servers look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// After `Kinesis_20131202.` in X-Amz-Target; empty when there is none.
    pub(crate) operation: String,
    /// From the Credential in Authorization.
    pub(crate) access_key_id: Option<String>,
    /// When it was signed, as `20260131T235959Z`.
    #[cfg(feature = "hostile")]
    pub(crate) amz_date: Option<String>,
    pub(crate) body_bytes: usize,
    /// The body is CBOR; else it is taken for JSON.
    pub(crate) is_cbor: bool,
    /// The client wants the connection to end after this request.
    pub(crate) close: bool,
    /// The client sends the body once it is told to.
    pub(crate) expects_continue: bool,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadError {
    Malformed,
    NotAPost,
    /// Neither this nor any AWS SDK needs chunked requests.
    NoContentLength,
    BodyTooLarge,
}

impl Head {
    /// The head and its length in bytes, or `None` while it is incomplete.
    pub(crate) fn parse(received: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(received) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if received.len() > HEAD_BYTES_MAX => {
                return Err(HeadError::Malformed);
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(HeadError::Malformed),
        };
        if request.method != Some("POST") {
            return Err(HeadError::NotAPost);
        }
        let mut head = Self { close: request.version == Some(0), ..Self::default() };
        let mut body_bytes = None;
        for header in request.headers.iter() {
            let value = header.value;
            if header.name.eq_ignore_ascii_case("content-length") {
                let text = std::str::from_utf8(value).map_err(|_| HeadError::Malformed)?;
                body_bytes = Some(text.trim().parse().map_err(|_| HeadError::Malformed)?);
            } else if header.name.eq_ignore_ascii_case("x-amz-target") {
                let text = std::str::from_utf8(value).map_err(|_| HeadError::Malformed)?;
                text.strip_prefix(TARGET_PREFIX).unwrap_or(text).clone_into(&mut head.operation);
            } else if header.name.eq_ignore_ascii_case("content-type") {
                head.is_cbor = value.eq_ignore_ascii_case(CBOR.as_bytes());
            } else if header.name.eq_ignore_ascii_case("authorization") {
                head.access_key_id = access_key_id(value);
            } else if header.name.eq_ignore_ascii_case("x-amz-date") {
                #[cfg(feature = "hostile")]
                {
                    head.amz_date = std::str::from_utf8(value).ok().map(str::to_owned);
                }
            } else if header.name.eq_ignore_ascii_case("connection") {
                head.close |= value.eq_ignore_ascii_case(b"close");
            } else if header.name.eq_ignore_ascii_case("expect") {
                head.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
        }
        head.body_bytes = body_bytes.ok_or(HeadError::NoContentLength)?;
        if head.body_bytes > BODY_BYTES_MAX {
            return Err(HeadError::BodyTooLarge);
        }
        Ok(Some((head, length)))
    }
}

#[cfg(all(feature = "fast", feature = "tls"))]
impl Head {
    /// The same from a request that came by HTTP/2.
    pub(crate) fn of_http2(headers: &hyper::HeaderMap) -> Self {
        let value = |name: &str| headers.get(name).map_or(&b""[..], hyper::header::HeaderValue::as_bytes);
        let target = std::str::from_utf8(value("x-amz-target")).unwrap_or_default();
        Self {
            operation: target.strip_prefix(TARGET_PREFIX).unwrap_or(target).to_owned(),
            access_key_id: access_key_id(value("authorization")),
            body_bytes: std::str::from_utf8(value("content-length"))
                .unwrap_or_default()
                .parse()
                .unwrap_or_default(),
            is_cbor: value("content-type").eq_ignore_ascii_case(CBOR.as_bytes()),
            ..Self::default()
        }
    }
}

/// From `AWS4-HMAC-SHA256 Credential=ID/20260101/us-east-1/kinesis/aws4_request, …`.
fn access_key_id(authorization: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(authorization).ok()?;
    let (_, credential) = text.split_once("Credential=")?;
    credential.split(['/', ',']).next().filter(|id| !id.is_empty()).map(str::to_owned)
}

pub(crate) const CBOR: &str = "application/x-amz-cbor-1.1";
const TARGET_PREFIX: &str = "Kinesis_20131202.";

/// AWS SDKs send about 15.
const HEADERS_MAX: usize = 64;

/// Credentials with a session token come to a few kilobytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// 10 MiB of records, the service's limit, is 13.4 MiB in base64; twice that leaves room to be too large and be told
/// so in the service's own words.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_head_is_taken_whole_or_not_at_all() {
        let text =
            b"POST / HTTP/1.1\r\nhost: x\r\nX-Amz-Target: Kinesis_20131202.PutRecords\r\nAUTHORIZATION: \
            AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host\r\n\
            content-length: 12\r\n\r\n{";
        for end in 0..text.len() - 1 {
            assert_eq!(Head::parse(&text[..end]).unwrap(), None, "{end} bytes are no head");
        }
        let (head, length) = Head::parse(text).unwrap().unwrap();
        assert_eq!(length, text.len() - 1, "the body is not part of the head");
        assert_eq!(head.operation, "PutRecords");
        assert_eq!(head.access_key_id.as_deref(), Some("AKID"));
        assert_eq!(head.body_bytes, 12);
        assert!(!head.close, "HTTP/1.1 keeps connections");
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name() {
        assert_eq!(Head::parse(b"GET / HTTP/1.1\r\n\r\n"), Err(HeadError::NotAPost));
        assert_eq!(Head::parse(b"POST / HTTP/1.1\r\n\r\n"), Err(HeadError::NoContentLength));
        assert_eq!(Head::parse(b"\x16\x03\x01\x02\x00\x01"), Err(HeadError::Malformed), "TLS is not spoken");
        assert_eq!(
            Head::parse(b"POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n"),
            Err(HeadError::BodyTooLarge)
        );
    }
}

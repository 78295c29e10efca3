//! Replies, as AWS words them.

use std::io::Write;

use super::request::CBOR;

/// A reply before it is bytes.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// Goes into `x-amzn-errortype`.
    pub(crate) error_type: Option<String>,
    /// Headers that only some replies have, such as `date`.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) close: bool,
}

impl Reply {
    fn new(status: u16, content_type: &'static str, error_type: Option<String>, body: Vec<u8>) -> Self {
        Self { status, content_type, error_type, headers: Vec::new(), body, close: false }
    }

    pub(crate) fn json(body: Vec<u8>) -> Self {
        Self::new(200, JSON, None, body)
    }

    /// An error as the service words it: the code in a header and in the body.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string().into_bytes();
        Self::new(status, JSON, Some(code.to_owned()), body)
    }

    /// What a load balancer in front of the service says when the service is not there.
    #[cfg(feature = "hostile")]
    pub(crate) fn html(status: u16) -> Self {
        let reason = reason(status);
        let body = format!("<html><body><h1>{status} {reason}</h1></body></html>").into_bytes();
        Self::new(status, "text/html", None, body)
    }

    /// The same in CBOR, unless it is neither JSON nor empty.
    pub(crate) fn in_cbor(mut self) -> Self {
        if self.content_type == JSON {
            self.content_type = CBOR;
            if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&self.body) {
                self.body.clear();
                ciborium::into_writer(&value, &mut self.body).expect("writing into a Vec does not fail");
            }
        }
        self
    }

    /// With one more header.
    #[cfg(feature = "hostile")]
    pub(crate) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Head and body in one buffer, hence in one write.
    pub(crate) fn into_bytes(self, request_id: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.body.len());
        self.write_head(&mut bytes, request_id).expect("writing into a Vec does not fail");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The same for HTTP/2.
    #[cfg(all(feature = "fast", feature = "tls"))]
    pub(crate) fn into_http2(self, request_id: u64) -> hyper::Response<http_body_util::Full<bytes::Bytes>> {
        let mut response = hyper::Response::builder()
            .status(self.status)
            .header("x-amzn-requestid", format!("00000000-0000-4000-8000-{request_id:012x}"))
            .header("content-type", self.content_type);
        if let Some(code) = &self.error_type {
            response = response.header("x-amzn-errortype", code);
        }
        let body = http_body_util::Full::new(self.body.into());
        response.body(body).expect("status and headers of a reply are valid")
    }

    fn write_head(&self, bytes: &mut Vec<u8>, request_id: u64) -> std::io::Result<()> {
        write!(bytes, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status))?;
        write!(bytes, "x-amzn-RequestId: 00000000-0000-4000-8000-{request_id:012x}\r\n")?;
        if let Some(code) = &self.error_type {
            write!(bytes, "x-amzn-errortype: {code}\r\n")?;
        }
        for (name, value) in &self.headers {
            write!(bytes, "{name}: {value}\r\n")?;
        }
        if self.close {
            write!(bytes, "connection: close\r\n")?;
        }
        write!(bytes, "content-type: {}\r\ncontent-length: {}\r\n\r\n", self.content_type, self.body.len())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}

const JSON: &str = "application/x-amz-json-1.1";

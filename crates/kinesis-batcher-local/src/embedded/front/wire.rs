//! Bodies of requests and replies, in JSON or CBOR, as JSON with timestamps in seconds.

use axum::body::Bytes;
use serde_json::Value;

use crate::cbor;

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Timestamps are seconds since 1970, data is base64.
    Json,
    /// Timestamps are milliseconds since 1970, data is bytes: how AWS's SDKs for Java read and write Kinesis.
    Cbor,
}

impl Format {
    pub(super) fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            JSON => Some(Self::Json),
            cbor::CONTENT_TYPE => Some(Self::Cbor),
            _ => None,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Cbor => cbor::CONTENT_TYPE,
        }
    }

    /// The members of a client's request; `None` for what is no object.
    pub(super) fn parse(self, body: &[u8]) -> Option<Value> {
        let value = match self {
            Self::Json => serde_json::from_slice(body).ok()?,
            Self::Cbor => {
                let mut value = cbor::to_json(body)?;
                scale_timestamps(&mut value, 1e-3);
                value
            }
        };
        value.is_object().then_some(value)
    }

    /// A reply for a client.
    pub(super) fn write(self, value: &Value) -> Bytes {
        match self {
            Self::Json => value.to_string().into(),
            Self::Cbor => {
                let mut value = value.clone();
                scale_timestamps(&mut value, 1e3);
                cbor::of_json(&value).into()
            }
        }
    }

    /// A request for ferrokinesis, which has seconds also in CBOR.
    pub(super) fn write_request(self, value: &Value) -> Bytes {
        match self {
            Self::Json => value.to_string().into(),
            Self::Cbor => cbor::of_json(value).into(),
        }
    }
}

fn scale_timestamps(value: &mut Value, factor: f64) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_f64() {
                    Some(time) if name.ends_with("Timestamp") => {
                        let scaled = time * factor;
                        // Milliseconds are whole, and so are most seconds.
                        *member = if scaled.fract() == 0.0 || factor > 1.0 {
                            (scaled.round() as i64).into()
                        } else {
                            scaled.into()
                        };
                    }
                    _ => scale_timestamps(member, factor),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| scale_timestamps(item, factor)),
        _ => {}
    }
}

const JSON: &str = "application/x-amz-json-1.1";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_timestamp_is_milliseconds_in_cbor_and_seconds_in_json() {
        let value =
            json!({ "Records": [{ "ApproximateArrivalTimestamp": 1_700_000_000.25, "Data": "eA==" }] });
        let cbor = Format::Cbor.write(&value);
        let seen = cbor::to_json(&cbor).unwrap();
        assert_eq!(seen["Records"][0]["ApproximateArrivalTimestamp"], 1_700_000_000_250_u64);
        assert_eq!(Format::Cbor.parse(&cbor), Some(value.clone()));
        assert_eq!(Format::Json.parse(&Format::Json.write(&value)), Some(value));
    }

    #[test]
    fn a_body_that_is_no_object_is_none() {
        for body in ["", "[]", "7", "{"] {
            assert_eq!(Format::Json.parse(body.as_bytes()), None, "{body:?}");
        }
        assert_eq!(Format::Cbor.parse(b"\xff"), None);
    }
}

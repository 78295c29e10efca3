//! Requests and replies in CBOR, for a client that thinks in JSON.

use base64_simd::STANDARD;
use ciborium::Value as Cbor;
use serde_json::Value;

pub(crate) const CONTENT_TYPE: &str = "application/x-amz-cbor-1.1";

/// The CBOR of a request, with `Data` as a byte string if it is base64 and as it is if not.
pub(crate) fn of_json(json: &Value) -> Vec<u8> {
    let mut cbor = Vec::new();
    ciborium::into_writer(&value_of_json("", json), &mut cbor).expect("writing into a Vec does not fail");
    cbor
}

/// The JSON of a reply, with byte strings in base64.
pub(crate) fn to_json(cbor: &[u8]) -> Option<Value> {
    ciborium::from_reader(cbor).ok().and_then(json_of_value)
}

fn value_of_json(field: &str, json: &Value) -> Cbor {
    match json {
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| (Cbor::from(name.as_str()), value_of_json(name, value));
            Cbor::Map(members.iter().map(member).collect())
        }
        Value::Array(items) => Cbor::Array(items.iter().map(|item| value_of_json("", item)).collect()),
        Value::String(text) if field == "Data" => match STANDARD.decode_to_vec(text) {
            Ok(bytes) => Cbor::Bytes(bytes),
            Err(_) => Cbor::from(text.as_str()),
        },
        other => Cbor::serialized(other).expect("JSON is simpler than CBOR"),
    }
}

fn json_of_value(value: Cbor) -> Option<Value> {
    Some(match value {
        Cbor::Map(members) => {
            let member = |(name, value): (Cbor, Cbor)| Some((name.into_text().ok()?, json_of_value(value)?));
            Value::Object(members.into_iter().map(member).collect::<Option<_>>()?)
        }
        Cbor::Array(items) => Value::Array(items.into_iter().map(json_of_value).collect::<Option<_>>()?),
        Cbor::Bytes(bytes) => Value::String(STANDARD.encode_to_string(bytes)),
        Cbor::Tag(_, value) => json_of_value(*value)?,
        other => other.deserialized().ok()?,
    })
}

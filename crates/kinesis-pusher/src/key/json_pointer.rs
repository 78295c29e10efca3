//! One value out of a JSON text, without building the rest of it.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::input::json_problem;

/// A JSON pointer (RFC 6901) that is not the whole document.
#[derive(Clone)]
pub(crate) struct JsonPointer {
    text: String,
    tokens: Vec<String>,
}

/// What stands at a pointer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Text, or a number, true or false as it is written.
    Text(Bytes),
    /// null, an object or an array.
    NotText(&'static str),
    /// The document has nothing there.
    Nothing,
}

impl JsonPointer {
    /// Reads a pointer such as `/customer/id` or `/items/0`; `~1` stands for a slash in a name, `~0` for a tilde.
    ///
    /// # Errors
    /// A sentence for the user when the slash is missing or a tilde stands for nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err("the JSON pointer must begin with '/', as in 'json:/customer/id'".to_owned());
        };
        let tokens = path
            .split('/')
            .map(unescape)
            .collect::<Option<Vec<_>>>()
            .ok_or("a '~' in the JSON pointer must be followed by 0 (for '~') or 1 (for '/')")?;
        Ok(Self { text: text.to_owned(), tokens })
    }

    /// The value at this pointer. Of names that occur twice in an object the last one counts, as in most parsers.
    ///
    /// # Errors
    /// What is wrong with the JSON, and where.
    pub(crate) fn find(&self, data: &Bytes) -> Result<Found, String> {
        let mut json = serde_json::Deserializer::from_slice(data);
        let seed = At { tokens: &self.tokens };
        let raw = seed
            .deserialize(&mut json)
            .and_then(|raw| json.end().map(|()| raw))
            .map_err(|e| json_problem(&e))?;
        let Some(raw) = raw.map(RawValue::get) else {
            return Ok(Found::Nothing);
        };
        Ok(match raw.as_bytes().first() {
            Some(b'"') if !raw.contains('\\') => {
                Found::Text(data.slice_ref(&raw.as_bytes()[1..raw.len() - 1]))
            }
            Some(b'"') => {
                Found::Text(Bytes::from(serde_json::from_str::<String>(raw).map_err(|e| json_problem(&e))?))
            }
            Some(b'{') => Found::NotText("an object"),
            Some(b'[') => Found::NotText("an array"),
            Some(b'n') => Found::NotText("null"),
            _ => Found::Text(data.slice_ref(raw.as_bytes())),
        })
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonPointer({})", self.text)
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut name = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        name.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(name)
}

/// Walks down the remaining tokens and ignores everything beside them, while the parser still checks all of it.
struct At<'p> {
    tokens: &'p [String],
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.tokens.is_empty() {
            serde::Deserialize::deserialize(deserializer).map(Some)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (name, rest) =
            self.tokens.split_first().expect("a container is walked into only while tokens remain");
        let mut found = None;
        while let Some(here) = map.next_key_seed(Is(name))? {
            if here {
                found = map.next_value_seed(At { tokens: rest })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (name, rest) =
            self.tokens.split_first().expect("a container is walked into only while tokens remain");
        // RFC 6901: an index is 0 or digits that do not begin with 0.
        let canonical = name == "0" || name.bytes().all(|b| b.is_ascii_digit()) && !name.starts_with('0');
        if let Some(index) = name.parse::<usize>().ok().filter(|_| canonical) {
            for _ in 0..index {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            let found = seq.next_element_seed(At { tokens: rest })?.flatten();
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(found);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Compares a member's name without keeping it.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pointer: &str, json: &str) -> Result<Found, String> {
        JsonPointer::parse(pointer).unwrap().find(&Bytes::copy_from_slice(json.as_bytes()))
    }

    fn text(value: &str) -> Result<Found, String> {
        Ok(Found::Text(Bytes::copy_from_slice(value.as_bytes())))
    }

    #[test]
    fn scalars_are_taken_as_they_are_written() {
        let json = r#" {"s":"x y","i":-7,"f":1.50,"e":1e3,"big":123456789012345678901234567890,"t":true,"u":"\u00e9\n"} "#;
        assert_eq!(find("/s", json), text("x y"));
        assert_eq!(find("/i", json), text("-7"));
        assert_eq!(find("/f", json), text("1.50"), "a number keeps its own digits");
        assert_eq!(find("/e", json), text("1e3"));
        assert_eq!(find("/big", json), text("123456789012345678901234567890"));
        assert_eq!(find("/t", json), text("true"));
        assert_eq!(find("/u", json), text("é\n"), "escapes are resolved");
    }

    #[test]
    fn text_without_escapes_is_not_copied() {
        let data = Bytes::from_static(br#"{"k":"value"}"#);
        let Found::Text(key) = JsonPointer::parse("/k").unwrap().find(&data).unwrap() else {
            panic!("a text")
        };
        assert_eq!(key.as_ptr(), data[6..].as_ptr(), "the key is a slice of the record");
    }

    #[test]
    fn paths_go_through_objects_and_arrays() {
        let json = r#"{"a":[{"b":1},{"b":[10,20,30]}],"":{"":"empty"},"x/y":{"~":"escaped"}}"#;
        assert_eq!(find("/a/1/b/2", json), text("30"));
        assert_eq!(find("//", json), text("empty"), "the empty name is a name");
        assert_eq!(find("/x~1y/~0", json), text("escaped"));
        for nothing in
            ["/a/2", "/a/01", "/a/-", "/a/1/b/2/c", "/a/x", "/q/r", "/a/+1", "/a/99999999999999999999"]
        {
            assert_eq!(find(nothing, json), Ok(Found::Nothing), "{nothing} points at nothing");
        }
    }

    #[test]
    fn paths_through_scalars_point_at_nothing() {
        for json in [
            r#"{"a":"s"}"#,
            r#"{"a":1}"#,
            r#"{"a":-1}"#,
            r#"{"a":1.5}"#,
            r#"{"a":true}"#,
            r#"{"a":null}"#,
            "17",
        ] {
            assert_eq!(find("/a/b", json), Ok(Found::Nothing), "{json}");
        }
    }

    #[test]
    fn containers_and_null_are_not_text() {
        let json = r#"{"o":{"x":1},"a":[1],"n":null}"#;
        assert_eq!(find("/o", json), Ok(Found::NotText("an object")));
        assert_eq!(find("/a", json), Ok(Found::NotText("an array")));
        assert_eq!(find("/n", json), Ok(Found::NotText("null")));
    }

    #[test]
    fn the_last_of_two_members_of_one_name_counts() {
        assert_eq!(find("/k", r#"{"k":1,"k":2}"#), text("2"));
    }

    #[test]
    fn all_of_the_text_must_be_json_not_only_the_way_to_the_value() {
        for json in [
            r#"{"k":1"#,
            r#"{"k":1} x"#,
            r#"{"k":1,}"#,
            "",
            r#"{"k":1,"r":nul}"#,
            "[1,2",
            r#"{"k":1}{"k":2}"#,
        ] {
            assert!(find("/k", json).is_err(), "{json:?} is not JSON");
        }
        let not_text = Bytes::from_static(b"{\"k\":\"\xff\"}");
        assert!(
            JsonPointer::parse("/k").unwrap().find(&not_text).is_err(),
            "a key that is not UTF-8 is refused"
        );
    }

    #[test]
    fn pointers_without_a_slash_or_with_a_lone_tilde_are_refused() {
        for pointer in ["", "a", "a/b", "/~", "/a~2"] {
            assert!(JsonPointer::parse(pointer).is_err(), "{pointer:?} is no pointer");
        }
    }
}

//! JSON, scanned in place: nothing is built and, but for escapes, nothing is copied.

use std::borrow::Cow;

use memchr::memchr2;

use super::{DEPTH_MAX, Data, Entry, Malformed};

/// Hands every entry to `each`, in order, and stops with its first error.
pub(crate) fn scan<'a, E: From<Malformed>>(
    body: &'a [u8],
    mut each: impl FnMut(Entry<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut scanner = Scanner { body, at: 0 };
    let mut records = false;
    scanner.object(|scanner, field| {
        if field == b"Records" {
            records = true;
            return scanner.array(|scanner| {
                let entry = scanner.entry()?;
                each(entry)
            });
        }
        Ok(scanner.skip(DEPTH_MAX)?)
    })?;
    scanner.space();
    if !records || scanner.at != body.len() {
        return Err(Malformed.into());
    }
    Ok(())
}

struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn entry(&mut self) -> Result<Entry<'a>, Malformed> {
        let (mut data, mut partition_key, mut explicit_hash_key) = (None, None, None);
        self.object::<Malformed>(|scanner, field| {
            match field {
                b"Data" => data = Some(Data::Base64(scanner.string()?)),
                b"PartitionKey" => partition_key = Some(scanner.string()?),
                b"ExplicitHashKey" => explicit_hash_key = scanner.string_or_null()?,
                _ => scanner.skip(DEPTH_MAX)?,
            }
            Ok(())
        })?;
        let (Some(data), Some(partition_key)) = (data, partition_key) else { return Err(Malformed) };
        Ok(Entry { data, partition_key, explicit_hash_key })
    }

    /// Hands the raw name of every field to `each`, which takes its value.
    fn object<E: From<Malformed>>(
        &mut self,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            let (name, _) = self.raw_string()?;
            self.expect(b':')?;
            each(self, name)?;
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn array<E: From<Malformed>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[')?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        self.space();
        let (raw, escaped) = self.raw_string()?;
        if escaped { unescape(raw).map(Cow::Owned) } else { Ok(Cow::Borrowed(raw)) }
    }

    fn string_or_null(&mut self) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        self.space();
        if self.body[self.at..].starts_with(b"null") {
            self.at += 4;
            return Ok(None);
        }
        self.string().map(Some)
    }

    /// What stands between two quotes, and whether there is a backslash in it.
    fn raw_string(&mut self) -> Result<(&'a [u8], bool), Malformed> {
        if self.body.get(self.at) != Some(&b'"') {
            return Err(Malformed);
        }
        let start = self.at + 1;
        let mut end = start;
        let mut escaped = false;
        loop {
            end += memchr2(b'"', b'\\', self.body.get(end..).ok_or(Malformed)?).ok_or(Malformed)?;
            if self.body[end] == b'"' {
                self.at = end + 1;
                return Ok((&self.body[start..end], escaped));
            }
            escaped = true;
            end += 2;
        }
    }

    /// Passes over a value of whatever kind.
    fn skip(&mut self, depth: u32) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        self.space();
        match self.body.get(self.at) {
            Some(b'"') => self.raw_string().map(|_| ()),
            Some(b'{') => self.object(|scanner, _| scanner.skip(depth)),
            Some(b'[') => self.array(|scanner| scanner.skip(depth)),
            _ => {
                let rest = &self.body[self.at..];
                let length = rest
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
                    .count();
                self.at += length;
                if length == 0 { Err(Malformed) } else { Ok(()) }
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.take(byte) { Ok(()) } else { Err(Malformed) }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.body.get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.body.get(self.at) {
            self.at += 1;
        }
    }
}

/// Escapes are rare: keys with quotes or control characters in them, and writers that escape slashes in base64.
fn unescape(raw: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    quoted.push(b'"');
    quoted.extend_from_slice(raw);
    quoted.push(b'"');
    serde_json::from_slice::<String>(&quoted).map(String::into_bytes).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Data, partition key and explicit hash key of every entry.
    fn entries(body: &str) -> Result<Vec<(String, String, Option<String>)>, Malformed> {
        let text = |bytes: Cow<'_, [u8]>| String::from_utf8(bytes.into_owned()).unwrap();
        let mut found = Vec::new();
        scan::<Malformed>(body.as_bytes(), |entry| {
            let Data::Base64(data) = entry.data else { panic!("JSON has no bytes") };
            found.push((text(data), text(entry.partition_key), entry.explicit_hash_key.map(text)));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn fields_are_found_in_any_order_and_amid_unknown_ones() {
        let body = r#" {"StreamARN":null, "Records" : [ {"PartitionKey":"k","Data":"YQ==","Extra":{"a":[1,-2.5e3,true,"]}"]}},
            {"Data":"","ExplicitHashKey":"7","PartitionKey":"l"} , {"ExplicitHashKey":null,"Data":"Yg==","PartitionKey":"m"}
            ] , "StreamName":"x"} "#;
        let entry = |data: &str, key: &str, explicit: Option<&str>| {
            (data.to_owned(), key.to_owned(), explicit.map(str::to_owned))
        };
        assert_eq!(
            entries(body).unwrap(),
            [entry("YQ==", "k", None), entry("", "l", Some("7")), entry("Yg==", "m", None)]
        );
        assert_eq!(entries(r#"{"Records":[],"StreamName":"x"}"#).unwrap(), []);
    }

    #[test]
    fn escapes_are_undone_as_serde_json_does_it() {
        for key in
            ["quote \" and backslash \\", "slash \\/", "line\nbreak", "\u{1f600} ü \u{7f}", "\\\"", "\u{0}"]
        {
            let body =
                serde_json::json!({ "Records": [{ "Data": "YQ==", "PartitionKey": key }] }).to_string();
            assert_eq!(entries(&body).unwrap()[0].1, key);
        }
        let surrogates = r#"{"Records":[{"Data":"a\/b=","PartitionKey":"\ud83d\ude00"}]}"#;
        assert_eq!(entries(surrogates).unwrap()[0], ("a/b=".to_owned(), "\u{1f600}".to_owned(), None));
    }

    #[test]
    fn every_beginning_of_a_body_is_malformed() {
        let body = r#"{"Records":[{"Data":"YQ==","PartitionKey":"k\n","X":[null]}],"StreamName":"s"}"#;
        assert!(entries(body).is_ok());
        for end in 0..body.len() {
            assert_eq!(entries(&body[..end]), Err(Malformed), "{} was taken for whole", &body[..end]);
        }
    }

    #[test]
    fn what_is_no_request_is_malformed() {
        let deep = format!(r#"{{"X":{}1{},"Records":[]}}"#, "[".repeat(40), "]".repeat(40));
        for body in [
            "{}",
            "[]",
            r#"{"Records":{}}"#,
            r#"{"Records":[{"Data":"YQ=="}]}"#,
            r#"{"Records":[{"PartitionKey":"k"}]}"#,
            r#"{"Records":[{"Data":1,"PartitionKey":"k"}]}"#,
            r#"{"Records":[]} trailing"#,
            r#"{"Records":[],}"#,
            r#"{"Records":[],"X":}"#,
            deep.as_str(),
        ] {
            assert_eq!(entries(body), Err(Malformed), "{body} was taken for a request");
        }
    }
}

//! Which stream.

use std::fmt;
use std::str::FromStr;

/// A stream, by name or by ARN. Across accounts it takes the ARN.
///
/// ```
/// use kinesis_batcher_aws::StreamId;
///
/// let stream: StreamId = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks".parse()?;
/// assert_eq!(stream.name(), "clicks");
/// assert_eq!(stream.region(), Some("eu-west-1"));
/// assert_eq!("clicks".parse::<StreamId>()?.arn(), None);
/// # Ok::<(), kinesis_batcher_aws::StreamIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    name: String,
    arn: Option<Arn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Arn {
    text: String,
    region: String,
}

impl StreamId {
    /// A stream of the caller's own account and region.
    ///
    /// # Errors
    /// [`StreamIdError`] unless the name has 1 to 128 of the characters `a–z A–Z 0–9 _ . -`.
    pub fn from_name(name: impl Into<String>) -> Result<Self, StreamIdError> {
        let name = name.into();
        // S-48
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        match (1..=STREAM_NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(valid) {
            true => Ok(Self { name, arn: None }),
            false => Err(StreamIdError { text: name, is_arn: false }),
        }
    }

    /// A stream of any account and region.
    ///
    /// # Errors
    /// [`StreamIdError`] unless it has the form `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME`.
    pub fn from_arn(arn: impl Into<String>) -> Result<Self, StreamIdError> {
        let text = arn.into();
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let found = match parts[..] {
            ["arn", partition, "kinesis", region, account, resource]
                if partition.starts_with("aws") && !region.is_empty() && !account.is_empty() =>
            {
                let name = resource.strip_prefix("stream/").and_then(|name| Self::from_name(name).ok());
                name.map(|stream| (stream.name, region.to_owned()))
            }
            _ => None,
        };
        match found {
            Some((name, region)) => Ok(Self { name, arn: Some(Arn { text, region }) }),
            None => Err(StreamIdError { text, is_arn: true }),
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ARN, if it was given by one.
    #[must_use]
    pub fn arn(&self) -> Option<&str> {
        self.arn.as_ref().map(|arn| &*arn.text)
    }

    /// The region in the ARN.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.arn.as_ref().map(|arn| &*arn.region)
    }

    /// What the API takes as `StreamName`: one of name and ARN, not both.
    pub(crate) fn stream_name(&self) -> Option<String> {
        self.arn.is_none().then(|| self.name.clone())
    }

    /// What the API takes as `StreamARN`.
    pub(crate) fn stream_arn(&self) -> Option<String> {
        self.arn().map(str::to_owned)
    }

    /// The one of name and ARN that the stream goes by, after the name of the API's field for it.
    pub(crate) fn field(&self) -> (&'static str, &str) {
        self.arn().map_or(("StreamName", self.name()), |arn| ("StreamARN", arn))
    }
}

impl FromStr for StreamId {
    type Err = StreamIdError;

    /// Reads an ARN if it begins with `arn:`, which no name can, and a name otherwise.
    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        if text.starts_with("arn:") { Self::from_arn(text) } else { Self::from_name(text) }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.arn().unwrap_or(&self.name))
    }
}

/// The text names no stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamIdError {
    text: String,
    is_arn: bool,
}

impl fmt::Display for StreamIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, is_arn } = self;
        if *is_arn {
            write!(f, "{text:?} is no stream's ARN; one reads arn:aws:kinesis:REGION:ACCOUNT:stream/NAME")
        } else {
            write!(
                f,
                "{text:?} is no stream's name; one has 1 to {STREAM_NAME_CHARS_MAX} letters, digits, '_', '.' and '-'"
            )
        }
    }
}

impl std::error::Error for StreamIdError {}

/// S-48
const STREAM_NAME_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_out_as_a_name_and_an_arn_as_an_arn() {
        let name: StreamId = "clicks".parse().unwrap();
        assert_eq!((name.stream_name().as_deref(), name.stream_arn()), (Some("clicks"), None));
        let text = "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/clicks";
        let arn: StreamId = text.parse().unwrap();
        assert_eq!((arn.stream_name(), arn.stream_arn().as_deref()), (None, Some(text)));
        assert_eq!((arn.name(), arn.region()), ("clicks", Some("cn-north-1")));
    }

    // S-48
    #[test]
    fn what_is_no_stream_is_refused_with_the_form_it_should_have() {
        for text in ["", "a b", "clicks/2", &"x".repeat(129)] {
            let error = text.parse::<StreamId>().unwrap_err().to_string();
            assert!(error.contains("1 to 128 letters"), "{error}");
        }
        for text in [
            "arn:",
            "arn:aws:s3:eu-west-1:123456789012:stream/clicks",
            "arn:aws:kinesis::123456789012:stream/clicks",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/c:1",
            "arn:aws:kinesis:eu-west-1:123456789012",
        ] {
            let error = text.parse::<StreamId>().unwrap_err().to_string();
            assert!(error.contains("arn:aws:kinesis:REGION:ACCOUNT:stream/NAME"), "{error}");
        }
    }
}

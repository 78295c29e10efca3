//! Which stream, and how to reach it.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::duration_within;

use super::http_choice::HttpChoice;

/// The stream and the endpoint, as in the AWS CLI.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Stream")]
pub(crate) struct Target {
    /// The stream's name
    #[arg(long, value_name = "NAME", value_parser = stream_name, conflicts_with = "stream_arn")]
    pub(crate) stream: Option<String>,

    /// The stream's ARN; needed for a stream of another account
    #[arg(long, value_name = "ARN", value_parser = stream_arn)]
    pub(crate) stream_arn: Option<String>,

    /// Another endpoint than the region's, such as http://127.0.0.1:4567 [default: AWS_ENDPOINT_URL_KINESIS,
    /// AWS_ENDPOINT_URL, the profile's]
    #[arg(long, value_name = "URL", value_parser = endpoint_url)]
    pub(crate) endpoint_url: Option<String>,

    /// The version of HTTP over TLS
    #[arg(long, value_name = "VERSION", value_enum, default_value = "1.1")]
    pub(crate) http_version: HttpChoice,

    /// The AWS region [default: AWS_REGION, the profile's]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// The profile in the AWS configuration files [default: AWS_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// How long to wait for a service that throttles or is out of order when connecting. A stream that does not exist
    /// or may not be used is an error at once
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration_within(CONNECT_TIMEOUT))]
    pub(crate) connect_timeout: Duration,

    /// The stream's record distribution strategy, where kinesis:DescribeStreamSummary is not permitted. --aggregate
    /// needs to know it: consumers silently lose aggregates on a stream whose strategy is AUTO
    #[arg(long, value_name = "STRATEGY", value_enum)]
    pub(crate) record_distribution: Option<Distribution>,
}

/// `--record-distribution`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Distribution {
    /// By the hash of the partition key (USER_PARTITION_KEY)
    PartitionKey,
    /// The service picks the shard of each record (AUTO); nothing is aggregated
    Auto,
}

impl Target {
    /// The stream's name, also where its ARN was given; empty where neither was.
    pub(crate) fn stream_name(&self) -> &str {
        let of_arn = || Some(self.stream_arn.as_deref()?.rsplit_once('/')?.1);
        self.stream.as_deref().or_else(of_arn).unwrap_or_default()
    }
}

/// 1–128 of the letters, digits and signs the service takes (API model, `StreamName`).
pub(crate) fn stream_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if (1..=STREAM_NAME_CHARS_MAX).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    let hint = if text.starts_with("arn:") { "; give an ARN with --stream-arn" } else { "" };
    Err(format!("must be 1 to {STREAM_NAME_CHARS_MAX} letters, digits, '_', '.' or '-'{hint}"))
}

/// The shape the API model demands (`StreamARN`), short of looking the partition and region up.
fn stream_arn(text: &str) -> Result<String, String> {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let sound = match fields[..] {
        ["arn", partition, "kinesis", region, account, resource] => {
            partition.starts_with("aws")
                && !region.is_empty()
                && account.len() == 12
                && account.bytes().all(|b| b.is_ascii_digit())
                && resource.strip_prefix("stream/").is_some_and(|name| stream_name(name).is_ok())
        }
        _ => false,
    };
    if sound {
        Ok(text.to_owned())
    } else {
        Err("must read arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, with an account of 12 digits".to_owned())
    }
}

fn endpoint_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(text.to_owned()),
        _ => Err("must begin with http:// or https:// and name a host".to_owned()),
    }
}

/// Nothing waits longer for a stream than a day.
const CONNECT_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 60 * 60);

/// Source: API model, `StreamName`, max 128.
const STREAM_NAME_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_are_held_to_the_services_rule() {
        assert!(stream_name("a").is_ok());
        assert!(stream_name(&"n".repeat(128)).is_ok());
        for text in ["", "with space", "slash/ed", "ünïcode", &"n".repeat(129)] {
            assert!(stream_name(text).is_err(), "{text:?} is no stream name");
        }
        let message =
            stream_name("arn:aws:kinesis:eu-west-1:123456789012:stream/x").expect_err("an ARN is no name");
        assert!(message.contains("--stream-arn"), "says where an ARN goes: {message}");
    }

    #[test]
    fn arns_are_held_to_the_services_rule() {
        for text in [
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders",
            "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/orders",
        ] {
            assert!(stream_arn(text).is_ok(), "{text} is a stream's ARN");
        }
        for text in [
            "orders",
            "arn:aws:kinesis:eu-west-1:1234:stream/orders",
            "arn:aws:kinesis::123456789012:stream/orders",
            "arn:aws:sqs:eu-west-1:123456789012:orders",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/c:1",
        ] {
            assert!(stream_arn(text).is_err(), "{text} is no stream's ARN");
        }
    }

    #[test]
    fn an_endpoint_needs_a_scheme_and_a_host() {
        assert!(endpoint_url("http://127.0.0.1:4567").is_ok());
        assert!(endpoint_url("https://kinesis.eu-west-1.amazonaws.com").is_ok());
        for text in ["127.0.0.1:4567", "ftp://host", "http://", "http:///path"] {
            assert!(endpoint_url(text).is_err(), "{text} is no endpoint");
        }
    }
}

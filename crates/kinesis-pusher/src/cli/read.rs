//! `read`: the records of a stream onto stdout.

use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use clap::{ArgGroup, Args, ValueEnum};

use super::target::Target;
use super::values::number;

/// Everything `read` can be told.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("destination").args(["stream", "stream_arn"]).required(true),
    after_help = EXAMPLES
)]
pub(crate) struct ReadArgs {
    /// Which stream.
    #[command(flatten)]
    pub(crate) target: Target,

    /// Where to begin: 'trim-horizon' (the oldest records there are), 'latest' (those that come from now on), or
    /// 'at:TIMESTAMP' (RFC 3339, or seconds since 1970)
    #[arg(long, value_name = "WHERE", default_value = "trim-horizon", value_parser = From::parse)]
    pub(crate) from: From,

    /// End once everything that was stored before the start has been read, also while others write; without it, go on
    /// with what comes
    #[arg(long)]
    pub(crate) until_caught_up: bool,

    /// End after this many records
    #[arg(long, value_name = "N", value_parser = number(1..=u64::MAX))]
    pub(crate) limit: Option<u64>,

    /// How to print a record
    #[arg(long, value_enum, default_value_t = ReadOutput::Data)]
    pub(crate) output: ReadOutput,
}

/// `--from`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum From {
    /// The oldest records there are.
    TrimHorizon,
    /// What comes after the start.
    Latest,
    /// What arrived at this time and later.
    At(DateTime),
}

/// `read --output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReadOutput {
    /// The record's bytes and a line end
    Data,
    /// An object a line: partition_key, explicit_hash_key, shard_id, sequence_number, sub_sequence_number, aggregated,
    /// data_base64
    Json,
}

impl From {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "trim-horizon" => Ok(Self::TrimHorizon),
            "latest" => Ok(Self::Latest),
            _ => match text.strip_prefix("at:").and_then(timestamp) {
                Some(time) => Ok(Self::At(time)),
                None => {
                    Err("must be trim-horizon, latest, or at: with a time such as 2026-01-31T12:00:00Z or \
                             1769860800"
                        .to_owned())
                }
            },
        }
    }
}

fn timestamp(text: &str) -> Option<DateTime> {
    let is_seconds = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let format = if is_seconds { DateTimeFormat::EpochSeconds } else { DateTimeFormat::DateTimeWithOffset };
    DateTime::from_str(text, format).ok().filter(|time| time.secs() >= 0)
}

const EXAMPLES: &str = "\
Examples:
  kinesis-pusher read --stream orders --until-caught-up > orders.txt
  kinesis-pusher read --stream orders --from latest --output json | jq .shard_id
  kinesis-pusher read --stream orders --from at:2026-01-31T12:00:00Z --limit 10

A shard's records come in order, and those of a shard that was split or merged
before those of its children. A shard that is gone is skipped and reported.

Exit codes:
  0  everything that was asked for was printed
  1  something was not: reading failed or was stopped too early, or a shard was skipped
  2  wrong usage
  3  it could not start";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_rfc_3339_with_any_offset_and_as_seconds() {
        let at = |seconds| Ok(From::At(DateTime::from_secs(seconds)));
        assert_eq!(From::parse("at:2019-12-16T23:48:18Z"), at(1_576_540_098));
        assert_eq!(From::parse("at:2019-12-17T00:48:18+01:00"), at(1_576_540_098));
        assert_eq!(From::parse("at:1576540098"), at(1_576_540_098));
        assert_eq!(From::parse("at:0"), at(0));
        let half = DateTime::from_secs_and_nanos(1_576_540_098, 500_000_000);
        assert_eq!(From::parse("at:1576540098.5"), Ok(From::At(half)));
        assert_eq!(From::parse("at:2019-12-16T23:48:18.5Z"), Ok(From::At(half)));
    }

    #[test]
    fn a_place_that_is_none_is_refused_with_an_example() {
        for text in [
            "",
            "oldest",
            "at",
            "at:",
            "at:.",
            "at:now",
            "at:-1",
            "at:1e9",
            "at:2019-12-16",
            "LATEST",
            "2019-12-16T23:48:18Z",
            "at:1969-12-31T23:59:59Z",
            "at:2019-13-16T23:48:18Z",
        ] {
            assert!(From::parse(text).unwrap_err().contains("at: with a time such as"), "{text:?}");
        }
        assert_eq!(From::parse("trim-horizon"), Ok(From::TrimHorizon));
        assert_eq!(From::parse("latest"), Ok(From::Latest));
    }
}

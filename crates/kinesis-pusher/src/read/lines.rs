//! Records as lines.

use aws_sdk_kinesis::types::Record;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use kinesis_aggregation::decode;
use serde::{Serialize, Serializer};

use crate::cli::ReadOutput;

/// Writes records as lines, aggregates taken apart, up to a limit.
pub(super) struct Lines {
    output: ReadOutput,
    remaining: Option<u64>,
}

/// A record as JSON.
#[derive(Serialize)]
struct Line<'a> {
    /// None where the stream spreads records by itself and the producer gave none (S-27).
    partition_key: Option<&'a str>,
    /// Known of members of an aggregate alone: the service does not hand it out.
    explicit_hash_key: Option<&'a str>,
    shard_id: &'a str,
    sequence_number: &'a str,
    /// The place in the aggregate, from 0; none for a record that is none.
    sub_sequence_number: Option<usize>,
    aggregated: bool,
    #[serde(rename = "data_base64", serialize_with = "base64")]
    data: &'a [u8],
}

impl Lines {
    pub(super) fn new(output: ReadOutput, limit: Option<u64>) -> Self {
        Self { output, remaining: limit }
    }

    /// Whether the limit has been reached.
    pub(super) fn are_enough(&self) -> bool {
        self.remaining == Some(0)
    }

    /// Whole lines, one for each record of a shard.
    pub(super) fn write(&mut self, shard_id: &str, records: &[Record]) -> Vec<u8> {
        let mut text = Vec::new();
        for record in records {
            let data = record.data.as_ref();
            let sequence_number = record.sequence_number();
            let whole = Line {
                partition_key: record.partition_key(),
                explicit_hash_key: None,
                shard_id,
                sequence_number,
                sub_sequence_number: None,
                aggregated: false,
                data,
            };
            let Some(aggregate) = decode(data).aggregate() else {
                self.line(&mut text, &whole);
                continue;
            };
            // Also those that the KCL would drop, because they lie outside the shard: whoever looks wants to see.
            for (index, member) in aggregate.iter().enumerate() {
                let line = Line {
                    partition_key: Some(member.partition_key),
                    explicit_hash_key: member.explicit_hash_key,
                    sub_sequence_number: Some(index),
                    aggregated: true,
                    data: member.data,
                    ..whole
                };
                self.line(&mut text, &line);
            }
        }
        text
    }

    fn line(&mut self, text: &mut Vec<u8>, line: &Line<'_>) {
        match &mut self.remaining {
            Some(0) => return,
            Some(remaining) => *remaining -= 1,
            None => {}
        }
        match self.output {
            ReadOutput::Data => text.extend_from_slice(line.data),
            ReadOutput::Json => {
                serde_json::to_writer(&mut *text, line)
                    .expect("texts and a number are JSON, and memory takes it");
            }
        }
        text.push(b'\n');
    }
}

fn base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(data, &STANDARD))
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::primitives::Blob;
    use kinesis_aggregation::{AggregateBuilder, MAGIC};

    use super::*;

    fn record(data: &[u8]) -> Record {
        Record::builder().sequence_number("49").partition_key("outer").data(Blob::new(data)).build().unwrap()
    }

    fn aggregate() -> Record {
        let mut builder = AggregateBuilder::new(1 << 10);
        builder.push("a", None, b"one", &[]).unwrap();
        builder.push("b", Some(17), b"two", &[]).unwrap();
        record(&builder.finish())
    }

    fn lines(output: ReadOutput, limit: Option<u64>, records: &[Record]) -> String {
        String::from_utf8(Lines::new(output, limit).write("shardId-000000000007", records)).unwrap()
    }

    #[test]
    fn json_has_the_names_scripts_rely_on() {
        assert_eq!(
            lines(ReadOutput::Json, None, &[record(b"x"), aggregate()]),
            "{\"partition_key\":\"outer\",\"explicit_hash_key\":null,\"shard_id\":\"shardId-000000000007\",\
             \"sequence_number\":\"49\",\"sub_sequence_number\":null,\"aggregated\":false,\"data_base64\":\"eA==\"}\n\
             {\"partition_key\":\"a\",\"explicit_hash_key\":null,\"shard_id\":\"shardId-000000000007\",\
             \"sequence_number\":\"49\",\"sub_sequence_number\":0,\"aggregated\":true,\"data_base64\":\"b25l\"}\n\
             {\"partition_key\":\"b\",\"explicit_hash_key\":\"17\",\"shard_id\":\"shardId-000000000007\",\
             \"sequence_number\":\"49\",\"sub_sequence_number\":1,\"aggregated\":true,\"data_base64\":\"dHdv\"}\n"
        );
    }

    #[test]
    fn a_limit_counts_members_and_ends_in_the_middle_of_an_aggregate() {
        assert_eq!(lines(ReadOutput::Data, Some(2), &[record(b"x"), aggregate(), record(b"y")]), "x\none\n");
        let mut two = Lines::new(ReadOutput::Data, Some(2));
        two.write("s", &[record(b"x")]);
        assert!(!two.are_enough());
        two.write("s", &[record(b"y")]);
        assert!(two.are_enough());
    }

    #[test]
    fn what_begins_like_an_aggregate_and_is_none_is_a_record() {
        let text = lines(ReadOutput::Json, None, &[record(&[&MAGIC[..], b"nothing of the kind"].concat())]);
        assert!(text.contains("\"aggregated\":false"), "{text}");
    }
}

//! `shards`: what a stream is made of.

use std::fmt::Write;

use kinesis_batcher_core::limits::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND};
use kinesis_batcher_core::{Shard, ShardMap};
use serde::Serialize;

use crate::cli::{ShardsArgs, ShardsOutput};
use crate::connect;
use crate::exit::{Exit, StartError};
use crate::output;
use crate::summary::grouped;

/// Runs the subcommand.
///
/// # Errors
/// Why the stream could not be described.
pub(crate) async fn run(args: ShardsArgs) -> Result<Exit, StartError> {
    let map = connect::shards(&args.target).await?;
    let shards = listed(&map)?;
    let text = match args.output {
        ShardsOutput::Table => table(shards),
        ShardsOutput::Json => json(shards),
    };
    match output::print(&text) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            output::error(&format!("cannot write to stdout: {error}"));
            Ok(Exit::NotDelivered)
        }
    }
}

/// An open shard as JSON. Hash keys are text: few JSON readers keep 39 digits.
#[derive(Serialize)]
struct Row {
    shard_id: String,
    starting_hash_key: String,
    ending_hash_key: String,
    share: f64,
    records_per_second_max: u64,
    bytes_per_second_max: u64,
}

/// The shards, where they are known.
fn listed(map: &ShardMap) -> Result<&[Shard], StartError> {
    let count = grouped(map.open_shards().into());
    match map.shards() {
        [] if map.is_auto() => Err(StartError::new(format!(
            "the stream spreads its records over its {count} open shards itself, whatever their keys; there are no \
             hash-key ranges to list"
        ))),
        [] => Err(StartError::new(format!(
            "the stream has {count} open shards, and listing them is denied; permit kinesis:ListShards on it"
        ))),
        shards => Ok(shards),
    }
}

/// The part of all hash keys that a shard owns, 0 to 1. The 53 bits of a float are plenty to print.
fn share(shard: &Shard) -> f64 {
    (shard.last.value() - shard.first.value()) as f64 / u128::MAX as f64
}

fn json(shards: &[Shard]) -> String {
    let rows: Vec<Row> = shards
        .iter()
        .map(|shard| Row {
            shard_id: shard.id.to_string(),
            starting_hash_key: shard.first.to_string(),
            ending_hash_key: shard.last.to_string(),
            share: (share(shard) * 1e6).round() / 1e6,
            records_per_second_max: SHARD_RECORDS_PER_SECOND,
            bytes_per_second_max: SHARD_BYTES_PER_SECOND,
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&rows).expect("texts and finite numbers are always JSON");
    text.push('\n');
    text
}

fn table(shards: &[Shard]) -> String {
    let ids: Vec<String> = shards.iter().map(|shard| shard.id.to_string()).collect();
    let width = ids.iter().map(String::len).max().unwrap_or(0).max("SHARD".len());
    let mut text = format!(
        "{:width$}  {:>39}  {:>39}  {:>8}  LIMITS\n",
        "SHARD", "FIRST HASH KEY", "LAST HASH KEY", "SHARE"
    );
    for (shard, id) in shards.iter().zip(&ids) {
        let (first, last, share) = (shard.first.value(), shard.last.value(), share(shard) * 100.0);
        let limits = limits(1);
        writeln!(text, "{id:width$}  {first:>39}  {last:>39}  {share:>6.2} %  {limits}").expect(INFALLIBLE);
    }
    let count = shards.len() as u64;
    let noun = if count == 1 { "shard" } else { "shards" };
    writeln!(text, "{} open {noun}, {} together", grouped(count), limits(count)).expect(INFALLIBLE);
    text
}

fn limits(shards: u64) -> String {
    let records = grouped(shards * SHARD_RECORDS_PER_SECOND);
    format!("{records} records/s, {} MiB/s", grouped((shards * SHARD_BYTES_PER_SECOND) >> 20))
}

const INFALLIBLE: &str = "a String takes whatever is written to it";

#[cfg(test)]
mod tests {
    use super::*;

    fn shards() -> Vec<Shard> {
        let half = u128::MAX / 2;
        let shard =
            |n, first: u128, last: u128| Shard::new(&*format!("shardId-{n:012}"), first.into(), last.into());
        vec![shard(1, 0, half / 2), shard(2, half / 2 + 1, half), shard(0, half + 1, u128::MAX)]
    }

    #[test]
    fn the_table_has_a_line_a_shard_and_adds_them_up() {
        let text = table(&shards());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(
            lines[1].starts_with("shardId-000000000001 ") && lines[1].contains(" 25.00 %"),
            "{}",
            lines[1]
        );
        assert!(
            lines[3].contains("340282366920938463463374607431768211455") && lines[3].contains(" 50.00 %")
        );
        assert_eq!(lines[4], "3 open shards, 3,000 records/s, 3 MiB/s together");
        let limits = lines[0].find("LIMITS").expect("a heading");
        assert!(
            lines[1..4].iter().all(|line| line[limits..].starts_with("1,000 records/s")),
            "columns line up:\n{text}"
        );
    }

    #[test]
    fn a_stream_whose_shards_are_not_known_says_how_many_there_are_and_why_no_more() {
        let three = std::num::NonZeroU32::new(3).expect("three");
        let denied = listed(&ShardMap::count_only(three)).expect_err("no list").to_string();
        assert!(denied.contains("3 open shards") && denied.contains("permit kinesis:ListShards"), "{denied}");
        let auto = listed(&ShardMap::auto(three)).expect_err("no list").to_string();
        assert!(auto.contains("3 open shards itself"), "{auto}");
        assert_eq!(listed(&ShardMap::uniform(three)).expect("a list").len(), 3);
    }

    #[test]
    fn json_keeps_every_digit_of_a_hash_key() {
        let rows: serde_json::Value = serde_json::from_str(&json(&shards())).expect("JSON");
        assert_eq!(rows[2]["ending_hash_key"], "340282366920938463463374607431768211455");
        assert_eq!(rows[0]["shard_id"], "shardId-000000000001");
        assert_eq!(rows[0]["share"], 0.25);
        assert_eq!(rows.as_array().map(Vec::len), Some(3));
    }
}

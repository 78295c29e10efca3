//! Aggregates written by AWS's own packages, and aggregates of ours that those packages have read.
//! `interop/run --only codec --write-golden` writes the files; `interop/run` compares far more cases.

#[path = "../examples/interop/case.rs"]
mod case;

use case::{Member, from_base64, to_base64};
use kinesis_aggregation::{AggregateBuilder, decode};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    name: String,
    /// In base64.
    data: String,
    members: Vec<Member>,
}

// S-29
#[test]
fn what_the_python_package_wrote_is_read() {
    assert_all_read(include_str!("golden/python.jsonl"));
}

#[test]
fn what_the_node_package_wrote_is_read() {
    assert_all_read(include_str!("golden/node.jsonl"));
}

#[test]
fn what_both_packages_have_read_is_still_written_and_read() {
    let golden = include_str!("golden/ours.jsonl");
    assert_all_read(golden);
    let mut builder = AggregateBuilder::new(1 << 20);
    for Vector { name, data, members } in vectors(golden) {
        for member in &members {
            member.push_to(&mut builder).expect("golden aggregates are short");
        }
        assert_eq!(to_base64(&builder.finish()), data, "{name} is written otherwise than it was");
    }
}

fn assert_all_read(golden: &str) {
    for Vector { name, data, members } in vectors(golden) {
        let data = from_base64(&data);
        let aggregate = decode(&data).aggregate().unwrap_or_else(|| panic!("{name} is no aggregate"));
        let read: Vec<Member> = aggregate.iter().map(|record| Member::of(&record)).collect();
        assert_eq!(read, members, "{name} is read wrongly");
    }
}

fn vectors(golden: &str) -> impl Iterator<Item = Vector> {
    assert!(golden.lines().count() >= 8, "vectors are missing");
    golden.lines().map(|line| serde_json::from_str(line).expect("vectors are JSON"))
}

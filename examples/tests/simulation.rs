//! The program that needs no server.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;

#[test]
fn a_configuration_that_fits_holds_every_property() {
    let output = program(env!("CARGO_BIN_EXE_offline_simulation")).args(["--seeds", "2"]).output().unwrap();
    assert_succeeded(&output);
    assert_eq!(text(&output.stdout).matches("holds: ").count(), 4, "{}", text(&output.stdout));
}

#[test]
fn too_few_shards_are_found_out_before_they_are_paid_for() {
    let mut command = program(env!("CARGO_BIN_EXE_offline_simulation"));
    let output = command.args(["--shards", "1", "--seeds", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(told.contains("DOES NOT HOLD: on a good day"), "{told}");
    assert!(told.contains("holds: whatever happens"), "the promises are kept all the same: {told}");
}

#[test]
fn small_records_fit_when_they_share_kinesis_records() {
    let output = program(env!("CARGO_BIN_EXE_offline_simulation"))
        .args(["--shards", "1", "--seeds", "1", "--aggregation"])
        .output()
        .unwrap();
    assert_succeeded(&output);
}

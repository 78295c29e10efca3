//! A machine without credentials, region or AWS files, and with a metadata service that never answers.
//!
//! The environment of a process belongs to all of its threads, so this runs itself again with an empty one.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use kinesis_batcher_tokio::{ConnectError, Producer};

fn main() {
    match std::env::var(CHILD).ok().as_deref() {
        None => parent(),
        Some("no-region") => child(None),
        Some(_) => child(Some("eu-west-1")),
    }
}

fn parent() {
    // It takes connections, by the operating system's queue, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let metadata = format!("http://{}", silent.local_addr().unwrap());
    for case in ["no-region", "no-credentials"] {
        let status = Command::new(std::env::current_exe().unwrap())
            .env_clear()
            .env(CHILD, case)
            .env("HOME", empty_home())
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata)
            .status();
        assert!(status.unwrap().success(), "{case}: see above");
        println!("test {case} ... ok");
    }
}

fn child(region: Option<&str>) {
    let started = Instant::now();
    let mut builder = Producer::builder("clicks");
    if let Some(region) = region {
        builder = builder.region(region);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(builder.connect()).unwrap_err();
    match (region, &error) {
        (None, ConnectError::NoRegion) | (Some(_), ConnectError::NoCredentials { .. }) => {}
        _ => panic!("without region or credentials it says: {error}"),
    }
    let message = error.to_string();
    let advice = if region.is_none() { "AWS_REGION" } else { "AWS_ACCESS_KEY_ID" };
    assert!(message.contains(advice) && !message.contains('\n'), "{message:?} does not say what to do");
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(10), "it took {elapsed:?} to say: {message}");
}

fn empty_home() -> PathBuf {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("empty-home");
    std::fs::create_dir_all(&home).unwrap();
    home
}

const CHILD: &str = "KINESIS_BATCHER_TEST_CHILD";

//! The status page in a headless Chromium, driven by `page/drive.mjs`.
//!
//! Skipped, with a message, where Chromium or Node.js is missing; with `KINESIS_BATCHER_REQUIRE_CHROMIUM` set, that is a
//! failure. `KINESIS_BATCHER_SCREENSHOTS` names a directory to leave pictures in.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]
#![cfg(feature = "http")]

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::fake_kinesis::Behaviour;
use common::producer_with;
use kinesis_batcher_driver::{HashKey, Producer, Record, ShardLimit};
use kinesis_batcher_metrics::{ServeOptions, StatusOptions, router, serve};
use serde_json::Value;
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_shards_of_which_one_is_throttled_are_told_at_a_glance_and_by_keyboard() {
    let Some(seen) = look_at(4, Some("A shard is throttled")).await else { return };
    let text = |name: &str| seen[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("state"), "A shard is throttled");
    assert!(text("summary").contains("1 throttled"), "{}", text("summary"));
    assert!(text("hottest").contains("shardId-000000000002"), "H goes to the hottest: {}", text("hottest"));
    assert!(text("hottest_row").starts_with("shardId-000000000002"), "{}", text("hottest_row"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_shards_are_drawn_without_a_stutter() {
    let Some(seen) = look_at(4_000, None).await else { return };
    let frames = seen["frames"]["per_second"].as_f64().unwrap();
    assert!(frames >= 30.0, "{frames} frames a second: {}", seen["frames"]);
    assert!(seen["summary"].as_str().unwrap().starts_with("4\u{2009}000 shards"), "{}", seen["summary"]);
}

/// What the page showed of a producer under load, once it told `until`; checked for what holds with any number
/// of shards.
async fn look_at(shards: u32, until: Option<&str>) -> Option<Value> {
    let chromium = tool(&["chromium", "chromium-browser", "google-chrome"])?;
    let node = tool(&["node"])?;
    let hot = shards / 2;
    let limited = Behaviour { hot: Some((hot as usize, 100)), ..Behaviour::default() };
    let limit = if shards > 100 { ShardLimit::Off } else { ShardLimit::Percent(100) };
    let (producer, _) =
        producer_with(shards, limited, |config| config.shard_limit(limit).adaptive_rates(false));
    let load = tokio::spawn(load(producer.clone(), shards, hot));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let page = router(&producer, StatusOptions::default().stream("orders"));
    let server = tokio::spawn(serve(listener, page, ServeOptions::default(), std::future::pending()));

    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/page/drive.mjs");
    let mut drive = tokio::process::Command::new(node);
    drive.arg(script).arg(chromium).arg(&url).kill_on_drop(true);
    if let Some(state) = until {
        drive.env("PAGE_STATE", state);
    }
    if let Some(directory) = std::env::var_os("KINESIS_BATCHER_SCREENSHOTS") {
        let directory = PathBuf::from(directory).join(shards.to_string());
        std::fs::create_dir_all(&directory).unwrap();
        drive.arg(directory);
    }
    let output = drive.output().await.unwrap();
    server.abort();
    load.abort();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the page could not be driven: {errors}");
    let seen: Value = serde_json::from_slice(&output.stdout).expect("the script says what it saw");

    assert_eq!(seen["complaints"], Value::Array(vec![]), "the browser has nothing to complain about");
    let asked: Vec<&str> = seen["requests"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(
        asked.iter().all(|asked| asked.starts_with(&url) || *asked == "data:"),
        "nobody else is asked: {asked:?}"
    );
    assert!(seen["overflow"].as_f64().unwrap() <= 0.0, "400 px are enough");
    assert_eq!(seen["themes"], serde_json::json!(["light", "dark"]), "D changes the colours");
    assert_eq!(seen["transition"], "0s", "nothing moves for those who want it so");
    assert!(seen["paused"].as_str().unwrap().ends_with("paused"), "P pauses");
    let id = |number: u32| format!("shardId-{number:012}");
    for (name, shard) in [("first", 0), ("second", 1), ("end", shards - 1), ("behind_the_end", shards - 1)] {
        assert!(seen[name].as_str().unwrap().starts_with(&id(shard)), "{name}: {}", seen[name]);
    }
    Some(seen)
}

/// Some records for every shard, and ten times as many as it takes for the hot one.
async fn load(producer: Producer, shards: u32, hot: u32) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut shard = 0;
    loop {
        tick.tick().await;
        for index in 0..40 {
            shard = (shard + 1) % shards;
            let to = if index % 2 == 0 { hot } else { shard };
            let key = HashKey::new(u128::MAX / u128::from(shards) * u128::from(to) + 9_999);
            drop(
                producer.try_send_and_forget(Record::new("key", "data").unwrap().with_explicit_hash_key(key)),
            );
        }
    }
}

/// The first of these programs that is installed.
fn tool(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|directory| names.iter().map(move |name| directory.join(name)))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        let required = std::env::var_os("KINESIS_BATCHER_REQUIRE_CHROMIUM").is_some();
        assert!(!required, "{} is required and not installed", names[0]);
        eprintln!("skipped: {} is not installed, so nobody looks at the page", names[0]);
    }
    found
}

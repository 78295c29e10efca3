//! The dashboard, the alert rules and the operator's guide name metrics that exist.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

mod common;

use std::collections::BTreeSet;

use common::fake_kinesis::Behaviour;
use common::openmetrics::parse;
use common::{producer_with, scrape};
use kinesis_batcher_metrics::ProducerCollector;
use prometheus_client::registry::Registry;
use regex::Regex;

const DASHBOARD: &str = include_str!("../../../docs/grafana/kinesis-batcher.json");
const ALERTS: &str = include_str!("../../../docs/alerts/kinesis-batcher.yml");
const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");

/// Every name under which a series is exposed.
fn exposed() -> BTreeSet<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (producer, _) = producer_with(1, Behaviour::default(), |config| config);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(ProducerCollector::new(&producer)));
    parse(&scrape(&registry)).samples().map(|sample| sample.name.clone()).collect()
}

/// A series' metric, as people speak of it: a histogram without the ends of its three series.
fn metric(series: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series)
}

fn named_in(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"kinesis_batcher_[a-z0-9_]+").unwrap();
    name.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn queries_name_series_that_are_exposed() {
    let exposed = exposed();
    for (document, text) in [("the dashboard", DASHBOARD), ("the alert rules", ALERTS)] {
        let named = named_in(text);
        assert!(named.len() > 5, "{document} asks for something");
        for name in named {
            assert!(exposed.contains(&name), "{document} asks for {name}, which is not exposed");
        }
    }
}

#[test]
fn the_guide_tells_of_every_metric_and_of_no_other() {
    let metrics: BTreeSet<String> = exposed().iter().map(|series| metric(series).to_owned()).collect();
    let told: BTreeSet<String> =
        named_in(OPERATIONS).iter().map(|series| metric(series).to_owned()).collect();
    assert_eq!(metrics.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new(), "these are not told of");
    assert_eq!(told.difference(&metrics).collect::<Vec<_>>(), Vec::<&String>::new(), "these do not exist");
}

#[test]
fn the_dashboard_is_json_whose_panels_ask_something() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut expressions = String::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "each panel has an id of its own");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()));
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions += target["expr"].as_str().expect("a target asks something");
            expressions.push('\n');
        }
    }
    let asked: BTreeSet<String> =
        named_in(&expressions).iter().map(|series| metric(series).to_owned()).collect();
    for main in [
        "records_total",
        "records_accepted_total",
        "records_failed_total",
        "push_delay_seconds",
        "request_duration_seconds",
        "kinesis_records_throttled_total",
        "buffer_bytes",
        "shard_utilisation_ratio",
        "requests_total",
        "stalled_seconds",
        "shard_map_stale",
    ] {
        assert!(asked.contains(&format!("kinesis_batcher_{main}")), "no panel shows {main}");
    }
}

#[test]
fn every_alert_says_what_to_do_where_the_guide_tells_it() {
    let links = Regex::new(r"OPERATIONS\.md#([a-z0-9-]+)").unwrap();
    let headings: BTreeSet<String> = OPERATIONS
        .lines()
        .filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")))
        .map(|heading| heading.to_lowercase().replace(' ', "-").replace([',', '?', '’', '\''], ""))
        .collect();
    let alerts = ALERTS.matches("- alert:").count();
    let linked: Vec<_> = links.captures_iter(ALERTS).map(|link| link[1].to_owned()).collect();
    assert!(alerts >= 6 && linked.len() == alerts, "{alerts} alerts, {} links", linked.len());
    for link in linked {
        assert!(headings.contains(&link), "the guide has no heading #{link}: {headings:?}");
    }
    for part in ["summary:", "severity:", "expr:", "for:"] {
        assert_eq!(ALERTS.matches(part).count(), alerts, "each alert has its {part}");
    }
}

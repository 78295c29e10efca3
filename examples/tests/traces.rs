//! The program that exports spans.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use common::*;
use kinesis_batcher_local::hostile::{Fault, Operation, Rejection};

fn exporting(to: SocketAddr, endpoint_url: &str, stream: &str) -> Command {
    let mut command = pushing(env!("CARGO_BIN_EXE_opentelemetry"), endpoint_url, stream);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{to}"))
        .env("OTEL_SERVICE_NAME", "orders")
        .env("AWS_SESSION_TOKEN", "a token that nobody may see");
    command
}

/// What a program had to say to a collector, by path, and how it ended.
fn collect(run_against: impl FnOnce(SocketAddr) -> Output) -> (Vec<(String, Bytes)>, Output) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let keep = Arc::clone(&got);
    let collector = axum::Router::new().fallback(move |uri: Uri, body: Bytes| {
        keep.lock().unwrap().push((uri.path().to_owned(), body));
        std::future::ready(StatusCode::OK)
    });
    runtime.spawn(axum::serve(listener, collector).into_future());
    let output = run_against(address);
    drop(runtime);
    let got = got.lock().unwrap().clone();
    (got, output)
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_collector_hears_of_every_request_and_of_no_line() {
    let kinesis = hostile();
    kinesis.next(Operation::PutRecords, Fault::Reject(Rejection::expired_token()));
    let (exports, output) = collect(|to| {
        run(exporting(to, &kinesis.endpoint_url(), "hostile"), "a line that nobody else may see\n")
    });
    assert_succeeded(&output);
    assert_eq!(kinesis.stored().len(), 1);
    assert!(!exports.is_empty(), "spans are exported before it ends");
    for (path, body) in &exports {
        assert_eq!(path, "/v1/traces");
        assert!(contains(body, "orders"), "the service is named as its environment says");
        for secret in ["that nobody", SECRET] {
            assert!(!contains(body, secret), "{secret:?} was exported");
        }
    }
    let all: Vec<u8> = exports.iter().flat_map(|(_, body)| body.iter().copied()).collect();
    for told in ["put_records", "outcome", "answered", "failed", "ExpiredToken"] {
        assert!(contains(&all, told), "{told:?} is not among the spans");
    }
    assert!(!contains(&all, "hyper"), "only the producer's spans and one's own are exported");
}

#[test]
fn a_collector_that_is_down_costs_spans_and_no_record() {
    let kinesis = kinesis();
    // Bound and never answering would be slow to fail; a port that was free a moment ago refuses.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = run(exporting(nobody, &kinesis.endpoint_url(), STREAM), "one\ntwo\n");
    assert_succeeded(&output);
    assert_eq!(stored(&kinesis), ["one", "two"]);
}

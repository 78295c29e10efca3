//! All ways over the wire send the same requests and make the same of the same replies.
#![allow(clippy::unwrap_used)]

mod common;

use common::replies::reply;
use common::{Reply, Service, meaning};
use kinesis_batcher_aws::Wire;
use kinesis_batcher_driver::{PutRecords, Record, RecordOutcome};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// The wires that must do as the SDK's own does.
const OTHERS: [Wire; 4] = [Wire::Lean, Wire::Direct, Wire::Cbor, Wire::CborToAws];

fn assert_all_read_alike(reply: &[u8]) {
    let service = Service::new(200, reply);
    let expected = meaning(service.outcome(Wire::Sdk));
    for wire in OTHERS {
        let text = String::from_utf8_lossy(reply);
        assert_eq!(meaning(service.outcome(wire)), expected, "{wire:?} reads {text} otherwise than the SDK");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn replies_are_read_alike(reply in reply(), space in select(vec!["", " ", "\r\n\t"])) {
        let spaced = reply.replace("\":", &format!("\"{space}:{space}")).replace("},{", &format!("}}{space},{space}{{"));
        assert_all_read_alike(format!("{space}{spaced}{space}").as_bytes());
    }

    #[test]
    fn damaged_replies_are_read_alike(
        reply in reply(),
        cut in option::of(any::<prop::sample::Index>()),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        more in select(vec!["", "x", "{}", ",", "\0"]),
    ) {
        let mut reply = reply.into_bytes();
        for (at, byte) in damage {
            let at = at.index(reply.len());
            reply[at] = byte;
        }
        if let Some(cut) = cut {
            reply.truncate(cut.index(reply.len()));
        }
        reply.extend_from_slice(more.as_bytes());
        assert_all_read_alike(&reply);
    }

    #[test]
    fn requests_are_the_same_json_under_the_same_headers(
        records in vec((".{1,40}|[ -~]{1,256}", vec(any::<u8>(), 0..70), option::of(any::<u128>())), 1..6),
        keyless in vec(vec(any::<u8>(), 0..9), 0..2),
        large in vec((0..7_usize, 4_000..5_000_usize), 0..3),
        stream in select(vec!["clicks", "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"]),
    ) {
        let keyed = records.into_iter().map(|(key, data, explicit)| {
            let record = Record::new(key, data).unwrap();
            explicit.map_or(record.clone(), |key| record.with_explicit_hash_key(key.into()))
        });
        let keyless = keyless.into_iter().map(|data| Record::without_partition_key(data).unwrap());
        let mut records: Vec<_> = keyed.chain(keyless).collect();
        for (at, bytes) in large {
            records.insert(at % (records.len() + 1), Record::new("large", vec![at as u8; bytes]).unwrap());
        }
        let request = PutRecords::of_records(records).unwrap();
        let sent = |wire| {
            let service = Service::new(200, r#"{"Records":[]}"#);
            service.send(wire, stream.parse().unwrap(), &request).unwrap();
            let sent = service.sent().pop().unwrap();
            let is_cbor = matches!(wire, Wire::Cbor | Wire::CborToAws);
            assert_eq!(sent.is_cbor, is_cbor, "{wire:?} speaks CBOR, or not");
            let is_direct = is_cbor || wire == Wire::Direct;
            assert_eq!(sent.is_numbered, !is_direct, "{wire:?} goes past the orchestrator, or not");
            (sent.uri, sent.headers, sent.body)
        };
        let expected = sent(Wire::Sdk);
        for wire in OTHERS {
            prop_assert_eq!(sent(wire), expected.clone());
        }
    }
}

#[test]
fn the_generated_replies_are_neither_all_readable_nor_all_broken() {
    let mut runner = TestRunner::deterministic();
    let replies = (0..400).map(|_| reply().new_tree(&mut runner).unwrap().current());
    let readable = replies.filter(|reply| Service::new(200, &**reply).outcome(Wire::Sdk).is_ok()).count();
    assert!((80..320).contains(&readable), "{readable} of 400 can be read");
}

#[test]
fn a_reply_may_be_nested_as_deep_as_the_sdk_reads_and_no_deeper() {
    for depth in [10, 125, 126, 127, 128, 129, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        assert_all_read_alike(format!(r#"{{"Unknown":{open}{close},"Records":[]}}"#).as_bytes());
        assert_all_read_alike(format!(r#"{{"Records":[{{"Unknown":{open}{close}}}]}}"#).as_bytes());
        assert_all_read_alike(format!(r#"{{"Records":{open}{close}}}"#).as_bytes());
    }
}

#[test]
fn odd_replies_are_read_alike() {
    let cases: [&[u8]; 14] = [
        b"",
        b" \n",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        br#"{"Records":null}"#,
        br#"{"Records":[null]}"#,
        br#"{"Records":[{}],"Records":null}"#,
        br#"{"Records":[{},{}],"Records":[{"ShardId":"a","SequenceNumber":"1","ShardId":"b","SequenceNumber":null}]}"#,
        b"{\"Records\":[{\"ErrorCode\":\"\xff\"}]}",
        b"{\"Unknown\":\"\xff\",\"Records\":[{\"ShardId\":\"\xc3\xa9\",\"SequenceNumber\":\"1\"}]}",
        b"{\"\xff\":1,\"Records\":[]}",
        b"{\"Unknown\":{\"\xff\":1},\"Records\":[]}",
    ];
    for reply in cases {
        assert_all_read_alike(reply);
    }
}

#[test]
fn nonsense_in_a_field_that_nobody_needs_is_no_reason_to_doubt_what_was_stored() {
    let entry = r#"{"ShardId":"shardId-000000000001","SequenceNumber":"21"}"#;
    for field in [r#""FailedRecordCount":"none""#, r#""FailedRecordCount":1e99"#, r#""EncryptionType":7"#] {
        let service = Service::new(200, format!(r#"{{{field},"Records":[{entry}]}}"#));
        assert!(service.outcome(Wire::Sdk).unwrap_err().is_outcome_unknown(), "the SDK refuses {field}");
        for wire in OTHERS {
            let outcomes = service.outcome(wire).unwrap().outcomes;
            assert!(matches!(outcomes[..], [RecordOutcome::Stored { .. }]), "{field}: {outcomes:?}");
        }
    }
    for count in ["0", "1", "2", "-7", "null"] {
        assert_all_read_alike(format!(r#"{{"FailedRecordCount":{count},"Records":[{entry}]}}"#).as_bytes());
    }
}

#[test]
fn refusals_mean_the_same() {
    let statuses = [201, 204, 301, 400, 403, 404, 413, 429, 500, 502, 503];
    let bodies = [
        r#"{"__type":"ProvisionedThroughputExceededException","message":"Rate exceeded"}"#,
        r#"{"__type":"com.amazonaws.kinesis.v20131202#AccessDeniedException","Message":"no"}"#,
        r#"{"__type":"ExpiredTokenException","message":"The security token is expired"}"#,
        r#"{"__type":"ValidationException","message":"1 validation error\ndetected"}"#,
        r#"{"__type":"ValidationException","message":5}"#,
        r#"{"__type":"AccessDeniedException","message":5}"#,
        r#"{"__type":"ResourceNotFoundException"}"#,
        r#"{"code":"ThrottlingException","__type":"InternalFailure"}"#,
        r#"{"__type":7}"#,
        r#"{"message":"no code"}"#,
        "<html><body>503 Service Unavailable</body></html>",
        "{",
        "",
    ];
    let headers = [
        vec![],
        vec![("content-type", "application/json")],
        vec![("x-amzn-errortype", "KMSThrottlingException:http://internal/")],
    ];
    for status in statuses {
        for body in bodies {
            for headers in &headers {
                let reply = Reply { status, headers: headers.clone(), body: body.into() };
                let service = Service::answering(reply);
                let expected = service.outcome(Wire::Sdk);
                for wire in OTHERS {
                    let outcome = service.outcome(wire);
                    if (200..300).contains(&status) {
                        assert_eq!(
                            meaning(outcome),
                            meaning(expected.clone()),
                            "{status} {body} by {wire:?}"
                        );
                    } else {
                        assert_eq!(outcome, expected, "{status} {body} by {wire:?}");
                    }
                }
            }
        }
    }
}

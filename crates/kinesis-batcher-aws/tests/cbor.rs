//! In CBOR, replies mean what they mean in JSON, and an endpoint that does not take it loses nobody anything.
#![allow(clippy::unwrap_used)]

mod common;

use common::replies::reply;
use common::{Reply, Service, cbor, meaning, request};
use futures::executor::block_on;
use kinesis_batcher_aws::{AwsTransport, Wire};
use kinesis_batcher_driver::{RequestError, Response, Transport};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_reply_means_the_same_in_every_form_of_cbor(json in reply(), form in any::<u64>()) {
        let Some(value) = cbor::of_json(json.as_bytes()) else { return Ok(()) };
        let bytes = cbor::write(&value, &mut cbor::Form(form));
        let expected = meaning(Service::new(200, &*json).outcome(Wire::Direct));
        let service = Service::new(500, "").answering_cbor(Reply::cbor(200, bytes.clone()));
        prop_assert_eq!(meaning(service.outcome(Wire::Cbor)), expected.clone(), "{} as {:x?}", json, bytes);
        let untyped = Reply { headers: vec![], ..Reply::cbor(200, bytes) };
        let service = Service::new(500, "").answering_cbor(untyped);
        prop_assert_eq!(meaning(service.outcome(Wire::Cbor)), expected, "the first byte tells");
    }

    #[test]
    fn a_reply_that_ends_early_is_no_reply(json in reply(), form in any::<u64>(), end in any::<prop::sample::Index>()) {
        let Some(value) = cbor::of_json(json.as_bytes()) else { return Ok(()) };
        let mut bytes = cbor::write(&value, &mut cbor::Form(form));
        prop_assume!(bytes.len() > 1);
        bytes.truncate(1 + end.index(bytes.len() - 1));
        let service = Service::new(500, "").answering_cbor(Reply::cbor(200, bytes.clone()));
        let outcome = service.outcome(Wire::Cbor);
        prop_assert!(outcome.is_err_and(|error| error.is_outcome_unknown()), "{:x?} was taken for whole", bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), status in 200_u16..600) {
        let service = Service::new(500, "").answering_cbor(Reply::cbor(status, bytes));
        let _ = service.outcome(Wire::Cbor);
    }
}

#[test]
fn most_generated_replies_can_be_written_in_cbor() {
    let mut runner = TestRunner::deterministic();
    let replies = (0..400).map(|_| reply().new_tree(&mut runner).unwrap().current());
    let written = replies.filter(|reply| cbor::of_json(reply.as_bytes()).is_some()).count();
    assert!(written > 200, "{written} of 400 are JSON");
}

#[test]
fn refusals_mean_the_same_in_cbor() {
    let statuses = [301, 400, 403, 404, 413, 429, 500, 502, 503];
    let bodies = [
        r#"{"__type":"ProvisionedThroughputExceededException","message":"Rate exceeded"}"#,
        r#"{"__type":"com.amazonaws.kinesis.v20131202#AccessDeniedException","Message":"no \"é\"\u0000"}"#,
        r#"{"__type":"ExpiredTokenException","message":"The security token is expired"}"#,
        r#"{"__type":"ValidationException","message":"1 validation error\ndetected","more":[1,-2,0.5,1e300,true,false,null,{}]}"#,
        r#"{"__type":"ValidationException","message":5}"#,
        r#"{"__type":"AccessDeniedException","message":5.25}"#,
        r#"{"__type":"ResourceNotFoundException","message":null}"#,
        r#"{"code":"ThrottlingException","__type":"InternalFailure"}"#,
        r#"{"__type":null,"code":"ThrottlingException"}"#,
        r#"{"__type":"KMSThrottlingException","__type":null}"#,
    ];
    let headers = [None, Some(("x-amzn-errortype", "KMSThrottlingException:http://internal/"))];
    for (status, body) in statuses.into_iter().flat_map(|status| bodies.map(|body| (status, body))) {
        for header in headers {
            let mut in_json = Reply::json(status, body);
            in_json.headers.extend(header);
            let expected = accepted(&Service::answering(in_json.clone()), Wire::Direct);
            for form in [0, u64::MAX, 0x5555_3333_0f0f_00ff] {
                let value = cbor::of_json(body.as_bytes()).unwrap();
                let mut in_cbor = Reply::cbor(status, cbor::write(&value, &mut cbor::Form(form)));
                in_cbor.headers.extend(header);
                // Were it sent again in JSON, that would be another error; only one without a code may be.
                let has_code =
                    expected.as_ref().is_err_and(|error| !error.to_string().starts_with("HttpStatus"));
                let again = Service::new(400, r#"{"__type":"OptInRequired"}"#);
                let again = if has_code { again } else { Service::answering(in_json.clone()) };
                let service = again.answering_cbor(in_cbor);
                assert_eq!(accepted(&service, Wire::Cbor), expected, "{status} {body}");
            }
        }
    }
}

/// What comes of a request after two that succeeded.
fn accepted(service: &Service, wire: Wire) -> Result<Response, RequestError> {
    let transport = service.transport(wire, "clicks".parse().unwrap());
    assert!(put(&transport).is_ok() && put(&transport).is_ok());
    service.begin(true);
    put(&transport)
}

// S-34
#[test]
fn an_endpoint_that_refuses_cbor_gets_json_from_then_on_and_no_record_fails() {
    let xml =
        |status, body: &str| Reply { status, headers: vec![("content-type", "text/xml")], body: body.into() };
    let refusals = [
        xml(415, ""),
        xml(404, "<UnknownOperationException/>\n"),
        xml(403, "<html>The firewall does not know this</html>"),
        xml(400, ""),
        Reply::json(415, r#"{"__type":"UnsupportedMediaTypeException"}"#),
        Reply::json(400, r#"{"__type":"com.amazon.coral.service#SerializationException"}"#),
        Reply::json(404, r#"{"__type":"UnknownOperationException"}"#),
        Reply::json(400, r#"{"__type":"ValidationException","message":"records must not be null"}"#),
        Reply::json(400, r#"{"__type":"ResourceNotFoundException","message":"Stream null not found"}"#),
        Reply::cbor(400, b"\xa1\x66__type\x76SerializationException"),
    ];
    for refusal in refusals {
        let service = taking_json().answering_cbor(refusal.clone());
        let transport = service.transport(Wire::Cbor, "clicks".parse().unwrap());
        service.begin(true);
        for _ in 0..5 {
            assert!(put(&transport).is_ok(), "nobody notices {refusal:?}");
        }
        assert_eq!(in_cbor(&service), [false, true, false, false, false, false], "{refusal:?}");
    }
}

#[test]
fn cbor_to_aws_is_for_hosts_of_aws() {
    let service = Service::new(200, r#"{"Records":[]}"#);
    let cases = [
        (None, true),
        (Some("https://kinesis.eu-west-1.amazonaws.com"), true),
        (Some("https://vpce-1-2.kinesis.eu-west-1.vpce.amazonaws.com:443/"), true),
        (Some("https://kinesis.cn-north-1.amazonaws.com.cn"), true),
        (Some("https://123456789012.data-kinesis.eu-west-1.api.aws"), true),
        (Some("http://127.0.0.1:4567"), false),
        (Some("https://localhost.localstack.cloud:4566"), false),
        (Some("https://kinesis.amazonaws.com.example.org/.amazonaws.com"), false),
        (Some("http://localhost:4567/kinesis.eu-west-1.amazonaws.com"), false),
        (Some("https://notamazonaws.com"), false),
    ];
    for (endpoint_url, is_aws) in cases {
        for (wire, expected) in [(Wire::Cbor, true), (Wire::CborToAws, is_aws), (Wire::Direct, false)] {
            let transport = service.transport_to(endpoint_url, wire, "clicks".parse().unwrap());
            put(&transport).unwrap();
            put(&transport).unwrap();
            assert_eq!(in_cbor(&service), [false, expected], "{wire:?} to {endpoint_url:?}");
        }
    }
}

#[test]
fn a_refusal_that_json_gets_too_is_no_reason_to_give_cbor_up() {
    let refusal = r#"{"__type":"SerializationException","message":"no"}"#;
    let service = Service::new(400, refusal);
    let transport = service.transport(Wire::Cbor, "clicks".parse().unwrap());
    put(&transport).unwrap();
    service.begin(true);
    let error = put(&transport).unwrap_err();
    assert_eq!(error.to_string(), "SerializationException: no");
    service.begin(false);
    put(&transport).unwrap();
    put(&transport).unwrap();
    assert_eq!(in_cbor(&service), [false, true, false, false, true]);
}

#[test]
fn an_endpoint_that_falls_over_cbor_is_left_alone_with_it_after_three_trials() {
    let replies = [
        Reply { status: 500, headers: vec![], body: b"Internal Server Error".to_vec() },
        Reply::json(500, r#"{"__type":"InternalFailure"}"#),
        Reply::cbor(200, b"\xbf"),
        Reply { status: 200, headers: vec![], body: b"OK".to_vec() },
    ];
    for reply in replies {
        let service = taking_json().answering_cbor(reply.clone());
        let transport = service.transport(Wire::Cbor, "clicks".parse().unwrap());
        service.begin(true);
        let outcomes: Vec<_> = (0..9).map(|_| put(&transport).map_err(|e| e.is_outcome_unknown())).collect();
        for (put, outcome) in outcomes.iter().enumerate() {
            let expected = !matches!(put, 1 | 3 | 5);
            assert_eq!(outcome.is_ok(), expected, "put {put} with {reply:?}");
            assert_ne!(*outcome, Err(false), "nobody knows whether it was stored");
        }
        assert_eq!(in_cbor(&service).iter().filter(|in_cbor| **in_cbor).count(), 3, "{reply:?}");
    }
}

#[test]
fn errors_of_the_service_do_not_end_cbor() {
    for (status, code) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "ExpiredTokenException"),
        (413, "SerializationException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
    ] {
        let body = cbor::of_json(format!(r#"{{"__type":"{code}"}}"#).as_bytes()).unwrap();
        let reply = Reply::cbor(status, cbor::write(&body, &mut cbor::Form(0)));
        let service = taking_json().answering_cbor(reply);
        let transport = service.transport(Wire::Cbor, "clicks".parse().unwrap());
        put(&transport).unwrap();
        put(&transport).unwrap();
        for _ in 0..10 {
            service.begin(true);
            assert!(put(&transport).is_err(), "it is told {code}");
            put(&transport).unwrap();
        }
        let in_cbor = in_cbor(&service);
        assert_eq!(in_cbor.len(), 22, "each put is a request");
        assert_eq!(in_cbor[..2], [false, true]);
        assert!(in_cbor[2..].chunks(2).all(|pair| pair == [true, false]), "{code}: {in_cbor:?}");
    }
}

fn taking_json() -> Service {
    Service::new(200, r#"{"Records":[{"ShardId":"shardId-000000000001","SequenceNumber":"21"}]}"#)
}

fn put(transport: &AwsTransport) -> Result<Response, RequestError> {
    block_on(transport.put_records(&request()))
}

/// Which of the requests were in CBOR.
fn in_cbor(service: &Service) -> Vec<bool> {
    service.sent().iter().map(|sent| sent.is_cbor).collect()
}

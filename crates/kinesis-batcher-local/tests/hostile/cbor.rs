//! What is said to it in CBOR, it answers in CBOR.

use kinesis_batcher_local::RawReply;
use kinesis_batcher_local::hostile::{Entries, EntryError, Fault, Rejection};
use serde_json::json;

use super::{outcomes, put, records, start_default};

fn is_cbor(reply: &RawReply) -> bool {
    reply.header("content-type") == Some("application/x-amz-cbor-1.1")
}

#[test]
fn records_are_stored_as_in_json() {
    let (kinesis, client) = start_default();
    let in_json = put(&client, 100);
    let in_cbor = put(&client.with_cbor(), 100);
    assert_eq!(outcomes(&in_json), outcomes(&in_cbor));
    let stored = kinesis.stored();
    for (json, cbor) in stored.iter().zip(&stored[100..]) {
        assert_eq!((&json.shard_id, &json.data), (&cbor.shard_id, &cbor.data));
    }
    let requests = kinesis.put_requests();
    assert_eq!((requests[0].is_cbor, requests[1].is_cbor), (false, true));
    assert_eq!(requests[0].record_bytes, requests[1].record_bytes);
    assert!(requests[1].body_bytes < requests[0].body_bytes, "there is no base64 in it");
}

#[test]
fn faults_and_refusals_are_in_cbor() {
    let (kinesis, client) = start_default();
    let client = client.with_cbor();
    kinesis.next_put(Fault::FailEntries(Entries::First(2), EntryError::throttled()));
    let reply = client.put_records("hostile", &records(3)).unwrap();
    assert!(is_cbor(&reply));
    let throttled = "ProvisionedThroughputExceededException";
    assert_eq!(outcomes(&reply.ok().unwrap()), [throttled, throttled, "stored"]);
    kinesis.next_put(Fault::Reject(Rejection::internal_failure()));
    let reply = client.put_records("hostile", &records(3)).unwrap();
    assert_eq!(
        (is_cbor(&reply), reply.status, reply.error_code().as_deref()),
        (true, 500, Some("InternalFailure"))
    );
    kinesis.next_put(Fault::Reject(Rejection::service_unavailable()));
    let reply = client.put_records("hostile", &records(3)).unwrap();
    assert_eq!(reply.header("content-type"), Some("text/html"), "a load balancer knows no CBOR");
    kinesis.next_put(Fault::EmptyReply);
    let reply = client.put_records("hostile", &records(3)).unwrap();
    assert_eq!((is_cbor(&reply), reply.body.len()), (true, 0));
    kinesis.next_put(Fault::CutOffReply);
    client.put_records("hostile", &records(3)).unwrap_err();
}

#[test]
fn what_is_not_cbor_or_has_data_in_base64_is_refused() {
    let (kinesis, client) = start_default();
    let client = client.with_cbor();
    for body in [&b"{}"[..], b"", b"\xbf", b"\xa1\x67Records\x81\xa2\x64Data\x64YQ==\x6cPartitionKey\x61k"] {
        let reply = client.call_with_body("PutRecords", body).unwrap();
        assert_eq!((is_cbor(&reply), reply.error_code().as_deref()), (true, Some("SerializationException")));
    }
    let reply = client.call("PutRecords", &json!({ "StreamName": "hostile" })).unwrap();
    assert_eq!(reply.error_code().as_deref(), Some("ValidationException"), "records must not be null");
    assert_eq!(kinesis.stored().len(), 0);
}

#[test]
fn a_server_that_is_to_refuse_cbor_takes_json() {
    let (kinesis, client) = start_default();
    kinesis.refuse_cbor(Rejection::new(415, "", ""));
    let reply = client.clone().with_cbor().put_records("hostile", &records(3)).unwrap();
    assert_eq!((is_cbor(&reply), reply.status), (false, 415));
    assert_eq!(outcomes(&put(&client, 3)), ["stored"; 3]);
    kinesis.calm();
    assert_eq!(outcomes(&put(&client.with_cbor(), 3)), ["stored"; 3]);
    assert_eq!(kinesis.stored().len(), 6);
}

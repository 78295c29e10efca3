//! The servers from npm. Without node this says so and passes, unless `KINESIS_BATCHER_REQUIRE_NODE=1`.

#![allow(clippy::unwrap_used)]

use base64_simd::STANDARD;
use kinesis_batcher_local::node::{NodeKinesis, NodeServer};
use serde_json::json;

const SERVERS: [NodeServer; 2] = [NodeServer::Kinesalite, NodeServer::KinesisMock];

fn start(server: NodeServer) -> Option<NodeKinesis> {
    NodeKinesis::start_or_skip(server).unwrap()
}

#[test]
fn records_come_back_from_both_servers() {
    for server in SERVERS {
        let Some(kinesis) = start(server) else { return };
        let client = kinesis.client();
        client.create_stream("clicks", 3).unwrap();
        assert_eq!(client.shards("clicks").unwrap().len(), 3, "{server:?}");
        let payloads: Vec<(String, Vec<u8>)> =
            (0..50_u8).map(|number| (format!("key-{number}"), vec![number; 3])).collect();
        let records: Vec<(&str, &[u8])> =
            payloads.iter().map(|(key, data)| (key.as_str(), data.as_slice())).collect();
        let reply = client.put_records("clicks", &records).unwrap().ok().unwrap();
        assert_eq!(reply["FailedRecordCount"], 0, "{server:?}");
        let mut stored: Vec<_> = client
            .stored_records("clicks")
            .unwrap()
            .into_iter()
            .map(|record| (record.partition_key, record.data))
            .collect();
        stored.sort_by_key(|(_, data)| data[0]);
        assert_eq!(stored, payloads, "{server:?} gives back what it was given");
    }
}

/// Emulators differ in this, and their replies do not tell: a client that is to be safe speaks JSON to them.
#[test]
fn both_servers_take_cbor_and_only_kinesis_mock_gives_back_what_it_was_given() {
    for server in SERVERS {
        let Some(kinesis) = start(server) else { return };
        let client = kinesis.client();
        client.create_stream("clicks", 1).unwrap();
        let data: Vec<u8> = (0..=255).collect();
        let records = [("a", &data[..]), ("b", b""), ("c", b"YQ==")];
        let reply = client.clone().with_cbor().put_records("clicks", &records).unwrap();
        assert_eq!(reply.header("content-type"), Some("application/x-amz-cbor-1.1"), "{server:?}");
        assert_eq!(reply.ok().unwrap()["FailedRecordCount"], 0, "{server:?}");
        let stored = client.stored_records("clicks").map(|stored| {
            stored.into_iter().map(|record| (record.partition_key, record.data)).collect::<Vec<_>>()
        });
        match server {
            NodeServer::Kinesalite => {
                let error = stored.unwrap_err().to_string();
                assert!(error.contains("no usable Data"), "kinesalite keeps an object of its own: {error}");
            }
            NodeServer::KinesisMock => {
                assert_eq!(stored.unwrap(), records.map(|(key, data)| (key.to_owned(), data.to_owned())));
            }
        }
    }
}

#[test]
fn every_server_listens_on_ports_of_its_own_and_dies_when_dropped() {
    for server in SERVERS {
        let Some(first) = start(server) else { return };
        let Some(second) = start(server) else { return };
        assert_ne!(first.address(), second.address(), "{server:?}");
        assert_eq!(first.tls_address().is_some(), server == NodeServer::KinesisMock);
        assert_eq!(first.endpoint_url(), format!("http://{}", first.address()));
        let client = first.client();
        client.create_stream("here", 1).unwrap();
        assert!(second.client().shards("here").is_err(), "{server:?} shares nothing with its like");
        drop(first);
        assert!(client.connect().is_err(), "{server:?} is dead once drop has returned");
        second.client().create_stream("there", 1).unwrap();
    }
}

#[test]
fn kinesis_mock_takes_a_record_above_1_mib_where_the_stream_allows_it() {
    let Some(kinesis) = start(NodeServer::KinesisMock) else { return };
    let client = kinesis.client();
    let input = json!({ "StreamName": "large", "ShardCount": 1, "MaxRecordSizeInKiB": 2_048 });
    client.call("CreateStream", &input).unwrap().ok().unwrap();
    client.wait_until_active("large").unwrap();
    let data = STANDARD.encode_to_string(vec![7; (2 << 20) - 3]);
    let input = json!({ "StreamName": "large", "Records": [{ "Data": data, "PartitionKey": "key" }] });
    let reply = client.call("PutRecords", &input).unwrap();
    assert_eq!(reply.error_code(), None);
    assert_eq!(client.stored_records("large").unwrap()[0].data.len(), (2 << 20) - 3);
}

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

//! The programs that serve until they are told to stop.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, Write};
use std::net::{SocketAddr, UdpSocket};
use std::thread;

use common::*;
use futures::executor::block_on;
use kinesis_batcher_local::hostile::{Fault, Operation};

fn ingest(endpoint_url: &str, stream: &str, buffer_records_max: usize) -> Server {
    let mut command = program(env!("CARGO_BIN_EXE_axum_ingest"));
    command
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL", endpoint_url)
        .args(["--listen", "127.0.0.1:0", "--stream", stream])
        .args(["--buffer-records-max", &buffer_records_max.to_string()]);
    Server::start(command)
}

/// Status, Retry-After and body.
fn post(to: SocketAddr, key: &str, body: &str) -> (u16, Option<String>, String) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut reply = agent.post(format!("http://{to}/records/{key}")).send(body).unwrap();
    let later = reply.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (reply.status().as_u16(), later, reply.body_mut().read_to_string().unwrap())
}

#[test]
fn http_200_is_a_receipt() {
    let kinesis = kinesis();
    let server = ingest(&kinesis.endpoint_url(), STREAM, 100);
    let (status, _, body) = post(server.address, "user-17", "paid");
    assert_eq!(status, 200, "{body}");
    let [record] = &records(&kinesis)[..] else { panic!("one record is stored when the answer is there") };
    assert_eq!((&*record.partition_key, &*record.data), ("user-17", &b"paid"[..]));
    assert_eq!(body, format!("{} {}\n", record.shard_id, record.sequence_number));
    server.terminate();
    assert_succeeded(&server.wait());
}

#[test]
fn what_cannot_be_a_record_is_the_clients_to_mend() {
    let kinesis = kinesis();
    let server = ingest(&kinesis.endpoint_url(), STREAM, 100);
    assert_eq!(post(server.address, &"k".repeat(257), "x").0, 400, "a key has 256 characters at most");
    assert_eq!(post(server.address, "key", &"x".repeat(1 << 20)).0, 413, "its key makes it too large");
    assert_eq!(stored(&kinesis), [""; 0]);
}

#[test]
fn a_full_buffer_is_503_and_the_others_get_their_receipts_though_the_service_was_told_to_stop() {
    let hostile = hostile();
    hostile.every(Operation::PutRecords, Fault::HangBeforeStoring);
    let server = ingest(&hostile.endpoint_url(), "hostile", 2);
    let address = server.address;
    let waiting: Vec<_> = ["a", "b"].map(|data| thread::spawn(move || post(address, data, data))).into();
    block_on(
        hostile
            .wait_until(|seen| seen.put_requests().iter().map(|request| request.entries).sum::<usize>() == 2),
    )
    .unwrap();
    let (status, later, body) = post(address, "c", "c");
    assert_eq!((status, later.as_deref()), (503, Some("1")), "{body}");

    server.terminate();
    hostile.calm();
    for client in waiting {
        let (status, _, body) = client.join().unwrap();
        assert_eq!(status, 200, "a request under way is answered with its receipt: {body}");
    }
    assert_succeeded(&server.wait());
    assert_eq!(hostile.stored().len(), 2);
}

#[test]
fn datagrams_become_records_and_those_before_the_signal_are_delivered() {
    let kinesis = kinesis();
    let mut command = pushing(env!("CARGO_BIN_EXE_custom_event_loop"), &kinesis.endpoint_url(), STREAM);
    command.args(["--listen", "127.0.0.1:0"]);
    let server = Server::start(command);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Few enough for the kernel to hold them all, should the program be slow.
    let sent: Vec<String> = (0..100).map(|n| format!("metric {n:03}")).collect();
    for datagram in &sent {
        socket.send_to(datagram.as_bytes(), server.address).unwrap();
    }
    server.terminate();
    assert_succeeded(&server.wait());
    assert_eq!(stored(&kinesis), sent);
}

#[test]
fn an_event_loop_goes_on_while_kinesis_hangs_and_follows_a_split() {
    let hostile = hostile();
    hostile.next_put(Fault::HangBeforeStoring);
    let mut command = pushing(env!("CARGO_BIN_EXE_custom_event_loop"), &hostile.endpoint_url(), "hostile");
    command.args(["--listen", "127.0.0.1:0"]);
    let server = Server::start(command);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |text: &str| socket.send_to(text.as_bytes(), server.address).unwrap();
    send("held up");
    block_on(hostile.wait_until(|seen| seen.held() == 1)).unwrap();
    send("not held up");
    block_on(hostile.wait_until(|seen| seen.stored().len() == 1)).unwrap();
    hostile.release();
    block_on(hostile.wait_until(|seen| seen.stored().len() == 2)).unwrap();
    for shard in hostile.shards() {
        hostile.split(&shard.shard_id).unwrap();
    }
    send("after the split");
    block_on(
        hostile.wait_until(|seen| seen.stored().len() == 3 && seen.requests(Operation::ListShards) == 2),
    )
    .unwrap();
    server.terminate();
    assert_succeeded(&server.wait());
    assert_eq!(hostile.stored().len(), 3, "each of them once");
}

#[test]
fn an_address_that_is_taken_is_told_in_a_line() {
    let kinesis = kinesis();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut command = pushing(env!("CARGO_BIN_EXE_custom_event_loop"), &kinesis.endpoint_url(), STREAM);
    command.args(["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_failed_saying(&run(command, ""), "in use");
}

#[test]
fn a_call_is_answered_once_its_records_are_stored_and_nothing_happens_in_between() {
    let kinesis = kinesis();
    let mut command = pushing(env!("CARGO_BIN_EXE_lambda_style"), &kinesis.endpoint_url(), STREAM);
    let mut child = Running(command.spawn().unwrap());
    let (mut calls, mut answers) = child.ends();
    let mut expected: Vec<String> = vec![];
    for call in 0..5 {
        let words: Vec<String> = (0..10).map(|word| format!("{call}-{word}")).collect();
        writeln!(calls, "{}", words.join(" ")).unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "stored 10 records\n");
        expected.extend(words);
        assert_eq!(stored(&kinesis), expected, "the answer of call {call} comes after its records");
    }
    drop(calls);
    assert!(child.0.wait().unwrap().success());
}

#[test]
fn a_call_that_fails_says_so_and_the_next_one_succeeds() {
    let hostile = hostile();
    hostile.poison("bad");
    let command = pushing(env!("CARGO_BIN_EXE_lambda_style"), &hostile.endpoint_url(), "hostile");
    let output = run(command, "bad\ngood\n");
    let answers: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(answers.len(), 2);
    assert!(answers[0].starts_with("failed: rejected"), "{answers:?}");
    assert_eq!(answers[1], "stored 1 records");
    assert_failed_saying(&output, "1 calls failed");
}

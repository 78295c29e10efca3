//! What the fast Kinesis costs a record: bodies are built beforehand and sent over loopback by plain threads.
//!
//! `cargo bench -p kinesis-batcher-local --bench fast_server`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use base64_simd::STANDARD;
use kinesis_batcher_local::fast::{FastKinesis, FastOptions};

fn main() {
    // As a test, cargo runs this without `--bench`: then it is to show that it works, not how fast.
    let seconds = if std::env::args().any(|argument| argument == "--bench") { 3.0 } else { 0.02 };
    println!("record            connections  store  wall µs/record  server CPU µs/record   records/s");
    for (entries, data_bytes) in [(500, 100), (500, 1 << 10), (400, 10 << 10), (100, 40_000)] {
        for (connections, store) in [(1, true), (4, true), (4, false)] {
            measure(entries, data_bytes, connections, store, Duration::from_secs_f64(seconds));
        }
    }
}

fn measure(entries: usize, data_bytes: usize, connections: usize, store: bool, time: Duration) {
    let kinesis = FastKinesis::start(FastOptions { store, ..FastOptions::default() }).unwrap();
    let address = kinesis.address();
    let request = request(entries, data_bytes);
    let cpu_before = server_cpu();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| send(address, &request, start + time, &kinesis));
        }
    });
    let wall = start.elapsed().as_secs_f64();
    let cpu = server_cpu().zip(cpu_before).map(|(after, before)| (after - before).as_secs_f64());
    let records = kinesis.counters().records as f64;
    let cpu = cpu.map_or_else(|| "?".to_owned(), |cpu| format!("{:.3}", cpu * 1e6 / records));
    println!(
        "{:<17} {connections:>11}  {store:<5}  {:>14.3}  {cpu:>20}  {:>10.0}",
        format!("{data_bytes} B × {entries}"),
        wall * 1e6 / records,
        records / wall,
    );
}

/// One request at a time, as an SDK's connection has it.
fn send(address: SocketAddr, request: &[u8], until: Instant, kinesis: &FastKinesis) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    let mut reply = vec![0; 1 << 20];
    while Instant::now() < until {
        connection.write_all(request).unwrap();
        receive(&mut connection, &mut reply);
        // Neither this machine's memory nor its page faults are what is measured.
        if kinesis.counters().record_bytes % STORED_BYTES_MAX < request.len() as u64 {
            kinesis.clear();
        }
    }
}

fn receive(connection: &mut TcpStream, reply: &mut [u8]) {
    let mut filled = 0;
    loop {
        let count = connection.read(&mut reply[filled..]).unwrap();
        assert!(count > 0, "the server hung up");
        filled += count;
        let Some(head) = reply[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&reply[..head]).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        let length: usize =
            text.split("content-length:").nth(1).and_then(|rest| rest.trim().parse().ok()).unwrap();
        while filled < head + 4 + length {
            let count = connection.read(&mut reply[filled..]).unwrap();
            assert!(count > 0, "the server hung up");
            filled += count;
        }
        return;
    }
}

/// Keys of 22 bytes, all distinct; data that is not all the same.
fn request(entries: usize, data_bytes: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..data_bytes).map(|index| (index * 31 % 251) as u8).collect();
    let data = STANDARD.encode_to_string(&data);
    let records: Vec<String> = (0..entries)
        .map(|number| format!(r#"{{"Data":"{data}","PartitionKey":"partition-key-{number:08}"}}"#))
        .collect();
    let body = format!(r#"{{"Records":[{}],"StreamName":"fast"}}"#, records.join(","));
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: Kinesis_20131202.PutRecords\r\n\
         content-type: application/x-amz-json-1.1\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1\
         /kinesis/aws4_request, SignedHeaders=host, Signature=0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

/// What the server's thread has run so far, where the system tells.
fn server_cpu() -> Option<Duration> {
    let mut total = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        let Ok(name) = std::fs::read_to_string(task.path().join("comm")) else { continue };
        if name.trim() == "fast-kinesis" {
            let statistics = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            total += Duration::from_nanos(statistics.split_whitespace().next()?.parse().ok()?);
        }
    }
    Some(total)
}

const STORED_BYTES_MAX: u64 = 256 << 20;

//! `read` through a service that throttles, fails, and lets iterators expire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions, RawClient};

use crate::run::{Ran, finish, pusher_with_credentials};

/// Stands before a Kinesis and answers some calls in its stead.
struct Proxy {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
}

struct Seen {
    kinesis: RawClient,
    /// How each next call of an operation is refused, last first.
    refusals: Mutex<Vec<(&'static str, u16, &'static str)>>,
    /// Operation and body of each call.
    calls: Mutex<Vec<(String, String)>>,
    is_over: AtomicBool,
}

impl Proxy {
    fn start(kinesis: &EmbeddedKinesis, mut refusals: Vec<(&'static str, u16, &'static str)>) -> Self {
        refusals.reverse();
        let seen = Arc::new(Seen {
            kinesis: RawClient::new(kinesis.address()),
            refusals: Mutex::new(refusals),
            calls: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&seen);
        let accepting = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                shared.answer(&mut BufReader::new(connection.unwrap()));
            }
        });
        Self { address, seen, accepting: Some(accepting) }
    }

    fn read(&self, flags: &[&str]) -> Ran {
        let url = format!("http://{}", self.address);
        let fixed = ["read", "--stream", "records", "--endpoint-url", &url];
        finish(&mut pusher_with_credentials(&[&fixed, flags].concat()))
    }

    /// The bodies of the calls of an operation.
    fn calls(&self, operation: &str) -> Vec<String> {
        let calls = self.seen.calls.lock().unwrap();
        calls.iter().filter(|(called, _)| called == operation).map(|(_, body)| body.clone()).collect()
    }

    fn assert_all_refused(&self) {
        assert_eq!(*self.seen.refusals.lock().unwrap(), [], "each refusal found its call");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.seen.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            // Its panic has made the test fail already.
            let _ = accepting.join();
        }
    }
}

impl Seen {
    /// One call a connection.
    fn answer(&self, connection: &mut BufReader<TcpStream>) {
        let (mut operation, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "x-amz-target" => operation = value.rsplit('.').next().unwrap().to_owned(),
                "content-length" => length = value.trim().parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        let text = String::from_utf8(body.clone()).unwrap();
        self.calls.lock().unwrap().push((operation.clone(), text));
        let refusal = {
            let mut refusals = self.refusals.lock().unwrap();
            refusals.pop_if(|(refused, ..)| *refused == operation)
        };
        let (status, body) = match refusal {
            Some((_, status, code)) if status != 200 => {
                (status, format!("{{\"__type\":\"{code}\",\"message\":\"so\"}}").into_bytes())
            }
            _ => {
                let reply = self.kinesis.call_with_body(&operation, &body).unwrap();
                (reply.status, reply.body)
            }
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        // A client that was stopped does not listen.
        let _ = connection.get_mut().write_all(&[head.as_bytes(), &body].concat());
    }
}

/// A Kinesis whose one shard holds so many records: their numbers, in order.
fn kinesis(records: usize) -> EmbeddedKinesis {
    let kinesis = EmbeddedKinesis::start(EmbeddedOptions { port: 0, enforce_limits: false }).unwrap();
    let client = RawClient::new(kinesis.address());
    client.create_stream("records", 1).unwrap();
    let data: Vec<String> = (0..records).map(|number| number.to_string()).collect();
    for some in data.chunks(500) {
        let some: Vec<(&str, &[u8])> = some.iter().map(|data| ("k", data.as_bytes())).collect();
        assert_eq!(client.put_records("records", &some).unwrap().status, 200);
    }
    kinesis
}

fn numbers(count: usize) -> String {
    (0..count).map(|number| format!("{number}\n")).collect()
}

#[test]
fn throttling_and_failures_are_waited_out_and_cost_and_double_nothing() {
    let kinesis = kinesis(20);
    let proxy = Proxy::start(
        &kinesis,
        vec![
            ("ListShards", 400, "LimitExceededException"),
            ("GetShardIterator", 400, "ProvisionedThroughputExceededException"),
            ("GetShardIterator", 503, "ServiceUnavailable"),
            ("GetRecords", 400, "ProvisionedThroughputExceededException"),
            ("GetRecords", 400, "LimitExceededException"),
            ("GetRecords", 500, "InternalFailure"),
        ],
    );
    let ran = proxy.read(&["--until-caught-up"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(ran.stdout, numbers(20));
    proxy.assert_all_refused();
}

#[test]
fn an_iterator_that_expires_is_renewed_behind_the_last_record() {
    let kinesis = kinesis(12_000);
    let proxy = Proxy::start(&kinesis, vec![("GetRecords", 400, "ExpiredIteratorException")]);
    let ran = proxy.read(&["--until-caught-up"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout == numbers(12_000), "before the first record it begins again");
    proxy.assert_all_refused();
    let iterators = proxy.calls("GetShardIterator");
    assert!(iterators.iter().all(|body| body.contains("TRIM_HORIZON")), "{iterators:?}");
    assert_eq!(iterators.len(), 2);
    let refusals = vec![PASS, ("GetRecords", 400, "ExpiredIteratorException")];
    let proxy = Proxy::start(&kinesis, refusals);
    let ran = proxy.read(&["--until-caught-up"]);
    assert!(ran.stdout == numbers(12_000), "between two pages nothing is lost or doubled: {}", ran.stderr);
    proxy.assert_all_refused();
    assert!(proxy.calls("GetShardIterator")[1].contains("AFTER_SEQUENCE_NUMBER"));
}

#[test]
fn what_fails_for_good_ends_the_reading_with_a_line_that_names_the_shard_and_what_to_permit() {
    let kinesis = kinesis(3);
    let denied = Proxy::start(&kinesis, vec![("GetRecords", 400, "AccessDeniedException")]);
    denied.read(&[]).assert_not_started(&[
        "shardId-000000000000",
        "GetRecords",
        "permit",
        "kinesis:GetRecords",
    ]);
    let gone = Proxy::start(&kinesis, vec![("GetShardIterator", 400, "ResourceNotFoundException")]);
    gone.read(&[]).assert_not_started(&["GetShardIterator", "is gone"]);
}

#[test]
fn a_failure_in_the_middle_is_no_success() {
    let kinesis = kinesis(12_000);
    let proxy = Proxy::start(&kinesis, vec![PASS, ("GetRecords", 400, "AccessDeniedException")]);
    let ran = proxy.read(&[]);
    assert_eq!(ran.code, Some(1), "what was printed is not all");
    assert!(ran.stdout == numbers(5_000), "a page was printed: {} bytes; {}", ran.stdout.len(), ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("shard shardId-000000000000: GetRecords failed"), "{}", ran.stderr);
}

/// The next page is answered.
const PASS: (&str, u16, &str) = ("GetRecords", 200, "");

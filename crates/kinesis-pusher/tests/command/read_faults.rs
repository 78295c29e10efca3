//! `read` through a service that throttles, fails, and lets iterators expire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use kinesis_batcher_local::{EmbeddedKinesis, EmbeddedOptions, RawClient};
use serde_json::{Value, json};

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
    /// Answers in the place of the Kinesis where it returns something.
    answer: Answer,
    is_over: AtomicBool,
}

/// Gets the Kinesis behind, and a call's operation and body.
type Answer = Box<dyn Fn(&RawClient, &str, &Value) -> Option<(u16, Value)> + Send + Sync>;

impl Proxy {
    fn start(kinesis: &EmbeddedKinesis, refusals: Vec<(&'static str, u16, &'static str)>) -> Self {
        Self::answering(kinesis, refusals, |_, _, _| None)
    }

    fn with(
        kinesis: &EmbeddedKinesis,
        answer: impl Fn(&RawClient, &str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Self {
        Self::answering(kinesis, vec![], answer)
    }

    fn answering(
        kinesis: &EmbeddedKinesis,
        mut refusals: Vec<(&'static str, u16, &'static str)>,
        answer: impl Fn(&RawClient, &str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) -> Self {
        refusals.reverse();
        let seen = Arc::new(Seen {
            kinesis: RawClient::new(kinesis.address()),
            refusals: Mutex::new(refusals),
            calls: Mutex::default(),
            answer: Box::new(answer),
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
            _ => match (self.answer)(&self.kinesis, &operation, &serde_json::from_slice(&body).unwrap()) {
                Some((status, reply)) => (status, reply.to_string().into_bytes()),
                None => {
                    let reply = self.kinesis.call_with_body(&operation, &body).unwrap();
                    (reply.status, reply.body)
                }
            },
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
    let kinesis = sharded(1);
    put(&kinesis, 0..records, |_| "k".to_owned());
    kinesis
}

/// A Kinesis with one stream of so many shards.
fn sharded(shards: u32) -> EmbeddedKinesis {
    let kinesis = EmbeddedKinesis::start(EmbeddedOptions { port: 0, enforce_limits: false }).unwrap();
    RawClient::new(kinesis.address()).create_stream("records", shards).unwrap();
    kinesis
}

/// Stores numbers under these keys.
fn put(kinesis: &EmbeddedKinesis, numbers: Range<usize>, key: impl Fn(usize) -> String) {
    let client = RawClient::new(kinesis.address());
    let records: Vec<(String, String)> = numbers.map(|number| (key(number), number.to_string())).collect();
    for some in records.chunks(500) {
        let some: Vec<(&str, &[u8])> =
            some.iter().map(|(key, data)| (key.as_str(), data.as_bytes())).collect();
        assert_eq!(client.put_records("records", &some).unwrap().status, 200);
    }
}

/// A reply of the Kinesis behind, to be changed.
fn reply(kinesis: &RawClient, operation: &str, input: &Value) -> Value {
    kinesis.call(operation, input).unwrap().ok().unwrap()
}

fn refusal(code: &str) -> Option<(u16, Value)> {
    Some((400, json!({ "__type": code, "message": "so" })))
}

fn sorted_numbers(text: &str) -> Vec<usize> {
    let mut numbers: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
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
    let is_gone = AtomicBool::new(false);
    // Deleted right after the first listings.
    let gone = Proxy::with(&kinesis, move |_, operation, _| {
        is_gone.fetch_or(operation == "GetShardIterator", Ordering::SeqCst);
        is_gone.load(Ordering::SeqCst).then(|| refusal("ResourceNotFoundException")).flatten()
    });
    gone.read(&[]).assert_not_started(&["ListShards", "is gone"]);
}

/// A shard can vanish between its listing and its first page, and an iterator can expire again and again.
#[test]
fn a_dead_shard_is_skipped_and_reported_and_all_others_are_read_to_their_end() {
    let kinesis = sharded(4);
    put(&kinesis, 0..200, |number| number.to_string());
    let dead = "shardId-000000000002";
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let stored = runtime.block_on(kinesis.stored_records("records")).unwrap();
    let mut alive: Vec<usize> = stored
        .iter()
        .filter(|record| record.shard_id != dead)
        .map(|record| String::from_utf8_lossy(&record.data).parse().unwrap())
        .collect();
    alive.sort_unstable();
    assert!(alive.len() > 100 && alive.len() < 200, "{}", alive.len());
    let vanished = Proxy::with(&kinesis, move |_, operation, input| {
        let is_dead = operation == "GetShardIterator" && input["ShardId"] == dead;
        is_dead.then(|| refusal("ResourceNotFoundException")).flatten()
    });
    let iterators: Mutex<Vec<Value>> = Mutex::default();
    let expired = Proxy::with(&kinesis, move |kinesis, operation, input| match operation {
        "GetShardIterator" if input["ShardId"] == dead => {
            let reply = reply(kinesis, operation, input);
            iterators.lock().unwrap().push(reply["ShardIterator"].clone());
            Some((200, reply))
        }
        "GetRecords" if iterators.lock().unwrap().contains(&input["ShardIterator"]) => {
            refusal("ExpiredIteratorException")
        }
        _ => None,
    });
    for (proxy, reason) in [(vanished, "ResourceNotFound"), (expired, "ExpiredIterator")] {
        let ran = proxy.read(&["--until-caught-up"]);
        assert_eq!(ran.code, Some(1), "something was not printed: {}", ran.stderr);
        assert_eq!(sorted_numbers(&ran.stdout), alive, "{reason}");
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        let report = format!("error: shard {dead} is skipped: ");
        assert!(ran.stderr.starts_with(&report) && ran.stderr.contains(reason), "{}", ran.stderr);
    }
}

#[test]
fn reading_ends_behind_the_start_while_others_write() {
    let kinesis = kinesis(7_000);
    let written = AtomicUsize::new(7_000);
    // Each page brings new records, so that no page is ever empty.
    let busy = Proxy::with(&kinesis, move |kinesis, operation, _| {
        if operation == "GetRecords" {
            let from = written.fetch_add(10, Ordering::SeqCst);
            let data: Vec<String> = (from..from + 10).map(|number| number.to_string()).collect();
            let records: Vec<(&str, &[u8])> = data.iter().map(|data| ("k", data.as_bytes())).collect();
            assert_eq!(kinesis.put_records("records", &records).unwrap().status, 200);
        }
        None
    });
    let ran = busy.read(&["--until-caught-up"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let read = sorted_numbers(&ran.stdout);
    assert!(read.len() >= 7_000, "what was there is printed");
    assert_eq!(read, (0..read.len()).collect::<Vec<_>>(), "in whole pages, without a gap");
}

#[test]
fn a_server_that_always_says_it_is_caught_up_hides_nothing() {
    let kinesis = kinesis(12_000);
    let proxy = Proxy::with(&kinesis, |kinesis, operation, input| {
        (operation == "GetRecords").then(|| {
            let mut reply = reply(kinesis, operation, input);
            reply["MillisBehindLatest"] = 0.into();
            (200, reply)
        })
    });
    let ran = proxy.read(&["--until-caught-up"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout == numbers(12_000), "{} bytes", ran.stdout.len());
}

/// As ferrokinesis by itself does after UpdateShardCount.
#[test]
fn where_no_parents_are_named_every_shard_is_read_and_each_key_stays_in_order() {
    let kinesis = sharded(4);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let key = |number: usize| format!("key-{}", number % 100);
    put(&kinesis, 0..12_000, key);
    runtime.block_on(kinesis.update_shard_count("records", 8)).unwrap();
    put(&kinesis, 12_000..16_000, key);
    runtime.block_on(kinesis.update_shard_count("records", 5)).unwrap();
    put(&kinesis, 16_000..20_000, key);
    let orphaned = |kinesis: &RawClient, operation: &str, input: &Value| {
        let mut reply = match operation {
            "ListShards" | "GetRecords" => reply(kinesis, operation, input),
            _ => return None,
        };
        if let Some(members) = reply.as_object_mut() {
            members.remove("ChildShards");
        }
        for shard in reply["Shards"].as_array_mut().into_iter().flatten() {
            for field in ["ParentShardId", "AdjacentParentShardId"] {
                shard.as_object_mut().unwrap().remove(field);
            }
        }
        Some((200, reply))
    };
    let ran = Proxy::with(&kinesis, orphaned).read(&["--until-caught-up"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(sorted_numbers(&ran.stdout), (0..20_000).collect::<Vec<_>>());
    let mut last = vec![None; 100];
    for number in ran.stdout.lines().map(|line| line.parse::<usize>().unwrap()) {
        assert!(last[number % 100] < Some(number), "{number} comes before {:?}", last[number % 100]);
        last[number % 100] = Some(number);
    }
}

/// S-27.
#[test]
fn a_record_without_a_partition_key_is_printed_without_one() {
    let kinesis = kinesis(3);
    let keyless = |kinesis: &RawClient, operation: &str, input: &Value| {
        (operation == "GetRecords").then(|| {
            let mut reply = reply(kinesis, operation, input);
            for record in reply["Records"].as_array_mut().unwrap() {
                record.as_object_mut().unwrap().remove("PartitionKey");
            }
            (200, reply)
        })
    };
    let proxy = Proxy::with(&kinesis, keyless);
    let ran = proxy.read(&["--until-caught-up"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), numbers(3)), "{}", ran.stderr);
    let ran = proxy.read(&["--until-caught-up", "--output=json"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 3), "{}", ran.stderr);
    for line in ran.stdout.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap()["partition_key"].is_null(), "{line}");
    }
}

#[test]
fn a_shard_whose_children_are_not_listed_yet_names_them_at_its_end() {
    let kinesis = kinesis(3);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(kinesis.update_shard_count("records", 2)).unwrap();
    put(&kinesis, 3..200, |number| number.to_string());
    // A listing that lags behind.
    let lagging = Proxy::with(&kinesis, |kinesis, operation, input| {
        (operation == "ListShards" && input["ShardFilter"].is_null()).then(|| {
            let mut reply = reply(kinesis, operation, input);
            let shards = reply["Shards"].as_array_mut().unwrap();
            shards.truncate(1);
            shards[0]["SequenceNumberRange"].as_object_mut().unwrap().remove("EndingSequenceNumber");
            (200, reply)
        })
    });
    let ran = lagging.read(&["--until-caught-up"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(sorted_numbers(&ran.stdout), (0..200).collect::<Vec<_>>());
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

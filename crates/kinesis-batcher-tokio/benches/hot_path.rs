//! What a record costs between the program and the transport, and how that grows with the number of senders: the
//! producer alone, over a transport that stores nothing and answers at once.
//!
//! `cargo bench -p kinesis-batcher-tokio --bench hot_path [-- ROUNDS]`, about a minute.
//!
//! Records have 100 B and 22-byte keys, made beforehand: what is measured is the hash of the key and all that the
//! producer does, and no copy of the program's. CPU time is this process's, user and system, the transport's part
//! included: an outcome for each record. Senders are tasks on a tokio runtime of two threads, which run the requests as
//! well, so that one sender uses more than one core; the last line is one sender on a runtime of one thread. Cells take
//! turns in each round; ratios are those of a round, and
//! their median is what counts on a noisy machine.
//!
//! `valgrind --tool=callgrind BENCH WAY SENDERS RECORDS` counts the instructions of one cell, such as `send_all 1 500000`.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod cost;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cost::{allocations, cpu_time, median};
use kinesis_batcher_driver::Producer;
use kinesis_batcher_tokio::{
    BoxFuture, Bytes, Config, DescribeError, HashKey, PartitionKey, PutRecords, Record, RecordOutcome,
    RequestError, Response, SequenceNumber, ShardId, ShardLimit, ShardMap, TokioRuntime, Transport,
};
use tokio::runtime::Runtime;

const WAYS: [Way; 4] = [Way::SendAll, Way::OneByOne, Way::Completions, Way::Receipts];
const SENDERS: [usize; 4] = [1, 2, 4, 16];
/// Of the runtime.
const THREADS: usize = 2;
const SHARDS: u32 = 16;
const KEYS: usize = 10_000;
/// Records of one call of `send_all`, and receipts that a sender holds before it awaits the oldest.
const BATCH: usize = 500;
const RECORDS: usize = 1_500_000;
/// As many as 16 requests hold.
const BUFFER_RECORDS: usize = 8_000;
const ROUNDS: usize = 5;

/// How a sender sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `send_all`, 500 at a time.
    SendAll,
    /// `send_and_forget`, one after the other.
    OneByOne,
    /// As `SendAll`, with a handler that is told of each.
    Completions,
    /// `send`, and every receipt is awaited.
    Receipts,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::SendAll => "send_all",
            Self::OneByOne => "send_and_forget",
            Self::Completions => "send_all, completions",
            Self::Receipts => "send, receipts",
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |text: &str| text.parse::<usize>().expect("the argument is a number");
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        [] => compare(ROUNDS),
        [rounds] => compare(number(rounds)),
        [way, senders, records] => {
            let way = WAYS.into_iter().find(|known| known.name().replace(", ", "-") == *way);
            let bench = Bench::new(THREADS);
            let cost = bench.measure(way.expect("a way of the benchmark"), number(senders), number(records));
            println!("{:.0} ns of CPU a record, {:.0} records/s", cost.cpu_nanos, 1e9 / cost.wall_nanos);
        }
        _ => panic!("the arguments are ROUNDS, or WAY SENDERS RECORDS"),
    }
}

fn compare(rounds: usize) {
    let bench = Bench::new(THREADS);
    let one_thread = Bench::new(1);
    let cells: Vec<(Way, usize)> =
        WAYS.into_iter().flat_map(|way| SENDERS.map(|senders| (way, senders))).collect();
    let mut costs: Vec<Vec<Cost>> = cells.iter().map(|_| Vec::new()).collect();
    let mut costs_of_one_thread = Vec::new();
    // The first round warms up and does not count.
    for round in 0..=rounds {
        for (&(way, senders), costs) in cells.iter().zip(&mut costs) {
            let cost = bench.measure(way, senders, RECORDS);
            if round > 0 {
                costs.push(cost);
            }
        }
        let cost = one_thread.measure(Way::SendAll, 1, RECORDS);
        if round > 0 {
            costs_of_one_thread.push(cost);
        }
    }
    println!("{rounds} rounds of {RECORDS} records, medians; load average {}", load_average());
    println!(
        "{:<22} {:>7} {:>14} {:>12} {:>8} {:>8} {:>14}",
        "", "senders", "CPU ns/record", "records/s", "to one", "cores", "allocs/record"
    );
    for (index, &(way, senders)) in cells.iter().enumerate() {
        let costs_of_one = &costs[index / SENDERS.len() * SENDERS.len()];
        let of = |figure: &dyn Fn(&Cost, &Cost) -> f64| {
            median(costs[index].iter().zip(costs_of_one).map(|(cost, one)| figure(cost, one)).collect())
        };
        println!(
            "{:<22} {senders:>7} {:>14.0} {:>12.0} {:>8.2} {:>8.2} {:>14.4}",
            way.name(),
            of(&|cost, _| cost.cpu_nanos),
            of(&|cost, _| 1e9 / cost.wall_nanos),
            of(&|cost, one| one.wall_nanos / cost.wall_nanos),
            of(&|cost, _| cost.cpu_nanos / cost.wall_nanos),
            bench.allocations(way, senders),
        );
    }
    let two = cells.iter().position(|cell| *cell == (Way::SendAll, 2)).expect("it is among the cells");
    let of_one_thread = |figure: &dyn Fn(&Cost, &Cost) -> f64| {
        median(costs_of_one_thread.iter().zip(&costs[two]).map(|(one, two)| figure(one, two)).collect())
    };
    println!(
        "{} with one thread: {:.0} ns of CPU a record, {:.0} records/s; two senders with two get {:.2} times that done",
        Way::SendAll.name(),
        of_one_thread(&|one, _| one.cpu_nanos),
        of_one_thread(&|one, _| 1e9 / one.wall_nanos),
        of_one_thread(&|one, two| one.wall_nanos / two.wall_nanos),
    );
}

/// A record, of which each sender makes its own.
struct Model {
    key: PartitionKey,
    data: Bytes,
}

impl Model {
    fn record(&self) -> Record {
        Record::new(self.key.clone(), self.data.clone()).expect("a valid record")
    }
}

struct Bench {
    runtime: Runtime,
    models: Arc<[Model]>,
}

/// Of a record.
struct Cost {
    cpu_nanos: f64,
    wall_nanos: f64,
}

impl Bench {
    fn new(threads: usize) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
        let map = shards();
        let models = (0..KEYS).map(|number| {
            let key = format!("customer-{number:013}");
            let shard = map.index_of(HashKey::of_partition_key(&key));
            let mut data = vec![b'x'; 100];
            data[0] = u8::try_from(shard).expect("there are 16 shards");
            // Static, so that threads do not contend for the bench's own counts of references.
            let key = Bytes::from_static(key.into_bytes().leak());
            Model {
                key: PartitionKey::from_shared(key).expect("a valid key"),
                data: Bytes::from_static(data.leak()),
            }
        });
        Self { runtime: runtime.expect("a runtime starts"), models: models.collect() }
    }

    fn measure(&self, way: Way, senders: usize, records: usize) -> Cost {
        let producer = self.producer(way);
        let (cpu, start) = (cpu_time(), Instant::now());
        self.run(&producer, way, senders, records);
        let nanos = |duration: Duration| duration.as_nanos() as f64 / records as f64;
        let cost = Cost { wall_nanos: nanos(start.elapsed()), cpu_nanos: nanos(cpu_time() - cpu) };
        self.close(&producer, records);
        cost
    }

    /// Allocations a record, once all is as large as it gets.
    fn allocations(&self, way: Way, senders: usize) -> f64 {
        let (warm_up, records) = (100_000, 400_000);
        let producer = self.producer(way);
        self.run(&producer, way, senders, warm_up);
        let allocations = allocations(|| self.run(&producer, way, senders, records));
        self.close(&producer, warm_up + records);
        allocations as f64 / records as f64
    }

    fn producer(&self, way: Way) -> Producer {
        let config = Config::builder().shard_limit(ShardLimit::Off).buffer_records_max(BUFFER_RECORDS);
        let mut builder = Producer::builder().config(config.build().expect("the settings are valid"));
        if way == Way::Completions {
            let told = AtomicU64::new(0);
            builder = builder.on_completion(move |_| {
                told.fetch_add(1, Ordering::Relaxed);
            });
        }
        let runtime = TokioRuntime::new(self.runtime.handle().clone());
        builder.start(Arc::new(runtime), Arc::new(Nowhere::new()), shards())
    }

    /// From the first record to the last one's delivery.
    fn run(&self, producer: &Producer, way: Way, senders: usize, records: usize) {
        self.runtime.block_on(async {
            let senders: Vec<_> = (0..senders)
                .map(|sender| {
                    let share = records / senders + usize::from(sender < records % senders);
                    let first = sender * KEYS / senders;
                    tokio::spawn(send(producer.clone(), Arc::clone(&self.models), way, first, share))
                })
                .collect();
            for sender in senders {
                sender.await.expect("no sender panics");
            }
            producer.flush().await.expect("the runtime runs");
        });
    }

    fn close(&self, producer: &Producer, records: usize) {
        let report = self.runtime.block_on(producer.close(Duration::from_secs(60)));
        assert_eq!(report.delivered, records as u64, "every record is delivered");
        assert_eq!(producer.stats().records_retried, 0, "and at the first attempt");
    }
}

async fn send(producer: Producer, models: Arc<[Model]>, way: Way, first: usize, records: usize) {
    let mut models = models.iter().cycle().skip(first);
    let mut next = || models.next().expect("a cycle has no end").record();
    match way {
        Way::SendAll | Way::Completions => {
            let mut left = records;
            while left > 0 {
                let batch = left.min(BATCH);
                producer.send_all((0..batch).map(|_| next())).await.expect("the producer is open");
                left -= batch;
            }
        }
        Way::OneByOne => {
            for _ in 0..records {
                producer.send_and_forget(next()).await.expect("the producer is open");
            }
        }
        Way::Receipts => {
            let mut deliveries = VecDeque::with_capacity(BATCH);
            for _ in 0..records {
                if deliveries.len() == BATCH {
                    let oldest = deliveries.pop_front().expect("it has so many");
                    producer_answers(oldest).await;
                }
                deliveries.push_back(producer.send(next()).await.expect("the producer is open"));
            }
            producer.flush().await.expect("the runtime runs");
            for delivery in deliveries {
                producer_answers(delivery).await;
            }
        }
    }
}

async fn producer_answers(delivery: kinesis_batcher_tokio::Delivery) {
    let receipt = delivery.await.expect("nothing fails");
    assert_eq!(receipt.attempts, 1);
}

fn shards() -> ShardMap {
    ShardMap::uniform(NonZeroU32::new(SHARDS).expect("a stream has a shard"))
}

/// Takes every record at once. The first byte of each says which shard it goes to.
struct Nowhere {
    shard_ids: Vec<ShardId>,
    sequence_number: SequenceNumber,
}

impl Nowhere {
    fn new() -> Self {
        let sequence_number = "49545115243490985018280067714973144582180062593244200961".into();
        Self { shard_ids: shards().shards().iter().map(|shard| shard.id.clone()).collect(), sequence_number }
    }

    fn outcome(&self, data: &Bytes) -> RecordOutcome {
        RecordOutcome::Stored {
            shard_id: self.shard_ids[usize::from(data[0])].clone(),
            sequence_number: self.sequence_number.clone(),
        }
    }
}

impl Transport for Nowhere {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        Box::pin(async {
            Ok(Response::new(request.records().map(|record| self.outcome(record.data())).collect()))
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        Box::pin(async { Ok(shards()) })
    }
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").expect("this bench runs on Linux");
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

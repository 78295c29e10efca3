//! How long a record takes from `send` to its receipt, beside the round trip of the request that carried it.
//!
//! `cargo bench -p kinesis-batcher-tokio --bench latency [-- SECONDS]`
//!
//! The service is a thread that answers each request 5 ms after it came, a round trip to a service nearby with its
//! writes. Linger is zero. First the bench finds out how many records a second the producer carries, then it sends a
//! share of that for some seconds, at even steps of the clock, and awaits each receipt in a task of its own.
//!
//! One clock measures all of it. A record's round trip is the time that its request spent in the transport, whether
//! the service, the timer or the scheduler took it; the rest, before and after, is what the producer adds: the wait
//! for one of 16 requests, the way to a task, and the way of the receipt to the one who waits for it. On a machine
//! that is busy with other things, that is the wait for a processor as well: the load average is told.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use kinesis_batcher_driver::Producer;
use kinesis_batcher_tokio::{
    BoxFuture, Bytes, Config, DescribeError, PartitionKey, PutRecords, Record, RecordOutcome, RequestError,
    Response, SequenceNumber, ShardId, ShardLimit, ShardMap, TokioRuntime, Transport,
};
use tokio::runtime::Runtime;

const ROUND_TRIP: Duration = Duration::from_millis(5);
/// Of what the producer carries.
const SHARES: [f64; 2] = [0.01, 0.1];
/// Between two looks of the sender at the clock; it sends at once what is due by then.
const STEP: Duration = Duration::from_micros(250);
const SECONDS: u64 = 5;
const BATCH: usize = 500;

fn main() {
    let argument = std::env::args().skip(1).find(|argument| argument != "--bench");
    let seconds = argument.map_or(SECONDS, |text| text.parse().expect("the argument is a number of seconds"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let carried = runtime.block_on(carried());
    println!(
        "{ROUND_TRIP:?} of the service, 100 B, carried: {carried:.0} records/s; load average {}",
        load_average()
    );
    println!(
        "{:<18} {:>10} {:>33} {:>33} {:>33}",
        "", "", "round trip, ms", "send to receipt, ms", "added, ms"
    );
    let quantiles = format!("{:>11} {:>10} {:>10}", "50 %", "99 %", "99.9 %");
    println!("{:<18} {:>10} {quantiles} {quantiles} {quantiles}", "load", "records/s");
    for share in SHARES {
        let rate = carried * share;
        let records = (rate * seconds as f64) as usize;
        let times = measure(&runtime, records, rate);
        println!(
            "{:<18} {rate:>10.0} {} {} {}",
            format!("{:.0} % of that", share * 100.0),
            quantiles_of(times.iter().map(|time| time.round_trip)),
            quantiles_of(times.iter().map(|time| time.in_all)),
            quantiles_of(times.iter().map(|time| time.in_all - time.round_trip)),
        );
    }
}

/// Nanoseconds that a record took.
struct Time {
    in_all: u64,
    round_trip: u64,
}

fn quantiles_of(nanos: impl Iterator<Item = u64>) -> String {
    let mut nanos: Vec<u64> = nanos.collect();
    nanos.sort_unstable();
    let [half, most, all] = [0.5, 0.99, 0.999].map(|share| {
        let rank = (nanos.len() as f64 * share) as usize;
        nanos[rank.min(nanos.len() - 1)] as f64 / 1e6
    });
    format!("{half:>11.3} {most:>10.3} {all:>10.3}")
}

/// Records a second with the buffer full all the time.
async fn carried() -> f64 {
    let producer = producer(Arc::new(Service::new(0)));
    let send = |batches: usize| {
        let producer = producer.clone();
        async move {
            for _ in 0..batches {
                producer.send_all((0..BATCH).map(|_| record(0))).await.expect("the producer is open");
            }
        }
    };
    send(400).await;
    let (start, batches) = (Instant::now(), 4_000);
    send(batches).await;
    let rate = (batches * BATCH) as f64 / start.elapsed().as_secs_f64();
    producer.close(Duration::from_secs(60)).await;
    rate
}

fn measure(runtime: &Runtime, records: usize, rate: f64) -> Vec<Time> {
    let service = Arc::new(Service::new(records));
    let producer = {
        let _guard = runtime.enter();
        producer(Arc::clone(&service))
    };
    let took: Arc<[AtomicU64]> = (0..records).map(|_| AtomicU64::new(0)).collect();
    let start = Instant::now();
    let mut sent = 0;
    // On a thread of its own, because a sleep of the runtime is as long as a step of its timer.
    while sent < records {
        let due = ((start.elapsed().as_secs_f64() * rate) as usize).min(records);
        for number in sent..due {
            let (producer, took) = (producer.clone(), Arc::clone(&took));
            let from = Instant::now();
            let delivery = futures::executor::block_on(producer.send(record(number)));
            let delivery = delivery.expect("the producer is open");
            runtime.spawn(async move {
                delivery.await.expect("nothing fails");
                took[number].store(nanos(from.elapsed()), Ordering::Relaxed);
            });
        }
        sent = due;
        std::thread::sleep(STEP);
    }
    let report = runtime.block_on(producer.close(Duration::from_secs(60)));
    assert_eq!(report.delivered, records as u64, "every record is delivered");
    assert_eq!(producer.stats().records_retried, 0, "and at the first attempt");
    // Tasks that were woken by then may not have run.
    while took.iter().any(|took| took.load(Ordering::Relaxed) == 0) {
        std::thread::yield_now();
    }
    let round_trips = service.round_trips.iter();
    let times = took.iter().zip(round_trips).map(|(in_all, round_trip)| Time {
        in_all: in_all.load(Ordering::Relaxed),
        round_trip: round_trip.load(Ordering::Relaxed),
    });
    times.collect()
}

fn producer(service: Arc<Service>) -> Producer {
    let config = Config::builder().shard_limit(ShardLimit::Off).linger(Duration::ZERO);
    let runtime = TokioRuntime::current().expect("this runs in a runtime");
    Producer::builder().config(config.build().expect("the settings are valid")).start(
        Arc::new(runtime),
        service,
        ShardMap::uniform(NonZeroU32::MIN),
    )
}

/// It starts with its number.
fn record(number: usize) -> Record {
    let mut data = [b'x'; 100];
    data[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let key = PartitionKey::from_shared(Bytes::from_static(b"customer-0000000000001"));
    Record::new(key.expect("a valid key"), Bytes::copy_from_slice(&data)).expect("a valid record")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a bench takes less than centuries")
}

/// Stores nothing, and answers after [`ROUND_TRIP`].
struct Service {
    answers: mpsc::Sender<(Instant, oneshot::Sender<()>)>,
    shard_id: ShardId,
    sequence_number: SequenceNumber,
    /// By the number of the record, of its request in the transport.
    round_trips: Box<[AtomicU64]>,
}

impl Service {
    fn new(records: usize) -> Self {
        let (answers, due) = mpsc::channel::<(Instant, oneshot::Sender<()>)>();
        // They are due in the order in which they came. The thread ends with the service.
        std::thread::spawn(move || {
            for (at, answer) in due {
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                // Nobody asks for those of a request that was given up.
                _ = answer.send(());
            }
        });
        Self {
            answers,
            shard_id: "shardId-000000000000".into(),
            sequence_number: "49545115243490985018280067714973144582180062593244200961".into(),
            round_trips: (0..records).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Transport for Service {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        Box::pin(async move {
            let from = Instant::now();
            let (answer, answered) = oneshot::channel();
            self.answers
                .send((from + ROUND_TRIP, answer))
                .expect("its thread takes them as long as it lives");
            answered.await.expect("every request is answered");
            let stored = || RecordOutcome::Stored {
                shard_id: self.shard_id.clone(),
                sequence_number: self.sequence_number.clone(),
            };
            let response = Response::new(request.records().map(|_| stored()).collect());
            let round_trip = nanos(from.elapsed());
            for record in request.records() {
                let number = record.data()[..8].try_into().expect("it starts with its number");
                let number = usize::try_from(u64::from_be_bytes(number)).expect("it counts the records");
                if let Some(noted) = self.round_trips.get(number) {
                    noted.store(round_trip, Ordering::Relaxed);
                }
            }
            Ok(response)
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        Box::pin(async { Ok(ShardMap::uniform(NonZeroU32::MIN)) })
    }
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").expect("this bench runs on Linux");
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

//! Many interleavings of senders, replies, deadlines and the end: no wake-up is lost, nothing completes twice, and
//! nobody waits for ever. A scheduler takes the place of the operating system's and switches threads at every lock:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p kinesis-batcher-driver --test interleavings --target-dir target/shuttle
//! ```
//!
//! A schedule that fails is printed; `shuttle::replay` repeats it. Without the flag this file is empty.

#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use kinesis_batcher_driver::{
    AsyncTimer, BoxFuture, Config, DescribeError, Producer, ProducerBuilder, PutRecords, Record,
    RecordOutcome, RequestError, Response, Runtime, ServiceError, ShardMap, Transport,
};
use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

/// A thread for each task, and a clock that jumps to the next timer whenever the scheduler lets it, busy or not.
struct Threads {
    clock: Arc<Clock>,
    start: Instant,
}

#[derive(Default)]
struct Clock {
    timers: Mutex<Timers>,
    changed: Condvar,
}

#[derive(Default)]
struct Timers {
    elapsed: Duration,
    waiting: BTreeMap<(Duration, u64), Waker>,
    next: u64,
    over: bool,
}

impl Clock {
    /// Fires timers until [`end`](Self::end).
    fn run(&self) {
        let mut timers = self.timers.lock().unwrap();
        while !timers.over {
            match timers.waiting.pop_first() {
                // What would take longer is there for requests that hang, and none does here.
                Some(((at, _), waker)) if at < timers.elapsed + Duration::from_secs(5) => {
                    timers.elapsed = timers.elapsed.max(at);
                    drop(timers);
                    waker.wake();
                    timers = self.timers.lock().unwrap();
                }
                Some((key, waker)) => {
                    timers.waiting.insert(key, waker);
                    timers = self.changed.wait(timers).unwrap();
                }
                None => timers = self.changed.wait(timers).unwrap(),
            }
        }
    }

    fn end(&self) {
        self.timers.lock().unwrap().over = true;
        self.changed.notify_all();
    }
}

impl Runtime for Threads {
    fn now(&self) -> Instant {
        self.start + self.clock.timers.lock().unwrap().elapsed
    }

    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let mut timers = self.clock.timers.lock().unwrap();
        timers.next += 1;
        let id = timers.next;
        Box::pin(Timer { clock: Arc::clone(&self.clock), start: self.start, at: at - self.start, id })
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        thread::spawn(move || block_on(future));
    }
}

struct Timer {
    clock: Arc<Clock>,
    start: Instant,
    at: Duration,
    id: u64,
}

impl Timer {
    fn forget(&self) -> Option<Waker> {
        self.clock.timers.lock().unwrap().waiting.remove(&(self.at, self.id))
    }
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        drop(self.forget());
        self.at = at - self.start;
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timers = self.clock.timers.lock().unwrap();
        if timers.elapsed >= self.at {
            return Poll::Ready(());
        }
        let former = timers.waiting.insert((self.at, self.id), cx.waker().clone());
        drop(timers);
        drop(former);
        self.clock.changed.notify_all();
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        drop(self.forget());
    }
}

/// Answers after other threads had a turn. Unless it is reliable, some requests fail and some are answered in part.
struct Service {
    reliable: bool,
    calls: AtomicUsize,
    stored: AtomicUsize,
}

impl Transport for Service {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        Box::pin(async move {
            shuttle::future::yield_now().await;
            let call = if self.reliable { 0 } else { self.calls.fetch_add(1, Ordering::SeqCst) };
            if call % 4 == 1 {
                return Err(RequestError::outcome_unknown("told to fail"));
            }
            let outcomes = request.records().enumerate().map(|(index, _)| {
                if call % 4 == 2 && index == 0 {
                    return RecordOutcome::Failed(ServiceError::from_code("InternalFailure"));
                }
                self.stored.fetch_add(1, Ordering::SeqCst);
                RecordOutcome::Stored { shard_id: "shardId-000000000000".into(), sequence_number: "1".into() }
            });
            Ok(Response::new(outcomes.collect()))
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        Box::pin(async { Ok(ShardMap::uniform(std::num::NonZeroU32::MIN)) })
    }
}

struct World {
    producer: Producer,
    service: Arc<Service>,
    clock: Arc<Clock>,
    ticking: thread::JoinHandle<()>,
}

impl World {
    /// A producer with room for two records, so that senders wait for each other.
    fn new() -> Self {
        Self::start(Producer::builder(), false)
    }

    fn start(builder: ProducerBuilder, reliable: bool) -> Self {
        let clock = Arc::new(Clock::default());
        let runtime = Arc::new(Threads { clock: Arc::clone(&clock), start: Instant::now() });
        let service = Arc::new(Service { reliable, calls: AtomicUsize::new(0), stored: AtomicUsize::new(0) });
        let config = Config::builder()
            .linger(Duration::from_millis(1))
            .in_flight_requests_max(2)
            .buffer_records_max(2)
            .build()
            .unwrap();
        let transport = Arc::<Service>::clone(&service);
        let shards = ShardMap::uniform(std::num::NonZeroU32::MIN);
        let producer = builder.config(config).refresh_interval(None).start(runtime, transport, shards);
        let ticking = thread::spawn({
            let clock = Arc::clone(&clock);
            move || clock.run()
        });
        Self { producer, service, clock, ticking }
    }

    fn close(self) -> (u64, Arc<Service>) {
        let report = block_on(self.producer.close(Duration::from_secs(60)));
        assert_eq!(
            (report.failed, report.undelivered.len()),
            (0, 0),
            "the service takes everything in the end"
        );
        self.clock.end();
        self.ticking.join().unwrap();
        (report.delivered, self.service)
    }
}

fn record() -> Record {
    Record::new("key", "data").unwrap()
}

/// Random schedules, and schedules with few but well-placed switches (Burckhardt and others, "A randomized scheduler
/// with probabilistic guarantees of finding bugs", 2010).
fn check(scenario: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_random(scenario, ITERATIONS);
    shuttle::check_pct(scenario, ITERATIONS, 3);
}

const ITERATIONS: usize = 5_000;

#[test]
fn every_sender_gets_in_and_every_delivery_is_answered() {
    check(|| {
        let world = World::new();
        let send_two = |producer: Producer| {
            thread::spawn(move || {
                block_on(async {
                    let first = producer.send(record()).await.unwrap();
                    let second = producer.send(record()).await.unwrap();
                    first.await.unwrap();
                    second.await.unwrap();
                });
            })
        };
        let senders: Vec<_> = (0..3).map(|_| send_two(world.producer.clone())).collect();
        for sender in senders {
            sender.join().unwrap();
        }
        let (delivered, _) = world.close();
        assert_eq!(delivered, 6);
    });
}

#[test]
fn a_flush_ends_when_what_was_sent_before_it_has_come_back() {
    check(|| {
        let world = World::new();
        let producer = world.producer.clone();
        let other = thread::spawn(move || {
            block_on(async {
                for _ in 0..2 {
                    producer.send_and_forget(record()).await.unwrap();
                }
            });
        });
        block_on(async {
            let delivery = world.producer.send(record()).await.unwrap();
            world.producer.flush().await.unwrap();
            let told = at_once(delivery);
            assert!(told.is_some_and(|result| result.is_ok()), "a flush ends after those who wait were told");
        });
        other.join().unwrap();
        let (delivered, _) = world.close();
        assert_eq!(delivered, 3);
    });
}

#[test]
fn flush_and_close_end_after_the_handler_was_told_of_requests_that_were_stored_whole() {
    check(|| {
        let told = Arc::new(AtomicUsize::new(0));
        let builder = Producer::builder().on_completion({
            let told = Arc::clone(&told);
            move |completion| {
                told.fetch_add(completion.tag() as usize, Ordering::SeqCst);
            }
        });
        let world = World::start(builder, true);
        let producer = world.producer.clone();
        let other = thread::spawn(move || {
            block_on(producer.send_all((0..3).map(|_| (record(), 1)))).unwrap();
        });
        block_on(async {
            world.producer.send_and_forget((record(), 100)).await.unwrap();
            world.producer.flush().await.unwrap();
        });
        assert!(told.load(Ordering::SeqCst) >= 100, "a flush ends after the handler was told");
        other.join().unwrap();
        let (delivered, _) = world.close();
        assert_eq!(
            (delivered, told.load(Ordering::SeqCst)),
            (4, 103),
            "so does a close, and nothing is told twice"
        );
    });
}

#[test]
fn a_close_in_the_middle_accounts_for_every_record_and_releases_all_who_wait() {
    check(|| {
        let world = World::new();
        let accepted = Arc::new(AtomicUsize::new(0));
        let send_two = |producer: Producer, accepted: Arc<AtomicUsize>| {
            thread::spawn(move || {
                block_on(async {
                    for _ in 0..2 {
                        if producer.send_and_forget(record()).await.is_err() {
                            break;
                        }
                        accepted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            })
        };
        let senders: Vec<_> =
            (0..2).map(|_| send_two(world.producer.clone(), Arc::clone(&accepted))).collect();
        let (delivered, service) = world.close();
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(delivered as usize, accepted.load(Ordering::SeqCst), "what was let in was delivered");
        assert!(service.stored.load(Ordering::SeqCst) >= delivered as usize);
    });
}

#[test]
fn senders_that_give_up_their_place_hold_up_nobody() {
    check(|| {
        let world = World::new();
        let producer = world.producer.clone();
        let fickle = thread::spawn(move || {
            for _ in 0..3 {
                // Polled once and dropped: it may have got in, or have waited.
                drop(at_once(producer.send_and_forget(record())));
            }
        });
        block_on(async {
            for _ in 0..3 {
                world.producer.send(record()).await.unwrap().await.unwrap();
            }
        });
        fickle.join().unwrap();
        let accepted = world.producer.stats().records_accepted;
        let (delivered, _) = world.close();
        assert_eq!(delivered, accepted);
    });
}

#[test]
fn when_the_last_handle_goes_what_is_held_is_delivered_and_every_task_ends() {
    check(|| {
        let world = World::new();
        let producer = world.producer.clone();
        let other = thread::spawn(move || {
            // Nobody waits for this one.
            drop(block_on(producer.send(record())).unwrap());
        });
        let delivery = block_on(world.producer.send(record())).unwrap();
        let World { producer, service, clock, ticking } = world;
        drop(producer);
        other.join().unwrap();
        block_on(delivery).unwrap();
        // The service is shared with the tasks; once it is ours alone, they have all ended.
        while Arc::strong_count(&service) > 1 {
            thread::yield_now();
        }
        assert!(service.stored.load(Ordering::SeqCst) >= 2, "both records are there");
        clock.end();
        ticking.join().unwrap();
    });
}

/// The output of a future that is ready at its first poll.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

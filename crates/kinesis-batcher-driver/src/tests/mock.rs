//! A transport that does what it is told, and remembers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use kinesis_batcher_core::{HashKey, RecordOutcome, RequestError, Response, ServiceError, ShardMap};

use super::executor::TestRuntime;
use crate::{DescribeError, PutRecords, Transport};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Stored,
    /// Every record is throttled.
    Throttled,
    Error(RequestError),
    /// The future panics.
    Panic,
    /// The call panics before there is a future.
    PanicAtOnce,
    Hang,
}

impl Answer {
    pub(super) fn after(self, latency: Duration) -> (Self, Duration) {
        (self, latency)
    }
}

type Script = dyn Fn(usize, &PutRecords) -> (Answer, Duration) + Send + Sync;
type DescribeScript = dyn Fn(usize) -> Description + Send + Sync;

/// What becomes of a describe call.
pub(super) enum Description {
    Map(ShardMap),
    Error,
    Hang,
    Panic,
}

pub(super) struct MockTransport {
    runtime: TestRuntime,
    map: Mutex<ShardMap>,
    script: Mutex<Arc<Script>>,
    describe_script: Mutex<Arc<DescribeScript>>,
    pub(super) requests: AtomicUsize,
    pub(super) in_flight: Arc<AtomicUsize>,
    pub(super) describes: AtomicUsize,
    /// The data of every record stored, in order, copies included.
    stored: Mutex<Vec<String>>,
}

impl MockTransport {
    pub(super) fn new(
        runtime: &TestRuntime,
        map: ShardMap,
        script: impl Fn(usize, &PutRecords) -> (Answer, Duration) + Send + Sync + 'static,
    ) -> Self {
        let description = map.clone();
        Self {
            runtime: runtime.clone(),
            map: Mutex::new(map),
            script: Mutex::new(Arc::new(script)),
            describe_script: Mutex::new(Arc::new(move |_| Description::Map(description.clone()))),
            requests: AtomicUsize::new(0),
            in_flight: Arc::default(),
            describes: AtomicUsize::new(0),
            stored: Mutex::default(),
        }
    }

    pub(super) fn answer(
        &self,
        script: impl Fn(usize, &PutRecords) -> (Answer, Duration) + Send + Sync + 'static,
    ) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub(super) fn describe_as(&self, script: impl Fn(usize) -> Description + Send + Sync + 'static) {
        *self.describe_script.lock().unwrap() = Arc::new(script);
    }

    /// From now on records land in the shards of this map.
    pub(super) fn reshard(&self, map: ShardMap) {
        *self.map.lock().unwrap() = map;
    }

    pub(super) fn stored(&self) -> Vec<String> {
        self.stored.lock().unwrap().clone()
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn describes(&self) -> usize {
        self.describes.load(Ordering::Relaxed)
    }

    fn store(&self, request: &PutRecords) -> Response {
        let map = self.map.lock().unwrap();
        let mut stored = self.stored.lock().unwrap();
        let outcomes = request.records().map(|record| {
            stored.push(String::from_utf8(record.data().to_vec()).unwrap());
            let key = record
                .explicit_hash_key()
                .unwrap_or_else(|| HashKey::of_partition_key(record.partition_key().unwrap()));
            RecordOutcome::Stored {
                shard_id: map.shards()[map.index_of(key)].id.clone(),
                sequence_number: stored.len().to_string().as_str().into(),
            }
        });
        Response::new(outcomes.collect())
    }
}

impl Transport for MockTransport {
    fn put_records<'a>(&'a self, request: &'a PutRecords) -> BoxFuture<'a, Result<Response, RequestError>> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let script = Arc::clone(&self.script.lock().unwrap());
        let (answer, latency) = script(number, request);
        assert!(!matches!(answer, Answer::PanicAtOnce), "told to panic before there is a future");
        let in_flight = InFlight::new(&self.in_flight);
        Box::pin(async move {
            let _in_flight = in_flight;
            if !latency.is_zero() {
                self.runtime.sleep(latency).await;
            }
            match answer {
                Answer::Stored => Ok(self.store(request)),
                Answer::Throttled => {
                    let error = ServiceError::from_code("ProvisionedThroughputExceededException");
                    Ok(Response::new(
                        request.records().map(|_| RecordOutcome::Failed(error.clone())).collect(),
                    ))
                }
                Answer::Error(error) => Err(error),
                Answer::Hang => std::future::pending().await,
                Answer::Panic | Answer::PanicAtOnce => panic!("told to panic"),
            }
        })
    }

    fn describe(&self) -> BoxFuture<'_, Result<ShardMap, DescribeError>> {
        let number = self.describes.fetch_add(1, Ordering::Relaxed);
        let script = Arc::clone(&self.describe_script.lock().unwrap());
        Box::pin(async move {
            match script(number) {
                Description::Map(map) => Ok(map),
                Description::Error => Err(DescribeError::new("told to fail")),
                Description::Hang => std::future::pending().await,
                Description::Panic => panic!("told to panic"),
            }
        })
    }
}

/// Counts a transport's futures from their making to their drop.
struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

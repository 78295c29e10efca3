//! The handle on a hostile Kinesis.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::clock::ServerClock;
use super::connection::serve;
use super::put_records::Input;
use super::script::Script;
use super::stream::Stream;
use super::swarm::{Mix, Swarm};
use super::{
    Distribution, Fault, HostileOptions, Observed, Operation, PutRequest, Rejection, ReshardError, Stored,
    StreamMode,
};
use crate::http::accept;
use crate::server_thread::{ServerThread, bind, endpoint_url};
use crate::{ShardDescription, StartError};

/// A Kinesis of one stream that misbehaves on command; see the [module](super).
///
/// It speaks plain HTTP/1.1 with keep-alive, and no TLS. It checks that there is an Authorization header, not that it
/// is right.
pub struct HostileKinesis {
    server: ServerThread,
    shared: Arc<Shared>,
}

impl HostileKinesis {
    /// Starts the server; it listens when this returns, and behaves until told otherwise.
    ///
    /// # Errors
    /// [`StartError`], for the port or an option out of its range.
    pub fn start(options: HostileOptions) -> Result<Self, StartError> {
        options.check()?;
        let listener = bind(options.port)?;
        let started = Instant::now();
        let kinesis = Kinesis {
            stream: Stream::new(options),
            script: Script::default(),
            observed: Observed::default(),
            clock: ServerClock::default(),
            started,
        };
        let shared = Arc::new(Shared {
            kinesis: Mutex::new(kinesis),
            changed: Notify::new(),
            releases: watch::Sender::new(0),
            requests: AtomicU64::new(0),
        });
        let serving = Arc::clone(&shared);
        let server = ServerThread::start("hostile-kinesis", listener, |listener, drain| async move {
            let mut connections = JoinSet::new();
            let mut drain = std::pin::pin!(drain.wait());
            loop {
                tokio::select! {
                    connection = accept(&listener) => {
                        connections.spawn(serve(connection, Arc::clone(&serving)));
                    }
                    // Without this, finished connections would pile up.
                    Some(_) = connections.join_next() => {}
                    () = &mut drain => break,
                }
            }
            drop(listener);
            serving.until(|observed| observed.under_way == 0).await;
        })?;
        Ok(Self { server, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What a client takes as its endpoint.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        endpoint_url(self.address())
    }

    /// The ARN of its stream.
    #[must_use]
    pub fn stream_arn(&self) -> String {
        self.shared.lock().stream.arn()
    }

    /// The next PutRecords call suffers this; several calls of this form a queue.
    pub fn next_put(&self, fault: Fault) {
        self.next(Operation::PutRecords, fault);
    }

    /// The next call of this operation suffers this; several calls of this form a queue.
    ///
    /// # Panics
    /// For a fault about entries with an operation other than PutRecords.
    pub fn next(&self, operation: Operation, fault: Fault) {
        self.shared.lock().script.push(operation, fault);
    }

    /// Every call of this operation suffers this, once the queue is empty, until it is replaced; by [`Fault::None`] if
    /// all shall be well.
    ///
    /// # Panics
    /// For a fault about entries with an operation other than PutRecords.
    pub fn every(&self, operation: Operation, fault: Fault) {
        self.shared.lock().script.stand(operation, fault);
    }

    /// Draws faults at random from now on. The same calls in the same order suffer the same for the same seed.
    ///
    /// # Panics
    /// When the faults of calls or those of entries add up to more than 1,000.
    pub fn swarm(&self, seed: u64, mix: Mix) {
        let swarm = Swarm::new(seed, mix);
        self.shared.lock().script.swarm = Some(swarm);
    }

    /// Refuses every request with a record whose data begins with this, by a ValidationException.
    pub fn poison(&self, prefix: impl Into<Vec<u8>>) {
        self.shared.lock().script.poison.push(prefix.into());
    }

    /// Refuses whatever is signed with this key from now on, by an ExpiredTokenException.
    pub fn expire_access_key_id(&self, access_key_id: impl Into<String>) {
        self.refuse_access_key_id(access_key_id, Rejection::expired_token());
    }

    /// Refuses whatever is signed with this key from now on, like this.
    pub fn refuse_access_key_id(&self, access_key_id: impl Into<String>, rejection: Rejection) {
        self.shared.lock().script.refused_keys.insert(access_key_id.into(), rejection);
    }

    /// Refuses requests whose body has more bytes than this, by [`Rejection::content_too_large`]. JSON and CBOR count as
    /// they are sent.
    pub fn limit_bodies(&self, bytes_max: usize) {
        self.shared.lock().script.body_bytes_max = Some(bytes_max);
    }

    /// As [`limit_bodies`](Self::limit_bodies), but by the request's head, as reverse proxies do: the reply comes while the
    /// client still sends, and then the connection ends.
    pub fn limit_bodies_unread(&self, bytes_max: usize) {
        self.shared.lock().script.unread_body_bytes = Some(bytes_max);
    }

    /// Answers at most 20 calls of DescribeStreamSummary in any second, which is an account's limit (S-11). Nothing ends that.
    pub fn limit_summaries(&self) {
        self.shared.lock().script.summaries = Some(VecDeque::new());
    }

    /// Refuses signatures whose time is more than 5 minutes off, as the service does. Nothing ends that.
    pub fn check_signature_times(&self) {
        self.shared.lock().clock.is_strict = true;
    }

    /// Puts the server's clock forward by whole seconds. Every reply has its `Date`.
    pub fn advance_clock(&self, by: Duration) {
        self.shared.lock().clock.advance(by);
    }

    /// Puts the server's clock back by whole seconds.
    pub fn set_clock_back(&self, by: Duration) {
        self.shared.lock().clock.set_back(by);
    }

    /// Refuses every request in CBOR like this, in JSON or HTML, as an endpoint does that speaks no CBOR.
    pub fn refuse_cbor(&self, rejection: Rejection) {
        self.shared.lock().script.cbor_refusal = Some(rejection);
    }

    /// Decides who picks a record's shard. It takes effect at once (S-24).
    ///
    /// # Panics
    /// On [`Distribution::Auto`] for a provisioned stream, which cannot have it.
    pub fn set_distribution(&self, distribution: Distribution) {
        let options = &mut self.shared.lock().stream.options;
        assert!(
            distribution != Distribution::Auto || options.stream_mode == StreamMode::OnDemand,
            "only an on-demand stream can be AUTO"
        );
        options.distribution = distribution;
    }

    /// Lets every call that hangs go on.
    pub fn release(&self) {
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    /// Ends all misbehaviour: queues, standing faults, swarm, poison, refused credentials, the limit of bodies and what
    /// becomes of CBOR are forgotten, and what hangs is released. The clock stays.
    pub fn calm(&self) {
        self.shared.lock().script = Script::default();
        self.release();
    }

    /// Every shard, closed ones included, oldest first.
    #[must_use]
    pub fn shards(&self) -> Vec<ShardDescription> {
        self.shared.lock().stream.shards().iter().map(|shard| shard.description.clone()).collect()
    }

    /// Splits an open shard in the middle and returns its children, the lower first. Their meters start full.
    ///
    /// # Errors
    /// The shard is not open, or too small.
    pub fn split(&self, shard_id: &str) -> Result<[String; 2], ReshardError> {
        self.shared.observe(|kinesis| kinesis.stream.split(shard_id))
    }

    /// Merges two open shards, of which the first ends where the second begins, and returns their child.
    ///
    /// # Errors
    /// A shard is not open, or they are no neighbours in this order.
    pub fn merge(&self, lower: &str, upper: &str) -> Result<String, ReshardError> {
        self.shared.observe(|kinesis| kinesis.stream.merge(lower, upper))
    }

    /// Looks at what the server has seen so far, under its lock: it serves nobody meanwhile.
    pub fn inspect<R>(&self, look: impl FnOnce(&Observed) -> R) -> R {
        look(&self.shared.lock().observed)
    }

    /// Every stored record, in the order of arrival.
    #[must_use]
    pub fn stored(&self) -> Vec<Stored> {
        self.inspect(|observed| observed.stored.clone())
    }

    /// Every PutRecords request, refused ones included, in the order of arrival.
    #[must_use]
    pub fn put_requests(&self) -> Vec<PutRequest> {
        self.inspect(|observed| observed.put_requests.clone())
    }

    /// Requests of an operation, refused ones included.
    #[must_use]
    pub fn requests(&self, operation: Operation) -> u64 {
        self.inspect(|observed| observed.requests(operation))
    }

    /// Waits until the condition holds, on any executor. It is asked after every change and under the server's lock.
    ///
    /// # Errors
    /// [`StillWaiting`] after 30 s.
    pub async fn wait_until(&self, condition: impl FnMut(&Observed) -> bool) -> Result<(), StillWaiting> {
        let patience = {
            // The caller may have no timers, so this one is of the server's runtime.
            let _inside = self.server.runtime().enter();
            tokio::time::sleep(PATIENCE)
        };
        tokio::select! {
            () = self.shared.until(condition) => Ok(()),
            () = patience => Err(self.inspect(|observed| StillWaiting {
                stored: observed.stored.len(),
                put_requests: observed.put_requests.len(),
                held: observed.held,
            })),
        }
    }

    /// Takes no more connections, releases what hangs, answers what is under way, for at most 5 s, and stops.
    pub async fn shutdown(self) {
        self.release();
        self.server.shutdown().await;
    }
}

impl fmt::Debug for HostileKinesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostileKinesis").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// What was waited for has not come in 30 s.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "still waiting after 30 s: {stored} records are stored, {put_requests} PutRecords requests have come, {held} calls \
     hang"
)]
pub struct StillWaiting {
    /// Records stored so far.
    pub stored: usize,
    /// PutRecords requests so far.
    pub put_requests: usize,
    /// Calls that hang.
    pub held: usize,
}

/// Everything about the server.
pub(crate) struct Kinesis {
    pub(crate) stream: Stream,
    pub(crate) script: Script,
    pub(crate) observed: Observed,
    pub(crate) clock: ServerClock,
    started: Instant,
}

impl Kinesis {
    /// Books a request and gives its index among those of PutRecords.
    pub(crate) fn book(
        &mut self,
        operation: Option<Operation>,
        access_key_id: Option<&str>,
        (body_bytes, is_cbor): (usize, bool),
        input: Option<&Input>,
    ) -> usize {
        let observed = &mut self.observed;
        observed.under_way += 1;
        if let Some(key) = access_key_id
            && !observed.access_key_ids.iter().any(|known| known == key)
        {
            observed.access_key_ids.push(key.to_owned());
        }
        if let Some(operation) = operation {
            *observed.requests.entry(operation).or_default() += 1;
        }
        if operation == Some(Operation::PutRecords) {
            observed.puts_in_flight += 1;
            observed.puts_in_flight_max = observed.puts_in_flight_max.max(observed.puts_in_flight);
            observed.put_requests.push(PutRequest {
                arrived: self.started.elapsed(),
                entries: input.map_or(0, |input| input.records.len()),
                record_bytes: input.map_or(0, Input::record_bytes),
                body_bytes,
                is_cbor,
                access_key_id: access_key_id.map(str::to_owned),
                entries_stored: 0,
            });
        }
        observed.put_requests.len().saturating_sub(1)
    }

    /// The request is over, in whatever way.
    pub(crate) fn close_book(&mut self, operation: Option<Operation>) {
        self.observed.under_way -= 1;
        if operation == Some(Operation::PutRecords) {
            self.observed.puts_in_flight -= 1;
        }
    }
}

/// What the handle and the connections share.
pub(crate) struct Shared {
    kinesis: Mutex<Kinesis>,
    changed: Notify,
    /// Counts calls of `release`.
    releases: watch::Sender<u64>,
    requests: AtomicU64,
}

impl Shared {
    /// Does something under the lock and tells whoever waits.
    pub(crate) fn observe<R>(&self, act: impl FnOnce(&mut Kinesis) -> R) -> R {
        let result = act(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// Resolves with the next release after this call, not with its first poll.
    pub(crate) fn released(&self) -> impl Future<Output = ()> + use<> {
        let mut releases = self.releases.subscribe();
        async move {
            // A closed channel means that the server was dropped, and this future with it.
            let _ = releases.changed().await;
        }
    }

    pub(crate) fn next_request_id(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    async fn until(&self, mut condition: impl FnMut(&Observed) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the look: a change right after it must not go unnoticed.
            changed.as_mut().enable();
            if condition(&self.lock().observed) {
                return;
            }
            changed.await;
        }
    }

    /// A panic under the lock can only come from a test's own closure, and leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, Kinesis> {
        self.kinesis.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Longer than any test waits for good reason.
const PATIENCE: Duration = Duration::from_secs(30);

//! The handle on a fast Kinesis, and its loop.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::calls::{describe_stream_summary, list_shards, put_records};
use super::store::Store;
use crate::http::{Connection, Head, ReadError, Reply, accept_stream};
use crate::routing::{shard_id, tile};
use crate::server_thread::{DrainSignal, ServerThread, bind, endpoint_url};
use crate::{StartError, StoredRecord};

/// How a [`FastKinesis`] starts.
#[derive(Debug, Clone)]
pub struct FastOptions {
    /// TCP port on 127.0.0.1; 0, the default, is any free one.
    pub port: u16,
    /// The one stream there is, `fast` by default. Requests are taken for it whatever they name.
    pub stream_name: String,
    /// Open shards, 1–1,000,000 of equal size; 16 by default.
    pub shards: u32,
    /// Threads that serve, 1–64; 1 by default, which is good for some millions of small records a second.
    pub threads: usize,
    /// Keeps the records (on by default), all of them and in memory, until [`clear`](FastKinesis::clear).
    pub store: bool,
    /// Speaks TLS and nothing else; `None`, the default, is plain HTTP/1.1.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::ServerTls>,
}

impl Default for FastOptions {
    fn default() -> Self {
        Self {
            port: 0,
            stream_name: "fast".to_owned(),
            shards: 16,
            threads: 1,
            store: true,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// What a [`FastKinesis`] has taken since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FastCounters {
    /// Requests of every operation, refused ones included.
    pub requests: u64,
    /// Records.
    pub records: u64,
    /// Their data and partition keys, before base64.
    pub record_bytes: u64,
}

/// A Kinesis of one stream that routes, stores and answers, and does nothing else; see the [module](super).
pub struct FastKinesis {
    threads: Vec<ServerThread>,
    shared: Arc<Shared>,
}

impl FastKinesis {
    /// Starts the server; it listens when this returns.
    ///
    /// # Errors
    /// [`StartError`], for the port or an option out of its range.
    pub fn start(options: FastOptions) -> Result<Self, StartError> {
        if !(1..=1_000_000).contains(&options.shards) {
            return Err(StartError::Option("shards must be 1–1,000,000".to_owned()));
        }
        if !(1..=64).contains(&options.threads) {
            return Err(StartError::Option("threads must be 1–64".to_owned()));
        }
        let listener = bind(options.port)?;
        let shared = Arc::new(Shared {
            starts: tile(options.shards).map(|range| *range.start()).collect(),
            shard_ids: (0..options.shards).map(shard_id_bytes).collect(),
            stream_name: options.stream_name,
            sequence: AtomicU64::new(1),
            storing: AtomicBool::new(options.store),
            stores: (0..options.threads).map(|_| Mutex::default()).collect(),
            requests: AtomicU64::new(0),
            records: AtomicU64::new(0),
            record_bytes: AtomicU64::new(0),
            #[cfg(feature = "tls")]
            tls: options.tls,
        });
        let threads = (0..options.threads).map(|index| {
            let listener = listener.try_clone().map_err(StartError::Thread)?;
            let shared = Arc::clone(&shared);
            ServerThread::start(THREAD_NAME, listener, move |listener, drain| {
                serve(listener, drain, shared, index)
            })
        });
        Ok(Self { threads: threads.collect::<Result<_, _>>()?, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.threads[0].address()
    }

    /// What a client takes as its endpoint. Over TLS it names the host `localhost`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        #[cfg(feature = "tls")]
        if self.shared.tls.is_some() {
            return format!("https://localhost:{}", self.address().port());
        }
        endpoint_url(self.address())
    }

    /// What it has taken since its start.
    #[must_use]
    pub fn counters(&self) -> FastCounters {
        FastCounters {
            requests: self.shared.requests.load(Ordering::Relaxed),
            records: self.shared.records.load(Ordering::Relaxed),
            record_bytes: self.shared.record_bytes.load(Ordering::Relaxed),
        }
    }

    /// Keeps the records of requests to come, or not.
    pub fn set_storing(&self, storing: bool) {
        self.shared.storing.store(storing, Ordering::Relaxed);
    }

    /// Every stored record, in the order of sequence numbers.
    #[must_use]
    pub fn stored_records(&self) -> Vec<StoredRecord> {
        let mut records: Vec<(u64, StoredRecord)> = Vec::new();
        for index in 0..self.shared.stores.len() {
            records.extend(self.shared.store(index).records());
        }
        records.sort_unstable_by_key(|(sequence, _)| *sequence);
        records.into_iter().map(|(_, record)| record).collect()
    }

    /// Forgets every stored record and frees its memory; counters go on.
    pub fn clear(&self) {
        for index in 0..self.shared.stores.len() {
            self.shared.store(index).clear();
        }
    }

    /// Takes no more connections, finishes the request at hand, and stops.
    pub async fn shutdown(self) {
        for thread in self.threads {
            thread.shutdown().await;
        }
    }
}

impl fmt::Debug for FastKinesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FastKinesis").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// What the handle and the threads share.
pub(crate) struct Shared {
    /// The first hash key of every shard, ascending.
    pub(crate) starts: Vec<u128>,
    pub(crate) shard_ids: Vec<[u8; 20]>,
    pub(crate) stream_name: String,
    pub(crate) sequence: AtomicU64,
    pub(crate) storing: AtomicBool,
    /// One a thread, so that none waits for another.
    stores: Vec<Mutex<Store>>,
    requests: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) record_bytes: AtomicU64,
    #[cfg(feature = "tls")]
    tls: Option<crate::tls::ServerTls>,
}

impl Shared {
    /// The shard of a hash key.
    pub(crate) fn route(&self, hash_key: u128) -> u32 {
        // The first shard begins at 0, so there is always one that begins at or before the key.
        (self.starts.partition_point(|start| *start <= hash_key) - 1) as u32
    }

    /// Serves a request, and numbers it. A PutRecords that succeeds is answered from `answer`, with an HTTP/1.1 head.
    pub(crate) fn answer<'a>(
        &self,
        index: usize,
        answer: &'a mut Answer,
        head: &Head,
        body: &[u8],
    ) -> (u64, Result<&'a [u8], Reply>) {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let reply = match head.operation.as_str() {
            "PutRecords" => {
                let is_cbor = head.is_cbor;
                let put = put_records(self, &mut self.store(index), answer, body, is_cbor);
                put.map_err(|refusal| {
                    let reply = Reply::from(refusal);
                    if is_cbor { reply.in_cbor() } else { reply }
                })
            }
            "ListShards" => Err(list_shards(self, body)),
            "DescribeStreamSummary" => Err(describe_stream_summary(self)),
            _ => Err(Reply::error(
                400,
                "UnknownOperationException",
                "This server knows neither that nor most others.",
            )),
        };
        (id, reply)
    }

    #[cfg(feature = "tls")]
    pub(crate) fn windows(&self) -> crate::tls::Windows {
        self.tls.as_ref().map(crate::tls::ServerTls::windows).unwrap_or_default()
    }

    /// A panic under the lock is a defect that the test sees anyway.
    fn store(&self, index: usize) -> MutexGuard<'_, Store> {
        self.stores[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: tokio::net::TcpListener, drain: DrainSignal, shared: Arc<Shared>, index: usize) {
    let mut connections = JoinSet::new();
    let mut drain = std::pin::pin!(drain.wait());
    loop {
        tokio::select! {
            stream = accept_stream(&listener) => {
                connections.spawn(serve_stream(stream, Arc::clone(&shared), index));
            }
            Some(_) = connections.join_next() => {}
            // A request is served between two awaits, so none is at hand here.
            () = &mut drain => return,
        }
    }
}

async fn serve_stream(stream: TcpStream, shared: Arc<Shared>, index: usize) {
    #[cfg(feature = "tls")]
    if let Some(tls) = &shared.tls {
        // A client that rejects the certificate ends the handshake.
        let Ok(stream) = tls.accept(stream).await else { return };
        return match crate::tls::is_http2(&stream) {
            true => super::http2::serve(stream, &shared, index).await,
            false => serve_connection(Connection::new(stream), shared, index).await,
        };
    }
    serve_connection(Connection::new(stream), shared, index).await;
}

async fn serve_connection<S>(mut connection: Connection<S>, shared: Arc<Shared>, index: usize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut answer = Answer::new();
    loop {
        let request = match connection.next_request(usize::MAX).await {
            Ok(request) => request,
            Err(ReadError::Gone | ReadError::BodyTooLarge { .. }) => return,
            Err(ReadError::Refused(reply)) => {
                let _ = connection.write(&reply.into_bytes(0)).await;
                return;
            }
        };
        let (id, reply) = shared.answer(index, &mut answer, &request.head, &request.body);
        let close = request.head.close;
        // Its buffer is the one that the next request is read into.
        drop(request);
        let written = match reply {
            Ok(bytes) => connection.write(bytes).await,
            Err(reply) => connection.write(&reply.into_bytes(id)).await,
        };
        if written.is_err() || close {
            return;
        }
    }
}

fn shard_id_bytes(number: u32) -> [u8; 20] {
    shard_id(number).into_bytes().try_into().expect("a shard id has 20 bytes")
}

/// Benchmarks find the server's threads by it.
const THREAD_NAME: &str = "fast-kinesis";

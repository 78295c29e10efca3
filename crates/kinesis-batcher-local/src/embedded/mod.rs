//! A faithful Kinesis inside this process.

mod admin;
mod emulator;
mod front;
mod records;
mod reshard;

use std::fmt;
use std::net::SocketAddr;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::serve::ListenerExt;
use ferrokinesis::actions::Operation;
use ferrokinesis::create_app;
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::store::StoreOptions;
use serde_json::Value;

use self::emulator::Emulator;
use crate::StartError;
use crate::server_thread::{ServerThread, bind, endpoint_url};

/// How an [`EmbeddedKinesis`] starts.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedOptions {
    /// TCP port on 127.0.0.1; 0, the default, is any free one.
    pub port: u16,
    /// Enforces the service's limits of 1,000 records/s and 1 MiB/s a shard (on by default): what exceeds them fails
    /// entry by entry with `ProvisionedThroughputExceededException`. The emulator counts in windows of one second,
    /// without partition keys.
    pub enforce_limits: bool,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { port: 0, enforce_limits: true }
    }
}

/// A Kinesis inside this process, spoken to over HTTP/1.1 or HTTP/2 on loopback.
///
/// It is ferrokinesis on a thread of its own, behind a layer that makes it behave like the service where a consumer
/// relies on it:
///
/// - UpdateShardCount splits and merges, so that each shard names its parents.
/// - A closed shard has an EndingSequenceNumber and keeps its records. Its end has no NextShardIterator, and names
///   ChildShards.
/// - ListShards has pages of at most 1,000 shards, NextToken, and every type of ShardFilter.
/// - GetRecords has pages of at most 10,000 records and 10 MiB, and says in MillisBehindLatest whether there is more.
/// - Records appear in the order of their sequence numbers, also for a reader amid writes.
/// - A stream's ARN stands for its name. CBOR has timestamps in milliseconds, as the AWS SDK for Java reads them.
///
/// # Where it differs from the service
/// | what | the service | this server |
/// |---|---|---|
/// | region, credentials | checked | any are taken; a signature has to be there, and is not verified |
/// | durability | at least 24 hours | memory, until the server stops |
/// | record, request | up to 10 MiB each | 1 MiB a record, 5 MiB a request |
/// | partition key | 256 characters, optional on `AUTO` streams | 256 bytes, required |
/// | write limits | count data and keys, in an unpublished way | count data, in seconds that begin with a record |
/// | read limits | 5 calls/s and 2 MiB/s a shard; limits of calls a second for an account | none |
/// | UpdateShardCount | at most doubles or halves, ten times a day | any count |
/// | shard limit | the account's | 1,000,000 open shards |
/// | resharding | takes seconds; the stream is `UPDATING` | in force when the call is answered |
/// | short-lived shards of UpdateShardCount | an unpublished number | as few as splits and merges in pairs need |
/// | arrival times | milliseconds | whole seconds; right after a reshard, a second ahead |
/// | AT_TIMESTAMP, filters by time | exact | include the whole second |
/// | closed shards | vanish after the retention period | vanish from ListShards |
/// | DescribeStream | 100 shards a page | all shards, whatever Limit and ExclusiveStartShardId |
/// | DescribeStreamSummary | MaxRecordSizeInKiB; for on-demand streams, the record distribution | neither |
/// | on-demand streams | scale with traffic | a mode that is stored and changes nothing |
/// | SplitShard and MergeShards of a closed shard | an unpublished code | `ResourceNotFoundException` |
/// | SubscribeToShard | HTTP/2 pushes | polls every 200 ms; MillisBehindLatest is 0 |
/// | encryption, policies, tags, enhanced monitoring | in force | stored and returned, without an effect |
///
/// `interop/run` runs AWS's clients on it: the KCL 3 and the KPL 1 through splits, merges and changed shard counts, and
/// the SDKs for Java 2 (in CBOR), Go 2, JavaScript 3 (h2c and HTTP/1.1) and Python.
pub struct EmbeddedKinesis {
    server: ServerThread,
    emulator: Emulator,
}

impl EmbeddedKinesis {
    /// Starts a Kinesis without streams; it listens when this returns.
    ///
    /// # Errors
    /// [`StartError`], which says what to do about it.
    pub fn start(options: EmbeddedOptions) -> Result<Self, StartError> {
        let EmbeddedOptions { port, enforce_limits } = options;
        let (app, store) = create_app(StoreOptions {
            create_stream_ms: 0,
            delete_stream_ms: 0,
            update_stream_ms: 0,
            shard_limit: OPEN_SHARDS_MAX,
            enforce_limits,
            ..StoreOptions::default()
        });
        let emulator = Emulator::new(store);
        let app = app
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(from_fn_with_state(emulator.clone(), front::serve));
        let server = ServerThread::start("embedded-kinesis", bind(port)?, |listener, drain| async move {
            let listener = listener.tap_io(|connection| {
                // Without it a reply in two segments waits for the client's delayed acknowledgement.
                let _ = connection.set_nodelay(true);
            });
            // It reports errors of accepting by itself, and has no others.
            let _ = axum::serve(listener, app).with_graceful_shutdown(drain.wait()).await;
        })?;
        Ok(Self { server, emulator })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What a client takes as its endpoint, such as `http://127.0.0.1:4567`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        endpoint_url(self.address())
    }

    /// Takes no more connections, answers what is under way, for at most 5 s, and stops.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }

    /// Does what an HTTP request for this operation would do, validation included.
    async fn execute(&self, operation: Operation, input: Value) -> Result<Value, EmbeddedError> {
        let emulator = self.emulator.clone();
        // On the server's runtime, since ferrokinesis spawns tasks that complete the operation.
        let done = self.server.runtime().spawn(async move { emulator.execute(operation, &input).await });
        Ok(done.await.map_err(|_| EmbeddedError::Stopped)??)
    }
}

impl fmt::Debug for EmbeddedKinesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedKinesis").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// An [`EmbeddedKinesis`] refused something.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// What the service would have said over HTTP.
    #[error("{code}: {message}")]
    Service {
        /// Such as `ResourceNotFoundException`.
        code: String,
        /// For people.
        message: String,
    },
    /// The change was accepted but has not come into force in time; a defect of the emulator.
    #[error("stream {stream} is not ACTIVE after 10 s")]
    NotActive {
        /// The stream's name.
        stream: String,
    },
    /// The server's thread has ended.
    #[error("the embedded Kinesis has stopped")]
    Stopped,
}

impl From<KinesisErrorResponse> for EmbeddedError {
    fn from(error: KinesisErrorResponse) -> Self {
        Self::Service {
            code: error.body.error_type,
            message: error.body.message.unwrap_or_else(|| "no message".to_owned()),
        }
    }
}

/// More than any test opens; the emulator's default is 10.
const OPEN_SHARDS_MAX: u32 = 1_000_000;

/// 10 MiB of records, the service's limit, is 13.4 MiB in base64. axum's default of 2 MiB would refuse full requests.
const BODY_BYTES_MAX: usize = 16 << 20;

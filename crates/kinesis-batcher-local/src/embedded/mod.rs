//! A faithful Kinesis inside this process.

mod admin;
mod records;

use std::fmt;
use std::net::SocketAddr;

use axum::extract::DefaultBodyLimit;
use axum::serve::ListenerExt;
use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::error::KinesisErrorResponse;
use ferrokinesis::store::{Store, StoreOptions};
use ferrokinesis::{create_app, validation};
use serde_json::Value;

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

/// A Kinesis inside this process, spoken to over HTTP on loopback.
///
/// It is ferrokinesis on a thread of its own. Beware where it differs from the service: a record is at most 1 MiB and
/// a request 5 MiB; ListShards knows neither NextToken nor ShardFilter; DescribeStreamSummary does not tell
/// `MaxRecordSizeInKiB`; nothing knows the `AUTO` distribution. It takes any region and credentials, and it keeps
/// everything in memory.
pub struct EmbeddedKinesis {
    server: ServerThread,
    store: Store,
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
        let app = app.layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
        let server = ServerThread::start("embedded-kinesis", bind(port)?, |listener, drain| async move {
            let listener = listener.tap_io(|connection| {
                // Without it a reply in two segments waits for the client's delayed acknowledgement.
                let _ = connection.set_nodelay(true);
            });
            // It reports errors of accepting by itself, and has no others.
            let _ = axum::serve(listener, app).with_graceful_shutdown(drain.wait()).await;
        })?;
        Ok(Self { server, store })
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
        let rules = operation.validation_rules();
        let fields: Vec<_> = rules.iter().map(|(name, field)| (*name, field)).collect();
        let input = validation::check_types(&input, &fields)?;
        validation::check_validations(&input, &fields, None)?;
        let store = self.store.clone();
        // There, and not here: ferrokinesis spawns what completes the operation.
        let done = self.server.runtime().spawn(async move { dispatch(&store, operation, input).await });
        Ok(done.await.map_err(|_| EmbeddedError::Stopped)??.unwrap_or_default())
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

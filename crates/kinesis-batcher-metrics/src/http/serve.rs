//! A small HTTP server, and what it grants to strangers.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::stall_guard::StallGuard;
#[cfg(feature = "tls")]
use super::tls::TlsIdentity;

/// Bounds of [`serve`].
#[derive(Clone, Debug)]
#[must_use = "settings take effect once something is served"]
pub struct ServeOptions {
    connections_max: usize,
    header_bytes_max: usize,
    patience: Duration,
    drain: Duration,
    #[cfg(feature = "tls")]
    tls: Option<TlsIdentity>,
}

impl ServeOptions {
    /// How many connections are served at once, from 1; 64 unless set. Others wait until one ends.
    pub fn connections_max(mut self, connections_max: usize) -> Self {
        self.connections_max = connections_max.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How many bytes the line and the headers of a request may have, from 8 KiB, the least; 16 KiB unless set. A longer
    /// one is answered with 431 and its connection closed.
    pub fn header_bytes_max(mut self, header_bytes_max: usize) -> Self {
        self.header_bytes_max = header_bytes_max.max(HEADER_BYTES_MIN);
        self
    }

    /// How long a client may take over the TLS handshake, over sending the headers of a request (while a connection is idle,
    /// too) and over taking in the next part of an answer; 15 s unless set.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long requests under way may take once the server is to stop; 5 s unless set.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Speaks HTTPS with this certificate instead of HTTP.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, identity: TlsIdentity) -> Self {
        self.tls = Some(identity);
        self
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections_max: 64,
            header_bytes_max: 16 << 10,
            patience: Duration::from_secs(15),
            drain: Duration::from_secs(5),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// Serves a router until `shutdown` ends; then takes no more connections, lets requests under way finish for a
/// [while](ServeOptions::drain), and returns once nothing of it is left.
///
/// It speaks HTTP/1.1, which is what scrapers and browsers need, and costs strangers little: see [`ServeOptions`]. Dropping
/// the future stops it at once.
///
/// ```no_run
/// use kinesis_batcher_driver::Producer;
/// use kinesis_batcher_metrics::{ListenAddress, ServeOptions, StatusOptions, router, serve};
///
/// async fn status(producer: &Producer) -> Result<(), Box<dyn std::error::Error>> {
///     let address: ListenAddress = "9464".parse()?; // of the loopback interface
///     let listener = tokio::net::TcpListener::bind(address.socket_addr()).await?;
///     let stop = async { std::future::pending().await };
///     serve(listener, router(producer, StatusOptions::default()), ServeOptions::default(), stop).await;
///     Ok(())
/// }
/// ```
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(options.connections_max));
    let (stopping, stop) = watch::channel(());
    let server = Arc::new(Server { router, stop, http: http(&options), options });
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        // Before the connection is taken: those without a place wait in the system's own, bounded, queue.
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("it is never closed");
            (slot, accept(&listener).await)
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            (slot, stream) = accepted => {
                let server = Arc::clone(&server);
                connections.spawn(async move {
                    server.connection(stream).await;
                    drop(slot);
                });
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    drop(stopping);
    let finished = async { while connections.join_next().await.is_some() {} };
    if timeout(server.options.drain, finished).await.is_err() {
        connections.shutdown().await;
    }
}

struct Server {
    router: Router,
    /// Its sender goes when the server is to stop.
    stop: watch::Receiver<()>,
    http: http1::Builder,
    options: ServeOptions,
}

impl Server {
    async fn connection(&self, stream: TcpStream) {
        let patience = self.options.patience;
        #[cfg(feature = "tls")]
        if let Some(identity) = &self.options.tls {
            // One that fails, or takes too long, is the client's affair.
            if let Ok(Ok(stream)) = timeout(patience, identity.accept(stream)).await {
                self.serve(StallGuard::new(stream, patience)).await;
            }
            return;
        }
        self.serve(StallGuard::new(stream, patience)).await;
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = TowerToHyperService::new(self.router.clone());
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut stop = self.stop.clone();
        // A connection's errors tell of its client alone.
        tokio::select! {
            _ = connection.as_mut() => {}
            _ = stop.changed() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

fn http(options: &ServeOptions) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.patience)
        .max_buf_size(options.header_bytes_max)
        .max_headers(HEADERS_MAX)
        .half_close(false);
    http
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_connection(&error) => {}
            // Out of file descriptors, as a rule: they come back when connections end, and trying at once would only
            // take the CPU that ends them.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// hyper takes no less.
const HEADER_BYTES_MIN: usize = 8 << 10;
/// Browsers behind proxies send thirty.
const HEADERS_MAX: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

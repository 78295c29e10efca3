//! The listener that speaks TLS.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use super::TestAuthority;
use super::gateway::Gateway;
use super::server::{Alpn, ServerTls, is_http2, serve_http2};
use crate::StartError;
use crate::server_thread::{ServerThread, bind};

/// Takes TLS connections on 127.0.0.1 and passes their requests to a server that speaks plain HTTP/1.1.
///
/// A connection that speaks HTTP/1.1 is passed on byte for byte, and is reset if the server resets it. Of one that
/// speaks HTTP/2, each request goes to the server by itself, and is reset (RST_STREAM) if the server ends or resets the
/// connection before its reply is complete.
pub struct TlsFront {
    server: ServerThread,
    connections: Arc<Counters>,
}

/// Connections that a [`TlsFront`] has accepted, by the protocol that was agreed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrontConnections {
    /// Those of HTTP/1.1.
    pub http1: u64,
    /// Those of HTTP/2.
    pub http2: u64,
}

#[derive(Debug, Default)]
struct Counters {
    http1: AtomicU64,
    http2: AtomicU64,
}

impl TlsFront {
    /// Listens on a free port, for the server at `behind`, with a certificate for `host` and nothing else. It offers
    /// HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// [`StartError`]
    ///
    /// # Panics
    /// When `host` is neither a name nor an address.
    pub fn start(behind: SocketAddr, authority: &TestAuthority, host: &str) -> Result<Self, StartError> {
        Self::start_with(behind, ServerTls::new(authority, host, Alpn::Both))
    }

    /// The same with a certificate and protocols of the caller's choice.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start_with(behind: SocketAddr, tls: ServerTls) -> Result<Self, StartError> {
        let connections = Arc::new(Counters::default());
        let counters = Arc::clone(&connections);
        let server = ServerThread::start("tls-front", bind(0)?, move |listener, drain| async move {
            tokio::select! {
                () = serve(listener, tls, behind, counters) => {}
                () = drain.wait() => {}
            }
        })?;
        Ok(Self { server, connections })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What a client takes as its endpoint, such as `https://localhost:4567`. That is what it looks for in the
    /// certificate.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("https://localhost:{}", self.address().port())
    }

    /// The connections so far, closed ones included.
    #[must_use]
    pub fn connections(&self) -> FrontConnections {
        FrontConnections {
            http1: self.connections.http1.load(Ordering::Relaxed),
            http2: self.connections.http2.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for TlsFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFront").field("address", &self.address()).finish_non_exhaustive()
    }
}

async fn serve(listener: TcpListener, tls: ServerTls, behind: SocketAddr, counters: Arc<Counters>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    drop(connections.spawn(pass(client, tls.clone(), behind, Arc::clone(&counters))));
                }
                // Out of file descriptors, which passes.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            // Without this, finished connections would pile up.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass(client: TcpStream, tls: ServerTls, behind: SocketAddr, counters: Arc<Counters>) {
    let _ = client.set_nodelay(true);
    // A client that rejects the certificate ends the handshake.
    let Ok(client) = tls.accept(client).await else { return };
    if is_http2(&client) {
        counters.http2.fetch_add(1, Ordering::Relaxed);
        let gateway = Arc::new(Gateway::to(behind));
        serve_http2(client, tls.windows(), move |request| Arc::clone(&gateway).pass(request)).await;
    } else {
        counters.http1.fetch_add(1, Ordering::Relaxed);
        copy(client, behind).await;
    }
}

async fn copy(mut client: TlsStream<TcpStream>, behind: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(behind).await else { return };
    let _ = server.set_nodelay(true);
    if tokio::io::copy_bidirectional(&mut client, &mut server).await.is_err() {
        // Dropped with a linger of zero, a socket sends RST. Both sides learn of it whichever began.
        let _ = client.get_ref().0.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

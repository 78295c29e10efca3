//! The listener that speaks TLS.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use super::TestAuthority;
use crate::StartError;
use crate::server_thread::{ServerThread, bind};

/// Takes TLS connections on 127.0.0.1 and passes what comes through them to a server that speaks plain TCP, byte for
/// byte. A connection that the server resets is reset.
pub struct TlsFront {
    server: ServerThread,
}

impl TlsFront {
    /// Listens on a free port, for the server at `behind`, with a certificate for `host` and nothing else.
    ///
    /// # Errors
    /// [`StartError`]
    ///
    /// # Panics
    /// When `host` is neither a name nor an address.
    pub fn start(behind: SocketAddr, authority: &TestAuthority, host: &str) -> Result<Self, StartError> {
        let (certificate, key) = authority.issue(host);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for the versions that rustls calls safe")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key is that of the certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = ServerThread::start("tls-front", bind(0)?, move |listener, drain| async move {
            tokio::select! {
                () = serve(listener, acceptor, behind) => {}
                () = drain.wait() => {}
            }
        })?;
        Ok(Self { server })
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
}

impl fmt::Debug for TlsFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFront").field("address", &self.address()).finish_non_exhaustive()
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(connections.spawn(pass(client, acceptor.clone(), behind))),
                // Out of file descriptors, which passes.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            // Without this, finished connections would pile up.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass(client: TcpStream, acceptor: TlsAcceptor, behind: SocketAddr) {
    let _ = client.set_nodelay(true);
    // A client that does not like the certificate says so and goes.
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let Ok(mut server) = TcpStream::connect(behind).await else { return };
    let _ = server.set_nodelay(true);
    if tokio::io::copy_bidirectional(&mut client, &mut server).await.is_err() {
        // Dropped with a linger of zero, a socket sends RST. Both sides learn of it whichever began.
        let _ = client.get_ref().0.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

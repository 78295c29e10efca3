//! A thread with a runtime of its own, on which a server lives until it is told to stop.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

/// A server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program listens on the port.
    #[error(
        "port {port} on 127.0.0.1 is taken by another program: stop that program, choose another port, or use port 0 \
         for any free one"
    )]
    PortTaken {
        /// The port that was asked for.
        port: u16,
    },
    /// The operating system refuses the port.
    #[error(
        "cannot listen on port {port} of 127.0.0.1: {source}; choose a port above 1023, or 0 for any free one"
    )]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server's thread or its event loop could not be set up.
    #[error("cannot start the server's thread: {0}")]
    Thread(io::Error),
    /// An option is out of its range; the text names it, and the range.
    #[error("{0}")]
    Option(String),
}

/// Listens on 127.0.0.1; port 0 is any free port.
pub(crate) fn bind(port: u16) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { port },
        _ => StartError::Listen { port, source },
    })?;
    listener.set_nonblocking(true).map_err(|source| StartError::Listen { port, source })?;
    Ok(listener)
}

/// Where a server on this listener is reached.
pub(crate) fn endpoint_url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Resolves when the server shall take no more connections and finish what it has.
pub(crate) struct DrainSignal(watch::Receiver<Stop>);

impl DrainSignal {
    pub(crate) async fn wait(mut self) {
        // A closed channel means that the server was dropped, which is as good a reason to drain.
        let _ = self.0.wait_for(|stop| *stop != Stop::No).await;
    }
}

/// Stops its server when dropped.
pub(crate) struct ServerThread {
    address: SocketAddr,
    #[cfg(any(feature = "embedded", feature = "hostile"))]
    runtime: tokio::runtime::Handle,
    stop: watch::Sender<Stop>,
    ended: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ServerThread {
    /// Runs `serve` on a thread named `name` until it returns, the server is stopped, or it is dropped.
    pub(crate) fn start<S, F>(name: &str, listener: TcpListener, serve: S) -> Result<Self, StartError>
    where
        S: FnOnce(tokio::net::TcpListener, DrainSignal) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let address = listener.local_addr().map_err(StartError::Thread)?;
        let runtime =
            Builder::new_current_thread().enable_io().enable_time().build().map_err(StartError::Thread)?;
        #[cfg(any(feature = "embedded", feature = "hostile"))]
        let handle = runtime.handle().clone();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(StartError::Thread)?
        };
        let (stop, stopped) = watch::channel(Stop::No);
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, DrainSignal(stopped.clone())) => {}
                        () = stop_at_once(stopped) => {}
                    }
                });
                // Cuts the connections that are left before anybody is told that this is over.
                drop(runtime);
                let _ = end.send(());
            })
            .map_err(StartError::Thread)?;
        Ok(Self {
            address,
            #[cfg(any(feature = "embedded", feature = "hostile"))]
            runtime: handle,
            stop,
            ended: Some(ended),
            thread: Some(thread),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The runtime the server lives on: for work beside it, and for timers.
    #[cfg(any(feature = "embedded", feature = "hostile"))]
    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// Lets the server finish what it is doing, for at most [`DRAIN_TIMEOUT`].
    pub(crate) async fn shutdown(mut self) {
        self.stop.send_replace(Stop::Drain);
        if let Some(ended) = self.ended.take() {
            let _ = ended.await;
        }
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        self.stop.send_replace(Stop::Now);
        if let Some(thread) = self.thread.take() {
            // A panic in the server has been printed by its thread, and clients saw their connections end.
            let _ = thread.join();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Drain,
    Now,
}

async fn stop_at_once(mut stop: watch::Receiver<Stop>) {
    if let Ok(Stop::Drain) = stop.wait_for(|stop| *stop != Stop::No).await.map(|stop| *stop) {
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, stop.wait_for(|stop| *stop == Stop::Now)).await;
    }
}

/// How long a graceful stop waits for requests that are under way: these servers answer in milliseconds, so whatever
/// takes longer was meant to hang.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_taken_port_is_named_with_what_to_do_about_it() {
        let first = bind(0).unwrap();
        let port = first.local_addr().unwrap().port();
        let error = bind(port).unwrap_err();
        assert!(matches!(error, StartError::PortTaken { port: named } if named == port), "got {error:?}");
        let text = error.to_string();
        assert!(
            text.contains(&port.to_string()) && text.contains("choose another port"),
            "unhelpful: {text}"
        );
    }

    #[test]
    fn a_dropped_server_has_freed_its_port() {
        // More than once, since another program may take a port in the moment it is free.
        let freed = (0..5).any(|_| {
            let server = ServerThread::start("test", bind(0).unwrap(), |listener, _drain| async move {
                let _listener = listener;
                std::future::pending::<()>().await;
            });
            let server = server.unwrap();
            let port = server.address().port();
            assert!(
                matches!(bind(port), Err(StartError::PortTaken { .. })),
                "the server holds its port while it lives"
            );
            drop(server);
            bind(port).is_ok()
        });
        assert!(freed, "the port is free once drop has returned");
    }

    #[test]
    fn a_server_that_drains_ends_by_itself() {
        let server = ServerThread::start("test", bind(0).unwrap(), |_listener, drain| drain.wait()).unwrap();
        let waiting = Builder::new_current_thread().build().unwrap();
        waiting.block_on(server.shutdown());
    }
}

//! `--listen`: an HTTP service that tells of the run.

use std::io;
use std::time::Duration;

use kinesis_batcher_driver::Producer;
use kinesis_batcher_metrics::{
    Credentials, CredentialsError, ListenAddress, ServeOptions, StatusOptions, router, serve,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::StatusArgs;
use crate::exit::StartError;
use crate::output;

/// An address that is taken, and those who may look.
pub(super) struct Status {
    listener: TcpListener,
    address: ListenAddress,
    credentials: Option<Credentials>,
}

/// The service while it runs. Stopped at once when the runtime ends.
pub(super) struct Serving {
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Status {
    /// Takes the address, if one was given: before anything is sent, as a run that cannot be watched is not what was
    /// asked for.
    ///
    /// # Errors
    /// An address that cannot be had; a file of credentials that cannot be used.
    pub(super) async fn bind(args: &StatusArgs) -> Result<Option<Self>, StartError> {
        let Some(address) = args.listen else { return Ok(None) };
        let credentials = match &args.listen_auth {
            None => None,
            Some(path) => Some(Credentials::from_file(path).map_err(|error| {
                let advice = match error {
                    CredentialsError::Unreadable(_) => "; check the path and its permissions",
                    _ => "",
                };
                StartError::new(format!("cannot use '{}' for --listen-auth: {error}{advice}", path.display()))
            })?),
        };
        let listener = TcpListener::bind(address.socket_addr()).await;
        let listener = listener.map_err(|error| unbound(address, &error))?;
        Ok(Some(Self { listener, address, credentials }))
    }

    /// Serves the producer's figures, and says where.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(super) fn serve(self, producer: &Producer, stream: &str) -> Serving {
        let Self { listener, address, credentials } = self;
        // Port 0 was any; a listener that does not know its own address has one the user knows.
        let bound = listener.local_addr().unwrap_or(address.socket_addr());
        let open = credentials.is_none() && !address.is_loopback();
        let warning = if open {
            "; anybody who reaches it may look (--listen-auth FILE asks for a password)"
        } else {
            ""
        };
        output::note(&format!("status page on http://{bound}/, metrics on http://{bound}/metrics{warning}"));
        let mut options = StatusOptions::default().stream(stream);
        if let Some(credentials) = credentials {
            options = options.credentials(credentials);
        }
        let router = router(producer, options);
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async {
                // A sender that was dropped means the same.
                let _ = stopped.await;
            };
            serve(listener, router, ServeOptions::default().drain(DRAIN), stopped).await;
        });
        Serving { stop, server }
    }
}

impl Serving {
    /// Lets answers under way finish, for at most a second, and leaves nothing behind.
    pub(super) async fn stop(self) {
        // One that has ended by a panic needs no telling, and has printed it.
        let _ = self.stop.send(());
        let _ = self.server.await;
    }
}

fn unbound(address: ListenAddress, error: &io::Error) -> StartError {
    let problem = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken; choose another port, or 0 for any free one".to_owned()
        }
        io::ErrorKind::PermissionDenied => "that is not permitted; choose a port from 1024 on".to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address; a port alone is one of the loopback interface"
                .to_owned()
        }
        _ => format!("{error}; choose another address"),
    };
    StartError::new(format!("cannot listen on {address}: {problem}"))
}

/// An answer takes milliseconds; who waits for the command to end waits for no browser.
const DRAIN: Duration = Duration::from_secs(1);

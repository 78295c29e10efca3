//! Servers that nobody here wrote: kinesalite and kinesis-mock from npm, as child processes.
//!
//! They are pinned with this crate, installed on first use (which takes the network and some seconds) and kept in the
//! cargo target directory for the next time (which takes neither). `node` 18 or later and `npm` must be in the PATH.
//! Everything here blocks its thread.
//!
//! ```no_run
//! use kinesis_batcher_local::node::{NodeKinesis, NodeServer};
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let Some(kinesis) = NodeKinesis::start_or_skip(NodeServer::Kinesalite)? else { return Ok(()) };
//! kinesis.client().create_stream("clicks", 4)?;
//! // … let a client of kinesis.endpoint_url() send to it …
//! println!("{} records", kinesis.client().stored_records("clicks")?.len());
//! # Ok(())
//! # }
//! ```

mod install;
mod process;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use install::{Programs, install};
use process::NodeProcess;

use crate::RawClient;

/// A server from npm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeServer {
    /// kinesalite 3.3: fast enough for tens of thousands of records. It has no ARNs, no UpdateShardCount, no limits and
    /// no StreamModeDetails, and closes connections that are idle for 5 s.
    Kinesalite,
    /// kinesis-mock 0.6 (npm `kinesis-local`): records of up to 10 MiB, ARNs, on-demand streams and UpdateShardCount,
    /// but some 2,000 records a second and half a megabyte. It accepts requests of more than 500 entries, and its
    /// GetRecords fails on a record of 10 MiB that its PutRecords took; 9 MiB come back.
    KinesisMock,
}

/// Why a server from npm could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A program is not in the PATH; the one error that [`NodeKinesis::start_or_skip`] may skip.
    #[error("`{program}` is not installed: install node 18 or later with npm, or leave these tests out")]
    NodeMissing {
        /// `node` or `npm`.
        program: String,
    },
    /// `npm ci` failed.
    #[error("npm cannot install the servers into {directory}: {output}")]
    Install {
        /// Where to.
        directory: String,
        /// The end of what npm said.
        output: String,
    },
    /// The server ended, or did not listen in 60 s.
    #[error("{server:?} does not start: {output}")]
    Start {
        /// Which one.
        server: NodeServer,
        /// The end of what it said.
        output: String,
    },
    /// The file system or the operating system refuses something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A server from npm, as a child process that listens on loopback alone.
///
/// It is killed when this is dropped, and ends by itself should this process be killed first.
#[derive(Debug)]
pub struct NodeKinesis {
    process: NodeProcess,
}

impl NodeKinesis {
    /// Installs the servers if need be, starts one on free ports, and waits until it listens.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start(server: NodeServer) -> Result<Self, NodeError> {
        Self::start_in(server, &install::default_cache())
    }

    /// As [`start`](Self::start), with the installation in a directory of the caller's choice.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start_in(server: NodeServer, cache: &Path) -> Result<Self, NodeError> {
        let programs = Programs::default();
        let directory = install(&programs, cache)?;
        Ok(Self { process: NodeProcess::start(&programs, server, &directory)? })
    }

    /// As [`start`](Self::start), for tests: without node or npm it gives `None` and prints one line that begins with
    /// `skipped:` on standard error, past the capturing of tests. With `KINESIS_BATCHER_REQUIRE_NODE=1` in the
    /// environment that is an error like any other.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start_or_skip(server: NodeServer) -> Result<Option<Self>, NodeError> {
        let required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
        let started = skip_unless(required, Self::start(server))?;
        if let Err(missing) = &started {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                // Not by a macro: what those print is only shown for tests that fail.
                let _ = writeln!(io::stderr(), "skipped: tests against servers from npm: {missing}");
            });
        }
        Ok(started.ok())
    }

    /// Where it listens for plain HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.process.plain_port).into()
    }

    /// Where it listens for TLS with a certificate of its own: kinesis-mock alone.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.process.tls_port.map(|port| (Ipv4Addr::LOCALHOST, port).into())
    }

    /// What a client takes as its endpoint.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A client to create streams and read them back with, patient enough for the slower server.
    #[must_use]
    pub fn client(&self) -> RawClient {
        RawClient::new(self.address()).with_timeout(Duration::from_secs(60))
    }
}

/// The missing program is good news for some, and bad for others.
fn skip_unless<T>(required: bool, result: Result<T, NodeError>) -> Result<Result<T, NodeError>, NodeError> {
    match result {
        Err(missing @ NodeError::NodeMissing { .. }) if !required => Ok(Err(missing)),
        Err(error) => Err(error),
        Ok(started) => Ok(Ok(started)),
    }
}

const REQUIRE_VARIABLE: &str = "KINESIS_BATCHER_REQUIRE_NODE";

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Result<(), NodeError> {
        Err(NodeError::NodeMissing { program: "node".to_owned() })
    }

    #[test]
    fn a_missing_node_is_skipped_only_where_it_is_not_required() {
        assert!(matches!(skip_unless(false, missing()), Ok(Err(NodeError::NodeMissing { .. }))));
        assert!(matches!(skip_unless(true, missing()), Err(NodeError::NodeMissing { .. })));
    }

    #[test]
    fn any_other_failure_is_never_skipped() {
        let failed = || {
            Err::<(), _>(NodeError::Install { directory: "d".to_owned(), output: "no network".to_owned() })
        };
        assert!(skip_unless(false, failed()).is_err(), "an installation that fails is an error everywhere");
        assert!(skip_unless(true, failed()).is_err());
    }
}

//! What can go wrong before a request is on its way.

use std::fmt;

use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::retry::ErrorKind;
use kinesis_batcher_aws::NotConnected;

use super::destination::Destination;

/// The request's URL names no server.
#[derive(Debug)]
pub(super) struct BadUri;

impl fmt::Display for BadUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the endpoint is no absolute http or https URL")
    }
}

impl std::error::Error for BadUri {}

/// No connection was made, so nothing was sent.
#[derive(Debug)]
pub(super) enum DialError {
    /// The system, the server or a proxy says no, for now. The text is one line and says who.
    Failed(String),
    /// As above, by the system.
    Io(std::io::Error),
    /// It took too long.
    TimedOut,
    /// No attempt can succeed until the program or the machine is set up differently.
    Setup(String),
}

impl DialError {
    /// The same error of the way to a proxy: the user has to look there, and not at the service.
    pub(super) fn of_proxy(self, proxy: &Destination) -> Self {
        let named = |cause: &dyn fmt::Display| format!("the proxy {proxy} cannot be reached: {cause}");
        match self {
            Self::Failed(text) => Self::Failed(named(&text)),
            Self::Io(error) => Self::Failed(named(&error)),
            other => other,
        }
    }
}

impl From<std::io::Error> for DialError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Setup(text) => f.write_str(text),
            Self::Io(error) => fmt::Display::fmt(error, f),
            Self::TimedOut => f.write_str("no connection within the connect time-out"),
        }
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Failed(_) | Self::TimedOut | Self::Setup(_) => None,
        }
    }
}

impl From<DialError> for ConnectorError {
    fn from(error: DialError) -> Self {
        let class = match error {
            DialError::Failed(_) | DialError::Io(_) => Self::io,
            DialError::TimedOut => Self::timeout,
            DialError::Setup(_) => Self::user,
        };
        class(NotConnected::new(error).into()).never_connected()
    }
}

/// The connection was lost, and none of the request had been written to it.
pub(super) fn not_sent(error: hyper::Error) -> ConnectorError {
    ConnectorError::io(NotConnected::new(error).into()).never_connected()
}

/// The connection was lost, or what came back is no HTTP: who knows what became of the request.
///
/// Never a user error, though hyper may call it one: the SDK takes those for requests that were not sent.
pub(super) fn outcome_unknown(error: hyper::Error) -> ConnectorError {
    if error.is_incomplete_message() {
        ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
    } else if error.is_parse() {
        ConnectorError::other(error.into(), None)
    } else {
        ConnectorError::io(error.into())
    }
}

/// The request was sent, or some of it, and no reply has begun.
pub(super) fn no_reply() -> ConnectorError {
    ConnectorError::timeout("no reply within the read time-out".into())
}

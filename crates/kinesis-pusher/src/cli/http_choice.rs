//! `--http-version`

use clap::ValueEnum;
use kinesis_batcher_tokio::HttpVersion;

/// Which HTTP to speak over TLS. Without TLS it is always HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HttpChoice {
    /// HTTP/1.1, a connection for each request in flight
    #[value(name = "1.1")]
    Http1,
    /// HTTP/2 and nothing else, one connection for all
    #[value(name = "2")]
    Http2,
    /// HTTP/2 where the endpoint offers it
    #[value(name = "auto")]
    Negotiated,
}

impl From<HttpChoice> for HttpVersion {
    fn from(choice: HttpChoice) -> Self {
        match choice {
            HttpChoice::Http1 => Self::Http1,
            HttpChoice::Http2 => Self::Http2,
            HttpChoice::Negotiated => Self::Negotiated,
        }
    }
}

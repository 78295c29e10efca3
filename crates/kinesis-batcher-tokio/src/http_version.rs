//! The choice between HTTP/1.1 and HTTP/2.

/// The version of HTTP that is spoken over TLS. Without TLS it is always HTTP/1.1.
///
/// Endpoints of AWS offer both (S-39; `docs/DESIGN.md` says why HTTP/1.1 is the default, with figures). Over HTTP/1.1, each
/// request in flight has a connection of its own; over HTTP/2, all share one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.1, which every server and proxy speaks.
    #[default]
    Http1,
    /// HTTP/2. A server that does not offer it is an error, and nothing is sent to it.
    Http2,
    /// HTTP/2 from a server that offers it, HTTP/1.1 from any other.
    Negotiated,
}

impl HttpVersion {
    /// The names to offer by ALPN (RFC 7301), the preferred one first.
    pub(crate) fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Http1 => &[HTTP1],
            Self::Http2 => &[H2],
            Self::Negotiated => &[H2, HTTP1],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

pub(crate) const H2: &[u8] = b"h2";
pub(crate) const HTTP1: &[u8] = b"http/1.1";

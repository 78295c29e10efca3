//! Where to listen.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// An address to listen on, as users write it: `9464` and `:9464` are ports of the loopback interface, which nobody
/// outside the machine can reach; others name the interface, as `0.0.0.0:9464` and `[::]:9464` name all.
///
/// ```
/// let address: kinesis_batcher_metrics::ListenAddress = "9464".parse()?;
/// assert_eq!(address.socket_addr(), "127.0.0.1:9464".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(SocketAddr);

impl ListenAddress {
    /// The address, for [`TcpListener::bind`](tokio::net::TcpListener::bind).
    #[must_use]
    pub fn socket_addr(self) -> SocketAddr {
        self.0
    }

    /// Whether nobody outside the machine can reach it.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0.ip().is_loopback()
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let port = text.strip_prefix(':').unwrap_or(text);
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let address = match port.strip_prefix("localhost:").unwrap_or(port).parse() {
            Ok(port) => Ok(loopback(port)),
            Err(_) => text.parse(),
        };
        address.map(Self).map_err(|_| ListenAddressError { text: text.to_owned() })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Text that is no [`ListenAddress`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddressError {
    text: String,
}

impl fmt::Display for ListenAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no address to listen on; write a port, such as 9464, or 0.0.0.0:9464", self.text)
    }
}

impl std::error::Error for ListenAddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_the_loopback_interface() {
        for text in ["9464", ":9464", "localhost:9464", "127.0.0.1:9464"] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), "127.0.0.1:9464", "{text:?} is loopback");
            assert!(address.is_loopback());
        }
        assert!(!"0.0.0.0:9464".parse::<ListenAddress>().unwrap().is_loopback());
        assert!(!"[::]:9464".parse::<ListenAddress>().unwrap().is_loopback());
        assert!("[::1]:9464".parse::<ListenAddress>().unwrap().is_loopback());
    }

    #[test]
    fn what_is_no_address_is_named_in_the_error() {
        for text in ["", "host", "65536", "host:80", "1.2.3.4"] {
            let error = text.parse::<ListenAddress>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?}")), "{error}");
        }
    }
}

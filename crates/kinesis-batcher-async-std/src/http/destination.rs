//! Where a request goes.

use std::fmt;

use http::Uri;

use super::error::BadUri;

/// A server as requests name it: what connections are kept for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) secure: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Destination {
    /// # Errors
    /// Anything but an absolute http or https URL.
    pub(super) fn of(uri: &Uri) -> Result<Self, BadUri> {
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadUri),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(BadUri)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host: host.to_owned(), port })
    }

    /// As in `CONNECT`: with the port, whatever it is.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &'static str) -> Result<(bool, String, u16), BadUri> {
        Destination::of(&Uri::from_static(uri)).map(|d| (d.secure, d.host, d.port))
    }

    #[test]
    fn ports_default_to_those_of_the_scheme_and_brackets_go() {
        assert_eq!(of("https://kinesis.eu-west-1.amazonaws.com/").unwrap().2, 443);
        assert_eq!(of("http://[::1]/").unwrap(), (false, "::1".into(), 80));
        assert_eq!(of("http://127.0.0.1:4567/x").unwrap(), (false, "127.0.0.1".into(), 4567));
        let destination = Destination::of(&Uri::from_static("https://[::1]:8443")).unwrap();
        assert_eq!(destination.authority(), "[::1]:8443");
    }

    #[test]
    fn what_names_no_server_is_refused() {
        assert!(of("/path").is_err());
        assert!(of("ftp://host/").is_err());
    }
}

//! Looking into errors that wrap errors.

use std::error::Error;
use std::{fmt, io};

/// Marks an error of a connector: no connection was made, so nothing was sent.
///
/// A failed connection is no reason to call records possibly stored. The SDK has no word for it, so a connector that
/// knows says so by putting this into the chain of the error it returns.
#[derive(Debug)]
pub struct NotConnected(Box<dyn Error + Send + Sync>);

impl NotConnected {
    /// Wraps the connector's own error, which stays visible as the source.
    #[must_use]
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection was made")
    }
}

impl Error for NotConnected {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Whether the error says for certain that no connection was made.
pub(crate) fn is_not_connected(error: &(dyn Error + 'static)) -> bool {
    find_in_chain::<NotConnected>(error).is_some()
        // A connection that stands is reset or broken, never refused.
        || find_in_chain::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The first error of this type among the error and its sources.
pub(crate) fn find_in_chain<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The message of the last source: what went wrong at the lowest level.
pub(crate) fn deepest_message(error: &(dyn Error + 'static)) -> String {
    let deepest = chain(error).last().unwrap_or(error);
    match deepest.downcast_ref::<io::Error>() {
        Some(error) if error.raw_os_error().is_some() => message_of_system(error),
        _ => one_line(&deepest.to_string()),
    }
}

/// The system's errors of connections in Rust's words, which are the same on all systems and have no number.
fn message_of_system(error: &io::Error) -> String {
    use io::ErrorKind::*;
    match error.kind() {
        kind @ (ConnectionRefused | ConnectionReset | ConnectionAborted | NotConnected | BrokenPipe
        | TimedOut | HostUnreachable | NetworkUnreachable | NetworkDown | AddrNotAvailable) => {
            kind.to_string()
        }
        _ => one_line(&error.to_string()),
    }
}

/// The text without line breaks, and not without end.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error passes over the error it wraps and names that one's source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped))
    })
    .take(CHAIN_MAX)
}

/// More than any error of the SDK has; an error that is its own source would go round for ever.
const CHAIN_MAX: usize = 32;
/// As much as still reads as one line.
const MESSAGE_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_is_certain_not_to_have_been_made_and_a_reset_one_is_not() {
        assert!(is_not_connected(&io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert!(!is_not_connected(&io::Error::from(io::ErrorKind::ConnectionReset)));
        let dns = io::Error::other(NotConnected::new("dns error: no such host"));
        assert!(is_not_connected(&dns));
        assert_eq!(deepest_message(&dns), "dns error: no such host");
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(deepest_message(&NotConnected::new(refused)), "connection refused");
    }

    #[test]
    fn long_messages_of_many_lines_become_a_short_one() {
        let line = one_line(&"a\nb ".repeat(1_000));
        assert!(line.starts_with("a b a b") && line.ends_with('…'));
        assert_eq!(line.chars().count(), MESSAGE_CHARS_MAX + 1);
    }
}

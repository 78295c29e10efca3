//! Idle connections, kept for the next request.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::destination::Destination;

/// Connections at rest, in the order in which they came to it.
///
/// Nothing watches them meanwhile. Those whose time is over are closed when the pool is next used; the SDK's clients
/// have no other moment at which it would matter.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<VecDeque<Idle>>,
}

#[derive(Debug)]
struct Idle {
    destination: Destination,
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// The connection that rested last, if there is one that is still open.
    pub(super) fn take(&self, destination: &Destination) -> Option<Connection> {
        loop {
            let (expired, found) = {
                let mut idle = self.lock();
                let expired = remove_expired(&mut idle, Instant::now());
                let index = idle.iter().rposition(|idle| idle.destination == *destination);
                (expired, index.and_then(|index| idle.remove(index)))
            };
            // Closing sockets is not done under the lock, nor is asking one whether it is open.
            drop(expired);
            let mut connection = found?.connection;
            if connection.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose reply has been read, unless it has ended.
    pub(super) fn put(&self, destination: Destination, mut connection: Connection) {
        if !connection.is_idle() {
            return;
        }
        let now = Instant::now();
        let mut idle = self.lock();
        let expired = remove_expired(&mut idle, now);
        let surplus = if idle.len() >= CONNECTIONS_MAX { idle.pop_front() } else { None };
        idle.push_back(Idle { destination, connection, since: now });
        drop(idle);
        drop((expired, surplus));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_expired(idle: &mut VecDeque<Idle>, now: Instant) -> Vec<Idle> {
    let count = idle.partition_point(|idle| now.saturating_duration_since(idle.since) >= IDLE_TIME_MAX);
    idle.drain(..count).collect()
}

/// Sixteen times the requests that a producer has in flight unless told otherwise.
const CONNECTIONS_MAX: usize = 256;
/// A minute is what load balancers and emulators commonly give a silent connection, so most are closed by this side and
/// few requests meet a connection that the server is just closing.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    use async_io::{Async, block_on};

    fn destination(port: u16) -> Destination {
        Destination { secure: false, host: "localhost".into(), port }
    }

    fn connection() -> (Connection, Async<UnixStream>) {
        let (ours, theirs) = Async::<UnixStream>::pair().unwrap();
        (block_on(Connection::new(Box::new(ours))).unwrap(), theirs)
    }

    #[test]
    fn a_connection_is_for_its_own_destination() {
        let pool = Pool::default();
        let (kept, _server) = connection();
        pool.put(destination(1), kept);
        assert!(pool.take(&destination(2)).is_none());
        assert!(pool.take(&destination(1)).is_some());
        assert!(pool.take(&destination(1)).is_none(), "it is taken out");
    }

    #[test]
    fn a_connection_that_its_server_has_closed_is_not_given_out() {
        let pool = Pool::default();
        let ((kept, server), (closed, gone)) = (connection(), connection());
        pool.put(destination(1), kept);
        pool.put(destination(1), closed);
        drop(gone);
        assert!(pool.take(&destination(1)).is_some(), "the other one is open");
        assert!(pool.take(&destination(1)).is_none());
        drop(server);
    }

    #[test]
    fn the_oldest_makes_way_when_there_are_too_many() {
        let pool = Pool::default();
        let mut servers = vec![];
        for port in 0..=CONNECTIONS_MAX {
            let (kept, server) = connection();
            pool.put(destination(u16::try_from(port).unwrap()), kept);
            servers.push(server);
        }
        assert_eq!(pool.lock().len(), CONNECTIONS_MAX);
        assert!(pool.take(&destination(0)).is_none());
        assert!(pool.take(&destination(1)).is_some());
    }

    #[test]
    fn a_connection_is_closed_when_its_time_is_over() {
        let pool = Pool::default();
        let (kept, server) = connection();
        pool.put(destination(1), kept);
        let rested = Instant::now() - IDLE_TIME_MAX;
        pool.lock()[0].since = rested;
        assert!(pool.take(&destination(2)).is_none(), "whatever is asked for");
        assert!(pool.lock().is_empty());
        let mut end = [0];
        assert_eq!(block_on(futures_lite::io::AsyncReadExt::read(&mut &server, &mut end)).unwrap(), 0);
    }
}

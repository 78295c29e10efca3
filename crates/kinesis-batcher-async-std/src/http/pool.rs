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

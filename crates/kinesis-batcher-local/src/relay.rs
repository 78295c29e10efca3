//! A way to a server that takes time and loses segments.
//!
//! A [`Relay`] listens on 127.0.0.1 and passes bytes on, in order, each half a round trip after it came. What it models,
//! and what it does not:
//!
//! - **Round trip.** Half in each direction. A connection is set up at once, so what the client sends first waits for one
//!   more round trip, as if it had waited for the handshake of TCP.
//! - **Loss.** Nothing is lost on loopback, so a loss is a delay: TCP repeats a lost segment about a round trip later and
//!   passes nothing on before it, so everything behind it in that direction of that connection waits for a round trip. That
//!   a sender slows down after a loss is not modelled; a figure with losses is therefore the better case.
//! - **Window.** What is under way in a direction is bounded, as by the buffers of TCP; a sender waits for room.
//! - **Bandwidth.** Bytes of one direction of one connection leave one after the other, at a rate if one is set.
//!
//! ```
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use kinesis_batcher_local::relay::{Relay, RelayOptions};
//!
//! let server = "127.0.0.1:4567".parse()?;
//! let options = RelayOptions { round_trip: Duration::from_millis(5), ..RelayOptions::default() };
//! let relay = Relay::start(server, options)?;
//! println!("the server is 5 ms away at {}", relay.address());
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::StartError;
use crate::server_thread::bind;

/// How a [`Relay`] passes bytes on.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// From a request to the reply of a server that answers at once; zero by default.
    pub round_trip: Duration,
    /// The share of segments of 1,448 bytes that are lost, 0–1; 0 by default.
    pub loss: f64,
    /// Bytes a second, for each direction of each connection; `None`, the default, is no limit.
    pub bytes_per_second: Option<u64>,
    /// How many bytes may be under way in each direction of each connection; at least 1, 4 MiB by default, to which Linux
    /// grows the send buffer of a connection (tcp(7), `tcp_wmem`).
    pub buffer_bytes_max: usize,
    /// Of the random numbers that choose lost segments.
    pub seed: u64,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            round_trip: Duration::ZERO,
            loss: 0.0,
            bytes_per_second: None,
            buffer_bytes_max: 4 << 20,
            seed: 1,
        }
    }
}

/// A relay before a server; see the [module](self). Dropping it ends its connections.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    /// Listens on a free port, for the server at `to`.
    ///
    /// # Errors
    /// [`StartError`], for an option out of its range too.
    pub fn start(to: SocketAddr, options: RelayOptions) -> Result<Self, StartError> {
        if !(0.0..=1.0).contains(&options.loss) {
            return Err(StartError::Option("loss must be 0–1".to_owned()));
        }
        if options.buffer_bytes_max == 0 || options.bytes_per_second == Some(0) {
            return Err(StartError::Option(
                "buffer_bytes_max and bytes_per_second must be at least 1".to_owned(),
            ));
        }
        let listener = bind(0)?;
        listener.set_nonblocking(false).map_err(StartError::Thread)?;
        let address = listener.local_addr().map_err(StartError::Thread)?;
        let shared = Arc::new(Shared {
            to,
            options,
            stopped: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            connections: Mutex::default(),
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(THREAD_NAME.to_owned());
            thread.spawn(move || shared.accept(&listener)).map_err(StartError::Thread)?
        };
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections so far, closed ones included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Ends every connection at once. What is under way is lost.
    pub fn cut_connections(&self) {
        for connection in &*self.shared.connections() {
            connection.cut();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // The thread waits for a client: this is one.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        let connections = std::mem::take(&mut *self.shared.connections());
        connections.into_iter().for_each(Connection::end);
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).finish_non_exhaustive()
    }
}

struct Shared {
    to: SocketAddr,
    options: RelayOptions,
    stopped: AtomicBool,
    accepted: AtomicU64,
    connections: Mutex<Vec<Connection>>,
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            // A server that is not there refuses the client in the only way that is left.
            let Ok(server) = TcpStream::connect(self.to) else { continue };
            let number = self.accepted.fetch_add(1, Ordering::Relaxed);
            let Some(connection) = Connection::open(client, server, &self.options, number) else { continue };
            let mut connections = self.connections();
            let (ended, alive) = connections.drain(..).partition(Connection::has_ended);
            *connections = alive;
            connections.push(connection);
            drop(connections);
            let ended: Vec<Connection> = ended;
            ended.into_iter().for_each(Connection::end);
        }
    }

    /// Nothing panics while it is locked.
    fn connections(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's connection and the one to the server, with two threads for each direction.
struct Connection {
    lines: [Arc<Line>; 2],
    threads: Vec<JoinHandle<()>>,
}

impl Connection {
    /// `None` when the operating system is out of handles or threads.
    fn open(client: TcpStream, server: TcpStream, options: &RelayOptions, number: u64) -> Option<Self> {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client, server) = (Arc::new(client), Arc::new(server));
        let seed = options.seed.wrapping_add(number.wrapping_mul(2));
        let up = Line::new(Arc::clone(&client), Arc::clone(&server), options.buffer_bytes_max);
        let down = Line::new(server, client, options.buffer_bytes_max);
        let mut connection = Self { lines: [Arc::clone(&up), Arc::clone(&down)], threads: Vec::new() };
        let connected_at = Instant::now() + options.round_trip;
        let jobs: [(Arc<Line>, Pace); 2] = [
            (up, Pace::new(options, seed, connected_at)),
            (down, Pace::new(options, seed.wrapping_add(1), connected_at)),
        ];
        for (line, pace) in jobs {
            let reader = Arc::clone(&line);
            let name = || std::thread::Builder::new().name(THREAD_NAME.to_owned());
            let spawned = [name().spawn(move || reader.read(pace)), name().spawn(move || line.write())];
            for thread in spawned {
                match thread {
                    Ok(thread) => connection.threads.push(thread),
                    Err(_) => {
                        connection.end();
                        return None;
                    }
                }
            }
        }
        Some(connection)
    }

    fn has_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    fn cut(&self) {
        self.lines.iter().for_each(|line| line.cut());
    }

    fn end(self) {
        self.cut();
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// When bytes arrive at the other end.
struct Pace {
    half_trip: Duration,
    bytes_per_second: Option<u64>,
    /// Of 2^32 segments.
    lost: u64,
    random: u64,
    /// When the line has sent all it was given.
    free_at: Instant,
    /// When the last bytes arrive, which no later ones overtake.
    last_due: Instant,
}

impl Pace {
    fn new(options: &RelayOptions, seed: u64, connected_at: Instant) -> Self {
        Self {
            half_trip: options.round_trip / 2,
            bytes_per_second: options.bytes_per_second,
            lost: (options.loss * (1_u64 << 32) as f64) as u64,
            // Never zero, which the generator would not leave.
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            free_at: connected_at,
            last_due: connected_at,
        }
    }

    fn due(&mut self, now: Instant, bytes: usize) -> Instant {
        self.free_at = self.free_at.max(now);
        if let Some(rate) = self.bytes_per_second {
            self.free_at += Duration::from_secs_f64(bytes as f64 / rate as f64);
        }
        let mut due = self.free_at + self.half_trip;
        if (0..bytes.div_ceil(SEGMENT_BYTES)).fold(false, |lost, _| self.is_lost() | lost) {
            // Selective acknowledgements repeat all segments of a window that were lost within one round trip.
            due += self.half_trip * 2;
        }
        self.last_due = self.last_due.max(due);
        self.last_due
    }

    fn is_lost(&mut self) -> bool {
        // xorshift64.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) < self.lost
    }
}

/// One direction of a connection.
struct Line {
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    bytes_max: usize,
    state: Mutex<LineState>,
    changed: Condvar,
}

#[derive(Default)]
struct LineState {
    under_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// When the end of the sender's data arrives.
    ends_at: Option<Instant>,
    /// Either end has failed.
    broken: bool,
}

impl Line {
    fn new(from: Arc<TcpStream>, to: Arc<TcpStream>, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { from, to, bytes_max, state: Mutex::default(), changed: Condvar::new() })
    }

    fn read(&self, mut pace: Pace) {
        let mut buffer = vec![0; READ_BYTES.min(self.bytes_max)];
        loop {
            let mut state = self.state();
            while state.bytes >= self.bytes_max && !state.broken {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.broken {
                return;
            }
            let room = buffer.len().min(self.bytes_max - state.bytes);
            drop(state);
            let read = match (&*self.from).read(&mut buffer[..room]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return self.cut(),
                Ok(read) => read,
            };
            let due = pace.due(Instant::now(), read);
            let mut state = self.state();
            if read == 0 {
                state.ends_at = Some(due);
            } else {
                state.under_way.push_back((due, buffer[..read].to_vec()));
                state.bytes += read;
            }
            drop(state);
            self.changed.notify_all();
            if read == 0 {
                return;
            }
        }
    }

    fn write(&self) {
        while let Some(bytes) = self.next() {
            if (&*self.to).write_all(&bytes).is_err() {
                return self.cut();
            }
            let mut state = self.state();
            state.bytes -= bytes.len();
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits for the next bytes to be due; `None` at the end, which is then passed on.
    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        loop {
            if state.broken {
                return None;
            }
            let next_at = state.under_way.front().map(|(due, _)| *due).or(state.ends_at);
            let wait = next_at.map(|due| due.saturating_duration_since(Instant::now()));
            state = match wait {
                Some(Duration::ZERO) => {
                    let next = state.under_way.pop_front();
                    if next.is_none() {
                        let _ = self.to.shutdown(Shutdown::Write);
                    }
                    return next.map(|(_, bytes)| bytes);
                }
                Some(wait) => {
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Ends both connections: an end that fails takes the other along.
    fn cut(&self) {
        let mut state = self.state();
        state.broken = true;
        drop(state);
        self.changed.notify_all();
        let _ = (self.from.shutdown(Shutdown::Both), self.to.shutdown(Shutdown::Both));
    }

    /// Nothing panics while it is locked.
    fn state(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of Ethernet, without the headers of IP and TCP and their options.
const SEGMENT_BYTES: usize = 1_448;

const READ_BYTES: usize = 64 << 10;

const THREAD_NAME: &str = "relay";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A server that sends back what it gets.
    fn echo() -> SocketAddr {
        let listener = bind(0).unwrap();
        listener.set_nonblocking(false).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                std::thread::spawn(move || {
                    let mut writer = stream.try_clone().unwrap();
                    let _ = std::io::copy(&mut stream, &mut writer);
                });
            }
        });
        address
    }

    fn exchange(relay: &Relay, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                writer.write_all(bytes).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            back
        })
    }

    #[test]
    fn bytes_come_through_in_order_whatever_is_lost_and_however_small_the_window() {
        let options = RelayOptions {
            round_trip: Duration::from_micros(200),
            loss: 0.05,
            buffer_bytes_max: 10_000,
            ..RelayOptions::default()
        };
        let relay = Relay::start(echo(), options).unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
        assert!(exchange(&relay, &bytes) == bytes, "what comes back is what was sent");
        assert_eq!(relay.connections(), 1);
    }

    #[test]
    fn a_reply_takes_a_round_trip_and_the_first_one_two() {
        let round_trip = Duration::from_millis(20);
        let relay = Relay::start(echo(), RelayOptions { round_trip, ..RelayOptions::default() }).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        for trips in [2, 1, 1] {
            let start = Instant::now();
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            assert!(start.elapsed() >= round_trip * trips, "{trips} took {:?}", start.elapsed());
        }
    }

    #[test]
    fn a_lost_segment_holds_back_everything_behind_it() {
        let options =
            RelayOptions { round_trip: Duration::from_millis(10), loss: 1.0, ..RelayOptions::default() };
        let now = Instant::now();
        let mut pace = Pace::new(&options, 1, now);
        assert_eq!(pace.due(now, 1), now + Duration::from_millis(15), "half a trip, and one more");
        pace.lost = 0;
        assert_eq!(pace.due(now, 1), now + Duration::from_millis(15), "not before the one that was lost");
        let later = now + Duration::from_millis(30);
        assert_eq!(pace.due(later, 1), later + Duration::from_millis(5));
    }

    #[test]
    fn losses_are_as_frequent_as_asked_for() {
        let options = RelayOptions { loss: 0.001, ..RelayOptions::default() };
        let mut pace = Pace::new(&options, 7, Instant::now());
        let lost = (0..1_000_000).filter(|_| pace.is_lost()).count();
        assert!((800..1_200).contains(&lost), "{lost} of 1,000,000");
    }

    #[test]
    fn cut_connections_end_on_both_sides_and_the_relay_takes_new_ones() {
        let relay = Relay::start(echo(), RelayOptions::default()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        relay.cut_connections();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "the client sees the end");
        assert_eq!(exchange(&relay, b"again"), b"again");
    }

    #[test]
    fn options_out_of_their_range_are_refused_by_name() {
        for (options, name) in [
            (RelayOptions { loss: 1.5, ..RelayOptions::default() }, "loss"),
            (RelayOptions { buffer_bytes_max: 0, ..RelayOptions::default() }, "buffer_bytes_max"),
        ] {
            let error = Relay::start(SocketAddr::from(([127, 0, 0, 1], 1)), options).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

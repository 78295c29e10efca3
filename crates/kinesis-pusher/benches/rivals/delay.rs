//! A way to the server that takes its time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::common::server::Server;

/// Starts to listen before the server, and gives the address. What the server says arrives `delay` later. Its threads
/// end with the bench; their CPU is not that of any contestant.
pub(crate) fn delayed(server: &Server, delay: Duration) -> SocketAddr {
    let upstream = server.endpoint_url().trim_start_matches("http://");
    let upstream: SocketAddr = upstream.parse().expect("the server has an address");
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface takes a server");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(upstream) else { return };
            relay(client, server, delay);
        }
    });
    address
}

/// A thread that reads what the client says, one that reads what the server says, and one that says it later.
fn relay(client: TcpStream, server: TcpStream, delay: Duration) {
    client.set_nodelay(true).expect("a socket takes options");
    server.set_nodelay(true).expect("a socket takes options");
    let clone = |stream: &TcpStream| stream.try_clone().expect("there are descriptors left");
    let (from_client, from_server, mut to_client, mut to_server) =
        (clone(&client), clone(&server), client, server);
    thread::spawn(move || {
        forward(from_client, |bytes| to_server.write_all(bytes).is_ok());
        let _ = to_server.shutdown(Shutdown::Write);
    });
    // One request is in flight on a connection, so that there is never more than a reply in it.
    let (later, replies) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        forward(from_server, |bytes| later.send((Instant::now() + delay, bytes.to_vec())).is_ok());
    });
    thread::spawn(move || {
        for (at, bytes) in replies {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to_client.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
}

fn forward(mut from: TcpStream, mut to: impl FnMut(&[u8]) -> bool) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if !to(&chunk[..count]) {
            return;
        }
    }
}

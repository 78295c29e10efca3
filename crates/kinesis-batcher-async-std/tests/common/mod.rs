//! An HTTP proxy that tunnels, for tests.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Takes `CONNECT` on loopback, one thread a direction and connection, until the process ends.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// The head of each request.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Answers with `status`, and if that is 200 makes the connection.
    pub(crate) fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, seen) = (client.unwrap(), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let head = read_head(&mut client);
                    let server = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
                    seen.lock().unwrap().push(head);
                    write!(client, "HTTP/1.1 {status} Whatever\r\nVia: test\r\n\r\n").unwrap();
                    if status == 200 {
                        let server = TcpStream::connect(server).unwrap();
                        let backwards = (server.try_clone().unwrap(), client.try_clone().unwrap());
                        std::thread::spawn(move || pass(backwards.0, backwards.1));
                        pass(client, server);
                    }
                });
            }
        });
        Self { address, heads }
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn read_head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

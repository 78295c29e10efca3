//! New connections: name, TCP, proxy, TLS.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use async_io::{Async, Timer};
use kinesis_batcher_aws::CaBundle;

use super::destination::Destination;
use super::error::DialError;
use super::io::Socket;
use super::proxy::Proxies;
use super::tls::Tls;

/// Makes connections.
#[derive(Debug)]
pub(super) struct Dialer {
    proxies: Proxies,
    tls: Tls,
}

impl Dialer {
    pub(super) fn new(ca_bundle: CaBundle) -> Self {
        Self { proxies: Proxies::from_environment(), tls: Tls::new(ca_bundle) }
    }

    pub(super) async fn dial(&self, destination: &Destination) -> Result<Box<dyn Socket>, DialError> {
        if !destination.secure {
            return connect(destination).await;
        }
        let socket = match self.proxies.proxy_for(destination)? {
            Some(proxy) => {
                let socket = connect(&proxy.server).await.map_err(|error| error.of_proxy(&proxy.server))?;
                let socket = match proxy.server.secure {
                    true => self.tls.handshake(&proxy.server.host, socket).await?,
                    false => socket,
                };
                proxy.tunnel(socket, destination).await?
            }
            None => connect(destination).await?,
        };
        self.tls.handshake(&destination.host, socket).await
    }
}

/// A TCP connection to the first address that takes one.
async fn connect(destination: &Destination) -> Result<Box<dyn Socket>, DialError> {
    let addresses = alternate(&resolve(destination).await?);
    if addresses.is_empty() {
        return Err(DialError::Failed(format!("{} has no address", destination.host)));
    }
    let stream = race(addresses, ATTEMPT_DELAY, Async::<TcpStream>::connect).await?;
    // Requests are written as a whole; waiting for more would only delay them.
    stream.get_ref().set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// The addresses in an order that changes the family with each, beginning with the resolver's first (RFC 8305, 4).
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_preferred = |address: &SocketAddr| address.is_ipv6() == addresses[0].is_ipv6();
    let (preferred, others): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| is_preferred(address));
    let mut others = others.into_iter();
    let mut order: Vec<SocketAddr> = vec![];
    for address in preferred {
        order.push(address);
        order.extend(others.next());
    }
    order.extend(others);
    order.truncate(ADDRESSES_MAX);
    order
}

/// Tries each address, the next one when an attempt fails or `delay` has passed since the last one began (RFC 8305, 5). The
/// first connection wins, and the other attempts are given up.
async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    delay: Duration,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut attempts: Vec<Pin<Box<F>>> = vec![];
    let mut next_at = Timer::after(Duration::ZERO);
    let mut failure = None;
    poll_fn(|cx| {
        loop {
            let mut index = 0;
            let mut has_failed = false;
            while index < attempts.len() {
                match attempts[index].as_mut().poll(cx) {
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Ok(connected)),
                    Poll::Ready(Err(error)) => {
                        failure = Some(error);
                        has_failed = true;
                        drop(attempts.swap_remove(index));
                    }
                    Poll::Pending => index += 1,
                }
            }
            let is_time = Pin::new(&mut next_at).poll(cx).is_ready();
            match waiting.len() {
                0 if attempts.is_empty() => {
                    let none = || io::Error::from(io::ErrorKind::AddrNotAvailable);
                    return Poll::Ready(Err(failure.take().unwrap_or_else(none)));
                }
                0 => return Poll::Pending,
                _ if !(is_time || has_failed || attempts.is_empty()) => return Poll::Pending,
                _ => {
                    attempts.extend(waiting.next().map(|address| Box::pin(attempt(address))));
                    next_at = Timer::after(delay);
                }
            }
        }
    })
    .await
}

async fn resolve(destination: &Destination) -> Result<Vec<SocketAddr>, DialError> {
    let Destination { host, port, .. } = destination;
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, *port)]);
    }
    let name = (host.clone(), *port);
    // The system's resolver blocks. The thread is of the pool that async-std and smol use for such things.
    let addresses = blocking::unblock(move || name.to_socket_addrs()).await;
    let addresses =
        addresses.map_err(|error| DialError::Failed(format!("{host} has no address: {error}")))?;
    Ok(addresses.collect())
}

/// RFC 8305, 8: the delay that it recommends between attempts.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// A service has two to eight; each address costs a socket while it is tried.
const ADDRESSES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::time::Instant;

    use async_io::block_on;

    fn addresses(last_bytes: &[u8]) -> Vec<SocketAddr> {
        last_bytes.iter().map(|&byte| SocketAddr::from(([127, 0, 0, byte], 80))).collect()
    }

    /// The first address of the two never answers.
    #[test]
    fn an_address_that_does_not_answer_delays_a_connection_by_the_time_between_attempts() {
        let started = Instant::now();
        let delay = Duration::from_millis(20);
        let connected = race(addresses(&[1, 2]), delay, |address| async move {
            match address.ip() {
                ip if ip == IpAddr::from([127, 0, 0, 1]) => std::future::pending().await,
                ip => Ok(ip),
            }
        });
        assert_eq!(block_on(connected).unwrap(), IpAddr::from([127, 0, 0, 2]));
        assert!((delay..Duration::from_secs(10)).contains(&started.elapsed()));
    }

    #[test]
    fn a_refusal_is_followed_by_the_next_address_at_once_and_the_last_one_is_the_error() {
        let tried = RefCell::new(vec![]);
        let refuse = |address: SocketAddr| {
            tried.borrow_mut().push(address);
            std::future::ready(Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionRefused)))
        };
        let started = Instant::now();
        let error = block_on(race(addresses(&[1, 2, 3]), Duration::from_secs(600), refuse)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(tried.into_inner(), addresses(&[1, 2, 3]));
        assert!(started.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn families_take_turns() {
        let v6 = |byte: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, byte], 80));
        let v4 = addresses(&[1, 2, 3]);
        let order = alternate(&[v6(1), v6(2), v4[0], v4[1], v4[2]]);
        assert_eq!(order, [v6(1), v4[0], v6(2), v4[1], v4[2]]);
        assert_eq!(alternate(&[]), []);
    }
}

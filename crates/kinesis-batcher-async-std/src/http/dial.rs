//! New connections: name, TCP, proxy, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};

use async_io::Async;

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
    pub(super) fn from_environment() -> Self {
        Self { proxies: Proxies::from_environment(), tls: Tls::with_platform_roots() }
    }

    pub(super) async fn dial(&self, destination: &Destination) -> Result<Box<dyn Socket>, DialError> {
        if !destination.secure {
            return connect(destination).await;
        }
        let socket = match self.proxies.proxy_for(destination)? {
            Some(proxy) => {
                let socket = connect(&proxy.server).await?;
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
    let mut refusal = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", destination.host));
    for address in resolve(destination).await? {
        match Async::<TcpStream>::connect(address).await {
            Ok(stream) => {
                // Requests are written as a whole; waiting for more would only delay them.
                stream.get_ref().set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Err(error) => refusal = error,
        }
    }
    Err(refusal.into())
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

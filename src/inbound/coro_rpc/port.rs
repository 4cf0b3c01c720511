//! An address that is ours whether we listen on it or not.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system may hold before we accept them.
const BACKLOG: u32 = 1024;

/// A bound address. While nobody listens, the system refuses connections to
/// it, as clients expect of a standby (WIRE 11); yet nobody else can take it
/// for an outgoing connection.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    socket: Option<TcpSocket>,
}

impl Port {
    /// Binds without listening; port 0 takes any.
    ///
    /// # Errors
    /// When the address is not this machine's, or is taken.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = bind(address)?;
        Ok(Self { address: socket.local_addr()?, socket: Some(socket) })
    }

    /// The address, with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen.
    pub(super) fn listen(&mut self) -> io::Result<TcpListener> {
        let socket = self.socket.take().map_or_else(|| bind(self.address), Ok)?;
        socket.listen(BACKLOG)
    }

    /// Binds again after the listener is gone. A socket cannot stop to listen,
    /// so there is a moment in which the address is nobody's.
    pub(super) fn hold(&mut self) {
        match bind(self.address) {
            Ok(socket) => self.socket = Some(socket),
            Err(e) => tracing::warn!(address = %self.address, "cannot hold the Mooncake port: {e}"),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of an earlier term may still be closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

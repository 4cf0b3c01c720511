//! Connections to a gRPC port, plain or over TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};

/// Who does not finish the handshake within this is sent away.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes at work; more connections wait in the system's queue.
const HANDSHAKES_MAX: usize = 256;
/// Connections that are ready and not yet served.
const READY_MAX: usize = 64;
/// Before another try where the system has no room for a connection.
const NO_ROOM_WAIT: Duration = Duration::from_millis(100);

/// How a port speaks TLS with connections to come.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<RwLock<Arc<ServerConfig>>>);

impl ServerTls {
    pub(super) fn new(config: ServerConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    pub(super) fn replace(&self, config: ServerConfig) {
        *self.0.write() = Arc::new(config);
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.read()))
    }
}

/// Connections as they come.
pub fn plain(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> + Send {
    TcpListenerStream::new(listener).map(|socket| {
        let socket = socket?;
        socket.set_nodelay(true)?;
        Ok(socket)
    })
}

/// Connections whose handshake is done. A slow one holds up no other.
pub fn over_tls(
    listener: TcpListener,
    tls: ServerTls,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> + Send {
    let (ready, connections) = mpsc::channel(READY_MAX);
    tokio::spawn(accept(listener, tls, ready));
    ReceiverStream::new(connections)
}

async fn accept(
    listener: TcpListener,
    tls: ServerTls,
    ready: mpsc::Sender<io::Result<TlsStream<TcpStream>>>,
) {
    let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    // Closed only when the program ends.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ready.closed() => return,
        };
        let (socket, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection cannot be accepted: {error}");
                tokio::time::sleep(NO_ROOM_WAIT).await;
                continue;
            }
        };
        let (acceptor, ready) = (tls.acceptor(), ready.clone());
        tokio::spawn(async move {
            let _place = place;
            let shaken = async {
                socket.set_nodelay(true)?;
                acceptor.accept(socket).await
            };
            match tokio::time::timeout(HANDSHAKE_LIMIT, shaken).await {
                // Nobody takes it when the port is closing.
                Ok(Ok(stream)) => drop(ready.send(Ok(stream)).await),
                Ok(Err(error)) => tracing::debug!("no TLS with {from}: {error}"),
                Err(_) => tracing::debug!("no TLS with {from} within {} s", HANDSHAKE_LIMIT.as_secs()),
            }
        });
    }
}

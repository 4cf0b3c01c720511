//! A connection between a node and its coordinator that can be held or cut.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to bytes on one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Held,
    /// This many of the held bytes pass, everything after is lost.
    Only(usize),
}

#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) address: String,
    requests: Arc<watch::Sender<Way>>,
    answers: Arc<watch::Sender<Way>>,
    held: Arc<Mutex<usize>>,
}

impl Proxy {
    pub(super) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let this = Self {
            address: listener.local_addr().expect("bound").to_string(),
            requests: Arc::new(watch::channel(Way::Open).0),
            answers: Arc::new(watch::channel(Way::Open).0),
            held: Arc::default(),
        };
        let (proxy, server) = (this.clone(), server.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(forward(
                    from_client,
                    to_server,
                    proxy.requests.subscribe(),
                    Arc::clone(&proxy.held),
                ));
                tokio::spawn(forward(from_server, to_client, proxy.answers.subscribe(), Arc::default()));
            }
        });
        this
    }

    pub(super) fn hold_requests(&self) {
        *self.held.lock() = 0;
        self.requests.send_replace(Way::Held);
    }

    pub(super) fn hold_answers(&self) {
        self.answers.send_replace(Way::Held);
    }

    pub(super) fn open(&self) {
        self.requests.send_replace(Way::Open);
        self.answers.send_replace(Way::Open);
    }

    /// Bytes of requests that wait here.
    pub(super) fn held(&self) -> usize {
        *self.held.lock()
    }

    /// Lets the first `bytes` held ones pass, at last, and nothing that came after.
    pub(super) fn let_pass(&self, bytes: usize) {
        self.requests.send_replace(Way::Only(bytes));
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    count: Arc<Mutex<usize>>,
) {
    let (mut held, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    let mut ended = false;
    loop {
        let now = *way.borrow_and_update();
        let passes = match now {
            Way::Open => held.len(),
            Way::Held => 0,
            Way::Only(bytes) => bytes.min(held.len()),
        };
        if passes > 0 && to.write_all(&held[..passes]).await.is_err() {
            return;
        }
        match now {
            Way::Open => held.clear(),
            Way::Held => {}
            // Kept open: the end of the connection does not arrive either.
            Way::Only(_) => std::future::pending().await,
        }
        if ended && now == Way::Open {
            return;
        }
        tokio::select! {
            changed = way.changed() => if changed.is_err() { return },
            read = from.read(&mut buffer), if !ended => match read {
                Ok(n) if n > 0 => {
                    held.extend_from_slice(&buffer[..n]);
                    *count.lock() += n;
                }
                _ => ended = true,
            },
        }
    }
}

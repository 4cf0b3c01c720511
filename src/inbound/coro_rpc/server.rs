//! Listening while this node serves, and closing everything when it does not.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{SockRef, TcpKeepalive};
use standfast_kernel::types::Epoch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::Calls;
use super::connection::Connection;
use super::limits;
use super::port::Port;
use crate::ports::Clock;
use crate::shell::MasterService;

/// For so long after its term a node goes on accepting connections, and answers nothing on them. The
/// published client that is refused a connection tries that address again for 4.3 s before it goes
/// to the new primary; one that is accepted, and not answered, goes there at once.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// Pause before listening or accepting is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Serves until `stop`. `serving` is the epoch in which this node serves;
/// when it changes, what is unanswered is dropped, a connection is closed when
/// something is asked on it, and all are after [`FAREWELL`]: the client looks for the primary
/// again. `listening` is told when clients can connect, and when they should not any more.
pub async fn serve<C: Clock>(
    mut port: Port,
    hall: Arc<MasterService<C>>,
    mut serving: watch::Receiver<Option<Epoch>>,
    listening: Option<watch::Sender<bool>>,
    stop: CancellationToken,
) {
    let tell = |now| {
        if let Some(listening) = &listening {
            listening.send_replace(now);
        }
    };
    let calls = Arc::new(Calls::new(hall));
    while let Some(epoch) = begun(&mut serving, &stop).await {
        let term = stop.child_token();
        let connections = TaskTracker::new();
        let current = serving.clone();
        let open = || tell_open(&current, epoch, &tell);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = over(&mut serving, epoch, FAREWELL, &tell) => {}
            () = accept(&mut port, &calls, &connections, &term, &open) => {}
        }
        tell(false);
        term.cancel();
        port.hold();
        connections.close();
        connections.wait().await;
    }
}

/// The epoch in which this node serves, once it does; `None` when it stops first.
async fn begun(serving: &mut watch::Receiver<Option<Epoch>>, stop: &CancellationToken) -> Option<Epoch> {
    let epoch = tokio::select! {
        biased;
        () = stop.cancelled() => return None,
        epoch = serving.wait_for(Option::is_some) => epoch,
    };
    // The sender is gone: this node never serves again.
    epoch.ok().and_then(|epoch| *epoch)
}

/// The term has ended, and its clients have had time to hear of the next primary.
async fn over(
    serving: &mut watch::Receiver<Option<Epoch>>,
    epoch: Epoch,
    farewell: Duration,
    tell: &impl Fn(bool),
) {
    // An error means that the sender is gone, which is an end, too.
    let ended = serving.wait_for(|now| *now != Some(epoch)).await.is_ok();
    tell(false);
    if ended {
        // A next term of this node's does not wait.
        let _ = tokio::time::timeout(farewell, serving.wait_for(Option::is_some)).await;
    }
}

/// Clients can connect. It may have been tried again until after the term, which is no news for them then.
fn tell_open(serving: &watch::Receiver<Option<Epoch>>, epoch: Epoch, tell: &impl Fn(bool)) {
    tell(*serving.borrow() == Some(epoch));
}

/// Listens and accepts for as long as it is polled; says when clients can connect.
async fn accept<C: Clock>(
    port: &mut Port,
    calls: &Arc<Calls<C>>,
    connections: &TaskTracker,
    term: &CancellationToken,
    open: &impl Fn(),
) {
    let listener = listen(port).await;
    open();
    let connections_max = connections_max();
    let large_frames = Arc::new(Semaphore::new(limits::LARGE_FRAMES_MAX));
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!("cannot accept a connection: {e}");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        if connections.len() >= connections_max {
            tracing::debug!(%peer, connections_max, "refused: too many connections");
            continue;
        }
        if let Err(e) = prepare(&socket) {
            tracing::debug!(%peer, "cannot prepare the connection: {e}");
            continue;
        }
        let connection = Connection::new(socket, Arc::clone(calls), Arc::clone(&large_frames));
        let term = term.clone();
        connections.spawn(async move {
            tokio::select! {
                biased;
                () = term.cancelled() => {}
                end = connection.run() => tracing::debug!(%peer, "connection ended: {end}"),
            }
        });
    }
}

async fn listen(port: &mut Port) -> TcpListener {
    loop {
        match port.listen() {
            Ok(listener) => return listener,
            Err(e) => {
                tracing::error!(address = %port.address(), "cannot listen for Mooncake clients: {e}");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(limits::KEEPALIVE))
}

/// As many connections as the limit allows while half of the process's file
/// descriptors stay free for peers and operators.
fn connections_max() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, hard)| {
        let wanted = (2 * limits::CONNECTIONS_MAX as u64).min(hard).max(soft);
        let raised = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
        if raised.is_ok() { wanted } else { soft }
    });
    limit.map_or(limits::CONNECTIONS_MAX, |files| limits::CONNECTIONS_MAX.min(files as usize / 2))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_port_that_is_taken_until_after_the_term_brings_no_clients_here() {
        let told = Cell::new(false);
        let tell = |now| told.set(now);
        let (serve, serving) = watch::channel(Some(Epoch(7)));
        tell_open(&serving, Epoch(7), &tell);
        assert!(told.get(), "the term lasts");
        for after in [None, Some(Epoch(9))] {
            serve.send_replace(after);
            tell_open(&serving, Epoch(7), &tell);
            assert!(!told.get(), "{after:?}");
        }
    }

    #[tokio::test]
    async fn a_term_that_is_over_ends_after_the_farewell_or_with_the_next_one() {
        const HOUR: Duration = Duration::from_secs(3600);
        let (serve, mut serving) = watch::channel(Some(Epoch(7)));
        let listening = Cell::new(true);
        let tell = |now| listening.set(now);
        let waits = tokio::time::timeout(RETRY, over(&mut serving, Epoch(7), Duration::ZERO, &tell)).await;
        assert!(waits.is_err() && listening.get(), "it serves");

        serve.send_replace(None);
        over(&mut serving, Epoch(7), RETRY, &tell).await;
        assert!(!listening.get(), "clients should go elsewhere");
        let waits = tokio::time::timeout(RETRY, over(&mut serving, Epoch(7), HOUR, &tell)).await;
        assert!(waits.is_err(), "they have time for it");

        serve.send_replace(Some(Epoch(9)));
        let begun = tokio::time::timeout(HOUR / 60, over(&mut serving, Epoch(7), HOUR, &tell)).await;
        assert!(begun.is_ok(), "the next term does not wait");
        drop(serve);
        let never = tokio::time::timeout(HOUR / 60, over(&mut serving, Epoch(9), HOUR, &tell)).await;
        assert!(never.is_ok(), "there will be no other");
    }
}

//! The primary's side of the replication streams (plan task 2.2): accepts
//! connections, hands their frames to the node, sends what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use standfast_kernel::replication::PrimaryFrame;
use standfast_kernel::types::ConnId;
use standfast_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};

use super::convert::{primary_to_wire, standby_from_wire};
use super::driver::Command;

/// Frames queued for one peer. The machine keeps at most 128 batches in flight,
/// so a full queue means a peer that reads nothing: its connection is dropped.
const QUEUED_FRAMES_MAX: usize = 256;

/// What the door sends to one peer.
pub type PeerStream = mpsc::Receiver<Result<v1::PrimaryFrame, tonic::Status>>;

type PeerSender = mpsc::Sender<Result<v1::PrimaryFrame, tonic::Status>>;

/// Names of incoming connections, of whatever kind. Never reused.
#[derive(Debug, Clone, Default)]
pub struct ConnIds(Arc<AtomicU64>);

impl ConnIds {
    pub(super) fn next(&self) -> ConnId {
        ConnId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Connections of peers that dialled this node.
#[derive(Debug, Clone)]
pub struct ReplicationService {
    commands: mpsc::Sender<Command>,
    peers: Arc<Mutex<BTreeMap<ConnId, PeerSender>>>,
    ids: ConnIds,
}

impl ReplicationService {
    /// Hands frames of peers to the driver behind `commands`.
    #[must_use]
    pub fn new(commands: mpsc::Sender<Command>, ids: ConnIds) -> Self {
        Self { commands, peers: Arc::default(), ids }
    }

    /// Takes over a stream that a peer opened; returns what to send it.
    pub fn accept<E: std::fmt::Display + Send>(
        &self,
        mut incoming: impl Stream<Item = Result<v1::StandbyFrame, E>> + Send + Unpin + 'static,
    ) -> PeerStream {
        let conn = self.ids.next();
        let (tx, rx) = mpsc::channel(QUEUED_FRAMES_MAX);
        self.peers.lock().insert(conn, tx);
        let this = self.clone();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = incoming.next().await {
                match standby_from_wire(frame) {
                    Ok(frame) if this.peers.lock().contains_key(&conn) => {
                        if this.commands.send(Command::Peer(conn, frame)).await.is_err() {
                            break;
                        }
                    }
                    Ok(_) => break,
                    Err(bad) => {
                        this.close(conn, Some(&bad.to_string()));
                        break;
                    }
                }
            }
            this.close(conn, None);
            // The driver is gone only when the node stops.
            let _ = this.commands.send(Command::PeerClosed(conn)).await;
        });
        rx
    }

    pub(super) fn send(&self, conn: ConnId, frame: PrimaryFrame) {
        let Some(tx) = self.peers.lock().get(&conn).cloned() else { return };
        if tx.try_send(Ok(primary_to_wire(frame))).is_err() {
            self.close(conn, None);
        }
    }

    /// Ends a connection; the queue is flushed first.
    pub(super) fn close(&self, conn: ConnId, why: Option<&str>) {
        let peer = self.peers.lock().remove(&conn);
        if let (Some(tx), Some(why)) = (peer, why) {
            // A full queue has nobody who reads the reason.
            let _ = tx.try_send(Err(tonic::Status::invalid_argument(why)));
        }
    }
}

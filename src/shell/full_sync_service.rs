//! The primary's side of full syncs: accepts requests, hands them to the node,
//! and sends homes as fast as the standby takes them.
//!
//! What bounds memory is the transport: one home is encoded when the one before
//! has left into a queue of a few chunks, which the stream's window empties.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use standfast_kernel::replication::{CopyFrame, Dump};
use standfast_kernel::types::ConnId;
use standfast_proto::v1;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::convert::{copy_to_wire, request_from_wire};
use super::driver::Command;
use super::replication_service::ConnIds;
use crate::ports::Clock;
use crate::telemetry::Durations;

/// Chunks queued for one standby.
const QUEUED_CHUNKS_MAX: usize = 4;
/// A standby that takes no chunk for this long is gone: its stream is closed.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// What the door sends to one standby.
pub type CopyStream = mpsc::Receiver<Result<v1::FullSyncFrame, tonic::Status>>;

type CopySender = mpsc::Sender<Result<v1::FullSyncFrame, tonic::Status>>;

#[derive(Debug)]
struct Stream {
    tx: CopySender,
    /// Tells who watches for the standby's leaving that nobody sends any more.
    ended: CancellationToken,
}

/// Copies of the state that are on their way to standbys.
#[derive(Debug)]
pub struct FullSyncService<C> {
    commands: mpsc::Sender<Command>,
    streams: Arc<Mutex<BTreeMap<ConnId, Stream>>>,
    ids: ConnIds,
    clock: Arc<C>,
    durations: Arc<Durations>,
}

impl<C> Clone for FullSyncService<C> {
    fn clone(&self) -> Self {
        let (commands, streams) = (self.commands.clone(), Arc::clone(&self.streams));
        let (clock, durations) = (Arc::clone(&self.clock), Arc::clone(&self.durations));
        Self { commands, streams, ids: self.ids.clone(), clock, durations }
    }
}

impl<C: Clock> FullSyncService<C> {
    /// Hands requests to the driver behind `commands`.
    #[must_use]
    pub fn new(
        commands: mpsc::Sender<Command>,
        ids: ConnIds,
        clock: Arc<C>,
        durations: Arc<Durations>,
    ) -> Self {
        Self { commands, streams: Arc::default(), ids, clock, durations }
    }

    /// Takes over a request; returns what to send.
    ///
    /// # Errors
    /// When the request cannot be read, or the node stops.
    pub async fn accept(&self, request: v1::FullSyncRequest) -> Result<CopyStream, tonic::Status> {
        let request =
            request_from_wire(request).map_err(|bad| tonic::Status::invalid_argument(bad.to_string()))?;
        let conn = self.ids.next();
        let (tx, rx) = mpsc::channel(QUEUED_CHUNKS_MAX);
        let ended = CancellationToken::new();
        self.streams.lock().insert(conn, Stream { tx: tx.clone(), ended: ended.clone() });
        let asked = Command::CopyAsked(conn, Box::new(request));
        if self.commands.send(asked).await.is_err() {
            return Err(tonic::Status::unavailable("the node stops"));
        }
        let this = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tx.closed() => this.close(conn),
                () = ended.cancelled() => {}
            }
            drop(tx);
            // The driver is gone only when the node stops.
            let _ = this.commands.send(Command::PeerClosed(conn)).await;
        });
        Ok(rx)
    }

    pub(super) fn send(&self, conn: ConnId, frame: CopyFrame) {
        let Some(tx) = self.streams.lock().get(&conn).map(|s| s.tx.clone()) else { return };
        if tx.try_send(Ok(copy_to_wire(frame))).is_err() {
            self.close(conn);
        }
    }

    /// Ends a stream; what is queued still leaves.
    pub(super) fn close(&self, conn: ConnId) {
        if let Some(stream) = self.streams.lock().remove(&conn) {
            stream.ended.cancel();
        }
    }

    /// Sends a whole copy, home by home.
    pub(super) fn copy(&self, conn: ConnId, dump: Dump) {
        let this = self.clone();
        tokio::spawn(async move {
            this.send_all(conn, dump).await;
            this.close(conn);
        });
    }

    async fn send_all(&self, conn: ConnId, mut dump: Dump) {
        let progress = Arc::clone(dump.progress());
        loop {
            // Closed by the node: the copying was given up, or goes on elsewhere.
            let Some(tx) = self.streams.lock().get(&conn).map(|s| s.tx.clone()) else { return };
            let Ok(Ok(place)) = tokio::time::timeout(TAKEN_WITHIN, tx.reserve_owned()).await else { return };
            let (begun, locks) = (self.clock.now(), dump.is_dry());
            let Some(frame) = dump.next() else { return };
            if locks {
                let held = self.clock.now().since(begun);
                progress.held(held);
                self.durations.lock_hold.note(held);
            }
            place.send(Ok(copy_to_wire(frame)));
        }
    }
}

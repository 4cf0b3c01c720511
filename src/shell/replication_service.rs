//! The primary's side of the replication streams (plan task 2.2): accepts
//! connections, hands their frames to the node, sends what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use standfast_kernel::replication::PrimaryFrame;
use standfast_kernel::types::{ConnId, Instant, Seq};
use standfast_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};

use super::convert::{primary_to_wire, standby_from_wire};
use super::driver::Command;
use crate::ports::Clock;
use crate::telemetry::otel::TraceContext;
use crate::telemetry::{Exchange, Instruments};

/// Frames queued for one peer. The machine keeps at most 128 batches in flight,
/// so a full queue means a peer that reads nothing: its connection is dropped.
const QUEUED_FRAMES_MAX: usize = 256;

/// What the door sends to one peer.
pub type PeerStream = mpsc::Receiver<Result<v1::PrimaryFrame, tonic::Status>>;

/// A peer that dialled.
#[derive(Debug, Clone)]
struct Peer {
    tx: mpsc::Sender<Result<v1::PrimaryFrame, tonic::Status>>,
    /// How many trace contexts it was told.
    told: u64,
}

/// Names of incoming connections, of whatever kind. Never reused.
#[derive(Debug, Clone, Default)]
pub struct ConnIds(Arc<AtomicU64>);

impl ConnIds {
    pub(super) fn next(&self) -> ConnId {
        ConnId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Connections of peers that dialled this node.
#[derive(Clone)]
pub struct ReplicationService {
    commands: mpsc::Sender<Command>,
    clock: Arc<dyn Clock>,
    instruments: Instruments,
    peers: Arc<Mutex<BTreeMap<ConnId, Peer>>>,
    ids: ConnIds,
}

impl ReplicationService {
    /// Hands frames of peers to the driver behind `commands`.
    #[must_use]
    pub fn new(
        commands: mpsc::Sender<Command>,
        ids: ConnIds,
        clock: Arc<dyn Clock>,
        instruments: Instruments,
    ) -> Self {
        Self { commands, clock, instruments, peers: Arc::default(), ids }
    }

    /// Takes over a stream that a peer opened; returns what to send it.
    pub fn accept<E: std::fmt::Display + Send>(
        &self,
        mut incoming: impl Stream<Item = Result<v1::StandbyFrame, E>> + Send + Unpin + 'static,
    ) -> PeerStream {
        let conn = self.ids.next();
        let (tx, rx) = mpsc::channel(QUEUED_FRAMES_MAX);
        self.peers.lock().insert(conn, Peer { tx, told: 0 });
        let this = self.clone();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = incoming.next().await {
                this.stamp(conn, &frame);
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
            this.instruments.recorder.closed(conn);
            // The driver is gone only when the node stops.
            let _ = this.commands.send(Command::PeerClosed(conn)).await;
        });
        rx
    }

    /// Tells the flight recorder what a standby's frame is evidence of.
    fn stamp(&self, conn: ConnId, frame: &v1::StandbyFrame) {
        match &frame.frame {
            Some(v1::standby_frame::Frame::Hello(hello)) => self.instruments.recorder.peer(conn, &hello.node),
            Some(v1::standby_frame::Frame::Ack(ack)) => {
                let heard = self.clock.now();
                self.instruments.recorder.acked(conn, Seq(ack.matched), heard);
                if let (Some(received), Some(answered)) = (ack.batch_received_ns, ack.sent_ns) {
                    let (sent, received, answered) =
                        (Instant(ack.token), Instant(received), Instant(answered));
                    self.instruments.recorder.exchange(conn, &Exchange { sent, received, answered, heard });
                    if let Some(standby) = self.instruments.recorder.peer_name(conn) {
                        self.instruments.durations.acked(&standby, heard.since(sent));
                    }
                }
            }
            Some(v1::standby_frame::Frame::Refused(_) | v1::standby_frame::Frame::Verify(_)) | None => {}
        }
    }

    pub(super) fn send(&self, conn: ConnId, frame: PrimaryFrame) {
        let entries = match &frame {
            PrimaryFrame::Batch(b) => Some((b.batch.first(), b.batch.end(), b.batch.count > 0)),
            PrimaryFrame::Welcome(_) | PrimaryFrame::Beacons(_) | PrimaryFrame::Verified(_) => None,
        };
        let mut frame = primary_to_wire(frame);
        let mut peers = self.peers.lock();
        let Some(peer) = peers.get_mut(&conn) else { return };
        if let (Some((first, end, some)), Some(v1::primary_frame::Frame::Batch(b))) =
            (entries, &mut frame.frame)
        {
            if let Some(tracer) = &self.instruments.tracer {
                b.traced = tracer.untold(&mut peer.told);
            }
            if some {
                let trace = self.instruments.tracer.is_some().then(TraceContext::root);
                b.trace = trace.map(TraceContext::to_wire);
                self.instruments.recorder.sent(conn, first, end, self.clock.now(), trace);
            }
        }
        let sent = peer.tx.try_send(Ok(frame));
        drop(peers);
        if sent.is_err() {
            self.close(conn, None);
        }
    }

    /// Ends a connection; the queue is flushed first.
    pub(super) fn close(&self, conn: ConnId, why: Option<&str>) {
        let peer = self.peers.lock().remove(&conn);
        if let (Some(peer), Some(why)) = (peer, why) {
            // A full queue has nobody who reads the reason.
            let _ = peer.tx.try_send(Err(tonic::Status::invalid_argument(why)));
        }
    }
}

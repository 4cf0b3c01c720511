//! The standby's side of the replication stream (plan task 2.5): one outgoing
//! link at a time, dialled when the machine says so.

use std::sync::Arc;

use standfast_kernel::replication::{CopyRequest, StandbyFrame};
use standfast_kernel::types::Instant;
use standfast_proto::v1;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

use super::convert::{copy_from_wire, primary_from_wire, request_to_wire, standby_to_wire};
use super::driver::{Arrival, Command};
use crate::ports::{Clock, LinkFault, PeerLink};
use crate::telemetry::otel::{TraceContext, Tracer};

/// Frames queued for the primary: a hello and acknowledgements, one a batch.
const QUEUED_FRAMES_MAX: usize = 1024;
/// Chunks of a full sync on their way to the node, which then is slowed down.
const CHUNKS_IN_HAND_MAX: usize = 4;

/// The outgoing link.
pub struct HotStandbyService<L> {
    /// Who is dialled; also for those who ask it other things.
    peer: watch::Sender<Option<Arc<L>>>,
    link_to: fn(String) -> L,
    commands: mpsc::Sender<Command>,
    clock: Arc<dyn Clock>,
    tracer: Option<Arc<Tracer>>,
    /// Which link frames belong to; those of an earlier one are stale.
    generation: u64,
    current: Option<(mpsc::Sender<v1::StandbyFrame>, AbortHandle)>,
}

impl<L: PeerLink> HotStandbyService<L> {
    /// Dials `peer` by `link_to`, if there is one, and hands what it says to the driver.
    #[must_use]
    pub fn new(
        peer: Option<String>,
        link_to: fn(String) -> L,
        commands: mpsc::Sender<Command>,
        clock: Arc<dyn Clock>,
        tracer: Option<Arc<Tracer>>,
    ) -> Self {
        let peer = peer.map(|address| Arc::new(link_to(address)));
        let peer = watch::Sender::new(peer);
        Self { peer, link_to, commands, clock, tracer, generation: 0, current: None }
    }

    /// Whom this node follows, now and later.
    #[must_use]
    pub fn followed(&self) -> watch::Receiver<Option<Arc<L>>> {
        self.peer.subscribe()
    }

    /// Dials that address from now on.
    pub(super) fn follow(&mut self, address: String) {
        self.hangup();
        self.peer.send_replace(Some(Arc::new((self.link_to)(address))));
    }

    /// True when an event belongs to the link that is open now.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.current.is_some() && generation == self.generation
    }

    pub(super) fn dial(&mut self) {
        self.hangup();
        let Some(peer) = self.peer.borrow().clone() else { return };
        self.generation += 1;
        let (tx, rx) = mpsc::channel(QUEUED_FRAMES_MAX);
        let reader = Reader {
            peer,
            generation: self.generation,
            commands: self.commands.clone(),
            clock: Arc::clone(&self.clock),
            tracer: self.tracer.clone(),
        };
        let task = tokio::spawn(reader.run(rx));
        self.current = Some((tx, task.abort_handle()));
    }

    /// Asks for a copy of the primary's state, in place of any other link
    /// (plan: `ReceiveFullDump`).
    pub(super) fn receive_full_dump(&mut self, request: CopyRequest) {
        self.hangup();
        let Some(peer) = self.peer.borrow().clone() else { return };
        self.generation += 1;
        // Nothing is said on this link after the request.
        let (tx, _) = mpsc::channel(1);
        let task = tokio::spawn(fetch(peer, self.generation, request, self.commands.clone()));
        self.current = Some((tx, task.abort_handle()));
    }

    /// `received` is when the batch came in that an acknowledgement is about.
    pub(super) fn send(&mut self, frame: StandbyFrame, received: Option<Instant>) {
        let Some((tx, _)) = &self.current else { return };
        let mut frame = standby_to_wire(frame);
        if let Some(v1::standby_frame::Frame::Ack(ack)) = &mut frame.frame {
            ack.batch_received_ns = received.map(|at| at.0);
            ack.sent_ns = Some(self.clock.now().0);
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = tx.try_send(frame) {
            tracing::warn!("the primary does not read acknowledgements: link dropped");
            self.hangup();
        }
    }

    pub(super) fn hangup(&mut self) {
        if let Some((_, task)) = self.current.take() {
            task.abort();
        }
    }
}

/// Reads one link.
struct Reader<L> {
    peer: Arc<L>,
    generation: u64,
    commands: mpsc::Sender<Command>,
    clock: Arc<dyn Clock>,
    tracer: Option<Arc<Tracer>>,
}

async fn fetch<L: PeerLink>(
    peer: Arc<L>,
    generation: u64,
    request: CopyRequest,
    commands: mpsc::Sender<Command>,
) {
    let fault = |what: String| LinkFault { peer: peer.address().to_owned(), what };
    let in_hand = Arc::new(Semaphore::new(CHUNKS_IN_HAND_MAX));
    let ended = match peer.full_sync(request_to_wire(request)).await {
        Err(ended) => ended,
        Ok(mut incoming) => loop {
            let frame = match incoming.recv().await {
                Some(Ok(frame)) => copy_from_wire(frame).map_err(|bad| fault(bad.to_string())),
                Some(Err(ended)) => Err(ended),
                None => Err(fault("the stream ended".to_owned())),
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(ended) => break ended,
            };
            let Ok(permit) = Arc::clone(&in_hand).acquire_owned().await else { return };
            if commands.send(Command::Copy(generation, frame, permit)).await.is_err() {
                return;
            }
        },
    };
    // The driver is gone only when the node stops.
    let _ = commands.send(Command::LinkDown(generation, ended.to_string())).await;
}

impl<L: PeerLink> Reader<L> {
    async fn run(self, outgoing: mpsc::Receiver<v1::StandbyFrame>) {
        let fault = match self.peer.open(outgoing).await {
            Ok(incoming) => {
                if self.commands.send(Command::LinkUp(self.generation)).await.is_err() {
                    return;
                }
                self.pump(incoming).await
            }
            Err(fault) => fault,
        };
        let down = if fault.is_refusal() { Command::LinkRefused } else { Command::LinkDown };
        // The driver is gone only when the node stops.
        let _ = self.commands.send(down(self.generation, fault.to_string())).await;
    }

    async fn pump(&self, mut incoming: mpsc::Receiver<Result<v1::PrimaryFrame, LinkFault>>) -> LinkFault {
        let fault = |what: String| LinkFault { peer: self.peer.address().to_owned(), what };
        loop {
            let frame = match incoming.recv().await {
                Some(Ok(frame)) => frame,
                Some(Err(fault)) => return fault,
                None => return fault("the stream ended".to_owned()),
            };
            let mut arrival = Arrival { at: self.clock.now(), trace: None };
            if let (Some(tracer), Some(v1::primary_frame::Frame::Batch(b))) = (&self.tracer, &frame.frame) {
                tracer.heard(&b.traced);
                arrival.trace = b.trace.as_ref().and_then(TraceContext::from_wire);
            }
            let frame = match primary_from_wire(frame) {
                Ok(frame) => frame,
                Err(bad) => return fault(bad.to_string()),
            };
            if self.commands.send(Command::Link(self.generation, frame, arrival)).await.is_err() {
                return fault("the node stops".to_owned());
            }
        }
    }
}

//! The standby's side of the replication stream (plan task 2.5): one outgoing
//! link at a time, dialled when the machine says so.

use std::sync::Arc;

use standfast_kernel::replication::StandbyFrame;
use standfast_kernel::types::Instant;
use standfast_proto::v1;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::convert::{primary_from_wire, standby_to_wire};
use super::driver::Command;
use crate::ports::{Clock, LinkFault, PeerLink};

/// Frames queued for the primary: a hello and acknowledgements, one a batch.
const QUEUED_FRAMES_MAX: usize = 1024;

/// The outgoing link.
pub struct HotStandbyService<L> {
    peer: Option<Arc<L>>,
    commands: mpsc::Sender<Command>,
    clock: Arc<dyn Clock>,
    /// Which link frames belong to; those of an earlier one are stale.
    generation: u64,
    current: Option<(mpsc::Sender<v1::StandbyFrame>, AbortHandle)>,
}

impl<L: PeerLink> HotStandbyService<L> {
    /// Dials `peer`, if there is one, and hands what it says to the driver.
    #[must_use]
    pub fn new(peer: Option<L>, commands: mpsc::Sender<Command>, clock: Arc<dyn Clock>) -> Self {
        Self { peer: peer.map(Arc::new), commands, clock, generation: 0, current: None }
    }

    /// True when an event belongs to the link that is open now.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.current.is_some() && generation == self.generation
    }

    pub(super) fn dial(&mut self) {
        self.hangup();
        let Some(peer) = self.peer.clone() else { return };
        self.generation += 1;
        let (tx, rx) = mpsc::channel(QUEUED_FRAMES_MAX);
        let task =
            tokio::spawn(run(peer, self.generation, rx, self.commands.clone(), Arc::clone(&self.clock)));
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

async fn run<L: PeerLink>(
    peer: Arc<L>,
    generation: u64,
    outgoing: mpsc::Receiver<v1::StandbyFrame>,
    commands: mpsc::Sender<Command>,
    clock: Arc<dyn Clock>,
) {
    let fault = match peer.open(outgoing).await {
        Ok(incoming) => {
            if commands.send(Command::LinkUp(generation)).await.is_err() {
                return;
            }
            pump(&*peer, generation, incoming, &commands, &*clock).await
        }
        Err(fault) => fault,
    };
    // The driver is gone only when the node stops.
    let _ = commands.send(Command::LinkDown(generation, fault.to_string())).await;
}

async fn pump<L: PeerLink>(
    peer: &L,
    generation: u64,
    mut incoming: mpsc::Receiver<Result<v1::PrimaryFrame, LinkFault>>,
    commands: &mpsc::Sender<Command>,
    clock: &dyn Clock,
) -> LinkFault {
    let fault = |what: String| LinkFault { peer: peer.address().to_owned(), what };
    loop {
        let frame = match incoming.recv().await {
            Some(Ok(frame)) => primary_from_wire(frame).map_err(|bad| fault(bad.to_string())),
            Some(Err(fault)) => Err(fault),
            None => Err(fault("the stream ended".to_owned())),
        };
        match frame {
            Ok(frame) => {
                if commands.send(Command::Link(generation, frame, clock.now())).await.is_err() {
                    return fault("the node stops".to_owned());
                }
            }
            Err(fault) => return fault,
        }
    }
}

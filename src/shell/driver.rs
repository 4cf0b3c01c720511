//! The loop that owns the node's machine: events in, actions carried out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use standfast_kernel::machine::Machine;
use standfast_kernel::node::{
    Node, NodeAction, NodeEvent, NodeView, Operated, OperatorCall, Order, PromoteCall, RoleChange, RoleView,
};
use standfast_kernel::replication::{
    Admission, CopyFrame, CopyRequest, Detached, Gate, PrimaryFrame, StandbyFrame,
};
use standfast_kernel::supervisor::{LeadershipEvent, Verdict};
use standfast_kernel::types::{AckMode, ConnId, Instant, NodeId, Seq};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};

use super::history::{Former, Started};
use super::{
    FullSyncService, HotStandbyService, MasterServiceSupervisor, ReplicationService, ServingCell,
    StatusBoard, VerifyCommand,
};
use crate::ports::{Clock, PeerLink};
use crate::telemetry::Recorder;
use crate::telemetry::otel::TraceContext;

/// The machine is woken at least this often, for maintenance and the status.
pub(super) const TICK_MAX: Duration = Duration::from_millis(50);
/// Longest wait for a fresh view.
const REFRESH_MAX: Duration = Duration::from_millis(100);
/// Commands taken in before the clock is looked at again.
const COMMANDS_PER_ROUND: usize = 64;

/// What comes to the node from outside.
#[derive(Debug)]
pub enum Command {
    /// The dialled link is open.
    LinkUp(u64),
    /// The dialled link ended.
    LinkDown(u64, String),
    /// The link could not be dialled: nobody listens there.
    LinkRefused(u64, String),
    /// The dialled link's other end said something.
    Link(u64, PrimaryFrame, Arrival),
    /// Part of a copy of the primary's state came; room for another once it is taken in.
    Copy(u64, CopyFrame, OwnedSemaphorePermit),
    /// A peer asks for a copy of the state.
    CopyAsked(ConnId, Box<CopyRequest>),
    /// A peer that dialled said something.
    Peer(ConnId, StandbyFrame),
    /// That peer is gone.
    PeerClosed(ConnId),
    /// An operator wants this node to take over.
    Promote {
        /// Who asks.
        actor: String,
        /// Why.
        reason: String,
        /// Only judge.
        dry_run: bool,
        /// Where the answer goes.
        answer: oneshot::Sender<(Verdict, Option<RoleChange>)>,
    },
    /// An operator takes a standby out of the in-sync set.
    Detach {
        /// The standby.
        node: NodeId,
        /// Who asks.
        actor: String,
        /// What came of it; `None` from a node that is not primary.
        answer: oneshot::Sender<Option<Detached>>,
    },
    /// An operator orders something of a node that has a coordinator.
    Operate {
        /// What.
        order: Order,
        /// Who asks.
        actor: String,
        /// Why.
        reason: String,
        /// What came of it.
        answer: oneshot::Sender<Operated>,
    },
    /// News of the coordinator, or the end of a transaction.
    Coordinator(LeadershipEvent),
    /// Mooncake's clients can connect, or not any more.
    Listening(bool),
    /// Verification, from outside the stream.
    Verify(VerifyCommand),
    /// Somebody is about to look: publish the view of now.
    Refresh(oneshot::Sender<()>),
    /// The node stops.
    Stop,
}

/// How a frame came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When it was read.
    pub at: Instant,
    /// The span of the batch, where it is traced.
    pub trace: Option<TraceContext>,
}

/// The node has stopped and hears nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct StoppedNode;

/// How doors reach the node.
#[derive(Debug, Clone)]
pub struct NodeHandle {
    commands: mpsc::Sender<Command>,
}

impl NodeHandle {
    /// Over the driver's inbox.
    #[must_use]
    pub fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Asks for a promotion; answered when the node leads, or has refused.
    ///
    /// # Errors
    /// When the node stops first.
    pub async fn promote(
        &self,
        actor: String,
        reason: String,
        dry_run: bool,
    ) -> Result<(Verdict, Option<RoleChange>), StoppedNode> {
        let (answer, rx) = oneshot::channel();
        self.ask(Command::Promote { actor, reason, dry_run, answer }).await?;
        rx.await.map_err(|_| StoppedNode)
    }

    /// Takes a standby out of the in-sync set.
    ///
    /// # Errors
    /// When the node stops first.
    pub async fn detach(&self, node: NodeId, actor: String) -> Result<Option<Detached>, StoppedNode> {
        let (answer, rx) = oneshot::channel();
        self.ask(Command::Detach { node, actor, answer }).await?;
        rx.await.map_err(|_| StoppedNode)
    }

    /// Hands in an operator's order; answered when it is done, or refused.
    ///
    /// # Errors
    /// When the node stops first.
    pub async fn operate(
        &self,
        order: Order,
        actor: String,
        reason: String,
    ) -> Result<Operated, StoppedNode> {
        let (answer, rx) = oneshot::channel();
        self.ask(Command::Operate { order, actor, reason, answer }).await?;
        rx.await.map_err(|_| StoppedNode)
    }

    /// Lets the status show all that this node did before this call. Without an
    /// answer in time the last view stands; its own time says how old it is.
    pub async fn refresh(&self) {
        let (done, rx) = oneshot::channel();
        let refreshed = async {
            if self.ask(Command::Refresh(done)).await.is_ok() {
                // A node that stops meanwhile has published its last view.
                let _ = rx.await;
            }
        };
        let _ = tokio::time::timeout(REFRESH_MAX, refreshed).await;
    }

    /// Stops the node's loop.
    ///
    /// # Errors
    /// When it has stopped already.
    pub async fn stop(&self) -> Result<(), StoppedNode> {
        self.ask(Command::Stop).await
    }

    pub(super) async fn ask(&self, command: Command) -> Result<(), StoppedNode> {
        self.commands.send(command).await.map_err(|_| StoppedNode)
    }
}

/// What a driver is made of.
pub struct DriverParts<C, L> {
    /// The machine.
    pub node: Node,
    /// Time.
    pub clock: Arc<C>,
    /// The outgoing link.
    pub link: HotStandbyService<L>,
    /// The way to the coordinator, where there is one.
    pub supervisor: Option<MasterServiceSupervisor>,
    /// Incoming connections.
    pub peers: ReplicationService,
    /// Copies of the state on their way to peers.
    pub copies: FullSyncService<C>,
    /// Where requests find the master.
    pub serving: Arc<ServingCell>,
    /// Where operators look.
    pub board: Arc<StatusBoard>,
    /// Rung by requests that appended.
    pub appended: Arc<Notify>,
    /// When writes passed their stages.
    pub recorder: Arc<Recorder>,
    /// The inbox.
    pub commands: mpsc::Receiver<Command>,
}

/// The loop.
pub struct Driver<C, L> {
    parts: DriverParts<C, L>,
    asked: u64,
    promotes: BTreeMap<u64, oneshot::Sender<(Verdict, Option<RoleChange>)>>,
    detaches: BTreeMap<u64, oneshot::Sender<Option<Detached>>>,
    orders: BTreeMap<u64, oneshot::Sender<Operated>>,
    next_tick: Instant,
    /// When the frame came in that is being handled.
    received: Option<Instant>,
    /// When the one before it on this link came in.
    heard: Option<Instant>,
    /// The batch in that frame, and when its turn came.
    arriving: Option<(Seq, Seq, Instant, Arrival)>,
    committed: Seq,
    /// Whom this node followed last, while it was a standby.
    former: Option<Former>,
}

impl<C: Clock, L: PeerLink> Driver<C, L> {
    /// A loop over these parts.
    #[must_use]
    pub fn new(parts: DriverParts<C, L>) -> Self {
        Self {
            parts,
            asked: 0,
            promotes: BTreeMap::new(),
            detaches: BTreeMap::new(),
            orders: BTreeMap::new(),
            next_tick: Instant(0),
            received: None,
            heard: None,
            arriving: None,
            committed: Seq::FIRST,
            former: None,
        }
    }

    /// Takes the role that the node starts in, and shows it: whoever is told after this that
    /// the node listens finds it in that role.
    pub fn start(&mut self) {
        let wall = self.parts.clock.wall();
        self.handle(NodeEvent::Start(wall));
        self.tick(self.parts.clock.now());
    }

    /// Runs, once started, until it is told to stop.
    pub async fn run(mut self) {
        loop {
            let now = self.parts.clock.now();
            if now >= self.next_tick {
                self.tick(now);
            }
            let pause = self.next_tick.since(now).max(Duration::from_millis(1));
            let appended = Arc::clone(&self.parts.appended);
            tokio::select! {
                biased;
                command = self.parts.commands.recv() => {
                    if !self.commands(command) {
                        break;
                    }
                }
                () = appended.notified() => {
                    // Let requests that are running append too: one batch for all.
                    tokio::task::yield_now().await;
                    self.handle(NodeEvent::Appended);
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.parts.serving.stop();
        self.parts.link.hangup();
        self.parts.board.journal().trace_change(Instant::MAX);
    }

    fn tick(&mut self, now: Instant) {
        if self.next_tick > Instant(0) {
            self.parts.board.durations().loop_delay.note(now.since(self.next_tick));
        }
        let wall = self.parts.clock.wall();
        self.handle(NodeEvent::Tick(wall));
        let deadline = self.parts.node.deadline().unwrap_or(Instant::MAX);
        self.next_tick = deadline.min(now.plus(TICK_MAX)).max(now.plus(Duration::from_millis(1)));
        let view = self.parts.node.view(now);
        self.note_progress(&view);
        self.parts.board.publish(view);
    }

    /// For the history: whom this node follows, and who has been answered since it leads.
    fn note_progress(&mut self, view: &NodeView) {
        match &view.detail {
            RoleView::Standby(s) => {
                let ago = |age: Duration| Instant(view.at.0.saturating_sub(age.as_nanos() as u64));
                let former = |node: &NodeId| Former {
                    node: node.to_string(),
                    epoch: view.epoch.0,
                    heard: s.last_led.map(ago),
                    equal: s.equal_for.map(ago),
                };
                self.former = s.primary.as_ref().map(former);
            }
            RoleView::Primary(p) => {
                let history = self.parts.board.history();
                let answers = self.parts.serving.first_answers();
                if let Some(first) = answers.into_iter().flatten().min() {
                    history.reached("first_answer", first);
                }
                for (what, at) in ["first_read", "first_write"].into_iter().zip(answers) {
                    at.into_iter().for_each(|at| history.reached(what, at));
                }
                for peer in p.peers.iter().filter(|peer| peer.in_sync) {
                    history.joined(peer.node.as_str(), view.at);
                }
                self.parts.board.journal().trace_change(view.at);
            }
            RoleView::Candidate(_) => {}
        }
    }

    /// Takes in what has come; false when the node is to stop.
    fn commands(&mut self, first: Option<Command>) -> bool {
        let mut next = first;
        for _ in 0..COMMANDS_PER_ROUND {
            match next {
                None | Some(Command::Stop) => return false,
                Some(command) => self.command(command),
            }
            match self.parts.commands.try_recv() {
                Ok(command) => next = Some(command),
                Err(_) => return true,
            }
        }
        match next {
            None | Some(Command::Stop) => false,
            Some(command) => {
                self.command(command);
                true
            }
        }
    }

    fn command(&mut self, command: Command) {
        let event = match command {
            Command::LinkUp(g) if self.parts.link.is_current(g) => {
                self.heard = None;
                NodeEvent::LinkUp
            }
            Command::LinkDown(g, why) if self.parts.link.is_current(g) => {
                self.parts.link.hangup();
                NodeEvent::LinkDown(why)
            }
            Command::Link(g, frame, arrival) if self.parts.link.is_current(g) => {
                return self.frame(frame, arrival);
            }
            Command::LinkRefused(g, why) if self.parts.link.is_current(g) => {
                self.parts.link.hangup();
                NodeEvent::LinkRefused(why)
            }
            Command::Copy(g, frame, _permit) if self.parts.link.is_current(g) => NodeEvent::Copy(frame),
            Command::CopyAsked(conn, request) => NodeEvent::CopyAsked(conn, request),
            Command::LinkUp(_)
            | Command::LinkDown(..)
            | Command::LinkRefused(..)
            | Command::Link(..)
            | Command::Copy(..)
            | Command::Stop => return,
            Command::Coordinator(event) => NodeEvent::Coordinator(self.parts.clock.wall(), event),
            Command::Listening(listening) => {
                if listening {
                    self.parts.board.history().reached("listen", self.parts.clock.now());
                }
                NodeEvent::Listening(listening)
            }
            Command::Verify(command) => {
                command.run(self.parts.clock.now(), &mut self.parts.node);
                return;
            }
            Command::Refresh(done) => {
                self.parts.board.publish(self.parts.node.view(self.parts.clock.now()));
                let _ = done.send(());
                return;
            }
            Command::Peer(conn, frame) => NodeEvent::Peer(conn, frame),
            Command::PeerClosed(conn) => NodeEvent::PeerClosed(conn),
            Command::Promote { actor, reason, dry_run, answer } => {
                self.asked += 1;
                self.promotes.insert(self.asked, answer);
                NodeEvent::Promote(PromoteCall { request: self.asked, actor, reason, dry_run })
            }
            Command::Operate { order, actor, reason, answer } => {
                self.asked += 1;
                self.orders.insert(self.asked, answer);
                NodeEvent::Operate(OperatorCall { request: self.asked, actor, reason, order })
            }
            Command::Detach { node, actor, answer } => {
                self.asked += 1;
                self.detaches.insert(self.asked, answer);
                NodeEvent::Detach { request: self.asked, node, actor }
            }
        };
        self.handle(event);
    }

    /// Takes in a frame of the primary, and stamps a batch once it is applied.
    fn frame(&mut self, frame: PrimaryFrame, arrival: Arrival) {
        let batch = match &frame {
            PrimaryFrame::Batch(b) if b.batch.count > 0 => Some((b.batch.first(), b.batch.end())),
            PrimaryFrame::Batch(_)
            | PrimaryFrame::Welcome(_)
            | PrimaryFrame::Beacons(_)
            | PrimaryFrame::Verified(_) => None,
        };
        self.arriving = batch.map(|(first, end)| (first, end, self.parts.clock.now(), arrival));
        self.received = Some(arrival.at);
        if let Some(heard) = self.heard.replace(arrival.at) {
            self.parts.board.durations().heartbeat_gap.note(arrival.at.since(heard));
        }
        self.handle(NodeEvent::Link(frame));
        self.received = None;
    }

    /// Stamps the batch that was just applied, before its acknowledgement leaves.
    fn stamp_applied(&mut self) {
        let Some((first, end, begun, arrival)) = self.arriving.take() else { return };
        if end <= self.parts.node.log().tail() {
            let times = [arrival.at, begun, self.parts.clock.now()];
            self.parts.recorder.applied(first, end, times, arrival.trace);
        }
    }

    fn handle(&mut self, event: NodeEvent) {
        let now = self.parts.clock.now();
        let mut actions = Vec::new();
        self.parts.node.on(now, event, &mut actions);
        self.stamp_applied();
        let news = actions.iter().any(is_news);
        for action in actions {
            self.carry_out(now, action);
        }
        if news {
            self.parts.board.publish(self.parts.node.view(now));
        }
        if let Some(deadline) = self.parts.node.deadline() {
            self.next_tick = self.next_tick.min(deadline.max(now.plus(Duration::from_millis(1))));
        }
    }

    fn carry_out(&mut self, now: Instant, action: NodeAction) {
        let parts = &mut self.parts;
        match action {
            NodeAction::Dial => parts.link.dial(),
            NodeAction::Fetch(request) => parts.link.receive_full_dump(*request),
            NodeAction::Send(frame) => parts.link.send(frame, self.received),
            NodeAction::SendCopy(conn, frame) => parts.copies.send(conn, frame),
            NodeAction::Copy(conn, dump) => parts.copies.copy(conn, *dump),
            NodeAction::Hangup => parts.link.hangup(),
            NodeAction::Follow(address) => parts.link.follow(address),
            NodeAction::Transact(id, transaction) => {
                if let Some(supervisor) = &parts.supervisor {
                    supervisor.transact(id, transaction);
                }
            }
            NodeAction::ReadRecords => {
                if let Some(supervisor) = &parts.supervisor {
                    supervisor.read();
                }
            }
            NodeAction::Published(since) => {
                parts.board.history().reached("publish", now);
                tracing::info!(revision = since.0, "Mooncake's clients find this node");
            }
            NodeAction::SendPeer(conn, frame) => parts.peers.send(conn, frame),
            NodeAction::ClosePeer(conn) => {
                parts.peers.close(conn, None);
                parts.copies.close(conn);
            }
            NodeAction::Serve(master) => {
                let closed = Gate {
                    epoch: master.epoch(),
                    serve_at: Instant::MAX,
                    rights_until: Instant(0),
                    doubted: false,
                    commit: Seq::FIRST,
                    ack: AckMode::Sync,
                    admission: Admission::OPEN,
                };
                parts.serving.serve(master, parts.node.log().clone(), closed);
            }
            NodeAction::Gate(gate) => {
                parts.serving.set_gate(gate, &*parts.clock);
                if gate.commit > self.committed {
                    self.committed = gate.commit;
                    parts.recorder.committed(gate.commit, now);
                }
            }
            NodeAction::StopServing => parts.serving.stop(),
            NodeAction::Promoted(request, verdict, change) => {
                parts.board.publish(parts.node.view(now));
                if let Some(answer) = self.promotes.remove(&request) {
                    // The operator may have gone away; the change stands all the same.
                    let _ = answer.send((verdict, change));
                }
            }
            NodeAction::Operated(request, done) => {
                parts.board.publish(parts.node.view(now));
                if let Some(answer) = self.orders.remove(&request) {
                    // The operator may have gone away; what was done stands all the same.
                    let _ = answer.send(done);
                }
            }
            NodeAction::Detached(request, was_member) => {
                parts.board.publish(parts.node.view(now));
                if let Some(answer) = self.detaches.remove(&request) {
                    let _ = answer.send(was_member);
                }
            }
            NodeAction::Happened(what) => {
                let (epoch, seq) = (parts.node.max_epoch(), parts.node.log().tail());
                parts.board.journal().happened(parts.clock.wall(), epoch, seq, what);
            }
            NodeAction::Noted(note) => parts.board.history().note_automation(&note),
            NodeAction::Changed(change) => {
                let serve_at = match parts.node.view(now).detail {
                    RoleView::Primary(p) => p.gate.serve_at,
                    RoleView::Standby(_) | RoleView::Candidate(_) => now,
                };
                let (wall, former) = (parts.clock.wall(), self.former.take());
                let started = Started { now, wall, serve_at, former, change };
                parts.board.journal().changed(parts.node.log().tail(), &started);
            }
        }
    }
}

/// True for what the status must show at once, and not at the next tick only.
/// An operator's answer publishes for itself, before it is sent.
fn is_news(action: &NodeAction) -> bool {
    match action {
        NodeAction::Noted(_)
        | NodeAction::Serve(_)
        | NodeAction::StopServing
        | NodeAction::Happened(_)
        | NodeAction::Changed(_) => true,
        NodeAction::Dial
        | NodeAction::Fetch(_)
        | NodeAction::SendCopy(..)
        | NodeAction::Copy(..)
        | NodeAction::Send(_)
        | NodeAction::Hangup
        | NodeAction::Follow(_)
        | NodeAction::Transact(..)
        | NodeAction::ReadRecords
        | NodeAction::Published(_)
        | NodeAction::SendPeer(..)
        | NodeAction::ClosePeer(_)
        | NodeAction::Gate(_)
        | NodeAction::Promoted(..)
        | NodeAction::Operated(..)
        | NodeAction::Detached(..) => false,
    }
}

//! A whole node: the composition of its machines. The shell drives it with
//! real clocks and sockets, the simulation with virtual ones; both run this.

mod automation;
mod doubt;
mod force;
mod happening;
mod lead;
mod operate;
mod rehearsal;
mod role_state;
mod verify;
mod view;

pub use automation::AutomationNote;
pub use happening::{Happening, Loss, RoleChange, Severity};
pub use operate::{Operated, OperatorCall, Order};
pub use verify::{VerifyOrder, VerifyRefusal};
pub use view::{NodeView, RoleView};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::coordination::{Revision, Transaction};
use crate::lab::Sabotage;
use crate::machine::Machine;
use crate::master::{Master, MasterConfig};
use crate::oplog::{LogLimits, OpLogManager};
use crate::replication::{
    CopyFrame, CopyRequest, Detached, Dump, Gate, Hello, Identity, Keeping, PROTOCOL_VERSION, Primary,
    PrimaryAction, PrimaryEvent, PrimaryFrame, ReplicationConfig, Standby, StandbyAction, StandbyEvent,
    StandbyFrame, StandbyStart, Start, StreamRefusal, Welcome,
};
use crate::store::MetadataStore;
use crate::supervisor::{
    CallId, Cause, Certainty, Leadership, LeadershipConfig, LeadershipEvent, Reason, Role, Verdict,
};
use crate::types::{ConnId, CopyId, Epoch, Instant, NodeId, WallTime};
use lead::TermStart;
use operate::Switching;
use role_state::{Candidate, RoleState};

/// A primary that nobody follows asks its peer this often whether it is still one.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How often a primary frees what has waited in limbo.
const MAINTAIN_EVERY: Duration = Duration::from_millis(10);

/// What a node is told once.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Who it is.
    pub me: Identity,
    /// Replication.
    pub replication: ReplicationConfig,
    /// What its master is told.
    pub master: MasterConfig,
    /// Bounds of the log.
    pub log: LogLimits,
    /// Starts as the first primary instead of as a standby.
    pub bootstrap: bool,
    /// Whether there is a peer to dial.
    pub has_peer: bool,
    /// Seed of placement.
    pub seed: u64,
    /// Planted fault, where the lab is enabled.
    pub sabotage: Option<Sabotage>,
    /// With a coordinator; without, the operator decides (PROTOCOL 11).
    pub leadership: Option<LeadershipConfig>,
}

/// What can happen to a node.
#[derive(Debug)]
pub enum NodeEvent {
    /// It starts.
    Start(WallTime),
    /// The connection that it dialled is open.
    LinkUp,
    /// That connection ended, or could not be opened.
    LinkDown(String),
    /// The same, because nobody listens at the other end.
    LinkRefused(String),
    /// The other end of that connection said something.
    Link(PrimaryFrame),
    /// The other end sent part of a copy of its state.
    Copy(CopyFrame),
    /// A peer asks for a copy of the state, on a connection of its own.
    CopyAsked(ConnId, Box<CopyRequest>),
    /// A peer that dialled this node said something.
    Peer(ConnId, StandbyFrame),
    /// That peer's connection ended.
    PeerClosed(ConnId),
    /// Entries were appended by requests.
    Appended,
    /// An operator wants this node to take over.
    Promote(PromoteCall),
    /// An operator takes a standby out of the in-sync set.
    Detach {
        /// Who asks.
        request: u64,
        /// The standby.
        node: NodeId,
        /// Who asks, for the record.
        actor: String,
    },
    /// An operator orders something of a node that has a coordinator.
    Operate(OperatorCall),
    /// News of the coordinator, or the end of a transaction.
    Coordinator(WallTime, LeadershipEvent),
    /// Mooncake's clients can connect, or not any more.
    Listening(bool),
    /// Time has passed.
    Tick(WallTime),
}

/// An operator's wish to promote.
#[derive(Debug, Clone)]
pub struct PromoteCall {
    /// Names the caller in the answer.
    pub request: u64,
    /// Who asks, for the record.
    pub actor: String,
    /// Why, for the record.
    pub reason: String,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// What a node wants done.
#[derive(Debug)]
pub enum NodeAction {
    /// Connect to the peer.
    Dial,
    /// Connect to the peer and ask it for a copy of its state.
    Fetch(Box<CopyRequest>),
    /// Send this on the dialled connection.
    Send(StandbyFrame),
    /// End the dialled connection.
    Hangup,
    /// Send this to a peer that dialled.
    SendPeer(ConnId, PrimaryFrame),
    /// Send this to a peer that asked for a copy of the state.
    SendCopy(ConnId, CopyFrame),
    /// Send all this behind it, as fast as it leaves.
    Copy(ConnId, Box<Dump>),
    /// End a peer's connection.
    ClosePeer(ConnId),
    /// Begin to hand requests to this master.
    Serve(Arc<Master>),
    /// Judge answers by this from now on.
    Gate(Gate),
    /// Stop handing requests to the master and never answer those that wait.
    StopServing,
    /// Answer to a promotion: the verdict, and the change if it took place.
    Promoted(u64, Verdict, Option<RoleChange>),
    /// Answer to a detach; `None` when this node is not the primary.
    Detached(u64, Option<Detached>),
    /// Answer to an operator's order.
    Operated(u64, Operated),
    /// Carry this out on the coordinator's records; its end comes as an event.
    Transact(CallId, Box<Transaction>),
    /// Read the coordinator's records anew.
    ReadRecords,
    /// That address is to be dialled from now on.
    Follow(String),
    /// Mooncake's clients find this node since this revision.
    Published(Revision),
    /// An operator's word about automatic failover, for the history.
    Noted(AutomationNote),
    /// Something that people want to know.
    Happened(Happening),
    /// A role change, for the history.
    Changed(RoleChange),
}

/// The machine.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    store: Arc<MetadataStore>,
    log: OpLogManager,
    state: RoleState,
    max_epoch: Epoch,
    /// End of this node's last promise to any primary (PROTOCOL G2, G3).
    right_end: Instant,
    ever_streamed: bool,
    /// Entries set aside since it started, whichever copy lacked them.
    set_aside: u64,
    /// Why it is in this role.
    reason: String,
    detaching: Option<(u64, NodeId)>,
    /// Wall time as last heard, for records that people read.
    wall: WallTime,
    /// The two clocks at the last tick.
    clocks: Option<(Instant, WallTime)>,
    /// With a coordinator.
    leadership: Option<Leadership>,
    /// A takeover was sent: neither acknowledges nor grants (PROTOCOL T2).
    standing: bool,
    /// The operator who waits for it.
    promoting: Option<PromoteCall>,
    /// A switchover that an operator waits for.
    switching: Option<Switching>,
    /// Nobody listens where the holder was, or another process does.
    refused: bool,
    /// Copies on record whose nodes said, as no primary, that they have another one.
    gone: BTreeSet<CopyId>,
    /// A forced start that an operator waits for.
    forcing: Option<(OperatorCall, bool)>,
    /// The request about automatic failover that waits for the coordinator.
    automating: Option<u64>,
    /// Mooncake's clients can connect.
    listening: bool,
    next_probe: Instant,
    next_maintain: Instant,
}

impl Node {
    /// A node that has not started yet: a standby without a past.
    #[must_use]
    pub fn new(config: NodeConfig) -> Self {
        let store = Arc::new(MetadataStore::new(&config.me.cluster));
        let log = OpLogManager::new(config.log);
        let start = StandbyStart {
            max_epoch: Epoch(0),
            right_end: Instant(0),
            now: Instant(0),
            sabotage: config.sabotage,
        };
        let (me, replication) = (config.me.clone(), config.replication.clone());
        let standby = Standby::new(me, replication, Arc::clone(&store), log.clone(), &start);
        let leadership = config.leadership.clone().map(Leadership::new);
        Self {
            config,
            store,
            log,
            state: RoleState::Standby(Box::new(standby)),
            max_epoch: Epoch(0),
            right_end: Instant(0),
            ever_streamed: false,
            set_aside: 0,
            reason: "just started".into(),
            detaching: None,
            wall: WallTime(0),
            clocks: None,
            leadership,
            standing: false,
            promoting: None,
            switching: None,
            refused: false,
            gone: BTreeSet::new(),
            forcing: None,
            automating: None,
            listening: false,
            next_probe: Instant(0),
            next_maintain: Instant(0),
        }
    }

    /// The state.
    #[must_use]
    pub fn store(&self) -> &Arc<MetadataStore> {
        &self.store
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &OpLogManager {
        &self.log
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.config.me
    }

    /// Its role.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.standing { Role::Candidate } else { self.state.role() }
    }

    /// Highest epoch seen.
    #[must_use]
    pub fn max_epoch(&self) -> Epoch {
        self.max_epoch
    }

    /// It follows, and its last attempt to lead came to nothing.
    #[must_use]
    pub fn is_waiting_to_lead(&self) -> bool {
        self.role() == Role::Standby && self.leadership.as_ref().is_some_and(Leadership::has_failed)
    }

    /// Whether its homes form one prefix of its log (PROTOCOL S6).
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.state.standby().is_none_or(Standby::is_sealed)
    }

    fn start(&mut self, now: Instant, wall: WallTime, out: &mut Vec<NodeAction>) {
        // Once: whoever has seen an epoch, its own included, begins no first one.
        if self.config.bootstrap && self.leadership.is_none() && self.max_epoch == Epoch(0) {
            let change = RoleChange::bootstrap(Epoch(1));
            let (keeping, read_ttl_max) = (Keeping::Manual, Duration::ZERO);
            let start = TermStart {
                cause: Cause::Bootstrap,
                serve_at: now,
                hold_until: now,
                change,
                keeping,
                read_ttl_max,
            };
            self.begin(now, wall, start, out);
        }
    }

    /// Begins to decide (PROTOCOL T3, S8). O(1): the store and the log are ready.
    fn begin(&mut self, now: Instant, wall: WallTime, start: TermStart, out: &mut Vec<NodeAction>) {
        let TermStart { cause, serve_at, hold_until, change, keeping, read_ttl_max } = start;
        let epoch = change.epoch;
        self.max_epoch = epoch;
        let seed = self.config.seed ^ epoch.0.rotate_left(32);
        let sabotage = self.config.sabotage;
        let start = crate::master::MasterStart { epoch, since: now, hold_until, seed, sabotage };
        let (store, log) = (Arc::clone(&self.store), self.log.clone());
        let master =
            Arc::new(Master::new(Arc::clone(&store), log.clone(), self.config.master.clone(), &start));
        if let Keeping::Recorded(record) = &keeping {
            master.bound_leases(record.isr.read_ttl_max);
        }
        let start = crate::replication::PrimaryStart { epoch, serve_at, now, keeping };
        let (me, mut replication) = (self.config.me.clone(), self.config.replication.clone());
        // Leases of earlier primaries may outlive this one, too (PROTOCOL A3).
        replication.read_ttl_max = replication.read_ttl_max.max(read_ttl_max);
        let primary = Primary::new(me, replication, store, log, start);
        if !mutant!(NoTermRecord) {
            master.begin_term(wall, self.config.me.node.as_str(), self.config.me.copy);
        }
        let gate = primary.gate();
        self.enter(cause, RoleState::Primary(Box::new(primary), Arc::clone(&master)), change.reason.clone());
        // At once: what is recorded of the change takes time, in which nothing would be answered.
        out.extend([NodeAction::Serve(master), NodeAction::Gate(gate)]);
        out.push(NodeAction::Happened(Happening::role_changed(Role::Primary, epoch, &change.reason)));
        out.push(NodeAction::Changed(change));
        self.primary_event(now, PrimaryEvent::Appended, out);
    }

    fn enter(&mut self, cause: Cause, state: RoleState, reason: String) {
        let to = self.transition(cause);
        invariant!(state.role() == to, "{cause} leads to {to}, not to {}", state.role());
        (self.state, self.standing, self.reason) = (state, false, reason);
    }

    /// The role that follows by the table.
    fn transition(&self, cause: Cause) -> Role {
        let from = self.role();
        let to = from.after(cause);
        invariant!(to.is_some(), "no transition from {from} by {cause}");
        to.unwrap_or(from)
    }

    /// Follows again, keeping the state: it may be the only other complete copy
    /// (PROTOCOL T5). Waiting replies are never sent.
    fn step_down(&mut self, now: Instant, seen: Epoch, out: &mut Vec<NodeAction>) {
        if let RoleState::Standby(standby) = &mut self.state {
            standby.saw(seen);
            self.max_epoch = self.max_epoch.max(seen);
            return self.give_up(now, format!("epoch {seen} was seen"), Certainty::Known, out);
        }
        let was = self.role();
        self.switchover_ends(now, seen, out);
        self.leave_role(seen, out);
        self.log.pin(None);
        self.max_epoch = self.max_epoch.max(seen);
        if !mutant!(OwnLeasesForgot) {
            self.right_end = self.right_end.max(now);
        }
        let start = StandbyStart {
            max_epoch: self.max_epoch,
            right_end: self.right_end,
            now,
            sabotage: self.config.sabotage,
        };
        let (me, replication) = (self.config.me.clone(), self.config.replication.clone());
        let standby = Standby::new(me, replication, Arc::clone(&self.store), self.log.clone(), &start);
        self.ever_streamed = false;
        let reason = format!("stepped down from {was}: epoch {seen} was seen");
        self.enter(Cause::HigherEpoch, RoleState::Standby(Box::new(standby)), reason.clone());
        out.push(NodeAction::Happened(Happening::role_changed(Role::Standby, seen, &reason)));
    }

    /// Ends what belongs to the role: nobody waits for an answer or a frame
    /// that will not come.
    fn leave_role(&self, seen: Epoch, out: &mut Vec<NodeAction>) {
        out.push(NodeAction::Hangup);
        match &self.state {
            RoleState::Standby(_) => {}
            RoleState::Candidate(c) => {
                let text = format!("another node leads since epoch {seen}");
                let reasons = vec![Reason { code: "superseded", text }];
                out.push(NodeAction::Promoted(c.call.request, Verdict { reasons }, None));
            }
            RoleState::Primary(primary, _) => {
                if !mutant!(DeposedKeepsServing) {
                    out.push(NodeAction::StopServing);
                }
                out.extend(primary.connections().map(NodeAction::ClosePeer));
            }
        }
    }

    fn promote(&mut self, now: Instant, wall: WallTime, call: PromoteCall, out: &mut Vec<NodeAction>) {
        let verdict = self.verdict(now);
        if call.dry_run || !verdict.is_yes() {
            out.push(NodeAction::Promoted(call.request, verdict, None));
            return;
        }
        if self.leadership.is_some() {
            let event = LeadershipEvent::TakeOver { actor: call.actor.clone(), reason: call.reason.clone() };
            self.promoting = Some(call);
            return self.leadership_event(now, wall, event, out);
        }
        self.standby_event(now, StandbyEvent::StopGranting, out);
        let Some(standby) = self.state.standby() else { return };
        let (primary_tail, commit) = (standby.view(now).primary_tail, standby.commit_known());
        let (read_ttl_max, ack) = (standby.read_ttl_max(), standby.ack_on_record());
        self.right_end = self.right_end.max(standby.right_end());
        let until = if mutant!(NoGrantWait) { now } else { self.right_end };
        let reason = format!("{} asked: {}", call.actor, call.reason);
        let candidate = Candidate { call, asked: now, until, primary_tail, commit, ack, read_ttl_max };
        self.enter(Cause::Operator, RoleState::Candidate(Box::new(candidate)), reason);
        let text = "stopped following; waiting until the own last promise is over";
        out.push(NodeAction::Happened(Happening::role_changed(Role::Candidate, self.max_epoch, text)));
    }

    fn promise_over(&mut self, now: Instant, wall: WallTime, out: &mut Vec<NodeAction>) {
        let RoleState::Candidate(c) = &self.state else { return };
        if now < c.until {
            return;
        }
        let epoch = Epoch(self.max_epoch.0 + 1);
        let change = c.change(now, epoch, self.log.tail());
        let request = c.call.request;
        let start = TermStart {
            cause: Cause::PromiseOver,
            serve_at: self.right_end,
            hold_until: self.hold_after(c.read_ttl_max),
            change: change.clone(),
            keeping: Keeping::Manual,
            read_ttl_max: c.read_ttl_max,
        };
        self.begin(now, wall, start, out);
        out.push(NodeAction::Promoted(request, Verdict { reasons: Vec::new() }, Some(change)));
    }

    fn peer(&mut self, now: Instant, conn: ConnId, frame: StandbyFrame, out: &mut Vec<NodeAction>) {
        if self.role() == Role::Primary {
            return self.primary_event(now, PrimaryEvent::Frame(conn, frame), out);
        }
        if let StandbyFrame::Hello(hello) = frame {
            let welcome = self.not_primary(now, &hello, out);
            out.push(NodeAction::SendPeer(conn, PrimaryFrame::Welcome(welcome)));
        }
        out.push(NodeAction::ClosePeer(conn));
    }

    fn copy_asked(&mut self, now: Instant, conn: ConnId, asked: Box<CopyRequest>, out: &mut Vec<NodeAction>) {
        if self.role() == Role::Primary {
            return self.primary_event(now, PrimaryEvent::CopyAsked(conn, asked), out);
        }
        let welcome = self.not_primary(now, &asked.hello, out);
        out.push(NodeAction::SendCopy(conn, CopyFrame::Welcome(welcome)));
        out.push(NodeAction::ClosePeer(conn));
    }

    /// What a node that does not decide says to a greeting.
    fn not_primary(&mut self, now: Instant, hello: &Hello, out: &mut Vec<NodeAction>) -> Welcome {
        let refusal = if hello.cluster == self.config.me.cluster.as_str() {
            self.learn(now, hello.max_epoch, out);
            StreamRefusal::NotPrimary
        } else {
            StreamRefusal::Cluster(self.config.me.cluster.to_string())
        };
        Welcome {
            epoch: self.max_epoch,
            node: self.config.me.node.clone(),
            copy: self.config.me.copy,
            start: Start::Refused(refusal),
        }
    }

    /// A higher epoch anywhere ends what this node does in a lower one.
    fn learn(&mut self, now: Instant, seen: Epoch, out: &mut Vec<NodeAction>) {
        if seen > self.max_epoch {
            self.step_down(now, seen, out);
        }
    }

    fn link(&mut self, now: Instant, frame: PrimaryFrame, out: &mut Vec<NodeAction>) {
        self.refused |= self.holder_is_gone(&frame);
        self.note_returned(&frame);
        match (&self.state, &frame) {
            (RoleState::Standby(standby), _) => {
                let led_at = standby.led_at();
                self.standby_event(now, StandbyEvent::Frame(frame), out);
                // A primary that speaks as one has not gone.
                self.refused &= self.state.standby().is_none_or(|s| s.led_at() <= led_at);
            }
            (RoleState::Candidate(_) | RoleState::Primary(..), PrimaryFrame::Welcome(w)) => {
                let seen = w.epoch;
                out.push(NodeAction::Hangup);
                if !matches!(w.start, Start::Refused(StreamRefusal::Cluster(_))) {
                    self.learn(now, seen, out);
                }
            }
            (
                RoleState::Candidate(_) | RoleState::Primary(..),
                PrimaryFrame::Batch(_) | PrimaryFrame::Beacons(_) | PrimaryFrame::Verified(_),
            ) => {}
        }
    }

    fn copy(&mut self, now: Instant, frame: CopyFrame, out: &mut Vec<NodeAction>) {
        match (self.role(), frame) {
            (Role::Standby, frame) => self.standby_event(now, StandbyEvent::Copy(frame), out),
            (Role::Candidate | Role::Primary, CopyFrame::Welcome(w)) => {
                self.link(now, PrimaryFrame::Welcome(w), out);
            }
            (Role::Candidate | Role::Primary, CopyFrame::Chunk(_) | CopyFrame::End(_)) => {}
        }
    }

    /// A primary that nobody follows asks its peer, so that a deposed one learns it.
    fn probe(&mut self, now: Instant, out: &mut Vec<NodeAction>) {
        let RoleState::Primary(primary, _) = &self.state else { return };
        let manual = self.leadership.is_none();
        if manual && self.config.has_peer && now >= self.next_probe && primary.view(now).peers.is_empty() {
            self.next_probe = now.plus(PROBE_EVERY);
            out.push(NodeAction::Dial);
        }
    }

    fn probe_hello(&self, out: &mut Vec<NodeAction>) {
        let me = &self.config.me;
        out.push(NodeAction::Send(StandbyFrame::Hello(Hello {
            cluster: me.cluster.to_string(),
            node: me.node.clone(),
            copy: me.copy,
            last: None,
            quarantined: false,
            unsealed: None,
            max_epoch: self.max_epoch,
            version: PROTOCOL_VERSION,
            shard_hash: 0,
            address: me.address.clone(),
        })));
    }

    fn maintain(&mut self, now: Instant, wall: WallTime, out: &mut Vec<NodeAction>) {
        let RoleState::Primary(primary, master) = &self.state else { return };
        if now < self.next_maintain {
            return;
        }
        // Also while it may not answer: a deadline that stays in the past is a busy loop.
        self.next_maintain = now.plus(MAINTAIN_EVERY);
        let gate = primary.gate();
        let may_append = gate.may_answer(now) && gate.refuses_writes(self.log.tail(), now).is_none();
        if may_append && master.maintain(now, wall) > 0 {
            self.primary_event(now, PrimaryEvent::Appended, out);
        }
    }

    fn primary_event(&mut self, now: Instant, event: PrimaryEvent, out: &mut Vec<NodeAction>) {
        let RoleState::Primary(primary, _) = &mut self.state else { return };
        let mut actions = Vec::new();
        primary.on(now, event, &mut actions);
        for action in actions {
            match action {
                PrimaryAction::Send(conn, frame) => out.push(NodeAction::SendPeer(conn, frame)),
                PrimaryAction::SendCopy(conn, frame) => out.push(NodeAction::SendCopy(conn, frame)),
                PrimaryAction::Copy(conn, node, dump) => {
                    out.push(NodeAction::Happened(Happening::copying(&node)));
                    out.push(NodeAction::Copy(conn, dump));
                }
                PrimaryAction::Close(conn, why) => {
                    out.push(NodeAction::Happened(Happening::peer_closed(conn, why)));
                    out.push(NodeAction::ClosePeer(conn));
                }
                PrimaryAction::Gate(gate) => out.push(NodeAction::Gate(gate)),
                // What else the ended term wanted done is not said any more.
                PrimaryAction::StepDown(seen) => return self.step_down(now, seen, out),
                PrimaryAction::Dismissed(node, why) => {
                    out.push(NodeAction::Happened(Happening::dismissed(&node, &why)));
                }
                PrimaryAction::Membership(node, copy, joined) => {
                    out.push(NodeAction::Happened(Happening::membership(&node, copy, joined)));
                }
                PrimaryAction::Silent(node, copy, silent) => {
                    out.push(NodeAction::Happened(Happening::silent(&node, copy, silent)));
                }
                PrimaryAction::Propose(isr) => {
                    let wall = self.wall;
                    self.leadership_event(now, wall, LeadershipEvent::Propose(isr), out);
                }
                PrimaryAction::Damaged(home, damaged) => {
                    out.push(NodeAction::Happened(Happening::damaged_here(home, damaged)));
                }
                PrimaryAction::Detached(node, done) => {
                    if let Some((request, _)) = self.detaching.take_if(|(_, n)| *n == node) {
                        out.push(NodeAction::Detached(request, Some(done)));
                    }
                }
            }
        }
    }

    fn standby_event(&mut self, now: Instant, event: StandbyEvent, out: &mut Vec<NodeAction>) {
        let RoleState::Standby(standby) = &mut self.state else { return };
        let mut actions = Vec::new();
        standby.on(now, event, &mut actions);
        self.max_epoch = self.max_epoch.max(standby.max_epoch());
        self.right_end = self.right_end.max(standby.right_end());
        for action in actions {
            match action {
                StandbyAction::Dial => {
                    let dial = if self.config.has_peer { NodeAction::Dial } else { continue };
                    out.push(dial);
                }
                StandbyAction::Fetch(request) => {
                    let fetch = if self.config.has_peer { NodeAction::Fetch(request) } else { continue };
                    out.push(fetch);
                }
                StandbyAction::Send(frame) => out.push(NodeAction::Send(frame)),
                StandbyAction::Diverged(what) => {
                    out.push(NodeAction::Happened(Happening::diverged(&what)));
                }
                StandbyAction::Discarded { old, new, why } => {
                    self.config.me.copy = new;
                    self.ever_streamed = false;
                    out.push(NodeAction::Happened(Happening::discarded(old, new, &why)));
                }
                StandbyAction::Verify(note) => {
                    out.push(NodeAction::Happened(Happening::verification(&note)));
                }
                StandbyAction::Sealed(upto) => {
                    self.ever_streamed = true;
                    out.push(NodeAction::Happened(Happening::sealed(upto)));
                }
                StandbyAction::Hangup(_) => out.push(NodeAction::Hangup),
                StandbyAction::Quarantined(bad) => {
                    self.set_aside += 1;
                    out.push(NodeAction::Happened(Happening::quarantined(&bad)));
                }
                StandbyAction::Streaming(node, epoch, from) => {
                    self.ever_streamed = true;
                    self.reason = format!("follows {node} in epoch {epoch}");
                    out.push(NodeAction::Happened(Happening::streaming(&node, epoch, from)));
                }
                StandbyAction::LostPlace(how) => {
                    out.push(NodeAction::Happened(Happening::lost_place(&how)));
                }
                StandbyAction::NotStreamed(why) => {
                    out.push(NodeAction::Happened(Happening::not_streamed(&why)));
                }
            }
        }
    }

    fn detach(&mut self, now: Instant, request: u64, node: NodeId, actor: &str, out: &mut Vec<NodeAction>) {
        if self.role() != Role::Primary {
            out.push(NodeAction::Detached(request, None));
            return;
        }
        out.push(NodeAction::Happened(Happening::detach_asked(&node, actor)));
        self.detaching = Some((request, node.clone()));
        self.primary_event(now, PrimaryEvent::Detach(node), out);
    }

    fn tick(&mut self, now: Instant, wall: WallTime, out: &mut Vec<NodeAction>) {
        self.wall = wall;
        self.compare_clocks(now, wall, out);
        self.leadership_event(now, wall, LeadershipEvent::Tick, out);
        self.standby_event(now, StandbyEvent::Tick, out);
        self.promise_over(now, wall, out);
        self.primary_event(now, PrimaryEvent::Tick, out);
        self.maintain(now, wall, out);
        self.probe(now, out);
    }
}

impl Machine for Node {
    type Event = NodeEvent;
    type Action = NodeAction;

    fn on(&mut self, now: Instant, event: NodeEvent, out: &mut Vec<NodeAction>) {
        match event {
            NodeEvent::Start(wall) => self.start(now, wall, out),
            NodeEvent::LinkUp => match self.role() {
                Role::Standby => self.standby_event(now, StandbyEvent::LinkUp, out),
                Role::Primary => self.probe_hello(out),
                Role::Candidate => out.push(NodeAction::Hangup),
            },
            NodeEvent::LinkDown(why) => self.standby_event(now, StandbyEvent::LinkDown(why), out),
            NodeEvent::LinkRefused(why) => {
                self.refused = true;
                self.standby_event(now, StandbyEvent::LinkDown(why), out);
            }
            NodeEvent::Link(frame) => self.link(now, frame, out),
            NodeEvent::Copy(frame) => self.copy(now, frame, out),
            NodeEvent::CopyAsked(conn, request) => self.copy_asked(now, conn, request, out),
            NodeEvent::Peer(conn, frame) => self.peer(now, conn, frame, out),
            NodeEvent::PeerClosed(conn) => self.primary_event(now, PrimaryEvent::Closed(conn), out),
            NodeEvent::Appended => self.primary_event(now, PrimaryEvent::Appended, out),
            NodeEvent::Promote(call) => self.promote(now, self.wall, call, out),
            NodeEvent::Detach { request, node, actor } => self.detach(now, request, node, &actor, out),
            NodeEvent::Operate(call) => self.operate(now, call, out),
            NodeEvent::Coordinator(wall, event) => {
                self.wall = wall;
                self.leadership_event(now, wall, event, out);
            }
            NodeEvent::Listening(listening) => {
                self.listening = listening;
                let wall = self.wall;
                self.leadership_event(now, wall, LeadershipEvent::Tick, out);
            }
            NodeEvent::Tick(wall) => self.tick(now, wall, out),
        }
        self.review_switchover(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        let leadership = self.leadership.as_ref().and_then(|l| l.deadline(&self.leadership_facts()));
        let role = match &self.state {
            RoleState::Standby(s) => s.deadline(),
            RoleState::Candidate(c) => Some(c.until),
            RoleState::Primary(p, _) => {
                Some(p.deadline().map_or(self.next_maintain, |d| d.min(self.next_maintain)))
            }
        };
        role.into_iter().chain(leadership).chain(self.switchover_deadline()).min()
    }
}

/// The copy that a restarted process would wrongly keep under a mutant.
#[must_use]
pub fn copy_of_restart(old: CopyId, fresh: CopyId) -> CopyId {
    if mutant!(SameIncRestart) { old } else { fresh }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;

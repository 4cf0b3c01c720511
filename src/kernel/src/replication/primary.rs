//! The primary's side of replication: who is in sync, what is committed, and
//! until when it may answer.
//!
//! The in-sync set is kept on record by a coordinator (`on_record`), or here
//! alone. Then the operator is the compare-and-set: a standby joins by itself once
//! it holds the committed prefix, and leaves only when an operator detaches it
//! (PROTOCOL 11).

mod doubt;
mod hand_over;
mod on_record;

mod full_sync;
mod ship;
mod shrink;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;

use super::ages::Ages;
use super::catch_up::CatchUp;
use super::copies::Copies;
use super::dump::Dump;
use super::frames::{
    Ack, CopyFrame, CopyRequest, FullSyncReason, Hello, InSyncRecord, PrimaryFrame, StandbyFrame, Start,
    StreamRefusal, Welcome,
};
use super::gate::Admission;
use super::verify::{VerificationAsk, VerificationHandler, VerificationRequest, VerificationResponse};
use super::view::{AbsentView, PeerState, PeerView, PrimaryView};
use super::{Gate, Identity, LossBound, PROTOCOL_VERSION, ReplicationConfig};
use crate::coordination::IsrRecord;
use crate::machine::Machine;
use crate::oplog::OpLogManager;
use crate::store::{AuditError, MetadataStore};
use crate::types::{AckMode, ConnId, CopyId, Epoch, HomeId, Instant, KeyHash, LogPos, NodeId, Seq, limits};
use hand_over::Closed;
pub use hand_over::Closing;
use on_record::OnRecord;
pub use on_record::{Keeping, RecordStart};

/// What can happen to a primary.
#[derive(Debug)]
pub enum PrimaryEvent {
    /// A frame came in on a connection; the first must be a Hello.
    Frame(ConnId, StandbyFrame),
    /// A standby asks for a copy of the state, on a connection of its own.
    CopyAsked(ConnId, Box<CopyRequest>),
    /// A connection ended.
    Closed(ConnId),
    /// Entries were appended.
    Appended,
    /// An operator takes a standby out of the in-sync set.
    Detach(NodeId),
    /// This in-sync set is on record with the coordinator, and no other can be.
    Confirmed(IsrRecord),
    /// What is on record may be older than the in-sync set that was confirmed: it has to be put there anew.
    Reconfirm,
    /// The solo lease holds until then (PROTOCOL G5).
    Lease(Instant),
    /// A hand-over closes this primary, or opens it again.
    Close(Closing),
    /// This machine may have stopped without its clock: what was promised before may be over (PROTOCOL 1).
    Doubt,
    /// Time has passed.
    Tick,
}

/// What a primary wants done.
#[derive(Debug)]
pub enum PrimaryAction {
    /// Send this.
    Send(ConnId, PrimaryFrame),
    /// Send this to a standby that asked for a copy of the state.
    SendCopy(ConnId, CopyFrame),
    /// Send all this behind it, as fast as it leaves.
    Copy(ConnId, NodeId, Box<Dump>),
    /// End this connection.
    Close(ConnId, &'static str),
    /// Answers are judged by this from now on.
    Gate(Gate),
    /// A higher epoch was seen: stop deciding.
    StepDown(Epoch),
    /// A standby is to leave the in-sync set although it answers, because.
    Dismissed(NodeId, String),
    /// A copy joined (true) or left (false) the in-sync set.
    Membership(NodeId, CopyId, bool),
    /// A copy fell silent on record (true), or grants again (PROTOCOL I8).
    Silent(NodeId, CopyId, bool),
    /// Put this in-sync set on record; answered by [`PrimaryEvent::Confirmed`].
    Propose(IsrRecord),
    /// The memory of a home is not what its digest says (true), or is whole again.
    Damaged(HomeId, bool),
    /// Answer to [`PrimaryEvent::Detach`].
    Detached(NodeId, Detached),
}

/// What came of taking a standby out of the in-sync set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detached {
    /// It was in it.
    pub was_member: bool,
    /// It was connected, and the word is on its way.
    pub told: bool,
}

/// What a primary starts from.
#[derive(Debug)]
pub struct PrimaryStart {
    /// Its epoch.
    pub epoch: Epoch,
    /// When it may begin to answer (PROTOCOL G4).
    pub serve_at: Instant,
    /// Now.
    pub now: Instant,
    /// How the in-sync set is kept.
    pub keeping: Keeping,
}

/// Why a copying was given up.
const COPY_ABORTED: &str =
    "the copying is given up: the log has reached its bound while it waited for the standby";

/// The machine.
#[derive(Debug)]
pub struct Primary {
    me: Identity,
    config: ReplicationConfig,
    store: Arc<MetadataStore>,
    log: OpLogManager,
    epoch: Epoch,
    /// Where its term record stands, or will stand.
    term: Seq,
    serve_at: Instant,
    peers: BTreeMap<ConnId, Peer>,
    /// Copies of the state that standbys are given.
    copies: Copies,
    /// In-sync copies other than the own one, all that count: with a coordinator
    /// every copy that may be on record.
    isr: BTreeMap<CopyId, Member>,
    /// With a coordinator.
    on_record: Option<OnRecord>,
    closed: Closed,
    /// No right counts that was not given, or confirmed, to what was asked since then.
    doubted_at: Instant,
    /// Grows with each change of `isr`.
    revision: u64,
    commit: Seq,
    last_gate: Option<Gate>,
    /// Of what was appended since this primary began.
    ages: Ages,
    /// When the event came that is at work.
    now: Instant,
    verify: VerificationHandler,
}

#[derive(Debug)]
struct Member {
    node: NodeId,
    matched: Seq,
    grant_until: Instant,
    /// It has granted since, by the token that it answered.
    granted_at: Instant,
    heard: Instant,
    /// Its process is gone, an operator dismissed it, or it has set an entry aside.
    gone: bool,
    /// Where the log ended at some moment, and when that was: it is to get there.
    due: (Seq, Instant),
}

impl Member {
    /// Of a copy that has acknowledged nothing yet.
    fn unheard(node: NodeId, heard: Instant) -> Self {
        let due = (Seq::FIRST, heard);
        Self {
            node,
            matched: Seq::FIRST,
            grant_until: Instant(0),
            granted_at: Instant(0),
            heard,
            gone: false,
            due,
        }
    }
}

#[derive(Debug)]
struct Peer {
    hello: Hello,
    /// Next seq to send.
    next: Seq,
    matched: Seq,
    grant_until: Instant,
    granted_at: Instant,
    /// Revision of the in-sync set that it was told.
    told: Option<u64>,
    sent_at: Instant,
    /// Since when entries have waited for more of them.
    gathers_since: Option<Instant>,
    /// Batches not yet acknowledged: exclusive end, and when it was sent.
    in_flight: VecDeque<(Seq, Instant)>,
    heard: Instant,
    catch_up: CatchUp,
    quarantined: u32,
    sealed: bool,
    /// The next home of which it is sent a beacon, and when.
    beacon: (usize, Instant),
    /// Digests were compared there and equal through here.
    verified: Option<Seq>,
}

impl Primary {
    /// Begins to ship this log.
    #[must_use]
    pub fn new(
        me: Identity,
        config: ReplicationConfig,
        store: Arc<MetadataStore>,
        log: OpLogManager,
        start: PrimaryStart,
    ) -> Self {
        let verify = VerificationHandler::new(config.verify, Arc::clone(&store), log.clone(), start.epoch);
        let mut this = Self {
            verify,
            me,
            config,
            store,
            copies: Copies::default(),
            epoch: start.epoch,
            term: log.tail(),
            serve_at: start.serve_at,
            peers: BTreeMap::new(),
            isr: BTreeMap::new(),
            on_record: None,
            closed: Closed::open(),
            doubted_at: Instant(0),
            revision: 1,
            commit: log.tail(),
            ages: Ages::from(log.tail()),
            log,
            last_gate: None,
            now: Instant(0),
        };
        if let Keeping::Recorded(record) = start.keeping {
            this.start_recorded(start.now, *record);
        }
        this
    }

    /// Its epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Connections of standbys.
    pub fn connections(&self) -> impl Iterator<Item = ConnId> {
        self.peers.keys().copied().chain(self.copies.connections())
    }

    /// By what answers are judged at this moment.
    #[must_use]
    pub fn gate(&self) -> Gate {
        let grant = |copy| self.isr.get(&copy).map_or(Instant(0), |m| m.grant_until);
        let rights_until = match &self.on_record {
            Some(record) => record.rights_until(self.me.copy, grant),
            None => self.isr.values().map(|m| m.grant_until).min().unwrap_or(Instant::MAX),
        };
        Gate {
            epoch: self.epoch,
            serve_at: self.serve_at,
            rights_until: if self.is_quiet() { Instant(0) } else { rights_until },
            doubted: self.is_doubted(),
            commit: self.commit,
            ack: self.config.ack,
            admission: self.admission(),
        }
    }

    /// How far writes may go on: not beyond what the log can keep for in-sync
    /// standbys (PROTOCOL S7), and in async mode not beyond what a failover may
    /// lose (PROTOCOL A6).
    fn admission(&self) -> Admission {
        let LossBound { entries, age } = self.config.loss;
        let (full, closed) = (self.log.marks().is_over, !self.closed.admits());
        let mut admission = Admission { full, closed, degraded: self.is_degraded(), ..Admission::OPEN };
        if self.config.ack == AckMode::Async {
            let matched = self.isr.values().map(|m| m.matched).min();
            admission.tail_max = matched.map_or(Seq(u64::MAX), |m| Seq(m.0.saturating_add(entries)));
            let members = self.peers.values().filter(|p| self.isr.contains_key(&p.hello.copy));
            let oldest = members.filter_map(|p| p.in_flight.front().map(|(_, sent)| *sent)).min();
            admission.until = oldest.map_or(Instant::MAX, |sent| sent.plus(age));
        }
        admission
    }

    /// What operators see.
    #[must_use]
    pub fn view(&self, now: Instant) -> PrimaryView {
        let peers = self.peers.values().map(|p| PeerView {
            node: p.hello.node.clone(),
            copy: p.hello.copy,
            address: p.hello.address.clone(),
            state: self.state_of(p),
            sent: p.next,
            acked: p.matched,
            behind_for: self.ages.behind_for(now, p.matched, self.log.tail()),
            last_contact: now.since(p.heard),
            grant_left: p.grant_until.since(now),
            in_sync: self.is_member(p.hello.copy),
            quarantined: p.quarantined,
            sealed: p.sealed,
            verified: p.verified,
            lag_bytes: self.log.bytes_from(p.matched),
            catch_up: p.catch_up.view(now, p.matched, self.log.tail()),
        });
        let gone = self.isr.iter().filter(|(copy, _)| self.peers.values().all(|p| p.hello.copy != **copy));
        PrimaryView {
            gate: self.gate(),
            peers: peers.collect(),
            record: self.record(),
            absent: gone
                .map(|(copy, m)| AbsentView {
                    node: m.node.clone(),
                    copy: *copy,
                    acked: m.matched,
                    last_contact: now.since(m.heard),
                })
                .collect(),
            copies: self.copies.view(now),
            recount: self.verify.view(now),
        }
    }

    /// The in-sync set, as standbys are told it.
    fn record(&self) -> InSyncRecord {
        let here = || {
            let own = std::iter::once((self.me.copy, self.me.node.clone()));
            own.chain(self.isr.iter().map(|(copy, m)| (*copy, m.node.clone()))).collect()
        };
        InSyncRecord {
            revision: self.revision,
            members: self.on_record.as_ref().map_or_else(here, |r| r.members(self.me.copy)),
            silent: self.on_record.as_ref().map_or_else(Vec::new, |r| r.confirmed.silent.clone()),
            min_insync: self.config.degrade.demanded(),
            ack: self.config.ack,
            read_ttl_max: self.config.read_ttl_max,
        }
    }

    fn is_member(&self, copy: CopyId) -> bool {
        self.on_record.as_ref().map_or_else(|| self.isr.contains_key(&copy), |r| r.holds(copy))
    }

    fn state_of(&self, p: &Peer) -> PeerState {
        if p.quarantined > 0 {
            PeerState::Quarantined
        } else if !p.sealed {
            PeerState::Sealing
        } else if p.matched == self.log.tail() || self.isr.contains_key(&p.hello.copy) {
            PeerState::Streaming
        } else {
            PeerState::CatchingUp
        }
    }

    fn hello(&mut self, now: Instant, conn: ConnId, hello: Hello, out: &mut Vec<PrimaryAction>) {
        let ours = hello.cluster == self.me.cluster.as_str();
        if ours && hello.max_epoch > self.epoch {
            self.welcome(conn, Start::Refused(StreamRefusal::Deposed), out);
            out.push(PrimaryAction::StepDown(hello.max_epoch));
            return;
        }
        if self.peers.contains_key(&conn) {
            return self.drop_peer(conn, "a second hello on one connection", out);
        }
        let start = self.judge(&hello);
        self.welcome(conn, start.clone(), out);
        let Start::Stream(next) = start else {
            out.push(PrimaryAction::Close(conn, "not streamed to"));
            return;
        };
        self.drop_former_streams(&hello.node, out);
        if mutant!(ForgetOnHello) {
            self.forget_former(now, &hello.node, hello.copy, out);
        }
        self.copies.connected(&hello.node, hello.copy, conn);
        let zero = Instant(0);
        let peer = Peer {
            next,
            matched: next,
            grant_until: zero,
            granted_at: zero,
            told: None,
            sent_at: zero,
            gathers_since: None,
            in_flight: VecDeque::new(),
            heard: now,
            catch_up: CatchUp::begin(now, next, self.log.tail()),
            quarantined: 0,
            sealed: hello.unsealed.is_none(),
            beacon: (0, now),
            verified: None,
            hello,
        };
        self.peers.insert(conn, peer);
        self.send_batch(now, conn, 0, out);
        self.ship(now, conn, out);
    }

    /// A copy whose process is gone holds nothing any more (PROTOCOL I8b). Told
    /// by an acknowledgement, which answers this stream: a Hello may be one that
    /// the former process sent, late, while the copy on record lives.
    fn forget_former(&mut self, now: Instant, node: &NodeId, copy: CopyId, out: &mut Vec<PrimaryAction>) {
        let former = |m: &Member, c: CopyId| m.node == *node && c != copy;
        let gone: SmallVec<[CopyId; 2]> =
            self.isr.iter().filter(|(c, m)| former(m, **c)).map(|(c, _)| *c).collect();
        if gone.is_empty() || !self.nobody_else_follows_it(now, node) {
            return;
        }
        for copy in gone {
            self.leave(copy, out);
        }
    }

    /// Without a record of who leads, a copy that is gone may have led an epoch of its own before, and
    /// another node may have what it promised there. Not one that follows this primary now (PROTOCOL 11).
    fn nobody_else_follows_it(&self, now: Instant, node: &NodeId) -> bool {
        let follows =
            |node: &NodeId| self.peers.values().any(|p| p.hello.node == *node && p.grant_until > now);
        let mut others = self.isr.values().filter(|m| m.node != *node);
        self.on_record.is_some() || others.all(|m| follows(&m.node)) || mutant!(FormerForgotAlways)
    }

    /// A node that connects anew has left its old connection.
    fn drop_former_streams(&mut self, node: &NodeId, out: &mut Vec<PrimaryAction>) {
        let stale: Vec<ConnId> =
            self.peers.iter().filter(|(_, p)| p.hello.node == *node).map(|(conn, _)| *conn).collect();
        for conn in stale {
            self.drop_peer(conn, "connected anew", out);
        }
    }

    /// Whether a node may be talked to at all.
    fn stranger(&self, hello: &Hello) -> Option<StreamRefusal> {
        if hello.cluster != self.me.cluster.as_str() {
            return Some(StreamRefusal::Cluster(self.me.cluster.to_string()));
        }
        if hello.version != PROTOCOL_VERSION || hello.shard_hash != shard_hash() {
            return Some(StreamRefusal::Version);
        }
        let others = self.peers.values().filter(|p| p.hello.node != hello.node).count();
        (others >= limits::STANDBYS_MAX).then_some(StreamRefusal::TooMany)
    }

    /// PROTOCOL S1: *stream from*, or *full sync, because*.
    fn judge(&mut self, hello: &Hello) -> Start {
        if let Some(refusal) = self.stranger(hello) {
            return Start::Refused(refusal);
        }
        let last = match self.continues(hello) {
            Ok(last) => last,
            Err(why) => return self.order_full_sync(hello.copy, why),
        };
        Start::Stream(last.end())
    }

    /// The last entry that this copy holds of the own log, if the next one is held.
    fn continues(&mut self, hello: &Hello) -> Result<LogPos, FullSyncReason> {
        let trim = self.log.marks().trim;
        let last = match (hello.last, hello.unsealed) {
            (Some(LogPos::NONE), _) if trim > Seq::FIRST => return Err(FullSyncReason::Empty(trim)),
            (Some(last), _) => last,
            (None, _) if hello.quarantined => return Err(FullSyncReason::Quarantined),
            (None, Some((session, last))) => {
                let known = self.copies.find(&hello.node, hello.copy, session).is_some();
                if !known {
                    return Err(FullSyncReason::Unsealed);
                }
                last
            }
            (None, None) => return Err(FullSyncReason::Unsealed),
        };
        if !self.log.contains(last) && !mutant!(NoLogmatch) {
            let (tail, last) = (self.log.tail(), self.log.last());
            return Err(FullSyncReason::Diverged { epochs: self.log.epochs_upto(last), tail });
        }
        if last.end() < trim || last.end() > self.log.tail() {
            return Err(FullSyncReason::Trimmed(trim));
        }
        Ok(last)
    }

    fn welcome(&self, conn: ConnId, start: Start, out: &mut Vec<PrimaryAction>) {
        let welcome = Welcome { epoch: self.epoch, node: self.me.node.clone(), copy: self.me.copy, start };
        out.push(PrimaryAction::Send(conn, PrimaryFrame::Welcome(welcome)));
    }

    fn ack(&mut self, now: Instant, conn: ConnId, ack: &Ack, out: &mut Vec<PrimaryAction>) {
        if ack.epoch > self.epoch {
            out.push(PrimaryAction::StepDown(ack.epoch));
            return;
        }
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        let stale = ack.epoch != self.epoch || ack.copy != peer.hello.copy;
        let unsent = ack.matched > peer.next || ack.token > peer.sent_at.0;
        if stale || unsent {
            self.drop_peer(conn, "acknowledged what it was not sent", out);
            return;
        }
        peer.heard = now;
        peer.quarantined = ack.quarantined;
        peer.sealed = ack.sealed;
        peer.matched = peer.matched.max(ack.matched);
        while peer.in_flight.front().is_some_and(|(end, _)| *end <= peer.matched) {
            peer.in_flight.pop_front();
        }
        let from = if mutant!(GrantFromReceipt) { now } else { Instant(ack.token) };
        let grant = from.plus(std::time::Duration::from_micros(ack.grant_us));
        peer.grant_until = peer.grant_until.max(grant);
        peer.granted_at = peer.granted_at.max(Instant(ack.token));
        let (matched, grant_until, granted_at) = (peer.matched, peer.grant_until, peer.granted_at);
        let (node, copy) = (peer.hello.node.clone(), peer.hello.copy);
        self.copies.replayed(&node, copy, matched);
        let of_node = || self.isr.iter().find(|(_, m)| m.node == node).map(|(copy, _)| *copy);
        let counts_for = if mutant!(AckAnyCopy) { of_node().unwrap_or(copy) } else { copy };
        if let Some(member) = self.isr.get_mut(&counts_for) {
            member.matched = member.matched.max(matched);
            member.grant_until = member.grant_until.max(grant_until);
            member.granted_at = member.granted_at.max(granted_at);
            member.heard = now;
            if member.matched >= member.due.0 {
                member.due = (self.log.tail(), now);
            }
            if ack.quarantined > 0 {
                self.set_aside(counts_for, out);
            }
        } else if ack.quarantined > 0 {
            return self.drop_peer(conn, "it has set an entry aside: it is given another copy", out);
        } else {
            self.forget_former(now, &node, copy, out);
            self.admit(now, conn, out);
        }
        if self.on_record.is_none() && self.isr.contains_key(&copy) {
            // It may have had to wait for the others.
            self.forget_former(now, &node, copy, out);
        }
        self.ship(now, conn, out);
    }

    /// PROTOCOL I3: counts from this event on, for acknowledgements and rights.
    fn admit(&mut self, now: Instant, conn: ConnId, out: &mut Vec<PrimaryAction>) {
        let Some(p) = self.peers.get(&conn) else { return };
        let holds_all = p.matched >= self.commit || mutant!(AdmitEarly);
        let granted = p.grant_until > now || mutant!(AdmitNoGrant);
        if !holds_all || !granted || p.quarantined > 0 || !p.sealed {
            return;
        }
        if self.on_record.is_some() {
            return self.propose_join(now, conn, out);
        }
        let (node, copy) = (p.hello.node.clone(), p.hello.copy);
        let (matched, grant_until, granted_at) = (p.matched, p.grant_until, p.granted_at);
        self.isr
            .insert(copy, Member { matched, grant_until, granted_at, ..Member::unheard(node.clone(), now) });
        self.copies.finish(&node);
        self.revision += 1;
        out.push(PrimaryAction::Membership(node, copy, true));
    }

    fn drop_peer(&mut self, conn: ConnId, why: &'static str, out: &mut Vec<PrimaryAction>) {
        self.peers.remove(&conn);
        self.copies.closed(self.now, conn);
        out.push(PrimaryAction::Close(conn, why));
    }

    fn detach(&mut self, node: &NodeId, out: &mut Vec<PrimaryAction>) -> Detached {
        let copies: Vec<CopyId> =
            self.isr.iter().filter(|(_, m)| m.node == *node).map(|(copy, _)| *copy).collect();
        let conns: Vec<ConnId> =
            self.peers.iter().filter(|(_, p)| p.hello.node == *node).map(|(conn, _)| *conn).collect();
        for copy in &copies {
            self.leave(*copy, out);
        }
        let (was_member, told) = (!copies.is_empty(), !conns.is_empty());
        for conn in conns {
            self.welcome(conn, Start::Refused(StreamRefusal::Detached), out);
            self.drop_peer(conn, "detached by an operator", out);
        }
        Detached { was_member, told }
    }

    /// At once, or with a coordinator once that is on record.
    fn leave(&mut self, copy: CopyId, out: &mut Vec<PrimaryAction>) {
        if self.on_record.is_some() {
            if let Some(member) = self.isr.get_mut(&copy) {
                member.gone = true;
            }
            return;
        }
        if let Some(member) = self.isr.remove(&copy) {
            self.revision += 1;
            out.push(PrimaryAction::Membership(member.node, copy, false));
        }
    }

    fn asked(&mut self, conn: ConnId, request: &VerificationRequest, out: &mut Vec<PrimaryAction>) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if let VerificationAsk::Verified(upto) = request.ask {
            peer.verified = peer.verified.max(Some(upto.min(peer.matched)));
        } else if let Some(answer) = self.verify.answer(request) {
            out.push(PrimaryAction::Send(conn, PrimaryFrame::Verified(answer)));
        }
    }

    /// Sends beacons that are due, and counts homes anew.
    fn verify(&mut self, now: Instant, out: &mut Vec<PrimaryAction>) {
        for (conn, peer) in self.peers.iter_mut().filter(|(_, p)| p.sealed && p.quarantined == 0) {
            let (next, due) = &mut peer.beacon;
            if let Some(frame) = self.verify.beacons(now, next, due) {
                out.push(PrimaryAction::Send(*conn, PrimaryFrame::Beacons(frame)));
            }
        }
        let changed = self.verify.recount(now);
        out.extend(changed.into_iter().map(|(home, damaged)| PrimaryAction::Damaged(home, damaged)));
    }

    /// Answers a question that did not come in a stream.
    #[must_use]
    pub fn answer_verification(&self, request: &VerificationRequest) -> Option<VerificationResponse> {
        self.verify.answer(request)
    }

    /// An operator takes what this primary stores for right, where its digest
    /// says otherwise; how many homes that changes.
    ///
    /// # Errors
    /// When what is stored cannot be right.
    pub fn accept_memory(&mut self) -> Result<usize, AuditError> {
        self.verify.accept()
    }

    /// Commit is what every required copy has applied (PROTOCOL I1).
    fn settle(&mut self, out: &mut Vec<PrimaryAction>) {
        let tail = self.log.tail();
        let counting = self.isr.iter().filter(|(copy, _)| self.counts(**copy));
        let matched = counting.map(|(_, m)| m.matched);
        let held = if mutant!(AnyOneAck) { matched.max() } else { matched.min() };
        // Fewer copies than are demanded commit nothing, also when those that are missing
        // have left the record meanwhile (PROTOCOL I8).
        if !self.is_degraded() || mutant!(StrictAlone) {
            self.commit = self.commit.max(held.unwrap_or(tail).min(tail));
        }
        let gate = self.gate();
        if self.last_gate != Some(gate) {
            self.last_gate = Some(gate);
            out.push(PrimaryAction::Gate(gate));
        }
    }
}

impl Machine for Primary {
    type Event = PrimaryEvent;
    type Action = PrimaryAction;

    fn on(&mut self, now: Instant, event: PrimaryEvent, out: &mut Vec<PrimaryAction>) {
        self.now = now;
        let tail = self.log.tail();
        self.ages.note(now, tail, self.peers.values().map(|p| p.matched).min().unwrap_or(tail));
        let mut detached = None;
        match event {
            PrimaryEvent::Frame(conn, StandbyFrame::Hello(hello)) => self.hello(now, conn, hello, out),
            PrimaryEvent::Frame(conn, StandbyFrame::Ack(ack)) => self.ack(now, conn, &ack, out),
            PrimaryEvent::Frame(conn, StandbyFrame::Verify(request)) => self.asked(conn, &request, out),
            PrimaryEvent::CopyAsked(conn, request) => self.copy_asked(now, conn, *request, out),
            PrimaryEvent::Closed(conn) => {
                self.peers.remove(&conn);
                self.copies.closed(now, conn);
            }
            PrimaryEvent::Appended => {
                let conns: Vec<ConnId> = self.peers.keys().copied().collect();
                for conn in conns {
                    self.ship(now, conn, out);
                }
            }
            PrimaryEvent::Detach(node) => {
                let done = self.detach(&node, out);
                detached = Some(PrimaryAction::Detached(node, done));
            }
            PrimaryEvent::Confirmed(isr) => self.confirmed(now, isr, out),
            PrimaryEvent::Reconfirm => self.reconfirm(out),
            PrimaryEvent::Lease(until) => self.lease(now, until),
            PrimaryEvent::Close(how) => self.close(now, how, out),
            PrimaryEvent::Doubt => self.doubt(now, out),
            PrimaryEvent::Tick => {}
        }
        self.shrink(now, out);
        self.copies.expire(now);
        self.ship_gathered(now, out);
        self.heartbeats(now, out);
        self.verify(now, out);
        // First: a log that is full because of a copying refuses no write.
        let aborted = self.pin();
        out.extend(aborted.into_iter().map(|conn| PrimaryAction::Close(conn, COPY_ABORTED)));
        self.settle(out);
        // Answered last: whoever hears of it finds the gate open.
        out.extend(detached);
    }

    fn deadline(&self) -> Option<Instant> {
        let heartbeat = self.peers.values().map(|p| p.sent_at.plus(self.config.times.heartbeat)).min();
        let linger = self.peers.values().filter_map(|p| p.gathers_since).min();
        let lingered = linger.map(|since| since.plus(self.config.ship.linger));
        heartbeat.into_iter().chain(lingered).chain(self.copies.deadline()).chain(self.shrink_at()).min()
    }
}

/// Hash of a fixed key: equal on nodes that agree on where keys live.
#[must_use]
pub(super) fn shard_hash() -> u64 {
    let h = KeyHash::of(b"default\0standfast");
    h.map ^ h.home.index() as u64
}

#[cfg(test)]
#[path = "primary_tests.rs"]
mod tests;

//! What operators see: the node's view, the store's counts and the journal, in
//! one message under one timestamp.

mod automation;
mod full_sync;
mod leadership;
mod security;
mod stuck;
mod verification;

pub use security::SecurityFacts;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use standfast_kernel::api::Refusal;
use standfast_kernel::master::EvictionStats;
use standfast_kernel::node::{NodeView, RoleView};
use standfast_kernel::replication::{
    AbsentView, CopyingView, Degrade, Identity, InSyncRecord, LinkView, LossBound, PROTOCOL_VERSION,
    PeerState, PeerView, PrimaryView, StandbyView,
};
use standfast_kernel::store::{MetadataStore, OffsetAllocator, StoreMemory};
use standfast_kernel::supervisor::{Answer, Role};
use standfast_kernel::types::{AckMode, CopyId, Instant, LogPos, SegmentStatus, Seq, WallTime, limits};
use standfast_proto::v1;

use super::health::is_stuck;
use super::history::NoSuchRow;
use super::{History, Journal, ServingCell, Traffic};
use crate::ports::Notifier;
use crate::telemetry::{self, Durations, Instruments};

/// What never changes while the process lives.
#[derive(Debug)]
pub struct StatusFacts {
    /// Who this node is.
    pub me: Identity,
    /// When replies go out.
    pub ack: AckMode,
    /// What happens when a standby is lost; without a coordinator writes wait for it.
    pub degrade: Option<Degrade>,
    /// What a failover may lose in async mode.
    pub loss: LossBound,
    /// Address of the Mooncake port, if it has one.
    pub mooncake: Option<String>,
    /// Address of the HTTP port, if it has one.
    pub http: Option<String>,
    /// Whom it dials, without a coordinator.
    pub peer: Option<String>,
    /// Who keeps the record of who leads: `etcd`, `witness` or `manual`, and where.
    pub coordinator: (&'static str, Vec<String>),
    /// Interval of heartbeats.
    pub heartbeat: Duration,
    /// When it started.
    pub started: WallTime,
    /// The version that it says it is.
    pub version: String,
    /// How far ahead it says that its wall clock is; nothing outside the lab.
    pub clock_ahead: Duration,
    /// The memory that it says it may use; `None` = as the system says.
    pub memory_limit: Option<u64>,
    /// How its gRPC port is secured when it starts.
    pub security: SecurityFacts,
}

/// Heartbeats after which a link counts as down, open or not: as a standby counts its primary's.
const SILENT_HEARTBEATS: u32 = 10;

/// Builds the status on demand.
pub struct StatusBoard {
    facts: StatusFacts,
    security: RwLock<SecurityFacts>,
    view: RwLock<Option<Arc<NodeView>>>,
    store: Arc<MetadataStore>,
    serving: Arc<ServingCell>,
    traffic: Arc<Traffic>,
    journal: Journal,
    instruments: Instruments,
}

impl StatusBoard {
    /// Over the shared state of one node.
    #[must_use]
    pub fn new(
        facts: StatusFacts,
        store: Arc<MetadataStore>,
        serving: Arc<ServingCell>,
        traffic: Arc<Traffic>,
        history: Arc<History>,
        instruments: Instruments,
        notifier: Option<Arc<dyn Notifier>>,
    ) -> Self {
        let journal = Journal::new(history, instruments.tracer.clone(), notifier);
        let security = RwLock::new(facts.security.clone());
        Self { facts, security, view: RwLock::new(None), store, serving, traffic, journal, instruments }
    }

    /// The node's name, and the role that it is in.
    pub(super) fn name_and_role(&self) -> (String, v1::Role) {
        let role = self.view().map_or(v1::Role::Offline, |view| match view.role {
            Role::Standby => v1::Role::Standby,
            Role::Candidate => v1::Role::Candidate,
            Role::Primary => v1::Role::Primary,
        });
        (self.facts.me.node.to_string(), role)
    }

    /// Lag as a standby itself sees it.
    pub(super) fn own_lag(&self, s: &StandbyView) -> v1::Lag {
        own_lag(s, self.facts.heartbeat)
    }

    /// How long this node's doings take.
    pub(super) fn durations(&self) -> &Durations {
        &self.instruments.durations
    }

    /// The node's view, once there is one.
    pub(super) fn view(&self) -> Option<Arc<NodeView>> {
        self.view.read().clone()
    }

    /// What happened.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Role changes and drills.
    #[must_use]
    pub fn history(&self) -> &Arc<History> {
        self.journal.history()
    }

    /// Writes a drill into the history, and counts the role change that it brought about.
    ///
    /// # Errors
    /// When the change that it names is not known here.
    pub fn note_drill(&self, wall: WallTime, drill: v1::NoteDrillRequest) -> Result<String, NoSuchRow> {
        let id = self.history().note_drill(wall, drill)?;
        self.journal.drilled(&id);
        Ok(id)
    }

    /// Replaces the node's view.
    pub(super) fn publish(&self, view: NodeView) {
        *self.view.write() = Some(Arc::new(view));
    }

    /// The refusal of a node that does not serve.
    pub(super) fn not_primary(&self) -> Refusal {
        let view = self.view.read().clone();
        let epoch = view.as_ref().map_or_else(Default::default, |v| v.epoch);
        Refusal::NotPrimary { primary: self.primary_hint(view.as_deref()), epoch }
    }

    /// The primary's address, as far as this node knows it.
    fn primary_hint(&self, view: Option<&NodeView>) -> Option<String> {
        let view = view?;
        match &view.detail {
            RoleView::Standby(s) if s.link == LinkView::Streaming => self.followed(view),
            RoleView::Primary(_) => Some(self.facts.me.address.clone()),
            RoleView::Standby(_) | RoleView::Candidate(_) => None,
        }
    }

    /// The whole status. `recount` computes digests from scratch. Where the node's loop has been stuck for
    /// long by `now`, what it knew last is not told as if it still were so.
    #[must_use]
    pub fn status(
        &self,
        now: Instant,
        taken: WallTime,
        recount: bool,
        events_after: Option<u64>,
    ) -> v1::NodeStatus {
        let view = self.view.read().clone();
        let taken = WallTime(taken.0 + self.facts.clock_ahead.as_micros() as u64);
        let Some(view) = view.as_deref() else {
            return v1::NodeStatus {
                identity: Some(self.identity(self.facts.me.copy)),
                ..v1::NodeStatus::default()
            };
        };
        let mut status = v1::NodeStatus {
            taken: Some(v1::Timestamp { unix_us: taken.0 as i64, boot_us: view.at.0 / 1000 }),
            identity: Some(self.identity(view.copy)),
            leadership: Some(self.leadership(view)),
            positions: Some(positions(view)),
            log: Some(log(view)),
            store: Some(self.store_status(recount)),
            events: self.journal.events_after(events_after.unwrap_or(0)),
            history: self.journal.history().shown(),
            role_changes: self.journal.changes(),
            notifications: self.journal.notified().map(|(sent, failed)| v1::Notifications { sent, failed }),
            tracing: self.instruments.tracer.as_ref().map(|t| t.counts().reading()),
            health: Some(self.health(view)),
            traffic: Some(self.traffic.status(self.serving.pending())),
            coordinator: Some(self.coordinator(view)),
            automation: view.leadership.as_ref().map(|l| automation::automation(&l.automation)),
            findings: self.findings(view, taken),
            entries_set_aside: Some(view.set_aside),
            security: Some(self.security.read().to_wire()),
            ..v1::NodeStatus::default()
        };
        match &view.detail {
            RoleView::Primary(p) => self.primary_part(&mut status, view, p),
            RoleView::Standby(s) => {
                status.verification = Some(verification::of_standby(&s.verify, s.applied, view.at, taken));
                self.standby_part(&mut status, view, s);
            }
            RoleView::Candidate(_) => {}
        }
        status.rehearsal = Some(self.rehearsal(view, status.store.as_ref()));
        if is_stuck(view, now) {
            stuck::take_back(&mut status, now.since(view.at));
        }
        status
    }

    fn health(&self, view: &NodeView) -> v1::Health {
        let (durations, process) = (self.durations(), telemetry::process());
        v1::Health {
            loop_delay: Some(durations.loop_delay.reading()),
            lock_hold: Some(durations.lock_hold.reading()),
            memory_limit_bytes: self.facts.memory_limit.or(process.memory_limit_bytes),
            memory: self.memory(view),
            ..process
        }
    }

    /// Whose sizes are known; what else the process holds is the difference to its resident memory.
    fn memory(&self, view: &NodeView) -> Vec<v1::Counter> {
        let StoreMemory { index, allocators, transfer_metadata } = self.store.memory();
        let parts = [
            ("log", view.log.bytes as u64),
            ("index", index),
            ("allocators", allocators),
            ("transfer_metadata", transfer_metadata),
            ("recorder", self.instruments.recorder.memory() as u64),
        ];
        parts.map(|(label, value)| v1::Counter { label: label.to_owned(), value }).into()
    }

    /// What has become of the files of certificates: when the own one in force ends, or why new ones are not used.
    pub fn certificates(&self, looked: Result<Option<i64>, String>) {
        let mut security = self.security.write();
        match looked {
            Ok(until) => (security.certificate_until, security.certificate_refused) = (until, None),
            Err(why) => security.certificate_refused = Some(why),
        }
    }

    /// How automatic failover is, as far as this node knows.
    #[must_use]
    pub fn automation(&self) -> Option<v1::Automation> {
        self.view()?.leadership.as_ref().map(|l| automation::automation(&l.automation))
    }

    /// What is wrong here that only the node itself can know.
    fn findings(&self, view: &NodeView, now: WallTime) -> Vec<v1::Finding> {
        let automation = view.leadership.as_ref().and_then(|l| automation::finding(&l.automation));
        let disbelief =
            view.leadership.as_ref().and_then(|l| l.disbelief.as_deref()).map(automation::disbelief);
        automation.into_iter().chain(disbelief).chain(self.security.read().findings(now)).collect()
    }

    fn identity(&self, copy: CopyId) -> v1::Identity {
        let StatusFacts { me, mooncake, http, started, .. } = &self.facts;
        v1::Identity {
            cluster: me.cluster.to_string(),
            node: me.node.to_string(),
            copy: copy.to_string(),
            pid: std::process::id(),
            version: self.facts.version.clone(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            grpc_addr: Some(me.address.clone()),
            mooncake_addr: mooncake.clone(),
            http_addr: http.clone(),
            started_unix_us: started.0 as i64,
            protocol_version: PROTOCOL_VERSION,
        }
    }

    fn store_status(&self, recount: bool) -> v1::Store {
        let counted = recount.then(|| self.store.recount());
        let (digest, digest_at, objects) = match &counted {
            Some(r) => (r.digest, r.applied, r.objects),
            None => {
                let (digest, applied) = self.store.digest();
                (digest, applied, self.store.objects())
            }
        };
        let segments = self.segments();
        let used = |s: &v1::SegmentStatus| s.used_bytes.unwrap_or(0);
        v1::Store {
            objects,
            used_bytes: Some(segments.iter().map(used).sum()),
            capacity_bytes: segments.iter().fold(0, |sum, s| s.size_bytes.saturating_add(sum)),
            allocatable_bytes: Some(segments.iter().map(|s| s.size_bytes - used(s)).sum()),
            segments: segments.len() as u64,
            clients: Some(self.clients()),
            limbo_regions: counted.as_ref().map(|r| r.limbo),
            digest: Some(format!("{digest:032x}")),
            recount: counted.as_ref().map(|r| format!("{:032x}", r.recount)),
            digest_at: Some(digest_at.0),
            home_count: limits::HOMES as u32,
            segment_list: segments,
            eviction: self.serving.eviction().map(eviction),
            ..v1::Store::default()
        }
    }

    fn clients(&self) -> v1::ClientCounts {
        let table = self.store.segments().read();
        let known = table.clients().len() as u64;
        // A primary tells those that an earlier one knew to mount again, as its answer to a ping does.
        let epoch = table.term();
        let is_primary = self.serving.current().is_some();
        let ok = table.clients().filter(|c| c.ok && (!is_primary || c.is_greeted(epoch))).count() as u64;
        v1::ClientCounts { known: Some(known), ok: Some(ok), needing_remount: Some(known - ok) }
    }

    pub(super) fn segments(&self) -> Vec<v1::SegmentStatus> {
        let table = self.store.segments().read();
        let allocators = self.store.allocators().lock();
        let describe = |m: &standfast_kernel::store::Mount| v1::SegmentStatus {
            id: m.segment.id.to_string(),
            name: m.segment.name.clone(),
            te_endpoint: m.segment.te_endpoint.clone(),
            protocol: m.segment.protocol.clone(),
            client: m.client.to_string(),
            size_bytes: m.segment.size,
            used_bytes: allocators.get(m.uid).map(|a: &OffsetAllocator| a.size() - a.free_bytes()),
            state: segment_state(m).to_owned(),
            client_away_ms: None,
            base: Some(m.segment.base),
        };
        table.mounts().map(describe).collect()
    }

    fn primary_part(&self, status: &mut v1::NodeStatus, view: &NodeView, p: &PrimaryView) {
        let tail = view.log.tail;
        let timed = |peer: v1::Peer| v1::Peer { ack_time: self.durations().acks_of(&peer.node), ..peer };
        let connected = p.peers.iter().map(|peer| timed(connected_peer(peer, tail, self.facts.heartbeat)));
        let absent = p.absent.iter().map(absent_peer);
        // One that is streamed to shows its copying there.
        let streamed = |c: &&CopyingView| p.peers.iter().all(|peer| peer.node != c.node);
        let copying = p.copies.iter().filter(streamed).map(|c| full_sync::copying_peer(c, tail));
        status.standbys = connected.chain(absent).chain(copying).collect();
        let silent =
            |peer: &v1::Peer| p.record.silent.iter().any(|c| peer.copy.as_deref() == Some(&*c.to_string()));
        status.standbys.iter_mut().for_each(|peer| peer.silent = silent(peer));
        status.in_sync = Some(in_sync_set(&p.record));
        status.verification = Some(verification::of_primary(&p.recount));
        let gate = &p.gate;
        let may_answer = gate.may_answer(view.at);
        let alone = gate.rights_until == Instant::MAX;
        let reason = match (gate.holds_answers(view.at), alone) {
            (Some(why), _) => why,
            (None, _) if gate.admission.degraded => {
                "it answers reads only: fewer standbys are in sync than --min-insync demands"
            }
            (None, true) => "alone in the in-sync set: a crash now loses everything",
            (None, false) => "every in-sync standby has promised to let nobody else speak",
        };
        status.rights = Some(v1::Rights {
            may_answer,
            reason: reason.to_owned(),
            remaining_ms: (!alone).then(|| ms(gate.rights_until.since(view.at))),
            serve_in_ms: Some(ms(gate.serve_at.since(view.at))).filter(|ms| *ms > 0),
            hold_remaining_ms: view.hold_until.map(|h| ms(h.since(view.at))).filter(|ms| *ms > 0),
            lease_remaining_ms: None,
        });
    }

    fn standby_part(&self, status: &mut v1::NodeStatus, view: &NodeView, s: &StandbyView) {
        let (link, stream) = match s.link {
            LinkView::Down { .. } if s.why_not.is_some() && s.last_contact.is_some() => {
                (v1::LinkState::Backoff, None)
            }
            LinkView::Down { .. } => (v1::LinkState::Down, None),
            LinkView::Dialing => (v1::LinkState::Connecting, None),
            LinkView::Greeting => (v1::LinkState::Up, Some(v1::StreamState::Handshake)),
            LinkView::Copying => (v1::LinkState::Up, Some(v1::StreamState::FullSync)),
            LinkView::Streaming if s.in_sync => (v1::LinkState::Up, Some(v1::StreamState::Streaming)),
            LinkView::Streaming => (v1::LinkState::Up, Some(v1::StreamState::CatchingUp)),
        };
        let next_attempt = match s.link {
            LinkView::Down { retry_in } => Some(ms(retry_in)),
            LinkView::Dialing | LinkView::Greeting | LinkView::Copying | LinkView::Streaming => None,
        };
        status.upstream = Some(v1::Upstream {
            addr: self.followed(view),
            link: link.into(),
            stream: stream.map(Into::into),
            reason: s.why_not.clone(),
            contact_age_ms: s.last_contact.map(ms),
            attempts: s.failures,
            next_attempt_in_ms: next_attempt,
            lag: Some(own_lag(s, self.facts.heartbeat)),
            sealed: s.full_sync.is_none(),
            // Once homes are there, entries are what it lacks.
            progress: s
                .catch_up
                .as_ref()
                .filter(|_| !s.in_sync)
                .map(full_sync::catching_up)
                .or_else(|| s.full_sync.as_ref().map(full_sync::own_progress)),
            full_syncs: Some(u64::from(s.full_syncs)),
            heartbeat_gap: Some(self.durations().heartbeat_gap.reading()),
            grant_given_remaining_ms: Some(ms(s.promise_left)).filter(|ms| *ms > 0),
            ..v1::Upstream::default()
        });
        status.in_sync = s.record.as_ref().map(in_sync_set);
        let entries = s.quarantine.iter().map(|q| v1::QuarantinedEntry {
            seq: q.seq.0,
            key: q.key.clone().map(Into::into),
            code: "quarantined".to_owned(),
            text: q.reason.to_string(),
            at_unix_us: status.taken.as_ref().map_or(0, |t| t.unix_us),
        });
        status.quarantine =
            Some(v1::Quarantine { count: s.quarantine.len() as u64, entries: entries.collect() });
    }

    fn rehearsal(&self, view: &NodeView, store: Option<&v1::Store>) -> v1::Rehearsal {
        let loss = match &view.detail {
            RoleView::Standby(s) => own_lag(s, self.facts.heartbeat).entries,
            RoleView::Candidate(_) | RoleView::Primary(_) => None,
        };
        let promise_left = match &view.detail {
            RoleView::Standby(s) => Some(ms(s.promise_left)),
            RoleView::Candidate(_) | RoleView::Primary(_) => None,
        };
        v1::Rehearsal {
            verdict: answer_to_wire(view.rehearsal.answer).into(),
            reasons: self.reasons(&view.rehearsal.reasons),
            age_ms: view.rehearsal.age.map(ms),
            interval_ms: Some(ms(super::driver::TICK_MAX)),
            plan: Some(v1::PromotionPlan {
                keys: store.map(|s| s.objects),
                bytes: store.and_then(|s| s.used_bytes),
                segments: store.map(|s| s.segments),
                applied: Some(view.log.tail.0),
                serve_in_ms: promise_left,
                loss: Some(v1::Loss { entries: loss, ..v1::Loss::default() }),
                ..v1::PromotionPlan::default()
            }),
            ..v1::Rehearsal::default()
        }
    }

    /// Why not, each with the step that would cure it.
    #[must_use]
    pub fn reasons(&self, reasons: &[standfast_kernel::supervisor::Reason]) -> Vec<v1::Reason> {
        let differ = match self.view().as_ref().map(|view| &view.detail) {
            Some(RoleView::Standby(s)) => verification::cure(&s.verify, &self.facts.me.node),
            Some(RoleView::Candidate(_) | RoleView::Primary(_)) | None => "standfast status".to_owned(),
        };
        let cure = |code: &str| match code {
            "drain_timeout" | "not_standby" | "superseded" => "standfast status",
            "never_streamed" | "not_in_sync" | "full_sync" => {
                "wait until `standfast status` shows it in sync"
            }
            "items_differ" | "segments_differ" => differ.as_str(),
            "stale_proof" | "structure" => "standfast verify run",
            "paused" | "flapping" => "standfast resume",
            "loss_above" | "loss_unknown" | "loses_all" => {
                "see `standfast failover --dry-run`, then say --accept-loss all"
            }
            "version" => "run the same version on all nodes",
            "old_epoch" | "gap" => "wait until it follows the present primary",
            "not_primary" | "busy" | "nothing_to_abort" | "too_late" | "aborted" | "not_handed_over"
            | "nothing_to_resume" | "changed_meanwhile" => "standfast status",
            "not_needed" => "standfast failover --to NODE",
            "holder_alive" | "no_record" | "not_elected" | "not_now" => "try again in some seconds",
            "no_coordinator" => "standfast failover --to NODE",
            "coordinator" | "coordinator_away" => {
                "standfast status names the coordinator; see that it answers"
            }
            _ => "detach this standby at the primary: it is given a new copy of the state",
        };
        let reason = |r: &standfast_kernel::supervisor::Reason| v1::Reason {
            code: r.code.to_owned(),
            text: r.text.clone(),
            cure: cure(r.code).to_owned(),
        };
        reasons.iter().map(reason).collect()
    }

    /// What a promotion would serve, for the answer to an operator.
    #[must_use]
    pub fn promotion_plan(&self) -> Option<v1::PromotionPlan> {
        let view = self.view.read().clone()?;
        self.rehearsal(&view, Some(&self.store_status(false))).plan
    }

    /// The in-sync set as this node knows it now.
    #[must_use]
    pub fn in_sync_set(&self) -> Option<v1::InSyncSet> {
        match &self.view.read().clone()?.detail {
            RoleView::Primary(p) => Some(in_sync_set(&p.record)),
            RoleView::Standby(s) => s.record.as_ref().map(in_sync_set),
            RoleView::Candidate(_) => None,
        }
    }
}

fn answer_to_wire(answer: Answer) -> v1::Verdict {
    match answer {
        Answer::Yes => v1::Verdict::Yes,
        Answer::No => v1::Verdict::No,
        Answer::Unknown => v1::Verdict::Unknown,
    }
}

fn positions(view: &NodeView) -> v1::Positions {
    let standby = match &view.detail {
        RoleView::Standby(s) => Some(s),
        RoleView::Candidate(_) | RoleView::Primary(_) => None,
    };
    let primary = match &view.detail {
        RoleView::Primary(p) => Some(p),
        RoleView::Candidate(_) | RoleView::Standby(_) => None,
    };
    let commit = primary.map(|p| p.gate.commit).or(standby.and_then(|s| s.commit_known));
    let last = Some(view.log.last).filter(|l| *l != LogPos::NONE);
    v1::Positions {
        tail: view.log.tail.0,
        trim: view.log.trim.0,
        applied: view.log.tail.0,
        commit: commit.map(|c| c.0),
        received: standby.map(|s| s.applied.0),
        verified: standby.and_then(|s| s.verify.verified.map(|upto| upto.min(s.applied).0)),
        primary_tail: standby.and_then(|s| s.primary_tail).map(|t| t.0),
        last_epoch: last.map(|l| l.epoch.0),
        sent: primary.and_then(|p| p.peers.iter().map(|peer| peer.sent.0).max()),
    }
}

fn log(view: &NodeView) -> v1::Log {
    let m = &view.log;
    v1::Log {
        entries: m.tail.since(m.trim),
        bytes: m.bytes as u64,
        max_entries: m.limits.entries,
        max_bytes: m.limits.bytes as u64,
        appended_entries: m.appended,
        pinned_at: m.pinned_at.map(|s| s.0),
        ..v1::Log::default()
    }
}

fn in_sync_set(r: &InSyncRecord) -> v1::InSyncSet {
    let members = r.members.iter().map(|(copy, node)| v1::InSyncCopy {
        copy: copy.to_string(),
        node: node.to_string(),
        silent: r.silent.contains(copy),
    });
    v1::InSyncSet {
        members: members.collect(),
        revision: r.revision,
        change_pending: Some(false),
        ..v1::InSyncSet::default()
    }
}

fn connected_peer(p: &PeerView, tail: Seq, heartbeat: Duration) -> v1::Peer {
    let silent = p.last_contact > heartbeat * SILENT_HEARTBEATS;
    let (stream, reason) = match p.state {
        _ if silent => {
            let why = "its connection is open, but it says nothing: it is stopped or cut off";
            (None, Some(why.to_owned()))
        }
        PeerState::Streaming => (Some(v1::StreamState::Streaming), None),
        PeerState::CatchingUp => (Some(v1::StreamState::CatchingUp), None),
        PeerState::Sealing => {
            let why = "replays what came while its copy of the state was made";
            (Some(v1::StreamState::FullSync), Some(why.to_owned()))
        }
        PeerState::Quarantined => {
            (Some(v1::StreamState::CatchingUp), Some("an entry is quarantined there".to_owned()))
        }
    };
    v1::Peer {
        node: p.node.to_string(),
        copy: Some(p.copy.to_string()),
        grpc_addr: Some(p.address.clone()),
        link: if silent { v1::LinkState::Down } else { v1::LinkState::Up }.into(),
        stream: stream.map(Into::into),
        reason,
        sent: Some(p.sent.0),
        received: Some(p.acked.0),
        applied: Some(p.acked.0),
        matched: Some(p.acked.0),
        verified: p.verified.map(|upto| upto.0),
        lag: Some(v1::Lag {
            entries: Some(tail.since(p.acked)).filter(|_| !silent),
            bytes: p.lag_bytes.filter(|_| !silent),
            age_us: silence(Some(p.last_contact), heartbeat).max(p.behind_for).map(us),
        }),
        contact_age_ms: Some(ms(p.last_contact)),
        grant_remaining_ms: Some(ms(p.grant_left)),
        in_sync: p.in_sync,
        quarantined: Some(u64::from(p.quarantined)),
        progress: p.catch_up.as_ref().filter(|_| !p.in_sync).map(full_sync::catching_up),
        ..v1::Peer::default()
    }
}

/// An in-sync copy without a connection: its positions are the last known, its
/// lag is unknown and its age rises.
fn absent_peer(a: &AbsentView) -> v1::Peer {
    v1::Peer {
        node: a.node.to_string(),
        copy: Some(a.copy.to_string()),
        link: v1::LinkState::Down.into(),
        reason: Some("in the in-sync set but not connected: writes wait for it".to_owned()),
        matched: Some(a.acked.0),
        lag: Some(v1::Lag { entries: None, bytes: None, age_us: Some(us(a.last_contact)) }),
        contact_age_ms: Some(ms(a.last_contact)),
        in_sync: true,
        ..v1::Peer::default()
    }
}

/// For how long the other side has missed its heartbeats. A cut link breaks much later; what was equal until now may
/// be behind by all that time.
fn silence(last_contact: Option<Duration>, heartbeat: Duration) -> Option<Duration> {
    last_contact.filter(|age| *age > heartbeat * 2)
}

/// Lag as the standby itself sees it: entries are unknown without contact, the
/// age rises then from when the copies were last equal.
fn own_lag(s: &StandbyView, heartbeat: Duration) -> v1::Lag {
    let fresh = s.link == LinkView::Streaming;
    let entries = s.primary_tail.filter(|_| fresh).map(|tail| tail.since(s.applied));
    let age = if fresh { s.behind_for } else { s.equal_for };
    v1::Lag { entries, bytes: None, age_us: age.max(silence(s.last_contact, heartbeat)).map(us) }
}

fn eviction(s: EvictionStats) -> v1::Eviction {
    v1::Eviction {
        passes: s.attempted,
        successful_passes: s.successful,
        objects: s.evicted_keys,
        bytes: s.evicted_bytes,
        discarded: s.discarded,
        released: s.released,
    }
}

fn segment_state(m: &standfast_kernel::store::Mount) -> &'static str {
    match m.status() {
        SegmentStatus::Ok if m.held => "held",
        SegmentStatus::Ok => "ok",
        SegmentStatus::GracefullyUnmounting => "gracefully_unmounting",
    }
}

fn ms(d: Duration) -> u64 {
    d.as_millis() as u64
}

fn us(d: Duration) -> u64 {
    d.as_micros() as u64
}

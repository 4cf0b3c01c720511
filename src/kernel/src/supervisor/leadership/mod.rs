//! Leadership with a coordinator: facts in; transactions, changes of the role
//! and a sentence for each out (PROTOCOL 4, 6, 8).
//!
//! The machine sees records and facts, never a service: the node composes it
//! with the replication machines, the shell carries its transactions out.

mod amnesia;
mod automation;
mod empty;
mod hand_over;
mod holder;
mod rehearse;
mod standby;
mod view;

pub use automation::{AutomationAnswer, AutomationNews, AutomationOrder};
pub use view::{HolderView, LeadershipView};

use std::time::Duration;

use super::{FlapLimit, Role};
use crate::coordination::{
    EpochCause, EpochRecord, HistoryId, HistoryRecord, IsrMember, IsrRecord, Key, Outcome, RecordView,
    Records, Revision, Transaction, TransactionOutcome, Value, Versioned,
};
use crate::types::{AckMode, CopyId, Epoch, Instant, NodeId, WallTime};

/// Periods of leadership (PROTOCOL T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeadershipTimes {
    /// HB: a machine that was not woken for longer has stalled.
    pub heartbeat: Duration,
    /// T_takeover: silence after which the holder is taken for gone.
    pub takeover: Duration,
    /// T_cas: longest wait for an answer of the coordinator.
    pub call_deadline: Duration,
    /// L: the solo lease.
    pub lease: Duration,
    /// RENEW: how often the holder counts.
    pub renew: Duration,
}

impl Default for LeadershipTimes {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            takeover: Duration::from_millis(400),
            call_deadline: Duration::from_secs(1),
            lease: Duration::from_secs(3),
            renew: Duration::from_millis(500),
        }
    }
}

/// What the machine is told once.
#[derive(Debug, Clone)]
pub struct LeadershipConfig {
    /// The node.
    pub node: NodeId,
    /// Where other nodes reach it.
    pub address: String,
    /// Where Mooncake's clients reach it, if anywhere.
    pub mooncake: Option<String>,
    /// Periods.
    pub times: LeadershipTimes,
    /// When replies go out.
    pub ack: AckMode,
    /// Longest read lease that it grants.
    pub read_ttl_max: Duration,
    /// Starts empty by itself when every copy on record is proved to be gone.
    pub cold_start: bool,
    /// Automatic changes of the holder that are too many.
    pub flaps: FlapLimit,
    /// Seed of nonces, fresh in each process.
    pub seed: u64,
}

/// Names one transaction until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// What the machine is told besides events, each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadershipFacts {
    /// The node's role.
    pub role: Role,
    /// Its present copy of the state.
    pub copy: CopyId,
    /// Highest epoch seen anywhere.
    pub max_epoch: Epoch,
    /// Whether this copy could serve: sealed, and nothing set aside; else why not.
    pub unfit: Option<String>,
    /// Nothing was ever stored in this copy.
    pub is_blank: bool,
    /// Copies on record of other nodes that are gone: their nodes said that they have another.
    pub gone: std::collections::BTreeSet<CopyId>,
    /// As standby: when the holder was last heard.
    pub heard: Option<Instant>,
    /// As standby: the stream of the holder was closed, and it refuses a new one.
    pub refused: bool,
    /// As primary: clients can connect.
    pub listening: bool,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeadershipEvent {
    /// The coordinator was read, or a watch told of a change.
    Seen(Records),
    /// The watch broke; it is begun anew by itself.
    Lost(String),
    /// A transaction has ended.
    Done(CallId, TransactionOutcome),
    /// As primary: this node counts this in-sync set already and wants it on
    /// record; answered by [`LeadershipAction::Confirmed`], whatever is on record then.
    Propose(IsrRecord),
    /// An operator wants this node to lead (PROTOCOL T1 c).
    TakeOver {
        /// Who asks.
        actor: String,
        /// Why.
        reason: String,
    },
    /// The node has fallen silent: make another the holder (PROTOCOL T7).
    HandOver(Box<HandOverOrder>),
    /// An operator starts this node empty; its copy is discarded already (PROTOCOL T4).
    Force {
        /// Who asks.
        actor: String,
        /// Why.
        reason: String,
    },
    /// An operator speaks about automatic changes of the holder.
    Automation(Box<AutomationOrder>),
    /// Time has passed.
    Tick,
}

/// Whom to hand over to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOverOrder {
    /// The member that is to lead.
    pub to: IsrMember,
    /// Who wants it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Only ask whether it would be accepted.
    pub dry_run: bool,
}

/// Whether an attempt to lead that has ended can still succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It cannot any more.
    Known,
    /// It may: nobody answered (PROTOCOL C1, C2).
    Unknown,
}

/// A term that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Its epoch.
    pub epoch: Epoch,
    /// The in-sync set on record.
    pub isr: IsrRecord,
    /// What made it.
    pub cause: EpochCause,
    /// Why, as a sentence.
    pub reason: String,
    /// Who wanted it.
    pub actor: String,
    /// The former holder had stopped answering before (PROTOCOL G4).
    pub quiet: bool,
    /// Until then the solo lease holds (PROTOCOL G5).
    pub lease_until: Instant,
    /// When the evidence was complete, and the transaction was sent.
    pub asked: Instant,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeadershipAction {
    /// Carry this out; its end comes as [`LeadershipEvent::Done`].
    Transact(CallId, Transaction),
    /// Read the records anew.
    Read,
    /// Stop acknowledging and granting, before the next action: a takeover is sent (PROTOCOL T2).
    Stand(String),
    /// Follow again: the takeover did not succeed, because; or is not known to have.
    GiveUp(String, Certainty),
    /// An operator's wish that this node lead is not followed, because. It is forgotten.
    Declined(String),
    /// Lead.
    Lead(Box<Term>),
    /// A higher epoch exists: stop deciding, or learn it.
    StepDown(Epoch),
    /// That node leads: follow it, at this address.
    Follow(NodeId, String),
    /// Dial this address: which copy has the node there?
    AskAfter(String),
    /// This in-sync set is on record.
    Confirmed(IsrRecord),
    /// The in-sync set that counts has to be put on record again.
    Reconfirm,
    /// The solo lease holds until then.
    Lease(Instant),
    /// Clients find this node, since this revision.
    Published(Revision),
    /// What came of a hand-over: the epoch that it began (of a dry run, 0), or why
    /// not. Then this node still leads, as far as is known, and may speak again.
    HandedOver(Result<Epoch, String>),
    /// What came of an operator's word about automatic changes.
    Automated(AutomationAnswer),
    /// News of the word on record at this revision.
    Automation(Revision, AutomationNews),
    /// People should know.
    Warn(&'static str, String),
}

/// What a transaction on its way is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    Bootstrap,
    Takeover,
    Isr(IsrRecord),
    Renew,
    Publish,
    History,
    Rehearsal,
    HandOver,
    /// The compares of one, without effect.
    HandOverDry,
    /// Kills one that was not answered.
    Withdraw,
    /// An operator's word about automatic changes.
    Automation,
}

/// A transaction on its way.
#[derive(Debug, Clone)]
struct Call {
    purpose: Purpose,
    sent: Instant,
    /// The records were known at that revision then: no answer can be of an earlier one.
    known_at: Revision,
    transaction: Transaction,
}

/// What the present holder keeps.
#[derive(Debug, Clone)]
struct Holding {
    epoch: Revision,
    history: HistoryId,
    /// Counts up in `alive`.
    counter: u64,
    renew_at: Instant,
    /// An in-sync set that is to be on record, and when it is sent, or sent again (PROTOCOL I9).
    proposal: Option<(IsrRecord, Instant)>,
    /// When a hand-over without an answer is taken back.
    withdraw_at: Option<Instant>,
    publish_at: Instant,
    published: Option<Revision>,
    /// The history of this term, until it is on record.
    unwritten: Option<HistoryRecord>,
    restoring: amnesia::Restoring,
}

/// The machine.
#[derive(Debug)]
pub struct Leadership {
    config: LeadershipConfig,
    view: RecordView,
    calls: std::collections::BTreeMap<CallId, Call>,
    next_call: u64,
    holding: Option<Holding>,
    /// No silence before this counts: when the role began, or the own stall ended.
    attentive_since: Instant,
    last_tick: Instant,
    /// What was asked of the coordinator before proves no lease (PROTOCOL 1).
    doubted_at: Instant,
    /// When the next attempt to lead may be made.
    attempt_at: Instant,
    attempts: u32,
    followed: Option<(Epoch, CopyId)>,
    /// The last epoch that this node led.
    led: Epoch,
    /// Why the coordinator does not answer; `None` when it does.
    away: Option<String>,
    /// What it says contradicts what it said before.
    forgetful: bool,
    /// The last sentence about why nothing is done.
    waiting: Option<String>,
    /// An operator's wish that this node lead: who, and why. It is followed at
    /// once or never: later it would depose a healthy holder.
    wish: Option<(String, String)>,
    rehearsed: rehearse::Rehearsed,
    told: automation::Told,
    /// When the coordinator last answered, and how often it did not.
    answered_at: Option<Instant>,
    /// When the next member is asked after, and how many were.
    ask_at: Instant,
    asked: usize,
    unanswered: u64,
}

/// Longest pause between two attempts to lead.
const ATTEMPT_PAUSE_MAX: Duration = Duration::from_secs(2);
/// First pause between two attempts to lead.
const ATTEMPT_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Pause before an unanswered change of the in-sync set, or of the client key, is sent again.
const AGAIN: Duration = Duration::from_millis(100);

impl Leadership {
    /// A machine that knows nothing yet.
    #[must_use]
    pub fn new(config: LeadershipConfig) -> Self {
        let now = Instant(0);
        Self {
            config,
            view: RecordView::default(),
            calls: std::collections::BTreeMap::new(),
            next_call: 0,
            holding: None,
            attentive_since: now,
            last_tick: now,
            doubted_at: now,
            attempt_at: now,
            attempts: 0,
            followed: None,
            led: Epoch(0),
            away: None,
            forgetful: false,
            waiting: None,
            wish: None,
            rehearsed: rehearse::Rehearsed::default(),
            told: automation::Told::default(),
            answered_at: None,
            ask_at: now,
            asked: 0,
            unanswered: 0,
        }
    }

    /// The records as this node knows them.
    #[must_use]
    pub fn view(&self) -> &RecordView {
        &self.view
    }

    /// Why the coordinator does not answer; `None` when it does.
    #[must_use]
    pub fn away(&self) -> Option<&str> {
        self.away.as_deref()
    }

    /// Why this standby does not take over, as a sentence; `None` when nothing speaks for it.
    #[must_use]
    pub fn waiting(&self) -> Option<&str> {
        self.waiting.as_deref()
    }

    /// Its last attempt to lead came to nothing.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.attempts > 0
    }

    /// Takes in what has happened. `wall` goes into records, for people.
    pub fn on(
        &mut self,
        now: Instant,
        wall: WallTime,
        event: LeadershipEvent,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        if self.last_tick == Instant(0) {
            (self.attentive_since, self.last_tick) = (now, now);
        }
        // An own stall is noticed whatever wakes it: what was silent meanwhile may
        // have spoken to a node that did not listen (PROTOCOL T1).
        let stalled = self.deadline(facts).is_some_and(|due| now > due.plus(self.config.times.heartbeat));
        if stalled && !mutant!(StallIgnored) {
            self.attentive_since = now;
        }
        self.last_tick = now;
        match event {
            LeadershipEvent::Seen(records) => self.seen(now, &records, facts, out),
            LeadershipEvent::Lost(why) => {
                if self.away.is_none() {
                    out.push(LeadershipAction::Warn("coordinator_away", why.clone()));
                }
                self.away = Some(why);
            }
            LeadershipEvent::Done(id, outcome) => self.done(now, id, &outcome, facts, out),
            LeadershipEvent::Propose(isr) => {
                if let Some(holding) = &mut self.holding {
                    holding.proposal = Some((isr, now));
                }
            }
            LeadershipEvent::TakeOver { actor, reason } => {
                self.wish = Some((actor, reason));
                self.attempt_at = now;
            }
            LeadershipEvent::Force { actor, reason } => {
                if self.view.moved_back.is_none() || mutant!(ForcedByLostRecords) {
                    let cause = EpochCause::Forced;
                    return self.start_empty(now, wall, facts, cause, (&actor, reason), out);
                }
                self.wish = Some((actor, reason));
            }
            LeadershipEvent::HandOver(order) => self.hand_over(now, wall, &order, facts, out),
            LeadershipEvent::Automation(order) => self.set_automation(now, wall, *order, out),
            LeadershipEvent::Tick => {}
        }
        if self.has_moved_back(out) {
            return;
        }
        self.tell_automation(wall, out);
        self.review(now, wall, facts, out);
        if self.wish.take().is_some()
            && !self.on_its_way(|p| matches!(p, Purpose::Takeover | Purpose::Bootstrap))
        {
            let why = self.waiting.clone().unwrap_or_else(|| "the records have just changed".to_owned());
            out.push(LeadershipAction::Declined(why));
        }
    }

    /// When it wants to be woken, at the latest.
    #[must_use]
    pub fn deadline(&self, facts: &LeadershipFacts) -> Option<Instant> {
        if self.view.moved_back.is_some() {
            return None;
        }
        let soon = self.last_tick.plus(Duration::from_millis(1));
        match facts.role {
            Role::Primary => self.holding.as_ref().map(|h| {
                let propose_at = h.proposal.as_ref().map(|(_, at)| *at);
                let busy = self.on_its_way(|p| matches!(p, Purpose::Isr(_))) || self.is_handing_over();
                let propose_at = propose_at.filter(|_| !busy);
                let others = propose_at.into_iter().chain(h.withdraw_at).min();
                h.renew_at.min(others.unwrap_or(Instant::MAX)).max(soon)
            }),
            Role::Candidate => None,
            Role::Standby => {
                let due = self.silent_at(facts).max(self.attempt_at);
                let next = self.last_tick.plus(self.config.times.heartbeat);
                Some(if due > self.last_tick { due.min(next) } else { next })
            }
        }
    }

    /// Decides anew on everything that is known.
    fn review(
        &mut self,
        now: Instant,
        wall: WallTime,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        let epoch = self.view.recorded_epoch();
        // PROTOCOL C2. Whoever saw the record before may have told of its epoch.
        let named = self.view.names(facts.copy) || (mutant!(LedByNodeName) && self.names_own_node());
        if named && epoch >= facts.max_epoch && epoch > self.led {
            return self.lead(now, out);
        }
        if epoch > facts.max_epoch {
            self.let_go(out);
            out.push(LeadershipAction::StepDown(epoch));
        }
        self.follow(now, facts, out);
        match facts.role {
            Role::Standby => self.review_standby(now, wall, facts, out),
            Role::Candidate => {}
            Role::Primary => self.review_holder(now, wall, facts, out),
        }
    }

    /// The record names this node, in whatever copy of the state.
    fn names_own_node(&self) -> bool {
        self.view.holder().is_some_and(|h| h.holder == self.config.node)
    }

    /// Tells whom to follow, once for each holder.
    fn follow(&mut self, now: Instant, facts: &LeadershipFacts, out: &mut Vec<LeadershipAction>) {
        let Some(holder) = self.view.holder() else { return };
        let this = (self.view.recorded_epoch(), holder.copy);
        if holder.copy == facts.copy || self.followed == Some(this) {
            return;
        }
        self.attentive_since = now;
        out.push(LeadershipAction::Follow(holder.holder.clone(), holder.address.clone()));
        self.followed = Some(this);
    }

    /// PROTOCOL C2: the record names this copy, however late that is learned.
    fn lead(&mut self, now: Instant, out: &mut Vec<LeadershipAction>) {
        let (Some(epoch), Some(isr)) = (self.view.epoch.record.clone(), self.view.in_sync().cloned()) else {
            // Half of the truth: a watch told of one record, the other follows.
            return out.push(LeadershipAction::Read);
        };
        let record = epoch.value;
        let sent = self.sent(record.nonce);
        // The own takeover compared the in-sync set. Of a hand-over it is only known that
        // the former holder did: what is known here may be older, and lack a member
        // whose acknowledgement and promise count (PROTOCOL I1, 5).
        if sent.is_none() && self.view.isr.at < epoch.modified && !mutant!(LedByOldRecord) {
            return out.push(LeadershipAction::Read);
        }
        if sent.is_none() && mutant!(LateElectionIgnored) {
            return;
        }
        let asked = sent.as_ref().map_or(now, |call| call.sent);
        let reason = record.reason;
        self.led = epoch.modified.epoch();
        self.holding = Some(Holding {
            epoch: epoch.modified,
            history: HistoryId { previous: record.previous, nonce: record.nonce },
            counter: 0,
            renew_at: now,
            proposal: None,
            withdraw_at: None,
            publish_at: now,
            published: None,
            unwritten: None,
            restoring: amnesia::Restoring::No,
        });
        self.calls.retain(|_, call| !matches!(call.purpose, Purpose::Takeover | Purpose::Bootstrap));
        (self.attempts, self.followed, self.waiting, self.wish) = (0, None, None, None);
        // A record that another node wrote, or that was learned late, gives no lease (PROTOCOL G5).
        let sure = sent.filter(|call| call.sent >= self.doubted_at);
        let lease_until = sure.map_or(Instant(0), |call| call.sent.plus(self.config.times.lease));
        out.push(LeadershipAction::Lead(Box::new(Term {
            epoch: epoch.modified.epoch(),
            isr,
            cause: record.cause,
            reason,
            actor: record.actor,
            quiet: record.quiet,
            lease_until,
            asked,
        })));
    }

    /// The transaction of this node that wrote a record with that nonce.
    fn sent(&self, nonce: u64) -> Option<Call> {
        let wrote = |call: &&Call| {
            call.transaction.then.iter().any(|put| {
                matches!(put, crate::coordination::Put::Set(_, Value::Epoch(record)) if record.nonce == nonce)
            })
        };
        self.calls.values().find(wrote).cloned()
    }

    fn done(
        &mut self,
        now: Instant,
        id: CallId,
        outcome: &TransactionOutcome,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        let Some(call) = self.calls.get(&id).cloned() else { return };
        let outcome = &self.believed(&call, outcome.clone(), facts, out);
        match outcome {
            Outcome::Committed(at) => {
                (self.away, self.answered_at) = (None, Some(now));
                self.wrote(now, *at, &call.transaction);
            }
            Outcome::CompareFailed(truth) => {
                (self.away, self.answered_at) = (None, Some(now));
                self.view.learn(now, truth);
            }
            // It may be done all the same; what is so is read (PROTOCOL C1).
            Outcome::Unknown(why) => {
                self.unanswered += 1;
                self.away.get_or_insert_with(|| why.clone());
                out.push(LeadershipAction::Read);
            }
        }
        // It leads by this record, unless that was overtaken meanwhile: the review says so.
        let leads_by_it = *outcome == Outcome::Committed(self.view.epoch.modified())
            && self.view.recorded_epoch() >= facts.max_epoch;
        match call.purpose {
            Purpose::Takeover | Purpose::Bootstrap if leads_by_it => {}
            Purpose::Takeover | Purpose::Bootstrap => {
                self.calls.remove(&id);
                self.not_elected(now, outcome, facts, out);
            }
            Purpose::Automation => {
                self.calls.remove(&id);
                self.automation_done(outcome, out);
            }
            // What it says of the records proves nothing: no lease, no set, no word before it is proved (PROTOCOL C4).
            Purpose::HandOver | Purpose::HandOverDry | Purpose::Withdraw
                if self.view.moved_back.is_some() =>
            {
                self.calls.remove(&id);
                let nothing = Outcome::Unknown("it has lost records: see the alarm".to_owned());
                self.hand_over_done(now, &call, &nothing, out);
            }
            _ if self.view.moved_back.is_some() => {
                self.calls.remove(&id);
            }
            Purpose::HandOver | Purpose::HandOverDry | Purpose::Withdraw => {
                self.calls.remove(&id);
                self.hand_over_done(now, &call, outcome, out);
            }
            Purpose::Rehearsal => {
                self.calls.remove(&id);
                self.rehearsal_done(now, &call, outcome);
            }
            Purpose::Isr(_) | Purpose::Renew | Purpose::Publish | Purpose::History => {
                self.calls.remove(&id);
                self.holder_done(now, &call, outcome, out);
            }
        }
    }

    /// A transaction of this node was done: its writes are the truth at that revision.
    fn wrote(&mut self, now: Instant, at: Revision, transaction: &Transaction) {
        use crate::coordination::Put;
        let created = |key: &Key| match key {
            Key::Epoch => self.view.epoch.record.as_ref().map(|r| r.created),
            Key::Isr => self.view.isr.record.as_ref().map(|r| r.created),
            Key::Alive => self.view.alive.record.as_ref().map(|r| r.created),
            Key::Automation => self.view.automation.record.as_ref().map(|r| r.created),
            Key::MasterView => self.view.master_view.record.as_ref().map(|r| r.created),
            Key::History(_) | Key::Rehearsal(_) => None,
        };
        let records = transaction.then.iter().map(|put| match put {
            Put::Set(key, value) => {
                let created = created(key).unwrap_or(at);
                (key.clone(), Some(Versioned { created, modified: at, value: value.clone() }))
            }
            Put::Delete(key) => (key.clone(), None),
        });
        let records = records.collect();
        self.view.learn(now, &Records { at, records });
    }

    fn transact(
        &mut self,
        now: Instant,
        purpose: Purpose,
        transaction: Transaction,
        out: &mut Vec<LeadershipAction>,
    ) {
        self.next_call += 1;
        let id = CallId(self.next_call);
        let known_at = self.newest_known();
        self.calls.insert(id, Call { purpose, sent: now, known_at, transaction: transaction.clone() });
        out.push(LeadershipAction::Transact(id, transaction));
    }

    fn on_its_way(&self, wanted: impl Fn(&Purpose) -> bool) -> bool {
        self.calls.values().any(|call| wanted(&call.purpose))
    }

    fn nonce(&self) -> u64 {
        let mixed = (self.config.seed ^ (self.next_call + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }

    fn own_record(
        &self,
        facts: &LeadershipFacts,
        cause: EpochCause,
        reason: &str,
        actor: &str,
        wall: WallTime,
    ) -> EpochRecord {
        EpochRecord {
            holder: self.config.node.clone(),
            copy: facts.copy,
            address: self.config.address.clone(),
            mooncake: self.config.mooncake.clone(),
            cause,
            actor: actor.to_owned(),
            reason: reason.to_owned(),
            nonce: self.nonce(),
            quiet: false,
            previous: self.view.recorded_epoch(),
            automatic: self.automatic_changes(cause, actor, wall),
        }
    }

    fn own_history(&self, cause: EpochCause, reason: &str, actor: &str, wall: WallTime) -> HistoryRecord {
        HistoryRecord {
            epoch: None,
            node: self.config.node.clone(),
            cause,
            reason: reason.to_owned(),
            actor: actor.to_owned(),
            at: wall,
            phases: Vec::new(),
            loss: None,
        }
    }

    fn own_member(&self, copy: CopyId) -> IsrMember {
        IsrMember { copy, node: self.config.node.clone(), address: self.config.address.clone() }
    }
}

#[cfg(test)]
#[path = "leadership_tests.rs"]
mod tests;

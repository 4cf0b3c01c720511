//! Leadership with a coordinator, put together with the machines of the roles.

use std::time::Duration;

use super::{Happening, Loss, Node, NodeAction, Operated, RoleChange, RoleState, automation};
use crate::coordination::{EpochCause, HistoryLoss, HistoryRecord};
use crate::replication::{
    Keeping, PrimaryEvent, PrimaryFrame, RecordStart, Standby, StandbyEvent, Start, StreamRefusal,
};
use crate::supervisor::{
    Cause, Certainty, LeadershipAction, LeadershipEvent, LeadershipFacts, Reason, Role, Term, Verdict,
};
use crate::types::{AckMode, Instant, LogPos, NodeId, WallTime, up};

/// How a term begins.
pub(super) struct TermStart {
    pub(super) cause: Cause,
    pub(super) serve_at: Instant,
    pub(super) hold_until: Instant,
    pub(super) change: RoleChange,
    pub(super) keeping: Keeping,
    /// Longest read lease that earlier primaries may have granted.
    pub(super) read_ttl_max: Duration,
}

impl Node {
    pub(super) fn leadership_event(
        &mut self,
        now: Instant,
        wall: WallTime,
        event: LeadershipEvent,
        out: &mut Vec<NodeAction>,
    ) {
        let facts = self.leadership_facts();
        let Some(leadership) = &mut self.leadership else { return };
        let mut actions = Vec::new();
        leadership.on(now, wall, event, &facts, &mut actions);
        for action in actions {
            self.leadership_action(now, wall, action, out);
        }
    }

    pub(super) fn leadership_facts(&self) -> LeadershipFacts {
        let standby = self.state.standby();
        LeadershipFacts {
            role: self.role(),
            copy: self.config.me.copy,
            max_epoch: self.max_epoch,
            unfit: standby.and_then(Standby::unfit),
            is_blank: self.log.last() == LogPos::NONE && standby.is_some_and(Standby::is_sealed),
            gone: self.gone.clone(),
            heard: standby.and_then(Standby::led_at),
            refused: self.refused,
            listening: self.listening,
        }
    }

    fn leadership_action(
        &mut self,
        now: Instant,
        wall: WallTime,
        action: LeadershipAction,
        out: &mut Vec<NodeAction>,
    ) {
        match action {
            LeadershipAction::Transact(id, transaction) => {
                out.push(NodeAction::Transact(id, Box::new(transaction)));
            }
            LeadershipAction::Read => out.push(NodeAction::ReadRecords),
            LeadershipAction::Stand(why) => self.stand(now, why, out),
            LeadershipAction::GiveUp(why, certainty) => self.give_up(now, why, certainty, out),
            LeadershipAction::Declined(why) => self.does_not_lead("not_now", &why, out),
            LeadershipAction::Lead(term) => self.lead_term(now, wall, &term, out),
            LeadershipAction::StepDown(epoch) => self.learn(now, epoch, out),
            LeadershipAction::Follow(node, address) => {
                self.refused = false;
                out.push(NodeAction::Follow(address));
                out.push(NodeAction::Happened(Happening::holder(&node, self.max_epoch)));
                self.standby_event(now, StandbyEvent::Follow, out);
            }
            LeadershipAction::AskAfter(address) => {
                out.push(NodeAction::Follow(address));
                self.standby_event(now, StandbyEvent::Follow, out);
            }
            LeadershipAction::Confirmed(isr) => {
                if let RoleState::Primary(_, master) = &self.state {
                    master.bound_leases(isr.read_ttl_max);
                }
                self.primary_event(now, PrimaryEvent::Confirmed(isr), out);
            }
            LeadershipAction::Reconfirm => self.primary_event(now, PrimaryEvent::Reconfirm, out),
            LeadershipAction::Lease(until) => self.primary_event(now, PrimaryEvent::Lease(until), out),
            LeadershipAction::Published(since) => out.push(NodeAction::Published(since)),
            LeadershipAction::Automated(answer) => self.automated(answer, out),
            LeadershipAction::Automation(revision, news) => automation::tell(revision, news, out),
            LeadershipAction::HandedOver(ended) => self.handed_over(now, ended, out),
            LeadershipAction::Warn(code, text) => {
                out.push(NodeAction::Happened(Happening::warning(code, text)));
            }
        }
    }

    /// Another process answers in the place of the holder: that copy is gone.
    pub(super) fn holder_is_gone(&self, frame: &PrimaryFrame) -> bool {
        let holder = self.leadership.as_ref().and_then(|l| l.view().holder());
        let (Some(holder), PrimaryFrame::Welcome(w)) = (holder, frame) else { return false };
        w.node == holder.holder
            && w.copy != holder.copy
            && matches!(w.start, Start::Refused(StreamRefusal::NotPrimary))
    }

    /// A node that is no primary says which copy it has: others of it are gone.
    pub(super) fn note_returned(&mut self, frame: &PrimaryFrame) {
        let PrimaryFrame::Welcome(w) = frame else { return };
        let Some(isr) = self.leadership.as_ref().and_then(|l| l.view().in_sync()) else { return };
        if matches!(w.start, Start::Refused(StreamRefusal::NotPrimary)) {
            let others = isr.members.iter().filter(|m| m.node == w.node && m.copy != w.copy);
            self.gone.extend(others.map(|m| m.copy));
            // What is on no record is asked about no more.
            self.gone.retain(|copy| isr.holds(*copy));
        }
    }

    /// PROTOCOL T2: no acknowledgement and no grant from here on, and nothing is discarded.
    fn stand(&mut self, now: Instant, why: String, out: &mut Vec<NodeAction>) {
        self.standby_event(now, StandbyEvent::StopGranting, out);
        out.push(NodeAction::Happened(Happening::role_changed(Role::Candidate, self.max_epoch, &why)));
        self.transition(Cause::Takeover);
        (self.standing, self.reason) = (true, why);
    }

    /// Follows again with everything that it had: it kept what it acknowledged.
    pub(super) fn give_up(
        &mut self,
        now: Instant,
        why: String,
        certainty: Certainty,
        out: &mut Vec<NodeAction>,
    ) {
        if !self.standing {
            return;
        }
        self.transition(Cause::NotElected);
        self.standing = false;
        out.push(NodeAction::Happened(Happening::role_changed(Role::Standby, self.max_epoch, &why)));
        self.standby_event(now, StandbyEvent::Follow, out);
        let code = match certainty {
            Certainty::Known => "not_elected",
            Certainty::Unknown => Operated::UNKNOWN,
        };
        self.does_not_lead(code, &why, out);
        self.reason = why;
    }

    /// The operator who wanted this node to lead is told why it does not.
    fn does_not_lead(&mut self, code: &'static str, why: &str, out: &mut Vec<NodeAction>) {
        if let Some(call) = self.promoting.take() {
            let reasons = vec![Reason { code, text: why.to_owned() }];
            out.push(NodeAction::Promoted(call.request, Verdict { reasons }, None));
        }
        self.not_forced(code, why, out);
    }

    fn lead_term(&mut self, now: Instant, wall: WallTime, term: &Term, out: &mut Vec<NodeAction>) {
        self.standby_event(now, StandbyEvent::StopGranting, out);
        let Some(standby) = self.state.standby() else { return };
        self.right_end = self.right_end.max(standby.right_end());
        // One that took over as a silent member gave no grants for a while: the
        // former holder spoke under its lease, until now at most (PROTOCOL G4).
        let silent = term.isr.silent.contains(&self.config.me.copy) && !mutant!(SilentForgotLeases);
        if term.quiet || silent {
            self.right_end = self.right_end.max(now);
        }
        let fenced = if mutant!(NoGrantWait) || term.quiet { now } else { self.right_end };
        // Nothing is inherited; memory that outlived a lost state is held by its mount (PROTOCOL A7).
        let first = starts_empty(term.cause);
        let read_ttl_max = term.isr.read_ttl_max.max(standby.read_ttl_max());
        let hold_until = if first { now } else { self.hold_after(read_ttl_max) };
        let record = RecordStart {
            isr: term.isr.clone(),
            lease_until: term.lease_until,
            commit_known: standby.commit_known(),
            former: standby.holder_copy().map(|copy| (copy, standby.led_at().unwrap_or(now))),
        };
        let change = self.change_of(now, fenced, term, standby);
        let start = TermStart {
            cause: Cause::Elected,
            serve_at: fenced,
            hold_until,
            change: change.clone(),
            keeping: Keeping::Recorded(Box::new(record)),
            read_ttl_max,
        };
        self.refused = false;
        self.begin(now, wall, start, out);
        if let Some(leadership) = &mut self.leadership {
            leadership.record_history(history(&self.config.me.node, term, &change, wall));
        }
        self.forced(term.epoch, out);
        if let Some(call) = self.promoting.take() {
            out.push(NodeAction::Promoted(call.request, Verdict { reasons: Vec::new() }, Some(change)));
        }
    }

    /// Until when readers of earlier primaries may hold leases (PROTOCOL A3).
    pub(super) fn hold_after(&self, read_ttl_max: Duration) -> Instant {
        if mutant!(HoldNoTtl) { self.right_end } else { self.right_end.plus(up(read_ttl_max)) }
    }

    fn change_of(&self, now: Instant, fenced: Instant, term: &Term, standby: &Standby) -> RoleChange {
        let tail = self.log.tail();
        let view = standby.view(now);
        // What lost copies held died with them.
        let sync = standby.ack_on_record() == AckMode::Sync && !starts_empty(term.cause);
        let loss = Loss {
            last_heard: view.primary_tail.filter(|_| !starts_empty(term.cause)).map(|t| t.since(tail)),
            acknowledged: sync.then(|| standby.commit_known().since(tail)),
        };
        let mut phases = handed_over(term, standby);
        phases.extend([("take_over", now.since(term.asked)), ("fence", fenced.since(now))]);
        RoleChange {
            epoch: term.epoch,
            kind: term.cause.as_str(),
            cause: "coordinator".into(),
            reason: term.reason.clone(),
            actor: term.actor.clone(),
            phases,
            loss: (term.cause != EpochCause::Bootstrap).then_some(loss),
        }
    }
}

/// What the former holder did before this term, where it was heard: how long it let nothing in until it fell
/// silent, by its own clock, and how long it has been silent, by this one's.
fn handed_over(term: &Term, standby: &Standby) -> Vec<(&'static str, Duration)> {
    let heard = standby.silence().filter(|_| term.quiet);
    heard.map_or_else(Vec::new, |(since, drained)| {
        vec![("drain", drained), ("hand_over", term.asked.since(since))]
    })
}

/// True when the holder's copy has nothing of what was before.
fn starts_empty(cause: EpochCause) -> bool {
    match cause {
        EpochCause::Bootstrap | EpochCause::Forced | EpochCause::ColdStart => true,
        EpochCause::Failover | EpochCause::Switchover => false,
    }
}

/// A role change as the coordinator keeps it.
fn history(node: &NodeId, term: &Term, change: &RoleChange, wall: WallTime) -> HistoryRecord {
    HistoryRecord {
        epoch: Some(change.epoch),
        node: node.clone(),
        cause: term.cause,
        reason: change.reason.clone(),
        actor: change.actor.clone(),
        at: wall,
        phases: change.phases.iter().map(|(name, took)| ((*name).to_owned(), *took)).collect(),
        loss: change
            .loss
            .as_ref()
            .map(|l| HistoryLoss { entries_at_risk: l.last_heard, entries_lost: l.acknowledged }),
    }
}

#[cfg(test)]
#[path = "lead_tests.rs"]
mod tests;

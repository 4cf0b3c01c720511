//! What a standby decides: found a cluster, take over, or wait and say why.

use super::super::Role;
use super::{
    ATTEMPT_PAUSE_MAX, ATTEMPT_PAUSE_MIN, Certainty, Leadership, LeadershipAction, LeadershipFacts, Purpose,
};
use crate::coordination::{
    EpochCause, IsrRecord, Outcome, Revision, TransactionOutcome, bootstrap, takeover,
};
use crate::types::{Epoch, Instant, WallTime, up};

/// Who wants what the machine decides by itself.
pub(super) const ACTOR: &str = "supervisor";

/// What speaks for a takeover now, or what is still missing.
enum Case {
    /// Take over: on whose account, and why.
    For(String, String),
    /// Start empty, because.
    Cold(String),
    /// Not now, because.
    Against(String),
}

impl Leadership {
    pub(super) fn review_standby(
        &mut self,
        now: Instant,
        wall: WallTime,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        if self.on_its_way(|p| matches!(p, Purpose::Takeover | Purpose::Bootstrap)) || now < self.attempt_at {
            return;
        }
        if self.view.epoch.at == Revision::NONE {
            self.waiting = Some("the coordinator was not read yet".to_owned());
            return;
        }
        if self.view.epoch.record.is_none() {
            return self.found(now, wall, facts, out);
        }
        match self.case(now, wall, facts) {
            Case::Against(why) => {
                self.waiting = Some(why);
                self.rehearse(now, wall, facts, out);
                self.ask_after(now, facts, out);
            }
            Case::Cold(reason) => {
                self.start_empty(now, wall, facts, EpochCause::ColdStart, (ACTOR, reason), out);
            }
            Case::For(actor, reason) => self.take_over(now, wall, facts, (actor, reason), out),
        }
    }

    /// The first epoch of a cluster. A node that knows of an earlier one does not
    /// found a second: the coordinator has lost its records (PROTOCOL C4, 11).
    fn found(
        &mut self,
        now: Instant,
        wall: WallTime,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        if facts.max_epoch > Epoch(0) && !mutant!(FoundedAgain) {
            let why = format!(
                "the coordinator has no record of this cluster, but epoch {} was seen: its records are lost. \
                 Set its revision above {} before anybody leads again",
                facts.max_epoch, facts.max_epoch
            );
            if self.waiting.as_ref() != Some(&why) {
                out.push(LeadershipAction::Warn("coordinator_lost_records", why.clone()));
            }
            self.waiting = Some(why);
            return;
        }
        let reason = "no node leads this cluster yet";
        let me = self.own_record(facts, EpochCause::Bootstrap, reason, ACTOR, wall);
        let isr = IsrRecord {
            members: vec![self.own_member(facts.copy)],
            silent: Vec::new(),
            ack: self.config.ack,
            min_insync: 0,
            read_ttl_max: self.config.read_ttl_max,
        };
        let history = self.own_history(EpochCause::Bootstrap, reason, ACTOR, wall);
        out.push(LeadershipAction::Stand(reason.to_owned()));
        self.transact(now, Purpose::Bootstrap, bootstrap(me, isr, history), out);
    }

    /// PROTOCOL T1.
    fn case(&self, now: Instant, wall: WallTime, facts: &LeadershipFacts) -> Case {
        let (Some(holder), Some(isr)) = (self.view.holder(), self.view.in_sync()) else {
            return Case::Against("the records are not complete".to_owned());
        };
        let recorded = self.view.recorded_epoch();
        let is_late = recorded < facts.max_epoch && !mutant!(OldEpochAccepted);
        if is_late || holder.copy == facts.copy {
            // Late news; if it lasts, the coordinator has lost what it was told (PROTOCOL C4).
            let seen = facts.max_epoch;
            return Case::Against(format!("epoch {seen} was seen, but the record is of epoch {recorded}"));
        }
        if !isr.holds(facts.copy) && !mutant!(NonIsrTakeover) {
            let cold = self.cold_case(now, facts);
            return match (cold, self.automation(wall).suspended()) {
                (Ok(_), Some((_, why))) => Case::Against(why),
                (Ok(reason), None) => Case::Cold(reason),
                (Err(why), _) => Case::Against(why),
            };
        }
        if let Some(why) = facts.unfit.as_ref().filter(|_| !mutant!(UnfitTakesOver)) {
            return Case::Against(why.clone());
        }
        let wish = self.wish.clone();
        if now < self.silent_at(facts) && !facts.refused && wish.is_none() {
            return Case::Against(format!("{} is heard", holder.holder));
        }
        if isr.silent.contains(&facts.copy) && !self.alive_has_stopped(now) && !mutant!(SilentNoWait) {
            return Case::Against(format!("{} may still hold its solo lease", holder.holder));
        }
        if let Some((actor, reason)) = wish {
            return Case::For(actor, reason);
        }
        // The last word: nothing else is in the way, and people may read it for days.
        if let Some((_, why)) = self.automation(wall).suspended() {
            return Case::Against(why);
        }
        let found = if facts.refused {
            format!("{} has closed its stream and refuses a new one", holder.holder)
        } else {
            let silent_for = now.since(facts.heard.unwrap_or(self.attentive_since));
            format!("{} has been silent for {} ms", holder.holder, silent_for.as_millis())
        };
        Case::For(ACTOR.to_owned(), found)
    }

    /// When a holder that says nothing more is taken for gone.
    pub(super) fn silent_at(&self, facts: &LeadershipFacts) -> Instant {
        let since = facts.heard.unwrap_or(Instant(0)).max(self.attentive_since);
        since.plus(self.config.times.takeover)
    }

    /// The holder has not counted for so long that its solo lease is over.
    pub(super) fn alive_has_stopped(&self, now: Instant) -> bool {
        self.view.alive_since.is_some_and(|since| now.since(since) >= up(self.config.times.lease))
    }

    fn take_over(
        &mut self,
        now: Instant,
        wall: WallTime,
        facts: &LeadershipFacts,
        (actor, reason): (String, String),
        out: &mut Vec<LeadershipAction>,
    ) {
        let is_silent = self.view.in_sync().is_some_and(|isr| isr.silent.contains(&facts.copy));
        let alive = is_silent.then(|| self.view.alive.modified());
        let automation = self.automation_seen().filter(|_| actor == ACTOR);
        let me = self.own_record(facts, EpochCause::Failover, &reason, &actor, wall);
        let history = self.own_history(EpochCause::Failover, &reason, &actor, wall);
        let transaction = takeover(self.view.base(), alive, automation, me, history);
        // First of all no more promises to the former holder (PROTOCOL T2).
        out.push(LeadershipAction::Stand(reason));
        self.transact(now, Purpose::Takeover, transaction, out);
    }

    /// The own attempt has not succeeded, or is not known to have: follow again,
    /// and keep everything. The record may still name this copy (PROTOCOL C2).
    pub(super) fn not_elected(
        &mut self,
        now: Instant,
        outcome: &TransactionOutcome,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        let lost = self.disbelief();
        // What it refuses now may be done once its records are back.
        let unknown = matches!(outcome, Outcome::Unknown(_)) || lost.is_some();
        let why = match (lost, outcome) {
            (Some(lost), _) => format!("the takeover may still happen: {lost}"),
            (None, Outcome::CompareFailed(_)) => match self.view.holder() {
                Some(h) => format!(
                    "the records have changed: {} leads in epoch {}",
                    h.holder,
                    self.view.recorded_epoch()
                ),
                None => "the records have changed".to_owned(),
            },
            (None, Outcome::Unknown(why)) => {
                format!("the coordinator has not answered, the takeover may still happen: {why}")
            }
            (None, Outcome::Committed(at)) => {
                format!(
                    "the takeover was done in epoch {at}, and another one after it: {}",
                    self.view.recorded_epoch()
                )
            }
        };
        self.attempts = self.attempts.saturating_add(1);
        let pause = ATTEMPT_PAUSE_MIN.saturating_mul(1 << self.attempts.min(10)).min(ATTEMPT_PAUSE_MAX);
        self.attempt_at = now.plus(pause);
        self.attentive_since = now;
        // Then the alarm says why it waits.
        if self.view.moved_back.is_none() {
            self.waiting = Some(why.clone());
        }
        if facts.role == Role::Candidate {
            let certainty = if unknown { Certainty::Unknown } else { Certainty::Known };
            out.push(LeadershipAction::GiveUp(why, certainty));
        }
    }
}

//! The takeover rehearsed against the real coordinator: its compares, with no
//! effect on anybody (PROTOCOL 12).

use std::time::Duration;

use super::{AGAIN, Call, Leadership, LeadershipAction, LeadershipFacts, Purpose};
use crate::coordination::{Base, Outcome, RehearsalRecord, TransactionOutcome, rehearse};
use crate::supervisor::{CoordinatorProof, Proof};
use crate::types::{Instant, WallTime};

/// How often a standby rehearses.
const EVERY: Duration = Duration::from_secs(2);

/// What came of the last one.
#[derive(Debug, Default)]
pub(super) struct Rehearsed {
    next_at: Instant,
    /// The records that were compared, and when that was asked.
    accepted: Option<(Base, Instant)>,
    /// Why there is no newer answer.
    why_not: Option<String>,
}

impl Leadership {
    /// Asks the coordinator whether a takeover would be accepted, when that is due.
    pub(super) fn rehearse(
        &mut self,
        now: Instant,
        wall: WallTime,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        let base = self.view.base();
        let in_sync = self.view.in_sync().is_some_and(|isr| isr.holds(facts.copy));
        let renewed = self.rehearsed.accepted.is_some_and(|(on, _)| on != base);
        let due = now >= self.rehearsed.next_at || renewed;
        let busy = self.on_its_way(|p| *p == Purpose::Rehearsal);
        if !in_sync || facts.unfit.is_some() || !due || busy {
            return;
        }
        self.rehearsed.next_at = now.plus(EVERY);
        if renewed {
            self.rehearsed.accepted = None;
        }
        let found = RehearsalRecord {
            copy: facts.copy,
            verdict: Some(true),
            reasons: Vec::new(),
            keys: None,
            at: wall,
        };
        let transaction = rehearse(base, None, self.config.node.clone(), found);
        self.transact(now, Purpose::Rehearsal, transaction, out);
    }

    pub(super) fn rehearsal_done(&mut self, now: Instant, call: &Call, outcome: &TransactionOutcome) {
        let rehearsed = &mut self.rehearsed;
        match outcome {
            Outcome::Committed(_) => {
                (rehearsed.accepted, rehearsed.why_not) = (Some((self.view.base(), call.sent)), None);
            }
            Outcome::CompareFailed(_) => {
                rehearsed.why_not = Some("the records have changed since they were rehearsed on".to_owned());
                rehearsed.next_at = now.plus(AGAIN);
            }
            Outcome::Unknown(why) => {
                rehearsed.why_not = Some(format!("the coordinator has not answered: {why}"));
            }
        }
    }

    /// What the coordinator said to the compares of a takeover.
    #[must_use]
    pub fn rehearsal(&self, now: Instant) -> CoordinatorProof {
        let current = self.rehearsed.accepted.filter(|(on, _)| *on == self.view.base());
        match current {
            Some((_, at)) => {
                let age_max = EVERY * 2 + self.config.times.call_deadline;
                CoordinatorProof::Accepted(Proof { age: now.since(at), age_max })
            }
            None => {
                let why = self.rehearsed.why_not.clone();
                let never =
                    || "the coordinator was not asked yet whether a takeover would be accepted".to_owned();
                CoordinatorProof::Unknown(why.unwrap_or_else(never))
            }
        }
    }
}

//! A coordinator that forgot what it had answered: restored from a backup, or
//! begun anew (PROTOCOL C4, 11). Nothing that it says then may be acted on.

use super::{AutomationAnswer, Call, Leadership, LeadershipAction, LeadershipFacts};
use crate::coordination::{Key, Outcome, Records, Revision, TransactionOutcome};
use crate::types::Instant;

/// The in-sync set of a holder whose records had gone back, and are believed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Restoring {
    /// It is as it was put on record.
    #[default]
    No,
    /// It has to be put there again.
    Wanted,
    /// It is on its way, and an operator waits for it.
    Asked,
}

impl Leadership {
    /// The coordinator was read, or a watch told of a change.
    pub(super) fn seen(
        &mut self,
        now: Instant,
        records: &Records,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        if let Some(why) = contradiction(records, facts) {
            return self.disbelieve(&why, out);
        }
        self.forgetful &= records.at < self.newest_known();
        if !self.forgetful {
            (self.away, self.answered_at) = (None, Some(now));
        }
        self.view.learn(now, records);
    }

    /// What came of a transaction; unknown when the coordinator has gone back
    /// behind what this node knew when it asked. The compares then prove nothing:
    /// what it refuses now may be done once its records are back.
    pub(super) fn believed(
        &mut self,
        call: &Call,
        outcome: TransactionOutcome,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) -> TransactionOutcome {
        let (at, contradiction) = match &outcome {
            Outcome::Committed(at) => (*at, None),
            Outcome::CompareFailed(truth) => (truth.at, contradiction(truth, facts)),
            Outcome::Unknown(_) => return outcome,
        };
        let went_back = (at < call.known_at && !mutant!(AmnesiaBelieved)).then(|| {
            format!(
                "the coordinator is at revision {at}, and was at {} before: its records are lost",
                call.known_at
            )
        });
        match went_back.or(contradiction) {
            Some(why) => {
                self.disbelieve(&why, out);
                Outcome::Unknown(why)
            }
            None => outcome,
        }
    }

    /// Says it once, for as long as it lasts.
    pub(super) fn disbelieve(&mut self, why: &str, out: &mut Vec<LeadershipAction>) {
        if !std::mem::replace(&mut self.forgetful, true) {
            let text = format!("{why}. Restore them at a revision above {}", self.newest_known());
            out.push(LeadershipAction::Warn("coordinator_lost_records", text));
        }
        self.away = Some(why.to_owned());
    }

    /// Why nothing is decided by the records until an operator says `resume` to this
    /// node, or it is started again; `None` while they are believed. The coordinator has
    /// lost some. What was promised by others still holds (PROTOCOL C4).
    #[must_use]
    pub fn disbelief(&self) -> Option<String> {
        let (key, had, now) = self.view.moved_back.as_ref()?;
        Some(format!(
            "the coordinator has gone back: {key:?} was of revision {had} and is of {now}. Its records are not \
             to be trusted: restore them, or make sure that no other node leads; then say `standfast resume` to \
             this node, or restart it"
        ))
    }

    /// On an operator's word. Whoever leads puts its in-sync set on record again before that is done: what has come
    /// back may name copies that are gone, or that lack what was acknowledged since, and by it they could take over.
    pub(super) fn believe_again(&mut self, out: &mut Vec<LeadershipAction>) {
        self.view.believe();
        (self.waiting, self.forgetful) = (None, false);
        if let Some(holding) = &mut self.holding {
            holding.restoring = Restoring::Wanted;
            // Not all of them may have been read since they went back.
            if self.view.in_sync().is_none() || self.view.epoch.record.is_none() {
                out.push(LeadershipAction::Read);
            }
            return;
        }
        out.push(LeadershipAction::Automated(AutomationAnswer::Done));
    }

    /// As soon as the records are known by which it leads.
    pub(super) fn restore(&mut self, out: &mut Vec<LeadershipAction>) {
        let (epoch, is_known) = (self.view.recorded_epoch(), self.view.in_sync().is_some());
        let Some(holding) = &mut self.holding else { return };
        if holding.restoring == Restoring::Wanted && is_known && holding.epoch.epoch() == epoch {
            holding.restoring = Restoring::Asked;
            out.push(LeadershipAction::Reconfirm);
        }
    }

    /// The records that are believed name another holder: there is nothing to be put on record.
    pub(super) fn let_go(&mut self, out: &mut Vec<LeadershipAction>) {
        if self.holding.take().is_some_and(|holding| holding.restoring != Restoring::No) {
            out.push(LeadershipAction::Automated(AutomationAnswer::Done));
        }
    }

    /// Says so, and tells an operator who wants this node to lead.
    pub(super) fn has_moved_back(&mut self, out: &mut Vec<LeadershipAction>) -> bool {
        let Some(why) = self.disbelief() else { return false };
        if self.waiting.as_ref() != Some(&why) {
            out.push(LeadershipAction::Warn("coordinator_moved_back", why.clone()));
        }
        if self.wish.take().is_some() {
            out.push(LeadershipAction::Declined(why.clone()));
        }
        self.waiting = Some(why);
        true
    }

    /// The newest revision at which the records were seen.
    pub(super) fn newest_known(&self) -> Revision {
        self.view.epoch.at.max(self.view.isr.at).max(self.view.alive.at)
    }
}

/// Why a reading cannot be true: it is of the revision that made an epoch that
/// was seen, or of a later one, and its record of the epoch is older. One of an
/// earlier revision may be late news.
fn contradiction(records: &Records, facts: &LeadershipFacts) -> Option<String> {
    let (_, epoch) = records.records.iter().find(|(key, _)| *key == Key::Epoch)?;
    let recorded = epoch.as_ref().map(|r| r.modified).unwrap_or_default().epoch();
    let (seen, at) = (facts.max_epoch, records.at);
    if recorded >= seen || at.epoch() < seen || mutant!(OldEpochAccepted) {
        return None;
    }
    Some(format!(
        "the coordinator is at revision {at}, but its record of who leads is of epoch {recorded}, and epoch {seen} \
         was seen: its records are lost"
    ))
}

//! What the holder keeps up: its counter, the in-sync set on record, the
//! address for clients, its history.

use super::amnesia::Restoring;
use super::{AGAIN, AutomationAnswer, Call, Leadership, LeadershipAction, LeadershipFacts, Purpose};
use crate::coordination::{
    Base, Outcome, Publish, Revision, TransactionOutcome, change_isr, publish, renew, update_history,
};
use crate::coordination::{Compare, HistoryRecord, Key};
use crate::types::{Instant, WallTime};

/// Changes of the holder that stay on record; the newest.
const HISTORIES_MAX: usize = 1_000;

impl Leadership {
    pub(super) fn review_holder(
        &mut self,
        now: Instant,
        wall: WallTime,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        self.renew(now, out);
        self.withdraw(now, out);
        self.restore(out);
        self.propose(now, out);
        if facts.listening {
            self.publish(now, out);
        }
        self.write_history(now, wall, out);
    }

    /// This machine may have stopped without its clock: the lease is confirmed anew,
    /// and the silence of others counts from here on (PROTOCOL 1, T1).
    pub fn doubt(&mut self, now: Instant) {
        (self.doubted_at, self.attentive_since) = (now, now);
        if let Some(holding) = &mut self.holding {
            holding.renew_at = now;
        }
    }

    fn renew(&mut self, now: Instant, out: &mut Vec<LeadershipAction>) {
        let period = self.config.times.renew;
        let busy = self.on_its_way(|p| *p == Purpose::Renew);
        let Some(holding) = self.holding.as_mut().filter(|h| now >= h.renew_at) else { return };
        holding.renew_at = now.plus(period);
        if busy {
            return;
        }
        holding.counter += 1;
        let transaction = renew(holding.epoch, holding.counter);
        self.transact(now, Purpose::Renew, transaction, out);
    }

    /// One change at a time, and the same again until its end is known (PROTOCOL I9).
    fn propose(&mut self, now: Instant, out: &mut Vec<LeadershipAction>) {
        let busy = self.on_its_way(|p| matches!(p, Purpose::Isr(_))) || self.is_handing_over();
        let Some(holding) = self.holding.as_ref().filter(|_| !busy) else { return };
        let Some((wanted, _)) = holding.proposal.clone().filter(|(_, at)| now >= *at) else { return };
        let base = Base { epoch: holding.epoch, isr: self.view.isr.modified() };
        self.transact(now, Purpose::Isr(wanted.clone()), change_isr(base, wanted), out);
    }

    fn publish(&mut self, now: Instant, out: &mut Vec<LeadershipAction>) {
        let Some(address) = self.config.mooncake.clone() else { return };
        let busy = self.on_its_way(|p| *p == Purpose::Publish);
        let Some(holding) = self.holding.as_mut().filter(|h| !busy && now >= h.publish_at) else { return };
        match publish(&self.view, holding.epoch, &address) {
            Publish::NotKnown => {
                holding.publish_at = now.plus(AGAIN);
                out.push(LeadershipAction::Read);
            }
            Publish::Done(since) => {
                if holding.published.replace(since) != Some(since) {
                    out.push(LeadershipAction::Published(since));
                }
            }
            Publish::Do(transaction) => {
                holding.published = None;
                self.transact(now, Purpose::Publish, transaction, out);
            }
        }
    }

    /// Hands in what people shall read about the change that began this term.
    pub fn record_history(&mut self, history: HistoryRecord) {
        if let Some(holding) = &mut self.holding {
            holding.unwritten = Some(history);
        }
    }

    fn write_history(&mut self, now: Instant, wall: WallTime, out: &mut Vec<LeadershipAction>) {
        if self.on_its_way(|p| *p == Purpose::History) {
            return;
        }
        let Some(holding) = &self.holding else { return };
        let Some(mut history) = holding.unwritten.clone() else { return };
        history.at = wall;
        // One comes and one goes with each term: the coordinator holds only so many keys.
        let oldest = self.view.history_beyond(HISTORIES_MAX);
        let transaction = update_history(holding.epoch, holding.history, history, oldest);
        self.transact(now, Purpose::History, transaction, out);
    }

    /// One of the holder's transactions has ended; the view knows its truth already.
    pub(super) fn holder_done(
        &mut self,
        now: Instant,
        call: &Call,
        outcome: &TransactionOutcome,
        out: &mut Vec<LeadershipAction>,
    ) {
        let lease = self.config.times.lease;
        let Some(holding) = &mut self.holding else { return };
        let done = matches!(outcome, Outcome::Committed(_));
        let unknown = matches!(outcome, Outcome::Unknown(_));
        // Of a former term of this node.
        if !call.transaction.compares.iter().any(|c| is_epoch(c, holding.epoch)) {
            return;
        }
        match &call.purpose {
            // It proves nothing any more; the next one does.
            Purpose::Renew if call.sent < self.doubted_at => holding.renew_at = now,
            Purpose::Renew if done || mutant!(LeaseKeepOnTimeout) => {
                // From before it was sent (PROTOCOL G5).
                let from = if mutant!(LeaseFromReply) { now } else { call.sent };
                out.push(LeadershipAction::Lease(from.plus(lease)));
            }
            Purpose::Isr(wanted) if unknown && !mutant!(CasTimeoutIsNo) => {
                let again = Some((wanted.clone(), now.plus(AGAIN)));
                holding.proposal = again.filter(|_| !mutant!(ProposalForgotten));
            }
            // What is there came back with the records, and is not what counts.
            Purpose::Isr(wanted) if !done && holding.restoring == Restoring::Asked => {
                holding.proposal = Some((wanted.clone(), now.plus(AGAIN)));
            }
            // What is on record is known, and a proposal that differs is dead: this
            // answer is of a later revision than what it compares (PROTOCOL C1).
            Purpose::Isr(_) => {
                holding.proposal = None;
                let current = self.view.recorded_epoch() == holding.epoch.epoch();
                if let Some(isr) = self.view.in_sync().filter(|_| current) {
                    out.push(LeadershipAction::Confirmed(isr.clone()));
                }
                if std::mem::take(&mut holding.restoring) == Restoring::Asked {
                    out.push(LeadershipAction::Automated(AutomationAnswer::Done));
                }
            }
            Purpose::Publish if unknown => holding.publish_at = now.plus(AGAIN),
            Purpose::History if done => holding.unwritten = None,
            Purpose::Renew | Purpose::Publish | Purpose::History => {}
            Purpose::Bootstrap
            | Purpose::Takeover
            | Purpose::Rehearsal
            | Purpose::HandOver
            | Purpose::HandOverDry
            | Purpose::Automation
            | Purpose::Withdraw => {}
        }
    }
}

fn is_epoch(compare: &Compare<Key>, epoch: Revision) -> bool {
    *compare == Compare::Modified(Key::Epoch, epoch)
}

//! The holder makes another member the holder (PROTOCOL T7). The node has
//! fallen silent before this is asked for, and stays so until it is known what
//! became of the transaction.

use super::{AGAIN, Call, HandOverOrder, Leadership, LeadershipAction, LeadershipFacts, Purpose};
use crate::coordination::{
    Base, EpochCause, EpochRecord, HandOver, IsrRecord, Outcome, RehearsalRecord, TransactionOutcome,
    change_isr, hand_over, rehearse,
};
use crate::types::{Epoch, Instant, WallTime};

impl Leadership {
    /// The records to compare, and the in-sync set on them, if a hand-over is in order.
    fn hand_over_base(&self, to: &HandOverOrder) -> Result<(Base, IsrRecord), String> {
        let Some(holding) = &self.holding else { return Err("this node does not lead".to_owned()) };
        if self.view.moved_back.is_some() {
            return Err("the coordinator has lost records: see the alarm".to_owned());
        }
        let base = Base { epoch: holding.epoch, isr: self.view.isr.modified() };
        let changing = holding.proposal.is_some() || self.on_its_way(|p| matches!(p, Purpose::Isr(_)));
        let isr = self.view.in_sync().filter(|_| !changing);
        let Some(isr) = isr else { return Err("the in-sync set is changing: try again".to_owned()) };
        if !isr.holds_granting(to.to.copy) {
            return Err(format!("{} is not in the in-sync set on record", to.to.node));
        }
        Ok((base, isr.clone()))
    }

    pub(super) fn hand_over(
        &mut self,
        now: Instant,
        wall: WallTime,
        order: &HandOverOrder,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        let base = match self.hand_over_base(order) {
            Ok((base, _)) => base,
            Err(why) => return out.push(LeadershipAction::HandedOver(Err(why))),
        };
        if order.dry_run {
            let at = wall;
            let (copy, node) = (facts.copy, self.config.node.clone());
            let found = RehearsalRecord { copy, verdict: None, reasons: Vec::new(), keys: None, at };
            let transaction = rehearse(base, None, node, found);
            return self.transact(now, Purpose::HandOverDry, transaction, out);
        }
        let target = EpochRecord {
            holder: order.to.node.clone(),
            copy: order.to.copy,
            address: order.to.address.clone(),
            mooncake: None,
            cause: EpochCause::Switchover,
            actor: order.actor.clone(),
            reason: order.reason.clone(),
            nonce: self.nonce(),
            quiet: true,
            previous: self.view.recorded_epoch(),
            automatic: self.automatic_changes(EpochCause::Switchover, &order.actor, wall),
        };
        let mut history = self.own_history(EpochCause::Switchover, &order.reason, &order.actor, wall);
        history.node = order.to.node.clone();
        let transaction = hand_over(base, HandOver { target, history });
        self.transact(now, Purpose::HandOver, transaction, out);
    }

    pub(super) fn hand_over_done(
        &mut self,
        now: Instant,
        call: &Call,
        outcome: &TransactionOutcome,
        out: &mut Vec<LeadershipAction>,
    ) {
        let holds = self.holding.as_ref().is_some_and(|h| h.epoch == self.view.epoch.modified());
        if !holds && !matches!(outcome, Outcome::Committed(_)) {
            // Another leads: the node steps down and says so. It must not speak before that.
            return;
        }
        let ended = match (&call.purpose, outcome) {
            (Purpose::HandOver, Outcome::Committed(at)) => Ok(at.epoch()),
            (Purpose::HandOverDry, Outcome::Committed(_)) => Ok(Epoch(0)),
            (_, Outcome::Committed(_)) => {
                Err("the coordinator did not answer in time: the hand-over was taken back".to_owned())
            }
            // A newer revision of what it compares: it is dead, also if it was lost before (PROTOCOL C1).
            (_, Outcome::CompareFailed(_)) => Err("the records have changed meanwhile".to_owned()),
            (Purpose::HandOverDry, Outcome::Unknown(why)) => {
                Err(format!("the coordinator has not answered: {why}"))
            }
            (_, Outcome::Unknown(why)) if mutant!(HandOverTimeoutIsNo) => Err(why.clone()),
            // It may still happen. Silent until that is known.
            (_, Outcome::Unknown(_)) => {
                if let Some(holding) = &mut self.holding {
                    holding.withdraw_at = Some(now.plus(AGAIN));
                }
                return;
            }
        };
        out.push(LeadershipAction::HandedOver(ended));
    }

    /// Makes a hand-over without an answer impossible: the in-sync set that it
    /// compares is written again, as it is (PROTOCOL C1).
    pub(super) fn withdraw(&mut self, now: Instant, out: &mut Vec<LeadershipAction>) {
        let Some(holding) = &mut self.holding else { return };
        if holding.withdraw_at.is_none_or(|at| now < at) {
            return;
        }
        holding.withdraw_at = None;
        let base = Base { epoch: holding.epoch, isr: self.view.isr.modified() };
        let Some(isr) = self.view.in_sync().cloned() else { return };
        self.transact(now, Purpose::Withdraw, change_isr(base, isr), out);
    }

    /// A hand-over is under way, and nothing else may change the in-sync set.
    pub(super) fn is_handing_over(&self) -> bool {
        let waits = self.holding.as_ref().is_some_and(|h| h.withdraw_at.is_some());
        waits || self.on_its_way(|p| matches!(p, Purpose::HandOver | Purpose::Withdraw))
    }
}

//! What operators say about automatic changes of the holder, and what comes of it here.

use std::time::Duration;

use super::standby::ACTOR;
use super::{Leadership, LeadershipAction, Purpose};
use crate::coordination::{
    AutomaticChange, AutomationRecord, EpochCause, Outcome, Revision, TransactionOutcome, remember,
    set_automation,
};
use crate::supervisor::automation::after;
use crate::supervisor::{Automation, Pause};
use crate::types::{Instant, WallTime};

/// An operator's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutomationOrder {
    /// No node takes over by itself for so long. `None`: it goes on, and the
    /// automatic changes so far are acknowledged.
    pub pause: Option<Duration>,
    /// Who says so.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutomationAnswer {
    /// It is on record.
    Done,
    /// It is not, and will not be: a code, and a sentence.
    Refused(&'static str, String),
    /// Nobody knows yet, because.
    Unknown(String),
}

/// What is to be told about a word on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutomationNews {
    /// No node takes over by itself for a while.
    Paused(Pause),
    /// An operator let it go on: who, why, and when.
    Resumed(String, String, WallTime),
    /// The pause has ended by itself, at that time.
    PauseOver(WallTime),
}

/// What was last told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The records were known already: what is seen now is new.
    looked: bool,
    /// The word on record that it was about.
    revision: Revision,
    /// The pause in force ends then.
    paused: Option<WallTime>,
    stopped: bool,
}

impl Leadership {
    /// Whether nodes may change the holder by themselves now.
    #[must_use]
    pub fn automation(&self, wall: WallTime) -> Automation {
        Automation::of(&self.view, self.config.flaps, wall)
    }

    pub(super) fn set_automation(
        &mut self,
        now: Instant,
        wall: WallTime,
        order: AutomationOrder,
        out: &mut Vec<LeadershipAction>,
    ) {
        if order.pause.is_none() && self.view.moved_back.is_some() {
            // Somebody has seen to it that the records are right, or that nobody else leads by those that were lost.
            return self.believe_again(out);
        }
        if let Some((code, text)) = self.not_settable(wall, &order) {
            return out.push(LeadershipAction::Automated(AutomationAnswer::Refused(code, text)));
        }
        let known = self.view.automation.record.as_ref().map(|r| r.value.acknowledged).unwrap_or_default();
        let record = AutomationRecord {
            paused_until: order.pause.map(|length| after(wall, length)),
            // A pause is no judgement on what has happened; going on is.
            acknowledged: if order.pause.is_some() { known } else { self.view.recorded_epoch() },
            actor: order.actor,
            reason: order.reason,
            at: wall,
        };
        let transaction = set_automation(self.view.automation.modified(), record);
        self.transact(now, Purpose::Automation, transaction, out);
    }

    fn not_settable(&self, wall: WallTime, order: &AutomationOrder) -> Option<(&'static str, String)> {
        if self.view.epoch.record.is_none() {
            return Some(("no_record", "the records of this cluster are not known here".to_owned()));
        }
        if self.on_its_way(|p| *p == Purpose::Automation) {
            return Some(("busy", "another order about automatic failover is under way".to_owned()));
        }
        let automation = self.automation(wall);
        let idle = automation.pause.is_none() && automation.recent == 0;
        (order.pause.is_none() && idle).then(|| {
            let text = "automatic failover is not paused, and there is nothing to acknowledge";
            ("nothing_to_resume", text.to_owned())
        })
    }

    pub(super) fn automation_done(&self, outcome: &TransactionOutcome, out: &mut Vec<LeadershipAction>) {
        let answer = match outcome {
            Outcome::Committed(_) => AutomationAnswer::Done,
            Outcome::CompareFailed(_) => {
                let text = "another operator was quicker: see what he said, and say it again".to_owned();
                AutomationAnswer::Refused("changed_meanwhile", text)
            }
            Outcome::Unknown(why) => {
                AutomationAnswer::Unknown(format!("the coordinator has not answered: {why}"))
            }
        };
        out.push(LeadershipAction::Automated(answer));
    }

    /// Says once what begins and what ends, also by itself.
    pub(super) fn tell_automation(&mut self, wall: WallTime, out: &mut Vec<LeadershipAction>) {
        let automation = self.automation(wall);
        let revision = self.view.automation.modified();
        let first = std::mem::replace(&mut self.told.revision, revision);
        let looked = std::mem::replace(&mut self.told.looked, self.view.epoch.at > Revision::NONE);
        if revision > first {
            self.told.paused = automation.pause.as_ref().map(|p| p.until);
            let word = self.view.automation.record.as_ref().map(|r| &r.value);
            let news = match (automation.pause.clone(), word) {
                (Some(pause), _) => Some(AutomationNews::Paused(pause)),
                // Old news to a node that has just started.
                (None, Some(r)) if r.paused_until.is_none() && looked => {
                    Some(AutomationNews::Resumed(r.actor.clone(), r.reason.clone(), r.at))
                }
                _ => None,
            };
            out.extend(news.map(|news| LeadershipAction::Automation(revision, news)));
        } else if let Some(until) = self.told.paused.filter(|until| *until <= wall) {
            self.told.paused = None;
            out.push(LeadershipAction::Automation(revision, AutomationNews::PauseOver(until)));
        }
        self.tell_flapping(&automation, out);
    }

    fn tell_flapping(&mut self, automation: &Automation, out: &mut Vec<LeadershipAction>) {
        let stopped = automation.stopped_until.is_some();
        if stopped == std::mem::replace(&mut self.told.stopped, stopped) {
            return;
        }
        let (code, text) = match automation.too_many() {
            Some(why) => ("flapping", why),
            None => ("flapping_over", "automatic failover goes on: there were not too many of late".into()),
        };
        out.push(LeadershipAction::Warn(code, text));
    }

    /// The last word that was seen, for a transaction that goes by it.
    pub(super) fn automation_seen(&self) -> Option<Revision> {
        Some(self.view.automation.modified()).filter(|_| !mutant!(PauseIgnored))
    }

    /// The automatic changes so far, and this one if it is one.
    pub(super) fn automatic_changes(
        &self,
        cause: EpochCause,
        actor: &str,
        wall: WallTime,
    ) -> Vec<AutomaticChange> {
        let before = self.view.holder().map(|h| h.automatic.clone()).unwrap_or_default();
        let by_itself = matches!(cause, EpochCause::Failover | EpochCause::ColdStart) && actor == ACTOR;
        if !by_itself {
            return before;
        }
        remember(before, AutomaticChange { previous: self.view.recorded_epoch(), at: wall })
    }
}

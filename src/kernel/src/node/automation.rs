//! What operators say about automatic failover, through the node that they ask.

use std::time::Duration;

use super::{Happening, Node, NodeAction, Operated, OperatorCall};
use crate::coordination::Revision;
use crate::supervisor::{AutomationAnswer, AutomationNews, AutomationOrder, LeadershipEvent};
use crate::types::{Instant, WallTime};

/// A word of an operator about automatic failover, or the end of one, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutomationNote {
    /// The same on every node that sees it.
    pub id: String,
    /// `pause`, `resume` or `pause_over`.
    pub what: &'static str,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: WallTime,
}

impl Node {
    pub(super) fn order_automation(
        &mut self,
        now: Instant,
        call: OperatorCall,
        pause: Option<Duration>,
        out: &mut Vec<NodeAction>,
    ) {
        let refused = if self.leadership.is_none() {
            Some(("no_coordinator", "no coordinator: no node takes over by itself here"))
        } else if self.automating.is_some() {
            Some(("busy", "another order about automatic failover is under way"))
        } else {
            None
        };
        if let Some((code, text)) = refused {
            return out.push(NodeAction::Operated(call.request, Operated::refused(code, text.to_owned())));
        }
        let order = AutomationOrder { pause, actor: call.actor, reason: call.reason };
        self.automating = Some(call.request);
        let wall = self.wall;
        self.leadership_event(now, wall, LeadershipEvent::Automation(Box::new(order)), out);
    }

    pub(super) fn automated(&mut self, answer: AutomationAnswer, out: &mut Vec<NodeAction>) {
        let Some(request) = self.automating.take() else { return };
        let done = match answer {
            AutomationAnswer::Done => Operated::done(),
            AutomationAnswer::Refused(code, text) => Operated::refused(code, text),
            AutomationAnswer::Unknown(why) => Operated::refused(Operated::UNKNOWN, why),
        };
        out.push(NodeAction::Operated(request, done));
    }
}

/// What people are told, and what the history keeps.
pub(super) fn tell(revision: Revision, news: AutomationNews, out: &mut Vec<NodeAction>) {
    let (what, text, actor, reason, at) = match news {
        AutomationNews::Paused(p) => {
            let seconds = p.until.0.saturating_sub(p.since.0) / 1_000_000;
            let text = format!("{} pauses automatic failover for {seconds} s: {}", p.actor, p.reason);
            ("pause", text, p.actor, p.reason, p.since)
        }
        AutomationNews::Resumed(actor, reason, at) => {
            ("resume", format!("{actor} lets automatic failover go on: {reason}"), actor, reason, at)
        }
        AutomationNews::PauseOver(until) => {
            let text = "the pause of automatic failover has ended by itself, at its time".to_owned();
            ("pause_over", text.clone(), "supervisor".to_owned(), text, until)
        }
    };
    out.push(NodeAction::Happened(Happening::warning(what, text)));
    let id = format!("{what}-{revision}");
    out.push(NodeAction::Noted(AutomationNote { id, what, actor, reason, at }));
}

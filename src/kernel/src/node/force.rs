//! The operator accepts a loss: a standby leads with what it has, or starts empty.

use super::{Node, NodeAction, Operated, OperatorCall};
use crate::replication::{Standby, StandbyEvent};
use crate::supervisor::{Leadership, LeadershipEvent};
use crate::types::{AckMode, Instant};

type Refused = (&'static str, String);

impl Node {
    /// `accept`: at most so many entries may be lost; `None`: whatever is.
    pub(super) fn force_start(
        &mut self,
        now: Instant,
        call: OperatorCall,
        dry_run: bool,
        accept: Option<u64>,
        out: &mut Vec<NodeAction>,
    ) {
        if self.standing {
            let text = "this node is asking the coordinator to lead already".to_owned();
            return out.push(NodeAction::Operated(call.request, Operated::refused("busy", text)));
        }
        // Before anything is discarded, and also of a dry run.
        if let Some(why) = self.leadership.as_ref().and_then(Leadership::disbelief) {
            let refused = Operated::refused("coordinator_moved_back", why);
            return out.push(NodeAction::Operated(call.request, refused));
        }
        let keeps = self.keeps_its_state();
        let judged = if keeps { self.may_lose(now, accept) } else { self.may_start_empty(now, accept) };
        if let Err((code, text)) = judged {
            return out.push(NodeAction::Operated(call.request, Operated::refused(code, text)));
        }
        if dry_run {
            let done =
                Operated { node: Some(self.config.me.node.clone()), keeps_state: keeps, ..Operated::done() };
            return out.push(NodeAction::Operated(call.request, done));
        }
        let (actor, reason) = (call.actor.clone(), call.reason.clone());
        self.forcing = Some((call, keeps));
        let event = if keeps {
            LeadershipEvent::TakeOver { actor, reason }
        } else {
            // Stale content must never be served (PROTOCOL 2.5): gone before the record names this node.
            if !mutant!(StaleForced) {
                self.standby_event(now, StandbyEvent::Discard, out);
            }
            LeadershipEvent::Force { actor, reason }
        };
        let wall = self.wall;
        self.leadership_event(now, wall, event, out);
    }

    /// A whole copy on record leads with what it has: emptying it would lose all of it for nothing.
    fn keeps_its_state(&self) -> bool {
        let on_record = self.leadership.as_ref().and_then(|l| l.view().in_sync());
        let fit = self.state.standby().is_some_and(|s| s.unfit().is_none());
        fit && on_record.is_some_and(|isr| isr.holds(self.config.me.copy))
    }

    /// Acknowledged entries that this copy may lack, at most; `None` when nobody knows.
    /// In async mode the former primary may have acknowledged as many as the loss bound
    /// allows since it was last heard.
    fn predicted_loss(&self, now: Instant) -> Option<u64> {
        let standby = self.state.standby()?;
        let missing = standby.commit_known().since(self.log.tail());
        match standby.ack_on_record() {
            AckMode::Sync => Some(missing),
            AckMode::Async => {
                let heard = standby.view(now).primary_tail?;
                Some(heard.since(self.log.tail()).max(self.config.replication.loss.entries))
            }
        }
    }

    fn may_lose(&self, now: Instant, accept: Option<u64>) -> Result<(), Refused> {
        let Some(accepted) = accept else { return Ok(()) };
        match self.predicted_loss(now) {
            Some(most) if most <= accepted => Ok(()),
            Some(most) => {
                let text = format!("up to {most} acknowledged entries may be lost, {accepted} are accepted");
                Err(("loss_above", text))
            }
            None => {
                let text = format!(
                    "nobody knows how many acknowledged entries may be lost, {accepted} are accepted"
                );
                Err(("loss_unknown", text))
            }
        }
    }

    fn may_start_empty(&self, now: Instant, accept: Option<u64>) -> Result<(), Refused> {
        let Some(leadership) = &self.leadership else {
            let text = "no coordinator keeps the record of who leads: start this node anew as the primary";
            return Err(("no_coordinator", text.to_owned()));
        };
        leadership.may_force(now, &self.leadership_facts())?;
        let Some(accepted) = accept else { return Ok(()) };
        let why = self.state.standby().and_then(Standby::unfit);
        let why = why.unwrap_or_else(|| "its copy is not in the in-sync set".to_owned());
        let objects = self.store.objects();
        let text = format!(
            "this node would start empty ({why}): everything that was stored is lost, not {accepted} entries; \
             its own stale copy shows {objects} objects"
        );
        Err(("loses_all", text))
    }
}

//! Starting empty in place of copies that are lost: by itself when every copy
//! on record is proved to be gone (DESIGN 3), else by an operator's word alone
//! (PROTOCOL T4).

use std::time::Duration;

use super::{Leadership, LeadershipAction, LeadershipFacts, Purpose};
use crate::coordination::{EpochCause, IsrMember, IsrRecord, forced};
use crate::supervisor::Role;
use crate::types::{Instant, WallTime};

/// How often the next member is asked whether its copy is gone.
const ASK_EVERY: Duration = Duration::from_millis(500);

impl Leadership {
    /// This copy is gone: its node has come back with another one. A node
    /// discards only copies that are on no record (PROTOCOL I5, I6).
    fn is_gone(&self, member: &IsrMember, facts: &LeadershipFacts) -> bool {
        if member.node == self.config.node {
            return member.copy != facts.copy;
        }
        facts.gone.contains(&member.copy)
    }

    /// Why the cluster starts empty now, as a sentence; or why it does not yet.
    pub(super) fn cold_case(&self, now: Instant, facts: &LeadershipFacts) -> Result<String, String> {
        let lacks = "this copy is not in the in-sync set: it may lack acknowledged writes";
        let Some(isr) = self.view.in_sync().filter(|_| facts.is_blank && self.config.cold_start) else {
            return Err(lacks.to_owned());
        };
        if let Some(member) =
            isr.members.iter().find(|m| !self.is_gone(m, facts) && !mutant!(ColdStartUnproved))
        {
            return Err(format!("{lacks}; copy {} of {} may still have them", member.copy, member.node));
        }
        if !self.alive_has_stopped(now) {
            return Err(
                "every copy on record is gone; waiting until the lease of the last holder is over".into()
            );
        }
        let names: Vec<String> = isr.members.iter().map(|m| m.node.to_string()).collect();
        let names = names.join(" and ");
        Ok(format!("every copy on record is gone: {names} came back empty; all that it held is lost"))
    }

    /// The next member to be asked for its copy, once the holder's is known to be gone.
    pub(super) fn ask_after(
        &mut self,
        now: Instant,
        facts: &LeadershipFacts,
        out: &mut Vec<LeadershipAction>,
    ) {
        let (Some(holder), Some(isr)) = (self.view.holder(), self.view.in_sync()) else { return };
        let of_holder = |m: &&IsrMember| m.copy == holder.copy;
        let holder_gone = isr.members.iter().find(of_holder).is_some_and(|m| self.is_gone(m, facts));
        if !facts.is_blank || !holder_gone || now < self.ask_at {
            return;
        }
        let unknown: Vec<&IsrMember> = isr.members.iter().filter(|m| !self.is_gone(m, facts)).collect();
        let Some(next) = unknown.get(self.asked % unknown.len().max(1)) else { return };
        out.push(LeadershipAction::AskAfter(next.address.clone()));
        self.asked += 1;
        self.ask_at = now.plus(ASK_EVERY);
    }

    /// Whether an operator may start this node empty.
    ///
    /// # Errors
    /// A code, and a sentence for people.
    pub fn may_force(&self, now: Instant, facts: &LeadershipFacts) -> Result<(), (&'static str, String)> {
        let refuse = |code, text: String| Err((code, text));
        let (Some(holder), Some(_)) = (self.view.holder(), self.view.in_sync()) else {
            return refuse("no_record", "the records of this cluster are not known here".to_owned());
        };
        if facts.role != Role::Standby {
            return refuse("not_standby", format!("this node is {}", facts.role));
        }
        // Its copy may count already, before the record knows (PROTOCOL I3).
        if facts.heard.is_some() && !facts.refused && now < self.silent_at(facts) {
            let text = format!("{} speaks to this node: it is not stopped", holder.holder);
            return refuse("holder_alive", text);
        }
        if !self.alive_has_stopped(now) && !mutant!(ForcedAtOnce) {
            let text = format!(
                "{} counted less than {} ms ago in the record: it may still answer",
                holder.holder,
                crate::types::up(self.config.times.lease).as_millis()
            );
            return refuse("holder_alive", text);
        }
        Ok(())
    }

    /// Sends the transaction that puts this empty copy in the place of all others.
    pub(super) fn start_empty(
        &mut self,
        now: Instant,
        wall: WallTime,
        facts: &LeadershipFacts,
        cause: EpochCause,
        (actor, reason): (&str, String),
        out: &mut Vec<LeadershipAction>,
    ) {
        let me = self.own_record(facts, cause, &reason, actor, wall);
        let own = self.config.read_ttl_max;
        let isr = IsrRecord {
            members: vec![self.own_member(facts.copy)],
            silent: Vec::new(),
            ack: self.config.ack,
            min_insync: 0,
            // Readers of what is lost may still hold leases (PROTOCOL A3, A7).
            read_ttl_max: self.view.in_sync().map_or(own, |isr| isr.read_ttl_max.max(own)),
        };
        let history = self.own_history(cause, &reason, actor, wall);
        let automation = self.automation_seen().filter(|_| cause == EpochCause::ColdStart);
        let transaction = forced(self.view.base(), self.view.alive.modified(), automation, me, isr, history);
        out.push(LeadershipAction::Warn(cause.as_str(), reason.clone()));
        out.push(LeadershipAction::Stand(reason));
        self.transact(now, Purpose::Takeover, transaction, out);
    }
}

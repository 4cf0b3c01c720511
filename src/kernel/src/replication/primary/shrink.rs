//! Who leaves the in-sync set on record, and who falls silent on it (PROTOCOL
//! I7, I8): a standby that is lost costs its place, but in strict mode the last
//! ones that are demanded keep theirs.

use super::on_record::OnRecord;
use super::{Primary, PrimaryAction};
use crate::coordination::{IsrMember, IsrRecord};
use crate::types::{CopyId, Instant};

/// How a member besides the holder is to be on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It grants, or has a while left to do so.
    Granting,
    /// It is silent on record, and not known to be lost.
    Silent,
    /// It was not heard for too long. It may fall silent if it holds what this
    /// primary began with: a copy that may hold more than that is a danger to
    /// those who read from another meanwhile (PROTOCOL I8a).
    Lost {
        /// It has acknowledged the term record.
        matched: bool,
    },
    /// It acknowledges and grants, but far behind. Where it is needed to have as
    /// many as are demanded it stays, and writes wait for it.
    Slow,
    /// Its process is gone, an operator dismissed it (PROTOCOL I8b), or it has a hole (I10).
    Gone,
}

impl Primary {
    /// Proposes the set that is to be on record, where it differs. Who is lost
    /// counts until that is confirmed (PROTOCOL I2).
    pub(super) fn shrink(&mut self, now: Instant, out: &mut Vec<PrimaryAction>) {
        let Some(record) = self.on_record.as_ref().filter(|r| r.proposal.is_none()) else { return };
        let wanted = self.wanted(now, &record.confirmed);
        let confirmed = &record.confirmed;
        let same_members = wanted.members == confirmed.members && wanted.silent == confirmed.silent;
        // How long leases last and when replies go out may be news, too (PROTOCOL A3, A6).
        let same_terms = wanted.ack == confirmed.ack && wanted.read_ttl_max == confirmed.read_ttl_max;
        if same_members && same_terms {
            return;
        }
        // A proposal counts until it is answered: with the coordinator away, one that needs the lease would end all
        // rights although the standby may be heard again in a moment (PROTOCOL 6). Its next answer renews the lease.
        if wanted.needs_lease(self.me.copy) && record.lease_is_over(now) {
            return;
        }
        let leaving = record.confirmed.members.iter().filter(|m| !wanted.holds(m.copy));
        let slow = leaving.filter(|m| self.standing(now, m, &record.confirmed) == Some(Standing::Slow));
        let lag = self.config.times.lag.as_secs();
        for (node, counted) in slow.filter_map(|m| Some((m.node.clone(), self.isr.get(&m.copy)?))) {
            let why = format!("it has not reached entry {}, where the log ended {lag} s ago", counted.due.0);
            out.push(PrimaryAction::Dismissed(node, why));
        }
        if let Some(record) = &mut self.on_record {
            record.proposal = Some(wanted.clone());
        }
        out.push(PrimaryAction::Propose(wanted));
    }

    /// A member has set an entry aside: its copy has a hole, is never in sync again,
    /// and may never be promoted (PROTOCOL I10). Where an operator keeps the record
    /// only he takes it off (PROTOCOL 11).
    pub(super) fn set_aside(&mut self, copy: CopyId, out: &mut Vec<PrimaryAction>) {
        let Some(member) = self.isr.get_mut(&copy).filter(|m| !m.gone) else { return };
        if self.on_record.is_some() && !mutant!(QuarantinedStays) {
            member.gone = true;
            let why = "it has set an entry aside that it could not apply".to_owned();
            out.push(PrimaryAction::Dismissed(member.node.clone(), why));
        }
    }

    /// That set under this primary's terms. Leases of an earlier one may still
    /// last as long as was on record: it is never less (PROTOCOL A3).
    pub(super) fn own_terms(&self, set: IsrRecord) -> IsrRecord {
        IsrRecord {
            ack: self.config.ack,
            min_insync: self.config.degrade.demanded(),
            read_ttl_max: set.read_ttl_max.max(self.config.read_ttl_max),
            ..set
        }
    }

    fn wanted(&self, now: Instant, confirmed: &IsrRecord) -> IsrRecord {
        let standings = confirmed.members.iter().map(|m| self.standing(now, m, confirmed));
        let standings: Vec<Option<Standing>> = standings.collect();
        let slow = standings.iter().filter(|s| **s == Some(Standing::Slow)).count();
        let there = |s: &&Option<Standing>| matches!(s, Some(Standing::Granting | Standing::Silent));
        let demanded = self.config.degrade.demanded();
        let mut missing = (demanded as usize).saturating_sub(standings.iter().filter(there).count());
        let slow_stay = missing > 0 && slow > 0;
        missing = missing.saturating_sub(slow);
        let mut wanted =
            IsrRecord { members: Vec::new(), silent: Vec::new(), ..self.own_terms(confirmed.clone()) };
        for (member, standing) in confirmed.members.iter().zip(standings) {
            match standing {
                // A holder that is silent on record is so no longer (PROTOCOL I8c).
                None | Some(Standing::Granting) => {}
                Some(Standing::Slow) if slow_stay => {}
                Some(Standing::Silent) => wanted.silent.push(member.copy),
                Some(Standing::Lost { matched }) if matched && missing > 0 => {
                    missing -= 1;
                    wanted.silent.push(member.copy);
                }
                Some(Standing::Lost { .. } | Standing::Slow | Standing::Gone) => continue,
            }
            wanted.members.push(member.clone());
        }
        wanted
    }

    /// `None` for the holder's own copy, and for one that is not counted yet.
    fn standing(&self, now: Instant, member: &IsrMember, confirmed: &IsrRecord) -> Option<Standing> {
        let counted = self.isr.get(&member.copy)?;
        let heard = now < counted.heard.plus(self.config.times.shrink);
        let silent = confirmed.silent.contains(&member.copy);
        Some(if counted.gone {
            Standing::Gone
        } else if !heard {
            Standing::Lost { matched: counted.matched > self.term || mutant!(SilentUnmatched) }
        } else if silent && counted.grant_until <= now {
            Standing::Silent
        } else if now >= counted.due.1.plus(self.config.times.lag) && counted.matched < counted.due.0 {
            Standing::Slow
        } else {
            Standing::Granting
        })
    }

    /// When the next member has been silent for too long.
    /// One that is slow is noticed with any event: heartbeats come much more often.
    pub(super) fn shrink_at(&self) -> Option<Instant> {
        let record = self.on_record.as_ref().filter(|r| r.proposal.is_none())?;
        let granting = record.confirmed.members.iter().filter(|m| record.confirmed.holds_granting(m.copy));
        let lost = |m: &IsrMember| self.isr.get(&m.copy).map(|x| x.heard.plus(self.config.times.shrink));
        // Who is lost already waits for the lease, not for the time.
        let waits = |at: &Instant| *at <= self.now && record.lease_is_over(self.now);
        granting.filter_map(lost).filter(|at| !waits(at)).min()
    }

    /// Fewer standbys than are demanded grant under some set that may be on record.
    pub(super) fn is_degraded(&self) -> bool {
        let demanded = self.config.degrade.demanded() as usize;
        let least = |record: &OnRecord| {
            record.possible().map(|set| set.granting_besides(self.me.copy).count()).min().unwrap_or(0)
        };
        self.on_record.as_ref().is_some_and(|record| least(record) < demanded)
    }
}

#[cfg(test)]
#[path = "shrink_tests.rs"]
mod tests;

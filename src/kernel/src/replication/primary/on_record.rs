//! The in-sync set kept on record by a coordinator: what may be on record
//! counts, until it is known not to be (PROTOCOL 5, 6, C1).

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Member, Primary, PrimaryAction};
use crate::coordination::{IsrMember, IsrRecord};
use crate::types::{ConnId, CopyId, Instant, NodeId, Seq};

/// A copy that left is not taken back before this: one that comes and goes
/// would cost a change of the record each time.
const BACK_OFF: Duration = Duration::from_secs(1);

/// How the in-sync set is kept.
#[derive(Debug, Clone)]
pub enum Keeping {
    /// Here alone; the operator is the compare-and-set (PROTOCOL 11).
    Manual,
    /// On record with a coordinator.
    Recorded(Box<RecordStart>),
}

/// What a term on record starts from.
#[derive(Debug, Clone)]
pub struct RecordStart {
    /// The in-sync set on record.
    pub isr: IsrRecord,
    /// Until then the solo lease holds (PROTOCOL G5).
    pub lease_until: Instant,
    /// What the former primary was known to have committed (PROTOCOL S9).
    pub commit_known: Seq,
    /// When the former primary was last heard: it has been silent since.
    pub former: Option<(CopyId, Instant)>,
}

/// The in-sync set on record.
#[derive(Debug)]
pub(super) struct OnRecord {
    pub(super) confirmed: IsrRecord,
    /// Sent, and neither known to be done nor known to be dead.
    pub(super) proposal: Option<IsrRecord>,
    lease_until: Instant,
    /// When the coordinator last confirmed the lease.
    leased_at: Instant,
    away: BTreeMap<NodeId, Instant>,
}

impl OnRecord {
    /// Every set that may be on record now.
    pub(super) fn possible(&self) -> impl Iterator<Item = &IsrRecord> {
        let late = mutant!(GrowLate);
        std::iter::once(&self.confirmed).chain(self.proposal.as_ref().filter(|_| !late))
    }

    /// Until when rights hold under each of them (PROTOCOL 5).
    pub(super) fn rights_until(&self, own: CopyId, grant: impl Fn(CopyId) -> Instant) -> Instant {
        self.least(own, self.lease_until, grant)
    }

    /// When the right that was confirmed longest ago was, of those that are needed.
    pub(super) fn confirmed_at(&self, own: CopyId, granted: impl Fn(CopyId) -> Instant) -> Instant {
        self.least(own, self.leased_at, granted)
    }

    /// The least of what is needed under any of them: of each grant, and of the lease.
    fn least(&self, own: CopyId, of_lease: Instant, of_grant: impl Fn(CopyId) -> Instant) -> Instant {
        let under = |record: &IsrRecord| {
            let grants = record.granting_besides(own).map(&of_grant).min().unwrap_or(Instant::MAX);
            let lease =
                if record.needs_lease(own) && !mutant!(SoloNoLease) { of_lease } else { Instant::MAX };
            grants.min(lease)
        };
        self.possible().map(under).min().unwrap_or(Instant(0))
    }

    /// The coordinator has not been reached for so long that no right can rest on it (PROTOCOL G5).
    pub(super) fn lease_is_over(&self, now: Instant) -> bool {
        self.lease_until <= now
    }

    /// Copies and their nodes, the own one first.
    pub(super) fn members(&self, own: CopyId) -> Vec<(CopyId, NodeId)> {
        let (mine, others): (Vec<_>, Vec<_>) = self.confirmed.members.iter().partition(|m| m.copy == own);
        mine.into_iter().chain(others).map(|m| (m.copy, m.node.clone())).collect()
    }

    /// Members besides the holder that grant.
    pub(super) fn granting_members(&self, own: CopyId) -> impl Iterator<Item = &IsrMember> {
        let granting = move |m: &&IsrMember| m.copy != own && self.confirmed.holds_granting(m.copy);
        self.confirmed.members.iter().filter(granting)
    }

    /// True when this copy is a member as far as is known.
    pub(super) fn holds(&self, copy: CopyId) -> bool {
        self.confirmed.holds(copy)
    }
}

impl Primary {
    pub(super) fn start_recorded(&mut self, now: Instant, start: RecordStart) {
        for member in start.isr.members.iter().filter(|m| m.copy != self.me.copy) {
            let silent_since = start.former.filter(|(copy, _)| *copy == member.copy).map(|(_, heard)| heard);
            let heard = silent_since.unwrap_or(now);
            self.isr.insert(member.copy, Member::unheard(member.node.clone(), heard));
        }
        self.commit = start.commit_known.min(self.log.tail());
        self.on_record = Some(OnRecord {
            confirmed: start.isr,
            proposal: None,
            lease_until: start.lease_until,
            leased_at: now,
            away: BTreeMap::new(),
        });
    }

    /// PROTOCOL I3: the newcomer counts from this event on, before the record knows it.
    pub(super) fn propose_join(&mut self, now: Instant, conn: ConnId, out: &mut Vec<PrimaryAction>) {
        let (Some(record), Some(p)) = (&self.on_record, self.peers.get(&conn)) else { return };
        let early = record.away.get(&p.hello.node).is_some_and(|until| now < *until);
        if record.proposal.is_some() || early {
            return;
        }
        let (copy, node) = (p.hello.copy, p.hello.node.clone());
        let mut wanted = self.own_terms(record.confirmed.clone());
        wanted.members.push(IsrMember { copy, node: node.clone(), address: p.hello.address.clone() });
        let (matched, grant_until, granted_at) = (p.matched, p.grant_until, p.granted_at);
        if let Some(record) = &mut self.on_record {
            record.proposal = Some(wanted.clone());
        }
        if !mutant!(GrowLate) {
            self.isr.insert(
                copy,
                Member { matched, grant_until, granted_at, ..Member::unheard(node.clone(), now) },
            );
        }
        self.copies.finish(&node);
        out.push(PrimaryAction::Propose(wanted));
    }

    /// Proposes the set that counts already; one that is on its way is put on record all the same.
    pub(super) fn reconfirm(&mut self, out: &mut Vec<PrimaryAction>) {
        let Some(record) = self.on_record.as_mut().filter(|record| record.proposal.is_none()) else { return };
        record.proposal = Some(record.confirmed.clone());
        out.push(PrimaryAction::Propose(record.confirmed.clone()));
    }

    /// This set is on record, and no other can be.
    pub(super) fn confirmed(&mut self, now: Instant, isr: IsrRecord, out: &mut Vec<PrimaryAction>) {
        let Some(record) = &mut self.on_record else { return };
        let before = std::mem::replace(&mut record.confirmed, isr);
        record.proposal = None;
        record.away.retain(|_, until| now < *until);
        let other = |m: &&IsrMember| m.copy != self.me.copy;
        for joined in record.confirmed.members.iter().filter(other) {
            self.isr.entry(joined.copy).or_insert_with(|| Member::unheard(joined.node.clone(), now));
            let (was, is) =
                (before.silent.contains(&joined.copy), record.confirmed.silent.contains(&joined.copy));
            if !before.holds(joined.copy) {
                out.push(PrimaryAction::Membership(joined.node.clone(), joined.copy, true));
            } else if was != is {
                out.push(PrimaryAction::Silent(joined.node.clone(), joined.copy, is));
            }
        }
        let confirmed = &record.confirmed;
        for (copy, member) in self.isr.extract_if(.., |copy, _| !confirmed.holds(*copy)) {
            if before.holds(copy) {
                record.away.insert(member.node.clone(), now.plus(BACK_OFF));
                out.push(PrimaryAction::Membership(member.node, copy, false));
            }
        }
        self.revision += 1;
    }

    pub(super) fn lease(&mut self, now: Instant, until: Instant) {
        if let Some(record) = &mut self.on_record {
            record.leased_at = now;
            record.lease_until = record.lease_until.max(until);
        }
    }

    /// What counts under the mutant that takes a proposal for done.
    pub(super) fn counts(&self, copy: CopyId) -> bool {
        let proposal = self.on_record.as_ref().and_then(|r| r.proposal.as_ref());
        !mutant!(ShrinkEarly) || proposal.is_none_or(|p| p.holds(copy))
    }
}

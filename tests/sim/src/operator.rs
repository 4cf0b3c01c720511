//! The operator: with a manual coordinator he is the compare-and-set
//! (PROTOCOL 11). He errs about who lives and when to act, never about what
//! he has ordered: one promotion an epoch, of a node that knows the latest
//! epoch and that he has not detached since it last joined.

use std::collections::BTreeSet;

use standfast_kernel::node::{NodeEvent, OperatorCall, Order, PromoteCall, RoleView};
use standfast_kernel::supervisor::Role;
use standfast_kernel::types::{CopyId, Epoch};

use crate::clock::{MS, SECOND};
use crate::counters::Count;
use crate::invariants::{Invariant, Outcome};
use crate::net::NODES;
use crate::trace::At;
use crate::world::{Event, Phase, World};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    Promote,
    /// Take node `0` out of the in-sync set.
    Detach(usize),
    Redirect(usize),
    /// Hand over, to this node if one is named.
    HandOver(Option<usize>),
    /// No takeover by itself for so many nanoseconds.
    Pause(u64),
    Resume,
}

#[derive(Debug)]
pub(crate) struct Operator {
    /// Who leads the latest epoch, as which copy.
    pub(crate) latest: (Epoch, usize, CopyId),
    /// Ordered to take the next epoch, and has not yet.
    pub(crate) claim: Option<(usize, CopyId)>,
    /// Stated not to be promoted.
    banned: BTreeSet<CopyId>,
    /// In-sync set of the latest epoch.
    isr: BTreeSet<CopyId>,
    requests: u64,
    primary_missed_since: Option<u64>,
    member_missed_since: [Option<u64>; NODES],
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self {
            latest: (Epoch(0), 0, CopyId(0)),
            claim: None,
            banned: BTreeSet::new(),
            isr: BTreeSet::new(),
            requests: 0,
            primary_missed_since: None,
            member_missed_since: [None; NODES],
        }
    }
}

/// A primary or a member is missed for so long before the operator acts.
const PATIENCE_PRIMARY: u64 = 600 * MS;
const PATIENCE_MEMBER: u64 = 1_200 * MS;

impl World {
    /// The primary of the latest epoch, if that very process lives.
    pub(crate) fn primary(&self) -> Option<usize> {
        let (_, i, copy) = self.operator.latest;
        let p = self.hosts[i].process.as_ref()?;
        (p.copy == copy && p.node.role() == Role::Primary).then_some(i)
    }

    /// Whether a promotion of this node is in order, now.
    pub(crate) fn may_order(&self, i: usize) -> bool {
        let Some(p) = &self.hosts[i].process else { return false };
        let op = &self.operator;
        p.node.verdict(self.now(i)).is_yes()
            && p.node.max_epoch() == op.latest.0
            && op.claim.is_none()
            && !op.banned.contains(&p.copy)
    }

    /// Whether this process holds everything that was promised and may lead.
    pub(crate) fn holds_all(&self, i: usize) -> bool {
        let Some(p) = &self.hosts[i].process else { return false };
        if self.params.coordinated {
            return self.coordinator.surely_in_sync(p.copy);
        }
        let op = &self.operator;
        let claims = op.claim == Some((i, p.copy));
        let eligible = p.node.verdict(self.now(i)).is_yes()
            && p.node.max_epoch() == op.latest.0
            && !op.banned.contains(&p.copy)
            && op.isr.contains(&p.copy);
        self.primary() == Some(i) || claims || eligible
    }

    /// Nothing is persisted: the last process that holds the state must not die.
    pub(crate) fn may_die(&self, i: usize) -> bool {
        (0..NODES).any(|j| j != i && self.holds_all(j))
    }

    pub(crate) fn leads(&mut self, i: usize, epoch: Epoch, copy: CopyId) {
        self.operator.latest = (epoch, i, copy);
        self.operator.claim = None;
        self.operator.isr = BTreeSet::from([copy]);
        self.operator.primary_missed_since = None;
    }

    pub(crate) fn stepped_down(&mut self, i: usize) {
        let standby = self.hosts[i].process.as_ref().is_some_and(|p| p.node.role() == Role::Standby);
        if standby && self.operator.claim.is_some_and(|(n, _)| n == i) {
            self.operator.claim = None;
        }
    }

    /// A node threw its copy away: only one that is in no record may be (PROTOCOL I6).
    pub(crate) fn discarded(&mut self, i: usize, old: CopyId) -> Outcome {
        let (epoch, leader, _) = self.operator.latest;
        let follows = self.hosts[i].process.as_ref().is_some_and(|p| p.node.max_epoch() == epoch);
        let on_record = self.primary().is_some() && follows && self.operator.isr.contains(&old);
        Invariant::RecordHolds.check(!on_record, || {
            format!("n{i} discarded copy {old}, which n{leader} counts as in sync in epoch {epoch}")
        })
    }

    /// The in-sync set of a primary changed.
    pub(crate) fn membership(&mut self, i: usize, count: Count) {
        self.counters.hit(count);
        let now = self.now(i);
        let Some(p) = &self.hosts[i].process else { return };
        if self.primary() != Some(i) || p.node.max_epoch() != self.operator.latest.0 {
            return;
        }
        if let RoleView::Primary(view) = p.node.view(now).detail {
            self.operator.isr = view.record.members.iter().map(|(copy, _)| *copy).collect();
            let isr = &self.operator.isr;
            self.operator.banned.retain(|copy| !isr.contains(copy));
        }
    }

    /// An order arrives at a node. The compare and the order are one step.
    pub(crate) fn called(&mut self, i: usize, call: Call) -> Outcome {
        match call {
            Call::Promote => self.promote(i),
            Call::Detach(whom) => self.detach(i, whom),
            Call::Redirect(target) => self.redirect(i, target),
            Call::HandOver(to) => self.hand_over(i, to),
            Call::Pause(_) | Call::Resume => {
                self.operator.requests += 1;
                let pause = if let Call::Pause(length) = call { Some(length) } else { None };
                self.automation(i, pause, self.operator.requests)
            }
        }
    }

    fn promote(&mut self, i: usize) -> Outcome {
        let Some(p) = &self.hosts[i].process else { return Ok(()) };
        let (copy, yes) = (p.copy, p.node.verdict(self.now(i)).is_yes());
        if yes {
            if !self.may_order(i) {
                return Ok(());
            }
            let on_record = self.operator.isr.contains(&copy);
            Invariant::PromoteEligible.check(on_record, || {
                format!(
                    "n{i} says that it may be promoted, but its copy is not in the in-sync set of epoch {}",
                    self.operator.latest.0
                )
            })?;
            self.operator.claim = Some((i, copy));
        }
        self.operator.requests += 1;
        let request = self.operator.requests;
        self.note(At::Node(i), || {
            format!("told to promote ({})", if yes { "eligible" } else { "not eligible" })
        });
        let call =
            PromoteCall { request, actor: "operator".into(), reason: "simulated".into(), dry_run: false };
        self.node_event(i, NodeEvent::Promote(call))?;
        let role = self.hosts[i].process.as_ref().map(|p| p.node.role());
        let right = yes || role == Some(Role::Standby) || self.primary() == Some(i);
        let candidate = self.operator.claim.is_some_and(|(n, _)| n == i) && role == Some(Role::Candidate);
        Invariant::PromoteEligible.check(right || candidate || role == Some(Role::Primary), || {
            format!("n{i} went on although not eligible")
        })
    }

    fn hand_over(&mut self, i: usize, to: Option<usize>) -> Outcome {
        self.operator.requests += 1;
        let to = to.map(|n| self.hosts[n].name.clone());
        let dry_run = self.rng.chance(200);
        self.note(At::Node(i), || format!("told to hand over to {to:?}, dry run: {dry_run}"));
        let call = OperatorCall {
            request: self.operator.requests,
            actor: "operator".into(),
            reason: "simulated".into(),
            order: Order::Switchover { to, dry_run },
        };
        self.node_event(i, NodeEvent::Operate(call))
    }

    fn detach(&mut self, i: usize, whom: usize) -> Outcome {
        if self.primary() != Some(i) || self.operator.claim.is_some_and(|(n, _)| n == whom) {
            return Ok(());
        }
        let copies: Vec<CopyId> =
            self.operator.isr.iter().copied().filter(|c| self.last_copy(whom) == *c).collect();
        self.operator.banned.extend(copies);
        self.operator.requests += 1;
        let (request, node) = (self.operator.requests, self.hosts[whom].name.clone());
        self.node_event(i, NodeEvent::Detach { request, node, actor: "operator".into() })
    }

    fn last_copy(&self, i: usize) -> CopyId {
        self.hosts[i].last_copy
    }

    fn redirect(&mut self, i: usize, target: usize) -> Outcome {
        if self.hosts[i].process.is_none() || self.hosts[i].target == target || target == i {
            return Ok(());
        }
        self.hosts[i].target = target;
        self.counters.hit(Count::Redirected);
        self.note(At::Node(i), || format!("told to dial n{target}"));
        if self.hosts[i].dialled.is_none() {
            return Ok(());
        }
        self.hang_up(i);
        self.node_event(i, NodeEvent::LinkDown("told to dial another".into()))
    }

    /// The operator looks around.
    pub(crate) fn patrol(&mut self) -> Outcome {
        let next = self.t + self.rng.range(30 * MS, 120 * MS);
        self.at(next, Event::Operator);
        self.drop_dead_claim();
        for i in 0..NODES {
            self.look_after(i);
        }
        if self.params.coordinated {
            self.look_after_automation();
            return Ok(());
        }
        self.look_after_primary();
        self.look_after_members();
        Ok(())
    }

    fn drop_dead_claim(&mut self) {
        let Some((i, copy)) = self.operator.claim else { return };
        if self.hosts[i].process.as_ref().is_none_or(|p| p.copy != copy) {
            self.operator.claim = None;
        }
    }

    /// Where to dial.
    fn look_after(&mut self, i: usize) {
        if self.hosts[i].process.is_none() {
            return;
        }
        if self.params.coordinated {
            return;
        }
        let latest = self.operator.latest.1;
        let wanted = if latest == i { (i + 1 + self.rng.below(2) as usize) % NODES } else { latest };
        let settled = latest == i && self.hosts[i].target != i && !self.rng.chance(50);
        if self.hosts[i].target != wanted && !settled && self.rng.chance(700) {
            self.order(i, Call::Redirect(wanted));
        }
    }

    pub(crate) fn order(&mut self, i: usize, call: Call) {
        let t = self.t + self.rng.range(MS / 2, 3 * MS);
        self.at(t, Event::Call(i, call));
    }

    fn look_after_primary(&mut self) {
        let (_, i, _) = self.operator.latest;
        let missed = self.primary().is_none() || self.hosts[i].frozen;
        if !missed || self.operator.claim.is_some() {
            self.operator.primary_missed_since = None;
            return;
        }
        let since = *self.operator.primary_missed_since.get_or_insert(self.t);
        let patience = if self.primary().is_none() { PATIENCE_PRIMARY / 4 } else { PATIENCE_PRIMARY };
        if self.t - since < patience {
            return;
        }
        let fit: Vec<usize> = (0..NODES).filter(|j| self.may_order(*j) && !self.hosts[*j].frozen).collect();
        if let Some(j) = self.rng.pick(&fit) {
            let frozen = self.primary().is_some();
            self.counters.hit(if frozen {
                Count::PromoteWhilePrimaryFrozen
            } else {
                Count::PromoteAfterCrash
            });
            self.order(j, Call::Promote);
        }
    }

    /// Nothing commits while a member is away: sooner or later the operator detaches it.
    fn look_after_members(&mut self) {
        let Some(i) = self.primary() else { return };
        let now = self.now(i);
        let Some(p) = &self.hosts[i].process else { return };
        let RoleView::Primary(view) = p.node.view(now).detail else { return };
        let silent: Vec<usize> = (0..NODES)
            .filter(|j| {
                let copy = self.last_copy(*j);
                let member = view.members().iter().any(|(_, c)| *c == copy);
                let live = view.peers.iter().any(|v| v.copy == copy && !v.grant_left.is_zero());
                *j != i && member && !live
            })
            .collect();
        for j in 0..NODES {
            if !silent.contains(&j) || self.operator.claim.is_some() {
                self.operator.member_missed_since[j] = None;
                continue;
            }
            let since = *self.operator.member_missed_since[j].get_or_insert(self.t);
            if self.t - since > PATIENCE_MEMBER + self.rng.below(SECOND) {
                self.counters.hit(Count::DetachAbsent);
                self.order(i, Call::Detach(j));
                self.operator.member_missed_since[j] = None;
            }
        }
    }

    /// Promotes a standby the moment that it may be promoted, where the scenario wants it.
    pub(crate) fn eager(&mut self, i: usize) -> Outcome {
        if !self.params.eager || self.phase != Phase::Faulty {
            return Ok(());
        }
        let returned = self.hosts[i].generation > 1;
        if returned && self.primary().is_some() && self.may_order(i) {
            self.counters.hit(Count::PromoteWhilePrimaryLives);
            self.promote(i)?;
        }
        Ok(())
    }
}

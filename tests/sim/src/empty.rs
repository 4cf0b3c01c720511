//! Nobody is left who holds the state: the cluster starts empty, by itself when
//! that is proved, or because an operator says so (PROTOCOL T4, DESIGN 3). What
//! was promised before ends there; rights on memory that outlived it do not.

use standfast_kernel::coordination::{EpochCause, Key, Put, Transaction, Value};
use standfast_kernel::node::{NodeEvent, OperatorCall, Order};
use standfast_kernel::supervisor::Role;
use standfast_kernel::types::Epoch;

use crate::clock::MS;
use crate::counters::Count;
use crate::invariants::{Ask, Invariant, Outcome};
use crate::nemesis::Healing;
use crate::net::NODES;
use crate::operator::Call;
use crate::trace::At;
use crate::world::{Event, World};

/// Longest time within which all nodes die.
const DYING_MAX: u64 = 300;

impl World {
    /// All nodes die, one after the other or at once, and come back in any order.
    pub(crate) fn lose_all(&mut self) {
        self.counters.hit(Count::AllLost);
        self.note(At::World, || "all nodes are to die".into());
        let spread = self.rng.range(1, DYING_MAX) * MS;
        for i in 0..NODES {
            let t = self.t + self.rng.below(spread);
            self.at(t, Event::Heal(Healing::Die(i)));
        }
    }

    /// Dies, whoever else holds the state.
    pub(crate) fn die_for_a_while(&mut self, i: usize) {
        if self.hosts[i].process.is_none() {
            return;
        }
        self.crash(i);
        let t = self.t + self.rng.range(5 * MS, self.params.away_max);
        self.at(t, Event::Heal(Healing::Restart(i)));
    }

    /// The primary is left alone: the others die, or not, and it does not see them any more.
    /// Then it loses the coordinator, or hears nothing of it, while an operator
    /// who is told that nothing can be saved starts another node empty.
    pub(crate) fn leave_alone(&mut self) {
        let Some(i) = self.primary() else { return };
        self.counters.hit(Count::LeftAlone);
        self.note(At::Node(i), || "is to be left alone".into());
        let others: Vec<usize> = (0..NODES).filter(|j| *j != i).collect();
        let pairs: Vec<(usize, usize)> = others.iter().flat_map(|j| [(i, *j), (*j, i)]).collect();
        for (from, to) in &pairs {
            self.net.block(*from, *to);
        }
        // Or live on, with a state that gets old.
        if self.rng.chance(500) {
            for j in others {
                self.crash(j);
                let t = self.t + self.rng.range(50 * MS, 300 * MS);
                self.at(t, Event::Heal(Healing::Restart(j)));
            }
        }
        // By then it stands alone on record, under its lease.
        let alone = self.t + self.rng.range(900 * MS, 1_600 * MS);
        if self.rng.chance(700) {
            self.coordinator.slow_until = alone + self.rng.range(500 * MS, 2_500 * MS);
        }
        let ways = [[true, true], [true, false], [false, true]][self.rng.below(3) as usize];
        self.at(alone, Event::Heal(Healing::CutOff(i, ways)));
        let back = alone + self.rng.range(3_000 * MS, 6_000 * MS);
        self.at(back, Event::Heal(Healing::Mend(i, ways)));
        self.at(back, Event::Heal(Healing::Unblock(pairs)));
    }

    /// An operator who wants service again, whatever is lost, asks until somebody leads.
    pub(crate) fn force_start(&mut self) {
        let cut_off = |i: usize| self.coordinator.is_cut(i);
        let Some(i) = self.primary().filter(|i| cut_off(*i)) else { return };
        let standby = |j: &usize| {
            *j != i && self.hosts[*j].process.as_ref().is_some_and(|p| p.node.role() == Role::Standby)
        };
        let all: Vec<usize> = (0..NODES).filter(standby).collect();
        if let Some(j) = self.rng.pick(&all) {
            self.order(j, Call::ForceStart);
        }
    }

    /// The order arrives. A node refuses while the former holder may still answer.
    pub(crate) fn forced_to_start(&mut self, i: usize) -> Outcome {
        // The operator states that no member but the holder itself could still lead.
        if !self.coordinator.has_one_member() {
            return Ok(());
        }
        self.operator.requests += 1;
        let call = OperatorCall {
            request: self.operator.requests,
            actor: "operator".into(),
            reason: "simulated".into(),
            order: Order::ForceStart { dry_run: false, accept: None },
        };
        self.operator.forcing = Some(i);
        let done = self.node_event(i, NodeEvent::Operate(call));
        self.operator.forcing = None;
        done
    }

    /// The record says from now on that the state is gone: nobody may be left who has it.
    pub(crate) fn look_at_proof(&self, transaction: &Transaction) -> Outcome {
        let cold = transaction.then.iter().any(
            |put| matches!(put, Put::Set(Key::Epoch, Value::Epoch(r)) if r.cause == EpochCause::ColdStart),
        );
        let Some(Value::Isr(isr)) = self.coordinator.store.records().get(&Key::Isr).map(|r| &r.value) else {
            return Ok(());
        };
        let alive = |i: &usize| self.hosts[*i].process.as_ref().is_some_and(|p| isr.holds(p.copy));
        let left = (0..NODES).find(alive).filter(|_| cold);
        Invariant::EmptyStartProved.check(left.is_none(), || {
            format!(
                "the cluster starts empty while n{left:?} lives, whose copy is in the in-sync set on record"
            )
        })
    }

    /// A term begins with nothing.
    pub(crate) fn began_empty(&mut self, i: usize, epoch: Epoch) {
        self.counters.hit(Count::EmptyStart);
        self.note(At::Node(i), || format!("starts empty in epoch {epoch}"));
        self.promises.forget_all(epoch);
        self.calls.lossy_term(epoch, Ask::Forgotten, self.params.keys);
        for client in &mut self.clients {
            client.told.clear();
            client.lends_all_again(epoch);
        }
    }
}

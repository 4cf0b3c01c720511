//! Automatic takeovers under pauses and limits: who orders what, and whether nodes keep to it.

use std::time::Duration;

use standfast_kernel::coordination::{EpochRecord, Key, Put, Transaction, Value};
use standfast_kernel::node::{NodeEvent, OperatorCall, Order};
use standfast_kernel::supervisor::FlapLimit;

use crate::clock::SECOND;
use crate::counters::Count;
use crate::invariants::{Invariant, Outcome};
use crate::net::NODES;
use crate::operator::Call;
use crate::trace::At;
use crate::world::{Phase, World};

impl World {
    /// The operator pauses now and then, and resumes when he sees that too much has happened.
    pub(crate) fn look_after_automation(&mut self) {
        if self.params.flaps == FlapLimit::OFF {
            return;
        }
        let i = self.rng.below(NODES as u64) as usize;
        let faulty = self.phase == Phase::Faulty;
        if faulty && self.rng.chance(15) {
            let length = self.rng.range(SECOND, 4 * SECOND);
            self.order(i, Call::Pause(length));
        } else if self.rng.chance(if faulty { 25 } else { 200 }) {
            self.order(i, Call::Resume);
        }
    }

    pub(crate) fn automation(&mut self, i: usize, pause: Option<u64>, request: u64) -> Outcome {
        self.note(At::Node(i), || format!("told about takeovers: pause {pause:?}"));
        let order = match pause {
            Some(length) => Order::Pause { length: Duration::from_nanos(length) },
            None => Order::Resume,
        };
        let call = OperatorCall { request, actor: "operator".into(), reason: "simulated".into(), order };
        self.node_event(i, NodeEvent::Operate(call))
    }

    /// A transaction was done: if it makes a holder that nobody asked for, nothing spoke against that.
    pub(crate) fn check_restraint(&mut self, transaction: &Transaction) -> Outcome {
        let limit = self.params.flaps;
        let Some(holder) = new_holder(transaction).filter(|_| limit != FlapLimit::OFF) else { return Ok(()) };
        let Some(taken) = holder.automatic.last().filter(|c| c.previous == holder.previous) else {
            return Ok(());
        };
        let word = match self.coordinator.records().records().get(&Key::Automation).map(|r| &r.value) {
            Some(Value::Automation(word)) => Some(word),
            _ => None,
        };
        let paused = word.and_then(|w| w.paused_until).filter(|until| *until > taken.at);
        Invariant::Restraint.check(paused.is_none(), || {
            format!("{} took over at {:?}, paused until {paused:?}", holder.holder, taken.at)
        })?;
        let seen = word.map(|w| w.acknowledged).unwrap_or_default();
        let window = limit.window.as_micros() as u64;
        let counts = |at: u64, previous| previous >= seen && at + window > taken.at.0;
        let recent = holder.automatic.iter().filter(|c| counts(c.at.0, c.previous)).count();
        self.counters.hit(Count::TakeoverWithinLimit);
        Invariant::Restraint.check(recent <= limit.changes as usize, || {
            format!("{} took over as number {recent} within {window} us", holder.holder)
        })
    }
}

fn new_holder(transaction: &Transaction) -> Option<&EpochRecord> {
    transaction.then.iter().find_map(|put| match put {
        Put::Set(Key::Epoch, Value::Epoch(record)) => Some(record),
        _ => None,
    })
}

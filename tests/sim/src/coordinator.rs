//! The coordinator: the kernel's own model of one behind links that delay,
//! lose and hold back. A transaction may be carried out long after its caller
//! has given up, and a watch may tell of it later still (PROTOCOL C1, C3).

use standfast_kernel::coordination::{
    IsrRecord, Key, Outcome as Ended, Put, RecordStore, Records, Transaction, TransactionOutcome, Value,
};
use standfast_kernel::node::NodeEvent;
use standfast_kernel::supervisor::{CallId, LeadershipEvent};
use standfast_kernel::types::CopyId;

use crate::clock::{MS, SECOND};
use crate::counters::Count;
use crate::host::Input;
use crate::invariants::Outcome;
use crate::net::NODES;
use crate::trace::At;
use crate::world::{Event, World};

/// A caller gives up after this long (PROTOCOL T6).
pub(crate) const CALL_DEADLINE: u64 = 400 * MS;
/// A transaction that is held back arrives after up to this long.
pub(crate) const HELD_MAX: u64 = 3 * SECOND;
/// A watch that is late is late by up to this.
const NEWS_LATE_MAX: u64 = 2 * SECOND;
/// Whatever a watch loses is read again after this long.
const READ_EVERY: (u64, u64) = (600 * MS, 1_500 * MS);

/// A process of a node, as the coordinator's links know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) node: usize,
    pub(crate) generation: u64,
}

/// Something on its way to or from the coordinator.
#[derive(Debug)]
pub(crate) enum Parcel {
    Transact(Caller, CallId, Box<Transaction>),
    Answer(Caller, CallId, TransactionOutcome),
    /// The caller has waited long enough.
    TooLate(Caller, CallId),
    Read(Caller),
    News(Caller, Records),
    /// It is time to read again.
    Again(Caller),
}

#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) store: RecordStore<Key, Value>,
    /// Calls whose callers still wait.
    waiting: Vec<(Caller, CallId)>,
    /// In-sync sets that are on their way to the record.
    proposed: Vec<(u64, IsrRecord)>,
    /// Cut off: to it and from it, by node.
    cut: [[u32; 2]; NODES],
    pub(crate) away: u32,
    pub(crate) slow_until: u64,
    pub(crate) memory: crate::amnesia::Memory,
}

impl Coordinator {
    pub(crate) fn new() -> Self {
        Self {
            store: RecordStore::default(),
            waiting: Vec::new(),
            proposed: Vec::new(),
            cut: [[0; 2]; NODES],
            away: 0,
            slow_until: 0,
            memory: crate::amnesia::Memory::default(),
        }
    }

    pub(crate) fn cut(&mut self, node: usize, ways: [bool; 2]) {
        for (count, cut) in self.cut[node].iter_mut().zip(ways) {
            *count += u32::from(cut);
        }
    }

    pub(crate) fn mend(&mut self, node: usize, ways: [bool; 2]) {
        for (count, cut) in self.cut[node].iter_mut().zip(ways) {
            *count = count.saturating_sub(u32::from(cut));
        }
    }

    pub(crate) fn calm(&mut self) {
        self.cut = [[0; 2]; NODES];
        (self.away, self.slow_until) = (0, 0);
    }

    /// What is on record.
    pub(crate) fn records(&self) -> &RecordStore<Key, Value> {
        &self.store
    }

    /// Something is lost on its way to it or back.
    pub(crate) fn is_cut(&self, node: usize) -> bool {
        self.cut[node] != [0, 0]
    }

    /// Only the holder is on record, and nothing else is under way.
    pub(crate) fn has_one_member(&self) -> bool {
        let alone = |isr: &IsrRecord| isr.members.len() == 1;
        let recorded = self.store.records().get(&Key::Isr).map(|r| &r.value);
        matches!(recorded, Some(Value::Isr(isr)) if alone(isr))
            && self.proposed.iter().all(|(_, isr)| alone(isr))
    }

    fn hears(&self, node: usize) -> bool {
        self.away == 0 && self.cut[node][0] == 0
    }

    fn is_heard(&self, node: usize) -> bool {
        self.away == 0 && self.cut[node][1] == 0
    }

    /// True when this copy is in the set on record and in every one that may still get there.
    pub(crate) fn surely_in_sync(&self, copy: CopyId) -> bool {
        let recorded = match self.store.records().get(&Key::Isr).map(|r| &r.value) {
            Some(Value::Isr(isr)) => isr.holds(copy),
            _ => false,
        };
        recorded && self.proposed.iter().all(|(_, isr)| isr.holds(copy))
    }
}

impl World {
    fn caller(&self, node: usize) -> Caller {
        Caller { node, generation: self.hosts[node].generation }
    }

    fn coordinator_hop(&mut self) -> u64 {
        let slow = self.t < self.coordinator.slow_until;
        let (min, max) = if slow { (20 * MS, 350 * MS) } else { (MS / 2, 4 * MS) };
        self.rng.range(min, max)
    }

    /// A new process begins to watch.
    pub(crate) fn watch_records(&mut self, i: usize) {
        if self.params.coordinated {
            let caller = self.caller(i);
            let t = self.t + self.rng.range(MS, 20 * MS);
            self.at(t, Event::Coordinator(Parcel::Again(caller)));
        }
    }

    pub(crate) fn transact(&mut self, i: usize, id: CallId, transaction: Box<Transaction>) {
        let caller = self.caller(i);
        self.coordinator.waiting.push((caller, id));
        self.note(At::Node(i), || format!("transacts {:?}", summary(&transaction)));
        self.at(self.t + CALL_DEADLINE, Event::Coordinator(Parcel::TooLate(caller, id)));
        let held = !self.coordinator.hears(i);
        // What is cut off is lost, or waits somewhere on its way.
        if held && self.rng.chance(400) {
            return;
        }
        let held = held || self.rng.chance(self.params.late_permille);
        let hop = if held { self.rng.range(CALL_DEADLINE / 2, HELD_MAX) } else { self.coordinator_hop() };
        if let Some(isr) = proposed(&transaction) {
            self.coordinator.proposed.push((self.t + hop, isr));
        }
        self.at(self.t + hop, Event::Coordinator(Parcel::Transact(caller, id, transaction)));
    }

    pub(crate) fn read_records(&mut self, i: usize) {
        let caller = self.caller(i);
        if self.coordinator.hears(i) {
            let t = self.t + self.coordinator_hop();
            self.at(t, Event::Coordinator(Parcel::Read(caller)));
        }
    }

    pub(crate) fn parcel(&mut self, parcel: Parcel) -> Outcome {
        match parcel {
            Parcel::Transact(caller, id, transaction) => return self.carry_out(caller, id, &transaction),
            Parcel::Answer(caller, id, outcome) => return self.answer(caller, id, outcome),
            Parcel::TooLate(caller, id) => {
                let why = "no answer in time".to_owned();
                if self.coordinator.waiting.contains(&(caller, id)) {
                    self.counters.hit(Count::CoordinatorTimeout);
                }
                return self.answer(caller, id, TransactionOutcome::Unknown(why));
            }
            Parcel::Read(caller) => {
                let records = self.coordinator.store.read(&Key::GROUND);
                if self.coordinator.is_heard(caller.node) {
                    let t = self.t + self.coordinator_hop();
                    self.at(t, Event::Coordinator(Parcel::News(caller, records)));
                }
            }
            Parcel::News(caller, records) => {
                return self.hand_in(caller, LeadershipEvent::Seen(records));
            }
            Parcel::Again(caller) => {
                if self.caller(caller.node) == caller {
                    self.read_records(caller.node);
                    let t = self.t + self.rng.range(READ_EVERY.0, READ_EVERY.1);
                    self.at(t, Event::Coordinator(Parcel::Again(caller)));
                }
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, caller: Caller, id: CallId, transaction: &Transaction) -> Outcome {
        let t = self.t;
        self.coordinator.proposed.retain(|(due, _)| *due > t);
        let former = self.look_at_proof(transaction);
        let Ok(outcome) = self.coordinator.store.apply(transaction) else { return Ok(()) };
        if let Ended::Committed(at) = &outcome {
            former?;
            if !self.coordinator.waiting.contains(&(caller, id)) {
                self.counters.hit(Count::CommittedLate);
            }
            self.note(At::World, || format!("n{} commits {:?} at {at}", caller.node, summary(transaction)));
            self.tell(*at);
            self.check_restraint(transaction)?;
        }
        if self.coordinator.is_heard(caller.node) {
            let t = self.t + self.coordinator_hop();
            self.at(t, Event::Coordinator(Parcel::Answer(caller, id, outcome)));
        }
        Ok(())
    }

    /// Tells all watches of a revision, each when it gets to it.
    fn tell(&mut self, at: standfast_kernel::coordination::Revision) {
        let changes = self.coordinator.store.changes_from(at);
        let records: Vec<_> =
            changes.into_iter().flatten().map(|c| (c.key.clone(), c.record.clone())).collect();
        for i in 0..NODES {
            if !self.coordinator.is_heard(i) {
                continue;
            }
            let late = self.rng.chance(self.params.late_permille);
            let hop = if late { self.rng.range(100 * MS, NEWS_LATE_MAX) } else { self.coordinator_hop() };
            let news = Records { at, records: records.clone() };
            let caller = self.caller(i);
            self.at(self.t + hop, Event::Coordinator(Parcel::News(caller, news)));
        }
    }

    fn answer(&mut self, caller: Caller, id: CallId, outcome: TransactionOutcome) -> Outcome {
        let before = self.coordinator.waiting.len();
        self.coordinator.waiting.retain(|w| *w != (caller, id));
        if self.coordinator.waiting.len() == before {
            return Ok(());
        }
        self.hand_in(caller, LeadershipEvent::Done(id, outcome))
    }

    fn hand_in(&mut self, caller: Caller, event: LeadershipEvent) -> Outcome {
        if self.caller(caller.node) != caller {
            return Ok(());
        }
        let wall = self.wall();
        self.input(caller.node, Input::Event(NodeEvent::Coordinator(wall, event)))
    }
}

/// The in-sync set that a transaction writes.
fn proposed(transaction: &Transaction) -> Option<IsrRecord> {
    transaction.then.iter().find_map(|put| match put {
        Put::Set(Key::Isr, Value::Isr(isr)) => Some(isr.clone()),
        _ => None,
    })
}

/// The keys that it writes.
fn summary(transaction: &Transaction) -> Vec<String> {
    let text = |put: &Put<Key, Value>| match put {
        Put::Set(Key::Isr, Value::Isr(isr)) => {
            let names: Vec<_> = isr.members.iter().map(|m| m.node.to_string()).collect();
            format!("isr {}", names.join(" "))
        }
        Put::Set(key, _) => format!("{key:?}"),
        Put::Delete(key) => format!("no {key:?}"),
    };
    transaction.then.iter().map(text).collect()
}

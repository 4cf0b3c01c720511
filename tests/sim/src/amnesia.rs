//! A coordinator that goes back behind what it answered: begun anew, or
//! restored from a backup, at its old revision or at one above (PROTOCOL C4, 11).
//!
//! What is promised rests on nodes that remember: each process knows the present
//! epoch when it happens, and none starts before the records are restored, at a
//! revision above all. Until then whoever leads goes on and nobody else begins to.

use std::collections::BTreeMap;

use standfast_kernel::coordination::{Key, RecordStore, Revision, Value};
use standfast_kernel::types::Epoch;

use crate::clock::{MS, SECOND};
use crate::coordinator::{Coordinator, HELD_MAX};
use crate::counters::Count;
use crate::trace::At;
use crate::world::{Event, World};

type Store = RecordStore<Key, Value>;

/// Backups kept.
const BACKUPS_MAX: usize = 12;
/// An operator who restores goes up by so many revisions.
const BUMP: u64 = 1_000;

/// What was once on record.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Each with the time when it was taken.
    backups: Vec<(u64, Store)>,
    /// What is lost, while it is.
    truth: Option<Store>,
}

fn epoch(store: &Store) -> Epoch {
    store.records().get(&Key::Epoch).map(|r| r.modified).unwrap_or_default().epoch()
}

fn raised(store: &Store, above: Revision) -> Store {
    Store::restored(Revision(above.0 + BUMP), store.records().clone())
}

impl Coordinator {
    pub(crate) fn is_forgetful(&self) -> bool {
        self.memory.truth.is_some()
    }
}

impl World {
    /// A backup is taken now and then.
    pub(crate) fn keep_backup(&mut self) {
        let memory = &mut self.coordinator.memory;
        if memory.truth.is_none() {
            memory.backups.push((self.t, self.coordinator.store.clone()));
            let old = memory.backups.len().saturating_sub(BACKUPS_MAX);
            memory.backups.drain(..old);
        }
    }

    /// Every process lives, is awake, and knows who leads by the record.
    fn all_know(&self) -> bool {
        let recorded = epoch(&self.coordinator.store);
        let knows = |p: &crate::host::Process| p.node.max_epoch() == recorded;
        self.hosts.iter().all(|h| !h.frozen && h.process.as_ref().is_some_and(knows))
    }

    /// The coordinator forgets, and some node dies or freezes, or none does.
    pub(crate) fn forget(&mut self) {
        if !self.all_know() || self.primary().is_none() {
            return;
        }
        let truth = self.coordinator.store.clone();
        let backups = &self.coordinator.memory.backups;
        // What compares an earlier epoch has arrived: it would be done again.
        if !backups.iter().any(|(t, b)| epoch(b) == epoch(&truth) && t + HELD_MAX < self.t) {
            return;
        }
        // Of an earlier epoch: what is written in the present one is on the real record only.
        let earlier = backups.iter().map(|(_, b)| b).filter(|b| epoch(b) < epoch(&truth));
        let earlier: Vec<Store> = earlier.cloned().collect();
        let empty = Store::restored(Revision(1), BTreeMap::new());
        let back =
            self.rng.pick(&(0..earlier.len()).collect::<Vec<_>>()).map_or(empty, |n| earlier[n].clone());
        let back = if self.rng.chance(500) { raised(&back, truth.revision()) } else { back };
        self.counters.hit(Count::CoordinatorForgot);
        self.note(At::World, || {
            format!("the coordinator forgets: from {} to {}", truth.revision(), back.revision())
        });
        let restored = self.t + self.rng.range(300 * MS, 4 * SECOND);
        self.at(restored, Event::Heal(crate::nemesis::Healing::Restore));
        let victim = match self.rng.below(3) {
            0 => self.primary(),
            1 => self.some_standby(),
            _ => None,
        };
        if let Some(i) = victim.filter(|i| self.may_die(*i)) {
            self.crash(i);
            let back = restored + self.rng.range(MS, SECOND);
            self.at(back, Event::Heal(crate::nemesis::Healing::Restart(i)));
        }
        self.coordinator.memory.truth = Some(truth);
        self.coordinator.store = back;
    }

    /// The operator restores what was on record, at a revision above all.
    pub(crate) fn restore(&mut self) {
        if let Some(truth) = self.coordinator.memory.truth.take() {
            let above = truth.revision().max(self.coordinator.store.revision());
            self.coordinator.store = raised(&truth, above);
            self.note(At::World, || "the coordinator's records are restored".into());
        }
    }
}

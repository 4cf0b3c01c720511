//! What one node knows of the records. Answers and watches arrive in any
//! order; knowledge never goes back.

use std::collections::BTreeSet;

use super::automation::AutomationRecord;
use super::records::{EpochRecord, HistoryId, IsrRecord, Key, Value};
use super::transactions::Base;
use super::txn::{Reading, Revision, Versioned};
use crate::types::{CopyId, Epoch, Instant};

/// One record, as of the newest revision at which it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<V> {
    /// It was so at this revision; 0 before the first look.
    pub at: Revision,
    /// What it was; `None` is known not to be there once `at` is not 0.
    pub record: Option<Versioned<V>>,
}

impl<V> Default for Known<V> {
    fn default() -> Self {
        Self { at: Revision::NONE, record: None }
    }
}

impl<V: PartialEq> Known<V> {
    /// True when the record itself is another one now.
    fn learn(&mut self, at: Revision, record: Option<Versioned<V>>) -> bool {
        if at < self.at {
            return false;
        }
        self.at = at;
        let changed = self.record != record;
        self.record = record;
        changed
    }

    /// When the record was last written; 0 when it is not there.
    #[must_use]
    pub fn modified(&self) -> Revision {
        self.record.as_ref().map(|r| r.modified).unwrap_or_default()
    }
}

/// The records that leadership rests on, as one node knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordView {
    /// Who leads.
    pub epoch: Known<EpochRecord>,
    /// The in-sync set.
    pub isr: Known<IsrRecord>,
    /// The counter.
    pub alive: Known<u64>,
    /// The last word of an operator about automatic changes.
    pub automation: Known<AutomationRecord>,
    /// Where clients are sent.
    pub master_view: Known<String>,
    /// When this value of the counter was first seen here; `None` before the
    /// first look. Late is safe (PROTOCOL C3).
    pub alive_since: Option<Instant>,
    /// Changes of the holder that are on record, as far as was heard.
    pub histories: BTreeSet<HistoryId>,
    /// A record had gone back: which one, from and to which revision. From then
    /// on nothing is learned any more, until an operator says so (PROTOCOL C4).
    pub moved_back: Option<(Key, Revision, Revision)>,
    /// What has been read since then, for who is told to believe it.
    shown: Option<Box<RecordView>>,
}

impl RecordView {
    /// Takes in what was read; returns whether anything is different now.
    pub fn learn(&mut self, now: Instant, reading: &Reading<Key, Value>) -> bool {
        self.moved_back = self.moved_back.take().or_else(|| self.lost_by(reading));
        if self.moved_back.is_some() {
            self.shown.get_or_insert_default().learn(now, reading);
            return false;
        }
        let mut changed = false;
        for (key, record) in &reading.records {
            changed |= self.learn_one(now, reading.at, key, record.as_ref());
        }
        changed
    }

    /// Believes what has been read since a record had gone back, on an operator's word.
    pub fn believe(&mut self) {
        if self.moved_back.is_some() {
            *self = self.shown.take().map(|shown| *shown).unwrap_or_default();
        }
    }

    /// The record in that reading that is older than the one known.
    fn lost_by(&self, reading: &Reading<Key, Value>) -> Option<(Key, Revision, Revision)> {
        let back = |(key, record): &(Key, Option<Versioned<Value>>)| {
            let now = record.as_ref()?.modified;
            let (at, had) = match key {
                Key::Epoch => (self.epoch.at, self.epoch.modified()),
                Key::Isr => (self.isr.at, self.isr.modified()),
                Key::Alive => (self.alive.at, self.alive.modified()),
                Key::Automation => (self.automation.at, self.automation.modified()),
                // Not ours alone; no right rests on it.
                Key::MasterView | Key::History(_) | Key::Rehearsal(_) => return None,
            };
            (reading.at >= at && now < had).then(|| (key.clone(), had, now))
        };
        reading.records.iter().find_map(back)
    }

    fn learn_one(
        &mut self,
        now: Instant,
        at: Revision,
        key: &Key,
        record: Option<&Versioned<Value>>,
    ) -> bool {
        match key {
            Key::Epoch => {
                self.epoch.learn(at, typed(record, |v| if let Value::Epoch(v) = v { Some(v) } else { None }))
            }
            Key::Isr => {
                self.isr.learn(at, typed(record, |v| if let Value::Isr(v) = v { Some(v) } else { None }))
            }
            Key::Alive => {
                let record = typed(record, |v| if let Value::Alive(v) = v { Some(v) } else { None });
                let changed = self.alive.learn(at, record);
                if changed || self.alive_since.is_none() {
                    self.alive_since = Some(now);
                }
                changed
            }
            Key::Automation => {
                let record = typed(record, |v| if let Value::Automation(v) = v { Some(v) } else { None });
                self.automation.learn(at, record)
            }
            Key::MasterView => {
                let record = typed(record, |v| if let Value::MasterView(v) = v { Some(v) } else { None });
                self.master_view.learn(at, record)
            }
            Key::History(id) => {
                if record.is_some() {
                    self.histories.insert(*id);
                } else {
                    self.histories.remove(id);
                }
                false
            }
            Key::Rehearsal(_) => false,
        }
    }

    /// The oldest change of the holder on record, if there are more than so many.
    #[must_use]
    pub fn history_beyond(&self, most: usize) -> Option<HistoryId> {
        self.histories.first().copied().filter(|_| self.histories.len() > most)
    }

    /// The epoch on record; 0 without one.
    #[must_use]
    pub fn recorded_epoch(&self) -> Epoch {
        self.epoch.modified().epoch()
    }

    /// The holder's record.
    #[must_use]
    pub fn holder(&self) -> Option<&EpochRecord> {
        self.epoch.record.as_ref().map(|r| &r.value)
    }

    /// The in-sync set on record.
    #[must_use]
    pub fn in_sync(&self) -> Option<&IsrRecord> {
        self.isr.record.as_ref().map(|r| &r.value)
    }

    /// True when the record names this copy as the holder.
    #[must_use]
    pub fn names(&self, copy: CopyId) -> bool {
        self.holder().is_some_and(|h| h.copy == copy)
    }

    /// What a transaction on the present records compares.
    #[must_use]
    pub fn base(&self) -> Base {
        Base { epoch: self.epoch.modified(), isr: self.isr.modified() }
    }
}

fn typed<V: Clone>(
    record: Option<&Versioned<Value>>,
    pick: impl Fn(&Value) -> Option<&V>,
) -> Option<Versioned<V>> {
    let record = record?;
    let value = pick(&record.value)?.clone();
    Some(Versioned { created: record.created, modified: record.modified, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(at: u64, modified: u64, n: u64) -> Reading<Key, Value> {
        let record = Versioned { created: Revision(2), modified: Revision(modified), value: Value::Alive(n) };
        Reading { at: Revision(at), records: vec![(Key::Alive, Some(record))] }
    }

    #[test]
    fn knowledge_never_goes_back_and_a_counter_is_timed_from_when_it_was_first_seen() {
        let mut view = RecordView::default();
        assert!(view.learn(Instant(10), &alive(5, 5, 1)));
        assert_eq!(view.alive_since, Some(Instant(10)));
        assert!(!view.learn(Instant(20), &alive(7, 5, 1)), "the same at a later revision");
        assert!(!view.learn(Instant(30), &alive(4, 4, 0)), "late: it is older");
        assert_eq!((view.alive.modified(), view.alive_since), (Revision(5), Some(Instant(10))));
        assert!(view.learn(Instant(40), &alive(9, 9, 2)));
        assert_eq!(view.alive_since, Some(Instant(40)));
        // The same number written again is a renewal all the same.
        assert!(view.learn(Instant(50), &alive(11, 11, 2)));
        assert_eq!(view.alive_since, Some(Instant(50)));
    }

    /// PROTOCOL C4: a backup was restored, and has caught up with the revision that was seen.
    #[test]
    fn a_record_that_went_back_is_never_learned_nor_is_anything_after_it() {
        let mut view = RecordView::default();
        view.learn(Instant(1), &alive(20, 15, 3));
        assert!(!view.learn(Instant(2), &alive(12, 11, 2)), "it may be late");
        assert_eq!(view.moved_back, None);
        assert!(!view.learn(Instant(3), &alive(21, 11, 2)));
        assert_eq!(view.moved_back, Some((Key::Alive, Revision(15), Revision(11))));
        assert!(!view.learn(Instant(4), &alive(30, 30, 9)), "nobody knows what else is lost");
        assert_eq!((view.alive.modified(), view.alive_since), (Revision(15), Some(Instant(1))));
        view.believe();
        assert_eq!((view.alive.modified(), view.alive_since), (Revision(30), Some(Instant(4))));
        assert_eq!(view.moved_back, None, "an operator has said that it is right");
    }

    #[test]
    fn a_deleted_record_is_known_not_to_be_there() {
        let mut view = RecordView::default();
        view.learn(Instant(1), &alive(5, 5, 1));
        assert!(view.learn(Instant(2), &Reading { at: Revision(6), records: vec![(Key::Alive, None)] }));
        assert_eq!(view.alive, Known { at: Revision(6), record: None });
    }
}

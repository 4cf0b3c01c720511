//! The coordinator as a state machine: what etcd does with our transactions.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

use super::txn::{Compare, DuplicateKey, Outcome, Put, Reading, Revision, Txn, Versioned};

/// One change, as a watch tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<K, V> {
    /// When.
    pub revision: Revision,
    /// Which key.
    pub key: K,
    /// What it became; `None`: deleted.
    pub record: Option<Versioned<V>>,
}

/// The changes asked for are no longer kept: read everything anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes before revision {0} are compacted away")]
pub struct Compacted(pub Revision);

/// Keys with revisions, and the changes since the last compaction. An empty
/// store is at revision 1, as etcd's is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordStore<K, V> {
    revision: Revision,
    compacted: Revision,
    records: BTreeMap<K, Versioned<V>>,
    changes: VecDeque<Change<K, V>>,
}

impl<K: Ord + Clone + Debug, V: Clone> Default for RecordStore<K, V> {
    fn default() -> Self {
        Self::restored(Revision(1), BTreeMap::new())
    }
}

impl<K: Ord + Clone + Debug, V: Clone> RecordStore<K, V> {
    /// A store that goes on from these records; earlier changes are not known.
    #[must_use]
    pub fn restored(revision: Revision, records: BTreeMap<K, Versioned<V>>) -> Self {
        Self { revision, compacted: revision, records, changes: VecDeque::new() }
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// All records.
    #[must_use]
    pub fn records(&self) -> &BTreeMap<K, Versioned<V>> {
        &self.records
    }

    /// How many changes are kept for watches.
    #[must_use]
    pub fn changes_kept(&self) -> usize {
        self.changes.len()
    }

    /// These keys, now.
    pub fn read<'a>(&self, keys: impl IntoIterator<Item = &'a K>) -> Reading<K, V>
    where
        K: 'a,
    {
        let records = keys.into_iter().map(|key| (key.clone(), self.records.get(key).cloned())).collect();
        Reading { at: self.revision, records }
    }

    /// What [`apply`](Self::apply) would answer.
    ///
    /// # Errors
    /// When it writes one key twice.
    pub fn judge(&self, txn: &Txn<K, V>) -> Result<Outcome<K, V>, DuplicateKey<K>> {
        txn.check()?;
        if !txn.compares.iter().all(|compare| self.holds(compare)) {
            return Ok(Outcome::CompareFailed(self.read(&txn.or_else)));
        }
        let changes = |put: &Put<K, V>| match put {
            Put::Set(..) => true,
            Put::Delete(key) => self.records.contains_key(key),
        };
        let changed = txn.then.iter().any(changes);
        Ok(Outcome::Committed(if changed { self.revision.next() } else { self.revision }))
    }

    /// Carries out a transaction. Never [`Outcome::Unknown`].
    ///
    /// # Errors
    /// When it writes one key twice; then nothing is changed.
    pub fn apply(&mut self, txn: &Txn<K, V>) -> Result<Outcome<K, V>, DuplicateKey<K>> {
        let outcome = self.judge(txn)?;
        if let Outcome::Committed(revision) = outcome {
            for put in &txn.then {
                self.write(revision, put);
            }
            self.revision = revision;
        }
        Ok(outcome)
    }

    fn write(&mut self, revision: Revision, put: &Put<K, V>) {
        let record = match put {
            Put::Set(key, value) => {
                let created = self.records.get(key).map_or(revision, |r| r.created);
                let record = Versioned { created, modified: revision, value: value.clone() };
                self.records.insert(key.clone(), record.clone());
                Some(record)
            }
            Put::Delete(key) if self.records.remove(key).is_none() => return,
            Put::Delete(_) => None,
        };
        self.changes.push_back(Change { revision, key: put.key().clone(), record });
    }

    fn holds(&self, compare: &Compare<K>) -> bool {
        let revision =
            |key, of: fn(&Versioned<V>) -> Revision| self.records.get(key).map(of).unwrap_or_default();
        match compare {
            Compare::Modified(key, wanted) => revision(key, |r| r.modified) == *wanted,
            Compare::Created(key, wanted) => revision(key, |r| r.created) == *wanted,
        }
    }

    /// The changes from this revision on, itself included.
    ///
    /// # Errors
    /// When they are no longer kept.
    pub fn changes_from(&self, from: Revision) -> Result<impl Iterator<Item = &Change<K, V>>, Compacted> {
        if from < self.compacted {
            return Err(Compacted(self.compacted));
        }
        let kept = self.changes.partition_point(|change| change.revision < from);
        Ok(self.changes.range(kept..))
    }

    /// Forgets the changes before this revision; those at it stay, as in etcd.
    pub fn compact(&mut self, before: Revision) {
        self.compacted = self.compacted.max(before.min(self.revision));
        while self.changes.front().is_some_and(|change| change.revision < self.compacted) {
            self.changes.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

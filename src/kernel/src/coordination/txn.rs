//! Guarded transactions, as data: all compares hold and everything is written
//! at one revision, or nothing is and the loser is told the truth.

use std::fmt;

use crate::types::Epoch;

/// A moment of the coordinator's history; grows by one with each transaction
/// that writes. Of a key: 0 means that it is not there (PROTOCOL 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// Of a key that is not there.
    pub const NONE: Self = Self(0);

    /// The fencing token that a write of the record `epoch` at this revision is.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        Epoch(self.0)
    }

    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record and when it came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<V> {
    /// When the key came into being; anew after each deletion.
    pub created: Revision,
    /// When it was last written.
    pub modified: Revision,
    /// What it says.
    pub value: V,
}

/// A condition on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare<K> {
    /// It was last written at this revision; 0: it is not there.
    Modified(K, Revision),
    /// It came into being at this revision; 0: it is not there.
    Created(K, Revision),
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put<K, V> {
    /// Writes the key.
    Set(K, V),
    /// Deletes it; deleting what is not there changes nothing.
    Delete(K),
}

/// A guarded transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn<K, V> {
    /// All must hold.
    pub compares: Vec<Compare<K>>,
    /// Done then, at one revision; no key twice.
    pub then: Vec<Put<K, V>>,
    /// Read otherwise.
    pub or_else: Vec<K>,
}

/// Some keys as they were at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<K, V> {
    /// The coordinator's revision.
    pub at: Revision,
    /// The keys that were asked for; `None` is known not to be there.
    pub records: Vec<(K, Option<Versioned<V>>)>,
}

/// What came of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<K, V> {
    /// Done; its writes have this revision.
    Committed(Revision),
    /// A compare did not hold: nothing was written, and this is the truth.
    CompareFailed(Reading<K, V>),
    /// No answer, for this reason. It may have been done, and it may still be
    /// done later, until [`Txn::is_dead`] (PROTOCOL C1).
    Unknown(String),
}

/// Two writes of one key in one transaction; etcd refuses that, and so do all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("one transaction writes the key {0:?} twice")]
pub struct DuplicateKey<K: fmt::Debug>(pub K);

impl<K: Ord + Clone + fmt::Debug, V> Txn<K, V> {
    /// Checks that no key is written twice. Deleting one twice is allowed.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), DuplicateKey<K>> {
        for (n, op) in self.then.iter().enumerate() {
            let clash = |other: &Put<K, V>| {
                let both_delete = matches!((op, other), (Put::Delete(_), Put::Delete(_)));
                op.key() == other.key() && !both_delete
            };
            if self.then[n + 1..].iter().any(clash) {
                return Err(DuplicateKey(op.key().clone()));
            }
        }
        Ok(())
    }

    /// True when this transaction, if still on its way, cannot succeed any more,
    /// judged by one reading: a key that it compares has gone on since, and
    /// revisions never come back (PROTOCOL C1). A compare with 0 proves nothing:
    /// the key may be deleted again.
    #[must_use]
    pub fn is_dead(&self, seen: &Reading<K, V>) -> bool {
        self.compares.iter().any(|compare| {
            let (key, wanted) = match compare {
                Compare::Modified(key, wanted) | Compare::Created(key, wanted) => (key, *wanted),
            };
            let Some((_, record)) = seen.records.iter().find(|(k, _)| k == key) else { return false };
            let current = match (compare, record) {
                (_, None) => return wanted > Revision::NONE && seen.at >= wanted,
                (Compare::Modified(..), Some(r)) => r.modified,
                (Compare::Created(..), Some(r)) => r.created,
            };
            wanted > Revision::NONE && current > wanted
        })
    }
}

impl<K, V> Put<K, V> {
    /// What it writes.
    pub fn key(&self) -> &K {
        match self {
            Self::Set(key, _) | Self::Delete(key) => key,
        }
    }
}

impl<K: PartialEq, V> Reading<K, V> {
    /// That key; `None` when it is not there or was not asked for.
    pub fn get(&self, key: &K) -> Option<&Versioned<V>> {
        self.records.iter().find(|(k, _)| k == key).and_then(|(_, record)| record.as_ref())
    }
}

//! Writes that were preempted and whose client has not spoken about them yet.
//!
//! End and revoke carry no attempt id. While an earlier write of the same client
//! on the same key is unresolved, what it says next is about that one
//! (SEMANTICS R21); so that a failover does not forget this, it is replicated.

use std::collections::BTreeMap;

use super::{ApplyError, Digester};
use crate::types::{ClientId, Epoch, Instant, KeyHash, Seq};

/// One abandoned write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    hash: u64,
    /// `tenant NUL key`.
    pub key: Box<[u8]>,
    /// The writer that lost it.
    pub client: ClientId,
    /// When this primary may give up waiting for the client, and the epoch in
    /// which it computed that. Local, as with limbo.
    pub due: Option<(Epoch, Instant)>,
}

/// Abandoned writes of one shard's keys, oldest first. Bounded, because each
/// lives no longer than the quarantine of the memory that it wrote into.
#[derive(Debug, Default)]
pub struct Attempts {
    by_seq: BTreeMap<Seq, Attempt>,
}

impl Attempts {
    /// The oldest unresolved attempt of this client on this key.
    #[must_use]
    pub fn oldest(&self, hash: KeyHash, key: &[u8], client: ClientId) -> Option<Seq> {
        let is_it = |a: &Attempt| a.hash == hash.map && a.client == client && *a.key == *key;
        self.by_seq.iter().find(|(_, a)| is_it(a)).map(|(since, _)| *since)
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Seq, &Attempt)> {
        self.by_seq.iter().map(|(since, a)| (*since, a))
    }

    /// Notes when this primary may give up waiting; nothing if there is no such attempt.
    pub fn set_due(&mut self, since: Seq, epoch: Epoch, at: Instant) {
        if let Some(attempt) = self.by_seq.get_mut(&since) {
            attempt.due = Some((epoch, at));
        }
    }

    /// Keeps those of which this is true.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Seq) -> bool) {
        self.by_seq.retain(|since, _| keep(*since));
    }

    /// Adds those of another.
    pub(super) fn extend(&mut self, other: Self) {
        self.by_seq.extend(other.by_seq);
    }

    /// Adds one; returns its digest term.
    pub(super) fn abandon(&mut self, since: Seq, key: &[u8], client: ClientId, digester: Digester) -> u128 {
        let attempt = Attempt { hash: KeyHash::of(key).map, key: key.into(), client, due: None };
        let term = digester.attempt(since, &attempt);
        self.by_seq.insert(since, attempt);
        term
    }

    /// Takes one out; returns its digest term.
    pub(super) fn resolve(&mut self, since: Seq, key: &[u8], digester: Digester) -> Result<u128, ApplyError> {
        let attempt = self.by_seq.get(&since).filter(|a| *a.key == *key);
        let term = attempt.map(|a| digester.attempt(since, a)).ok_or(ApplyError::NoAttempt(since))?;
        self.by_seq.remove(&since);
        Ok(term)
    }
}

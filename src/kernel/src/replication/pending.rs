//! Answers that wait until what they depend on is committed.

use std::collections::BTreeMap;

use super::Gate;
use crate::types::{Instant, Seq};

/// Replies ordered by the position that they depend on.
#[derive(Debug)]
pub struct PendingReplies<T> {
    waiting: BTreeMap<(Seq, u64), (Seq, T)>,
    next: u64,
}

impl<T> Default for PendingReplies<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }
}

impl<T> PendingReplies<T> {
    /// Keeps a reply until [`release`](Self::release) lets it go.
    pub fn add(&mut self, depends_on: Seq, bytes_depend_on: Seq, reply: T) {
        self.waiting.insert((depends_on, self.next), (bytes_depend_on, reply));
        self.next += 1;
    }

    /// Takes the replies that may leave now: committed, and the node has the
    /// right to answer.
    pub fn release(&mut self, gate: &Gate, tail: Seq, now: Instant) -> Vec<T> {
        if self.waiting.is_empty() || !gate.may_answer(now) {
            return Vec::new();
        }
        let upto = gate.commit_for(tail);
        let rest = self.waiting.split_off(&(Seq(upto.0 + 1), 0));
        let mut out = Vec::new();
        for ((seq, n), (bytes, reply)) in std::mem::replace(&mut self.waiting, rest) {
            if gate.committed(seq, bytes, tail) {
                out.push(reply);
            } else {
                self.waiting.insert((seq, n), (bytes, reply));
            }
        }
        out
    }

    /// Throws out those that `keep` says no to.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.waiting.retain(|_, (_, reply)| keep(reply));
    }

    /// Takes all of them, when they will never be answered.
    pub fn drain(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting).into_values().map(|(_, reply)| reply).collect()
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True when none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;

//! Applying received entries, in order, once each.

use std::sync::Arc;

use crate::lab::Sabotage;
use crate::oplog::codec::{claimed_seq, decode};
use crate::oplog::{DecodeError, OpLogEntry, OpLogManager, OpType};
use crate::store::{ApplyError, MetadataStore};
use crate::types::{LogPos, Seq};

/// An entry that was not applied. From it on this copy acknowledges nothing:
/// a copy with a hole is never in sync (PROTOCOL I10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its seq, as far as it can be told.
    pub seq: Seq,
    /// Its key, if it was decoded and has one.
    pub key: Option<Vec<u8>>,
    /// Why.
    pub reason: QuarantineReason,
}

/// Why an entry was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuarantineReason {
    /// Its bytes are damaged.
    #[error("{0}")]
    Damaged(#[from] DecodeError),
    /// It is not the next one.
    #[error("entry {found} where {expected} was due")]
    OutOfOrder {
        /// What was due.
        expected: Seq,
        /// What came.
        found: LogPos,
    },
    /// It does not fit the state.
    #[error("{0}")]
    DoesNotFit(#[from] ApplyError),
}

/// Appends received entries to the own log and applies them to the store, in
/// whole log order (plan task 2.4, PROTOCOL K7).
#[derive(Debug)]
pub struct OpLogApplier {
    store: Arc<MetadataStore>,
    log: OpLogManager,
    /// Ends of writes seen, where the lab planted a fault.
    ends: u64,
    sabotage: Option<Sabotage>,
}

/// The lab's faults strike at one end of a write in this many.
const SABOTAGE_EVERY: u64 = 1000;

impl OpLogApplier {
    /// Over this store and log; applying goes on at the log's tail.
    #[must_use]
    pub fn new(store: Arc<MetadataStore>, log: OpLogManager, sabotage: Option<Sabotage>) -> Self {
        Self { store, log, ends: 0, sabotage }
    }

    /// Exclusive: everything before it is applied.
    #[must_use]
    pub fn applied(&self) -> Seq {
        self.log.tail()
    }

    /// Applies the entry that is due. One that is held already is skipped.
    ///
    /// # Errors
    /// The entry is not applied, and nothing after it may be.
    pub fn apply(&mut self, bytes: &[u8]) -> Result<(), Quarantined> {
        self.take(bytes, true)
    }

    /// The same while the homes do not form one prefix of the log (PROTOCOL S5).
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn replay(&mut self, bytes: &[u8]) -> Result<(), Quarantined> {
        self.take(bytes, false)
    }

    fn take(&mut self, bytes: &[u8], sealed: bool) -> Result<(), Quarantined> {
        let due = self.log.tail();
        let damaged = |e: DecodeError| Quarantined {
            seq: claimed_seq(bytes).filter(|s| *s >= due).unwrap_or(due),
            key: None,
            reason: e.into(),
        };
        let entry = decode(bytes).map_err(damaged)?;
        let seq = Seq(entry.pos.seq);
        if seq < due && self.log.contains(entry.pos) {
            return Ok(());
        }
        let quarantined = |reason| Quarantined { seq, key: entry.op.key().map(<[u8]>::to_vec), reason };
        // Also an earlier seq of another epoch: the copies have diverged (PROTOCOL S3).
        if seq != due || entry.pos.epoch < self.log.last().epoch {
            let reason = QuarantineReason::OutOfOrder { expected: due, found: entry.pos };
            return Err(quarantined(reason));
        }
        if self.sabotaged(&entry) {
            self.log.append_raw(entry.pos, bytes);
            return Ok(());
        }
        let applied = if sealed { self.store.apply(&entry) } else { self.store.replay(&entry) };
        applied.map_err(|e| quarantined(e.into()))?;
        self.log.append_raw(entry.pos, bytes);
        Ok(())
    }

    /// Plants the lab's fault when its time has come; true when the entry is to
    /// be dropped. It strikes at ends of writes: what comes later still fits a
    /// state that lacks one, so the fault stays silent until somebody compares.
    fn sabotaged(&mut self, entry: &OpLogEntry<'_>) -> bool {
        let Some(sabotage) = self.sabotage.filter(|_| entry.op.kind() == OpType::PutEnd) else {
            return false;
        };
        self.ends += 1;
        match sabotage {
            Sabotage::DropEntry => self.ends.is_multiple_of(SABOTAGE_EVERY),
            Sabotage::FlipDigest if self.ends == SABOTAGE_EVERY => {
                self.store.lab_damage(entry.home, &mut |mark| mark.digest ^= 1 << 77);
                false
            }
            Sabotage::FlipDigest | Sabotage::LoseAck => false,
        }
    }
}

#[cfg(test)]
#[path = "applier_tests.rs"]
mod tests;

//! Applying received entries, in order, once each.

use std::sync::Arc;

use crate::lab::Sabotage;
use crate::oplog::codec::{claimed_seq, decode};
use crate::oplog::{DecodeError, OpLogManager};
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
    applied: u64,
    sabotage: Option<Sabotage>,
}

/// The lab's faults strike at this many applied entries.
const SABOTAGE_AT: u64 = 2000;

impl OpLogApplier {
    /// Over this store and log; applying goes on at the log's tail.
    #[must_use]
    pub fn new(store: Arc<MetadataStore>, log: OpLogManager, sabotage: Option<Sabotage>) -> Self {
        Self { store, log, applied: 0, sabotage }
    }

    /// Exclusive: everything before it is applied.
    #[must_use]
    pub fn applied(&self) -> Seq {
        self.log.tail()
    }

    /// Applies the entry that is due. An entry before it is skipped.
    ///
    /// # Errors
    /// The entry is not applied, and nothing after it may be.
    pub fn apply(&mut self, bytes: &[u8]) -> Result<(), Quarantined> {
        let due = self.log.tail();
        let damaged = |e: DecodeError| Quarantined {
            seq: claimed_seq(bytes).filter(|s| *s >= due).unwrap_or(due),
            key: None,
            reason: e.into(),
        };
        let entry = decode(bytes).map_err(damaged)?;
        let seq = Seq(entry.pos.seq);
        if seq < due {
            return Ok(());
        }
        let quarantined = |reason| Quarantined { seq, key: entry.op.key().map(<[u8]>::to_vec), reason };
        if seq > due || entry.pos.epoch < self.log.last().epoch {
            let reason = QuarantineReason::OutOfOrder { expected: due, found: entry.pos };
            return Err(quarantined(reason));
        }
        self.applied += 1;
        if self.sabotaged(entry.home) {
            self.log.append_raw(entry.pos, bytes);
            return Ok(());
        }
        self.store.apply(&entry).map_err(|e| quarantined(e.into()))?;
        self.log.append_raw(entry.pos, bytes);
        Ok(())
    }

    /// Plants the lab's fault when its time has come; true when the entry is to be dropped.
    fn sabotaged(&self, home: crate::types::HomeId) -> bool {
        match self.sabotage {
            Some(Sabotage::DropEntry) => self.applied == SABOTAGE_AT,
            Some(Sabotage::FlipDigest) if self.applied == SABOTAGE_AT => {
                self.store.lab_damage(home, &mut |mark| mark.digest ^= 1 << 77);
                false
            }
            Some(Sabotage::FlipDigest | Sabotage::LoseAck) | None => false,
        }
    }
}

#[cfg(test)]
#[path = "applier_tests.rs"]
mod tests;

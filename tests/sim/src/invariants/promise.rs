//! What clients were told: PromiseKept and StaleRead.

use std::collections::BTreeMap;

use standfast_kernel::oplog::OpLogManager;
use standfast_kernel::types::{AckMode, Epoch, LogPos};

use super::{Invariant, Outcome};

/// Highest promised position in each epoch of the log. By log matching, who
/// holds that entry holds all that came before.
#[derive(Debug)]
pub(crate) struct Promises {
    ack: AckMode,
    /// Must survive every promotion.
    kept: BTreeMap<Epoch, u64>,
    /// Earlier epochs ended with all that they held.
    floor: Epoch,
    /// Async only: may be lost, with everything after it.
    told: BTreeMap<Epoch, u64>,
}

fn raise(marks: &mut BTreeMap<Epoch, u64>, pos: LogPos) {
    let mark = marks.entry(pos.epoch).or_default();
    *mark = (*mark).max(pos.seq);
}

impl Promises {
    pub(crate) fn new(ack: AckMode) -> Self {
        Self { ack, floor: Epoch(0), kept: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// An answer leaves that was decided on everything up to and including `saw`.
    /// `overtaken`: a successor leads already, and is silent until this right to
    /// speak is over: what is told now may be lost with what came before it.
    pub(crate) fn answered(&mut self, saw: LogPos, byte_critical: bool, overtaken: bool) {
        if saw.epoch < self.floor {
            return;
        }
        if self.ack == AckMode::Sync || byte_critical {
            raise(&mut self.kept, saw);
        } else if !overtaken {
            raise(&mut self.told, saw);
        }
    }

    /// A primary considers the entry at `pos` and all before it committed.
    pub(crate) fn committed(&mut self, pos: LogPos) {
        if pos.epoch >= self.floor {
            raise(&mut self.kept, pos);
        }
    }

    /// A term begins with nothing: what was promised before ended with the last copy.
    pub(crate) fn forget_all(&mut self, epoch: Epoch) {
        self.floor = epoch;
        self.kept.clear();
        self.told.clear();
    }

    /// A node with this log leads in `epoch`, whose first entry is at `began`.
    pub(crate) fn check(&self, log: &OpLogManager, epoch: Epoch, began: u64, node: usize) -> Outcome {
        let lost = self.kept.iter().map(|(e, s)| LogPos { epoch: *e, seq: *s }).find(|p| !log.contains(*p));
        if let Some(pos) = lost {
            let text = format!(
                "n{node} leads in epoch {epoch} without entry {pos}, which was promised; its log ends at {}",
                log.last()
            );
            return Err(Invariant::PromiseKept.broken(text));
        }
        // Whatever is lost must have stood where the term record stands now, or later.
        let hole = self.told.iter().map(|(e, s)| LogPos { epoch: *e, seq: *s });
        let hole = hole.into_iter().find(|p| !log.contains(*p) && p.seq < began);
        Invariant::PromiseKept.check(hole.is_none(), || {
            format!("n{node} lacks {hole:?}, which was told, but inherited entries up to {began}: not a lost suffix")
        })?;
        Ok(())
    }

    /// A switchover loses nothing that anybody was told, in async mode either (PROTOCOL T7).
    pub(crate) fn check_lossless(&self, log: &OpLogManager, epoch: Epoch, node: usize) -> Outcome {
        let lost = self.told.iter().map(|(e, s)| LogPos { epoch: *e, seq: *s }).find(|p| !log.contains(*p));
        Invariant::PromiseKept.check(lost.is_none(), || {
            format!("n{node} leads in epoch {epoch} by a switchover without {lost:?}, which was told")
        })
    }

    /// A promotion that loses a suffix ends what was told about it.
    pub(crate) fn forget_lost(&mut self, log: &OpLogManager) {
        self.told.retain(|e, s| log.contains(LogPos { epoch: *e, seq: *s }));
    }

    /// An answer that saw `saw` must not miss `earlier`, which was delivered before it was asked for.
    pub(crate) fn fresh(
        &self,
        log: &OpLogManager,
        earlier: Option<LogPos>,
        saw: LogPos,
        node: usize,
    ) -> Outcome {
        let Some(earlier) = earlier.filter(|p| *p > saw && p.epoch >= self.floor) else { return Ok(()) };
        let may_be_lost = self.ack == AckMode::Async && !log.contains(earlier);
        Invariant::StaleRead.check(may_be_lost, || {
            format!("n{node} answered from {saw}, but an answer from {earlier} was delivered before the call")
        })
    }
}

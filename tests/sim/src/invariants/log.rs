//! The log: LogMatching, ContiguousApply. The shadow also follows what the
//! entries say, by itself, so that answers can be judged by it.

use std::collections::{BTreeMap, BTreeSet};

use standfast_kernel::oplog::codec::decode;
use standfast_kernel::oplog::{Op, OpLogManager, OpType, split_entries};
use standfast_kernel::types::{ClientId, CopyId, Epoch, LogPos, SegmentId, Seq};

use super::{Invariant, Outcome};

/// Every entry that any node ever held: its bytes and its predecessor.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<LogPos, (Vec<u8>, LogPos)>,
}

impl Ledger {
    /// The entry at `last` and all before it, oldest first.
    fn lineage(&self, last: LogPos, node: usize) -> Outcome<Vec<Vec<u8>>> {
        let (mut all, mut at) = (Vec::new(), last);
        while at != LogPos::NONE {
            let unknown =
                || Invariant::LogMatching.broken(format!("n{node} goes on behind {at}, which nobody has"));
            let (bytes, prev) = self.entries.get(&at).ok_or_else(unknown)?;
            all.push(bytes.clone());
            at = *prev;
        }
        all.reverse();
        Ok(all)
    }

    fn note(&mut self, pos: LogPos, prev: LogPos, bytes: &[u8], node: usize) -> Outcome {
        let known = self.entries.entry(pos).or_insert_with(|| (bytes.to_vec(), prev));
        Invariant::LogMatching.check(known.0 == bytes && known.1 == prev, || {
            let what = if known.1 == prev {
                "with other bytes".into()
            } else {
                format!("after {prev}, not {}", known.1)
            };
            format!("n{node} holds entry {pos} {what} than another node")
        })
    }
}

/// What the entries say about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShadowObject {
    pub(crate) started: LogPos,
    pub(crate) writer: ClientId,
    pub(crate) complete: bool,
    pub(crate) checksum: Option<u64>,
}

/// One node's log as the simulation has read it.
#[derive(Debug)]
pub(crate) struct Shadow {
    copy: CopyId,
    read_upto: Seq,
    last: LogPos,
    /// First seq of each epoch.
    epochs: Vec<(Epoch, u64)>,
    pub(crate) objects: BTreeMap<Vec<u8>, ShadowObject>,
    pub(crate) mounted: BTreeSet<SegmentId>,
}

/// Kinds of entries that one reading found.
pub(crate) type Read = Vec<OpType>;

const AT_ONCE: usize = 4096;

impl Shadow {
    pub(crate) fn new(copy: CopyId) -> Self {
        Self {
            copy,
            read_upto: Seq::FIRST,
            last: LogPos::NONE,
            epochs: Vec::new(),
            objects: BTreeMap::new(),
            mounted: BTreeSet::new(),
        }
    }

    /// Reads what was appended since the last time.
    pub(crate) fn follow(
        &mut self,
        log: &OpLogManager,
        copy: CopyId,
        ledger: &mut Ledger,
        node: usize,
    ) -> Outcome<Read> {
        let mut kinds = Vec::new();
        let (tail, trim) = (log.tail(), log.marks().trim);
        if copy != self.copy {
            *self = Self::new(copy);
        }
        Invariant::ContiguousApply.check(tail >= self.read_upto, || {
            format!("the tail of copy {copy} of n{node} fell from {} to {tail}", self.read_upto)
        })?;
        if self.read_upto == Seq::FIRST && trim > Seq::FIRST {
            self.take_over(log.before(trim), ledger, node)?;
        }
        while self.read_upto < tail {
            let batch = log.get_entries_since(self.read_upto, AT_ONCE, usize::MAX / 2).ok_or_else(|| {
                Invariant::Order.broken(format!("n{node} trimmed {} at once", self.read_upto))
            })?;
            for bytes in split_entries(&batch.entries) {
                let bytes = bytes.map_err(|e| Invariant::ContiguousApply.broken(e.to_string()))?;
                kinds.push(self.entry(bytes, ledger, node)?);
            }
        }
        Ok(kinds)
    }

    /// The log of a copied state begins in the middle: what came before is what
    /// the entry before it follows in everybody's log.
    fn take_over(&mut self, last: LogPos, ledger: &mut Ledger, node: usize) -> Outcome {
        for bytes in ledger.lineage(last, node)? {
            self.entry(&bytes, ledger, node)?;
        }
        Ok(())
    }

    /// The entry before an exclusive mark.
    pub(crate) fn before(&self, mark: Seq) -> Option<LogPos> {
        let seq = mark.0.checked_sub(1).filter(|s| *s > 0)?;
        let (epoch, _) = self.epochs.iter().rev().find(|(_, first)| *first <= seq)?;
        Some(LogPos { epoch: *epoch, seq })
    }

    /// Seq of the first entry of an epoch.
    pub(crate) fn began(&self, epoch: Epoch) -> Option<u64> {
        self.epochs.iter().find(|(e, _)| *e == epoch).map(|(_, first)| *first)
    }

    fn entry(&mut self, bytes: &[u8], ledger: &mut Ledger, node: usize) -> Outcome<OpType> {
        let entry = decode(bytes)
            .map_err(|e| Invariant::ContiguousApply.broken(format!("n{node} at {}: {e}", self.read_upto)))?;
        let (pos, prev) = (entry.pos, self.last);
        Invariant::ContiguousApply.check(pos.seq == self.read_upto.0 && pos.epoch >= prev.epoch, || {
            format!("n{node} holds entry {pos} after {prev}")
        })?;
        ledger.note(pos, prev, bytes, node)?;
        if prev.epoch != pos.epoch || self.epochs.is_empty() {
            self.epochs.push((pos.epoch, pos.seq));
        }
        self.last = pos;
        self.read_upto = pos.end();
        self.learn(pos, &entry.op);
        Ok(entry.op.kind())
    }

    fn learn(&mut self, pos: LogPos, op: &Op<'_>) {
        match op {
            Op::PutStart { key, client, .. } => {
                let object = ShadowObject { started: pos, writer: *client, complete: false, checksum: None };
                self.objects.insert(key.to_vec(), object);
            }
            Op::PutEnd { key, checksum } => {
                if let Some(object) = self.objects.get_mut(*key) {
                    object.complete = true;
                    object.checksum = *checksum;
                }
            }
            // No transfer runs here, so eviction and discard leave nothing of an object.
            Op::Remove { key, .. }
            | Op::Preempt { key, .. }
            | Op::PutRevoke { key, .. }
            | Op::Evict { key, .. }
            | Op::Discard { key, .. } => {
                self.objects.remove(*key);
            }
            Op::MountSegment { segment, .. } => {
                self.mounted.insert(segment.id);
            }
            Op::UpsertInPlace { key, client, .. } => {
                if let Some(object) = self.objects.get_mut(*key) {
                    (object.started, object.writer) = (pos, *client);
                    (object.complete, object.checksum) = (false, None);
                }
            }
            // No client of this simulation unmounts, re-mounts or falls silent.
            Op::SegmentGone { .. }
            | Op::ClientOk { .. }
            | Op::ClientExpired { .. }
            | Op::GracefulUnmount { .. }
            | Op::HoldEnd { .. }
            | Op::Purge { .. }
            // Nor does one ask for what causes CLEAR or DROP_REPLICA.
            | Op::TermStart { .. }
            | Op::Free { .. }
            | Op::Clear { .. }
            | Op::DropReplica { .. }
            | Op::Abandon { .. }
            | Op::Resolve { .. }
            | Op::TransferStart { .. }
            | Op::TransferEnd { .. }
            | Op::TransferRevoke { .. }
            | Op::TaskCreate { .. }
            | Op::TaskFetch { .. }
            | Op::TaskEnd { .. }
            | Op::TaskPrune { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_red() {
        let at = |e, s| LogPos { epoch: Epoch(e), seq: s };
        let mut ledger = Ledger::default();
        assert!(ledger.note(at(1, 1), LogPos::NONE, b"a", 0).is_ok());
        assert!(ledger.note(at(1, 1), LogPos::NONE, b"a", 1).is_ok());
        assert!(ledger.note(at(1, 1), LogPos::NONE, b"b", 1).is_err());
        assert!(ledger.note(at(2, 2), at(1, 1), b"c", 0).is_ok());
        assert!(ledger.note(at(2, 2), at(2, 1), b"c", 1).is_err());
    }
}

//! The log: LogMatching, ContiguousApply. The shadow also follows what the
//! entries say, by itself, so that answers can be judged by it.

use std::collections::{BTreeMap, BTreeSet};

use standfast_kernel::oplog::codec::decode;
use standfast_kernel::oplog::{Op, OpLogManager, OpType, split_entries};
use standfast_kernel::types::{
    ClientId, CopyId, Epoch, LogPos, MountUid, Region, ReplicaStatus, SegmentId, Seq, TransferKind,
};

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

/// What the entries say about one replica on a live mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShadowReplica {
    pub(crate) id: u64,
    pub(crate) status: ReplicaStatus,
    mount: MountUid,
}

impl ShadowReplica {
    pub(crate) fn is_complete(&self) -> bool {
        self.status == ReplicaStatus::Complete
    }
}

/// A copy or move that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShadowTransfer {
    pub(crate) client: ClientId,
    pub(crate) kind: TransferKind,
    source: u64,
    started: LogPos,
}

/// What the entries say about one key. Without a replica on a live mount there is no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShadowObject {
    pub(crate) writer: ClientId,
    pub(crate) checksum: Option<u64>,
    pub(crate) replicas: Vec<ShadowReplica>,
    pub(crate) transfer: Option<ShadowTransfer>,
}

impl ShadowObject {
    pub(crate) fn is_readable(&self) -> bool {
        self.replicas.iter().any(ShadowReplica::is_complete)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.replicas.iter().all(ShadowReplica::is_complete)
    }

    fn set(&mut self, status: ReplicaStatus, which: impl Fn(&ShadowReplica) -> bool) {
        for replica in self.replicas.iter_mut().filter(|r| which(r)) {
            replica.status = status;
        }
    }
}

fn processing(at: LogPos, regions: &[Region]) -> impl Iterator<Item = ShadowReplica> {
    let replica = move |(i, region): (usize, &Region)| ShadowReplica {
        id: at.seq << 8 | i as u64,
        status: ReplicaStatus::Processing,
        mount: region.mount,
    };
    regions.iter().enumerate().map(replica)
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
    mounts: BTreeMap<MountUid, SegmentId>,
    /// Clients that have said all that they lend.
    pub(crate) ok: BTreeSet<ClientId>,
    /// Writes of which a client was told that they are lost (SEMANTICS R21).
    pub(crate) resolved: BTreeSet<Vec<u8>>,
}

/// An entry that one reading found.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) pos: LogPos,
    pub(crate) kind: OpType,
    /// Objects that it took away, or made unreadable, without anybody's call.
    pub(crate) lost: Vec<Vec<u8>>,
}

const AT_ONCE: usize = 4096;

impl Shadow {
    pub(crate) fn new(copy: CopyId) -> Self {
        Self {
            copy,
            read_upto: Seq::FIRST,
            last: LogPos::NONE,
            epochs: Vec::new(),
            objects: BTreeMap::new(),
            mounts: BTreeMap::new(),
            ok: BTreeSet::new(),
            resolved: BTreeSet::new(),
        }
    }

    /// The last entry read.
    pub(crate) fn last(&self) -> LogPos {
        self.last
    }

    /// Reads what was appended since the last time.
    pub(crate) fn follow(
        &mut self,
        log: &OpLogManager,
        copy: CopyId,
        ledger: &mut Ledger,
        node: usize,
    ) -> Outcome<Vec<Read>> {
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

    fn entry(&mut self, bytes: &[u8], ledger: &mut Ledger, node: usize) -> Outcome<Read> {
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
        let before = self.about(&entry.op);
        self.learn(pos, &entry.op);
        let lost = before.into_iter().filter(|(key, was)| self.standing(key) < *was).map(|(key, _)| key);
        Ok(Read { pos, kind: entry.op.kind(), lost: lost.collect() })
    }

    pub(crate) fn is_mounted(&self, segment: SegmentId) -> bool {
        self.mounts.values().any(|id| *id == segment)
    }

    /// 0 without an object, 1 with one that nobody can read, 2 with one that is readable.
    fn standing(&self, key: &[u8]) -> u8 {
        self.objects.get(key).map_or(0, |o| 1 + u8::from(o.is_readable()))
    }

    /// The objects that a primary's own entry may take away, and how they stand.
    fn about(&self, op: &Op<'_>) -> Vec<(Vec<u8>, u8)> {
        let keys: Vec<&[u8]> = match op {
            Op::Evict { key, .. } | Op::Discard { key, .. } | Op::DropReplica { key, .. } => vec![*key],
            // The source has died meanwhile.
            Op::TransferEnd { key, .. } | Op::TransferRevoke { key, .. } => vec![*key],
            Op::SegmentGone { .. } | Op::ClientExpired { .. } => {
                self.objects.keys().map(Vec::as_slice).collect()
            }
            _ => Vec::new(),
        };
        keys.into_iter().map(|key| (key.to_vec(), self.standing(key))).collect()
    }

    fn learn(&mut self, pos: LogPos, op: &Op<'_>) {
        match op {
            Op::PutStart { key, client, regions, .. } => {
                let replicas = processing(pos, regions).collect();
                let object = ShadowObject { writer: *client, checksum: None, replicas, transfer: None };
                self.objects.insert(key.to_vec(), object);
            }
            Op::PutEnd { key, checksum } => self.edit(key, |o| {
                o.checksum = *checksum;
                o.set(ReplicaStatus::Complete, |_| true);
            }),
            Op::UpsertInPlace { key, client, .. } => self.edit(key, |o| {
                (o.writer, o.checksum) = (*client, None);
                o.set(ReplicaStatus::Processing, |_| true);
            }),
            Op::Remove { key, .. } | Op::Preempt { key, .. } | Op::PutRevoke { key, .. } => {
                self.objects.remove(*key);
            }
            Op::Evict { key, .. } => self.edit(key, |o| {
                let source = o.transfer.map(|t| t.source);
                o.replicas.retain(|r| !r.is_complete() || Some(r.id) == source);
            }),
            Op::Discard { key, .. } => self.edit(key, |o| {
                o.transfer = None;
                o.replicas.retain(ShadowReplica::is_complete);
            }),
            Op::DropReplica { key, id, .. } => self.edit(key, |o| o.replicas.retain(|r| r.id != *id)),
            Op::TransferStart { key, client, kind, source, regions } => self.edit(key, |o| {
                o.replicas.extend(processing(pos, regions));
                let (client, kind, source, started) = (*client, *kind, *source, pos);
                o.transfer = Some(ShadowTransfer { client, kind, source, started });
            }),
            Op::TransferEnd { key, .. } => self.edit(key, |o| {
                let Some(transfer) = o.transfer.take() else { return };
                o.set(ReplicaStatus::Complete, |r| r.id >> 8 == transfer.started.seq);
                let moved = transfer.kind == TransferKind::Move;
                o.replicas.retain(|r| !(moved && r.id == transfer.source));
            }),
            Op::TransferRevoke { key, .. } => self.edit(key, |o| {
                let Some(transfer) = o.transfer.take() else { return };
                o.replicas.retain(|r| r.id >> 8 != transfer.started.seq);
            }),
            Op::MountSegment { segment, .. } => {
                self.mounts.insert(MountUid(pos), segment.id);
            }
            // All its replicas vanish at this position (PROTOCOL K2).
            Op::SegmentGone { mount } => {
                self.mounts.remove(mount);
                self.objects.retain(|_, o| {
                    o.replicas.retain(|r| r.mount != *mount);
                    !o.replicas.is_empty()
                });
            }
            Op::ClientOk { client, .. } => {
                self.ok.insert(*client);
            }
            Op::Resolve { key, .. } => {
                self.resolved.insert(key.to_vec());
            }
            // What a purge drops is gone since the mount died. No client of this simulation falls
            // silent, unmounts gracefully or asks for what causes CLEAR or tasks.
            Op::Purge { .. }
            | Op::ClientExpired { .. }
            | Op::GracefulUnmount { .. }
            | Op::HoldEnd { .. }
            | Op::Grant { .. }
            | Op::TermStart { .. }
            | Op::Free { .. }
            | Op::Clear { .. }
            | Op::Abandon { .. }
            | Op::TaskCreate { .. }
            | Op::TaskFetch { .. }
            | Op::TaskEnd { .. }
            | Op::TaskPrune { .. }
            | Op::MetadataPart { .. }
            | Op::MetadataRemove { .. } => {}
        }
    }

    /// Changes an object; without replicas it is gone.
    fn edit(&mut self, key: &[u8], change: impl FnOnce(&mut ShadowObject)) {
        let Some(object) = self.objects.get_mut(key) else { return };
        change(object);
        if object.replicas.is_empty() {
            self.objects.remove(key);
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

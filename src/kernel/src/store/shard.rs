//! One shard of the object map.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use super::transfer::Transfer;
use super::{ApplyError, Digester, Effect, Effects, HomeMark};
use crate::oplog::{LimboKind, Op, Release};
use crate::types::{ClientId, Epoch, Instant, KeyHash, LogPos, Region, ReplicaStatus, Seq};

/// One copy of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Identifier for clients: `seq << 8 | index` of the op that made it, so it
    /// is unique and survives a failover.
    pub id: u64,
    /// Where its bytes are.
    pub region: Region,
    /// Whether it may be shown to readers.
    pub status: ReplicaStatus,
}

/// An object: a value stored under a key.
#[derive(Debug)]
pub struct Object {
    hash: u64,
    /// `tenant NUL key`.
    pub key: Box<[u8]>,
    /// The client that writes or wrote it.
    pub writer: ClientId,
    /// Bytes of the value.
    pub size: u64,
    /// The writer's checksum of the value.
    pub checksum: Option<u64>,
    /// Position of its PUT_START: names this attempt (SEMANTICS R21).
    pub started: LogPos,
    /// Its copies, in the order in which they were handed out.
    pub replicas: SmallVec<[Replica; 1]>,
    /// The copy or move that runs, if one does.
    pub transfer: Option<Box<Transfer>>,
    /// End of the longest read lease granted by this node, in its own time.
    /// Neither replicated nor digested: a new primary's hold covers it (A3).
    lease_until: AtomicU64,
    /// When this node, as primary, handed out what is unfinished, or when that
    /// ended; 0 when another did.
    begun: AtomicU64,
}

impl Object {
    /// True when every replica may be shown to readers.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.replicas.iter().all(|r| r.status == ReplicaStatus::Complete)
    }

    /// True when some replica may be shown to readers.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.replicas.iter().any(|r| r.status == ReplicaStatus::Complete)
    }

    /// Position of the start of what is unfinished: the transfer, else the write.
    #[must_use]
    pub fn unfinished(&self) -> Option<LogPos> {
        match &self.transfer {
            Some(transfer) => Some(transfer.started),
            None => (!self.is_complete()).then_some(self.started),
        }
    }

    /// When this node handed out what is unfinished, or when that ended, in its
    /// own time; 0 if it did neither.
    #[must_use]
    pub fn begun(&self) -> Instant {
        Instant(self.begun.load(Ordering::Relaxed))
    }

    /// Notes that this node hands out bytes to a writer now, or that it ended now.
    pub fn begin(&self, now: Instant) {
        self.begun.store(now.0, Ordering::Relaxed);
    }

    fn regions(&self) -> impl Iterator<Item = Region> {
        self.replicas.iter().map(|r| r.region)
    }

    /// End of the longest lease granted by this node.
    #[must_use]
    pub fn lease_until(&self) -> Instant {
        Instant(self.lease_until.load(Ordering::Relaxed))
    }

    /// Extends the lease; it only moves forward.
    pub fn extend_lease(&self, until: Instant) {
        self.lease_until.fetch_max(until.0, Ordering::Relaxed);
    }
}

/// A region that nobody owns but that somebody may still read or write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limbo {
    /// The region.
    pub region: Region,
    /// Whose right may be left.
    pub kind: LimboKind,
    /// When this primary may free it, and the epoch in which it computed that.
    /// Local: a new primary starts the wait again at full length (A4).
    pub due: Option<(Epoch, Instant)>,
}

/// Objects whose keys hash to one home, and the regions they left in limbo.
#[derive(Debug)]
pub struct Shard {
    objects: HashTable<Object>,
    limbo: BTreeMap<(Seq, u8), Limbo>,
    /// Map hashes of the objects that are unfinished, by the seq of that start.
    unfinished: BTreeMap<Seq, u64>,
    mark: HomeMark,
    digester: Digester,
}

impl Shard {
    pub(super) fn new(digester: Digester) -> Self {
        let (limbo, unfinished) = (BTreeMap::new(), BTreeMap::new());
        Self { objects: HashTable::new(), limbo, unfinished, mark: HomeMark::default(), digester }
    }

    /// Position and digest.
    #[must_use]
    pub fn mark(&self) -> HomeMark {
        self.mark
    }

    pub(super) fn mark_mut(&mut self) -> &mut HomeMark {
        &mut self.mark
    }

    /// Number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// True without objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The object with this scoped key.
    #[must_use]
    pub fn get(&self, hash: KeyHash, key: &[u8]) -> Option<&Object> {
        self.objects.find(hash.map, |o| *o.key == *key)
    }

    /// All objects, in no particular order.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter()
    }

    /// Objects with an unfinished write or transfer, oldest start first.
    pub fn unfinished(&self) -> impl Iterator<Item = &Object> {
        self.unfinished.iter().filter_map(|(seq, hash)| {
            self.objects.find(*hash, |o| o.unfinished().is_some_and(|at| at.seq == seq.0))
        })
    }

    /// True when the index of unfinished objects equals one built from scratch.
    pub(super) fn is_indexed(&self) -> bool {
        let unfinished = self.objects.iter().filter_map(|o| Some((Seq(o.unfinished()?.seq), o.hash)));
        unfinished.collect::<BTreeMap<_, _>>() == self.unfinished
    }

    /// Regions in limbo, oldest first.
    pub fn limbo(&self) -> impl ExactSizeIterator<Item = (Seq, u8, &Limbo)> {
        self.limbo.iter().map(|((seq, index), l)| (*seq, *index, l))
    }

    /// Sets when this primary may free a limbo entry; false when there is none.
    pub fn set_due(&mut self, since: Seq, index: u8, epoch: Epoch, at: Instant) -> bool {
        let entry = self.limbo.get_mut(&(since, index));
        entry.map(|l| l.due = Some((epoch, at))).is_some()
    }

    /// Applies one op of this shard; says what it does to the derived indexes.
    ///
    /// # Errors
    /// When the op does not fit; nothing is changed then.
    pub fn apply(&mut self, at: LogPos, op: &Op<'_>) -> Result<Effects, ApplyError> {
        let effects = match op {
            Op::PutStart { key, client, size, regions } => self.put_start(at, key, *client, *size, regions),
            Op::PutEnd { key, checksum } => self.put_end(key, *checksum),
            Op::Remove { key, release } => {
                let object = self.take(key, |_| Ok(()))?;
                Ok(self.let_go(at, object.regions(), *release))
            }
            Op::Preempt { key, release } => {
                let object = self
                    .take(key, |o| if o.is_readable() { Err(ApplyError::ObjectComplete) } else { Ok(()) })?;
                Ok(self.let_go(at, object.regions(), *release))
            }
            Op::Free { since, index, .. } => self.free(*since, *index),
            Op::Evict { key, release } => self.evict(at, key, *release),
            Op::Discard { key, release } => self.discard(at, key, *release),
            Op::TransferStart { key, client, kind, source, regions } => {
                self.transfer_start(at, key, (*client, *kind, *source), regions)
            }
            Op::TransferEnd { key, release } => self.transfer_end(at, key, *release),
            Op::TransferRevoke { key, release } => self.transfer_revoke(at, key, *release),
            Op::TermStart { .. }
            | Op::MountSegment { .. }
            | Op::TaskCreate { .. }
            | Op::TaskFetch { .. }
            | Op::TaskEnd { .. }
            | Op::TaskPrune { .. } => {
                invariant!(false, "{} is not an op of a shard", op.kind().name());
                Ok(Effects::new())
            }
        }?;
        self.mark.last = at;
        Ok(effects)
    }

    fn put_start(
        &mut self,
        at: LogPos,
        key: &[u8],
        writer: ClientId,
        size: u64,
        regions: &[Region],
    ) -> Result<Effects, ApplyError> {
        let hash = KeyHash::of(key).map;
        let Entry::Vacant(vacant) = self.objects.entry(hash, |o| *o.key == *key, |o| o.hash) else {
            return Err(ApplyError::ObjectExists);
        };
        let replica = |(i, r): (usize, &Region)| Replica {
            id: at.seq << 8 | i as u64,
            region: *r,
            status: ReplicaStatus::Processing,
        };
        let replicas = regions.iter().enumerate().map(replica).collect();
        let object = Object {
            hash,
            key: key.into(),
            writer,
            size,
            checksum: None,
            started: at,
            replicas,
            transfer: None,
            lease_until: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        };
        self.mark.digest = self.mark.digest.wrapping_add(self.digester.object(&object));
        vacant.insert(object);
        self.unfinished.insert(Seq(at.seq), hash);
        Ok(regions.iter().copied().map(Effect::Carve).collect())
    }

    fn put_end(&mut self, key: &[u8], checksum: Option<u64>) -> Result<Effects, ApplyError> {
        self.edit(key, |object| {
            if object.transfer.is_some() {
                return Err(ApplyError::TransferRuns);
            }
            object.checksum = checksum;
            for r in &mut object.replicas {
                r.status = ReplicaStatus::Complete;
            }
            Ok(Effects::new())
        })
    }

    /// Changes an object, and what follows from it: the digest, the index of
    /// unfinished objects, and that an object without replicas is gone. An
    /// error of `change` must mean that it changed nothing.
    pub(super) fn edit<T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Object) -> Result<T, ApplyError>,
    ) -> Result<T, ApplyError> {
        let hash = KeyHash::of(key).map;
        let entry = self.objects.find_entry(hash, |o| *o.key == *key);
        let mut entry = entry.map_err(|_| ApplyError::NoObject)?;
        let object = entry.get_mut();
        let (term, before) = (self.digester.object(object), object.unfinished());
        let done = change(object)?;
        self.mark.digest = self.mark.digest.wrapping_sub(term);
        let mut after = None;
        if object.replicas.is_empty() {
            entry.remove();
        } else {
            self.mark.digest = self.mark.digest.wrapping_add(self.digester.object(object));
            after = object.unfinished();
        }
        if before != after {
            if let Some(at) = before {
                self.unfinished.remove(&Seq(at.seq));
            }
            if let Some(at) = after {
                self.unfinished.insert(Seq(at.seq), hash);
            }
        }
        Ok(done)
    }

    /// Takes an object out of the map, if `check` lets it go.
    fn take(
        &mut self,
        key: &[u8],
        check: impl FnOnce(&Object) -> Result<(), ApplyError>,
    ) -> Result<Object, ApplyError> {
        let hash = KeyHash::of(key).map;
        let entry = self.objects.find_entry(hash, |o| *o.key == *key).map_err(|_| ApplyError::NoObject)?;
        check(entry.get())?;
        let (object, _) = entry.remove();
        if let Some(at) = object.unfinished() {
            self.unfinished.remove(&Seq(at.seq));
        }
        self.mark.digest = self.mark.digest.wrapping_sub(self.digester.object(&object));
        Ok(object)
    }

    /// Frees regions, or puts them into limbo.
    pub(super) fn let_go(
        &mut self,
        at: LogPos,
        regions: impl IntoIterator<Item = Region>,
        release: Release,
    ) -> Effects {
        let Release::Limbo(kind) = release else { return regions.into_iter().map(Effect::Release).collect() };
        let since = Seq(at.seq);
        for (index, region) in regions.into_iter().enumerate() {
            let limbo = Limbo { region, kind, due: None };
            let index = index as u8;
            self.mark.digest = self.mark.digest.wrapping_add(self.digester.limbo(since, index, &limbo));
            self.limbo.insert((since, index), limbo);
        }
        Effects::new()
    }

    fn free(&mut self, since: Seq, index: u8) -> Result<Effects, ApplyError> {
        let limbo = self.limbo.remove(&(since, index)).ok_or(ApplyError::NoLimbo(since, index))?;
        self.mark.digest = self.mark.digest.wrapping_sub(self.digester.limbo(since, index, &limbo));
        Ok(smallvec::smallvec![Effect::Release(limbo.region)])
    }

    /// The digest computed from scratch.
    #[must_use]
    pub fn recount(&self) -> u128 {
        let objects = self.objects.iter().map(|o| self.digester.object(o));
        let limbo = self.limbo.iter().map(|((seq, i), l)| self.digester.limbo(*seq, *i, l));
        objects.chain(limbo).fold(0, u128::wrapping_add)
    }
}

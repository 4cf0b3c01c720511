//! One shard of the object map.

mod purge;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use super::{ApplyError, Digester, Effect, Effects, HomeMark, SegmentTable};
use crate::oplog::{LimboKind, Op, Release};
use crate::types::{ClientId, Epoch, Instant, KeyHash, LogPos, MountUid, Region, ReplicaStatus, Seq};

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

/// What the segment table leaves of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sight {
    /// Some replica is on a live mount; else there is no object (SEMANTICS 1.2).
    pub live: bool,
    /// Some replica is on a dead mount.
    pub dead: bool,
    /// Some replica may be shown to readers.
    pub readable: bool,
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
    /// End of the longest read lease granted by this node, in its own time.
    /// Neither replicated nor digested: a new primary's hold covers it (A3).
    lease_until: AtomicU64,
    /// When this node, as primary, handed out the write; 0 when another did.
    begun: AtomicU64,
}

impl Object {
    /// Its replicas on live mounts: the others are gone, whatever the shard
    /// still holds of them (PROTOCOL K2).
    pub fn live<'a>(&'a self, table: &'a SegmentTable) -> impl Iterator<Item = &'a Replica> {
        self.replicas.iter().filter(|r| table.is_live(r.region.mount))
    }

    /// What the segment table leaves of it, in one look.
    #[must_use]
    pub fn sight(&self, table: &SegmentTable) -> Sight {
        let mut sight = Sight::default();
        for r in &self.replicas {
            let live = table.is_live(r.region.mount);
            sight.live |= live;
            sight.dead |= !live;
            sight.readable |= live && r.status == ReplicaStatus::Complete;
        }
        sight
    }

    /// True when all its live replicas are complete.
    #[must_use]
    pub fn is_complete(&self, table: &SegmentTable) -> bool {
        self.live(table).all(|r| r.status == ReplicaStatus::Complete)
    }

    /// True when some replica may be shown to readers.
    #[must_use]
    pub fn is_readable(&self, table: &SegmentTable) -> bool {
        self.sight(table).readable
    }

    /// Dead mounts that it still names, each once.
    #[must_use]
    pub fn dead_mounts(&self, table: &SegmentTable) -> SmallVec<[MountUid; 1]> {
        let mut dead = SmallVec::new();
        for r in self.replicas.iter().filter(|r| !table.is_live(r.region.mount)) {
            if !dead.contains(&r.region.mount) {
                dead.push(r.region.mount);
            }
        }
        dead
    }

    /// When this node handed out the write, in its own time; 0 if it did not.
    #[must_use]
    pub fn begun(&self) -> Instant {
        Instant(self.begun.load(Ordering::Relaxed))
    }

    /// Notes that this node hands out the write now.
    pub fn begin(&self, now: Instant) {
        self.begun.store(now.0, Ordering::Relaxed);
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
    mark: HomeMark,
    digester: Digester,
}

impl Shard {
    pub(super) fn new(digester: Digester) -> Self {
        Self { objects: HashTable::new(), limbo: BTreeMap::new(), mark: HomeMark::default(), digester }
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
            Op::PutStart { key, client, size, regions } => {
                self.put_start(at, key, *client, *size, regions)?
            }
            Op::PutEnd { key, checksum } => self.put_end(key, *checksum)?,
            Op::Remove { key, release } => {
                let object = self.take(key, |_| Ok(()))?;
                self.let_go(at, object, *release)
            }
            Op::Preempt { key, release } => {
                let complete = |r: &Replica| r.status == ReplicaStatus::Complete;
                let object = self.take(key, |o| {
                    if o.replicas.iter().any(complete) { Err(ApplyError::ObjectComplete) } else { Ok(()) }
                })?;
                self.let_go(at, object, *release)
            }
            Op::Free { since, index, .. } => self.free(*since, *index)?,
            Op::Purge { mount, .. } => {
                self.purge(*mount);
                Effects::new()
            }
            Op::TermStart { .. }
            | Op::MountSegment { .. }
            | Op::SegmentGone { .. }
            | Op::ClientOk { .. }
            | Op::ClientExpired { .. }
            | Op::GracefulUnmount { .. }
            | Op::HoldEnd { .. } => {
                invariant!(false, "{} is not an op of a shard", op.kind().name());
                Effects::new()
            }
        };
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
            lease_until: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        };
        self.mark.digest = self.mark.digest.wrapping_add(self.digester.object(&object));
        vacant.insert(object);
        Ok(regions.iter().copied().map(Effect::Carve).collect())
    }

    fn put_end(&mut self, key: &[u8], checksum: Option<u64>) -> Result<Effects, ApplyError> {
        let hash = KeyHash::of(key).map;
        let object = self.objects.find_mut(hash, |o| *o.key == *key).ok_or(ApplyError::NoObject)?;
        let before = self.digester.object(object);
        object.checksum = checksum;
        for r in &mut object.replicas {
            r.status = ReplicaStatus::Complete;
        }
        let after = self.digester.object(object);
        self.mark.digest = self.mark.digest.wrapping_sub(before).wrapping_add(after);
        Ok(Effects::new())
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
        self.mark.digest = self.mark.digest.wrapping_sub(self.digester.object(&object));
        Ok(object)
    }

    /// Frees an object's regions, or puts them into limbo.
    fn let_go(&mut self, at: LogPos, object: Object, release: Release) -> Effects {
        let since = Seq(at.seq);
        let mut effects = Effects::new();
        for (index, replica) in object.replicas.into_iter().enumerate() {
            let Release::Limbo(kind) = release else {
                effects.push(Effect::Release(replica.region));
                continue;
            };
            let limbo = Limbo { region: replica.region, kind, due: None };
            let index = index as u8;
            self.mark.digest = self.mark.digest.wrapping_add(self.digester.limbo(since, index, &limbo));
            self.limbo.insert((since, index), limbo);
        }
        effects
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

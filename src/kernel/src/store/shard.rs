//! One shard of the object map.

mod purge;
mod snapshot;

use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use super::transfer::Transfer;
use super::{ApplyError, Attempts, Digester, Effect, Effects, Extras, HomeMark, Members, SegmentTable};
use crate::oplog::{LimboKind, Op, Release};
use crate::types::{
    ClientId, DataType, Epoch, Instant, KeyHash, LogPos, MountUid, Region, ReplicaStatus, Seq, Traits,
};

/// Regions that an object gives up.
pub(super) type Regions = SmallVec<[Region; 1]>;

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
    pub(super) hash: u64,
    /// `tenant NUL key`.
    pub key: Box<[u8]>,
    /// The client that writes or wrote it.
    pub writer: ClientId,
    /// Bytes of the value.
    pub size: u64,
    /// The writer's checksum of the value.
    pub checksum: Option<u64>,
    /// Position of its PUT_START or UPSERT_IN_PLACE: names this attempt (SEMANTICS R21).
    pub started: LogPos,
    /// Its copies, in the order in which they were handed out.
    pub replicas: SmallVec<[Replica; 1]>,
    /// What the value is used for.
    pub data_type: DataType,
    /// Never evicted.
    pub hard_pin: bool,
    /// What few objects have.
    pub(super) extras: Option<Box<Extras>>,
    /// The copy or move that runs, if one does.
    pub transfer: Option<Box<Transfer>>,
    /// End of the longest read lease granted by this node, in its own time.
    /// Neither replicated nor digested: a new primary's hold covers it (A3).
    pub(super) lease_until: AtomicU64,
    /// When this node, as primary, handed out what is unfinished, or when that
    /// ended; 0 when another did.
    pub(super) begun: AtomicU64,
}

impl Object {
    /// Its replicas on live mounts: the others are gone, whatever the shard
    /// still holds of them (PROTOCOL K2).
    pub fn live<'a>(&'a self, table: &'a SegmentTable) -> impl Iterator<Item = &'a Replica> {
        self.replicas.iter().filter(|r| table.is_live(r.region.mount))
    }

    /// True when all its replicas are complete, whatever has become of their
    /// mounts. For `apply` only: it sees one home.
    pub(super) fn all_complete(&self) -> bool {
        self.replicas.iter().all(|r| r.status == ReplicaStatus::Complete)
    }

    /// The same of some replica.
    pub(super) fn any_complete(&self) -> bool {
        self.replicas.iter().any(|r| r.status == ReplicaStatus::Complete)
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

    /// Position of the start of what is unfinished: the transfer, else the write.
    #[must_use]
    pub fn unfinished(&self) -> Option<LogPos> {
        match &self.transfer {
            Some(transfer) => Some(transfer.started),
            None => (!self.all_complete()).then_some(self.started),
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

    /// End of the longest lease granted by this node.
    #[must_use]
    pub fn lease_until(&self) -> Instant {
        Instant(self.lease_until.load(Ordering::Relaxed))
    }

    /// Extends the lease; it only moves forward.
    pub fn extend_lease(&self, until: Instant) {
        self.lease_until.fetch_max(until.0, Ordering::Relaxed);
    }

    /// When this node last saw it used: the end of its lease or of its write.
    /// The order of eviction; 0 if this node never did.
    #[must_use]
    pub fn last_used(&self) -> Instant {
        self.lease_until().max(self.begun())
    }

    /// A new writer overwrites it where it is, from the op at `at` on.
    pub(super) fn overwrite(&mut self, at: LogPos, writer: ClientId, pending_pin: Option<u64>) {
        self.writer = writer;
        self.started = at;
        self.checksum = None;
        for r in &mut self.replicas {
            r.status = ReplicaStatus::Processing;
        }
        self.set_pending_pin(pending_pin);
        *self.begun.get_mut() = 0;
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
    pub(super) objects: HashTable<Object>,
    pub(super) limbo: BTreeMap<(Seq, u8), Limbo>,
    pub(super) attempts: Attempts,
    /// Derived: map hashes of the objects that are unfinished, by the seq of that start.
    unfinished: BTreeMap<Seq, u64>,
    /// Derived.
    pub(super) members: Members,
    pub(super) mark: HomeMark,
    pub(super) digester: Digester,
}

impl Shard {
    pub(super) fn new(digester: Digester) -> Self {
        Self {
            objects: HashTable::new(),
            limbo: BTreeMap::new(),
            attempts: Attempts::default(),
            unfinished: BTreeMap::new(),
            members: Members::default(),
            mark: HomeMark::default(),
            digester,
        }
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

    /// The objects with this map hash: one, as a rule.
    pub fn with_hash(&self, hash: u64) -> impl Iterator<Item = &Object> {
        self.objects.iter_hash(hash).filter(move |o| o.hash == hash)
    }

    /// All objects, in no particular order.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter()
    }

    /// The members of a group, in the order of their map hashes.
    pub fn group_members<'a>(&'a self, group: &'a [u8]) -> impl Iterator<Item = &'a Object> {
        let is_member = |o: &&Object| o.group().is_some_and(|g| **g == *group);
        let with_hash = |hash| self.objects.iter_hash(hash).filter(move |o| o.hash == hash);
        self.members.hashes(group).flat_map(with_hash).filter(is_member)
    }

    /// Which of its objects are in which group.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Abandoned writes of its keys.
    #[must_use]
    pub fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// The same, to note when one is due.
    pub fn attempts_mut(&mut self) -> &mut Attempts {
        &mut self.attempts
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
            Op::PutStart { key, client, size, regions, traits } => {
                self.put_start(at, key, *client, *size, regions, traits)
            }
            Op::PutEnd { key, checksum } => self.put_end(at, key, *checksum),
            Op::Remove { key, release } => self.edit(at, key, *release, |o| Ok(o.drop_all())),
            Op::Preempt { key, release } | Op::PutRevoke { key, release } => {
                self.edit(at, key, *release, |o| {
                    if o.any_complete() { Err(ApplyError::ObjectComplete) } else { Ok(o.drop_all()) }
                })
            }
            Op::Free { since, index, .. } => self.free(*since, *index),
            Op::UpsertInPlace { key, client, pending_pin } => {
                self.upsert_in_place(at, key, *client, *pending_pin)
            }
            Op::Clear { .. } => Ok(self.clear()),
            Op::DropReplica { key, id, release } => self.drop_replica(at, key, *id, *release),
            Op::Abandon { key, client } => {
                let term = self.attempts.abandon(Seq(at.seq), key, *client, self.digester);
                self.mark.digest = self.mark.digest.wrapping_add(term);
                Ok(Effects::new())
            }
            Op::Resolve { key, since } => {
                let term = self.attempts.resolve(*since, key, self.digester)?;
                self.mark.digest = self.mark.digest.wrapping_sub(term);
                Ok(Effects::new())
            }
            Op::Purge { mount, .. } => Ok(self.purge(*mount)),
            Op::Evict { key, release } => self.evict(at, key, *release),
            Op::Discard { key, release } => self.discard(at, key, *release),
            Op::TransferStart { key, client, kind, source, regions } => {
                self.transfer_start(at, key, (*client, *kind, *source), regions)
            }
            Op::TransferEnd { key, release } => self.transfer_end(at, key, *release),
            Op::TransferRevoke { key, release } => self.transfer_revoke(at, key, *release),
            Op::TermStart { .. }
            | Op::MountSegment { .. }
            | Op::SegmentGone { .. }
            | Op::ClientOk { .. }
            | Op::ClientExpired { .. }
            | Op::GracefulUnmount { .. }
            | Op::HoldEnd { .. }
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
        traits: &Traits<'_>,
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
        let group = (!traits.group.is_empty()).then(|| self.members.join(traits.group, hash));
        let mut effects: Effects = regions.iter().copied().map(Effect::Carve).collect();
        effects.extend(group.as_ref().map(|group| Effect::Route(key.into(), Arc::clone(group))));
        let object = Object {
            hash,
            key: key.into(),
            writer,
            size,
            checksum: None,
            started: at,
            replicas,
            data_type: traits.data_type,
            hard_pin: traits.hard_pin,
            extras: Extras::of(traits, group),
            transfer: None,
            lease_until: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        };
        self.mark.digest = self.mark.digest.wrapping_add(self.digester.object(&object));
        vacant.insert(object);
        self.unfinished.insert(Seq(at.seq), hash);
        Ok(effects)
    }

    fn put_end(&mut self, at: LogPos, key: &[u8], checksum: Option<u64>) -> Result<Effects, ApplyError> {
        self.edit(at, key, Release::Now, |object| {
            if object.transfer.is_some() {
                return Err(ApplyError::TransferRuns);
            }
            object.checksum = checksum;
            for r in &mut object.replicas {
                r.status = ReplicaStatus::Complete;
            }
            object.commit_pin();
            Ok(Regions::new())
        })
    }

    /// Changes an object, and what follows from it: the digest, the index of
    /// unfinished objects, the regions that it gives up, and that an object
    /// without replicas is gone. `change` returns those regions; an error of it
    /// must mean that it changed nothing.
    pub(super) fn edit(
        &mut self,
        at: LogPos,
        key: &[u8],
        release: Release,
        change: impl FnOnce(&mut Object) -> Result<Regions, ApplyError>,
    ) -> Result<Effects, ApplyError> {
        let hash = KeyHash::of(key).map;
        let entry = self.objects.find_entry(hash, |o| *o.key == *key);
        let mut entry = entry.map_err(|_| ApplyError::NoObject)?;
        let object = entry.get_mut();
        let (term, before) = (self.digester.object(object), object.unfinished());
        let given_up = change(object)?;
        self.mark.digest = self.mark.digest.wrapping_sub(term);
        let (mut after, mut unrouted) = (None, None);
        if object.replicas.is_empty() {
            let (object, _) = entry.remove();
            unrouted = self.ungroup(&object);
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
        let mut effects = self.let_go(at, given_up, release);
        effects.extend(unrouted);
        Ok(effects)
    }

    /// Frees regions, or puts them into limbo.
    fn let_go(&mut self, at: LogPos, regions: Regions, release: Release) -> Effects {
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
        let attempts = self.attempts.iter().map(|(since, a)| self.digester.attempt(since, a));
        objects.chain(limbo).chain(attempts).fold(0, u128::wrapping_add)
    }
}

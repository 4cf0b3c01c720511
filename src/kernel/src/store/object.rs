//! An object as it is stored: a few words with its key right behind them, so
//! that looking at it touches as little memory as can be.
//!
//! What nearly every object has is inline: one replica, made by the op that
//! started the object, of the size that allocators reserve for it. Anything else
//! is in its [`Extras`].

use crate::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use super::{Extras, OffsetAllocator, SegmentTable, Transfer};
use crate::types::{
    ClientId, DataType, Epoch, Instant, KeyHash, LogPos, MountUid, Region, ReplicaStatus, Traits,
};

/// One copy of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The only replica is complete.
const COMPLETE: u64 = 1;
/// The writer gave a checksum.
const SUMMED: u64 = 2;
const HARD_PIN: u64 = 4;
/// The replicas are in the extras.
const WIDE: u64 = 8;
/// Nothing is left of the replicas.
const BARE: u64 = 16;
/// There is an object.
const TAKEN: u64 = 32;
/// Behind them in `tag`: the seq.
const SEQ_SHIFT: u32 = 8;

/// In `touched`: it is the end of a lease.
const LEASED: u64 = 1;

/// An object: a value stored under a key. Slots of slabs hold it with keys of
/// fixed room; everybody else sees it with a slice.
#[derive(Debug)]
pub struct Object<K: ?Sized = [u8]> {
    /// The client that writes or wrote it.
    pub writer: ClientId,
    /// Bytes of the value. In a slot without an object: the next such slot.
    pub size: u64,
    checksum: u64,
    /// Epoch of its start.
    epoch: Epoch,
    /// Seq of its start, and flags.
    tag: u64,
    mount: MountUid,
    offset: u64,
    /// Twice the time of the last use that this node saw, plus one for a lease:
    /// see [`lease_until`](Object::lease_until) and [`begun`](Object::begun).
    touched: AtomicU64,
    extras: Option<Box<Extras>>,
    key_len: u16,
    /// What the value is used for.
    pub data_type: DataType,
    key: K,
}

/// What an object is made from, or copied into.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) writer: ClientId,
    pub(super) size: u64,
    pub(super) checksum: Option<u64>,
    pub(super) started: LogPos,
    pub(super) replicas: SmallVec<[Replica; 1]>,
    pub(super) data_type: DataType,
    pub(super) hard_pin: bool,
    pub(super) extras: Option<Box<Extras>>,
}

impl Draft {
    /// A new object of the op at `started`.
    pub(super) fn new(started: LogPos, writer: ClientId, size: u64, regions: &[Region]) -> Self {
        let status = ReplicaStatus::Processing;
        let replica = |(i, region): (usize, &Region)| Replica {
            id: started.seq << 8 | i as u64,
            region: *region,
            status,
        };
        let replicas = regions.iter().enumerate().map(replica).collect();
        let data_type = DataType::default();
        Self { writer, size, checksum: None, started, replicas, data_type, hard_pin: false, extras: None }
    }

    /// With what its writer chose; `group` is that of the traits, shared.
    pub(super) fn with(self, traits: &Traits<'_>, group: Option<std::sync::Arc<[u8]>>) -> Self {
        let Traits { data_type, hard_pin, .. } = *traits;
        Self { data_type, hard_pin, extras: Extras::of(traits, group), ..self }
    }
}

impl<const N: usize> Object<[u8; N]> {
    /// A slot without an object; `next` is another.
    pub(super) fn vacant(next: u32) -> Self {
        Self {
            writer: ClientId::default(),
            size: u64::from(next),
            checksum: 0,
            epoch: Epoch(0),
            tag: 0,
            mount: MountUid(LogPos::NONE),
            offset: 0,
            touched: AtomicU64::new(0),
            extras: None,
            key_len: 0,
            data_type: DataType(0),
            key: [0; N],
        }
    }

    pub(super) fn new(key: &[u8], draft: Draft) -> Self {
        let mut o = Self::vacant(0);
        o.set(TAKEN, true);
        o.key_len = key.len() as u16;
        o.key[..key.len()].copy_from_slice(key);
        o.writer = draft.writer;
        o.size = draft.size;
        o.data_type = draft.data_type;
        o.extras = draft.extras;
        o.set_started(draft.started);
        o.set_checksum(draft.checksum);
        o.set(HARD_PIN, draft.hard_pin);
        o.set_replicas(draft.replicas);
        o
    }
}

impl Object {
    /// Bits of the seq of its start: as many as ids of replicas leave for it.
    pub(super) const SEQ_BITS: u32 = u64::BITS - SEQ_SHIFT;

    /// `tenant NUL key`.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key[..usize::from(self.key_len)]
    }

    /// Its key's hash in the map.
    #[must_use]
    pub fn hash(&self) -> u64 {
        KeyHash::of(self.key()).map
    }

    /// The next slot without an object, if this is one.
    pub(super) fn next_vacant(&self) -> Option<u32> {
        (!self.has(TAKEN)).then_some(self.size as u32)
    }

    /// All of it that is replicated, for an object somewhere else.
    pub(super) fn draft(&self) -> Draft {
        Draft {
            writer: self.writer,
            size: self.size,
            checksum: self.checksum(),
            started: self.started(),
            replicas: self.replicas().collect(),
            data_type: self.data_type,
            hard_pin: self.hard_pin(),
            extras: self.extras.clone(),
        }
    }
}

impl<K: ?Sized> Object<K> {
    fn has(&self, flag: u64) -> bool {
        self.tag & flag != 0
    }

    fn set(&mut self, flag: u64, on: bool) {
        self.tag = if on { self.tag | flag } else { self.tag & !flag };
    }

    /// Position of its PUT_START or UPSERT_IN_PLACE: names this attempt (SEMANTICS R21).
    #[must_use]
    pub fn started(&self) -> LogPos {
        LogPos { epoch: self.epoch, seq: self.tag >> SEQ_SHIFT }
    }

    fn set_started(&mut self, at: LogPos) {
        self.epoch = at.epoch;
        self.tag = at.seq << SEQ_SHIFT | self.tag & ((1 << SEQ_SHIFT) - 1);
    }

    /// The writer's checksum of the value.
    #[must_use]
    pub fn checksum(&self) -> Option<u64> {
        self.has(SUMMED).then_some(self.checksum)
    }

    pub(super) fn set_checksum(&mut self, checksum: Option<u64>) {
        self.set(SUMMED, checksum.is_some());
        self.checksum = checksum.unwrap_or(0);
    }

    /// Never evicted.
    #[must_use]
    pub fn hard_pin(&self) -> bool {
        self.has(HARD_PIN)
    }

    /// The copy or move that runs, if one does.
    #[must_use]
    pub fn transfer(&self) -> Option<&Transfer> {
        self.extras()?.transfer.as_ref()
    }

    pub(super) fn set_transfer(&mut self, transfer: Option<Transfer>) {
        if transfer.is_some() || self.extras.is_some() {
            self.extras_mut().transfer = transfer;
        }
    }

    pub(super) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// Its extras; made when it has none.
    pub(super) fn extras_mut(&mut self) -> &mut Extras {
        let begun = self.begun();
        let touched = self.touched.get_mut();
        self.extras.get_or_insert_with(|| {
            // What is no lease moves, so that both are kept apart from now on.
            *touched = if *touched & LEASED == 0 { 0 } else { *touched };
            Box::new(Extras::begun_at(begun))
        })
    }

    /// Its copies, in the order in which they were handed out.
    #[must_use]
    pub fn replicas(&self) -> Replicas<'_> {
        let wide = self.extras().filter(|_| self.has(WIDE)).map_or(&[][..], |e| &e.replicas);
        Replicas { first: (!self.has(WIDE | BARE)).then(|| self.only()), rest: wide.iter() }
    }

    /// How many copies it has.
    #[must_use]
    pub fn replica_count(&self) -> usize {
        if self.has(WIDE) {
            self.extras().map_or(0, |e| e.replicas.len())
        } else {
            usize::from(!self.has(BARE))
        }
    }

    fn only(&self) -> Replica {
        let reserved = OffsetAllocator::reserved_for(self.size).unwrap_or(0);
        let complete = self.has(COMPLETE);
        Replica {
            id: self.tag >> SEQ_SHIFT << 8,
            region: Region { mount: self.mount, offset: self.offset, reserved },
            status: if complete { ReplicaStatus::Complete } else { ReplicaStatus::Processing },
        }
    }

    /// True for what the words of an object can hold: see [`only`](Self::only).
    fn is_plain(&self, r: &Replica) -> bool {
        r.id == self.started().seq << 8 && Some(r.region.reserved) == OffsetAllocator::reserved_for(self.size)
    }

    pub(super) fn set_replicas(&mut self, all: SmallVec<[Replica; 1]>) {
        if let [r] = all[..]
            && self.is_plain(&r)
        {
            (self.mount, self.offset) = (r.region.mount, r.region.offset);
            self.set(COMPLETE, r.status == ReplicaStatus::Complete);
            self.set(WIDE | BARE, false);
        } else {
            self.set(BARE, all.is_empty());
            self.set(WIDE, !all.is_empty());
        }
        if self.has(WIDE) {
            self.extras_mut().replicas = all.into_vec();
        } else if let Some(extras) = &mut self.extras {
            extras.replicas = Vec::new();
        }
    }

    /// Changes its replicas.
    pub(super) fn edit_replicas<T>(&mut self, change: impl FnOnce(&mut SmallVec<[Replica; 1]>) -> T) -> T {
        let mut all = self.replicas().collect();
        let done = change(&mut all);
        self.set_replicas(all);
        done
    }

    /// Its replicas on live mounts: the others are gone, whatever the shard
    /// still holds of them (PROTOCOL K2).
    pub fn live<'a>(&'a self, table: &'a SegmentTable) -> impl Iterator<Item = Replica> + 'a {
        self.replicas().filter(|r| table.is_live(r.region.mount))
    }

    /// True when all its replicas are complete, whatever has become of their
    /// mounts. For `apply` only: it sees one home.
    pub(super) fn all_complete(&self) -> bool {
        if !self.has(WIDE) {
            return self.has(COMPLETE | BARE);
        }
        self.replicas().all(|r| r.status == ReplicaStatus::Complete)
    }

    /// The same of some replica.
    pub(super) fn any_complete(&self) -> bool {
        self.replicas().any(|r| r.status == ReplicaStatus::Complete)
    }

    /// What the segment table leaves of it, in one look.
    #[must_use]
    pub fn sight(&self, table: &SegmentTable) -> Sight {
        let mut sight = Sight::default();
        for r in self.replicas() {
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
        for r in self.replicas().filter(|r| !table.is_live(r.region.mount)) {
            if !dead.contains(&r.region.mount) {
                dead.push(r.region.mount);
            }
        }
        dead
    }

    /// Position of the start of what is unfinished: the transfer, else the write.
    #[must_use]
    pub fn unfinished(&self) -> Option<LogPos> {
        match self.transfer() {
            Some(transfer) => Some(transfer.started),
            None => (!self.all_complete()).then(|| self.started()),
        }
    }

    /// When this node, as primary, handed out what is unfinished, or when that
    /// ended, in its own time; 0 if it did neither, or if a lease came after.
    #[must_use]
    pub fn begun(&self) -> Instant {
        let touched = || self.touched.load(Ordering::Relaxed);
        match self.extras() {
            Some(extras) => Instant(extras.begun.load(Ordering::Relaxed)),
            None => Instant(Some(touched()).filter(|t| t & LEASED == 0).unwrap_or(0) >> 1),
        }
    }

    /// Notes that this node hands out bytes to a writer now, or that it ended now.
    /// The caller holds the shard's write lock.
    pub fn begin(&self, now: Instant) {
        if let Some(extras) = self.extras() {
            extras.begun.store(now.0, Ordering::Relaxed);
            return;
        }
        let touched = self.touched.load(Ordering::Relaxed);
        let at = now.0.min(u64::MAX >> 1).max(if touched & LEASED == 0 { 0 } else { touched >> 1 });
        self.touched.store(at << 1 | touched & LEASED, Ordering::Relaxed);
    }

    /// End of the longest read lease granted by this node, in its own time; 0 is
    /// none. Neither replicated nor digested: a new primary's hold covers it (A3).
    #[must_use]
    pub fn lease_until(&self) -> Instant {
        let touched = self.touched.load(Ordering::Relaxed);
        Instant(if touched & LEASED == 0 { 0 } else { touched >> 1 })
    }

    /// Extends the lease; it only moves forward.
    pub fn extend_lease(&self, until: Instant) {
        let until = until.0.min(u64::MAX >> 1) << 1 | LEASED;
        let longer = |t: u64| (t & LEASED == 0 || t < until).then_some(until);
        let _ = self.touched.fetch_update(Ordering::Relaxed, Ordering::Relaxed, longer);
    }

    /// When this node last saw it used: the end of its lease or of its write.
    /// The order of eviction; 0 if this node never did.
    #[must_use]
    pub fn last_used(&self) -> Instant {
        self.lease_until().max(self.begun())
    }

    /// All replicas are complete.
    pub(super) fn complete(&mut self) {
        self.set_status(ReplicaStatus::Complete);
    }

    fn set_status(&mut self, status: ReplicaStatus) {
        if !self.has(WIDE) {
            return self.set(COMPLETE, status == ReplicaStatus::Complete);
        }
        for r in &mut self.extras_mut().replicas {
            r.status = status;
        }
    }

    /// A new writer overwrites it where it is, from the op at `at` on.
    pub(super) fn overwrite(&mut self, at: LogPos, writer: ClientId, pending_pin: Option<u64>) {
        // Replicas keep their ids, so they are not what the new start would make.
        let replicas = self.replicas().collect();
        self.writer = writer;
        self.set_checksum(None);
        self.set_started(at);
        self.set_replicas(replicas);
        self.set_status(ReplicaStatus::Processing);
        self.set_pending_pin(pending_pin);
        *self.extras_mut().begun.get_mut() = 0;
    }

    /// Damages it; see [`Damage`](super::Damage).
    pub(super) fn lab_flip_checksum(&mut self, bit: u64) {
        self.set_checksum(Some(self.checksum().unwrap_or(0) ^ 1 << (bit % 64)));
    }

    /// The same: another size; its replicas stay where they are.
    pub(super) fn lab_resize(&mut self) {
        let replicas = self.replicas().collect();
        self.size ^= 1;
        self.set_replicas(replicas);
    }
}

/// The replicas of an object.
#[derive(Debug, Clone)]
pub struct Replicas<'a> {
    first: Option<Replica>,
    rest: std::slice::Iter<'a, Replica>,
}

impl Iterator for Replicas<'_> {
    type Item = Replica;

    fn next(&mut self) -> Option<Replica> {
        self.first.take().or_else(|| self.rest.next().copied())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = usize::from(self.first.is_some()) + self.rest.len();
        (n, Some(n))
    }
}

impl ExactSizeIterator for Replicas<'_> {}

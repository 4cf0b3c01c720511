//! One shard of the object map.

mod purge;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::object::Draft;
use super::objects::{Handle, Objects};
use super::unfinished::Unfinished;
use super::{ApplyError, Attempts, Cursor, Digester, Effect, Effects, HomeMark, Members, Object};
use crate::oplog::{LimboKind, Op, Release};
use crate::types::{ClientId, Epoch, Instant, KeyHash, LogPos, Region, Seq, Traits, limits};

/// Regions that an object gives up.
pub(super) type Regions = SmallVec<[Region; 1]>;

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

/// A scoped key, and all bits of its hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) key: &'a [u8],
    pub(super) name: u128,
}

/// Where a shard holds an object, or may hold one; good while the shard is locked.
#[derive(Debug, Clone, Copy)]
pub struct Slot(Handle);

/// Objects whose keys hash to one home, and the regions they left in limbo.
#[derive(Debug)]
pub struct Shard {
    pub(super) objects: Objects,
    pub(super) limbo: BTreeMap<(Seq, u8), Limbo>,
    pub(super) attempts: Attempts,
    /// Derived.
    unfinished: Unfinished,
    /// Derived.
    pub(super) members: Members,
    pub(super) mark: HomeMark,
    pub(super) digester: Digester,
}

impl Shard {
    pub(super) fn new(digester: Digester) -> Self {
        Self {
            objects: Objects::new(),
            limbo: BTreeMap::new(),
            attempts: Attempts::default(),
            unfinished: Unfinished::default(),
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
        self.objects.len() == 0
    }

    /// The object with this scoped key.
    #[must_use]
    pub fn get(&self, hash: KeyHash, key: &[u8]) -> Option<&Object> {
        self.objects.get(self.objects.find(hash.map, key)?)
    }

    /// The slot of the object with this scoped key.
    #[must_use]
    pub fn find(&self, hash: KeyHash, key: &[u8]) -> Option<Slot> {
        self.objects.find(hash.map, key).map(Slot)
    }

    /// The object that was found in this slot, unless it has been removed since.
    #[must_use]
    pub fn at(&self, slot: Slot) -> Option<&Object> {
        self.objects.get(slot.0)
    }

    /// A slot that may be this key's, without a look at what is in it.
    #[must_use]
    pub fn likely(&self, hash: KeyHash) -> Option<Slot> {
        self.objects.likely(hash.map).map(Slot)
    }

    /// The object with this hash that `is_it`, of which [`likely`](Self::likely) said that it may be there.
    pub fn get_at(&self, slot: Slot, hash: KeyHash, is_it: impl Fn(&Object) -> bool) -> Option<&Object> {
        let likely = self.objects.get(slot.0).filter(|o| is_it(o));
        likely.or_else(|| self.objects.with_bits(hash.map).find(|o| is_it(o)))
    }

    /// The objects with this map hash: one, as a rule.
    pub fn with_hash(&self, hash: u64) -> impl Iterator<Item = &Object> {
        self.objects.with_hash(hash)
    }

    /// All objects, in no particular order.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter()
    }

    /// The next few objects of a walk; `None` behind the last ones.
    pub fn next_objects(&self, at: &mut Cursor) -> Option<impl Iterator<Item = &Object> + use<'_>> {
        self.objects.next_chunk(at)
    }

    /// Goes on with a walk until `pick` has picked so many of the objects that it was
    /// shown, or was shown as many as one hold of the lock is for; the last ones may
    /// add a few. False when there are no more behind them.
    pub fn pick<T>(
        &self,
        at: &mut Cursor,
        most: usize,
        mut pick: impl FnMut(&Object) -> Option<T>,
    ) -> (Vec<T>, bool) {
        let (mut picked, mut looks) = (Vec::new(), 0);
        while picked.len() < most && looks < limits::LOOKS_PER_HOLD {
            let Some(objects) = self.next_objects(at) else { return (picked, false) };
            picked.extend(objects.inspect(|_| looks += 1).filter_map(&mut pick));
        }
        (picked, true)
    }

    /// The members of a group, in the order of their map hashes.
    pub fn group_members<'a>(&'a self, group: &'a [u8]) -> impl Iterator<Item = &'a Object> {
        let is_member = |o: &&Object| o.group().is_some_and(|g| **g == *group);
        let with_hash = |hash| self.objects.with_hash(hash);
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
            self.objects.with_hash(hash).find(|o| o.unfinished().is_some_and(|at| at.seq == seq.0))
        })
    }

    /// True when the index of unfinished objects equals one built from scratch.
    pub(super) fn is_indexed(&self) -> bool {
        let unfinished = self.objects.iter().filter_map(|o| Some((Seq(o.unfinished()?.seq), o.hash())));
        unfinished.collect::<Unfinished>() == self.unfinished
    }

    #[cfg(test)]
    pub(super) fn lab_unindex(&mut self) {
        self.unfinished = Unfinished::default();
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
    /// `name` is that of the op's key (see [`KeyHash::name`]).
    ///
    /// # Errors
    /// When the op does not fit; nothing is changed then.
    pub fn apply(&mut self, at: LogPos, name: u128, op: &Op<'_>) -> Result<Effects, ApplyError> {
        let named = |key| Named { key, name };
        let effects = match op {
            Op::PutStart { key, client, size, regions, traits } => {
                self.put_start(at, named(key), *client, *size, regions, traits)
            }
            Op::PutEnd { key, checksum } => self.put_end(at, named(key), *checksum),
            Op::Remove { key, release } => self.edit(at, named(key), *release, |o| Ok(o.drop_all())),
            Op::Preempt { key, release } | Op::PutRevoke { key, release } => {
                self.edit(at, named(key), *release, |o| {
                    if o.any_complete() { Err(ApplyError::ObjectComplete) } else { Ok(o.drop_all()) }
                })
            }
            Op::Free { since, index, .. } => self.free(*since, *index),
            Op::UpsertInPlace { key, client, pending_pin } => {
                self.upsert_in_place(at, named(key), *client, *pending_pin)
            }
            Op::Clear { objects, .. } => Ok(self.clear(at, objects)),
            Op::DropReplica { key, id, release } => self.drop_replica(at, named(key), *id, *release),
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
            Op::Purge { mount, objects, .. } => Ok(self.purge(at, *mount, objects)),
            Op::Evict { key, release } => self.evict(at, named(key), *release),
            Op::Discard { key, release } => self.discard(at, named(key), *release),
            Op::TransferStart { key, client, kind, source, regions } => {
                self.transfer_start(at, named(key), (*client, *kind, *source), regions)
            }
            Op::TransferEnd { key, release } => self.transfer_end(at, named(key), *release),
            Op::TransferRevoke { key, release } => self.transfer_revoke(at, named(key), *release),
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
            | Op::TaskPrune { .. }
            | Op::MetadataPart { .. }
            | Op::MetadataRemove { .. } => {
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
        Named { key, name }: Named<'_>,
        writer: ClientId,
        size: u64,
        regions: &[Region],
        traits: &Traits<'_>,
    ) -> Result<Effects, ApplyError> {
        let hash = name as u64;
        if self.objects.find(hash, key).is_some() {
            return Err(ApplyError::ObjectExists);
        }
        let group = (!traits.group.is_empty()).then(|| self.members.join(traits.group, hash));
        let mut effects = Effects::new();
        for region in regions {
            effects.push(Effect::Carve(*region));
        }
        if let Some(group) = &group {
            effects.push(Effect::Route(key.into(), Arc::clone(group)));
        }
        let draft = Draft::new(at, writer, size, regions).with(traits, group);
        let term = self.objects.add(hash, key, draft).map_or(0, |o| self.digester.object_named(name, o));
        self.mark.digest = self.mark.digest.wrapping_add(term);
        self.unfinished.insert(Seq(at.seq), hash);
        Ok(effects)
    }

    fn put_end(&mut self, at: LogPos, key: Named<'_>, checksum: Option<u64>) -> Result<Effects, ApplyError> {
        self.edit(at, key, Release::Now, |object| {
            if object.transfer().is_some() {
                return Err(ApplyError::TransferRuns);
            }
            object.set_checksum(checksum);
            object.complete();
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
        Named { key, name }: Named<'_>,
        release: Release,
        change: impl FnOnce(&mut Object) -> Result<Regions, ApplyError>,
    ) -> Result<Effects, ApplyError> {
        let hash = name as u64;
        let handle = self.objects.find(hash, key).ok_or(ApplyError::NoObject)?;
        let object = self.objects.get_mut(handle).ok_or(ApplyError::NoObject)?;
        let (term, before) = (self.digester.object_named(name, object), object.unfinished());
        let given_up = change(object)?;
        self.mark.digest = self.mark.digest.wrapping_sub(term);
        let (mut after, mut unrouted) = (None, None);
        if object.replica_count() == 0 {
            unrouted = self.members.ungroup(object, hash, at);
            self.objects.remove(hash, handle);
        } else {
            let term = self.digester.object_named(name, object);
            self.mark.digest = self.mark.digest.wrapping_add(term);
            after = object.unfinished();
        }
        if before != after {
            if let Some(at) = before {
                self.unfinished.remove(Seq(at.seq));
            }
            if let Some(at) = after {
                self.unfinished.insert(Seq(at.seq), hash);
            }
        }
        let mut effects = self.let_go(at, given_up, release);
        if let Some(unrouted) = unrouted {
            effects.push(unrouted);
        }
        Ok(effects)
    }

    /// Frees regions, or puts them into limbo.
    fn let_go(&mut self, at: LogPos, regions: Regions, release: Release) -> Effects {
        let mut effects = Effects::new();
        if regions.is_empty() {
            return effects;
        }
        let Release::Limbo(kind) = release else {
            for region in regions {
                effects.push(Effect::Release(region));
            }
            return effects;
        };
        let since = Seq(at.seq);
        for (index, region) in regions.into_iter().enumerate() {
            let limbo = Limbo { region, kind, due: None };
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
        let attempts = self.attempts.iter().map(|(since, a)| self.digester.attempt(since, a));
        objects.chain(limbo).chain(attempts).fold(0, u128::wrapping_add)
    }
}

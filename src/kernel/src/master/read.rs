//! Reading: where objects are, and whether they are there. Both grant leases.

use bytes::Bytes;
use smallvec::SmallVec;

use super::call::{Call, describe, is_named};
use crate::api::{Refusal, ReplicaList};
use crate::store::{Object, SegmentTable, Shard, Sight};
use crate::types::{KeyHash, ReplicaStatus, limits};

/// Shards that a batch holds at a time. What one key's look-up waits for from
/// memory then comes while others are looked up; a lock between two of them
/// would make each wait for the one before.
const TOGETHER: usize = 16;

/// A key of a batch: where it comes from and what it is asked for.
struct Wanted {
    hash: KeyHash,
    index: usize,
}

impl Call<'_> {
    pub(super) fn get(&mut self, table: &SegmentTable, key: &Bytes) -> Result<ReplicaList, Refusal> {
        let (own, key) = self.hash(key)?;
        let (at, shard) = self.master.store.read_key(own, &key);
        self.depend_on_read(&shard);
        self.got(table, &shard, shard.get(at, &key))
    }

    fn got(
        &mut self,
        table: &SegmentTable,
        shard: &Shard,
        object: Option<&Object>,
    ) -> Result<ReplicaList, Refusal> {
        let object = self.found(object)?;
        let sight = self.sight(table, object);
        if !sight.live {
            return Err(Refusal::ObjectNotFound);
        }
        if !sight.readable {
            return Err(Refusal::ReplicaIsNotReady);
        }
        let lease = self.master.read_lease();
        self.grant_lease(shard, object);
        let replicas = describe(table, object, |status| status == ReplicaStatus::Complete);
        Ok(ReplicaList { replicas, lease, checksum: object.checksum() })
    }

    fn exist(&mut self, table: &SegmentTable, shard: &Shard, object: Option<&Object>) -> bool {
        let Ok(object) = self.found(object) else { return false };
        let readable = self.sight(table, object).readable;
        if readable {
            self.grant_lease(shard, object);
        }
        readable
    }

    pub(super) fn get_all(&mut self, keys: &[Bytes]) -> Vec<Result<ReplicaList, Refusal>> {
        self.read_all(keys, Self::got)
    }

    pub(super) fn exist_all(&mut self, keys: &[Bytes]) -> Vec<Result<bool, Refusal>> {
        self.read_all(keys, |call, table, shard, object| Ok(call.exist(table, shard, object)))
    }

    /// Answers for all keys, in their order, from a look at each one's object.
    fn read_all<T>(
        &mut self,
        keys: &[Bytes],
        answer: impl Fn(&mut Self, &SegmentTable, &Shard, Option<&Object>) -> Result<T, Refusal>,
    ) -> Vec<Result<T, Refusal>> {
        if let [_] = keys {
            return self.each(keys, |call, table, key| call.read_one(table, key, &answer));
        }
        let mut answers: Vec<Option<Result<T, Refusal>>> = Vec::with_capacity(keys.len());
        let mut wanted = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let hash = self.hash(key).map(|(hash, _)| wanted.push(Wanted { hash, index }));
            answers.push(hash.err().map(Err));
        }
        wanted.sort_unstable_by_key(|w| (w.hash.home, w.index));
        for slice in wanted.chunks(limits::TABLE_SLICE) {
            let table = self.master.store.segments().read();
            for some in slice.chunks(TOGETHER) {
                self.read_some(&table, keys, some, &answer, &mut answers);
            }
        }
        let grouped: Vec<usize> = (0..keys.len()).filter(|i| answers[*i].is_none()).collect();
        let read = self.each(&grouped, |call, table, i| call.read_one(table, &keys[*i], &answer));
        grouped.into_iter().zip(read).for_each(|(i, read)| answers[i] = Some(read));
        let mut all = Vec::with_capacity(keys.len());
        all.extend(answers.into_iter().flatten());
        all
    }

    fn read_one<T>(
        &mut self,
        table: &SegmentTable,
        key: &Bytes,
        answer: impl Fn(&mut Self, &SegmentTable, &Shard, Option<&Object>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let (own, key) = self.hash(key)?;
        let (at, shard) = self.master.store.read_key(own, &key);
        self.depend_on_read(&shard);
        answer(self, table, &shard, shard.get(at, &key))
    }

    /// Answers for keys that are sorted by home, all under one hold of their
    /// shards' locks. Where some keys are in groups it answers none: these may be
    /// anywhere, and are looked up one by one.
    fn read_some<T>(
        &mut self,
        table: &SegmentTable,
        keys: &[Bytes],
        wanted: &[Wanted],
        answer: impl Fn(&mut Self, &SegmentTable, &Shard, Option<&Object>) -> Result<T, Refusal>,
        answers: &mut [Option<Result<T, Refusal>>],
    ) {
        let store = &*self.master.store;
        let of_homes = wanted.chunk_by(|a, b| a.hash.home == b.hash.home);
        let held: SmallVec<[_; TOGETHER]> =
            of_homes.clone().map(|of_home| store.shard(of_home[0].hash.home).read()).collect();
        // A key that is in its own shard now stays there while that is held.
        if !store.routes().is_empty() {
            return;
        }
        let asked =
            || held.iter().zip(of_homes.clone()).flat_map(|(s, of)| of.iter().map(move |w| (&**s, w)));
        let slots: SmallVec<[_; TOGETHER]> = asked().map(|(shard, w)| shard.likely(w.hash)).collect();
        let objects: SmallVec<[_; TOGETHER]> = asked()
            .zip(slots)
            .map(|((shard, w), slot)| shard.get_at(slot?, w.hash, |o| is_named(o, &keys[w.index])))
            .collect();
        for shard in &held {
            self.depend_on_read(shard);
        }
        for ((shard, w), object) in asked().zip(objects) {
            answers[w.index] = Some(answer(self, table, shard, object));
        }
    }

    /// What the segment table leaves of an object. An answer that a dead mount
    /// had a part in depends on its death.
    fn sight(&mut self, table: &SegmentTable, object: &Object) -> Sight {
        let mut sight = object.sight(table);
        sight.readable &= !(mutant!(UnreadableAtFirst) && self.master.is_inherited(object));
        if sight.dead {
            self.depend(table.mark().applied());
        }
        sight
    }

    /// Grants a lease to an object's reader. The other members of its group get
    /// one, too, when its own was half over or somebody came or went since they
    /// last did (SEMANTICS 2.0).
    fn grant_lease(&self, shard: &Shard, object: &Object) {
        if mutant!(LeaseNotRecorded) {
            return;
        }
        let ttl = self.master.read_lease();
        let until = self.now.plus(ttl);
        let half_over = object.lease_until() <= self.now.plus(ttl / 2);
        object.extend_lease(until);
        let Some(group) = object.group() else { return };
        if shard.members().take_changed(group) || half_over {
            shard.group_members(group).for_each(|member| member.extend_lease(until));
        }
    }

    fn depend_on_read(&mut self, shard: &Shard) {
        if !mutant!(ReadNoCommit) {
            self.depend(shard.mark().applied());
        }
    }
}

//! Starting writes of keys that may exist (SEMANTICS 2.3).

use std::sync::Arc;

use bytes::Bytes;

use super::call::{Call, describe, invalid};
use super::check_put::pending_pin;
use super::put::{Inheritance, Value};
use crate::api::{PutItem, Refusal, ReplicaDescriptors, ReplicateConfig};
use crate::oplog::Op;
use crate::store::{Homes, Object, SegmentTable};
use crate::types::{ClientId, Instant};

impl Call<'_> {
    pub(super) fn upsert_start_batch(
        &mut self,
        client: ClientId,
        config: &ReplicateConfig,
        items: &[PutItem],
    ) -> Vec<Result<ReplicaDescriptors, Refusal>> {
        self.start_batch(client, config, items, Self::upsert_start)
    }

    fn upsert_start(
        &mut self,
        table: &SegmentTable,
        key: &Bytes,
        value: Value<'_>,
    ) -> Result<ReplicaDescriptors, Refusal> {
        let (own, key) = self.hash(key)?;
        let master = self.master;
        let mut homes = master.store.lock_start(own, &key, value.group);
        self.drop_dead(table, &mut homes, &key);
        let mark = homes.here().mark();
        let Some(object) = homes.object(&key) else {
            return self.hand_out(table, &mut homes, &key, value, &Inheritance::default());
        };
        self.depend(mark.applied());
        if !object.is_readable(table) {
            let heir = Inheritance { hard_pin: false, ..self.heir(object) };
            // Not from its start: its writer learns only now that it lost (SEMANTICS 2.3).
            self.preempt(&mut homes, &key, self.now.plus(master.times.put_release));
            return self.hand_out(table, &mut homes, &key, value, &heir);
        }
        check_group(object, value.group)?;
        if object.transfer().is_some() {
            return Err(Refusal::ObjectHasReplicationTask);
        }
        if self.fits_in_place(table, object, value) {
            return Ok(self.overwrite(table, &mut homes, &key, value));
        }
        let heir = self.heir(object);
        self.erase(homes.at, homes.here(), &key);
        self.hand_out(table, &mut homes, &key, value, &heir)
    }

    /// Same size and number of replicas, and nobody may be reading it: while a
    /// lease may be live, or the hold of a new primary, the value gets new memory
    /// (SEMANTICS R6, PROTOCOL A3).
    fn fits_in_place(&self, table: &SegmentTable, object: &Object, value: Value<'_>) -> bool {
        let alike = object.is_complete(table)
            && object.size == value.size
            && object.replicas().len() == value.config.replica_num as usize;
        let held = self.master.is_inherited(object) && self.now < self.master.hold_until();
        let unread = self.master.unread_from(object) <= self.now
            || mutant!(InplaceUnderLease)
            || (held && mutant!(InplaceInHold));
        alike && unread
    }

    /// Hides a complete value and hands out its own bytes to be overwritten. A
    /// successor that does not know of it would show them: byte-critical (A6).
    fn overwrite(
        &mut self,
        table: &SegmentTable,
        homes: &mut Homes<'_>,
        key: &[u8],
        value: Value<'_>,
    ) -> ReplicaDescriptors {
        let master = self.master;
        let carried = homes.object(key).map_or(0, Object::soft_pin);
        let pending_pin = pending_pin(&master.times, value.config, carried);
        let (at, op) = (homes.at, Op::UpsertInPlace { key, client: value.client, pending_pin });
        let shard = homes.here();
        let pos = master.log_and_apply(self.wall, at, shard, &op);
        self.wrote(pos);
        self.byte_critical |= !mutant!(AsyncInplace);
        let Some(object) = shard.get(at, key) else { return ReplicaDescriptors::new() };
        object.begin(self.now);
        for mount in object.live(table).filter_map(|r| table.mount(r.region.mount)) {
            mount.hand_out(self.now);
        }
        describe(table, object, |_| true)
    }

    /// What a value leaves to the one that replaces it.
    fn heir(&self, object: &Object) -> Inheritance {
        let until = object.pinned_until(self.master.since).filter(|until| *until > self.now);
        Inheritance {
            hard_pin: object.hard_pin(),
            soft_pin: until.map_or((0, Instant(0)), |until| (object.soft_pin(), until)),
            group: object.group().map(Arc::clone),
        }
    }
}

fn check_group(object: &Object, wanted: Option<&[u8]>) -> Result<(), Refusal> {
    let has: &[u8] = object.group().map_or(&[], |g| g);
    match wanted {
        Some(group) if group != has => {
            let value = String::from_utf8_lossy(group).into_owned();
            Err(invalid("group id", &value, "the object's own group, or none given"))
        }
        Some(_) | None => Ok(()),
    }
}

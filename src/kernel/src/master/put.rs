//! Starting writes of new objects, and taking over what was left unfinished.

use crate::sync::atomic::Ordering;
use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::call::{Call, describe};
use super::check_put::{check_put, pending_pin};
use super::placement::Wish;
use crate::api::{PutItem, Refusal, ReplicaDescriptors, ReplicateConfig};
use crate::oplog::{LimboKind, Op, Release};
use crate::store::{Homes, Object, SegmentTable};
use crate::types::{ClientId, Instant, Traits};

/// Where to write, or why not.
type Started = Result<ReplicaDescriptors, Refusal>;

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) client: ClientId,
    pub(super) config: &'a ReplicateConfig,
    pub(super) size: u64,
    /// Its group, if the writer said; empty is none.
    pub(super) group: Option<&'a [u8]>,
}

/// What a new object takes over from the one that it replaces.
#[derive(Debug, Clone, Default)]
pub(super) struct Inheritance {
    pub(super) hard_pin: bool,
    /// TTL of an unexpired soft pin in milliseconds, or 0, and its end.
    pub(super) soft_pin: (u64, Instant),
    pub(super) group: Option<Arc<[u8]>>,
}

impl Call<'_> {
    pub(super) fn put_start_batch(
        &mut self,
        client: ClientId,
        config: &ReplicateConfig,
        items: &[PutItem],
    ) -> Vec<Started> {
        self.start_batch(client, config, items, Self::put_start)
    }

    /// Checks and starts each element. From the first success on, those that are
    /// to be on one node prefer its segment.
    pub(super) fn start_batch(
        &mut self,
        client: ClientId,
        config: &ReplicateConfig,
        items: &[PutItem],
        start: impl Fn(&mut Self, &SegmentTable, &Bytes, Value<'_>) -> Started,
    ) -> Vec<Started> {
        let master = self.master;
        let mut config = Cow::Borrowed(config);
        let mut settled = !config.prefer_alloc_in_same_node;
        let mut next = 0..items.len();
        self.each(items, |call, table, item| {
            let i = next.next().unwrap_or_default();
            check_put(&master.times, &config, items.len(), item)?;
            let group = config.group_ids.as_ref().and_then(|g| g.get(i)).map(|g| &g[..]);
            let value = Value { client, config: &config, size: item.size, group };
            let started = start(call, table, &item.key, value)?;
            if let Some(last) = started.last().filter(|_| !settled) {
                settled = true;
                config.to_mut().preferred_segment.clone_from(&last.segment.name);
            }
            Ok(started)
        })
    }

    fn put_start(&mut self, table: &SegmentTable, key: &Bytes, value: Value<'_>) -> Started {
        let (own, key) = self.hash(key)?;
        let store = &self.master.store;
        let mut homes = store.lock_start(own, &key, Some(value.group.unwrap_or_default()));
        self.make_way(table, &mut homes, &key)?;
        self.hand_out(table, &mut homes, &key, value, &Inheritance::default())
    }

    /// Takes what is in the way of a new write out of it, or refuses.
    fn make_way(&mut self, table: &SegmentTable, homes: &mut Homes<'_>, key: &[u8]) -> Result<(), Refusal> {
        let Some(slot) = self.drop_dead(table, homes, key) else { return Ok(()) };
        let mark = homes.here().mark();
        let Some(object) = homes.here().at(slot) else { return Ok(()) };
        self.depend(mark.applied());
        if self.may_preempt(table, object) {
            let due = self.written_until(object);
            self.preempt(homes, key, due);
        } else if self.is_out_of_reach(table, object) {
            self.erase(homes.at, homes.here(), key);
        } else {
            return Err(Refusal::ObjectAlreadyExists);
        }
        Ok(())
    }

    /// A complete object whose lenders have all been silent since the takeover
    /// may be replaced: better than "exists" about what cannot be read (SEMANTICS R12).
    fn is_out_of_reach(&self, table: &SegmentTable, object: &Object) -> bool {
        let absent = |id| table.client(id).is_some_and(|c| self.master.is_absent(c, self.now));
        let mut lenders = object.live(table).filter_map(|r| table.mount(r.region.mount));
        object.unfinished().is_none() && lenders.all(|m| absent(m.client))
    }

    /// Allocates a new object and hands out where to write it.
    pub(super) fn hand_out(
        &mut self,
        table: &SegmentTable,
        homes: &mut Homes<'_>,
        key: &[u8],
        value: Value<'_>,
        from: &Inheritance,
    ) -> Started {
        let Value { client, config, size, group } = value;
        let master = self.master;
        let mut allocators = master.store.allocators().lock();
        let wish = Wish { config, size, writer: client, spread: homes.own.map, now: self.now };
        let regions = master.place(table, &allocators, &wish);
        if regions.is_empty() {
            self.need_eviction(table, config.replica_num);
            // Decided on every allocator, hence on the whole log (PROTOCOL G7).
            self.depend(master.log.tail());
            return Err(Refusal::NoAvailableHandle(size));
        }
        let (soft_pin, pinned_until) = from.soft_pin;
        let traits = Traits {
            data_type: config.data_type,
            hard_pin: config.with_hard_pin || from.hard_pin,
            soft_pin,
            pending_pin: pending_pin(&master.times, config, soft_pin),
            group: group.unwrap_or(from.group.as_deref().unwrap_or_default()),
        };
        let (place, op) = (homes.target, Op::PutStart { key, client, size, regions, traits });
        let shard = homes.shard(place);
        let pos = master.append(self.wall, place, &op);
        let applied = shard
            .apply(pos, place.name(), &op)
            .and_then(|effects| Ok(master.store.perform_with(&mut allocators, &effects)?));
        invariant!(applied.is_ok(), "a placed write did not apply: {applied:?} {op:?}");
        drop(allocators);
        self.wrote(pos);
        self.byte_critical |= !mutant!(AsyncPutStartNoCommit);
        let Some(object) = shard.get(place, key) else { return Err(Refusal::ObjectNotFound) };
        object.begin(self.now);
        object.pin_until(pinned_until);
        Ok(describe(table, object, |_| true))
    }

    /// An unfinished write may be taken over after a while, and at once when
    /// its writer spoke to an earlier primary: a retrying client must never be
    /// told "exists" about data that is not there (SEMANTICS R16).
    fn may_preempt(&self, table: &SegmentTable, object: &Object) -> bool {
        let old = object.begun().plus(self.master.times.put_discard) < self.now;
        let inherited = object.unfinished().is_some_and(|at| at.epoch != self.master.epoch);
        !object.is_readable(table) && (inherited || old)
    }

    /// Makes room soon, unless more room would not help: replicas need as many
    /// segment names (SEMANTICS 2.2).
    fn need_eviction(&self, table: &SegmentTable, replicas: u32) {
        if table.pools().all().len() >= replicas as usize {
            self.master.eviction_needed.store(true, Ordering::Relaxed);
        }
    }

    /// From when on the writer of an unfinished write has given up: counted from
    /// its start, or from this primary's beginning when it is inherited (PROTOCOL A4).
    fn written_until(&self, object: &Object) -> Instant {
        let master = self.master;
        master.unfinished_since(object).plus(master.times.put_release)
    }

    /// Gives the key's unfinished write up for another. That it is abandoned is
    /// logged first: in between, the worst is an end that fails.
    pub(super) fn preempt(&mut self, homes: &mut Homes<'_>, key: &[u8], due: Instant) {
        self.abandon(homes, key, due);
        let release = if mutant!(FreeNowPreempt) { Release::Now } else { Release::Limbo(LimboKind::Write) };
        let (at, op) = (homes.at, Op::Preempt { key, release });
        let pos = self.master.log_and_apply(self.wall, at, homes.here(), &op);
        self.wrote(pos);
        self.master.set_due(homes.here(), pos, due);
    }
}

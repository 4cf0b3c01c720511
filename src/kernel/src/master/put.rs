//! Writing: start, end, and taking over what was left unfinished.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Master;
use super::call::{Call, describe, invalid};
use crate::api::{EndItem, PutItem, Refusal, ReplicaDescriptor, ReplicateConfig};
use crate::lab::Sabotage;
use crate::oplog::{LimboKind, Op, Release};
use crate::store::{Object, SegmentTable, Shard};
use crate::types::{ClientId, Instant, KeyHash, limits};

impl Call<'_> {
    pub(super) fn put_start_batch(
        &mut self,
        client: ClientId,
        config: &ReplicateConfig,
        items: &[PutItem],
    ) -> Vec<Result<Vec<ReplicaDescriptor>, Refusal>> {
        let store = Arc::clone(&self.master.store);
        let table = store.segments().read();
        items.iter().map(|item| self.put_start(&table, client, config, item)).collect()
    }

    fn put_start(
        &mut self,
        table: &SegmentTable,
        client: ClientId,
        config: &ReplicateConfig,
        item: &PutItem,
    ) -> Result<Vec<ReplicaDescriptor>, Refusal> {
        check_put(config, item)?;
        let (hash, key) = self.hash(&item.key)?;
        let master = self.master;
        let mut shard = master.store.shard(hash.home).write();
        if let Some(object) = shard.get(hash, &key) {
            self.depends_on = self.depends_on.max(shard.mark().applied());
            if !self.may_preempt(object) {
                return Err(Refusal::ObjectAlreadyExists);
            }
            let due = self.written_until(object);
            self.preempt(hash, &key, &mut shard, due);
        }
        let mut allocators = master.store.allocators().lock();
        let regions = master.place(table, &allocators, config, item.size);
        if regions.is_empty() {
            self.need_eviction(table, config.replica_num);
            // Decided on every allocator, hence on the whole log (PROTOCOL G7).
            self.depend(master.log.tail());
            return Err(Refusal::NoAvailableHandle(item.size));
        }
        let op = Op::PutStart { key: &key, client, size: item.size, regions };
        let pos = master.append(self.wall, hash, &op);
        let applied = shard.apply(pos, &op).and_then(|effects| Ok(allocators.perform(&effects)?));
        invariant!(applied.is_ok(), "a placed write did not apply: {applied:?} {op:?}");
        drop(allocators);
        self.wrote(pos);
        self.byte_critical |= !mutant!(AsyncPutStartNoCommit);
        let Some(object) = shard.get(hash, &key) else { return Err(Refusal::ObjectNotFound) };
        object.begin(self.now);
        Ok(describe(table, object, |_| true))
    }

    /// An unfinished write may be taken over after a while, and at once when
    /// its writer spoke to an earlier primary: a retrying client must never be
    /// told "exists" about data that is not there (SEMANTICS R16).
    fn may_preempt(&self, object: &Object) -> bool {
        let old = object.begun().plus(self.master.times.put_discard) < self.now;
        let inherited = object.unfinished().is_some_and(|at| at.epoch != self.master.epoch);
        !object.is_readable() && (inherited || old)
    }

    /// Makes room soon, unless more room would not help: replicas need as many
    /// segment names (SEMANTICS 2.2).
    fn need_eviction(&self, table: &SegmentTable, replicas: u32) {
        let names: BTreeSet<&str> = table.mounts().map(|m| m.segment.name.as_str()).collect();
        if names.len() >= replicas as usize {
            self.master.eviction_needed.store(true, Ordering::Relaxed);
        }
    }

    /// From when on the writer of an unfinished write has given up: counted from
    /// its start, or from this primary's beginning when it is inherited (PROTOCOL A4).
    fn written_until(&self, object: &Object) -> Instant {
        let master = self.master;
        master.unfinished_since(object).plus(master.times.put_release)
    }

    fn preempt(&mut self, hash: KeyHash, key: &[u8], shard: &mut Shard, due: Instant) {
        let release = if mutant!(FreeNowPreempt) { Release::Now } else { Release::Limbo(LimboKind::Write) };
        let op = Op::Preempt { key, release };
        let pos = self.master.log_and_apply(self.wall, hash, shard, &op);
        self.wrote(pos);
        self.master.set_due(shard, pos, due);
    }

    pub(super) fn put_end(&mut self, client: ClientId, item: &EndItem) -> Result<(), Refusal> {
        let (hash, key) = self.hash(&item.key)?;
        let master = self.master;
        let mut shard = master.store.shard(hash.home).write();
        self.depend(shard.mark().applied());
        let object = shard.get(hash, &key).ok_or(Refusal::ObjectNotFound)?;
        if object.writer != client {
            return Err(Refusal::IllegalClient);
        }
        if object.is_complete() {
            return Ok(());
        }
        if object.transfer.is_some() {
            return Err(Refusal::InvalidWrite);
        }
        let op = Op::PutEnd { key: &key, checksum: item.checksum };
        if master.loses_this_ack() {
            let unlogged = shard.mark().last;
            let _ = shard.apply(unlogged, &op);
            return Ok(());
        }
        let pos = master.log_and_apply(self.wall, hash, &mut shard, &op);
        self.wrote(pos);
        if let Some(object) = shard.get(hash, &key) {
            object.begin(self.now);
        }
        Ok(())
    }
}

impl Master {
    /// The lab's `lose-ack`: one end of a write in a thousand.
    fn loses_this_ack(&self) -> bool {
        self.sabotage == Some(Sabotage::LoseAck) && self.ends.fetch_add(1, Ordering::Relaxed) % 1000 == 999
    }
}

fn check_put(config: &ReplicateConfig, item: &PutItem) -> Result<(), Refusal> {
    if config.replica_num == 0 || config.replica_num as usize > limits::REPLICAS_MAX {
        return Err(invalid("replica_num", &config.replica_num, "1 to 64"));
    }
    if item.size == 0 {
        return Err(invalid("size", &item.size, "1 byte or more"));
    }
    Ok(())
}

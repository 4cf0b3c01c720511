//! One function a request. Each reads the state under the locks that it will
//! change it under, so a decision and its op cannot be torn apart.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Executed, Master};
use crate::api::{
    DEFAULT_TENANT, EndItem, PutItem, Refusal, ReplicaDescriptor, ReplicaList, ReplicateConfig, Request,
    Response,
};
use crate::lab::Sabotage;
use crate::oplog::Op;
use crate::oplog::codec::Prepared;
use crate::store::{Object, SegmentTable, Shard, apply_to_segments};
use crate::types::{
    ClientId, Epoch, Instant, KeyHash, LogPos, ReplicaStatus, SegmentSpec, Seq, WallTime, limits, scoped_key,
};

/// One request on its way: when, and what its answer depends on so far.
struct Call<'m> {
    master: &'m Master,
    now: Instant,
    wall: WallTime,
    depends_on: Seq,
    byte_critical: bool,
    appended: bool,
}

type Scoped = SmallVec<[u8; 128]>;

impl Master {
    /// Decides, logs and applies one request. `wall` is recorded for people only.
    #[must_use]
    pub fn execute(&self, now: Instant, wall: WallTime, request: &Request) -> Executed {
        let mut call =
            Call { master: self, now, wall, depends_on: Seq::FIRST, byte_critical: false, appended: false };
        let response = match request {
            Request::MountSegment { client, segment } => Response::MountSegment(call.mount(*client, segment)),
            Request::PutStart { client, config, items } => {
                Response::PutStart(call.put_start_batch(*client, config, items))
            }
            Request::PutEnd { client, items } => {
                Response::PutEnd(items.iter().map(|item| call.put_end(*client, item)).collect())
            }
            Request::GetReplicaList { keys } => {
                let table = self.store.segments().read();
                Response::GetReplicaList(keys.iter().map(|key| call.get(&table, key)).collect())
            }
            Request::ExistKey { keys } => {
                Response::ExistKey(keys.iter().map(|key| call.exist(key)).collect())
            }
            Request::Remove { keys, force } => {
                Response::Remove(keys.iter().map(|key| call.remove(key, *force)).collect())
            }
        };
        let Call { depends_on, byte_critical, appended, .. } = call;
        Executed { response, depends_on, byte_critical, appended }
    }

    /// Appends the first entry of this epoch (PROTOCOL S8).
    pub fn begin_term(&self, wall: WallTime, node: &str, copy: crate::types::CopyId) {
        let op = Op::TermStart { node: Cow::Borrowed(node), copy };
        let mut table = self.store.segments().write();
        let pos = self.append(wall, 0, &op);
        let mut allocators = self.store.allocators().lock();
        let applied = apply_to_segments(&mut table, &mut allocators, pos, &op);
        invariant!(applied.is_ok(), "a term record always applies: {applied:?}");
    }

    /// Appends one entry; the caller holds its home's write lock.
    pub(super) fn append(&self, wall: WallTime, prefix_hash: u64, op: &Op<'_>) -> LogPos {
        self.log.append(self.epoch, Prepared::new(self.epoch, wall, prefix_hash, op))
    }

    /// Appends and applies an op that frees bytes or moves none. The allocator
    /// is taken after the append: seq(free) < seq(next owner) (PROTOCOL K8).
    pub(super) fn log_and_apply(
        &self,
        wall: WallTime,
        prefix_hash: u64,
        shard: &mut Shard,
        op: &Op<'_>,
    ) -> LogPos {
        let pos = self.append(wall, prefix_hash, op);
        let applied = shard.apply(pos, op).and_then(|effects| {
            if effects.is_empty() {
                return Ok(());
            }
            Ok(self.store.allocators().lock().perform(&effects)?)
        });
        invariant!(applied.is_ok(), "an op decided on this state did not apply: {applied:?} {op:?}");
        pos
    }

    /// True for objects whose write began under an earlier primary.
    fn is_inherited(&self, object: &Object) -> bool {
        object.started.epoch != self.epoch
    }

    /// True while a reader may hold a visible lease (SEMANTICS 2.4, PROTOCOL A3).
    fn is_leased(&self, object: &Object, now: Instant) -> bool {
        now < object.lease_until() || (self.is_inherited(object) && now < self.hold_until)
    }

    /// From when on no reader can hold a right on its bytes.
    fn unread_from(&self, object: &Object) -> Instant {
        let lease = object.lease_until();
        let own = if lease == Instant(0) { lease } else { lease.plus(self.lease_slack()) };
        if self.is_inherited(object) { own.max(self.hold_until) } else { own }
    }
}

impl Call<'_> {
    fn depend(&mut self, mark: Seq) {
        self.depends_on = self.depends_on.max(mark);
    }

    fn wrote(&mut self, pos: LogPos) {
        self.appended = true;
        self.depend(pos.end());
    }

    fn mount(&mut self, client: ClientId, segment: &SegmentSpec) -> Result<(), Refusal> {
        check_segment(segment)?;
        let store = &self.master.store;
        let mut table = store.segments().write();
        // A mount moves bytes into play: byte-critical (PROTOCOL A6).
        self.byte_critical = true;
        if let Some(known) = table.mounted(segment.id) {
            self.depend(table.mark().applied());
            let same = known.client == client && *known.segment == *segment;
            return if same { Ok(()) } else { Err(Refusal::SegmentAlreadyExists(segment.id)) };
        }
        let op = Op::MountSegment { client, segment: Cow::Borrowed(segment) };
        let mut allocators = store.allocators().lock();
        let pos = self.master.append(self.wall, 0, &op);
        let applied = apply_to_segments(&mut table, &mut allocators, pos, &op);
        invariant!(applied.is_ok(), "a checked mount applies: {applied:?}");
        self.wrote(pos);
        Ok(())
    }

    fn put_start_batch(
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
            // Decided on every allocator, hence on the whole log (PROTOCOL G7).
            self.depend(master.log.tail());
            return Err(Refusal::NoAvailableHandle(item.size));
        }
        let op = Op::PutStart { key: &key, client, size: item.size, regions };
        let pos = master.append(self.wall, hash.map, &op);
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
        !object.is_readable() && (self.master.is_inherited(object) || old)
    }

    /// From when on the writer of an unfinished write has given up: counted from
    /// its start, or from this primary's beginning when it is inherited (PROTOCOL A4).
    fn written_until(&self, object: &Object) -> Instant {
        let master = self.master;
        let began = if master.is_inherited(object) { master.since } else { object.begun() };
        began.plus(master.times.put_release)
    }

    fn preempt(&mut self, hash: KeyHash, key: &[u8], shard: &mut Shard, due: Instant) {
        let op = Op::Preempt { key, free_now: mutant!(FreeNowPreempt) };
        let pos = self.master.log_and_apply(self.wall, hash.map, shard, &op);
        self.wrote(pos);
        self.master.set_due(shard, pos, due);
    }

    fn put_end(&mut self, client: ClientId, item: &EndItem) -> Result<(), Refusal> {
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
        let op = Op::PutEnd { key: &key, checksum: item.checksum };
        if master.loses_this_ack() {
            let unlogged = shard.mark().last;
            let _ = shard.apply(unlogged, &op);
            return Ok(());
        }
        let pos = master.log_and_apply(self.wall, hash.map, &mut shard, &op);
        self.wrote(pos);
        Ok(())
    }

    fn get(&mut self, table: &SegmentTable, key: &Bytes) -> Result<ReplicaList, Refusal> {
        let (hash, key) = self.hash(key)?;
        let shard = self.master.store.shard(hash.home).read();
        self.depend_on_read(&shard);
        let object = shard.get(hash, &key).ok_or(Refusal::ObjectNotFound)?;
        if !object.is_readable() {
            return Err(Refusal::ReplicaIsNotReady);
        }
        let lease = self.master.times.read_ttl;
        object.extend_lease(self.now.plus(lease));
        let replicas = describe(table, object, |status| status == ReplicaStatus::Complete);
        Ok(ReplicaList { replicas, lease, checksum: object.checksum })
    }

    fn exist(&mut self, key: &Bytes) -> Result<bool, Refusal> {
        let (hash, key) = self.hash(key)?;
        let shard = self.master.store.shard(hash.home).read();
        self.depend_on_read(&shard);
        let Some(object) = shard.get(hash, &key).filter(|o| o.is_readable()) else { return Ok(false) };
        object.extend_lease(self.now.plus(self.master.times.read_ttl));
        Ok(true)
    }

    fn depend_on_read(&mut self, shard: &Shard) {
        if !mutant!(ReadNoCommit) {
            self.depend(shard.mark().applied());
        }
    }

    fn remove(&mut self, key: &Bytes, force: bool) -> Result<(), Refusal> {
        let (hash, key) = self.hash(key)?;
        let master = self.master;
        let mut shard = master.store.shard(hash.home).write();
        self.depend(shard.mark().applied());
        let object = shard.get(hash, &key).ok_or(Refusal::ObjectNotFound)?;
        if !force && master.is_leased(object, self.now) {
            return Err(Refusal::ObjectHasLease);
        }
        if !object.is_complete() {
            return Err(Refusal::ReplicaIsNotReady);
        }
        let unread_from = master.unread_from(object);
        let free_now = unread_from <= self.now || mutant!(FreeNowAlways);
        let op = Op::Remove { key: &key, free_now };
        let pos = master.log_and_apply(self.wall, hash.map, &mut shard, &op);
        self.wrote(pos);
        if !free_now {
            master.set_due(&mut shard, pos, unread_from);
        }
        Ok(())
    }

    fn hash(&self, key: &Bytes) -> Result<(KeyHash, Scoped), Refusal> {
        if key.is_empty() || key.len() > limits::KEY_BYTES_MAX {
            return Err(invalid("key length", &key.len(), "1 to 4096 bytes"));
        }
        let scoped = scoped_key(DEFAULT_TENANT, key);
        Ok((KeyHash::of(&scoped), scoped))
    }
}

impl Master {
    /// Notes when this epoch may free what the op at `pos` put into limbo.
    pub(super) fn set_due(&self, shard: &mut Shard, pos: LogPos, due: Instant) {
        for index in 0..limits::REPLICAS_MAX as u8 {
            if !shard.set_due(Seq(pos.seq), index, self.epoch, due) {
                break;
            }
        }
    }

    /// The lab's `lose-ack`: one end of a write in a thousand.
    fn loses_this_ack(&self) -> bool {
        self.sabotage == Some(Sabotage::LoseAck) && self.ends.fetch_add(1, Ordering::Relaxed) % 1000 == 999
    }

    /// Epoch of the last term record in the store.
    #[must_use]
    pub fn term_on_record(&self) -> Epoch {
        self.store.segments().read().term()
    }
}

fn describe(
    table: &SegmentTable,
    object: &Object,
    show: impl Fn(ReplicaStatus) -> bool,
) -> Vec<ReplicaDescriptor> {
    let shown = object.replicas.iter().enumerate().filter(|(_, r)| show(r.status));
    shown
        .filter_map(|(i, r)| {
            let segment = &table.mount(r.region.mount)?.segment;
            Some(ReplicaDescriptor {
                id: object.replica_id(i),
                segment: Arc::clone(segment),
                address: segment.base + r.region.offset,
                size: object.size,
                status: r.status,
            })
        })
        .collect()
}

fn invalid(what: &'static str, value: &dyn ToString, expected: &'static str) -> Refusal {
    let value = value.to_string().chars().take(80).collect();
    Refusal::InvalidParams { what, value, expected }
}

fn check_segment(s: &SegmentSpec) -> Result<(), Refusal> {
    if s.base == 0 {
        return Err(invalid("segment base", &s.base, "an address other than 0"));
    }
    if s.size == 0 || s.base.checked_add(s.size).is_none() {
        return Err(invalid("segment size", &s.size, "1 or more, ending below 2^64"));
    }
    for (what, text) in
        [("segment name", &s.name), ("te_endpoint", &s.te_endpoint), ("protocol", &s.protocol)]
    {
        if text.len() > limits::ENDPOINT_BYTES_MAX {
            return Err(invalid(what, &text.len(), "at most 512 bytes"));
        }
    }
    if s.name.is_empty() {
        return Err(invalid("segment name", &"empty", "a name"));
    }
    Ok(())
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

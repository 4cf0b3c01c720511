//! One request on its way: when it came, what its answer depends on, and the
//! few steps that every decision takes.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Master;
use crate::api::{DEFAULT_TENANT, Refusal, ReplicaDescriptor, ReplicaDescriptors};
use crate::oplog::codec::Prepared;
use crate::oplog::{LimboKind, Op, Release};
use crate::store::{Object, Replica, SegmentTable, Shard, apply_to_segments};
use crate::types::{
    CopyId, Epoch, Instant, KeyHash, LogPos, ReplicaStatus, Seq, SeqRuns, WallTime, limits, scoped_key,
};

/// One request on its way.
pub(super) struct Call<'m> {
    pub(super) master: &'m Master,
    pub(super) now: Instant,
    pub(super) wall: WallTime,
    /// Exclusive: everything before it must be committed before the answer leaves.
    pub(super) depends_on: Seq,
    /// The answer hands out or moves bytes (PROTOCOL A6).
    pub(super) byte_critical: bool,
    pub(super) entries: SeqRuns,
}

/// `tenant NUL key`.
pub(super) type Scoped = SmallVec<[u8; 128]>;

impl<'m> Call<'m> {
    pub(super) fn new(master: &'m Master, now: Instant, wall: WallTime) -> Self {
        Self { master, now, wall, depends_on: Seq::FIRST, byte_critical: false, entries: SeqRuns::default() }
    }

    pub(super) fn depend(&mut self, mark: Seq) {
        self.depends_on = self.depends_on.max(mark);
    }

    pub(super) fn wrote(&mut self, pos: LogPos) {
        self.entries.push(Seq(pos.seq));
        self.depend(pos.end());
    }

    /// What a look-up found. A key that left its group is looked for in its own
    /// shard, where the removal left no trace: not to find it depends on the last
    /// removal from any group, too (PROTOCOL G7).
    pub(super) fn found<T>(&mut self, found: Option<T>) -> Result<T, Refusal> {
        if found.is_none() && !mutant!(UnroutedUnseen) {
            self.depend(self.master.store.routes().left());
        }
        found.ok_or(Refusal::ObjectNotFound)
    }

    #[inline(always)]
    pub(super) fn hash(&self, key: &Bytes) -> Result<(KeyHash, Scoped), Refusal> {
        if key.is_empty() || key.len() > limits::KEY_BYTES_MAX {
            return Err(invalid("key length", &key.len(), "1 to 4096 bytes"));
        }
        let scoped = scoped_key(DEFAULT_TENANT, key);
        Ok((KeyHash::of(&scoped), scoped))
    }
}

impl Master {
    /// Appends the first entry of this epoch (PROTOCOL S8).
    pub fn begin_term(&self, wall: WallTime, node: &str, copy: CopyId) {
        let op = Op::TermStart { node: Cow::Borrowed(node), copy };
        let mut table = self.store.segments().write();
        self.log_to_table(wall, &mut table, &op);
    }

    /// Appends and applies an op of the segment table.
    pub(super) fn log_to_table(&self, wall: WallTime, table: &mut SegmentTable, op: &Op<'_>) -> LogPos {
        let pos = self.append(wall, KeyHash::SEGMENTS, op);
        let applied = apply_to_segments(table, &mut self.store.allocators().lock(), pos, op);
        invariant!(applied.is_ok(), "an op decided on this table did not apply: {applied:?} {op:?}");
        pos
    }

    /// Appends one entry; the caller holds its home's write lock.
    pub(super) fn append(&self, wall: WallTime, place: KeyHash, op: &Op<'_>) -> LogPos {
        self.log.append(self.epoch, Prepared::new(self.epoch, wall, place, op))
    }

    /// Appends and applies an op that frees bytes or moves none. The allocator
    /// is taken after the append: seq(free) < seq(next owner) (PROTOCOL K8).
    pub(super) fn log_and_apply(
        &self,
        wall: WallTime,
        place: KeyHash,
        shard: &mut Shard,
        op: &Op<'_>,
    ) -> LogPos {
        let pos = self.append(wall, place, op);
        let applied =
            shard.apply(pos, place.name(), op).and_then(|effects| Ok(self.store.perform(&effects)?));
        invariant!(applied.is_ok(), "an op decided on this state did not apply: {applied:?} {op:?}");
        pos
    }

    /// Notes when this epoch may free what the op at `pos` put into limbo.
    pub(super) fn set_due(&self, shard: &mut Shard, pos: LogPos, due: Instant) {
        for index in 0..limits::REPLICAS_MAX as u8 {
            if !shard.set_due(Seq(pos.seq), index, self.epoch, due) {
                break;
            }
        }
    }

    /// True for objects whose write began under an earlier primary.
    pub(super) fn is_inherited(&self, object: &Object) -> bool {
        object.started().epoch != self.epoch
    }

    /// True while a reader may hold a visible lease (SEMANTICS 2.4, PROTOCOL A3).
    pub(super) fn is_leased(&self, object: &Object, now: Instant) -> bool {
        now < object.lease_until() || (self.is_inherited(object) && now < self.hold_until)
    }

    /// How an object's bytes are let go when readers may know them, and from when
    /// on they may be used again.
    pub(super) fn release(&self, object: &Object, now: Instant) -> (Release, Instant) {
        let unread_from = self.unread_from(object);
        let free_now = unread_from <= now || mutant!(FreeNowAlways);
        (if free_now { Release::Now } else { Release::Limbo(LimboKind::Read) }, unread_from)
    }

    /// From when on no reader can hold a right on its bytes.
    pub(super) fn unread_from(&self, object: &Object) -> Instant {
        let lease = object.lease_until();
        let own = if lease == Instant(0) { lease } else { lease.plus(self.lease_slack()) };
        if self.is_inherited(object) && !mutant!(FreeInHold) { own.max(self.hold_until) } else { own }
    }

    /// Epoch of the last term record in the store.
    #[must_use]
    pub fn term_on_record(&self) -> Epoch {
        self.store.segments().read().term()
    }
}

/// True when this is the object with that key of the default tenant.
pub(super) fn is_named(object: &Object, key: &[u8]) -> bool {
    let own = object.key().strip_prefix(DEFAULT_TENANT).and_then(|rest| rest.strip_prefix(&[0]));
    own.is_some_and(|own| own == key)
}

/// A replica list for a client.
pub(super) fn describe(
    table: &SegmentTable,
    object: &Object,
    show: impl Fn(ReplicaStatus) -> bool,
) -> ReplicaDescriptors {
    let mut described = ReplicaDescriptors::new();
    for replica in object.replicas().filter(|r| show(r.status)) {
        described.extend(describe_one(table, object, &replica));
    }
    described
}

/// One replica for a client, if its mount lives.
pub(super) fn describe_one(table: &SegmentTable, object: &Object, r: &Replica) -> Option<ReplicaDescriptor> {
    let segment = &table.mount(r.region.mount)?.segment;
    Some(ReplicaDescriptor {
        id: r.id,
        segment: Arc::clone(segment),
        address: segment.base + r.region.offset,
        size: object.size,
        status: r.status,
    })
}

/// Names a parameter that is not acceptable.
pub(super) fn invalid(what: &'static str, value: &dyn ToString, expected: &'static str) -> Refusal {
    let value = value.to_string().chars().take(80).collect();
    Refusal::InvalidParams { what, value, expected }
}

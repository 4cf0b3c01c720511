//! Records of a shard.
//!
//! | tag | record | fields |
//! |---|---|---|
//! | 1 | object | key, writer, size, started, flags, data type, what the flags announce, replicas |
//! | 2 | limbo | seq, index, kind, region |
//! | 3 | abandoned write | seq, key, client |

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Limbo, Shard};
use crate::oplog::codec::{Reader, put_bytes, put_pos, put_uuid};
use crate::oplog::{DecodeError, LimboKind};
use crate::store::buckets::{ALL_BUCKETS, BucketSet, in_buckets};
use crate::store::object::Draft;
use crate::store::snapshot::{LoadError, Records};
use crate::store::{Extras, Members, Object, Replica, Transfer};
use crate::types::{
    ClientId, DataType, HomeId, KeyHash, LogPos, Region, ReplicaStatus, Seq, Traits, TransferKind, limits,
};

const OBJECT: u8 = 1;
const LIMBO: u8 = 2;
const ATTEMPT: u8 = 3;

const CHECKSUM: u8 = 1;
const HARD_PIN: u8 = 2;
const SOFT_PIN: u8 = 4;
const PENDING_PIN: u8 = 8;
const GROUP: u8 = 16;
const TRANSFER: u8 = 32;

impl Shard {
    /// Writes all that is replicated of it.
    pub(in crate::store) fn write_records(&self, out: &mut Records) {
        self.write_records_of(out, ALL_BUCKETS, &|_| true);
    }

    /// Writes what is in these buckets: objects by their hash, the rest by its seq.
    pub(in crate::store) fn write_records_of(
        &self,
        out: &mut Records,
        buckets: BucketSet,
        is_asked: &dyn Fn(Seq) -> bool,
    ) {
        // The map's order reaches no wire.
        let asked = self.objects.iter().filter(|o| in_buckets(buckets, o.hash()));
        let mut objects: Vec<(u64, &Object)> = asked.map(|o| (o.hash(), o)).collect();
        objects.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.key().cmp(y.key())));
        for (_, object) in objects {
            out.add(OBJECT, |out| put_object(out, object));
        }
        for ((since, index), limbo) in self.limbo.iter().filter(|((since, _), _)| is_asked(*since)) {
            out.add(LIMBO, |out| {
                out.extend_from_slice(&since.0.to_le_bytes());
                out.push(*index);
                out.push(match limbo.kind {
                    LimboKind::Read => 1,
                    LimboKind::Write => 2,
                });
                put_region(out, &limbo.region);
            });
        }
        for (since, attempt) in self.attempts.iter().filter(|(since, _)| is_asked(*since)) {
            out.add(ATTEMPT, |out| {
                out.extend_from_slice(&since.0.to_le_bytes());
                put_bytes(out, &attempt.key);
                put_uuid(out, attempt.client.0);
            });
        }
    }

    /// Adds one record; returns its digest term.
    pub(in crate::store) fn read_record(
        &mut self,
        home: HomeId,
        r: &mut Reader<'_>,
    ) -> Result<u128, LoadError> {
        match r.u8("record tag")? {
            OBJECT => {
                let (key, draft) = self.object(r)?;
                self.add_object(home, key, draft)
            }
            LIMBO => {
                let (since, index) = (Seq(r.u64("limbo seq")?), r.u8("limbo index")?);
                let kind = match r.u8("limbo kind")? {
                    1 => LimboKind::Read,
                    2 => LimboKind::Write,
                    n => return Err(bad("limbo kind", n.into(), "1 or 2").into()),
                };
                let limbo = Limbo { region: region(r)?, kind, due: None };
                let term = self.digester.limbo(since, index, &limbo);
                let taken = self.limbo.insert((since, index), limbo);
                if taken.is_some() { Err(LoadError::Misfit(home, "comes twice")) } else { Ok(term) }
            }
            ATTEMPT => {
                let (since, key) = (Seq(r.u64("abandon seq")?), r.key()?);
                let client = ClientId(r.uuid("client")?);
                if self.attempts.iter().any(|(s, _)| s == since) {
                    return Err(LoadError::Misfit(home, "comes twice"));
                }
                Ok(self.attempts.abandon(since, key, client, self.digester))
            }
            n => Err(bad("record tag", n.into(), "1, 2 or 3 in a shard").into()),
        }
    }

    fn object<'k>(&mut self, r: &mut Reader<'k>) -> Result<(&'k [u8], Draft), LoadError> {
        let key = r.key()?;
        let hash = KeyHash::of(key).map;
        let writer = ClientId(r.uuid("writer")?);
        let (size, started) = (r.u64("size")?, r.pos("start")?);
        if started.seq >> Object::SEQ_BITS != 0 {
            return Err(bad("start", started.seq, "a seq that ids of replicas can hold").into());
        }
        let (flags, data_type) = (r.u8("object flags")?, DataType(r.u8("data type")?));
        if flags >= 2 * TRANSFER {
            return Err(bad("object flags", flags.into(), "0 to 63").into());
        }
        let has = |flag: u8| flags & flag != 0;
        let checksum = if has(CHECKSUM) { Some(r.u64("checksum")?) } else { None };
        let soft_pin = if has(SOFT_PIN) { r.u64("soft pin")? } else { 0 };
        let pending_pin = if has(PENDING_PIN) { Some(r.u64("pending pin")?) } else { None };
        let group = if has(GROUP) { r.bytes_up_to(limits::GROUP_BYTES_MAX, "group")? } else { &[] };
        let transfer = if has(TRANSFER) { Some(transfer(r)?) } else { None };
        let replicas = replicas(r)?;
        let traits = Traits { data_type, hard_pin: has(HARD_PIN), soft_pin, pending_pin, group };
        let group: Option<Arc<[u8]>> = (!group.is_empty()).then(|| self.members.join(group, hash));
        let mut extras = Extras::of(&traits, group);
        if transfer.is_some() {
            extras.get_or_insert_default().transfer = transfer;
        }
        let hard_pin = traits.hard_pin;
        Ok((key, Draft { writer, size, checksum, started, replicas, data_type, hard_pin, extras }))
    }

    fn add_object(&mut self, home: HomeId, key: &[u8], draft: Draft) -> Result<u128, LoadError> {
        let hash = KeyHash::of(key);
        let group = draft.extras.as_ref().and_then(|e| e.group.as_deref());
        if group.map_or(hash.home, HomeId::of_group) != home {
            return Err(LoadError::Misfit(home, "belongs to another home"));
        }
        let Some(object) = self.objects.insert(hash.map, key, draft) else {
            return Err(LoadError::Misfit(home, "comes twice"));
        };
        if let Some(at) = object.unfinished() {
            self.unfinished.insert(Seq(at.seq), hash.map);
        }
        Ok(self.digester.object(object))
    }

    /// Writes the objects with this map hash.
    pub(in crate::store) fn write_objects_of(&self, out: &mut Records, hash: u64) {
        for object in self.with_hash(hash) {
            out.add(OBJECT, |out| put_object(out, object));
        }
    }

    /// Builds its derived indexes from its objects.
    pub(in crate::store) fn reindex(&mut self) {
        self.unfinished.clear();
        self.members = Members::default();
        let (unfinished, members) = (&mut self.unfinished, &mut self.members);
        let note = |object: &mut Object| {
            let hash = object.hash();
            if let Some(at) = object.unfinished() {
                unfinished.insert(Seq(at.seq), hash);
            }
            if let Some(group) = object.group().cloned() {
                object.extras_mut().group = Some(members.join(&group, hash));
            }
            false
        };
        self.objects.sweep(note);
    }

    /// All regions that its objects own and that wait in limbo.
    pub(in crate::store) fn regions(&self) -> impl Iterator<Item = Region> {
        let owned = self.objects.iter().flat_map(|o| o.replicas().map(|r| r.region));
        owned.chain(self.limbo.values().map(|l| l.region))
    }
}

fn put_object(out: &mut Vec<u8>, o: &Object) {
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let (soft_pin, pending_pin, group) = (o.soft_pin(), o.pending_pin(), o.group());
    put_bytes(out, o.key());
    put_uuid(out, o.writer.0);
    out.extend_from_slice(&o.size.to_le_bytes());
    put_pos(out, o.started());
    out.push(
        flag(o.checksum().is_some(), CHECKSUM)
            | flag(o.hard_pin(), HARD_PIN)
            | flag(soft_pin != 0, SOFT_PIN)
            | flag(pending_pin.is_some(), PENDING_PIN)
            | flag(group.is_some(), GROUP)
            | flag(o.transfer().is_some(), TRANSFER),
    );
    out.push(o.data_type.0);
    for value in [o.checksum(), Some(soft_pin).filter(|p| *p != 0), pending_pin].into_iter().flatten() {
        out.extend_from_slice(&value.to_le_bytes());
    }
    if let Some(group) = group {
        put_bytes(out, group);
    }
    if let Some(t) = o.transfer() {
        out.push(t.kind as u8);
        put_uuid(out, t.client.0);
        put_pos(out, t.started);
        out.extend_from_slice(&t.source.to_le_bytes());
        out.push(t.targets);
    }
    out.push(o.replicas().len() as u8);
    for r in o.replicas() {
        out.extend_from_slice(&r.id.to_le_bytes());
        out.push(match r.status {
            ReplicaStatus::Processing => 2,
            ReplicaStatus::Complete => 3,
        });
        put_region(out, &r.region);
    }
}

fn put_region(out: &mut Vec<u8>, r: &Region) {
    put_pos(out, r.mount.0);
    out.extend_from_slice(&r.offset.to_le_bytes());
    out.extend_from_slice(&r.reserved.to_le_bytes());
}

fn region(r: &mut Reader<'_>) -> Result<Region, DecodeError> {
    Ok(Region { mount: r.mount()?, offset: r.u64("offset")?, reserved: r.u64("reserved")? })
}

fn transfer(r: &mut Reader<'_>) -> Result<Transfer, DecodeError> {
    let kind = match r.u8("transfer kind")? {
        0 => TransferKind::Copy,
        1 => TransferKind::Move,
        n => return Err(bad("transfer kind", n.into(), "0 or 1")),
    };
    let (client, started): (_, LogPos) = (ClientId(r.uuid("client")?), r.pos("transfer start")?);
    Ok(Transfer { kind, client, started, source: r.u64("source replica")?, targets: r.u8("targets")? })
}

fn replicas(r: &mut Reader<'_>) -> Result<SmallVec<[Replica; 1]>, DecodeError> {
    let n = r.u8("number of replicas")?;
    if n == 0 || usize::from(n) > limits::REPLICAS_MAX {
        return Err(bad("number of replicas", n.into(), "1 to REPLICAS_MAX"));
    }
    let mut all = SmallVec::with_capacity(usize::from(n));
    for _ in 0..n {
        let id = r.u64("replica id")?;
        let status = match r.u8("replica status")? {
            2 => ReplicaStatus::Processing,
            3 => ReplicaStatus::Complete,
            n => return Err(bad("replica status", n.into(), "2 or 3")),
        };
        all.push(Replica { id, region: region(r)?, status });
    }
    Ok(all)
}

fn bad(field: &'static str, value: u64, expected: &'static str) -> DecodeError {
    DecodeError::Field { field, value, expected }
}

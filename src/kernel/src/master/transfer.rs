//! Copy and move (SEMANTICS 2.6): a client reads one replica and writes others.

use bytes::Bytes;

use super::call::{Call, Scoped, describe_one, invalid};
use crate::api::{Refusal, TransferBuffers};
use crate::oplog::{LimboKind, Op, Release};
use crate::store::{Object, Replica, SegmentTable, Shard, Transfer};
use crate::types::{ClientId, KeyHash, Region, ReplicaStatus, SegmentStatus, TransferKind, limits};

use smallvec::SmallVec;

impl Call<'_> {
    pub(super) fn copy_start(
        &mut self,
        client: ClientId,
        key: &Bytes,
        source: &str,
        targets: &[String],
    ) -> Result<TransferBuffers, Refusal> {
        if targets.len() > limits::REPLICAS_MAX {
            return Err(invalid("number of targets", &targets.len(), "at most 64"));
        }
        let mut names: Vec<&str> = Vec::new();
        for target in targets {
            if !names.contains(&target.as_str()) {
                names.push(target);
            }
        }
        self.transfer_start(client, TransferKind::Copy, key, source, &names)
    }

    pub(super) fn move_start(
        &mut self,
        client: ClientId,
        key: &Bytes,
        source: &str,
        target: &str,
    ) -> Result<TransferBuffers, Refusal> {
        self.transfer_start(client, TransferKind::Move, key, source, &[target])
    }

    fn transfer_start(
        &mut self,
        client: ClientId,
        kind: TransferKind,
        key: &Bytes,
        source: &str,
        targets: &[&str],
    ) -> Result<TransferBuffers, Refusal> {
        let (own, key) = self.hash(key)?;
        let master = self.master;
        let table = master.store.segments().read();
        self.depend(table.mark().applied());
        for target in targets {
            check_target(&table, target)?;
        }
        if kind == TransferKind::Move && targets.contains(&source) {
            return Err(invalid("target segment", &source, "another than the source"));
        }
        let mut homes = master.store.lock_key(own, &key);
        self.drop_dead(&table, &mut homes, &key);
        let (at, shard) = (homes.at, homes.here());
        self.depend(shard.mark().applied());
        let object = self.found(shard.get(at, &key))?;
        if object.transfer().is_some() {
            return Err(Refusal::ObjectHasReplicationTask);
        }
        let from = |r: &Replica| r.status == ReplicaStatus::Complete && on(&table, r, source);
        let from = object.replicas().find(from).ok_or(Refusal::ReplicaNotFound)?.id;
        let (size, held) = (object.size, object.replicas().len());
        let missing = |name: &&&str| !object.replicas().any(|r| on(&table, &r, name));
        let missing: SmallVec<[&str; 4]> = targets.iter().filter(missing).copied().collect();
        if held + missing.len() > limits::REPLICAS_MAX {
            return Err(invalid("number of replicas", &(held + missing.len()), "at most 64"));
        }
        self.log_transfer(&table, shard, (at, &key), (client, kind, from), &missing, size)?;
        let object = self.found(shard.get(at, &key))?;
        object.begin(self.now);
        buffers(&table, object).ok_or(Refusal::ReplicaNotFound)
    }

    /// Places all targets or none, logs and applies.
    fn log_transfer(
        &mut self,
        table: &SegmentTable,
        shard: &mut Shard,
        (at, key): (KeyHash, &Scoped),
        (client, kind, source): (ClientId, TransferKind, u64),
        targets: &[&str],
        size: u64,
    ) -> Result<(), Refusal> {
        let master = self.master;
        let mut allocators = master.store.allocators().lock();
        let placed = targets.iter().map(|name| master.place_on(table, &allocators, name, size, self.now));
        let Some(regions) = placed.collect::<Option<SmallVec<[Region; 1]>>>() else {
            self.depend(master.log.tail());
            return Err(Refusal::NoAvailableHandle(size));
        };
        let op = Op::TransferStart { key, client, kind, source, regions };
        let pos = master.append(self.wall, at, &op);
        let applied = shard
            .apply(pos, at.name(), &op)
            .and_then(|effects| Ok(master.store.perform_with(&mut allocators, &effects)?));
        invariant!(applied.is_ok(), "a placed transfer did not apply: {applied:?} {op:?}");
        self.wrote(pos);
        self.byte_critical = true;
        Ok(())
    }

    pub(super) fn transfer_end(
        &mut self,
        client: ClientId,
        kind: TransferKind,
        key: &Bytes,
    ) -> Result<(), Refusal> {
        let (own, key) = self.hash(key)?;
        let master = self.master;
        let table = master.store.segments().read();
        self.depend(table.mark().applied());
        let mut homes = master.store.lock_key(own, &key);
        self.drop_dead(&table, &mut homes, &key);
        let (at, shard) = (homes.at, homes.here());
        self.depend(shard.mark().applied());
        let object = self.found(shard.get(at, &key))?;
        check_transfer(object, client, kind)?;
        if !object.is_transfer_whole(|_| true) {
            self.revoke(at, &key, shard);
            return Err(Refusal::ReplicaIsGone);
        }
        // Readers that were told of the source may be late (SEMANTICS 2.6).
        let due = self.now.plus(master.times.put_release).max(master.unread_from(object));
        let moved = kind == TransferKind::Move && !mutant!(FreeNowAlways);
        let release = if moved { Release::Limbo(LimboKind::Write) } else { Release::Now };
        let op = Op::TransferEnd { key: &key, release };
        let pos = master.log_and_apply(self.wall, at, shard, &op);
        self.wrote(pos);
        master.set_due(shard, pos, due);
        if let Some(object) = shard.get(at, &key) {
            object.begin(self.now);
        }
        Ok(())
    }

    pub(super) fn transfer_revoke(
        &mut self,
        client: ClientId,
        kind: TransferKind,
        key: &Bytes,
    ) -> Result<(), Refusal> {
        let (own, key) = self.hash(key)?;
        let table = self.master.store.segments().read();
        self.depend(table.mark().applied());
        let mut homes = self.master.store.lock_key(own, &key);
        self.drop_dead(&table, &mut homes, &key);
        let (at, shard) = (homes.at, homes.here());
        self.depend(shard.mark().applied());
        let object = self.found(shard.get(at, &key))?;
        check_transfer(object, client, kind)?;
        self.revoke(at, &key, shard);
        Ok(())
    }

    /// Drops the targets. Packets of the abandoned transfer may still arrive,
    /// so their regions wait a little (R7).
    fn revoke(&mut self, at: KeyHash, key: &Scoped, shard: &mut Shard) {
        let op = Op::TransferRevoke { key, release: Release::Limbo(LimboKind::Write) };
        let pos = self.master.log_and_apply(self.wall, at, shard, &op);
        self.wrote(pos);
        self.master.set_due(shard, pos, self.now.plus(self.master.times.revoke_quarantine));
    }
}

/// A target must be mounted, and not about to be unmounted.
fn check_target(table: &SegmentTable, name: &str) -> Result<(), Refusal> {
    check_stays(table, name, || Refusal::SegmentNotFound(name.chars().take(80).collect()))
}

/// Some mount of this name is not about to be unmounted; `absent` when there is none.
pub(super) fn check_stays(
    table: &SegmentTable,
    name: &str,
    absent: impl Fn() -> Refusal,
) -> Result<(), Refusal> {
    let mut leaving = None;
    for mount in table.mounts().filter(|m| m.segment.name == name) {
        if mount.status() == SegmentStatus::Ok {
            return Ok(());
        }
        leaving = Some(mount.segment.id);
    }
    Err(leaving.map_or_else(absent, Refusal::SegmentUnmounting))
}

fn check_transfer(object: &Object, client: ClientId, kind: TransferKind) -> Result<&Transfer, Refusal> {
    let transfer = object.transfer().ok_or(Refusal::ObjectNoReplicationTask)?;
    if transfer.client != client {
        return Err(Refusal::IllegalClient);
    }
    if transfer.kind != kind {
        let value = match transfer.kind {
            TransferKind::Copy => "a copy",
            TransferKind::Move => "a move",
        };
        return Err(invalid("the transfer", &value, "the kind that was started"));
    }
    Ok(transfer)
}

/// True when a replica lies on a live mount of this segment name.
pub(super) fn on(table: &SegmentTable, replica: &Replica, name: &str) -> bool {
    table.mount(replica.region.mount).is_some_and(|m| m.segment.name == name)
}

fn buffers(table: &SegmentTable, object: &Object) -> Option<TransferBuffers> {
    let transfer = object.transfer()?;
    let source = describe_one(table, object, &object.replica(transfer.source)?)?;
    let targets = object.replicas().filter(|r| transfer.writes(r));
    let targets = targets.map(|r| describe_one(table, object, &r)).collect::<Option<Vec<_>>>()?;
    Some(TransferBuffers { source, targets })
}

//! Ending writes and giving them up.

use crate::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::Master;
use super::call::Call;
use crate::api::{EndItem, Refusal, ReplicaType};
use crate::lab::Sabotage;
use crate::oplog::{LimboKind, Op, Release};
use crate::store::{Homes, SegmentTable};
use crate::types::ClientId;

const NOT_IN_PROGRESS: Refusal = Refusal::InvalidWrite("no such write is in progress");
const PREEMPTED: Refusal = Refusal::InvalidWrite("an earlier write of this client was preempted");

impl Call<'_> {
    pub(super) fn put_end(
        &mut self,
        table: &SegmentTable,
        client: ClientId,
        item: &EndItem,
        replica_type: ReplicaType,
    ) -> Result<(), Refusal> {
        let (own, key) = self.hash(&item.key)?;
        let master = self.master;
        let mut homes = master.store.lock_key(own, &key);
        let slot = self.drop_dead(table, &mut homes, &key);
        let charged = self.charge(&mut homes, &key, client);
        let (at, shard) = (homes.at, homes.here());
        self.depend(shard.mark().applied());
        let slot = slot.ok_or(Refusal::ObjectNotFound)?;
        let object = shard.at(slot).ok_or(Refusal::ObjectNotFound)?;
        if object.writer != client {
            return Err(Refusal::IllegalClient);
        }
        if charged {
            return Err(PREEMPTED);
        }
        match (object.is_complete(table), replica_type.is_memory()) {
            (true, true) => return Ok(()),
            (true, false) => return Err(NOT_IN_PROGRESS),
            // What is written are the targets of a copy or move: not this writer's to end.
            (false, _) if object.transfer().is_some() => return Err(NOT_IN_PROGRESS),
            // The write has no replica of that type: nothing changes.
            (false, false) => return Ok(()),
            (false, true) => {}
        }
        let pins = object.pending_pin().is_some();
        let op = Op::PutEnd { key: &key, checksum: item.checksum };
        if master.loses_this_ack() {
            let unlogged = shard.mark().last;
            let _ = shard.apply(unlogged, at.name(), &op);
            return Ok(());
        }
        let pos = master.log_and_apply(self.wall, at, shard, &op);
        self.wrote(pos);
        if let Some(object) = shard.at(slot) {
            object.begin(self.now);
            if pins {
                object.pin_until(self.now.plus(Duration::from_millis(object.soft_pin())));
            }
        }
        Ok(())
    }

    pub(super) fn put_revoke(
        &mut self,
        table: &SegmentTable,
        client: ClientId,
        key: &Bytes,
        replica_type: ReplicaType,
    ) -> Result<(), Refusal> {
        let (own, key) = self.hash(key)?;
        let master = self.master;
        let mut homes = master.store.lock_key(own, &key);
        let slot = self.drop_dead(table, &mut homes, &key);
        let charged = self.charge(&mut homes, &key, client);
        let (at, shard) = (homes.at, homes.here());
        self.depend(shard.mark().applied());
        let object = slot.and_then(|slot| shard.at(slot)).ok_or(Refusal::ObjectNotFound)?;
        if object.writer != client {
            return Err(Refusal::IllegalClient);
        }
        if charged {
            if !object.is_readable(table) {
                self.give_up_both(&mut homes, &key);
            }
            return Ok(());
        }
        if object.is_readable(table) {
            return Err(NOT_IN_PROGRESS);
        }
        if !replica_type.is_memory() {
            return Ok(());
        }
        let quarantine = master.times.revoke_quarantine;
        let release = if quarantine.is_zero() { Release::Now } else { Release::Limbo(LimboKind::Write) };
        let op = Op::PutRevoke { key: &key, release };
        let pos = master.log_and_apply(self.wall, at, shard, &op);
        self.wrote(pos);
        master.set_due(shard, pos, self.now.plus(quarantine));
        Ok(())
    }

    /// A client with a preempted write and an unfinished one has revoked one of
    /// them, and nobody can tell which. What it says next is about the other: if
    /// it is an end, it must not publish the one that was given up. So the
    /// unfinished one is preempted, too; its writer may go on for a while (R21).
    fn give_up_both(&mut self, homes: &mut Homes<'_>, key: &[u8]) {
        if !mutant!(AttemptsForgot) {
            self.preempt(homes, key, self.now.plus(self.master.times.put_release));
        }
    }
}

impl Master {
    /// The lab's `lose-ack`: one end of a write in a thousand.
    fn loses_this_ack(&self) -> bool {
        self.sabotage == Some(Sabotage::LoseAck) && self.ends.fetch_add(1, Ordering::Relaxed) % 1000 == 999
    }
}

//! Ops on objects beyond put, end and remove.

use super::shard::{Named, Regions, Shard};
use super::{ApplyError, Effects};
use crate::oplog::Release;
use crate::types::{ClientId, LogPos, ReplicaStatus};

impl Shard {
    pub(super) fn upsert_in_place(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        writer: ClientId,
        pending_pin: Option<u64>,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, Release::Now, |object| {
            if object.transfer().is_some() {
                return Err(ApplyError::TransferRuns);
            }
            if !object.all_complete() {
                return Err(ApplyError::ObjectInFlight);
            }
            object.overwrite(at, writer, pending_pin);
            Ok(Regions::new())
        })
    }

    pub(super) fn drop_replica(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        id: u64,
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |object| {
            if object.transfer().is_some() {
                return Err(ApplyError::TransferRuns);
            }
            let complete = |r: super::Replica| r.id == id && r.status == ReplicaStatus::Complete;
            let index = object.replicas().position(complete).ok_or(ApplyError::NoReplica(id))?;
            if object.replicas().len() == 1 {
                return Err(ApplyError::NoReplica(id));
            }
            Ok(Regions::from_buf([object.edit_replicas(|all| all.remove(index)).region]))
        })
    }
}

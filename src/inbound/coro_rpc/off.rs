//! Calls of features that this master does not have: it answers as a stock master whose flags for them are off
//! (seen on release 0.3.13.post1). Local SSDs, promotion, files, NVMe-over-Fabric, dynamic replication.

use bytes::Bytes;
use standfast_wire::calls as w;
use standfast_wire::struct_pack::Expected;
use standfast_wire::types::{ErrorCode, ReplicaType};
use standfast_wire::{List, Request, RpcError};

use super::calls::{Reply, only};
use super::hall::{Fail, Hall, check_elements};
use crate::ports::Clock;

/// What a client is told that asks for a segment of a kind that it could not mount.
const NOT_MOUNTED: ErrorCode = ErrorCode::SEGMENT_NOT_FOUND;

/// Answers a call that is not in the table of `calls`.
pub(super) async fn answer<C: Clock>(
    hall: &Hall<C>,
    request: Request<'_>,
    payload: &Bytes,
    reply: &mut Reply,
) -> Result<(), Fail> {
    let key = |key: &[u8]| payload.slice_ref(key);
    match request {
        Request::MountLocalDiskSegment(_) => {
            reply.put::<w::MountLocalDiskSegment>(&Err(ErrorCode::UNABLE_OFFLOAD))
        }
        Request::UnmountLocalDiskSegment(_) => {
            reply.put::<w::UnmountLocalDiskSegment>(&Err(ErrorCode::UNABLE_OFFLOAD))
        }
        Request::ReportSsdCapacity(r) => {
            let negative = r.ssd_total_capacity_bytes < 0;
            let code = if negative { ErrorCode::INVALID_PARAMS } else { NOT_MOUNTED };
            reply.put::<w::ReportSsdCapacity>(&Err(code))
        }
        Request::OffloadObjectHeartbeat(_) => reply.put::<w::OffloadObjectHeartbeat>(&Err(NOT_MOUNTED)),
        Request::NotifyOffloadSuccess(r) => {
            reply.put::<w::NotifyOffloadSuccess>(&match (r.tasks.len(), r.metadatas.len()) {
                (0, 0) => Ok(()),
                (tasks, metadatas) if tasks != metadatas => Err(ErrorCode::INVALID_PARAMS),
                // The release says yes to a client without a disk, too; nothing would be noted here.
                _ => Err(NOT_MOUNTED),
            })
        }
        Request::PollRemoveAll(_) => reply.put::<w::PollRemoveAll>(&Err(NOT_MOUNTED)),
        Request::PromotionObjectHeartbeat(_) => reply.put::<w::PromotionObjectHeartbeat>(&Err(NOT_MOUNTED)),
        Request::PromotionAllocStart(r) => {
            let refused = hall.refuse(key(r.key), ErrorCode::REPLICA_IS_NOT_READY).await?;
            reply.put::<w::PromotionAllocStart>(&Err(refused))
        }
        Request::NotifyPromotionSuccess(r) => {
            let refused = hall.refuse(key(r.key), ErrorCode::REPLICA_IS_NOT_READY).await?;
            reply.put::<w::NotifyPromotionSuccess>(&Err(refused))
        }
        Request::NotifyPromotionFailure(r) => {
            let found = hall.found(std::iter::once(key(r.key))).await?;
            reply.put::<w::NotifyPromotionFailure>(&only(&found))
        }
        Request::EvictDiskReplica(r) => {
            let found = hall.found(std::iter::once(key(r.key))).await?;
            reply.put::<w::EvictDiskReplica>(&on_disk(only(&found), r.replica_type))
        }
        Request::BatchEvictDiskReplica(r) => {
            let mut found = hall.found(r.keys.iter().map(key)).await?;
            found.iter_mut().for_each(|found| *found = on_disk(*found, r.replica_type));
            reply.put::<w::BatchEvictDiskReplica>(&List::new(&found))
        }
        Request::DynamicReplicaCopyStart(r) => {
            check_elements(r.tgt_segments.len())?;
            let refused = hall.refuse(key(r.key), ErrorCode::UNAVAILABLE_IN_CURRENT_STATUS).await?;
            reply.put::<w::DynamicReplicaCopyStart>(&Err(refused))
        }
        Request::DynamicReplicaCopyEnd(r) => {
            let refused = hall.refuse(key(r.key), ErrorCode::OBJECT_NO_REPLICATION_TASK).await?;
            reply.put::<w::DynamicReplicaCopyEnd>(&Err(refused))
        }
        Request::DynamicReplicaCopyRevoke(r) => {
            let refused = hall.refuse(key(r.key), ErrorCode::OBJECT_NO_REPLICATION_TASK).await?;
            reply.put::<w::DynamicReplicaCopyRevoke>(&Err(refused))
        }
        Request::MountNoFSegment(_) => {
            reply.put::<w::MountNoFSegment>(&Err(ErrorCode::UNAVAILABLE_IN_CURRENT_MODE))
        }
        Request::ReMountNoFSegment(_) => {
            reply.put::<w::ReMountNoFSegment>(&Err(ErrorCode::UNAVAILABLE_IN_CURRENT_MODE))
        }
        Request::UnmountNoFSegment(_) => {
            reply.put::<w::UnmountNoFSegment>(&Err(ErrorCode::UNAVAILABLE_IN_CURRENT_MODE))
        }
        Request::GetAllNoFSegments(_) => reply.put::<w::GetAllNoFSegments>(&Ok(List::default())),
        Request::GetNoFSegmentsByName(_) => reply.put::<w::GetNoFSegmentsByName>(&Err(NOT_MOUNTED)),
        _ => Err(Fail::Rpc(RpcError::function_not_registered())),
    }
}

/// Nobody has a replica on a disk, so one that is to go is gone.
fn on_disk(found: Expected<()>, kind: ReplicaType) -> Expected<()> {
    let is_disk = matches!(kind, ReplicaType::DISK | ReplicaType::LOCAL_DISK);
    found.and(if is_disk { Ok(()) } else { Err(ErrorCode::INVALID_PARAMS) })
}

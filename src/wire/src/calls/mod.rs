//! The 64 calls a master registers: arguments, results, function ids.
//!
//! The type of a call's arguments stands for the call. [`Request`] and
//! [`Response`] hold any call's, for code that learns only at run time which.

mod contract;
mod disk;
mod macros;
mod object;
mod put;
mod segment;
mod service;
mod task;
mod upsert;

pub use contract::{Contract, RequestError};
pub use disk::*;
pub use object::*;
pub use put::*;
pub use segment::*;
pub use service::*;
pub use task::*;
pub use upsert::*;

use crate::struct_pack::{Expected, List, Map, Pack, Str};
use crate::types::*;

/// The arguments of a call, which also stand for the call itself.
pub trait Call<'a>: Pack<'a> {
    const METHOD: Method;
    /// The call's result.
    type Response: Pack<'a>;
}

macros::calls! {
    ServiceReady => Expected<Str<'a>>,
    GetStorageConfig => Expected<GetStorageConfigResponse<'a>>,
    GetFsdir => Expected<Str<'a>>,
    Ping => Expected<PingResponse>,
    BatchQueryIp<'a> => Expected<Map<'a, Uuid, List<'a, Str<'a>>>>,

    MountSegment<'a> => Expected<()>,
    ReMountSegment<'a> => Expected<()>,
    UnmountSegment => Expected<()>,
    GracefulUnmountSegment => Expected<()>,
    QuerySegmentStatusById => Expected<SegmentStatus>,
    QuerySegmentStatus<'a> => Expected<SegmentStatus>,

    ExistKey<'a> => Expected<bool>,
    BatchExistKey<'a> => List<'a, Expected<bool>>,
    GetReplicaList<'a> => Expected<GetReplicaListResponse<'a>>,
    BatchGetReplicaList<'a> => List<'a, Expected<GetReplicaListResponse<'a>>>,
    GetReplicaListByRegex<'a> => Expected<Map<'a, Str<'a>, List<'a, ReplicaDescriptor<'a>>>>,
    Remove<'a> => Expected<()>,
    BatchRemove<'a> => List<'a, Expected<()>>,
    RemoveByRegex<'a> => Expected<i64>,
    RemoveAll<'a> => i64,
    BatchReplicaClear<'a> => Expected<List<'a, Str<'a>>>,

    PutStart<'a> => Expected<List<'a, ReplicaDescriptor<'a>>>,
    PutEnd<'a> => Expected<()>,
    PutRevoke<'a> => Expected<()>,
    BatchPutStart<'a> => List<'a, Expected<List<'a, ReplicaDescriptor<'a>>>>,
    BatchPutEnd<'a> => List<'a, Expected<()>>,
    BatchPutRevoke<'a> => List<'a, Expected<()>>,

    UpsertStart<'a> => Expected<List<'a, ReplicaDescriptor<'a>>>,
    UpsertEnd<'a> => Expected<()>,
    UpsertRevoke<'a> => Expected<()>,
    BatchUpsertStart<'a> => List<'a, Expected<List<'a, ReplicaDescriptor<'a>>>>,
    BatchUpsertEnd<'a> => List<'a, Expected<()>>,
    BatchUpsertRevoke<'a> => List<'a, Expected<()>>,

    CreateCopyTask<'a> => Expected<Uuid>,
    CreateMoveTask<'a> => Expected<Uuid>,
    QueryTask => Expected<QueryTaskResponse<'a>>,
    FetchTasks => Expected<List<'a, TaskAssignment<'a>>>,
    MarkTaskToComplete<'a> => Expected<()>,
    CopyStart<'a> => Expected<CopyStartResponse<'a>>,
    CopyEnd<'a> => Expected<()>,
    CopyRevoke<'a> => Expected<()>,
    MoveStart<'a> => Expected<MoveStartResponse<'a>>,
    MoveEnd<'a> => Expected<()>,
    MoveRevoke<'a> => Expected<()>,
    DynamicReplicaCopyStart<'a> => Expected<CopyStartResponse<'a>>,
    DynamicReplicaCopyEnd<'a> => Expected<()>,
    DynamicReplicaCopyRevoke<'a> => Expected<()>,

    MountLocalDiskSegment => Expected<()>,
    UnmountLocalDiskSegment => Expected<()>,
    ReportSsdCapacity => Expected<()>,
    OffloadObjectHeartbeat => Expected<List<'a, OffloadTaskItem<'a>>>,
    NotifyOffloadSuccess<'a> => Expected<()>,
    PollRemoveAll => Expected<bool>,
    PromotionObjectHeartbeat => Expected<List<'a, PromotionTaskItem<'a>>>,
    PromotionAllocStart<'a> => Expected<PromotionAllocStartResponse<'a>>,
    NotifyPromotionSuccess<'a> => Expected<()>,
    NotifyPromotionFailure<'a> => Expected<()>,
    EvictDiskReplica<'a> => Expected<()>,
    BatchEvictDiskReplica<'a> => List<'a, Expected<()>>,
    MountNoFSegment<'a> => Expected<()>,
    ReMountNoFSegment<'a> => Expected<()>,
    UnmountNoFSegment => Expected<()>,
    GetAllNoFSegments => Expected<List<'a, NoFSegment<'a>>>,
    GetNoFSegmentsByName<'a> => Expected<List<'a, NoFSegmentOwnerInfo>>,
}

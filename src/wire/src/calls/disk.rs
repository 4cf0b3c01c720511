//! Tiers below memory: local SSDs, shared disks, NVMe-oF.

use crate::struct_pack::{List, Str, arguments};
use crate::types::{NoFSegment, OffloadTaskItem, ReplicaType, StorageObjectMetadata, Uuid};

arguments! {
    /// The client has an SSD of its own to offload to.
    MountLocalDiskSegment { client_id: Uuid, enable_offloading: bool }
}

arguments! {
    /// The client's SSD is gone.
    UnmountLocalDiskSegment { client_id: Uuid }
}

arguments! {
    /// The size of the client's SSD.
    ReportSsdCapacity {
        client_id: Uuid,
        /// Bytes.
        ssd_total_capacity_bytes: i64,
    }
}

arguments! {
    /// Fetches objects to be written to the SSD, every 10 s.
    OffloadObjectHeartbeat { client_id: Uuid, enable_offloading: bool }
}

arguments! {
    /// Objects are on the SSD now; the two lists go together by index.
    NotifyOffloadSuccess<'a> {
        client_id: Uuid,
        tasks: List<'a, OffloadTaskItem<'a>>,
        metadatas: List<'a, StorageObjectMetadata<'a>>,
    }
}

arguments! {
    /// True once after a `RemoveAll`: the client then empties its SSD.
    PollRemoveAll { client_id: Uuid }
}

arguments! {
    /// Fetches objects to be loaded back into memory, every 10 s.
    PromotionObjectHeartbeat { client_id: Uuid }
}

arguments! {
    /// Reserves memory for an object that is loaded back.
    PromotionAllocStart<'a> {
        client_id: Uuid,
        key: Str<'a>,
        tenant_id: Str<'a>,
        /// Bytes.
        size: u64,
        preferred_segments: List<'a, Str<'a>>,
    }
}

arguments! {
    /// The object is back in memory.
    NotifyPromotionSuccess<'a> { client_id: Uuid, key: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// The object could not be loaded back.
    NotifyPromotionFailure<'a> { client_id: Uuid, key: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// The disk replica of an object is gone.
    EvictDiskReplica<'a> { client_id: Uuid, key: Str<'a>, tenant_id: Str<'a>, replica_type: ReplicaType }
}

arguments! {
    /// [`EvictDiskReplica`] for many keys; one result per key, in order.
    BatchEvictDiskReplica<'a> {
        client_id: Uuid,
        keys: List<'a, Str<'a>>,
        tenant_id: Str<'a>,
        replica_type: ReplicaType,
    }
}

arguments! {
    /// Registers an NVMe-oF segment.
    MountNoFSegment<'a> { segment: NoFSegment<'a>, client_id: Uuid }
}

arguments! {
    /// Registers all NVMe-oF segments a client owns.
    ReMountNoFSegment<'a> { segments: List<'a, NoFSegment<'a>>, client_id: Uuid }
}

arguments! {
    /// Removes an NVMe-oF segment.
    UnmountNoFSegment { segment_id: Uuid, client_id: Uuid }
}

arguments! {
    /// All NVMe-oF segments.
    GetAllNoFSegments
}

arguments! {
    /// Who mounted the NVMe-oF segments of this name.
    GetNoFSegmentsByName<'a> { segment_name: Str<'a> }
}

//! Objects, as written and as read.

use super::{ObjectDataType, ReplicaDescriptor, SoftPinAction};
use crate::struct_pack::{List, Str, record};

record! {
    /// How an object is to be placed and kept.
    ReplicateConfig<'a> {
        /// Memory replicas; best effort.
        replica_num: u64,
        /// NVMe-oF replicas.
        nof_replica_num: u64,
        /// Replicas in a distributed file system.
        dfs_replica_num: u64,
        soft_pin_action: SoftPinAction,
        /// Milliseconds; absent means the master's default.
        soft_pin_ttl_ms: Option<u64>,
        with_hard_pin: bool,
        /// Names of segments to try first.
        preferred_segments: List<'a, Str<'a>>,
        /// Name of the segment to try first; empty means none.
        preferred_segment: Str<'a>,
        preferred_nof_segments: List<'a, Str<'a>>,
        prefer_alloc_in_same_node: bool,
        data_type: ObjectDataType,
        host_id: Str<'a>,
        /// One entry per key of the call; an empty one means ungrouped.
        group_ids: Option<List<'a, Str<'a>>>,
    }
}

record! {
    /// What the writer says of an object it has finished.
    ObjectMeta<'a> {
        key: Str<'a>,
        /// Opaque to the master, which stores and returns it.
        object_checksum: Option<u64>,
    }
}

record! {
    /// What a reader needs of an object.
    GetReplicaListResponse<'a> {
        replicas: List<'a, ReplicaDescriptor<'a>>,
        /// Milliseconds, counted by the client from just before it asked.
        lease_ttl_ms: u64,
        object_checksum: Option<u64>,
    }
}

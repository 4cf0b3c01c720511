//! Segments and the clients that own them.

use super::{ClientStatus, Uuid};
use crate::struct_pack::{Str, record};

record! {
    /// A range of a client's memory, lent to the store.
    Segment<'a> {
        id: Uuid,
        /// The client's logical host name; placement hints and copy calls use it.
        name: Str<'a>,
        /// Virtual address in the client's process.
        base: u64,
        /// Bytes.
        size: u64,
        /// What other clients dial; it comes back unchanged in every [`super::BufferDescriptor`].
        te_endpoint: Str<'a>,
        protocol: Str<'a>,
        /// Host part of `name`, empty for loopback names.
        host_id: Str<'a>,
    }
}

record! {
    /// A range of an NVMe-oF device, lent to the store.
    NoFSegment<'a> {
        id: Uuid,
        name: Str<'a>,
        base: u64,
        /// Bytes.
        size: u64,
        te_endpoint: Str<'a>,
    }
}

record! {
    /// Who mounted an NVMe-oF segment.
    NoFSegmentOwnerInfo { segment_id: Uuid, client_id: Uuid }
}

record! {
    /// Answer to a heartbeat.
    PingResponse {
        view_version_id: i64,
        client_status: ClientStatus,
    }
}

record! {
    /// Settings for replicas on a shared file system.
    GetStorageConfigResponse<'a> {
        /// Directory of the cluster; empty means no disk replicas.
        fsdir: Str<'a>,
        enable_disk_eviction: bool,
        /// Bytes; 0 means no quota.
        quota_bytes: u64,
    }
}

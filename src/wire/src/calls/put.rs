//! Writing objects: reserve, then finish or give back.

use crate::struct_pack::{List, Str, arguments};
use crate::types::{ObjectMeta, ReplicaType, ReplicateConfig, Uuid};

arguments! {
    /// Reserves space for an object; its replicas are not readable yet.
    PutStart<'a> {
        client_id: Uuid,
        key: Str<'a>,
        /// Bytes of the object.
        slice_length: u64,
        config: ReplicateConfig<'a>,
        tenant_id: Str<'a>,
    }
}

arguments! {
    /// Makes the reserved replicas of a type readable.
    PutEnd<'a> { client_id: Uuid, object_meta: ObjectMeta<'a>, replica_type: ReplicaType, tenant_id: Str<'a> }
}

arguments! {
    /// Gives reserved replicas back after a failed transfer.
    PutRevoke<'a> { client_id: Uuid, key: Str<'a>, replica_type: ReplicaType, tenant_id: Str<'a> }
}

arguments! {
    /// [`PutStart`] for many keys; one result per key, in order.
    BatchPutStart<'a> {
        client_id: Uuid,
        keys: List<'a, Str<'a>>,
        /// Bytes of the objects, one entry per key.
        slice_lengths: List<'a, u64>,
        config: ReplicateConfig<'a>,
        tenant_id: Str<'a>,
    }
}

arguments! {
    /// [`PutEnd`] for many keys; one result per entry, in order.
    BatchPutEnd<'a> {
        client_id: Uuid,
        object_metas: List<'a, ObjectMeta<'a>>,
        replica_type: ReplicaType,
        tenant_id: Str<'a>,
    }
}

arguments! {
    /// [`PutRevoke`] for many keys; one result per key, in order.
    BatchPutRevoke<'a> {
        client_id: Uuid,
        keys: List<'a, Str<'a>>,
        replica_type: ReplicaType,
        tenant_id: Str<'a>,
    }
}

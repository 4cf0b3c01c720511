//! Writing objects that may exist already.

use crate::struct_pack::{List, Str, arguments};
use crate::types::{ObjectMeta, ReplicaType, ReplicateConfig, Uuid};

arguments! {
    /// Reserves space for an object or for its successor. An object of the same
    /// size is written in place.
    UpsertStart<'a> {
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
    UpsertEnd<'a> { client_id: Uuid, object_meta: ObjectMeta<'a>, replica_type: ReplicaType, tenant_id: Str<'a> }
}

arguments! {
    /// Gives reserved replicas back after a failed transfer.
    UpsertRevoke<'a> { client_id: Uuid, key: Str<'a>, replica_type: ReplicaType, tenant_id: Str<'a> }
}

arguments! {
    /// [`UpsertStart`] for many keys; one result per key, in order.
    BatchUpsertStart<'a> {
        client_id: Uuid,
        keys: List<'a, Str<'a>>,
        /// Bytes of the objects, one entry per key.
        slice_lengths: List<'a, u64>,
        config: ReplicateConfig<'a>,
        tenant_id: Str<'a>,
    }
}

arguments! {
    /// [`UpsertEnd`] for many keys, but without a replica type.
    BatchUpsertEnd<'a> { client_id: Uuid, object_metas: List<'a, ObjectMeta<'a>>, tenant_id: Str<'a> }
}

arguments! {
    /// [`UpsertRevoke`] for many keys, but without a replica type.
    BatchUpsertRevoke<'a> { client_id: Uuid, keys: List<'a, Str<'a>>, tenant_id: Str<'a> }
}

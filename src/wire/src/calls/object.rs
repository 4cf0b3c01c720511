//! Reading and removing objects.

use crate::struct_pack::{List, Str, arguments};
use crate::types::Uuid;

arguments! {
    /// Whether an object can be read. If so, grants a read lease.
    ExistKey<'a> { key: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// [`ExistKey`] for many keys; one result per key, in order.
    BatchExistKey<'a> { keys: List<'a, Str<'a>>, tenant_id: Str<'a> }
}

arguments! {
    /// The readable replicas of an object. Grants a read lease.
    GetReplicaList<'a> { key: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// [`GetReplicaList`] for many keys; one result per key, in order.
    BatchGetReplicaList<'a> { keys: List<'a, Str<'a>>, tenant_id: Str<'a> }
}

arguments! {
    /// The replicas of all objects whose keys match an ECMAScript expression.
    GetReplicaListByRegex<'a> { regex: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// Removes an object; a leased one only by force.
    Remove<'a> { key: Str<'a>, force: bool, tenant_id: Str<'a> }
}

arguments! {
    /// [`Remove`] for many keys; one result per key, in order.
    BatchRemove<'a> { keys: List<'a, Str<'a>>, force: bool, tenant_id: Str<'a> }
}

arguments! {
    /// Removes all objects whose keys match an ECMAScript expression, and counts them.
    RemoveByRegex<'a> { regex: Str<'a>, force: bool, tenant_id: Str<'a> }
}

arguments! {
    /// Removes all objects, and counts them; leased ones only by force. The
    /// count is not wrapped in an `Expected`, unlike every other result.
    RemoveAll<'a> { force: bool, tenant_id: Str<'a> }
}

arguments! {
    /// Drops a client's replicas of the objects; answers the keys really cleared.
    BatchReplicaClear<'a> {
        object_keys: List<'a, Str<'a>>,
        client_id: Uuid,
        /// Empty means every segment.
        segment_name: Str<'a>,
    }
}

//! What a client asks first, and its heartbeat.

use crate::struct_pack::{List, arguments};
use crate::types::Uuid;

arguments! {
    /// First call on every connection. The client refuses a master whose answer
    /// is not exactly its own store version, `2.0.0` in this release.
    ServiceReady
}

arguments! {
    /// Settings for replicas on a shared file system.
    GetStorageConfig
}

arguments! {
    /// Older form of [`GetStorageConfig`], used when that fails.
    GetFsdir
}

arguments! {
    /// Heartbeat, once a second from each client that owns a segment.
    Ping { client_id: Uuid }
}

arguments! {
    /// Addresses of the clients' segments, by client; unknown ones are left out.
    BatchQueryIp<'a> { client_ids: List<'a, Uuid> }
}

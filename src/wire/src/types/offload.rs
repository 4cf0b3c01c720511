//! The tier on the clients' own SSDs.

use super::ReplicaDescriptor;
use crate::struct_pack::{Str, record};

record! {
    /// An object to be written to the local SSD.
    OffloadTaskItem<'a> {
        tenant_id: Str<'a>,
        key: Str<'a>,
        /// Bytes.
        size: i64,
    }
}

record! {
    /// An object to be loaded back into memory.
    PromotionTaskItem<'a> {
        tenant_id: Str<'a>,
        key: Str<'a>,
        /// Bytes.
        size: i64,
    }
}

record! {
    /// Where on the local SSD an object was written. Sizes and offsets in bytes.
    StorageObjectMetadata<'a> {
        bucket_id: i64,
        offset: i64,
        key_size: i64,
        data_size: i64,
        transport_endpoint: Str<'a>,
    }
}

record! {
    /// The memory reserved for an object that is loaded back.
    PromotionAllocStartResponse<'a> { memory_descriptor: ReplicaDescriptor<'a> }
}

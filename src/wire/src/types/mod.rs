//! The data types of the calls. Fields are in wire order.

mod enums;
mod error_code;
mod object;
mod offload;
mod replica;
mod segment;
mod task;

pub use enums::{
    ClientStatus, ObjectDataType, ReplicaStatus, ReplicaType, SegmentStatus, SoftPinAction, TaskStatus,
    TaskType,
};
pub use error_code::ErrorCode;
pub use object::{GetReplicaListResponse, ObjectMeta, ReplicateConfig};
pub use offload::{OffloadTaskItem, PromotionAllocStartResponse, PromotionTaskItem, StorageObjectMetadata};
pub use replica::{
    BufferDescriptor, Descriptor, DiskDescriptor, DistributedFSDescriptor, LocalDiskDescriptor,
    MemoryDescriptor, NoFDescriptor, ReplicaDescriptor,
};
pub use segment::{GetStorageConfigResponse, NoFSegment, NoFSegmentOwnerInfo, PingResponse, Segment};
pub use task::{
    CopyStartResponse, MoveStartResponse, QueryTaskResponse, TaskAssignment, TaskCompleteRequest,
};

use crate::error::DecodeError;
use crate::struct_pack::{Pack, Reader, Writer, code, push_size};

/// Packing and alignment of a `u64` where the protocol was made, in bytes.
const U64_ALIGN: usize = 8;

/// Identity of a client, segment, task or lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid {
    pub first: u64,
    pub second: u64,
}

impl<'a> Pack<'a> for Uuid {
    /// To the reference this is a pair of numbers laid out in memory as on
    /// the wire; the literal of such a type states its packing and alignment.
    fn literal(out: &mut Vec<u8>) {
        out.push(code::OPEN);
        u64::literal(out);
        u64::literal(out);
        push_size(U64_ALIGN, out);
        push_size(U64_ALIGN, out);
        out.push(code::CLOSE);
    }

    fn longest(&self) -> usize {
        0
    }

    fn encode(&self, out: &mut Writer<'_>) {
        self.first.encode(out);
        self.second.encode(out);
    }

    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { first: u64::decode(input)?, second: u64::decode(input)? })
    }
}

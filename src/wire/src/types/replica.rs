//! Replicas and where their bytes are.

use super::{ReplicaStatus, Uuid};
use crate::error::{DecodeError, Problem};
use crate::struct_pack::{Pack, Reader, Str, Writer, code, record};

record! {
    /// A range of memory, or of a device, that a client can read and write.
    BufferDescriptor<'a> {
        /// Bytes.
        size: u64,
        /// Address within the owner's space: the segment's base plus an offset.
        buffer_address: u64,
        /// The transfer engine's transport, such as `tcp`.
        protocol: Str<'a>,
        /// What to dial for the bytes.
        transport_endpoint: Str<'a>,
    }
}

record! {
    /// A replica in a memory segment.
    MemoryDescriptor<'a> { buffer_descriptor: BufferDescriptor<'a> }
}

record! {
    /// A replica in an NVMe-oF segment.
    NoFDescriptor<'a> { buffer_descriptor: BufferDescriptor<'a> }
}

record! {
    /// A replica in a file that all clients can reach.
    DiskDescriptor<'a> {
        file_path: Str<'a>,
        /// Bytes.
        object_size: u64,
    }
}

record! {
    /// A replica on the SSD of one client.
    LocalDiskDescriptor<'a> {
        client_id: Uuid,
        /// Bytes.
        object_size: u64,
        transport_endpoint: Str<'a>,
    }
}

record! {
    /// A replica in a distributed file system.
    DistributedFSDescriptor<'a> {
        file_path: Str<'a>,
        /// Bytes from the start of the file.
        offset: u64,
        /// Bytes.
        object_size: u64,
        /// `object_size`, rounded up to what the file system wants.
        aligned_size: u64,
        shard_idx: i32,
    }
}

record! {
    /// One copy of an object.
    ReplicaDescriptor<'a> {
        /// Unique within one master process only.
        id: u64,
        descriptor_variant: Descriptor<'a>,
        status: ReplicaStatus,
    }
}

/// Where a replica is, by kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Descriptor<'a> {
    Memory(MemoryDescriptor<'a>),
    NoF(NoFDescriptor<'a>),
    Disk(DiskDescriptor<'a>),
    LocalDisk(LocalDiskDescriptor<'a>),
    DistributedFS(DistributedFSDescriptor<'a>),
}

impl<'a> Pack<'a> for Descriptor<'a> {
    fn literal(out: &mut Vec<u8>) {
        out.push(code::VARIANT);
        MemoryDescriptor::literal(out);
        NoFDescriptor::literal(out);
        DiskDescriptor::literal(out);
        LocalDiskDescriptor::literal(out);
        DistributedFSDescriptor::literal(out);
        out.push(code::CLOSE);
    }

    fn longest(&self) -> usize {
        match self {
            Self::Memory(it) => it.longest(),
            Self::NoF(it) => it.longest(),
            Self::Disk(it) => it.longest(),
            Self::LocalDisk(it) => it.longest(),
            Self::DistributedFS(it) => it.longest(),
        }
    }

    fn encode(&self, out: &mut Writer<'_>) {
        match self {
            Self::Memory(it) => (0_u8, *it).encode(out),
            Self::NoF(it) => (1_u8, *it).encode(out),
            Self::Disk(it) => (2_u8, *it).encode(out),
            Self::LocalDisk(it) => (3_u8, *it).encode(out),
            Self::DistributedFS(it) => (4_u8, *it).encode(out),
        }
    }

    fn decode(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let before = *input;
        match u8::decode(input)? {
            0 => Pack::decode(input).map(Self::Memory),
            1 => Pack::decode(input).map(Self::NoF),
            2 => Pack::decode(input).map(Self::Disk),
            3 => Pack::decode(input).map(Self::LocalDisk),
            4 => Pack::decode(input).map(Self::DistributedFS),
            found => Err(before.fail(Problem::UnknownAlternative { found, alternatives: 5 })),
        }
    }
}

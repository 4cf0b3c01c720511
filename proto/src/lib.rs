//! The gRPC contract of Standfast.
//!
//! The contract is the `.proto` files beside this crate; [`v1`] is what `cargo xtask codegen` makes of them,
//! checked in, so that a build needs no protobuf compiler. By hand there is only what the generated types need
//! to be pleasant: [`refusal`] turns a [`v1::Refusal`] into a gRPC status and back, [`id`] reads and writes
//! identities as numbers and text, and roles have their words.
//!
//! Bytes fields are [`prost::bytes::Bytes`]: keys and batches share the receive buffer.

pub mod access;
pub mod id;
pub mod refusal;
mod role;

/// The generated messages, clients and servers of package `standfast.v1`.
#[expect(unused_qualifications, reason = "generated code spells paths out, to be safe under any imports")]
pub mod v1 {
    include!("generated/standfast.v1.rs");
}

/// The part of etcd's v3 API that Standfast speaks, to etcd and as the witness.
#[expect(unused_qualifications, reason = "generated code spells paths out, to be safe under any imports")]
pub mod etcdserverpb {
    include!("generated/etcdserverpb.rs");
}

/// The entries of the witness's file.
pub mod witness {
    include!("generated/witness.rs");
}

/// The encoded `FileDescriptorSet` of the package, for gRPC reflection and for tests of the contract.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor.bin");

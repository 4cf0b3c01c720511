//! What clients can ask for, free of any door's format. A call exists here
//! first; a door may lack it, never extend it.
//!
//! Keyed calls are batches by nature: result i belongs to element i, elements
//! are handled in order, and a batch never fails as a whole (SEMANTICS 2.0).

mod kind;
mod put;
mod refusal;
mod request;
mod response;

pub use kind::RequestKind;
pub use put::{EndItem, PutItem, ReplicaType, ReplicateConfig, SoftPinAction};
pub use refusal::{ErrorCode, Refusal};
pub use request::Request;
pub use response::{
    ClientStatus, PingReply, ReplicaDescriptor, ReplicaDescriptors, ReplicaList, Response, StorageConfig,
    TaskAssignment, TaskState, TransferBuffers,
};

use crate::types::SegmentId;

/// The tenant of every key while multi-tenancy is off (SEMANTICS 2.0).
pub const DEFAULT_TENANT: &[u8] = b"default";

/// What `ServiceReady` answers: clients demand exactly this protocol version
/// (SEMANTICS 2.5).
pub const SERVICE_VERSION: &str = "2.0.0";

/// Names a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentKey {
    /// By its name, which several may share.
    Name(String),
    /// By its identifier.
    Id(SegmentId),
}

//! Copies and moves that clients carry out for the master.

use super::{ReplicaDescriptor, TaskStatus, TaskType, Uuid};
use crate::struct_pack::{List, Str, record};

record! {
    /// The state of a task. Times in milliseconds since the Unix epoch.
    QueryTaskResponse<'a> {
        id: Uuid,
        r#type: TaskType,
        status: TaskStatus,
        created_at_ms_epoch: i64,
        last_updated_at_ms_epoch: i64,
        assigned_client: Uuid,
        message: Str<'a>,
    }
}

record! {
    /// A task handed to the client that shall carry it out.
    TaskAssignment<'a> {
        id: Uuid,
        r#type: TaskType,
        /// A JSON object: what to copy or move, from where to where.
        payload: Str<'a>,
        /// Milliseconds since the Unix epoch.
        created_at_ms_epoch: i64,
        max_retry_attempts: u32,
    }
}

record! {
    /// How a task ended.
    TaskCompleteRequest<'a> {
        id: Uuid,
        status: TaskStatus,
        message: Str<'a>,
    }
}

record! {
    /// The buffers of a copy. No targets: the copies are there already.
    CopyStartResponse<'a> {
        source: ReplicaDescriptor<'a>,
        targets: List<'a, ReplicaDescriptor<'a>>,
    }
}

record! {
    /// The buffers of a move. No target: the target segment holds a replica already.
    MoveStartResponse<'a> {
        source: ReplicaDescriptor<'a>,
        target: Option<ReplicaDescriptor<'a>>,
    }
}

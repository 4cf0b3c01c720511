//! Copies and moves: asked for, handed out, carried out.

use crate::struct_pack::{List, Str, arguments};
use crate::types::{TaskCompleteRequest, Uuid};

arguments! {
    /// Queues a copy; the master picks the client. Answers the task's id.
    CreateCopyTask<'a> { key: Str<'a>, tenant_id: Str<'a>, targets: List<'a, Str<'a>> }
}

arguments! {
    /// Queues a move; the master picks the client. Answers the task's id.
    CreateMoveTask<'a> { key: Str<'a>, tenant_id: Str<'a>, source: Str<'a>, target: Str<'a> }
}

arguments! {
    /// The state of a task.
    QueryTask { task_id: Uuid }
}

arguments! {
    /// Polls for tasks, once a second; an empty list is always a good answer.
    FetchTasks { client_id: Uuid, batch_size: u64 }
}

arguments! {
    /// How a task ended. Only the client it was assigned to may say so.
    MarkTaskToComplete<'a> { client_id: Uuid, request: TaskCompleteRequest<'a> }
}

arguments! {
    /// The buffers to copy from and to.
    CopyStart<'a> {
        client_id: Uuid,
        key: Str<'a>,
        tenant_id: Str<'a>,
        src_segment: Str<'a>,
        tgt_segments: List<'a, Str<'a>>,
    }
}

arguments! {
    /// The copies are complete.
    CopyEnd<'a> { client_id: Uuid, key: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// The copy has failed.
    CopyRevoke<'a> { client_id: Uuid, key: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// The buffers to move from and to.
    MoveStart<'a> {
        client_id: Uuid,
        key: Str<'a>,
        tenant_id: Str<'a>,
        src_segment: Str<'a>,
        tgt_segment: Str<'a>,
    }
}

arguments! {
    /// The move is complete.
    MoveEnd<'a> { client_id: Uuid, key: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// The move has failed.
    MoveRevoke<'a> { client_id: Uuid, key: Str<'a>, tenant_id: Str<'a> }
}

arguments! {
    /// [`CopyStart`] for a copy that dynamic replication asked for; the last two
    /// arguments come from the task's payload.
    DynamicReplicaCopyStart<'a> {
        client_id: Uuid,
        key: Str<'a>,
        tenant_id: Str<'a>,
        src_segment: Str<'a>,
        tgt_segments: List<'a, Str<'a>>,
        dynamic_replication_lease_id: Uuid,
        dynamic_replication_version_epoch: u64,
    }
}

arguments! {
    /// [`CopyEnd`] for a copy that dynamic replication asked for.
    DynamicReplicaCopyEnd<'a> {
        client_id: Uuid,
        key: Str<'a>,
        tenant_id: Str<'a>,
        dynamic_replication_lease_id: Uuid,
        dynamic_replication_version_epoch: u64,
    }
}

arguments! {
    /// [`CopyRevoke`] for a copy that dynamic replication asked for.
    DynamicReplicaCopyRevoke<'a> {
        client_id: Uuid,
        key: Str<'a>,
        tenant_id: Str<'a>,
        dynamic_replication_lease_id: Uuid,
        dynamic_replication_version_epoch: u64,
    }
}

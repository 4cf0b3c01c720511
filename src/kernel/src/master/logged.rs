//! What each request may log and what each entry changes: the table of
//! `docs/oplog.md`. A test walks through random histories and finds exactly this.

use std::fmt::Write;

use crate::api::RequestKind;
use crate::oplog::OpType;

/// Entries that a write of a key may log first: an unfinished write whose memory is
/// dead is abandoned, and what is dead is dropped.
macro_rules! changing {
    ($($more:ident),*) => {
        &[OpType::Abandon, OpType::Purge, $(OpType::$more),*]
    };
}

/// The entries that a request may log, in the order in which it may log them.
/// A refused request logs nothing, or only what clears the dead away.
#[must_use]
pub fn logged_by(request: RequestKind) -> &'static [OpType] {
    use OpType::{
        Clear, ClientOk, GracefulUnmount, MetadataPart, MetadataRemove, MountSegment, Remove, SegmentGone,
        TaskCreate, TaskEnd, TaskFetch,
    };
    match request {
        RequestKind::MountSegment => &[SegmentGone, MountSegment],
        RequestKind::ReMountSegment => &[SegmentGone, MountSegment, ClientOk],
        RequestKind::UnmountSegment => &[SegmentGone],
        RequestKind::GracefulUnmountSegment => &[GracefulUnmount],
        // It replaces what only lenders hold that are away (R12).
        RequestKind::PutStart => changing!(Preempt, Remove, PutStart),
        RequestKind::UpsertStart => changing!(Preempt, Remove, UpsertInPlace, PutStart),
        RequestKind::PutEnd => changing!(Resolve, PutEnd),
        RequestKind::PutRevoke => changing!(Resolve, Preempt, PutRevoke),
        RequestKind::Remove => changing!(Remove),
        RequestKind::RemoveByRegex => &[Remove],
        RequestKind::RemoveAll => &[Remove, Clear],
        RequestKind::BatchReplicaClear => changing!(Remove, DropReplica),
        RequestKind::CopyStart | RequestKind::MoveStart => changing!(TransferStart),
        RequestKind::CopyEnd | RequestKind::MoveEnd => changing!(TransferEnd, TransferRevoke),
        RequestKind::CopyRevoke | RequestKind::MoveRevoke => changing!(TransferRevoke),
        RequestKind::CreateCopyTask | RequestKind::CreateMoveTask => &[TaskCreate],
        RequestKind::FetchTasks => &[TaskFetch],
        RequestKind::MarkTaskToComplete => &[TaskEnd],
        RequestKind::PutMetadata => &[MetadataPart],
        RequestKind::RemoveMetadata => &[MetadataRemove],
        RequestKind::QuerySegmentStatus
        | RequestKind::Ping
        | RequestKind::BatchQueryIp
        | RequestKind::GetFsdir
        | RequestKind::GetStorageConfig
        | RequestKind::GetReplicaList
        | RequestKind::ExistKey
        | RequestKind::GetReplicaListByRegex
        | RequestKind::QueryTask
        | RequestKind::ListKeys
        | RequestKind::GetMetadata => &[],
    }
}

/// The entries that a primary logs on its own account, in maintenance.
pub const MAINTENANCE: &[OpType] = &[
    OpType::SegmentGone,
    OpType::MetadataRemove,
    OpType::ClientExpired,
    OpType::HoldEnd,
    OpType::Purge,
    OpType::Free,
    OpType::Resolve,
    OpType::Evict,
    OpType::Discard,
    OpType::TaskEnd,
    OpType::TaskPrune,
];

/// What an entry changes, and in which home.
fn effect(op: OpType) -> (&'static str, &'static str) {
    const TABLE: &str = "segment table";
    const OBJECT: &str = "shard of the object";
    const SHARD: &str = "shard named";
    const KEY: &str = "shard of the key itself";
    match op {
        OpType::TermStart => (TABLE, "an epoch begins"),
        OpType::MountSegment => (TABLE, "a mount with its owner; nothing is placed in it while it is held"),
        OpType::SegmentGone => {
            (TABLE, "the mount is dead and departed: all its replicas vanish at this position")
        }
        OpType::ClientOk => (TABLE, "the client is OK, with its host"),
        OpType::ClientExpired => (TABLE, "the client and all its mounts are gone"),
        OpType::GracefulUnmount => (TABLE, "nothing more is placed in the mount; its grace is recorded"),
        OpType::HoldEnd => (TABLE, "a held mount may be used; a departed one is forgotten"),
        OpType::PutStart => {
            (OBJECT, "the object exists, unfinished, and owns its regions; it joins its group")
        }
        OpType::PutEnd => (OBJECT, "all replicas are complete; checksum and pending soft pin are set"),
        OpType::Remove => (OBJECT, "the object is gone; its regions are free or in limbo"),
        OpType::Preempt => (OBJECT, "the unfinished write is gone; its regions are in limbo"),
        OpType::Free => (SHARD, "one region leaves limbo and is free"),
        OpType::Purge => {
            (SHARD, "replicas of the objects named are dropped, if on a dead mount, and what is empty then")
        }
        OpType::PutRevoke => (OBJECT, "the unfinished write is gone; its regions are free or in limbo"),
        OpType::UpsertInPlace => (OBJECT, "all replicas are being written again, by another writer perhaps"),
        OpType::Clear => (SHARD, "those of the objects named that are complete are gone, their regions free"),
        OpType::DropReplica => (OBJECT, "one complete replica of several is gone"),
        OpType::Abandon => (KEY, "what this client says next about the key is about a lost write (R21)"),
        OpType::Resolve => (KEY, "that was said, or is too old to be said"),
        OpType::Evict => {
            (OBJECT, "complete replicas that no transfer reads are gone, and the object with the last")
        }
        OpType::Discard => (OBJECT, "what is unfinished is given up: replicas being written, a transfer"),
        OpType::TransferStart => (OBJECT, "the source is pinned, the targets are owned and unfinished"),
        OpType::TransferEnd => (OBJECT, "the targets are complete; the source of a move is gone"),
        OpType::TransferRevoke => (OBJECT, "the targets are gone, the source is not pinned any more"),
        OpType::TaskCreate => (TABLE, "a task waits for its client"),
        OpType::TaskFetch => (TABLE, "tasks are in their client's hands"),
        OpType::TaskEnd => (TABLE, "a task has ended, with its message"),
        OpType::TaskPrune => (TABLE, "tasks that ended long ago are forgotten"),
        OpType::MetadataPart => (TABLE, "a part of a transfer engine's value; the last one makes it known"),
        OpType::MetadataRemove => (TABLE, "a transfer engine's value is forgotten"),
    }
}

/// What is deliberately not logged, and what takes its place after a failover.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("read leases", "a new primary counts every inherited object as leased for the longest lease (R4)"),
    (
        "deadlines of clients that ping",
        "a new primary gives each known client a full ttl and time to find it (R12)",
    ),
    ("counters of hits, evictions and calls", "they count from the beginning of the process"),
    ("when limbo, holds, discards and tasks are due", "a new primary starts them again at full length (R5)"),
];

/// `docs/oplog.md`; `cargo xtask codegen` writes it.
#[must_use]
pub fn oplog_table() -> String {
    let mut text = String::from(
        "<!-- Made by `cargo xtask codegen` from src/kernel/src/master/logged.rs. -->\n# The log\n\n\
         Each change of the state is an entry; what is not in this table changes nothing. A standby that has applied\n\
         the same entries holds the same state. A test walks through random histories of all requests and finds each\n\
         row to be exact: nothing else is logged, and everything named is.\n\n\
         ## Requests\n\n| Request | Entries that it may log |\n|---|---|\n",
    );
    for request in RequestKind::ALL {
        row(&mut text, request.name(), logged_by(*request));
    }
    text += "\n## The primary itself\n\n| Cause | Entries that it may log |\n|---|---|\n";
    row(&mut text, "promotion", &[OpType::TermStart]);
    row(&mut text, "maintenance: timers, sweeps, eviction", MAINTENANCE);
    text += "\n## Entries\n\n| Entry | Number | Home | Effect |\n|---|---|---|---|\n";
    for op in OpType::ALL {
        let (home, effect) = effect(op);
        let _ = writeln!(text, "| {} | {} | {home} | {effect} |", op.name(), op as u8);
    }
    text += "\n## Not logged\n\n| What | Instead |\n|---|---|\n";
    for (what, instead) in EXCEPTIONS {
        let _ = writeln!(text, "| {what} | {instead} |");
    }
    text
}

fn row(text: &mut String, cause: &str, ops: &[OpType]) {
    let names: Vec<&str> = ops.iter().map(|op| op.name()).collect();
    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let _ = writeln!(text, "| {cause} | {names} |");
}

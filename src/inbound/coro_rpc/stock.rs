//! Under which stock name a call is counted (SEMANTICS 7.3). Upserts count as puts.

use standfast_wire::calls::Method;

/// The stock operation, and whether this is its batch form; `None` for a call
/// that the stock master does not count, or that this one does not do.
pub(super) fn counted_as(method: Method) -> Option<(&'static str, bool)> {
    Some(match method {
        Method::PutStart | Method::UpsertStart => ("put_start", false),
        Method::PutEnd | Method::UpsertEnd => ("put_end", false),
        Method::PutRevoke | Method::UpsertRevoke => ("put_revoke", false),
        Method::GetReplicaList => ("get_replica_list", false),
        Method::GetReplicaListByRegex => ("get_replica_list_by_regex", false),
        Method::ExistKey => ("exist_key", false),
        Method::Remove => ("remove", false),
        Method::RemoveByRegex => ("remove_by_regex", false),
        Method::RemoveAll => ("remove_all", false),
        Method::MountSegment => ("mount_segment", false),
        Method::UnmountSegment => ("unmount_segment", false),
        Method::ReMountSegment => ("remount_segment", false),
        Method::Ping => ("ping", false),
        Method::CopyStart => ("copy_start", false),
        Method::CopyEnd => ("copy_end", false),
        Method::CopyRevoke => ("copy_revoke", false),
        Method::MoveStart => ("move_start", false),
        Method::MoveEnd => ("move_end", false),
        Method::MoveRevoke => ("move_revoke", false),
        Method::CreateCopyTask => ("create_copy_task", false),
        Method::CreateMoveTask => ("create_move_task", false),
        Method::QueryTask => ("query_task", false),
        Method::FetchTasks => ("fetch_tasks", false),
        Method::MarkTaskToComplete => ("update_task", false),
        Method::BatchPutStart | Method::BatchUpsertStart => ("put_start", true),
        Method::BatchPutEnd | Method::BatchUpsertEnd => ("put_end", true),
        Method::BatchPutRevoke | Method::BatchUpsertRevoke => ("put_revoke", true),
        Method::BatchGetReplicaList => ("get_replica_list", true),
        Method::BatchExistKey => ("exist_key", true),
        Method::BatchQueryIp => ("query_ip", true),
        Method::BatchReplicaClear => ("replica_clear", true),
        _ => return None,
    })
}

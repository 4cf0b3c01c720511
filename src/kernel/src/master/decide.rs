//! One line a request: which function decides it. Each of those reads the
//! state under the locks that it will change it under, so a decision and its
//! op cannot be torn apart.

use super::batch::refuse_large;
use super::call::Call;
use super::{Executed, Master};
use crate::api::{Request, Response};
use crate::types::{Instant, TransferKind, WallTime};

impl Master {
    /// Decides, logs and applies one request. `wall` is recorded for people only.
    #[must_use]
    pub fn execute(&self, now: Instant, wall: WallTime, request: &Request) -> Executed {
        let mut call = Call::new(self, now, wall);
        let response = refuse_large(request).unwrap_or_else(|| call.decide(request));
        let Call { depends_on, byte_critical, entries, .. } = call;
        Executed { response, depends_on, byte_critical, appended: !entries.is_empty(), entries }
    }
}

impl Call<'_> {
    fn decide(&mut self, request: &Request) -> Response {
        let call = self;
        match request {
            Request::MountSegment { client, segment } => Response::MountSegment(call.mount(*client, segment)),
            Request::ReMountSegment { client, segments } => {
                Response::ReMountSegment(call.remount(*client, segments))
            }
            Request::UnmountSegment { segment, .. } => Response::UnmountSegment(call.unmount(*segment)),
            Request::GracefulUnmountSegment { client, segment, grace } => {
                Response::GracefulUnmountSegment(call.graceful_unmount(*client, *segment, *grace))
            }
            Request::QuerySegmentStatus { segment } => {
                Response::QuerySegmentStatus(call.segment_status(segment))
            }
            Request::Ping { client } => Response::Ping(call.ping(*client)),
            Request::BatchQueryIp { clients } => Response::BatchQueryIp(call.hosts(clients)),
            Request::GetFsdir => Response::GetFsdir(call.master.storage.fsdir.clone()),
            Request::GetStorageConfig => Response::GetStorageConfig(call.master.storage.clone()),
            Request::PutStart { client, config, items } => {
                Response::PutStart(call.put_start_batch(*client, config, items))
            }
            Request::UpsertStart { client, config, items } => {
                Response::UpsertStart(call.upsert_start_batch(*client, config, items))
            }
            Request::PutEnd { client, items, replica_type } => Response::PutEnd(
                call.each(items, |c, table, item| c.put_end(table, *client, item, *replica_type)),
            ),
            Request::PutRevoke { client, keys, replica_type } => Response::PutRevoke(
                call.each(keys, |c, table, key| c.put_revoke(table, *client, key, *replica_type)),
            ),
            Request::GetReplicaList { keys } => Response::GetReplicaList(call.get_all(keys)),
            Request::ExistKey { keys } => Response::ExistKey(call.exist_all(keys)),
            Request::Remove { keys, force } => {
                Response::Remove(call.each(keys, |c, table, key| c.remove(table, key, *force)))
            }
            Request::GetReplicaListByRegex { pattern } => {
                Response::GetReplicaListByRegex(call.get_matching(pattern))
            }
            Request::RemoveByRegex { pattern, force } => {
                Response::RemoveByRegex(call.remove_matching(pattern, *force))
            }
            Request::RemoveAll { force } => Response::RemoveAll(call.remove_all(*force)),
            Request::BatchReplicaClear { keys, client, segment } => {
                Response::BatchReplicaClear(call.replica_clear(keys, *client, segment))
            }
            Request::CopyStart { client, key, source, targets } => {
                Response::CopyStart(call.copy_start(*client, key, source, targets))
            }
            Request::CopyEnd { client, key } => {
                Response::CopyEnd(call.transfer_end(*client, TransferKind::Copy, key))
            }
            Request::CopyRevoke { client, key } => {
                Response::CopyRevoke(call.transfer_revoke(*client, TransferKind::Copy, key))
            }
            Request::MoveStart { client, key, source, target } => {
                Response::MoveStart(call.move_start(*client, key, source, target))
            }
            Request::MoveEnd { client, key } => {
                Response::MoveEnd(call.transfer_end(*client, TransferKind::Move, key))
            }
            Request::MoveRevoke { client, key } => {
                Response::MoveRevoke(call.transfer_revoke(*client, TransferKind::Move, key))
            }
            Request::CreateCopyTask { key, targets } => {
                Response::CreateCopyTask(call.create_copy_task(key, targets))
            }
            Request::CreateMoveTask { key, source, target } => {
                Response::CreateMoveTask(call.create_move_task(key, source, target))
            }
            Request::QueryTask { id } => Response::QueryTask(call.query_task(*id)),
            Request::FetchTasks { client, max } => Response::FetchTasks(call.fetch_tasks(*client, *max)),
            Request::MarkTaskToComplete { client, id, status, message } => {
                Response::MarkTaskToComplete(call.mark_task(*client, *id, *status, message))
            }
            Request::ListKeys { shard } => Response::ListKeys(call.list_keys(*shard)),
            Request::GetMetadata { key } => Response::GetMetadata(call.get_metadata(key)),
            Request::PutMetadata { key, value } => Response::PutMetadata(call.put_metadata(key, value)),
            Request::RemoveMetadata { key } => Response::RemoveMetadata(call.remove_metadata(key)),
        }
    }
}

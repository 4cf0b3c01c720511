//! The table of calls: what each asks of the hall, and how the answer is put.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use standfast_kernel::api::{PutItem, ReplicaType, Request as Call, Response, SERVICE_VERSION, SegmentKey};
use standfast_wire::calls as w;
use standfast_wire::frame::{self, Frame};
use standfast_wire::struct_pack::Expected;
use standfast_wire::types::ErrorCode;
use standfast_wire::{Form, List, Request, RequestError, RequestHeader, RpcError};

use super::convert as c;
use super::hall::{Fail, Hall, Start, check_elements, results};
use super::off;
use super::replies::{Replies, Room, expected};
use super::stock::counted_as;
use crate::ports::Clock;
use crate::shell::MasterService;

/// A response frame in the making.
pub(super) struct Reply {
    seq: u32,
    bytes: Vec<u8>,
}

impl Reply {
    pub(super) fn put<'a, W: w::Call<'a>>(&mut self, response: &W::Response) -> Result<(), Fail> {
        Ok(frame::write_response::<W>(&mut self.bytes, self.seq, response, Form::SHORT)?)
    }
}

/// A response frame, and its part of the memory for long ones.
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) room: Room,
}

/// Why a connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// This node does not decide (any more): the client looks for the primary again.
    #[error("this node does not serve")]
    NotServing,
    #[error("the replies of others take all memory that there is for them")]
    Crowded,
}

/// Answers requests.
pub(super) struct Calls<C> {
    service: Arc<MasterService<C>>,
    replies: Replies,
}

impl<C: Clock> Calls<C> {
    pub(super) fn new(hall: Arc<MasterService<C>>) -> Self {
        Self { service: hall, replies: Replies::new() }
    }

    /// Memory for long replies.
    pub(super) fn replies(&self) -> &Replies {
        &self.replies
    }

    /// The response frame to one request, once there is room for it.
    pub(super) async fn answer(&self, frame: &Frame<RequestHeader>) -> Result<Answer, Unanswered> {
        let request = Request::decode(frame.header.function_id, &frame.payload).map(|(request, _)| request);
        let room =
            self.replies.room(request.as_ref().map_or(0, expected)).await.ok_or(Unanswered::Crowded)?;
        let bytes = self.reply(frame, request).await?;
        let room = self.replies.fit(room, bytes.len()).ok_or(Unanswered::Crowded)?;
        Ok(Answer { bytes, room })
    }

    async fn reply(
        &self,
        frame: &Frame<RequestHeader>,
        request: Result<Request<'_>, RequestError>,
    ) -> Result<Vec<u8>, Unanswered> {
        let Frame { header, payload } = frame;
        let mut reply = Reply { seq: header.seq_num, bytes: Vec::new() };
        let failed = match request {
            // Nothing is answered after a term, what needs no hall neither.
            _ if !self.service.serves() => Some(Fail::NotServing),
            Ok(request) => {
                let (hall, method) = (Hall::new(Arc::clone(&self.service)), request.method());
                let listed = listed(&request);
                let done = Self::carry_out(&hall, request, payload, &mut reply).await;
                if let Some((op, batch)) = counted_as(method) {
                    let (answered, failed) = hall.tally();
                    let items = listed.unwrap_or(answered).max(1);
                    // A call that has no result at all failed, whatever it was about.
                    let failed =
                        if done.is_err() || failed == answered && failed > 0 { items } else { failed };
                    self.service.traffic().stock(op, batch, items, failed);
                }
                done.err()
            }
            Err(wrong) => {
                tracing::debug!("{wrong}");
                Some(Fail::Rpc(wrong.rpc_error()))
            }
        };
        match failed {
            None => Ok(reply.bytes),
            Some(Fail::NotServing) => Err(Unanswered::NotServing),
            Some(Fail::Rpc(error)) => {
                // A text of ours always fits.
                let _ = frame::write_error(&mut reply.bytes, reply.seq, &error);
                Ok(reply.bytes)
            }
        }
    }

    /// The table. Calls that the hall does not have are answered in `off`.
    async fn carry_out(
        hall: &Hall<C>,
        request: Request<'_>,
        payload: &Bytes,
        reply: &mut Reply,
    ) -> Result<(), Fail> {
        // A key is a slice of the frame, not a copy.
        let key = |key: &[u8]| payload.slice_ref(key);
        match request {
            Request::ServiceReady(_) => reply.put::<w::ServiceReady>(&Ok(SERVICE_VERSION.as_bytes())),
            Request::GetStorageConfig(_) => {
                let pick = |response| results!(GetStorageConfig)(response).map(Ok);
                let config = hall.single(Ok(Call::GetStorageConfig), pick).await?;
                reply.put::<w::GetStorageConfig>(&c::by_ref(&config).map(c::storage_config))
            }
            Request::GetFsdir(_) => {
                let pick = |response| results!(GetFsdir)(response).map(Ok);
                let fsdir = hall.single(Ok(Call::GetFsdir), pick).await?;
                reply.put::<w::GetFsdir>(&c::by_ref(&fsdir).map(String::as_bytes))
            }
            Request::Ping(r) => {
                let pick = |response| results!(Ping)(response).map(Ok);
                let pinged = hall.single(Ok(Call::Ping { client: c::client(r.client_id) }), pick).await?;
                reply.put::<w::Ping>(&pinged.map(c::ping))
            }
            Request::BatchQueryIp(r) => {
                check_elements(r.client_ids.len())?;
                let clients = r.client_ids.iter().map(c::client).collect();
                let pick = |response| results!(BatchQueryIp)(response).map(Ok);
                let hosts = hall.single(Ok(Call::BatchQueryIp { clients }), pick).await?;
                c::with_hosts(&hosts, |hosts| reply.put::<w::BatchQueryIp>(&hosts))
            }
            Request::MountSegment(r) => {
                let call = c::segment(&r.segment)
                    .map(|segment| Call::MountSegment { client: c::client(r.client_id), segment });
                reply.put::<w::MountSegment>(&hall.single(call, results!(MountSegment)).await?)
            }
            Request::ReMountSegment(r) => {
                check_elements(r.segments.len())?;
                let client = c::client(r.client_id);
                let segments: Expected<_> = r.segments.iter().map(|segment| c::segment(&segment)).collect();
                let call = segments.map(|segments| Call::ReMountSegment { client, segments });
                reply.put::<w::ReMountSegment>(&hall.single(call, results!(ReMountSegment)).await?)
            }
            Request::UnmountSegment(r) => {
                let call = Call::UnmountSegment {
                    client: c::client(r.client_id),
                    segment: c::segment_id(r.segment_id),
                };
                reply.put::<w::UnmountSegment>(&hall.single(Ok(call), results!(UnmountSegment)).await?)
            }
            Request::GracefulUnmountSegment(r) => {
                let call = Call::GracefulUnmountSegment {
                    client: c::client(r.client_id),
                    segment: c::segment_id(r.segment_id),
                    grace: Duration::from_millis(r.grace_period_ms),
                };
                let done = hall.single(Ok(call), results!(GracefulUnmountSegment)).await?;
                reply.put::<w::GracefulUnmountSegment>(&done)
            }
            Request::QuerySegmentStatusById(r) => {
                let segment = SegmentKey::Id(c::segment_id(r.segment_id));
                let call = Call::QuerySegmentStatus { segment };
                let status = hall.single(Ok(call), results!(QuerySegmentStatus)).await?;
                reply.put::<w::QuerySegmentStatusById>(&status.map(c::segment_status))
            }
            Request::QuerySegmentStatus(r) => {
                let segment = SegmentKey::Name(c::name(r.segment_name));
                let call = Call::QuerySegmentStatus { segment };
                let status = hall.single(Ok(call), results!(QuerySegmentStatus)).await?;
                reply.put::<w::QuerySegmentStatus>(&status.map(c::segment_status))
            }

            Request::ExistKey(r) => reply.put::<w::ExistKey>(&only(&hall.exist(one(key(r.key))).await?)),
            Request::BatchExistKey(r) => {
                let exist = hall.exist(r.keys.iter().map(key)).await?;
                reply.put::<w::BatchExistKey>(&List::new(&exist))
            }
            Request::GetReplicaList(r) => {
                let found = hall.get(one(key(r.key))).await?;
                c::with_found(&found, |found| reply.put::<w::GetReplicaList>(&only(found)))
            }
            Request::BatchGetReplicaList(r) => {
                let found = hall.get(r.keys.iter().map(key)).await?;
                c::with_found(&found, |found| reply.put::<w::BatchGetReplicaList>(&List::new(found)))
            }
            Request::Remove(r) => {
                let removed = hall.remove(one(key(r.key)), r.force).await?;
                reply.put::<w::Remove>(&only(&removed))
            }
            Request::BatchRemove(r) => {
                let removed = hall.remove(r.keys.iter().map(key), r.force).await?;
                reply.put::<w::BatchRemove>(&List::new(&removed))
            }
            Request::GetReplicaListByRegex(r) => {
                let call = Call::GetReplicaListByRegex { pattern: key(r.regex) };
                let found = hall.single(Ok(call), results!(GetReplicaListByRegex)).await?;
                c::with_matches(&found, |found| reply.put::<w::GetReplicaListByRegex>(&found))
            }
            Request::RemoveByRegex(r) => {
                let call = Call::RemoveByRegex { pattern: key(r.regex), force: r.force };
                let removed = hall.single(Ok(call), results!(RemoveByRegex)).await?;
                reply.put::<w::RemoveByRegex>(&removed.map(c::count))
            }
            Request::RemoveAll(r) => {
                let pick = |response| results!(RemoveAll)(response).map(Ok);
                match hall.single(Ok(Call::RemoveAll { force: r.force }), pick).await? {
                    Ok(removed) => reply.put::<w::RemoveAll>(&c::count(removed)),
                    // The one result that has no room for an error.
                    Err(code) => {
                        Err(Fail::rpc(RpcError::RPC_THROW_EXCEPTION, format!("{code:?}: nothing was done")))
                    }
                }
            }
            Request::BatchReplicaClear(r) => {
                check_elements(r.object_keys.len())?;
                let keys = r.object_keys.iter().map(key).collect();
                let client = c::client(r.client_id);
                let call =
                    c::text(r.segment_name).map(|segment| Call::BatchReplicaClear { keys, client, segment });
                let pick = |response| results!(BatchReplicaClear)(response).map(Ok);
                let cleared = hall.single(call, pick).await?;
                let cleared =
                    cleared.as_deref().map(|keys| keys.iter().map(|key| &key[..]).collect::<Vec<_>>());
                reply.put::<w::BatchReplicaClear>(&cleared.as_deref().map(List::new).map_err(|code| **code))
            }

            Request::PutStart(r) => {
                let item = one(PutItem { key: key(r.key), size: r.slice_length });
                let config = c::config(payload, &r.config, 1, 1);
                let started = hall.start(Start::Put, c::client(r.client_id), config, item).await?;
                c::with_started(&started, |started| reply.put::<w::PutStart>(&only(started)))
            }
            Request::BatchPutStart(r) => {
                let config = c::config(payload, &r.config, r.keys.len(), r.slice_lengths.len());
                let items = c::put_items(payload, r.keys, r.slice_lengths);
                let started = hall.start(Start::Put, c::client(r.client_id), config, items).await?;
                c::with_started(&started, |started| reply.put::<w::BatchPutStart>(&List::new(started)))
            }
            Request::UpsertStart(r) => {
                let item = one(PutItem { key: key(r.key), size: r.slice_length });
                let config = c::config(payload, &r.config, 1, 1);
                let started = hall.start(Start::Upsert, c::client(r.client_id), config, item).await?;
                c::with_started(&started, |started| reply.put::<w::UpsertStart>(&only(started)))
            }
            Request::BatchUpsertStart(r) => {
                let config = c::config(payload, &r.config, r.keys.len(), r.slice_lengths.len());
                let items = c::put_items(payload, r.keys, r.slice_lengths);
                let started = hall.start(Start::Upsert, c::client(r.client_id), config, items).await?;
                c::with_started(&started, |started| reply.put::<w::BatchUpsertStart>(&List::new(started)))
            }
            // An upsert ends like a put (`Request::UpsertStart`).
            Request::PutEnd(r) => {
                let item = one(c::end_item(payload, &r.object_meta));
                let ended = hall.end(c::client(r.client_id), c::replica_type(r.replica_type), item).await?;
                reply.put::<w::PutEnd>(&only(&ended))
            }
            Request::BatchPutEnd(r) => {
                let items = r.object_metas.iter().map(|meta| c::end_item(payload, &meta));
                let ended = hall.end(c::client(r.client_id), c::replica_type(r.replica_type), items).await?;
                reply.put::<w::BatchPutEnd>(&List::new(&ended))
            }
            Request::UpsertEnd(r) => {
                let item = one(c::end_item(payload, &r.object_meta));
                let ended = hall.end(c::client(r.client_id), c::replica_type(r.replica_type), item).await?;
                reply.put::<w::UpsertEnd>(&only(&ended))
            }
            Request::BatchUpsertEnd(r) => {
                let items = r.object_metas.iter().map(|meta| c::end_item(payload, &meta));
                let ended = hall.end(c::client(r.client_id), ReplicaType::All, items).await?;
                reply.put::<w::BatchUpsertEnd>(&List::new(&ended))
            }
            Request::PutRevoke(r) => {
                let key = one(key(r.key));
                let revoked =
                    hall.revoke(c::client(r.client_id), c::replica_type(r.replica_type), key).await?;
                reply.put::<w::PutRevoke>(&only(&revoked))
            }
            Request::BatchPutRevoke(r) => {
                let keys = r.keys.iter().map(key);
                let revoked =
                    hall.revoke(c::client(r.client_id), c::replica_type(r.replica_type), keys).await?;
                reply.put::<w::BatchPutRevoke>(&List::new(&revoked))
            }
            Request::UpsertRevoke(r) => {
                let key = one(key(r.key));
                let revoked =
                    hall.revoke(c::client(r.client_id), c::replica_type(r.replica_type), key).await?;
                reply.put::<w::UpsertRevoke>(&only(&revoked))
            }
            Request::BatchUpsertRevoke(r) => {
                let keys = r.keys.iter().map(key);
                let revoked = hall.revoke(c::client(r.client_id), ReplicaType::All, keys).await?;
                reply.put::<w::BatchUpsertRevoke>(&List::new(&revoked))
            }

            Request::CopyStart(r) => {
                check_elements(r.tgt_segments.len())?;
                let call = Call::CopyStart {
                    client: c::client(r.client_id),
                    key: key(r.key),
                    source: c::name(r.src_segment),
                    targets: r.tgt_segments.iter().map(c::name).collect(),
                };
                let started = hall.single(Ok(call), results!(CopyStart)).await?;
                c::with_copy(&started, |buffers| reply.put::<w::CopyStart>(&buffers))
            }
            Request::CopyEnd(r) => {
                let call = Call::CopyEnd { client: c::client(r.client_id), key: key(r.key) };
                reply.put::<w::CopyEnd>(&hall.single(Ok(call), results!(CopyEnd)).await?)
            }
            Request::CopyRevoke(r) => {
                let call = Call::CopyRevoke { client: c::client(r.client_id), key: key(r.key) };
                reply.put::<w::CopyRevoke>(&hall.single(Ok(call), results!(CopyRevoke)).await?)
            }
            Request::MoveStart(r) => {
                let call = Call::MoveStart {
                    client: c::client(r.client_id),
                    key: key(r.key),
                    source: c::name(r.src_segment),
                    target: c::name(r.tgt_segment),
                };
                let started = hall.single(Ok(call), results!(MoveStart)).await?;
                reply.put::<w::MoveStart>(&c::by_ref(&started).map(c::move_buffers))
            }
            Request::MoveEnd(r) => {
                let call = Call::MoveEnd { client: c::client(r.client_id), key: key(r.key) };
                reply.put::<w::MoveEnd>(&hall.single(Ok(call), results!(MoveEnd)).await?)
            }
            Request::MoveRevoke(r) => {
                let call = Call::MoveRevoke { client: c::client(r.client_id), key: key(r.key) };
                reply.put::<w::MoveRevoke>(&hall.single(Ok(call), results!(MoveRevoke)).await?)
            }
            Request::CreateCopyTask(r) => {
                check_elements(r.targets.len())?;
                let targets = r.targets.iter().map(c::name).collect();
                let call = Call::CreateCopyTask { key: key(r.key), targets };
                let created = hall.single(Ok(call), results!(CreateCopyTask)).await?;
                reply.put::<w::CreateCopyTask>(&created.map(c::task_id))
            }
            Request::CreateMoveTask(r) => {
                let (source, target) = (c::name(r.source), c::name(r.target));
                let call = Call::CreateMoveTask { key: key(r.key), source, target };
                let created = hall.single(Ok(call), results!(CreateMoveTask)).await?;
                reply.put::<w::CreateMoveTask>(&created.map(c::task_id))
            }
            Request::QueryTask(r) => {
                let call = Call::QueryTask { id: c::task(r.task_id) };
                let found = hall.single(Ok(call), results!(QueryTask)).await?;
                reply.put::<w::QueryTask>(&c::by_ref(&found).map(c::task_state))
            }
            Request::FetchTasks(r) => {
                let call = Call::FetchTasks { client: c::client(r.client_id), max: r.batch_size };
                let pick = |response| results!(FetchTasks)(response).map(Ok);
                let fetched = hall.single(Ok(call), pick).await?;
                let views =
                    c::by_ref(&fetched).map(|tasks| tasks.iter().map(c::assignment).collect::<Vec<_>>());
                reply.put::<w::FetchTasks>(&c::by_ref(&views).map(|views| List::new(views)))
            }
            Request::MarkTaskToComplete(r) => {
                let call = c::task_status(r.request.status).map(|status| Call::MarkTaskToComplete {
                    client: c::client(r.client_id),
                    id: c::task(r.request.id),
                    status,
                    message: c::name(r.request.message),
                });
                reply.put::<w::MarkTaskToComplete>(&hall.single(call, results!(MarkTaskToComplete)).await?)
            }
            request => off::answer(hall, request, payload, reply).await,
        }
    }
}

/// Items of a batch that has one result for all of them.
fn listed(request: &Request<'_>) -> Option<u64> {
    match request {
        Request::BatchQueryIp(r) => Some(r.client_ids.len() as u64),
        Request::BatchReplicaClear(r) => Some(r.object_keys.len() as u64),
        _ => None,
    }
}

fn one<T>(element: T) -> std::iter::Once<T> {
    std::iter::once(element)
}

/// The result of a batch of one.
pub(super) fn only<T: Copy>(results: &[Expected<T>]) -> Expected<T> {
    results.first().copied().unwrap_or(Err(ErrorCode::INTERNAL_ERROR))
}

//! The table of calls: what each asks of the hall, and how the answer is put.

use std::sync::Arc;

use bytes::Bytes;
use standfast_kernel::api::{
    EndItem, PutItem, Refusal, ReplicaDescriptor, ReplicaList, ReplicateConfig, Request as Call, Response,
};
use standfast_kernel::types::limits::{BATCH_ITEMS_MAX, REPLICAS_MAX};
use standfast_wire::calls as w;
use standfast_wire::frame::{self, Frame, MessageTooLarge};
use standfast_wire::struct_pack::Expected;
use standfast_wire::types::{ErrorCode, GetStorageConfigResponse, ReplicaType, Uuid};
use standfast_wire::{Form, List, Request, RequestHeader, RpcError};

use super::convert as c;
use super::limits::{ELEMENTS_MAX, REPLY_REPLICAS_MAX};
use crate::ports::Clock;
use crate::shell::{Fault, MasterService};

/// The store protocol that clients compare with their own (SEMANTICS 2.5, ServiceReady).
const STORE_VERSION: &[u8] = b"2.0.0";
/// No directory means no replicas on a shared file system; the rest are the
/// defaults of a master without one (SEMANTICS 2.5, GetFsdir and GetStorageConfig).
const STORAGE: GetStorageConfigResponse<'static> =
    GetStorageConfigResponse { fsdir: b"", enable_disk_eviction: true, quota_bytes: 0 };

/// This node does not decide (any more): the connection is closed without an
/// answer, and the client looks for the primary again.
#[derive(Debug, thiserror::Error)]
#[error("this node does not serve")]
pub(super) struct NotServing;

/// Why a call has no result.
enum Fail {
    NotServing,
    Rpc(RpcError),
}

impl Fail {
    fn rpc(code: u16, text: String) -> Self {
        Self::Rpc(RpcError { code, message: text.into_bytes().into() })
    }

    /// The hall answered another call than was asked: a bug, but not one to crash for.
    fn mismatch() -> Self {
        Self::rpc(RpcError::RPC_THROW_EXCEPTION, "the answer belongs to another call".to_owned())
    }
}

impl From<MessageTooLarge> for Fail {
    fn from(e: MessageTooLarge) -> Self {
        Self::rpc(RpcError::MESSAGE_TOO_LARGE, e.to_string())
    }
}

/// One result an element.
type Results<R> = Result<Vec<Expected<R>>, Fail>;

/// Picks the results out of the hall's answer to a call of this name.
macro_rules! results {
    ($name:ident) => {
        |response| if let Response::$name(results) = response { Ok(results) } else { Err(Fail::mismatch()) }
    };
}

/// A response frame in the making.
struct Reply {
    seq: u32,
    bytes: Vec<u8>,
}

impl Reply {
    fn put<'a, W: w::Call<'a>>(&mut self, response: &W::Response) -> Result<(), Fail> {
        Ok(frame::write_response::<W>(&mut self.bytes, self.seq, response, Form::SHORT)?)
    }
}

/// Answers requests.
pub(super) struct Calls<C> {
    hall: Arc<MasterService<C>>,
}

impl<C: Clock> Calls<C> {
    pub(super) fn new(hall: Arc<MasterService<C>>) -> Self {
        Self { hall }
    }

    /// The response frame to one request.
    pub(super) async fn answer(&self, frame: &Frame<RequestHeader>) -> Result<Vec<u8>, NotServing> {
        let Frame { header, payload } = frame;
        let mut reply = Reply { seq: header.seq_num, bytes: Vec::new() };
        let failed = match Request::decode(header.function_id, payload) {
            Ok((request, _)) => self.carry_out(request, payload, &mut reply).await.err(),
            Err(wrong) => {
                tracing::debug!("{wrong}");
                Some(Fail::Rpc(wrong.rpc_error()))
            }
        };
        match failed {
            None => Ok(reply.bytes),
            Some(Fail::NotServing) => Err(NotServing),
            Some(Fail::Rpc(error)) => {
                // A text of ours always fits.
                let _ = frame::write_error(&mut reply.bytes, reply.seq, &error);
                Ok(reply.bytes)
            }
        }
    }

    /// The table. A call that the hall does not have is not registered here.
    async fn carry_out(&self, request: Request<'_>, payload: &Bytes, reply: &mut Reply) -> Result<(), Fail> {
        // A key is a slice of the frame, not a copy.
        let key = |key: &[u8]| payload.slice_ref(key);
        match request {
            Request::ServiceReady(_) => reply.put::<w::ServiceReady>(&Ok(STORE_VERSION)),
            Request::GetStorageConfig(_) => reply.put::<w::GetStorageConfig>(&Ok(STORAGE)),
            Request::GetFsdir(_) => reply.put::<w::GetFsdir>(&Ok(STORAGE.fsdir)),
            Request::FetchTasks(_) => reply.put::<w::FetchTasks>(&Ok(List::default())),
            Request::MountSegment(r) => {
                let call = c::segment(&r.segment)
                    .map(|segment| Call::MountSegment { client: c::client(r.client_id), segment });
                reply.put::<w::MountSegment>(&self.single(call, results!(MountSegment)).await?)
            }
            Request::ExistKey(r) => reply.put::<w::ExistKey>(&only(&self.exist(one(key(r.key))).await?)),
            Request::BatchExistKey(r) => {
                let exist = self.exist(r.keys.iter().map(key)).await?;
                reply.put::<w::BatchExistKey>(&List::new(&exist))
            }
            Request::GetReplicaList(r) => {
                let found = self.get(one(key(r.key))).await?;
                c::with_found(&found, |found| reply.put::<w::GetReplicaList>(&only(found)))
            }
            Request::BatchGetReplicaList(r) => {
                let found = self.get(r.keys.iter().map(key)).await?;
                c::with_found(&found, |found| reply.put::<w::BatchGetReplicaList>(&List::new(found)))
            }
            Request::Remove(r) => {
                let removed = self.remove(one(key(r.key)), r.force).await?;
                reply.put::<w::Remove>(&only(&removed))
            }
            Request::BatchRemove(r) => {
                let removed = self.remove(r.keys.iter().map(key), r.force).await?;
                reply.put::<w::BatchRemove>(&List::new(&removed))
            }
            Request::PutStart(r) => {
                let item = one(PutItem { key: key(r.key), size: r.slice_length });
                let started = self.put_start(r.client_id, c::config(&r.config, 1, 1), item).await?;
                c::with_started(&started, |started| reply.put::<w::PutStart>(&only(started)))
            }
            Request::BatchPutStart(r) => {
                let config = c::config(&r.config, r.keys.len(), r.slice_lengths.len());
                let mut sizes = r.slice_lengths.iter();
                let item = |k| PutItem { key: key(k), size: sizes.next().unwrap_or(0) };
                let started = self.put_start(r.client_id, config, r.keys.iter().map(item)).await?;
                c::with_started(&started, |started| reply.put::<w::BatchPutStart>(&List::new(started)))
            }
            Request::PutEnd(r) => {
                let item = one(c::end_item(payload, &r.object_meta));
                let ended = self.put_end(r.client_id, r.replica_type, item).await?;
                reply.put::<w::PutEnd>(&only(&ended))
            }
            Request::BatchPutEnd(r) => {
                let items = r.object_metas.iter().map(|meta| c::end_item(payload, &meta));
                let ended = self.put_end(r.client_id, r.replica_type, items).await?;
                reply.put::<w::BatchPutEnd>(&List::new(&ended))
            }
            _ => Err(Fail::Rpc(RpcError::function_not_registered())),
        }
    }

    async fn exist(&self, keys: impl ExactSizeIterator<Item = Bytes>) -> Results<bool> {
        self.in_batches(keys, |keys| Call::ExistKey { keys }, results!(ExistKey)).await
    }

    async fn get(&self, keys: impl ExactSizeIterator<Item = Bytes>) -> Results<ReplicaList> {
        let mut replicas = 0;
        let pick = |response| {
            let found = results!(GetReplicaList)(response)?;
            replicas += found.iter().flatten().map(|list| list.replicas.len()).sum::<usize>();
            if replicas > REPLY_REPLICAS_MAX { Err(too_many_replicas(replicas)) } else { Ok(found) }
        };
        self.in_batches(keys, |keys| Call::GetReplicaList { keys }, pick).await
    }

    async fn remove(&self, keys: impl ExactSizeIterator<Item = Bytes>, force: bool) -> Results<()> {
        self.in_batches(keys, |keys| Call::Remove { keys, force }, results!(Remove)).await
    }

    async fn put_start(
        &self,
        client: Uuid,
        config: Expected<ReplicateConfig>,
        items: impl ExactSizeIterator<Item = PutItem>,
    ) -> Results<Vec<ReplicaDescriptor>> {
        let config = match config {
            Ok(config) => config,
            Err(code) => return Ok(items.map(|item| Err(c::refused_put(&item, code))).collect()),
        };
        // Refused before anything is allocated.
        let replicas = items.len().saturating_mul((config.replica_num as usize).min(REPLICAS_MAX));
        if replicas > REPLY_REPLICAS_MAX {
            return Err(too_many_replicas(replicas));
        }
        let client = c::client(client);
        let call = |items| Call::PutStart { client, config: config.clone(), items };
        self.in_batches(items, call, results!(PutStart)).await
    }

    async fn put_end(
        &self,
        client: Uuid,
        kind: ReplicaType,
        items: impl ExactSizeIterator<Item = EndItem>,
    ) -> Results<()> {
        // No object has replicas of another kind, so there is nothing to end (SEMANTICS 2.2, PutEnd).
        if !matches!(kind, ReplicaType::ALL | ReplicaType::MEMORY) {
            return Ok(vec![Err(ErrorCode::INVALID_WRITE); items.len()]);
        }
        let client = c::client(client);
        self.in_batches(items, |items| Call::PutEnd { client, items }, results!(PutEnd)).await
    }

    /// A call that is no batch.
    async fn single<R>(
        &self,
        call: Expected<Call>,
        pick: impl FnOnce(Response) -> Result<Result<R, Refusal>, Fail>,
    ) -> Result<Expected<R>, Fail> {
        let call = match call {
            Ok(call) => call,
            Err(code) => return Ok(Err(code)),
        };
        match self.hall.call(call).await {
            Ok(response) => Ok(pick(response)?.map_err(|refusal| c::code(&refusal))),
            Err(fault) => Ok(Err(refused(&fault)?)),
        }
    }

    /// As many batches of the hall as a call of this protocol takes. Elements
    /// are handled in order and a batch never fails as a whole (SEMANTICS 2.0),
    /// so the client cannot tell them from one.
    async fn in_batches<T, R>(
        &self,
        mut items: impl ExactSizeIterator<Item = T>,
        call: impl Fn(Vec<T>) -> Call,
        mut pick: impl FnMut(Response) -> Result<Vec<Result<R, Refusal>>, Fail>,
    ) -> Results<R> {
        let elements = items.len();
        if elements > ELEMENTS_MAX {
            let text = format!("{elements} elements in one call: expected at most {ELEMENTS_MAX}");
            return Err(Fail::rpc(RpcError::INVALID_RPC_ARGUMENTS, text));
        }
        let mut results = Vec::with_capacity(elements);
        loop {
            let batch: Vec<T> = items.by_ref().take(BATCH_ITEMS_MAX).collect();
            let count = batch.len();
            match self.hall.call(call(batch)).await {
                Ok(response) => {
                    results.extend(pick(response)?.into_iter().map(|r| r.map_err(|r| c::code(&r))));
                }
                Err(fault) => {
                    let code = refused(&fault)?;
                    results.extend((0..count).map(|_| Err(code)));
                }
            }
            if items.len() == 0 {
                return Ok(results);
            }
            // Between two large batches others get their turn.
            tokio::task::yield_now().await;
        }
    }
}

/// What every element is told of a call that was refused as a whole.
fn refused(fault: &Fault) -> Result<ErrorCode, Fail> {
    match fault {
        Fault::Refused(Refusal::NotPrimary { .. }) => Err(Fail::NotServing),
        Fault::Refused(refusal) => Ok(c::code(refusal)),
        Fault::TooMany(_) => Ok(ErrorCode::INVALID_PARAMS),
        Fault::Unknown(_) => Err(Fail::rpc(RpcError::TIMED_OUT, fault.to_string())),
    }
}

fn too_many_replicas(replicas: usize) -> Fail {
    let text = format!("{replicas} replicas in one reply: expected at most {REPLY_REPLICAS_MAX}");
    Fail::rpc(RpcError::MESSAGE_TOO_LARGE, text)
}

fn one<T>(element: T) -> std::iter::Once<T> {
    std::iter::once(element)
}

/// The result of a batch of one.
fn only<T: Copy>(results: &[Expected<T>]) -> Expected<T> {
    results.first().copied().unwrap_or(Err(ErrorCode::INTERNAL_ERROR))
}

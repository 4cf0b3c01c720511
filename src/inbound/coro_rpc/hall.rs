//! Asking the hall: one call of the protocol may be several batches of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use standfast_kernel::api::{
    EndItem, PutItem, Refusal, ReplicaDescriptors, ReplicaList, ReplicaType, ReplicateConfig,
    Request as Call, Response,
};
use standfast_kernel::types::ClientId;
use standfast_kernel::types::limits::{BATCH_ITEMS_MAX, REPLICAS_MAX};
use standfast_wire::RpcError;
use standfast_wire::frame::MessageTooLarge;
use standfast_wire::struct_pack::Expected;
use standfast_wire::types::ErrorCode;

use super::convert as c;
use super::limits::{ELEMENTS_MAX, REPLY_REPLICAS_MAX};
use crate::ports::Clock;
use crate::shell::{Door, Fault, MasterService};

/// Why a call has no result.
pub(super) enum Fail {
    NotServing,
    Rpc(RpcError),
}

impl Fail {
    pub(super) fn rpc(code: u16, text: String) -> Self {
        Self::Rpc(RpcError { code, message: text.into_bytes().into() })
    }

    /// The hall answered another call than was asked: a bug, but not one to crash for.
    pub(super) fn mismatch() -> Self {
        Self::rpc(RpcError::RPC_THROW_EXCEPTION, "the answer belongs to another call".to_owned())
    }
}

impl From<MessageTooLarge> for Fail {
    fn from(e: MessageTooLarge) -> Self {
        Self::rpc(RpcError::MESSAGE_TOO_LARGE, e.to_string())
    }
}

/// One result an element.
pub(super) type Results<R> = Result<Vec<Expected<R>>, Fail>;

/// Picks the results out of the hall's answer to a call of this name.
macro_rules! results {
    ($name:ident) => {
        |response| if let Response::$name(results) = response { Ok(results) } else { Err(Fail::mismatch()) }
    };
}

pub(super) use results;

/// How a write begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// Only under a key that is free.
    Put,
    /// Under any key.
    Upsert,
}

/// The hall, asked in this protocol's units on behalf of one call.
pub(super) struct Hall<C> {
    service: Arc<MasterService<C>>,
    /// Items answered so far, and those of them with an error.
    items: AtomicU64,
    failed: AtomicU64,
}

impl<C: Clock> Hall<C> {
    pub(super) fn new(service: Arc<MasterService<C>>) -> Self {
        Self { service, items: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    /// How many items were answered, and how many of them with an error.
    pub(super) fn tally(&self) -> (u64, u64) {
        (self.items.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    fn count<T, E>(&self, results: &[Result<T, E>]) {
        self.items.fetch_add(results.len() as u64, Ordering::Relaxed);
        self.failed.fetch_add(results.iter().filter(|r| r.is_err()).count() as u64, Ordering::Relaxed);
    }

    pub(super) async fn exist(&self, keys: impl ExactSizeIterator<Item = Bytes>) -> Results<bool> {
        self.in_batches(keys, |_, keys| Call::ExistKey { keys }, results!(ExistKey)).await
    }

    /// Whether there is an object under each key; that asking grants a lease does no harm.
    pub(super) async fn found(&self, keys: impl ExactSizeIterator<Item = Bytes>) -> Results<()> {
        let exist = self.exist(keys).await?;
        let found = |exists: Expected<bool>| match exists {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorCode::OBJECT_NOT_FOUND),
            Err(code) => Err(code),
        };
        Ok(exist.into_iter().map(found).collect())
    }

    /// Why nothing can be done about an object: it is not there, or this.
    pub(super) async fn refuse(&self, key: Bytes, code: ErrorCode) -> Result<ErrorCode, Fail> {
        let found = self.found(std::iter::once(key)).await?;
        Ok(found.first().and_then(|found| found.err()).unwrap_or(code))
    }

    pub(super) async fn get(&self, keys: impl ExactSizeIterator<Item = Bytes>) -> Results<ReplicaList> {
        let mut replicas = 0;
        let pick = |response| {
            let found = results!(GetReplicaList)(response)?;
            replicas += found.iter().flatten().map(|list| list.replicas.len()).sum::<usize>();
            if replicas > REPLY_REPLICAS_MAX { Err(too_many_replicas(replicas)) } else { Ok(found) }
        };
        self.in_batches(keys, |_, keys| Call::GetReplicaList { keys }, pick).await
    }

    pub(super) async fn remove(
        &self,
        keys: impl ExactSizeIterator<Item = Bytes>,
        force: bool,
    ) -> Results<()> {
        self.in_batches(keys, |_, keys| Call::Remove { keys, force }, results!(Remove)).await
    }

    pub(super) async fn start(
        &self,
        how: Start,
        client: ClientId,
        config: Expected<ReplicateConfig>,
        items: impl ExactSizeIterator<Item = PutItem>,
    ) -> Results<ReplicaDescriptors> {
        let mut config = match config {
            Ok(config) => config,
            Err(code) => {
                let results = vec![Err(code); items.len()];
                self.count(&results);
                return Ok(results);
            }
        };
        // Refused before anything is allocated.
        let replicas = items.len().saturating_mul((config.replica_num as usize).min(REPLICAS_MAX));
        if replicas > REPLY_REPLICAS_MAX {
            return Err(too_many_replicas(replicas));
        }
        let groups = config.group_ids.take();
        let call = |started: &[Expected<ReplicaDescriptors>], items: Vec<PutItem>| {
            let group_ids = groups
                .as_ref()
                .map(|all| all.iter().skip(started.len()).take(items.len()).cloned().collect());
            let mut config = ReplicateConfig { group_ids, ..config.clone() };
            // The node that the first success chose is that of the whole call (SEMANTICS 2.2), not of its batch.
            let chosen = started.iter().flatten().next().and_then(|replicas| replicas.last());
            if let Some(chosen) = chosen.filter(|_| config.prefer_alloc_in_same_node) {
                config.preferred_segment.clone_from(&chosen.segment.name);
            }
            match how {
                Start::Put => Call::PutStart { client, config, items },
                Start::Upsert => Call::UpsertStart { client, config, items },
            }
        };
        let pick = |response| match response {
            Response::PutStart(results) | Response::UpsertStart(results) => Ok(results),
            _ => Err(Fail::mismatch()),
        };
        self.in_batches(items, call, pick).await
    }

    pub(super) async fn end(
        &self,
        client: ClientId,
        replica_type: ReplicaType,
        items: impl ExactSizeIterator<Item = EndItem>,
    ) -> Results<()> {
        let call = |_: &[Expected<()>], items| Call::PutEnd { client, items, replica_type };
        self.in_batches(items, call, results!(PutEnd)).await
    }

    pub(super) async fn revoke(
        &self,
        client: ClientId,
        replica_type: ReplicaType,
        keys: impl ExactSizeIterator<Item = Bytes>,
    ) -> Results<()> {
        let call = |_: &[Expected<()>], keys| Call::PutRevoke { client, keys, replica_type };
        self.in_batches(keys, call, results!(PutRevoke)).await
    }

    /// A call that is no batch.
    pub(super) async fn single<R>(
        &self,
        call: Expected<Call>,
        pick: impl FnOnce(Response) -> Result<Result<R, Refusal>, Fail>,
    ) -> Result<Expected<R>, Fail> {
        let result = match call {
            Ok(call) => match self.service.call(Door::Mooncake, call).await {
                Ok(response) => pick(response)?.map_err(|refusal| c::code(&refusal)),
                Err(fault) => Err(refused(&fault)?),
            },
            Err(code) => Err(code),
        };
        self.count(std::slice::from_ref(&result));
        Ok(result)
    }

    /// As many batches of the hall as a call of this protocol takes. Elements
    /// are handled in order and a batch never fails as a whole (SEMANTICS 2.0),
    /// so the client cannot tell them from one. `call` gets the results of the
    /// elements that came before.
    async fn in_batches<T, R>(
        &self,
        mut items: impl ExactSizeIterator<Item = T>,
        call: impl Fn(&[Expected<R>], Vec<T>) -> Call,
        mut pick: impl FnMut(Response) -> Result<Vec<Result<R, Refusal>>, Fail>,
    ) -> Results<R> {
        let elements = items.len();
        check_elements(elements)?;
        let mut results = Vec::with_capacity(elements);
        loop {
            let batch: Vec<T> = items.by_ref().take(BATCH_ITEMS_MAX).collect();
            let count = batch.len();
            match self.service.call(Door::Mooncake, call(&results, batch)).await {
                Ok(response) => {
                    results.extend(pick(response)?.into_iter().map(|r| r.map_err(|r| c::code(&r))));
                }
                Err(fault) => {
                    let code = refused(&fault)?;
                    results.extend((0..count).map(|_| Err(code)));
                }
            }
            if items.len() == 0 {
                self.count(&results);
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

/// Before anything is built of them.
pub(super) fn check_elements(elements: usize) -> Result<(), Fail> {
    if elements <= ELEMENTS_MAX {
        return Ok(());
    }
    let text = format!("{elements} elements in one call: expected at most {ELEMENTS_MAX}");
    Err(Fail::rpc(RpcError::INVALID_RPC_ARGUMENTS, text))
}

fn too_many_replicas(replicas: usize) -> Fail {
    let text = format!("{replicas} replicas in one reply: expected at most {REPLY_REPLICAS_MAX}");
    Fail::rpc(RpcError::MESSAGE_TOO_LARGE, text)
}

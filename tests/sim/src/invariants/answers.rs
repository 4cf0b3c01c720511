//! AnswersFollowLog: each answer is compared with what the entries say.

use standfast_kernel::api::{
    DEFAULT_TENANT, Refusal, ReplicaDescriptor, ReplicaDescriptors, Request, Response, TransferBuffers,
};
use standfast_kernel::types::{ClientId, TransferKind, scoped_key};

use super::log::ShadowObject;
use super::{Invariant, Outcome, Shadow};

impl Shadow {
    fn object(&self, key: &[u8]) -> Option<&ShadowObject> {
        self.objects.get(scoped_key(DEFAULT_TENANT, key).as_slice())
    }

    /// Judges an answer that was just decided on this log. Calls have one element each.
    pub(crate) fn judge(&self, request: &Request, response: &Response) -> Outcome {
        let holds = match (request, response) {
            (Request::MountSegment { segment, .. }, Response::MountSegment(answer)) => {
                answer.is_ok() && self.is_mounted(segment.id)
            }
            // A client that is OK already is not listened to (SEMANTICS 2.5).
            (Request::ReMountSegment { client, segments }, Response::ReMountSegment(answer)) => {
                let all = segments.iter().all(|s| self.is_mounted(s.id));
                answer.is_ok() && (all || self.ok.contains(client))
            }
            (Request::UnmountSegment { segment, .. }, Response::UnmountSegment(answer)) => {
                answer.is_ok() && !self.is_mounted(*segment)
            }
            (Request::PutStart { client, items, .. }, Response::PutStart(answers))
            | (Request::UpsertStart { client, items, .. }, Response::UpsertStart(answers)) => {
                self.started(*client, &items[0].key, &answers[0])
            }
            (Request::PutEnd { client, items, .. }, Response::PutEnd(answers)) => {
                let object = self.object(&items[0].key);
                match &answers[0] {
                    Ok(()) => object.is_some_and(|o| o.is_readable() && o.writer == *client),
                    refused => self.refused_end(*client, &items[0].key, refused),
                }
            }
            (Request::PutRevoke { client, keys, .. }, Response::PutRevoke(answers)) => {
                let object = self.object(&keys[0]);
                match &answers[0] {
                    Ok(()) => object.is_none() || self.was_resolved(&keys[0]),
                    Err(Refusal::InvalidWrite(_)) => object.is_some_and(ShadowObject::is_readable),
                    refused => self.refused_end(*client, &keys[0], refused),
                }
            }
            (Request::GetReplicaList { keys }, Response::GetReplicaList(answers)) => {
                let object = self.object(&keys[0]);
                match &answers[0] {
                    Ok(list) => object.is_some_and(|o| {
                        let readable = o.replicas.iter().filter(|r| r.is_complete()).map(|r| r.id);
                        let all = list.replicas.iter().map(|r| r.id).eq(readable);
                        all && o.checksum == list.checksum && !list.replicas.is_empty()
                    }),
                    Err(Refusal::ObjectNotFound) => object.is_none(),
                    Err(Refusal::ReplicaIsNotReady) => object.is_some_and(|o| !o.is_readable()),
                    Err(_) => false,
                }
            }
            (Request::ExistKey { keys }, Response::ExistKey(answers)) => {
                let there = self.object(&keys[0]).is_some_and(ShadowObject::is_readable);
                answers[0] == Ok(there)
            }
            (Request::Remove { keys, .. }, Response::Remove(answers)) => {
                let object = self.object(&keys[0]);
                match &answers[0] {
                    Ok(()) | Err(Refusal::ObjectNotFound) => object.is_none(),
                    Err(Refusal::ReplicaIsNotReady) => object.is_some_and(|o| !o.is_complete()),
                    Err(Refusal::ObjectHasReplicationTask) => object.is_some_and(|o| o.transfer.is_some()),
                    Err(Refusal::ObjectHasLease) => object.is_some(),
                    Err(_) => false,
                }
            }
            (Request::CopyStart { client, key, .. }, Response::CopyStart(answer)) => {
                self.transfer_started(*client, TransferKind::Copy, key, answer)
            }
            (Request::MoveStart { client, key, .. }, Response::MoveStart(answer)) => {
                self.transfer_started(*client, TransferKind::Move, key, answer)
            }
            (Request::CopyEnd { client, key }, Response::CopyEnd(answer))
            | (Request::MoveEnd { client, key }, Response::MoveEnd(answer))
            | (Request::CopyRevoke { client, key }, Response::CopyRevoke(answer))
            | (Request::MoveRevoke { client, key }, Response::MoveRevoke(answer)) => {
                self.transfer_over(*client, key, answer)
            }
            _ => false,
        };
        Invariant::AnswersFollowLog.check(holds, || format!("{request:?} was answered {response:?}"))
    }

    fn was_resolved(&self, key: &[u8]) -> bool {
        self.resolved.contains(scoped_key(DEFAULT_TENANT, key).as_slice())
    }

    fn refused_end(&self, client: ClientId, key: &[u8], answer: &Result<(), Refusal>) -> bool {
        let object = self.object(key);
        match answer {
            Err(Refusal::ObjectNotFound) => object.is_none(),
            Err(Refusal::IllegalClient) => object.is_some_and(|o| o.writer != client),
            // Of an attempt that was preempted, or because what is written are a transfer's targets.
            Err(Refusal::InvalidWrite(_)) => {
                self.was_resolved(key) || object.is_some_and(|o| o.transfer.is_some())
            }
            Ok(()) | Err(_) => false,
        }
    }

    fn started(&self, client: ClientId, key: &[u8], answer: &Result<ReplicaDescriptors, Refusal>) -> bool {
        let object = self.object(key);
        match answer {
            Ok(replicas) => object.is_some_and(|o| {
                let same = replicas.iter().map(|r| r.id).eq(o.replicas.iter().map(|r| r.id));
                same && !replicas.is_empty() && !o.is_readable() && o.writer == client
            }),
            Err(Refusal::ObjectAlreadyExists) => object.is_some(),
            Err(Refusal::ObjectHasReplicationTask) => object.is_some_and(|o| o.transfer.is_some()),
            Err(Refusal::NoAvailableHandle(_)) => object.is_none(),
            Err(_) => false,
        }
    }

    fn transfer_started(
        &self,
        client: ClientId,
        kind: TransferKind,
        key: &[u8],
        answer: &Result<TransferBuffers, Refusal>,
    ) -> bool {
        let object = self.object(key);
        match answer {
            Ok(buffers) => object.is_some_and(|o| {
                let own = o.transfer.is_some_and(|t| t.client == client && t.kind == kind);
                let is_open =
                    |r: &ReplicaDescriptor| o.replicas.iter().any(|s| s.id == r.id && !s.is_complete());
                own && o.is_readable() && buffers.targets.iter().all(is_open)
            }),
            Err(Refusal::ObjectNotFound) => object.is_none(),
            Err(Refusal::ObjectHasReplicationTask) => object.is_some_and(|o| o.transfer.is_some()),
            Err(Refusal::ReplicaNotFound | Refusal::NoAvailableHandle(_)) => {
                object.is_some_and(|o| o.transfer.is_none())
            }
            // Decided before the object is looked at.
            Err(Refusal::SegmentNotFound(_)) => true,
            Err(_) => false,
        }
    }

    fn transfer_over(&self, client: ClientId, key: &[u8], answer: &Result<(), Refusal>) -> bool {
        let object = self.object(key);
        let transfer = object.and_then(|o| o.transfer);
        match answer {
            Ok(()) | Err(Refusal::ObjectNoReplicationTask | Refusal::ReplicaIsGone) => transfer.is_none(),
            Err(Refusal::ObjectNotFound) => object.is_none(),
            Err(Refusal::IllegalClient) => transfer.is_some_and(|t| t.client != client),
            Err(_) => false,
        }
    }
}

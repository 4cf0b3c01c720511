//! AnswersFollowLog: each answer is compared with what the entries say.

use standfast_kernel::api::{DEFAULT_TENANT, Refusal, Request, Response};
use standfast_kernel::types::scoped_key;

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
                answer.is_ok() && self.mounted.contains(&segment.id)
            }
            (Request::PutStart { client, items, .. }, Response::PutStart(answers)) => {
                self.put_start(*client, &items[0].key, &answers[0])
            }
            (Request::PutEnd { client, items }, Response::PutEnd(answers)) => {
                let object = self.object(&items[0].key);
                match &answers[0] {
                    Ok(()) => object.is_some_and(|o| o.complete && o.writer == *client),
                    Err(Refusal::ObjectNotFound) => object.is_none(),
                    Err(Refusal::IllegalClient) => object.is_some_and(|o| o.writer != *client),
                    Err(_) => false,
                }
            }
            (Request::GetReplicaList { keys }, Response::GetReplicaList(answers)) => {
                let object = self.object(&keys[0]);
                match &answers[0] {
                    Ok(list) => object.is_some_and(|o| {
                        let own = list.replicas.iter().all(|r| r.id >> 8 == o.started.seq);
                        o.complete && o.checksum == list.checksum && own && !list.replicas.is_empty()
                    }),
                    Err(Refusal::ObjectNotFound) => object.is_none(),
                    Err(Refusal::ReplicaIsNotReady) => object.is_some_and(|o| !o.complete),
                    Err(_) => false,
                }
            }
            (Request::ExistKey { keys }, Response::ExistKey(answers)) => {
                let there = self.object(&keys[0]).is_some_and(|o| o.complete);
                answers[0] == Ok(there)
            }
            (Request::Remove { keys, .. }, Response::Remove(answers)) => {
                let object = self.object(&keys[0]);
                match &answers[0] {
                    Ok(()) | Err(Refusal::ObjectNotFound) => object.is_none(),
                    Err(Refusal::ReplicaIsNotReady) => object.is_some_and(|o| !o.complete),
                    Err(Refusal::ObjectHasLease) => object.is_some(),
                    Err(_) => false,
                }
            }
            _ => false,
        };
        Invariant::AnswersFollowLog.check(holds, || format!("{request:?} was answered {response:?}"))
    }

    fn put_start<T>(
        &self,
        client: standfast_kernel::types::ClientId,
        key: &[u8],
        answer: &Result<Vec<T>, Refusal>,
    ) -> bool {
        let object = self.object(key);
        match answer {
            Ok(replicas) => !replicas.is_empty() && object.is_some_and(|o| !o.complete && o.writer == client),
            Err(Refusal::ObjectAlreadyExists) => object.is_some(),
            Err(Refusal::NoAvailableHandle(_)) => object.is_none(),
            Err(_) => false,
        }
    }
}

//! Batches: of more elements than a call may have, and how the others are gone through.

use super::call::{Call, invalid};
use crate::api::{Refusal, Request, Response};
use crate::store::SegmentTable;
use crate::types::limits;

impl Call<'_> {
    /// Handles a batch's elements in order. Who wants to change the segment
    /// table waits for some hundred of them, not for all.
    pub(super) fn each<T, R>(
        &mut self,
        items: &[T],
        mut one: impl FnMut(&mut Self, &SegmentTable, &T) -> R,
    ) -> Vec<R> {
        let mut done = Vec::with_capacity(items.len());
        for some in items.chunks(limits::TABLE_SLICE) {
            let table = self.master.store.segments().read();
            done.extend(some.iter().map(|item| one(self, &table, item)));
        }
        done
    }
}

/// The refusal of a batch that is too large, in each of its elements; nothing is
/// looked at. `None` for all others. Doors refuse or divide such calls before
/// they get here; the bound on work done at a time does not rest on that.
pub(super) fn refuse_large(request: &Request) -> Option<Response> {
    let n = request.elements();
    if n <= limits::BATCH_ITEMS_MAX {
        return None;
    }
    fn all<T: Clone>(n: usize) -> Vec<Result<T, Refusal>> {
        vec![Err(refusal(n)); n]
    }
    match request {
        Request::ReMountSegment { .. } => Some(Response::ReMountSegment(Err(refusal(n)))),
        Request::PutStart { .. } => Some(Response::PutStart(all(n))),
        Request::UpsertStart { .. } => Some(Response::UpsertStart(all(n))),
        Request::PutEnd { .. } => Some(Response::PutEnd(all(n))),
        Request::PutRevoke { .. } => Some(Response::PutRevoke(all(n))),
        Request::GetReplicaList { .. } => Some(Response::GetReplicaList(all(n))),
        Request::ExistKey { .. } => Some(Response::ExistKey(all(n))),
        Request::Remove { .. } => Some(Response::Remove(all(n))),
        // These name what they did; they have no place for an error.
        Request::BatchReplicaClear { .. } => Some(Response::BatchReplicaClear(Vec::new())),
        Request::BatchQueryIp { .. } => Some(Response::BatchQueryIp(std::collections::BTreeMap::new())),
        _ => None,
    }
}

fn refusal(n: usize) -> Refusal {
    invalid("number of elements", &n, "at most 10000")
}

const _: () = assert!(limits::BATCH_ITEMS_MAX == 10_000, "the refusal says so");

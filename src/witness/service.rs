//! The witness's door: etcd's messages in and out. What nodes do not use is
//! refused by name.

use std::pin::Pin;

use bytes::Bytes;
use standfast_kernel::coordination::{Change, Compare, Outcome, Put, Revision, Txn, Versioned};
use standfast_proto::etcdserverpb as pb;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::state::{Refused, Witness};

/// Answers of one watch stream on their way.
const ANSWERS_MAX: usize = 64;
/// Watches of one stream.
const WATCHES_MAX: usize = 16;
/// What etcd answers a question for progress and a watch that it refuses with: it belongs to no watch.
const NO_WATCH: i64 = -1;

/// Serves one witness.
#[derive(Debug, Clone)]
pub(super) struct WitnessDoor {
    pub(super) witness: Witness,
}

fn header(at: Revision) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader { revision: at.0 as i64, ..Default::default() })
}

fn unsupported(what: &str) -> Status {
    Status::unimplemented(format!("a witness does not know {what}: it serves what Standfast uses of etcd"))
}

fn key_value(key: &Bytes, r: &Versioned<Bytes>) -> pb::KeyValue {
    pb::KeyValue {
        key: key.clone(),
        value: r.value.clone(),
        create_revision: r.created.0 as i64,
        mod_revision: r.modified.0 as i64,
        // etcd counts writes; what matters of it is that it is not 0.
        version: 1,
        lease: 0,
    }
}

impl WitnessDoor {
    fn read(&self, range: &pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        if range.revision != 0 {
            return Err(unsupported("reads of the past"));
        }
        let (at, found) = self.witness.range(&range.key, &range.range_end);
        let count = found.len() as i64;
        let kvs = found.iter().map(|(key, r)| key_value(key, r)).collect();
        Ok(pb::RangeResponse { header: header(at), kvs, more: false, count })
    }

    /// Reads without compares: one moment for all, because nothing is between them.
    fn read_all(&self, ops: &[pb::RequestOp]) -> Result<pb::TxnResponse, Status> {
        loop {
            let before = self.witness.revision();
            let mut responses = Vec::with_capacity(ops.len());
            for op in ops {
                let Some(pb::request_op::Request::RequestRange(range)) = &op.request else {
                    return Err(unsupported("reads mixed with writes"));
                };
                let read = Some(pb::response_op::Response::ResponseRange(self.read(range)?));
                responses.push(pb::ResponseOp { response: read });
            }
            if self.witness.revision() == before {
                return Ok(pb::TxnResponse { header: header(before), succeeded: true, responses });
            }
        }
    }
}

fn compare(c: &pb::Compare) -> Result<Compare<Bytes>, Status> {
    use pb::compare::{CompareResult, TargetUnion};
    if c.result() != CompareResult::Equal || !c.range_end.is_empty() {
        return Err(unsupported("compares other than equality of one key"));
    }
    match c.target_union {
        Some(TargetUnion::ModRevision(r)) => Ok(Compare::Modified(c.key.clone(), wanted(r)?)),
        Some(TargetUnion::CreateRevision(r)) => Ok(Compare::Created(c.key.clone(), wanted(r)?)),
        _ => Err(unsupported("compares other than of mod_revision and create_revision")),
    }
}

fn wanted(r: i64) -> Result<Revision, Status> {
    u64::try_from(r)
        .map(Revision)
        .map_err(|_| Status::invalid_argument(format!("revision {r}: expected 0 or more")))
}

fn write(op: &pb::RequestOp) -> Result<Put<Bytes, Bytes>, Status> {
    use pb::request_op::Request;
    match &op.request {
        Some(Request::RequestPut(put)) if put.lease != 0 => Err(unsupported("leases")),
        Some(Request::RequestPut(put)) if put.key.is_empty() => {
            Err(Status::invalid_argument("key is not provided"))
        }
        Some(Request::RequestPut(put)) => Ok(Put::Set(put.key.clone(), put.value.clone())),
        Some(Request::RequestDeleteRange(delete)) if !delete.range_end.is_empty() => {
            Err(unsupported("deletion of ranges"))
        }
        Some(Request::RequestDeleteRange(delete)) => Ok(Put::Delete(delete.key.clone())),
        Some(Request::RequestRange(_)) => Err(unsupported("reads mixed with writes")),
        None => Err(Status::invalid_argument("an empty operation")),
    }
}

fn read_key(op: &pb::RequestOp) -> Result<Bytes, Status> {
    match &op.request {
        Some(pb::request_op::Request::RequestRange(r)) if r.range_end.is_empty() && r.revision == 0 => {
            Ok(r.key.clone())
        }
        _ => Err(unsupported("anything but reads of single keys where a compare fails")),
    }
}

fn answer_to(put: &Put<Bytes, Bytes>, at: Revision) -> pb::ResponseOp {
    use pb::response_op::Response::{ResponseDeleteRange, ResponsePut};
    let response = match put {
        Put::Set(..) => ResponsePut(pb::PutResponse { header: header(at) }),
        Put::Delete(_) => ResponseDeleteRange(pb::DeleteRangeResponse { header: header(at), deleted: 0 }),
    };
    pb::ResponseOp { response: Some(response) }
}

#[tonic::async_trait]
impl pb::kv_server::Kv for WitnessDoor {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        Ok(Response::new(self.read(request.get_ref())?))
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let request = request.into_inner();
        let reads = |op: &pb::RequestOp| matches!(op.request, Some(pb::request_op::Request::RequestRange(_)));
        if request.compare.is_empty() && !request.success.is_empty() && request.success.iter().all(reads) {
            return Ok(Response::new(self.read_all(&request.success)?));
        }
        let txn = Txn {
            compares: request.compare.iter().map(compare).collect::<Result<_, _>>()?,
            then: request.success.iter().map(write).collect::<Result<Vec<_>, _>>()?,
            or_else: request.failure.iter().map(read_key).collect::<Result<_, _>>()?,
        };
        let then = txn.then.clone();
        let outcome = self.witness.apply(txn).await.map_err(|refused| match refused {
            Refused::DuplicateKey => Status::invalid_argument(format!("etcdserver: {refused}")),
            Refused::Full => Status::resource_exhausted(refused.to_string()),
            Refused::Broken => Status::unavailable(refused.to_string()),
        })?;
        let answer = match outcome {
            Outcome::Committed(at) => {
                let responses = then.iter().map(|put| answer_to(put, at)).collect();
                pb::TxnResponse { header: header(at), succeeded: true, responses }
            }
            Outcome::CompareFailed(truth) => {
                let range = |(key, r): &(Bytes, Option<Versioned<Bytes>>)| {
                    let kvs: Vec<_> = r.iter().map(|r| key_value(key, r)).collect();
                    let count = kvs.len() as i64;
                    let range = pb::RangeResponse { header: header(truth.at), kvs, more: false, count };
                    pb::ResponseOp { response: Some(pb::response_op::Response::ResponseRange(range)) }
                };
                let responses = truth.records.iter().map(range).collect();
                pb::TxnResponse { header: header(truth.at), succeeded: false, responses }
            }
            Outcome::Unknown(what) => return Err(Status::unavailable(what)),
        };
        Ok(Response::new(answer))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let (at, now) = (wanted(request.get_ref().revision)?, self.witness.revision());
        if at > now {
            return Err(Status::out_of_range("etcdserver: mvcc: required revision is a future revision"));
        }
        self.witness.compact(at);
        Ok(Response::new(pb::CompactionResponse { header: header(now) }))
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl pb::watch_server::Watch for WitnessDoor {
    type WatchStream = Answers;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (answers, receiver) = mpsc::channel(ANSWERS_MAX);
        let watches = Watches { witness: self.witness.clone(), answers, list: Vec::new(), next_id: 0 };
        tokio::spawn(watches.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// The watches of one stream.
struct Watches {
    witness: Witness,
    answers: mpsc::Sender<Result<pb::WatchResponse, Status>>,
    list: Vec<OneWatch>,
    next_id: i64,
}

struct OneWatch {
    id: i64,
    key: Bytes,
    end: Bytes,
    /// Told up to here, exclusive.
    next: Revision,
}

/// Nobody listens any more.
struct Gone;

impl Watches {
    async fn run(mut self, mut requests: Streaming<pb::WatchRequest>) {
        let mut revisions = self.witness.revisions();
        let witness = self.witness.clone();
        loop {
            let done = tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.request(request).await,
                    Ok(None) | Err(_) => return,
                },
                changed = revisions.changed() => match changed {
                    Ok(()) => self.tell().await,
                    Err(_) => return,
                },
                () = witness.stopped() => return,
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn send(&self, answer: Result<pb::WatchResponse, Status>) -> Result<(), Gone> {
        self.answers.send(answer).await.map_err(|_| Gone)
    }

    async fn request(&mut self, request: pb::WatchRequest) -> Result<(), Gone> {
        use pb::watch_request::RequestUnion;
        let now = self.witness.revision();
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => {
                if self.list.len() >= WATCHES_MAX {
                    // As etcd refuses a watch: the others of the stream go on.
                    let refused = pb::WatchResponse {
                        header: header(now),
                        watch_id: NO_WATCH,
                        created: true,
                        canceled: true,
                        cancel_reason: format!("one stream has at most {WATCHES_MAX} watches"),
                        ..Default::default()
                    };
                    return self.send(Ok(refused)).await;
                }
                let (id, from) = (self.next_id, u64::try_from(create.start_revision).unwrap_or(0));
                self.next_id += 1;
                let next = if from == 0 { now.next() } else { Revision(from) };
                let watch = OneWatch { id, key: create.key, end: create.range_end, next };
                let created = pb::WatchResponse {
                    header: header(now),
                    watch_id: id,
                    created: true,
                    ..Default::default()
                };
                self.send(Ok(created)).await?;
                self.list.push(watch);
                self.tell().await
            }
            Some(RequestUnion::CancelRequest(cancel)) => {
                let before = self.list.len();
                self.list.retain(|w| w.id != cancel.watch_id);
                if self.list.len() == before {
                    // It has ended already, and its client was told so: etcd is silent, too.
                    return Ok(());
                }
                let cancelled = pb::WatchResponse {
                    header: header(now),
                    watch_id: cancel.watch_id,
                    canceled: true,
                    ..Default::default()
                };
                self.send(Ok(cancelled)).await
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                // Everything up to that revision is told first.
                self.tell().await?;
                let alive =
                    pb::WatchResponse { header: header(now), watch_id: NO_WATCH, ..Default::default() };
                self.send(Ok(alive)).await
            }
            None => self.send(Err(Status::invalid_argument("an empty watch request"))).await,
        }
    }

    /// Tells every watch what is new for it.
    async fn tell(&mut self) -> Result<(), Gone> {
        let mut answers = Vec::new();
        let witness = &self.witness;
        self.list.retain_mut(|w| match witness.changes(w.next, &w.key, &w.end) {
            Ok((upto, changes)) => {
                w.next = w.next.max(upto.next());
                if !changes.is_empty() {
                    let events = changes.iter().map(event).collect();
                    answers.push(pb::WatchResponse {
                        header: header(upto),
                        watch_id: w.id,
                        events,
                        ..Default::default()
                    });
                }
                true
            }
            Err(compacted) => {
                answers.push(pb::WatchResponse {
                    header: header(witness.revision()),
                    watch_id: w.id,
                    canceled: true,
                    compact_revision: compacted.0.0 as i64,
                    cancel_reason: compacted.to_string(),
                    ..Default::default()
                });
                false
            }
        });
        for answer in answers {
            self.send(Ok(answer)).await?;
        }
        Ok(())
    }
}

fn event(change: &Change<Bytes, Bytes>) -> pb::Event {
    use pb::event::EventType;
    let (r#type, kv) = match &change.record {
        Some(record) => (EventType::Put, key_value(&change.key, record)),
        None => {
            let kv = pb::KeyValue {
                key: change.key.clone(),
                mod_revision: change.revision.0 as i64,
                ..Default::default()
            };
            (EventType::Delete, kv)
        }
    };
    pb::Event { r#type: r#type.into(), kv: Some(kv) }
}

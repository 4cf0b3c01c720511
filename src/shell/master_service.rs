//! The hall: every door's calls come here (plan task 1.3).

use std::sync::Arc;
use std::time::Duration;

use standfast_kernel::api::{Refusal, Request, Response};
use standfast_kernel::types::{Epoch, Instant, SeqRuns, limits};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, Semaphore};

use super::serving::{ServingCell, Wait};
use super::traffic::{call_number, snake_case};
use super::{Door, StatusBoard, Traffic};
use crate::ports::Clock;
use crate::telemetry::otel::{self, Begun, Parent};
use crate::telemetry::{Instruments, RequestStages};

/// How long a call may wait for its position before its outcome is unknown.
#[must_use]
pub fn call_timeout() -> Duration {
    Duration::from_secs(5)
}

/// So many calls may walk the store at a time: each has a thread of its own, and builds an
/// answer that may name every object.
const WALKS_MAX: usize = 2;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Definitely nothing was done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// More elements than a batch may have; nothing was done.
    #[error("{0} elements in one call: expected at most {max}", max = limits::BATCH_ITEMS_MAX)]
    TooMany(usize),
    /// It may or may not take effect; never to be read as "failed".
    #[error("the outcome is unknown: {0}")]
    Unknown(&'static str),
}

impl Fault {
    /// A stable word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::NotPrimary { .. }) => "not_primary",
            Self::Refused(Refusal::Unavailable(_)) => "unavailable",
            Self::Refused(_) => "refused",
            Self::TooMany(_) => "limit_exceeded",
            Self::Unknown(_) => "outcome_unknown",
        }
    }
}

/// What a request came over. One that was given up by its client may be delivered long afterwards, when a connection
/// that was cut carries again: then this node may have stepped down and lead anew, and somebody may have been told
/// since that what it would change is as it was put. Nobody waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// It ends with the term, as all connections of its port do.
    OfTerm,
    /// It was accepted while this node led in that epoch, or did not lead.
    Since(Option<Epoch>),
}

impl Line {
    /// True when what it carries may have been meant for another term.
    fn is_older_than(self, term: Epoch) -> bool {
        match self {
            Self::OfTerm => false,
            Self::Since(epoch) => epoch != Some(term),
        }
    }
}

/// The keys that a request names.
fn keys(request: &Request) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    match request {
        Request::PutStart { items, .. } | Request::UpsertStart { items, .. } => {
            Box::new(items.iter().map(|i| &*i.key))
        }
        Request::PutEnd { items, .. } => Box::new(items.iter().map(|i| &*i.key)),
        Request::PutRevoke { keys, .. }
        | Request::GetReplicaList { keys }
        | Request::ExistKey { keys }
        | Request::Remove { keys, .. }
        | Request::BatchReplicaClear { keys, .. } => Box::new(keys.iter().map(|key| &**key)),
        Request::CopyStart { key, .. }
        | Request::CopyEnd { key, .. }
        | Request::CopyRevoke { key, .. }
        | Request::MoveStart { key, .. }
        | Request::MoveEnd { key, .. }
        | Request::MoveRevoke { key, .. }
        | Request::CreateCopyTask { key, .. }
        | Request::CreateMoveTask { key, .. } => Box::new(std::iter::once(&**key)),
        Request::MountSegment { .. }
        | Request::ReMountSegment { .. }
        | Request::UnmountSegment { .. }
        | Request::GracefulUnmountSegment { .. }
        | Request::QuerySegmentStatus { .. }
        | Request::Ping { .. }
        | Request::BatchQueryIp { .. }
        | Request::GetFsdir
        | Request::GetStorageConfig
        | Request::GetReplicaListByRegex { .. }
        | Request::RemoveByRegex { .. }
        | Request::RemoveAll { .. }
        | Request::QueryTask { .. }
        | Request::FetchTasks { .. }
        | Request::MarkTaskToComplete { .. }
        | Request::ListKeys { .. }
        | Request::GetMetadata { .. }
        | Request::PutMetadata { .. }
        | Request::RemoveMetadata { .. } => Box::new(std::iter::empty()),
    }
}

/// Does long work in such a way that the other tasks of this worker go on meanwhile: heartbeats
/// and acknowledgements among them, without which a primary loses its right to answer.
fn off_worker<T>(work: impl FnOnce() -> T) -> T {
    // A runtime of one thread, as some tests have, has nobody to hand them to.
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Executes requests on the current master and holds each reply until it is
/// safe to send.
pub struct MasterService<C> {
    clock: Arc<C>,
    serving: Arc<ServingCell>,
    board: Arc<StatusBoard>,
    traffic: Arc<Traffic>,
    appended: Arc<Notify>,
    instruments: Instruments,
    /// Turns of calls that walk the store.
    walks: Semaphore,
}

/// What a request left behind: its entries, and when they were there.
#[derive(Default)]
struct Written {
    entries: SeqRuns,
    epoch: Epoch,
    decided: Instant,
    appended: Instant,
}

impl<C: Clock> MasterService<C> {
    /// Over the shared state of one node.
    #[must_use]
    pub fn new(
        clock: Arc<C>,
        serving: Arc<ServingCell>,
        board: Arc<StatusBoard>,
        traffic: Arc<Traffic>,
        appended: Arc<Notify>,
        instruments: Instruments,
    ) -> Self {
        let walks = Semaphore::new(WALKS_MAX);
        Self { clock, serving, board, traffic, appended, instruments, walks }
    }

    /// Whether this node serves at all.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.serving.current().is_some()
    }

    /// What became of calls.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Executes one request that came through `door`.
    ///
    /// # Errors
    /// A refusal is definite; [`Fault::Unknown`] is not.
    pub async fn call(&self, door: Door, request: Request) -> Result<Response, Fault> {
        self.call_in(None, (door, Line::OfTerm), request).await
    }

    /// What a connection is that is accepted now.
    #[must_use]
    pub fn line(&self) -> Line {
        Line::Since(self.serving.current().map(|term| term.epoch()))
    }

    /// The same as a part of the caller's trace.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_in(
        &self,
        parent: Option<Parent>,
        (door, line): (Door, Line),
        request: Request,
    ) -> Result<Response, Fault> {
        let received = self.clock.now();
        self.traffic.received(door, &request);
        let begun = self.instruments.tracer.as_ref().map(|t| t.begin(parent, keys(&request)));
        let mut written = Written { decided: received, appended: received, ..Written::default() };
        let answer = self.execute((door, line), received, &request, begun.as_ref(), &mut written).await;
        let replied = self.clock.now();
        if answer.is_ok() && !written.entries.is_empty() {
            self.instruments.recorder.replied(&written.entries, replied);
            let Written { decided, appended, .. } = written;
            let stages = [decided.since(received), appended.since(decided), replied.since(appended)];
            self.traffic.passed(request.name(), stages);
        }
        self.traffic.took(door, request.name(), replied.since(received));
        match &answer {
            Ok(response) => self.traffic.answered(door, request.name(), request.is_mutation(), response),
            Err(Fault::Refused(_) | Fault::TooMany(_)) => self.traffic.refused(),
            Err(Fault::Unknown(_)) => self.traffic.unknown(),
        }
        if let (Some(tracer), Some(begun)) = (&self.instruments.tracer, begun) {
            let Written { entries, epoch, decided, appended } = written;
            let (call, door) = (snake_case(request.name()), door.word());
            let error = answer.as_ref().err().map(Fault::word);
            let times = otel::Times { received, decided, appended, replied };
            tracer.answered(otel::Request { begun, call, door, epoch, entries, times, error });
        }
        answer
    }

    async fn execute(
        &self,
        (door, line): (Door, Line),
        received: Instant,
        request: &Request,
        begun: Option<&Begun>,
        written: &mut Written,
    ) -> Result<Response, Fault> {
        let elements = request.elements();
        if elements > limits::BATCH_ITEMS_MAX {
            return Err(Fault::TooMany(elements));
        }
        // Before anything is judged: a turn may be long in coming. The semaphore is never closed.
        let turn = if request.walks_the_store() { self.walks.acquire().await.ok() } else { None };
        let term = self.serving.current().ok_or_else(|| self.board.not_primary())?;
        if line.is_older_than(term.epoch()) {
            // Nothing was done, and who still wants it connects anew.
            return Err(self.board.not_primary().into());
        }
        let decided = self.clock.now();
        if let Some(why) = term.refuses_answers(decided) {
            return Err(Refusal::Unavailable(why).into());
        }
        if let Some(why) = term.refuses(request, self.clock.now()) {
            return Err(Refusal::Unavailable(why).into());
        }
        if term.is_full() {
            return Err(Refusal::Unavailable("too many replies wait for the in-sync standbys").into());
        }
        let execute = || term.execute(request, &*self.clock);
        let executed = if turn.is_some() { off_worker(execute) } else { execute() };
        drop(turn);
        let Some((mut executed, wait)) = executed else {
            return Err(self.board.not_primary().into());
        };
        if executed.appended {
            let appended = self.clock.now();
            let (entries, epoch) = (std::mem::take(&mut executed.entries), term.epoch());
            *written = Written { entries, epoch, decided, appended };
            let (call, door) = (call_number(request.name()), door as u8);
            let trace_id = begun.filter(|b| b.sampled).map(|b| b.context.trace_id);
            let stages = RequestStages { call, door, received, decided, appended, replied: None, trace_id };
            self.instruments.recorder.appended(&written.entries, &stages);
            if let (Some(tracer), Some(begun)) = (&self.instruments.tracer, begun) {
                tracer.appended(begun, &written.entries);
            }
            self.appended.notify_one();
        }
        match wait {
            Wait::Now => {}
            Wait::Later(committed) => match tokio::time::timeout(call_timeout(), committed).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    return Err(Fault::Unknown("this node stepped down before the write was committed"));
                }
                Err(_) => return Err(Fault::Unknown("the in-sync standbys have not acknowledged in time")),
            },
        }
        term.has_answered(request, self.clock.now());
        Ok(executed.response)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// With one worker, long work that waits for another task of that worker would wait for ever.
    #[test]
    fn long_work_holds_no_other_task_of_its_worker_up() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let (tell, told) = mpsc::sync_channel(1);
        let done = runtime.block_on(async {
            let long = tokio::spawn(async move {
                tokio::spawn(async move { tell.send("a heartbeat").expect("somebody waits") });
                off_worker(|| told.recv_timeout(Duration::from_secs(30)))
            });
            long.await.expect("no panic")
        });
        assert_eq!(done, Ok("a heartbeat"));
    }
}

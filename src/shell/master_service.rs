//! The hall: every door's calls come here (plan task 1.3).

use std::sync::Arc;
use std::time::Duration;

use standfast_kernel::api::{Refusal, Request, Response};
use standfast_kernel::types::{Instant, SeqRuns, limits};
use tokio::sync::Notify;

use super::serving::{ServingCell, Wait};
use super::traffic::call_number;
use super::{Door, StatusBoard, Traffic};
use crate::ports::Clock;
use crate::telemetry::{Recorder, RequestStages};

/// How long a call may wait for its position before its outcome is unknown.
#[must_use]
pub fn call_timeout() -> Duration {
    Duration::from_secs(5)
}

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

/// Executes requests on the current master and holds each reply until it is
/// safe to send.
pub struct MasterService<C> {
    clock: Arc<C>,
    serving: Arc<ServingCell>,
    board: Arc<StatusBoard>,
    traffic: Arc<Traffic>,
    appended: Arc<Notify>,
    recorder: Arc<Recorder>,
}

/// What a request left behind: its entries, and when they were there.
#[derive(Default)]
struct Written {
    entries: SeqRuns,
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
        recorder: Arc<Recorder>,
    ) -> Self {
        Self { clock, serving, board, traffic, appended, recorder }
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
        let received = self.clock.now();
        self.traffic.received(door, &request);
        let mut written = Written::default();
        let answer = self.execute(door, received, &request, &mut written).await;
        let replied = self.clock.now();
        if answer.is_ok() && !written.entries.is_empty() {
            self.recorder.replied(&written.entries, replied);
            let Written { decided, appended, .. } = written;
            self.traffic.passed([decided.since(received), appended.since(decided), replied.since(appended)]);
        }
        self.traffic.took(door, request.name(), replied.since(received));
        match &answer {
            Ok(response) => self.traffic.answered(door, request.name(), request.is_mutation(), response),
            Err(Fault::Refused(_) | Fault::TooMany(_)) => self.traffic.refused(),
            Err(Fault::Unknown(_)) => self.traffic.unknown(),
        }
        answer
    }

    async fn execute(
        &self,
        door: Door,
        received: Instant,
        request: &Request,
        written: &mut Written,
    ) -> Result<Response, Fault> {
        let elements = request.elements();
        if elements > limits::BATCH_ITEMS_MAX {
            return Err(Fault::TooMany(elements));
        }
        let term = self.serving.current().ok_or_else(|| self.board.not_primary())?;
        let decided = self.clock.now();
        if !term.may_answer(decided) {
            let why = "an in-sync standby has not renewed its promise; `standfast status` names it";
            return Err(Refusal::Unavailable(why).into());
        }
        if term.is_full() {
            return Err(Refusal::Unavailable("too many replies wait for the in-sync standbys").into());
        }
        let Some((mut executed, wait)) = term.execute(request, &*self.clock) else {
            return Err(self.board.not_primary().into());
        };
        if executed.appended {
            self.appended.notify_one();
            let appended = self.clock.now();
            *written = Written { entries: std::mem::take(&mut executed.entries), decided, appended };
            let (call, door) = (call_number(request.name()), door as u8);
            let stages =
                RequestStages { call, door, received, decided, appended, replied: None, trace_id: None };
            self.recorder.appended(&written.entries, &stages);
        }
        match wait {
            Wait::Now => Ok(executed.response),
            Wait::Later(committed) => match tokio::time::timeout(call_timeout(), committed).await {
                Ok(Ok(())) => Ok(executed.response),
                Ok(Err(_)) => Err(Fault::Unknown("this node stepped down before the write was committed")),
                Err(_) => Err(Fault::Unknown("the in-sync standbys have not acknowledged in time")),
            },
        }
    }
}

//! The hall: every door's calls come here (plan task 1.3).

use std::sync::Arc;
use std::time::Duration;

use standfast_kernel::api::{Refusal, Request, Response};
use standfast_kernel::types::limits;
use tokio::sync::Notify;

use super::serving::{ServingCell, Wait};
use super::{Door, StatusBoard, Traffic};
use crate::ports::Clock;

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
    ) -> Self {
        Self { clock, serving, board, traffic, appended }
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
        self.traffic.received(door, &request);
        let answer = self.execute(&request).await;
        match &answer {
            Ok(response) => self.traffic.answered(door, request.name(), request.is_mutation(), response),
            Err(Fault::Refused(_) | Fault::TooMany(_)) => self.traffic.refused(),
            Err(Fault::Unknown(_)) => self.traffic.unknown(),
        }
        answer
    }

    async fn execute(&self, request: &Request) -> Result<Response, Fault> {
        let elements = request.elements();
        if elements > limits::BATCH_ITEMS_MAX {
            return Err(Fault::TooMany(elements));
        }
        let term = self.serving.current().ok_or_else(|| self.board.not_primary())?;
        if !term.may_answer(self.clock.now()) {
            let why = "an in-sync standby has not renewed its promise; `standfast status` names it";
            return Err(Refusal::Unavailable(why).into());
        }
        if term.is_full() {
            return Err(Refusal::Unavailable("too many replies wait for the in-sync standbys").into());
        }
        let Some((executed, wait)) = term.execute(request, &*self.clock) else {
            return Err(self.board.not_primary().into());
        };
        if executed.appended {
            self.appended.notify_one();
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

//! For operators who look.

use std::sync::Arc;
use std::time::Duration;

use standfast_proto::v1;
use standfast_proto::v1::status_server::Status as StatusApi;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::ports::Clock;
use crate::shell::{NodeHandle, StatusBoard};

/// Shortest and longest interval of updates, in milliseconds.
const INTERVAL_MS: std::ops::RangeInclusive<u32> = 20..=60_000;
/// Interval when none is asked for.
const INTERVAL_MS_DEFAULT: u32 = 1000;

/// The status over gRPC.
pub(super) struct StatusDoor<C> {
    pub(super) board: Arc<StatusBoard>,
    pub(super) node: NodeHandle,
    pub(super) clock: Arc<C>,
    pub(super) recounting: tokio::sync::Mutex<()>,
}

#[tonic::async_trait]
impl<C: Clock> StatusApi for StatusDoor<C> {
    async fn get_status(&self, r: Request<v1::GetStatusRequest>) -> Result<Response<v1::NodeStatus>, Status> {
        let v1::GetStatusRequest { recount, events_after } = r.into_inner();
        self.node.refresh().await;
        let (board, now, taken) = (Arc::clone(&self.board), self.clock.now(), self.clock.wall());
        if !recount {
            return Ok(Response::new(board.status(now, taken, false, events_after)));
        }
        // A recount hashes the whole store: one at a time, and off the workers
        // that heartbeats need.
        let _one = self.recounting.lock().await;
        let counted = tokio::task::spawn_blocking(move || board.status(now, taken, true, events_after)).await;
        counted.map(Response::new).map_err(|_| Status::internal("the recount was cancelled"))
    }

    async fn get_history(
        &self,
        r: Request<v1::GetHistoryRequest>,
    ) -> Result<Response<v1::HistoryReply>, Status> {
        let history = self.board.history();
        let rows = history.rows(r.into_inner().limit as usize);
        Ok(Response::new(v1::HistoryReply { rows, durable: history.is_durable() }))
    }

    type WatchStatusStream = ReceiverStream<Result<v1::StatusUpdate, Status>>;

    async fn watch_status(
        &self,
        r: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let v1::WatchStatusRequest { interval_ms, events_after } = r.into_inner();
        let interval_ms = if interval_ms == 0 { INTERVAL_MS_DEFAULT } else { interval_ms };
        let interval_ms = interval_ms.clamp(*INTERVAL_MS.start(), *INTERVAL_MS.end());
        let (tx, rx) = mpsc::channel(1);
        let (board, clock) = (Arc::clone(&self.board), Arc::clone(&self.clock));
        tokio::spawn(watch(board, clock, interval_ms, events_after, tx));
        Ok(Response::new(ReceiverStream::new(rx)))
    }
}

/// Sends updates until the watcher leaves. One that reads slowly gets fewer.
async fn watch<C: Clock>(
    board: Arc<StatusBoard>,
    clock: Arc<C>,
    interval_ms: u32,
    mut events_after: Option<u64>,
    tx: mpsc::Sender<Result<v1::StatusUpdate, Status>>,
) {
    let mut ticks = tokio::time::interval(Duration::from_millis(u64::from(interval_ms)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for number in 1.. {
        ticks.tick().await;
        let status = board.status(clock.now(), clock.wall(), false, events_after);
        events_after = status.events.last().map(|e| e.number).or(events_after);
        let update = v1::StatusUpdate { number, interval_ms, status: Some(status) };
        if tx.send(Ok(update)).await.is_err() {
            return;
        }
    }
}

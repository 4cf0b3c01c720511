//! The standard health service, for what probes gRPC (SERVING is `readyz`;
//! for the service `standfast.v1.Master` it is `primary`).

use std::sync::Arc;
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use crate::ports::Clock;
use crate::shell::StatusBoard;

/// How often the state is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// The service whose health is whether this node serves clients.
const MASTER: &str = "standfast.v1.Master";

/// The service, not serving yet, and what tells it.
pub(super) fn service() -> (HealthReporter, HealthServer<impl Health>) {
    tonic_health::server::health_reporter()
}

/// Keeps the health service true until it is dropped.
pub(super) async fn keep<C: Clock>(reporter: HealthReporter, board: Arc<StatusBoard>, clock: Arc<C>) {
    let word = |ok| if ok { ServingStatus::Serving } else { ServingStatus::NotServing };
    let mut told = None;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = clock.now();
        let state = (board.ready(now).ok, board.primary(now).ok);
        if told != Some(state) {
            reporter.set_service_status("", word(state.0)).await;
            reporter.set_service_status(MASTER, word(state.1)).await;
            told = Some(state);
        }
    }
}

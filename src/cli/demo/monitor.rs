//! Follows both nodes' status while the demo runs: for the lag, and who leads.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use standfast_proto::v1::status_client::StatusClient;
use standfast_proto::v1::{NodeStatus, Role, WatchStatusRequest};
use tokio::time::Instant;

use super::super::client::{self, CONNECT_LIMIT, STATUS_LIMIT};

const INTERVAL_MS: u32 = 100;
/// Samples of the lag that are kept: more than the longest demo makes.
const SAMPLES_MAX: usize = 100_000;
const RETRY: Duration = Duration::from_millis(200);

/// The newest reading of one node.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) status: Box<NodeStatus>,
    pub(super) at: Instant,
}

/// What is known of the nodes now, in the order in which they were started.
pub(super) struct Board {
    readings: Vec<Mutex<Option<Reading>>>,
    /// Microseconds, where the primary knew.
    lags: Mutex<Vec<u64>>,
}

impl Board {
    pub(super) fn new(nodes: usize) -> Self {
        Self { readings: (0..nodes).map(|_| Mutex::default()).collect(), lags: Mutex::default() }
    }

    pub(super) fn reading(&self, node: usize) -> Option<Reading> {
        self.readings[node].lock().clone()
    }

    fn note(&self, node: usize, status: NodeStatus) {
        if let Some(lag) = measured_lag(&status) {
            let mut lags = self.lags.lock();
            if lags.len() < SAMPLES_MAX {
                lags.push(lag);
            }
        }
        *self.readings[node].lock() = Some(Reading { status: Box::new(status), at: Instant::now() });
    }

    /// Since when at the latest the primary had all that is older on a standby, by its own newest reading: when it
    /// was taken, less the lag that it told. `None` where the lag was unknown.
    pub(super) fn held_until(&self, primary: usize) -> Option<Instant> {
        let reading = self.reading(primary)?;
        let lag = measured_lag(&reading.status)?;
        reading.at.checked_sub(Duration::from_micros(lag))
    }

    /// Median and 99th percentile of the lag in milliseconds. `None` without a sample.
    pub(super) fn lag_ms(&self) -> Option<(f64, f64)> {
        let mut lags = self.lags.lock().clone();
        lags.sort_unstable();
        Some((percentile(&lags, 50)?, percentile(&lags, 99)?))
    }
}

/// The largest lag of an in-sync standby in microseconds, where this is a primary that knows it. Without contact the
/// age rises, but entries are unknown: that is no measured lag. Nor is that of a copy that is still being made.
fn measured_lag(status: &NodeStatus) -> Option<u64> {
    status.leadership.as_ref().filter(|l| l.role() == Role::Primary)?;
    let in_sync = status.standbys.iter().filter(|peer| peer.in_sync);
    let known = in_sync.filter_map(|peer| peer.lag.as_ref());
    known.filter(|lag| lag.entries.is_some()).filter_map(|lag| lag.age_us).max()
}

/// The smallest value that `percent` of the sorted microseconds do not exceed, in milliseconds.
fn percentile(sorted: &[u64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    Some(*sorted.get(rank.checked_sub(1)?)? as f64 / 1e3)
}

/// Watches one node until the task is dropped; comes back when the node does.
pub(super) async fn watch(board: Arc<Board>, node: usize, addr: String) {
    loop {
        if let Ok(channel) = client::open(&addr, CONNECT_LIMIT).await {
            let request = WatchStatusRequest { interval_ms: INTERVAL_MS, events_after: Some(u64::MAX) };
            if let Ok(mut updates) =
                client::within(STATUS_LIMIT, StatusClient::new(channel).watch_status(request)).await
            {
                while let Ok(Ok(Some(update))) = tokio::time::timeout(STATUS_LIMIT, updates.message()).await {
                    if let Some(status) = update.status {
                        board.note(node, status);
                    }
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::{Lag, Leadership, Peer};

    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<u64> = (1..=200).map(|n| n * 1000).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 99)), (Some(100.0), Some(198.0)));
        assert_eq!(percentile(&[5000], 99), Some(5.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn an_unknown_lag_is_no_sample() {
        let board = Board::new(1);
        let status = |entries, age_us| NodeStatus {
            leadership: Some(Leadership { role: Role::Primary.into(), ..Leadership::default() }),
            standbys: vec![Peer {
                in_sync: true,
                lag: Some(Lag { entries, bytes: None, age_us }),
                ..Peer::default()
            }],
            ..NodeStatus::default()
        };
        board.note(0, status(None, Some(9_000_000)));
        board.note(0, status(Some(1), None));
        assert_eq!(board.lag_ms(), None);
        board.note(0, status(Some(1), Some(2500)));
        assert_eq!(board.lag_ms(), Some((2.5, 2.5)));
        let at = board.reading(0).expect("just noted").at;
        assert_eq!(board.held_until(0), Some(at - Duration::from_micros(2500)));
        board.note(0, status(None, Some(1)));
        assert_eq!(board.held_until(0), None, "unknown is no bound");
    }
}

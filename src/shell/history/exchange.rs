//! Rows travel to where they are missing: a node asks the one that it follows,
//! now and then, and each side gives what the other lacks.

use std::sync::Arc;
use std::time::Duration;

use standfast_proto::v1;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::History;
use crate::ports::{LinkFault, PeerLink};

/// Pause between two exchanges.
const EVERY: Duration = Duration::from_secs(1);

/// Exchanges rows with whomever this node follows, until it stops. A peer that
/// cannot be reached is asked again: nothing waits for this.
pub async fn exchange_history<L: PeerLink>(
    history: Arc<History>,
    followed: watch::Receiver<Option<Arc<L>>>,
    stop: CancellationToken,
) {
    let mut pace = tokio::time::interval(EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        let peer = followed.borrow().clone();
        if let Some(peer) = peer
            && let Some(Err(fault)) = stop.run_until_cancelled(swap(&history, &*peer)).await
        {
            tracing::debug!("no history was exchanged: {fault}");
        }
    }
}

/// Asks for what is missing here, and sends what is missing there.
async fn swap<L: PeerLink>(history: &History, peer: &L) -> Result<(), LinkFault> {
    let (cluster_id, heads) = (history.cluster.clone(), history.heads());
    let answer = peer.exchange_history(v1::HistoryExchange { cluster_id, heads, rows: Vec::new() }).await?;
    history.merge(answer.rows);
    let rows = history.lacking(&answer.heads);
    if !rows.is_empty() {
        let (cluster_id, heads) = (history.cluster.clone(), history.heads());
        peer.exchange_history(v1::HistoryExchange { cluster_id, heads, rows }).await?;
    }
    Ok(())
}

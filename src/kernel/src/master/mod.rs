//! Deciding: a [`Request`] becomes [`Op`](crate::oplog::Op)s, which are logged
//! and applied, and a [`Response`] that depends on a position.

mod call;
mod decide;
mod expiry;
mod placement;
mod put;
mod read;
mod remove;
mod segment;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use crate::api::Response;
use crate::lab::Sabotage;
use crate::oplog::OpLogManager;
use crate::store::MetadataStore;
use crate::types::{Epoch, Instant, Seq, up};

/// Periods of the master (SEMANTICS 1.8, PROTOCOL T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasterTimes {
    /// Read lease.
    pub read_ttl: Duration,
    /// After this a new write may take over an unfinished one.
    pub put_discard: Duration,
    /// For this long a preempted writer's regions stay unused.
    pub put_release: Duration,
}

impl Default for MasterTimes {
    fn default() -> Self {
        Self {
            read_ttl: Duration::from_secs(10),
            put_discard: Duration::from_secs(30),
            put_release: Duration::from_secs(600),
        }
    }
}

/// What one request came to.
#[derive(Debug)]
pub struct Executed {
    /// The answer. It may not leave before the position is committed and the
    /// node has the right to answer (PROTOCOL 5).
    pub response: Response,
    /// Exclusive: everything before it must be committed.
    pub depends_on: Seq,
    /// True when the answer hands out or moves bytes: it waits for the in-sync
    /// set even in async mode (PROTOCOL A6).
    pub byte_critical: bool,
    /// True when entries were appended.
    pub appended: bool,
}

/// The deciding half of a primary. Exists for one epoch; made in O(1) from the
/// store and the log that the standby has built.
#[derive(Debug)]
pub struct Master {
    epoch: Epoch,
    store: Arc<MetadataStore>,
    log: OpLogManager,
    times: MasterTimes,
    /// When it began to decide.
    since: Instant,
    /// Until then every inherited object counts as leased (PROTOCOL A3).
    hold_until: Instant,
    rng: AtomicU64,
    /// Next shard that maintenance looks at.
    sweep: AtomicUsize,
    sabotage: Option<Sabotage>,
    ends: AtomicU64,
}

/// What a master starts from.
#[derive(Debug)]
pub struct MasterStart {
    /// The epoch in which it decides.
    pub epoch: Epoch,
    /// Now.
    pub since: Instant,
    /// End of the hold-off.
    pub hold_until: Instant,
    /// Seed of placement.
    pub seed: u64,
    /// Planted fault, where the lab is enabled.
    pub sabotage: Option<Sabotage>,
}

impl Master {
    /// Begins to decide over this store and log.
    #[must_use]
    pub fn new(
        store: Arc<MetadataStore>,
        log: OpLogManager,
        times: MasterTimes,
        start: &MasterStart,
    ) -> Self {
        let hold_until = if mutant!(NoHold) { start.since } else { start.hold_until };
        Self {
            epoch: start.epoch,
            store,
            log,
            times,
            since: start.since,
            hold_until,
            rng: AtomicU64::new(start.seed),
            sweep: AtomicUsize::new(0),
            sabotage: start.sabotage,
            ends: AtomicU64::new(0),
        }
    }

    /// The epoch in which it decides.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Until when inherited objects count as leased.
    #[must_use]
    pub fn hold_until(&self) -> Instant {
        self.hold_until
    }

    /// How much longer than its visible end a lease protects its bytes, because
    /// the reader's clock may be slow (PROTOCOL A2).
    fn lease_slack(&self) -> Duration {
        up(self.times.read_ttl).saturating_sub(self.times.read_ttl)
    }
}

#[cfg(test)]
#[path = "master_tests.rs"]
mod tests;

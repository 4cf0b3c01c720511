//! Deciding: a [`Request`](crate::api::Request) becomes [`Op`](crate::oplog::Op)s, which are logged
//! and applied, and a [`Response`] that depends on a position.

mod attempt;
mod batch;
mod call;
mod census;
mod check_put;
mod choose;
mod claims;
mod clear;
mod client;
mod config;
mod decide;
mod end;
mod evict;
mod expiry;
mod liveness;
mod logged;
mod metadata;
mod pattern;
mod placement;
mod put;
mod query;
mod read;
mod remove;
mod segment;
mod sweep;
mod task;
mod task_payload;
mod transfer;
mod unmount;
mod upsert;

pub use config::{ClientTimes, MasterConfig, MasterTimes, Placement};
pub use evict::{Evictability, EvictionRules, EvictionStats};
pub use logged::{MAINTENANCE, logged_by, oplog_table};
pub use task::TaskRules;

use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{Response, StorageConfig};
use crate::lab::Sabotage;
use crate::oplog::OpLogManager;
use crate::store::{MetadataStore, Object, PinState};
use crate::sync::{Order, Ranked, RankedMutex};
use crate::types::{Epoch, Instant, Seq, SeqRuns, up};

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
    /// Which.
    pub entries: SeqRuns,
}

/// The deciding half of a primary. Exists for one epoch; made in O(1) from the
/// store and the log that the standby has built.
#[derive(Debug)]
pub struct Master {
    epoch: Epoch,
    store: Arc<MetadataStore>,
    log: OpLogManager,
    times: MasterTimes,
    /// Longest read lease that is on record, in nanoseconds (PROTOCOL A3).
    lease_max: AtomicU64,
    clients: ClientTimes,
    placement: Placement,
    storage: StorageConfig,
    metadata_cleanup: bool,
    /// When it began to decide.
    since: Instant,
    /// Until then every inherited object counts as leased (PROTOCOL A3).
    hold_until: Instant,
    rng: AtomicU64,
    /// Next shard that maintenance looks at.
    sweep: AtomicUsize,
    /// What is left of dead mounts.
    purge: sweep::PurgeRound,
    /// Timers of the segment table.
    liveness: liveness::Liveness,
    /// A write found no room: evict even below the watermark.
    eviction_needed: AtomicBool,
    upkeep: RankedMutex<expiry::Upkeep>,
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
        config: impl Into<MasterConfig>,
        start: &MasterStart,
    ) -> Self {
        let MasterConfig { times, clients, placement, storage, metadata_cleanup } = config.into();
        let hold_until = if mutant!(NoHold) { start.since } else { start.hold_until };
        Self {
            epoch: start.epoch,
            store,
            log,
            times,
            lease_max: AtomicU64::new(nanos(times.read_ttl)),
            clients,
            placement,
            storage,
            metadata_cleanup,
            since: start.since,
            hold_until,
            rng: AtomicU64::new(start.seed),
            sweep: AtomicUsize::new(0),
            purge: sweep::PurgeRound::default(),
            liveness: liveness::Liveness::new(start.since),
            eviction_needed: AtomicBool::new(false),
            upkeep: Ranked::mutex(Order::MAINTENANCE, expiry::Upkeep::default()),
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

    /// How strongly an object resists eviction now.
    #[must_use]
    pub fn pin_state(&self, object: &Object, now: Instant) -> PinState {
        object.pin_state(now, self.since)
    }

    /// Grants no read lease that is longer than that from now on: no more is on
    /// record, and a successor would not wait for it (PROTOCOL A3).
    pub fn bound_leases(&self, on_record: Duration) {
        self.lease_max.store(nanos(on_record), Ordering::Relaxed);
    }

    fn lease_max(&self) -> Duration {
        Duration::from_nanos(self.lease_max.load(Ordering::Relaxed))
    }

    /// The read lease that is granted now.
    #[must_use]
    pub fn read_lease(&self) -> Duration {
        let own = self.times.read_ttl;
        if mutant!(LeaseAheadOfRecord) {
            return own;
        }
        own.min(self.lease_max())
    }

    /// How much longer than its visible end a lease protects its bytes, because
    /// the reader's clock may be slow (PROTOCOL A2).
    fn lease_slack(&self) -> Duration {
        up(self.times.read_ttl).saturating_sub(self.times.read_ttl)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "master_tests.rs"]
mod tests;

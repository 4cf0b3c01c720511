//! Deciding: a [`Request`] becomes [`Op`](crate::oplog::Op)s, which are logged
//! and applied, and a [`Response`] that depends on a position.

mod attempt;
mod call;
mod census;
mod check_put;
mod clear;
mod decide;
mod end;
mod evict;
mod expiry;
mod pattern;
mod placement;
mod put;
mod read;
mod remove;
mod segment;
mod task;
mod task_payload;
mod transfer;
mod upsert;

pub use evict::{Evictability, EvictionRules, EvictionStats};
pub use task::TaskRules;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use crate::api::Response;
use crate::lab::Sabotage;
use crate::oplog::OpLogManager;
use crate::store::{MetadataStore, Object, PinState};
use crate::sync::{Order, Ranked, RankedMutex};
use crate::types::{BadValue, Epoch, Instant, Seq, up};

/// Periods and ratios of the master (SEMANTICS 1.8, PROTOCOL T6).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MasterTimes {
    /// Read lease.
    pub read_ttl: Duration,
    /// After this a new write may take over an unfinished one.
    pub put_discard: Duration,
    /// For this long a preempted writer's regions stay unused.
    pub put_release: Duration,
    /// For this long the regions that a writer gave up stay unused, as well as
    /// the targets of a revoked copy or move: packets of the abandoned transfer
    /// may still land (SEMANTICS R7).
    pub revoke_quarantine: Duration,
    /// Soft pin, where the writer does not say.
    pub soft_pin_ttl: Duration,
    /// Longest soft pin that a writer may ask for.
    pub soft_pin_ttl_max: Duration,
    /// How many tasks are kept, and for how long they may take.
    pub tasks: TaskRules,
    /// When memory is evicted, and how much of it.
    pub eviction: EvictionRules,
}

impl MasterTimes {
    /// Mooncake's defaults.
    pub const DEFAULT: Self = Self {
        read_ttl: Duration::from_secs(10),
        put_discard: Duration::from_secs(30),
        put_release: Duration::from_secs(600),
        revoke_quarantine: Duration::from_secs(2),
        soft_pin_ttl: Duration::from_secs(30 * 60),
        soft_pin_ttl_max: Duration::from_secs(24 * 60 * 60),
        tasks: TaskRules::DEFAULT,
        eviction: EvictionRules::DEFAULT,
    };
}

impl Default for MasterTimes {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl MasterTimes {
    /// Whether the periods fit each other; stock masters refuse to start else.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), BadValue> {
        let bad = |what, value: Duration, expected| {
            Err(BadValue { what, value: format!("{} ms", value.as_millis()), expected })
        };
        if self.put_release <= self.put_discard {
            return bad("put release timeout", self.put_release, "more than the put discard timeout");
        }
        if self.soft_pin_ttl > self.soft_pin_ttl_max {
            return bad("default soft pin TTL", self.soft_pin_ttl, "at most the longest soft pin TTL");
        }
        Ok(())
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
    /// A write found no room: evict even below the watermark.
    eviction_needed: AtomicBool,
    evictor: RankedMutex<evict::Evictor>,
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
            eviction_needed: AtomicBool::new(false),
            evictor: Ranked::mutex(Order::MAINTENANCE, evict::Evictor::default()),
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

    /// How much longer than its visible end a lease protects its bytes, because
    /// the reader's clock may be slow (PROTOCOL A2).
    fn lease_slack(&self) -> Duration {
        up(self.times.read_ttl).saturating_sub(self.times.read_ttl)
    }
}

#[cfg(test)]
#[path = "master_tests.rs"]
mod tests;

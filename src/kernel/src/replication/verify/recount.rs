//! Counting homes anew in the background: a home at a time, within a budget.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::VerifyConfig;
use crate::store::{AuditError, MetadataStore};
use crate::types::{HomeId, Instant, limits};

/// Homes counted in one step at most, so that a step stays short.
const HOMES_PER_STEP: usize = 16;
/// Items after which a step ends. At least one home is counted.
const ITEMS_PER_STEP: u64 = 4096;
/// A walk may be late by this much, whatever its period is.
const PROOF_FLOOR: Duration = Duration::from_secs(10);
/// What a home costs besides its items, in items.
const HOME_COST: u64 = 8;

/// Walks over all homes, round and round.
#[derive(Debug)]
pub struct Recounter {
    next: usize,
    /// When the next home is due.
    due: Instant,
    /// When the last whole walk ended.
    ended: Option<Instant>,
    walks: u64,
    /// When the present walk began, and how long the last one took.
    began: Option<Instant>,
    took: Duration,
    damaged: BTreeSet<HomeId>,
    /// Homes that what joins them does not fit, and how.
    misfits: BTreeMap<HomeId, AuditError>,
}

/// What operators see of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecountView {
    /// Since the last walk over all homes ended; `None` if none did.
    pub age: Option<Duration>,
    /// Whole walks.
    pub walks: u64,
    /// Homes whose memory is not what their digest says.
    pub damaged: Vec<HomeId>,
}

impl Recounter {
    /// Begins at the first home.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            next: 0,
            due: now,
            ended: None,
            walks: 0,
            began: None,
            took: Duration::ZERO,
            damaged: BTreeSet::new(),
            misfits: BTreeMap::new(),
        }
    }

    /// Counts the homes that are due; those whose state has changed: damaged
    /// (true), or whole again. `joined`: also whether what joins the homes fits
    /// them; not while that waits to be built anew.
    pub fn step(
        &mut self,
        now: Instant,
        config: &VerifyConfig,
        store: &MetadataStore,
        joined: bool,
    ) -> Vec<(HomeId, bool)> {
        let mut changed = Vec::new();
        let mut items = 0;
        self.began.get_or_insert(now);
        let pace = config.recount_period / limits::HOMES as u32;
        // Time not used is not saved up for a burst.
        let burst = pace.as_nanos() as u64 * HOMES_PER_STEP as u64;
        self.due = self.due.max(Instant(now.0.saturating_sub(burst)));
        for _ in 0..HOMES_PER_STEP {
            if now < self.due || items >= ITEMS_PER_STEP {
                break;
            }
            let Some(home) = HomeId::from_index(self.next) else { break };
            if joined {
                match store.audit_home(home) {
                    Ok(()) => drop(self.misfits.remove(&home)),
                    Err(bad) => drop(self.misfits.insert(home, bad)),
                }
            }
            let sums = store.sums(home);
            let damaged = sums.is_damaged();
            if self.note(home, damaged) {
                changed.push((home, damaged));
            }
            items += sums.items;
            let cost = (sums.items + HOME_COST).saturating_mul(1_000_000) / config.recount_items_per_s.max(1);
            self.due = self.due.plus(pace.max(Duration::from_micros(cost)));
            self.advance(now);
        }
        changed
    }

    fn advance(&mut self, now: Instant) {
        self.next += 1;
        if self.next == limits::HOMES {
            self.next = 0;
            self.took = now.since(self.began.unwrap_or(now));
            self.began = Some(now);
            self.ended = Some(now);
            self.walks += 1;
        }
    }

    /// Notes what a count of this home came to; true when that is news.
    pub fn note(&mut self, home: HomeId, damaged: bool) -> bool {
        if damaged { self.damaged.insert(home) } else { self.damaged.remove(&home) }
    }

    /// True when the last count of this home found it damaged.
    #[must_use]
    pub fn is_damaged(&self, home: HomeId) -> bool {
        self.damaged.contains(&home)
    }

    /// The homes that what joins them does not fit, whole ones of those wanted: that is going to be built anew.
    pub fn take_misfits(&mut self, wanted: impl Fn(HomeId) -> bool) -> Vec<HomeId> {
        let damaged = &self.damaged;
        let taken = self.misfits.extract_if(.., |home, _| wanted(*home) && !damaged.contains(home));
        taken.map(|(home, _)| home).collect()
    }

    /// The first home that what joins them does not fit, and how.
    #[must_use]
    pub fn misfit(&self) -> Option<(HomeId, &AuditError)> {
        self.misfits.first_key_value().map(|(home, bad)| (*home, bad))
    }

    /// Since every home was last looked at (before the first walk ends: since it
    /// began, with a whole copy), and the age beyond which that says nothing.
    #[must_use]
    pub fn proof(&self, now: Instant, config: &VerifyConfig) -> (Duration, Duration) {
        let since = self.ended.or(self.began).unwrap_or(now);
        (now.since(since), PROOF_FLOOR + self.took.max(config.recount_period) * 3)
    }

    /// Homes known to be damaged.
    pub fn damaged(&self) -> impl Iterator<Item = HomeId> {
        self.damaged.iter().copied()
    }

    /// What operators see.
    #[must_use]
    pub fn view(&self, now: Instant) -> RecountView {
        RecountView {
            age: self.ended.map(|at| now.since(at)),
            walks: self.walks,
            damaged: self.damaged.iter().copied().collect(),
        }
    }
}

//! Homes that something speaks against, until they are proved equal.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::super::VerificationResponse;
use crate::store::{BucketSet, Difference, HomeSums};
use crate::types::{HomeId, Instant};

/// Pauses between two looks at a home that moves on too fast.
const RETRY_MIN: Duration = Duration::from_millis(2);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Pause between two looks at a home of which nothing new is expected.
const SETTLED: Duration = Duration::from_secs(10);

/// One of them.
#[derive(Debug)]
pub(super) struct Suspect {
    /// Buckets known to differ; 0 before they are known.
    pub(super) differ: BucketSet,
    /// What differs, as far as the sums tell, has been named.
    pub(super) named: bool,
    /// By how much the sums differed when that was looked at: entries that both sides apply leave it as it is.
    gap: Vec<u128>,
    /// Hashes of the differences that have been named.
    told: BTreeSet<u64>,
    /// Items known to differ and not repaired.
    pub(super) keys: u64,
    /// The primary's own count contradicts its digest.
    pub(super) primary_damaged: bool,
    /// An operator wants it overwritten.
    pub(super) repair: bool,
    /// Nothing can be done about it here.
    pub(super) settled: bool,
    pub(super) next_at: Instant,
    tries: u32,
    answer: Option<Box<VerificationResponse>>,
}

impl Suspect {
    /// What differed is overwritten; whether all did is asked again.
    pub(super) fn repaired(&mut self) {
        self.keys = 0;
        self.differ = 0;
        self.tries = 0;
        self.named = false;
        self.gap.clear();
        self.told.clear();
    }

    /// The sums of both sides differ, in these buckets: by another amount than before is something to be named.
    pub(super) fn differs(&mut self, buckets: BucketSet, ours: &HomeSums, theirs: &[u128]) {
        self.differ = buckets;
        let gap = ours.gap(theirs);
        self.named &= self.gap == gap;
        self.gap = gap;
    }

    /// Which of the differences found at one position were not named before.
    pub(super) fn news(&mut self, found: Vec<Difference>) -> Vec<Difference> {
        self.named = true;
        let told = std::mem::replace(&mut self.told, found.iter().map(hash_of).collect());
        found.into_iter().filter(|difference| !told.contains(&hash_of(difference))).collect()
    }
}

/// Of the item and how it differs, not of its values: they change under load.
fn hash_of(difference: &Difference) -> u64 {
    let mut hasher = DefaultHasher::new();
    (difference.what, &difference.name, difference.kind).hash(&mut hasher);
    difference.fields.iter().for_each(|d| d.field.hash(&mut hasher));
    hasher.finish()
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    homes: BTreeMap<HomeId, Suspect>,
}

impl Suspects {
    pub(super) fn add(&mut self, now: Instant, home: HomeId) {
        self.homes.entry(home).or_insert(Suspect {
            differ: 0,
            named: false,
            gap: Vec::new(),
            told: BTreeSet::new(),
            keys: 0,
            primary_damaged: false,
            repair: false,
            settled: false,
            next_at: now,
            tries: 0,
            answer: None,
        });
    }

    pub(super) fn get(&self, home: HomeId) -> Option<&Suspect> {
        self.homes.get(&home)
    }

    pub(super) fn get_mut(&mut self, home: HomeId) -> Option<&mut Suspect> {
        self.homes.get_mut(&home)
    }

    pub(super) fn remove(&mut self, home: HomeId) {
        self.homes.remove(&home);
    }

    /// Homes that are looked at, or known to differ. One where only a digest is off, and may not be counted
    /// anew, is looked at no more.
    pub(super) fn looked_at(&self) -> u64 {
        self.homes.values().filter(|s| !s.settled || s.differ != 0).count() as u64
    }

    /// Items known to differ.
    pub(super) fn keys(&self) -> u64 {
        self.homes.values().map(|s| s.keys).sum()
    }

    /// Homes known to differ.
    pub(super) fn unequal(&self) -> u64 {
        self.homes.values().filter(|s| s.differ != 0).count() as u64
    }

    /// Homes where the primary is the damaged side.
    pub(super) fn of_primary(&self) -> impl Iterator<Item = HomeId> {
        self.homes.iter().filter(|(_, s)| s.primary_damaged).map(|(home, _)| *home)
    }

    /// True when no home waits to be overwritten, or to be looked at.
    pub(super) fn none_to_repair(&self) -> bool {
        self.homes.values().all(|s| s.settled)
    }

    pub(super) fn repair_all(&mut self, now: Instant) -> u64 {
        for suspect in self.homes.values_mut() {
            suspect.repair = true;
            suspect.settled = false;
            suspect.next_at = now;
        }
        self.keys()
    }

    /// The home whose turn it is; its next turn is after `pause`.
    pub(super) fn next(&mut self, now: Instant, pause: Duration) -> Option<HomeId> {
        let due = self.homes.iter_mut().filter(|(_, s)| s.next_at <= now);
        let (home, suspect) = due.min_by_key(|(home, s)| (s.next_at, **home))?;
        suspect.next_at = now.plus(pause);
        Some(*home)
    }

    /// Looked at again after a pause that grows.
    pub(super) fn later(&mut self, now: Instant, home: HomeId) {
        if let Some(s) = self.homes.get_mut(&home) {
            s.next_at = now.plus((RETRY_MIN * (1 << s.tries.min(9))).min(RETRY_MAX));
            s.tries += 1;
        }
    }

    /// Looked at again at once.
    pub(super) fn now(&mut self, now: Instant, home: HomeId) {
        if let Some(s) = self.homes.get_mut(&home) {
            s.settled = false;
            s.next_at = now;
        }
    }

    /// The primary's damage is over: an operator has decided, or it was overwritten.
    pub(super) fn primary_is_whole(&mut self, now: Instant, home: HomeId) {
        if let Some(s) = self.homes.get_mut(&home).filter(|s| s.primary_damaged) {
            s.primary_damaged = false;
            s.settled = false;
            s.next_at = now;
        }
    }

    /// Every home is judged by another primary.
    pub(super) fn another_primary(&mut self, now: Instant) {
        for (_, s) in self.homes.iter_mut().filter(|(_, s)| s.primary_damaged) {
            (s.primary_damaged, s.settled, s.next_at, s.answer) = (false, false, now, None);
        }
    }

    /// Nothing can be done about it here: looked at again now and then.
    pub(super) fn much_later(&mut self, now: Instant, home: HomeId) {
        if let Some(s) = self.homes.get_mut(&home) {
            s.settled = true;
            s.next_at = now.plus(SETTLED);
        }
    }

    pub(super) fn answered(&mut self, home: HomeId, answer: Box<VerificationResponse>) {
        if let Some(s) = self.homes.get_mut(&home) {
            s.answer = Some(answer);
        }
    }

    pub(super) fn take_answer(&mut self, home: HomeId) -> Option<Box<VerificationResponse>> {
        self.homes.get_mut(&home)?.answer.take()
    }
}

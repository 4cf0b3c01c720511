//! The primary's side of a full sync: homes as chunks, one home at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::frames::{CopyEnd, CopyFrame};
use crate::oplog::OpLogManager;
use crate::store::{CopySession, MetadataStore};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::types::{HomeId, LogPos, limits};

/// A set of homes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeSet {
    bits: [u64; limits::HOMES.div_ceil(64)],
}

impl Default for HomeSet {
    fn default() -> Self {
        Self { bits: [0; limits::HOMES.div_ceil(64)] }
    }
}

impl HomeSet {
    /// Adds a home; false when it was in already.
    pub fn insert(&mut self, home: HomeId) -> bool {
        let (word, bit) = (home.index() / 64, 1 << (home.index() % 64));
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        new
    }

    /// True when the home is in it.
    #[must_use]
    pub fn contains(&self, home: HomeId) -> bool {
        self.bits[home.index() / 64] & (1 << (home.index() % 64)) != 0
    }

    /// Number of homes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bits.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// True without homes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Eight homes a byte, the lowest index in the lowest bit.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let all = self.bits.iter().flat_map(|w| w.to_le_bytes());
        all.take(limits::HOMES.div_ceil(8)).collect()
    }

    /// The set that these bytes say; `None` for another length, or homes that do not exist.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut set = Self::default();
        for (i, byte) in bytes.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
                set.insert(HomeId::from_index(i * 8 + bit)?);
            }
        }
        (bytes.len() == limits::HOMES.div_ceil(8)).then_some(set)
    }
}

/// How far a copying is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct CopyProgress {
    homes: AtomicU64,
    bytes: AtomicU64,
    hold_max_us: AtomicU64,
}

impl CopyProgress {
    /// Homes sent, those of earlier connections of the same session included.
    #[must_use]
    pub fn homes(&self) -> u64 {
        self.homes.load(Ordering::Relaxed)
    }

    /// Bytes sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes for how long a home was encoded. Its lock was held for less.
    pub fn held(&self, time: Duration) {
        self.hold_max_us.fetch_max(time.as_micros() as u64, Ordering::Relaxed);
    }

    /// Longest time that the lock of a home was held for, as far as it was measured.
    #[must_use]
    pub fn hold_max(&self) -> Option<Duration> {
        Some(self.hold_max_us.load(Ordering::Relaxed)).filter(|us| *us > 0).map(Duration::from_micros)
    }
}

/// What is left to be sent of one copying. Whoever sends it takes frame by
/// frame, as fast as they leave: at most one home is encoded ahead.
#[derive(Debug)]
pub struct Dump {
    store: Arc<MetadataStore>,
    log: OpLogManager,
    session: CopySession,
    /// Last entry before the copying began: what replay follows (PROTOCOL S5).
    resume: LogPos,
    left: VecDeque<HomeId>,
    ready: VecDeque<Bytes>,
    progress: Arc<CopyProgress>,
    ended: bool,
}

impl Dump {
    /// Of all homes but those that the standby has. The log is pinned behind
    /// `resume` already.
    pub(super) fn new(
        store: Arc<MetadataStore>,
        log: OpLogManager,
        session: CopySession,
        resume: LogPos,
        has: &HomeSet,
        progress: Arc<CopyProgress>,
    ) -> Self {
        let left = (0..limits::HOMES).filter_map(HomeId::from_index).filter(|h| !has.contains(*h)).collect();
        progress.homes.store(has.len() as u64, Ordering::Relaxed);
        Self { store, log, session, resume, left, ready: VecDeque::new(), progress, ended: false }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> &Arc<CopyProgress> {
        &self.progress
    }

    /// True when the next frame needs the lock of a home.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.ready.is_empty() && !self.left.is_empty()
    }
}

impl Iterator for Dump {
    type Item = CopyFrame;

    fn next(&mut self) -> Option<CopyFrame> {
        if self.ready.is_empty()
            && let Some(home) = self.left.pop_front()
        {
            self.ready = self.store.image(home, self.session).into();
        }
        if let Some(chunk) = self.ready.pop_front() {
            self.progress.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if self.ready.is_empty() {
                self.progress.homes.fetch_add(1, Ordering::Relaxed);
            }
            return Some(CopyFrame::Chunk(chunk));
        }
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let resume = if mutant!(LateTail) { self.log.last() } else { self.resume };
        let epochs = self.log.epochs_upto(resume);
        Some(CopyFrame::End(CopyEnd { session: self.session, resume, epochs }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_homes_round_trips_and_refuses_what_is_none() {
        let mut set = HomeSet::default();
        for index in [0, 7, 8, 1023, 1024] {
            let home = HomeId::from_index(index).expect("a home");
            assert!(set.insert(home) && !set.insert(home) && set.contains(home));
        }
        assert_eq!((set.len(), set.to_bytes().len()), (5, 129));
        assert_eq!(HomeSet::from_bytes(&set.to_bytes()), Some(set.clone()));
        assert_eq!(HomeSet::from_bytes(&set.to_bytes()[1..]), None, "another length");
        let mut beyond = set.to_bytes();
        beyond[128] |= 2;
        assert_eq!(HomeSet::from_bytes(&beyond), None, "home 1025 does not exist");
    }
}

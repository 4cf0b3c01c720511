//! The primary's side of verification (plan task 3.2).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{
    Beacon, BeaconFrame, MismatchEntry, RecountView, Recounter, VerificationAsk, VerificationEntry,
    VerificationOutcome, VerificationRequest, VerificationResponse, VerifyConfig,
};
use crate::oplog::OpLogManager;
use crate::store::{AuditError, BucketSet, Chunk, DifferenceKind, HomeMark, MetadataStore};
use crate::types::{Epoch, HomeId, Instant, LogPos, limits};

/// Fewer beacons wait for more.
const BEACONS_PER_FRAME_MIN: u128 = 16;

/// Tells beacons and answers questions.
#[derive(Debug)]
pub struct VerificationHandler {
    config: VerifyConfig,
    store: Arc<MetadataStore>,
    log: OpLogManager,
    epoch: Epoch,
    recount: Recounter,
}

impl VerificationHandler {
    /// Over this primary's state.
    #[must_use]
    pub fn new(config: VerifyConfig, store: Arc<MetadataStore>, log: OpLogManager, epoch: Epoch) -> Self {
        Self { config, store, log, epoch, recount: Recounter::new(Instant(0)) }
    }

    /// Beacons that are due to a peer: `next` is its next home, `due` when that
    /// one is due. `None` when too few are for a frame.
    #[must_use]
    pub fn beacons(&self, now: Instant, next: &mut usize, due: &mut Instant) -> Option<BeaconFrame> {
        let pace = (self.config.cycle / limits::HOMES as u32).max(Duration::from_nanos(1));
        let behind = now.since(*due).as_nanos() / pace.as_nanos();
        if behind < BEACONS_PER_FRAME_MIN || !self.config.enabled {
            return None;
        }
        let homes = behind.min(limits::BEACONS_PER_FRAME as u128) as usize;
        // A frame that could not be sent in time is not made up for.
        let oldest = now.0.saturating_sub((pace * limits::BEACONS_PER_FRAME as u32).as_nanos() as u64);
        *due = due.plus(pace * homes as u32).max(Instant(oldest));
        // Before the marks: each of them is at or behind it.
        let tail = self.log.tail();
        let mut beacons = Vec::with_capacity(homes);
        for _ in 0..homes {
            if let Some(home) = HomeId::from_index(*next) {
                let mark = self.store.mark(home);
                beacons.push(Beacon { home, mark, damaged: self.recount.is_damaged(home) });
            }
            *next = (*next + 1) % limits::HOMES;
        }
        Some(BeaconFrame { epoch: self.epoch, tail, beacons })
    }

    /// Counts homes anew; those that became damaged (true) or whole.
    pub fn recount(&mut self, now: Instant) -> Vec<(HomeId, bool)> {
        if self.config.enabled {
            self.recount.step(now, &self.config, &self.store, false)
        } else {
            Vec::new()
        }
    }

    /// What operators see of the count.
    #[must_use]
    pub fn view(&self, now: Instant) -> RecountView {
        self.recount.view(now)
    }

    /// An operator takes what is stored for right: digests follow it from now
    /// on, and standbys are made equal to it. How many homes that changes.
    ///
    /// # Errors
    /// When it cannot be right: bytes with two owners, or that were never handed out, would be given away a second
    /// time (SEMANTICS H30). Nothing is changed then.
    pub fn accept(&mut self) -> Result<usize, AuditError> {
        let damaged: Vec<HomeId> = self.recount.damaged().collect();
        if !damaged.is_empty() {
            self.store.audit_owners(&damaged)?;
        }
        for home in &damaged {
            self.store.reset_digest(*home);
            self.recount.note(*home, false);
        }
        Ok(damaged.len())
    }

    /// Answers a question; `None` to what is none.
    #[must_use]
    pub fn answer(&self, request: &VerificationRequest) -> Option<VerificationResponse> {
        let home = match &request.ask {
            VerificationAsk::Verified(_) => return None,
            VerificationAsk::Sample { home, .. }
            | VerificationAsk::Sums(home)
            | VerificationAsk::Image(home, _) => *home,
        };
        let (mark, damaged, outcome) = match (self.too_far(request), &request.ask) {
            (Some(why), _) => (self.store.mark(home), false, VerificationOutcome::NeedFullSync(why)),
            (None, VerificationAsk::Verified(_)) => return None,
            (None, VerificationAsk::Sample { at, range, entries, .. }) => {
                let (mark, outcome) = self.sample(home, *at, *range, entries);
                (mark, self.recount.is_damaged(home), outcome)
            }
            (None, VerificationAsk::Sums(_)) => {
                let sums = self.store.sums(home);
                let damaged = sums.is_damaged();
                (sums.mark, damaged, VerificationOutcome::Sums(sums.sums))
            }
            (None, VerificationAsk::Image(_, buckets)) => {
                let sums = self.store.sums(home);
                let (buckets, chunks) = self.image(home, *buckets, sums.items);
                // That of the image: the home may have moved on since it was summed.
                let mark = chunks.first().and_then(|c| Some(Chunk::decode(c).ok()?.mark));
                (mark.unwrap_or(sums.mark), sums.is_damaged(), VerificationOutcome::Image(buckets, chunks))
            }
        };
        Some(VerificationResponse { id: request.id, epoch: self.epoch, home, mark, damaged, outcome })
    }

    /// Why comparing with this copy is no use; `None` when it is.
    fn too_far(&self, request: &VerificationRequest) -> Option<String> {
        if request.epoch != self.epoch {
            return Some(format!("it follows epoch {}, this is epoch {}", request.epoch, self.epoch));
        }
        let (trim, tail) = (self.log.marks().trim, self.log.tail());
        let held = trim <= request.applied && request.applied <= tail;
        (!held).then(|| format!("it has applied up to {}, the log holds {trim} to {tail}", request.applied))
    }

    fn sample(
        &self,
        home: HomeId,
        at: LogPos,
        (start, span): (u64, u64),
        entries: &[VerificationEntry],
    ) -> (HomeMark, VerificationOutcome) {
        let ours = (home != HomeId::SEGMENTS).then(|| self.store.sample_between(home, start, span));
        let Some(ours) = ours.filter(|s| s.mark.last == at) else {
            return (self.store.mark(home), VerificationOutcome::Inconclusive);
        };
        let found = self.compare(home, &ours.sums, entries);
        let same = found.is_empty();
        let outcome = if same { VerificationOutcome::Same } else { VerificationOutcome::Mismatches(found) };
        (ours.mark, outcome)
    }

    /// The sampled keys that differ, each with the primary's data.
    fn compare(
        &self,
        home: HomeId,
        ours: &BTreeMap<u64, u128>,
        entries: &[VerificationEntry],
    ) -> Vec<MismatchEntry> {
        let theirs: BTreeMap<u64, u128> = entries.iter().map(|e| (e.prefix_hash, e.checksum)).collect();
        let mut hashes: Vec<u64> = ours.keys().chain(theirs.keys()).copied().collect();
        hashes.sort_unstable();
        hashes.dedup();
        let kind = |hash| match (ours.get(&hash), theirs.get(&hash)) {
            (Some(a), Some(b)) if a == b => None,
            (Some(_), Some(_)) => Some(DifferenceKind::Field),
            (Some(_), None) => Some(DifferenceKind::Missing),
            (None, _) => Some(DifferenceKind::Extra),
        };
        let entry = |hash: u64, kind| {
            let (keys, data) = self.store.by_prefix_hash(home, hash);
            MismatchEntry { prefix_hash: hash, kind, keys, checksum: ours.get(&hash).copied(), data }
        };
        let found = hashes.into_iter().filter_map(|hash| Some(entry(hash, kind(hash)?)));
        found.take(limits::MISMATCHES_PER_ANSWER).collect()
    }

    /// The image of these buckets, or of the first of them if all are too large.
    fn image(&self, home: HomeId, asked: BucketSet, items: u64) -> (BucketSet, Vec<Bytes>) {
        let is_table = home == HomeId::SEGMENTS;
        let mut buckets = asked;
        if items > limits::IMAGE_ITEMS_MAX && !is_table {
            buckets = first(asked, (limits::IMAGE_ITEMS_MAX * 64 / items).max(1) as u32);
        }
        loop {
            let chunks = self.store.image_of(home, buckets);
            let bytes: usize = chunks.iter().map(Bytes::len).sum();
            let n = buckets.count_ones();
            if bytes <= limits::IMAGE_BYTES_MAX || n <= 1 || is_table {
                return (buckets, chunks);
            }
            buckets = first(buckets, n / 2);
        }
    }
}

/// The first `n` members of a set.
fn first(set: BucketSet, n: u32) -> BucketSet {
    (0..64).filter(|i| set >> i & 1 == 1).take(n as usize).fold(0, |some, i| some | 1 << i)
}

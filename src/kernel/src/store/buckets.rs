//! Parts of homes, for verification: sums of digest terms bucket by bucket,
//! images of buckets, and putting another node's image in the place of ours.
//!
//! A shard has 64 buckets, by the top bits of map hashes; the segment table is
//! one bucket. Sums are computed from what is stored, never from the digest
//! that is kept along: that is how memory that changed under it is found.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::allocator::OwnedBytes;
use super::snapshot::{LoadError, Records};
use super::{Chunk, CopySession, HomeMark, MetadataStore, SegmentTable, Shard};
use crate::oplog::DecodeError;
use crate::types::{HomeId, KeyHash, LogPos, MountUid, Region, Seq};

/// Buckets of a shard.
pub const BUCKETS: usize = 64;

/// A set of buckets; bit `i` is bucket `i`.
pub type BucketSet = u64;

/// All buckets.
pub const ALL_BUCKETS: BucketSet = u64::MAX;

/// Bucket of a map hash.
#[must_use]
pub fn bucket_of(hash: u64) -> u32 {
    (hash >> 58) as u32
}

/// True when the set has this hash's bucket.
#[must_use]
pub fn in_buckets(set: BucketSet, hash: u64) -> bool {
    set >> bucket_of(hash) & 1 == 1
}

/// A hash for what has a seq instead of a key.
fn seq_hash(seq: Seq) -> u64 {
    KeyHash::of(&seq.0.to_le_bytes()).map
}

/// A home, counted from what it stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeSums {
    /// Its position and the digest that is kept along.
    pub mark: HomeMark,
    /// Sum of the terms of each bucket.
    pub sums: Vec<u128>,
    /// Terms summed.
    pub items: u64,
}

impl HomeSums {
    /// The digest, counted from what is stored.
    #[must_use]
    pub fn recount(&self) -> u128 {
        self.sums.iter().copied().fold(0, u128::wrapping_add)
    }

    /// True when the memory is not what the digest says.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.recount() != self.mark.digest
    }

    /// The buckets whose sums differ.
    #[must_use]
    pub fn differing(&self, theirs: &[u128]) -> BucketSet {
        if self.sums.len() != theirs.len() {
            return ALL_BUCKETS;
        }
        let differ = self.sums.iter().zip(theirs).enumerate().filter(|(_, (a, b))| a != b);
        differ.fold(0, |set, (i, _)| set | 1 << i)
    }

    /// By how much the sum of each bucket is off: the same for as long as the same items differ in the same way.
    #[must_use]
    pub fn gap(&self, theirs: &[u128]) -> Vec<u128> {
        self.sums.iter().zip(theirs).map(|(ours, theirs)| ours.wrapping_sub(*theirs)).collect()
    }
}

/// Part of a home as another node has it, decoded.
#[derive(Debug)]
pub struct HomeImage {
    /// The home.
    pub home: HomeId,
    /// Where it stood there.
    pub mark: HomeMark,
    /// Which buckets it has.
    pub buckets: BucketSet,
    pub(super) content: Content,
}

/// False when a home has moved on beyond this position.
pub(super) fn may_be_at(ours: HomeMark, at: LogPos) -> bool {
    ours.last == at || ours.last.seq < at.seq
}

/// What a home consists of.
#[derive(Debug)]
pub(super) enum Content {
    Shard(Box<Shard>),
    Table(Box<SegmentTable>),
}

impl Shard {
    fn sums(&self) -> HomeSums {
        let mut sums = vec![0u128; BUCKETS];
        let mut add = |hash, term: u128| {
            let sum: &mut u128 = &mut sums[bucket_of(hash) as usize];
            *sum = sum.wrapping_add(term);
        };
        for o in self.objects() {
            // One hash of the key is both its place and its name.
            let key = KeyHash::of(o.key());
            add(key.map, self.digester.object_named(key.name(), o));
        }
        for (since, index, l) in self.limbo() {
            add(seq_hash(since), self.digester.limbo(since, index, l));
        }
        for (since, a) in self.attempts().iter() {
            add(seq_hash(since), self.digester.attempt(since, a));
        }
        let items = self.len() + self.limbo().len() + self.attempts().iter().len();
        HomeSums { mark: self.mark(), sums, items: items as u64 }
    }

    /// Puts these buckets in the place of its own; what that changes for what joins the homes.
    fn adopt(&mut self, theirs: Self, buckets: BucketSet) -> Joins {
        let (before, after) = (self.joined(buckets), theirs.joined(ALL_BUCKETS));
        self.objects.sweep(|o| in_buckets(buckets, o.hash()));
        self.limbo.retain(|(since, _), _| !in_buckets(buckets, seq_hash(*since)));
        self.attempts.retain(|since| !in_buckets(buckets, seq_hash(since)));
        for object in theirs.objects() {
            self.objects.insert(object.hash(), object.key(), object.draft());
        }
        self.limbo.extend(theirs.limbo);
        self.attempts.extend(theirs.attempts);
        self.reindex();
        self.mark.digest = self.recount();
        let claimed = after.regions.difference(&before.regions).copied().collect();
        let is_let_go = before.regions.difference(&after.regions).next().is_some();
        Joins { claimed, is_let_go, is_regrouped: before.groups != after.groups }
    }

    /// What these buckets hold that other homes have to do with.
    fn joined(&self, buckets: BucketSet) -> Joined {
        let mut joined = Joined::default();
        for o in self.objects().filter(|o| in_buckets(buckets, o.hash())) {
            joined.regions.extend(o.replicas().map(|r| named(r.region)));
            joined.groups.extend(o.group().map(|group| (o.key().into(), group.as_ref().into())));
        }
        let limbo = self.limbo().filter(|(since, ..)| in_buckets(buckets, seq_hash(*since)));
        joined.regions.extend(limbo.map(|(_, _, l)| named(l.region)));
        joined
    }
}

/// A region, in the order in which sets keep it.
type Claim = (MountUid, u64, u64);
/// A key and its group.
type Grouped = (Box<[u8]>, Box<[u8]>);

fn named(region: Region) -> Claim {
    (region.mount, region.offset, region.reserved)
}

/// What part of a shard holds that other homes have to do with.
#[derive(Default)]
struct Joined {
    regions: BTreeSet<Claim>,
    /// Keys with their groups.
    groups: BTreeSet<Grouped>,
}

/// What another content of part of a shard is to what joins the homes.
struct Joins {
    /// Regions that it did not own.
    claimed: Vec<Claim>,
    /// It owned a region that it does not own any more. Somebody else may.
    is_let_go: bool,
    is_regrouped: bool,
}

/// What came of an image that was to be put in the place of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// The home had moved on: nothing was done.
    MovedOn,
    /// It is in its place, and what joins the homes fits it as it is: so with nearly all damage, and then one damaged
    /// item does not cost a pass over all homes.
    Fits,
    /// It is in its place; what joins the homes has to be [derived](MetadataStore::derive) anew.
    Misfits,
}

impl Shard {
    /// Up to `max` keys that follow `start` on the circle of hashes, with the sum
    /// of the terms of each hash: as each key is equally far behind some start,
    /// a start by chance makes a sample that favours none.
    fn sample(&self, start: u64, max: usize) -> Sample {
        let mut hashes: Vec<u64> = self.objects().map(|o| o.hash().wrapping_sub(start)).collect();
        hashes.sort_unstable();
        let span = hashes.get(max.saturating_sub(1)).copied().unwrap_or(u64::MAX);
        Sample { mark: self.mark(), start, span, sums: self.sums_between(start, span) }
    }

    fn sums_between(&self, start: u64, span: u64) -> BTreeMap<u64, u128> {
        let mut sums = BTreeMap::new();
        for o in self.objects().filter(|o| o.hash().wrapping_sub(start) <= span) {
            let sum: &mut u128 = sums.entry(o.hash()).or_default();
            *sum = sum.wrapping_add(self.digester.object(o));
        }
        sums
    }
}

/// Some keys of a shard: those whose hash is up to `span` behind `start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Position and digest of the shard.
    pub mark: HomeMark,
    /// First hash of the range.
    pub start: u64,
    /// Length of the range, inclusive; it wraps around.
    pub span: u64,
    /// Sum of terms of each hash in the range.
    pub sums: BTreeMap<u64, u128>,
}

impl SegmentTable {
    fn sums(&self) -> HomeSums {
        let items = self.mounts().len() + self.departed().len() + self.clients().len();
        let items = items + self.tasks().len() + self.metadata().parts().count();
        HomeSums { mark: self.mark(), sums: vec![self.recount()], items: items as u64 }
    }
}

impl MetadataStore {
    /// Counts a home from what it stores.
    #[must_use]
    pub fn sums(&self, home: HomeId) -> HomeSums {
        if home == HomeId::SEGMENTS { self.segments().read().sums() } else { self.shard(home).read().sums() }
    }

    /// A sample of a shard's keys; see [`Sample`].
    #[must_use]
    pub fn sample(&self, shard: HomeId, start: u64, max: usize) -> Sample {
        self.shard(shard).read().sample(start, max)
    }

    /// What the shard has in a range of hashes.
    #[must_use]
    pub fn sample_between(&self, shard: HomeId, start: u64, span: u64) -> Sample {
        let shard = self.shard(shard).read();
        Sample { mark: shard.mark(), start, span, sums: shard.sums_between(start, span) }
    }

    /// The keys with this map hash, looked up in the shard's map, and their image.
    #[must_use]
    pub fn by_prefix_hash(&self, home: HomeId, hash: u64) -> (Vec<Vec<u8>>, Vec<Bytes>) {
        let shard = self.shard(home).read();
        let mut records = Records::default();
        shard.write_objects_of(&mut records, hash);
        let keys = shard.with_hash(hash).map(|o| o.key().to_vec()).collect();
        let mark = shard.mark();
        (keys, records.into_chunks(home, mark, CopySession { epoch: mark.last.epoch, number: 0 }))
    }

    /// The image of some buckets of a home, chunk by chunk.
    #[must_use]
    pub fn image_of(&self, home: HomeId, buckets: BucketSet) -> Vec<Bytes> {
        let mut records = Records::default();
        let mark = if home == HomeId::SEGMENTS {
            let table = self.segments().read();
            table.write_records(&mut records);
            table.mark()
        } else {
            let shard = self.shard(home).read();
            shard.write_records_of(&mut records, buckets, &|seq| in_buckets(buckets, seq_hash(seq)));
            shard.mark()
        };
        records.into_chunks(home, mark, CopySession { epoch: mark.last.epoch, number: 0 })
    }

    /// Decodes an image; nothing of this store changes.
    ///
    /// # Errors
    /// When the chunks are damaged, not of one moment of one home, or hold what
    /// was not asked for.
    pub fn read_image(&self, buckets: BucketSet, chunks: &[Bytes]) -> Result<HomeImage, LoadError> {
        let mut image: Option<HomeImage> = None;
        for (part, bytes) in chunks.iter().enumerate() {
            let chunk = Chunk::decode(bytes)?;
            let image = image.get_or_insert_with(|| self.blank(&chunk, buckets));
            let fits = image.home == chunk.home && image.mark == chunk.mark;
            let due = chunk.part as usize == part && chunk.last == (part + 1 == chunks.len());
            if !fits || !due {
                return Err(LoadError::Misfit(chunk.home, "is of another image"));
            }
            match &mut image.content {
                Content::Shard(shard) => chunk.read_into_shard(shard)?,
                Content::Table(table) => chunk.read_into_table(table)?,
            };
        }
        let image = image.ok_or(DecodeError::CutOff { field: "image", needed: 1, left: 0 })?;
        if let Content::Shard(shard) = &image.content
            && shard.objects().any(|o| !in_buckets(buckets, o.hash()))
        {
            return Err(LoadError::Misfit(image.home, "is of a bucket that was not asked for"));
        }
        Ok(image)
    }

    fn blank(&self, chunk: &Chunk<'_>, buckets: BucketSet) -> HomeImage {
        let table = chunk.home == HomeId::SEGMENTS;
        let content = if table {
            Content::Table(Box::new(SegmentTable::new(self.digester)))
        } else {
            Content::Shard(Box::new(Shard::new(self.digester)))
        };
        HomeImage { home: chunk.home, mark: chunk.mark, buckets, content }
    }

    /// Puts an image in the place of the same buckets here. Only while the home
    /// stands at the image's position, or lacks what was applied up to there:
    /// then it is as if nothing had ever been different (SEMANTICS R20). What
    /// joins homes is not touched; where it does not fit any more,
    /// [`derive`](Self::derive) makes it.
    pub fn adopt(&self, image: HomeImage) -> Adoption {
        let at = image.mark.last;
        let fits = match image.content {
            Content::Shard(theirs) => {
                let mut shard = self.shard(image.home).write();
                if !may_be_at(shard.mark(), at) {
                    return Adoption::MovedOn;
                }
                let joins = shard.adopt(*theirs, image.buckets);
                shard.mark.last = at;
                self.fits(&joins)
            }
            Content::Table(theirs) => {
                let mut table = self.segments().write();
                if !may_be_at(table.mark(), at) {
                    return Adoption::MovedOn;
                }
                let room =
                    |t: &SegmentTable| -> Vec<_> { t.mounts().map(|m| (m.uid, m.segment.size)).collect() };
                let fits = room(&table) == room(&theirs);
                *table = *theirs;
                table.mark_mut().last = at;
                table.mark_mut().digest = table.recount();
                fits
            }
        };
        if fits { Adoption::Fits } else { Adoption::Misfits }
    }

    /// Builds the indexes of a home anew from its own content.
    pub fn rebuild(&self, home: HomeId) {
        let own = self.image_of(home, ALL_BUCKETS);
        if let Ok(image) = self.read_image(ALL_BUCKETS, &own) {
            self.adopt(image);
        }
    }

    /// True when allocators and routes are right for a shard that has changed so. What is claimed may have been owned all
    /// along: an object that was lost from memory was never freed.
    fn fits(&self, joins: &Joins) -> bool {
        if joins.is_let_go || joins.is_regrouped {
            return false;
        }
        let allocators = self.allocators().lock();
        let mut mounts: BTreeMap<MountUid, Option<OwnedBytes>> = BTreeMap::new();
        joins.claimed.iter().all(|(mount, offset, reserved)| {
            let owned = mounts.entry(*mount).or_insert_with(|| allocators.get(*mount).map(OwnedBytes::of));
            // Bytes of a dead mount are nobody's.
            owned.as_ref().is_none_or(|bytes| bytes.has(*offset, *reserved))
        })
    }

    /// Keeps the digest of a home along anew, from what it stores. Only when the
    /// content is known to be right.
    pub fn reset_digest(&self, home: HomeId) {
        if home == HomeId::SEGMENTS {
            let mut table = self.segments().write();
            table.mark_mut().digest = table.recount();
        } else {
            let mut shard = self.shard(home).write();
            shard.mark.digest = shard.recount();
        }
    }
}

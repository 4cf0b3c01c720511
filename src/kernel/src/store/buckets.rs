//! Parts of homes, for verification: sums of digest terms bucket by bucket,
//! images of buckets, and putting another node's image in the place of ours.
//!
//! A shard has 64 buckets, by the top bits of map hashes; the segment table is
//! one bucket. Sums are computed from what is stored, never from the digest
//! that is kept along: that is how memory that changed under it is found.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::snapshot::{LoadError, Records};
use super::{Chunk, CopySession, HomeMark, MetadataStore, SegmentTable, Shard};
use crate::oplog::DecodeError;
use crate::types::{HomeId, KeyHash, LogPos, Seq};

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
            add(o.hash(), self.digester.object(o));
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

    /// Puts these buckets in the place of its own.
    fn adopt(&mut self, theirs: Self, buckets: BucketSet) {
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
    }
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
    /// joins homes is not touched; [`derive`](Self::derive) makes it. False, and
    /// nothing done, when the home has moved on.
    pub fn adopt(&self, image: HomeImage) -> bool {
        match image.content {
            Content::Shard(theirs) => {
                let mut shard = self.shard(image.home).write();
                let here = may_be_at(shard.mark(), image.mark.last);
                if here {
                    shard.adopt(*theirs, image.buckets);
                    shard.mark.last = image.mark.last;
                }
                here
            }
            Content::Table(theirs) => {
                let mut table = self.segments().write();
                let here = may_be_at(table.mark(), image.mark.last);
                if here {
                    *table = *theirs;
                    table.mark_mut().last = image.mark.last;
                    table.mark_mut().digest = table.recount();
                }
                here
            }
        }
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

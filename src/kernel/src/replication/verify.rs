//! Verification: the standby is proved equal to the primary, continuously, and
//! made equal where it is not (plan tasks 3.1 to 3.3, PROTOCOL K9 and S10).
//!
//! The primary tells the digest of each home again and again, at the exact
//! position of its last op: a *beacon*. Beacons are frames of the stream and not
//! entries of the log: they are no state, use no seq, and an idle cluster's log
//! stands still. The order of the stream makes them exact. A beacon is read
//! under the home's lock and sent before any later op of that home can be, so
//! the standby passes the very position, however hot the home is; it compares
//! there, or not at all. The same holds for answers to its questions.
//!
//! ```text
//! beacon or recount unequal ─▶ sums of 64 buckets ─▶ image of the unequal ones
//!                                                  ─▶ keys and fields named ─▶ overwritten
//! ```
//!
//! The digest is kept along by every op. What changes in memory without one is
//! found because both sides count their homes anew in the background, a home at
//! a time: [`Recounter`]. So it is also known which side is damaged. A standby
//! is overwritten from the primary, at equal positions only, so that order is
//! never touched (SEMANTICS R20, H30). From a damaged primary nothing is
//! taken until an operator says so.

mod client;
mod handler;
mod recount;

use std::time::Duration;

use bytes::Bytes;

pub use client::{MismatchNote, Soundness, Standing, VerificationClient, VerifyNote, VerifyView};
pub use handler::VerificationHandler;
pub use recount::{RecountView, Recounter};

use crate::store::{BucketSet, DifferenceKind, HomeMark};
use crate::types::{Epoch, HomeId, LogPos, Seq};

/// Rules of verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyConfig {
    /// Whether anything is compared at all.
    pub enabled: bool,
    /// In this time a primary sends a beacon of each home.
    pub cycle: Duration,
    /// In this time a node counts all its homes anew, if the next bound allows it.
    pub recount_period: Duration,
    /// Items that a node counts anew a second: its CPU budget, 100,000 being
    /// about 2 % of a core.
    pub recount_items_per_s: u64,
    /// Time between two rounds of samples; zero is none.
    pub sample_interval: Duration,
    /// Shards of one round, of a thousand: 100 is a tenth (plan task 3.3).
    pub sample_shards_per_mille: u32,
    /// Keys sampled in one shard.
    pub sample_keys: usize,
    /// Whether a difference is overwritten from the primary at once.
    pub repair: bool,
    /// Differing keys above which all homes are overwritten, none named.
    pub repair_keys_max: u64,
    /// Entries behind the primary above which verification pauses.
    pub pause_lag: u64,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            cycle: Duration::from_secs(2),
            recount_period: Duration::from_secs(8),
            recount_items_per_s: 100_000,
            sample_interval: Duration::from_secs(25),
            sample_shards_per_mille: 100,
            sample_keys: 100,
            repair: true,
            repair_keys_max: 1000,
            pause_lag: 65_536,
        }
    }
}

/// A home at an exact position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beacon {
    /// The home.
    pub home: HomeId,
    /// Its position and digest.
    pub mark: HomeMark,
    /// The primary's own recount says that its memory is not what the digest says.
    pub damaged: bool,
}

/// Beacons of some homes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeaconFrame {
    /// Epoch of the sender.
    pub epoch: Epoch,
    /// The primary's tail before it read them: each home holds all its entries below.
    pub tail: Seq,
    /// The beacons.
    pub beacons: Vec<Beacon>,
}

/// One sampled key (plan: `VerificationEntry`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationEntry {
    /// The key's map hash.
    pub prefix_hash: u64,
    /// The canonical checksum of its metadata: the digest term.
    pub checksum: u128,
}

/// What a standby asks (plan: `VerificationRequest`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationRequest {
    /// Comes back in the answer.
    pub id: u64,
    /// Epoch that it follows.
    pub epoch: Epoch,
    /// Exclusive: everything before it is applied here.
    pub applied: Seq,
    /// The question.
    pub ask: VerificationAsk,
}

/// The question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationAsk {
    /// No question: digests were compared and equal through here.
    Verified(Seq),
    /// Whether a shard's keys in a range of hashes are these.
    Sample {
        /// The shard.
        home: HomeId,
        /// Where it stands here.
        at: LogPos,
        /// First hash of the range, and its length; it wraps around.
        range: (u64, u64),
        /// All keys of the range, by ascending hash.
        entries: Vec<VerificationEntry>,
    },
    /// The sums of the home's buckets.
    Sums(HomeId),
    /// What some buckets of a home hold.
    Image(HomeId, BucketSet),
}

/// What the primary answers (plan: `VerificationResponse`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationResponse {
    /// That of the question.
    pub id: u64,
    /// Epoch of the sender.
    pub epoch: Epoch,
    /// The home that it is about.
    pub home: HomeId,
    /// Where the home stood when it was read.
    pub mark: HomeMark,
    /// The primary's memory of this home is not what its digest says.
    pub damaged: bool,
    /// The answer.
    pub outcome: VerificationOutcome,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationOutcome {
    /// The sample equals the primary's.
    Same,
    /// It does not.
    Mismatches(Vec<MismatchEntry>),
    /// Sums of terms, bucket by bucket, counted from what is stored.
    Sums(Vec<u128>),
    /// Chunks of the image of these buckets, perhaps fewer than were asked for.
    Image(BucketSet, Vec<Bytes>),
    /// The home has moved on: nothing can be said. Not a mismatch.
    Inconclusive,
    /// Comparing is no use: the copies are too far apart (plan: `NEED_FULL_SYNC`).
    NeedFullSync(String),
}

/// A sampled key that differs (plan: `MismatchEntry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MismatchEntry {
    /// The key's map hash.
    pub prefix_hash: u64,
    /// How it differs.
    pub kind: DifferenceKind,
    /// The primary's keys with this hash.
    pub keys: Vec<Vec<u8>>,
    /// The primary's checksum; `None` where it has no such key.
    pub checksum: Option<u128>,
    /// Image of the primary's objects with this hash: the right data.
    pub data: Vec<Bytes>,
}

#[cfg(test)]
#[path = "verify/verify_tests.rs"]
mod tests;

//! What the segment table is made of: mounts, the dead ones whose bytes still
//! wait, and clients.
//!
//! Timers are local: neither replicated nor digested. What a primary did not
//! set itself starts again at full length, from its own beginning.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::types::{ClientId, Epoch, Instant, LogPos, MountUid, SegmentSpec, SegmentStatus};

/// When something is due on this node, and the epoch in which it computed that.
pub type Due = Option<(Epoch, Instant)>;

/// One mount of a segment.
#[derive(Debug)]
pub struct Mount {
    /// Names this mount for ever.
    pub uid: MountUid,
    /// The lender.
    pub client: ClientId,
    /// What is lent.
    pub segment: Arc<SegmentSpec>,
    /// Rights from an earlier life of its memory may be left: nothing is placed.
    pub held: bool,
    /// It will be unmounted this many milliseconds after it was asked for.
    pub grace_ms: Option<u64>,
    pub(super) hold_due: Due,
    pub(super) grace_due: Due,
    /// When this node last placed something in it; 0 is never.
    handed_out: AtomicU64,
}

impl Mount {
    pub(super) fn new(uid: MountUid, client: ClientId, segment: Arc<SegmentSpec>, held: bool) -> Self {
        let handed_out = AtomicU64::new(0);
        Self { uid, client, segment, held, grace_ms: None, hold_due: None, grace_due: None, handed_out }
    }

    /// What clients are told.
    #[must_use]
    pub fn status(&self) -> SegmentStatus {
        if self.grace_ms.is_some() { SegmentStatus::GracefullyUnmounting } else { SegmentStatus::Ok }
    }

    /// True when replicas may be placed in it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.held && self.status() == SegmentStatus::Ok
    }

    /// Notes that a write target in it is handed out now.
    pub fn hand_out(&self, now: Instant) {
        self.handed_out.fetch_max(now.0, Ordering::Relaxed);
    }

    /// When this node last handed out a write target in it.
    #[must_use]
    pub fn handed_out(&self) -> Option<Instant> {
        Some(Instant(self.handed_out.load(Ordering::Relaxed))).filter(|at| *at > Instant(0))
    }

    /// When this node ends its hold.
    #[must_use]
    pub fn hold_due(&self) -> Due {
        self.hold_due
    }

    /// When this node unmounts it.
    #[must_use]
    pub fn grace_due(&self) -> Due {
        self.grace_due
    }
}

/// A dead mount on whose bytes somebody may still have a right: memory that
/// overlaps it is held when it is lent again (SEMANTICS R13).
#[derive(Debug)]
pub struct Departed {
    /// The dead mount.
    pub uid: MountUid,
    /// What was lent.
    pub segment: Arc<SegmentSpec>,
    pub(super) due: Due,
}

impl Departed {
    /// When this node forgets it.
    #[must_use]
    pub fn due(&self) -> Due {
        self.due
    }
}

/// A client that lends something, or has said what it lends.
#[derive(Debug)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// Position of the op that made it known.
    pub since: LogPos,
    /// It has (re-)mounted all that it lends (SEMANTICS 1.3, status OK).
    pub ok: bool,
    /// Its host; may be empty.
    pub host: String,
    /// Its live mounts. Derived.
    pub(super) mounts: BTreeSet<MountUid>,
    heard: AtomicU64,
    greeted: AtomicU64,
}

impl Client {
    pub(super) fn new(id: ClientId, since: LogPos) -> Self {
        Self {
            id,
            since,
            ok: false,
            host: String::new(),
            mounts: BTreeSet::new(),
            heard: AtomicU64::new(0),
            greeted: AtomicU64::new(0),
        }
    }

    /// Its live mounts, oldest first.
    pub fn mounts(&self) -> impl ExactSizeIterator<Item = MountUid> {
        self.mounts.iter().copied()
    }

    /// Notes a heartbeat.
    pub fn hear(&self, now: Instant) {
        self.heard.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Last heartbeat that reached this node, in its own time; 0 is none.
    #[must_use]
    pub fn heard(&self) -> Instant {
        Instant(self.heard.load(Ordering::Relaxed))
    }

    /// Notes that it has re-mounted at this epoch's primary.
    pub fn greet(&self, epoch: Epoch) {
        self.greeted.store(epoch.0, Ordering::Relaxed);
    }

    /// True when it has re-mounted at this epoch's primary.
    #[must_use]
    pub fn is_greeted(&self, epoch: Epoch) -> bool {
        self.greeted.load(Ordering::Relaxed) == epoch.0
    }
}

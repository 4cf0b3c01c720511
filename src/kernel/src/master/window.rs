//! Windows of async mode (PROTOCOL A6): bytes of which every in-sync copy knows that they
//! may have been handed out. A write that gets only such bytes may be answered before any
//! standby knows of it: whoever leads next finds them recorded, without owner, and leaves
//! them alone until the writer has given up.
//!
//! A byte that is freed does not return to a window but through a later GRANT. Else an
//! answer could point into what a standby still shows as a complete object.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::Master;
use super::call::Call;
use crate::oplog::Op;
use crate::store::{Granted, Mount, OffsetAllocator, SegmentTable, apply_to_segments};
use crate::sync::{Order, Ranked, RankedMutex};
use crate::types::{ByteRange, Instant, LogPos, MountUid, Seq, WallTime, limits};

/// How much of a mount is a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRules {
    /// One part in so many of the mount; not 0.
    pub share: u64,
    /// Bytes at most.
    pub bytes_max: u64,
    /// A mount is granted no more before it was asked for so many regions.
    pub every_min: u32,
}

impl Default for WindowRules {
    fn default() -> Self {
        Self { share: 64, bytes_max: limits::WINDOW_BYTES_MAX, every_min: limits::GRANT_EVERY_MIN }
    }
}

/// What a primary in async mode hands out from. It is its own: neither replicated nor
/// inherited.
#[derive(Debug)]
pub(super) struct Windows {
    rules: WindowRules,
    by_mount: RankedMutex<OfMounts>,
    vacated: Vacated,
}

/// Windows by mount.
pub(super) type OfMounts = BTreeMap<MountUid, Window>;

impl Windows {
    pub(super) fn new(rules: WindowRules) -> Self {
        let by_mount = Ranked::mutex(Order::WINDOWS, OfMounts::new());
        Self { rules, by_mount, vacated: Vacated::new() }
    }

    pub(super) fn of_mounts(&self) -> &RankedMutex<OfMounts> {
        &self.by_mount
    }

    pub(super) fn vacated(&self) -> &Vacated {
        &self.vacated
    }
}

/// What is left of what was granted in one mount.
#[derive(Debug)]
pub(super) struct Window {
    /// Left of earlier GRANTs: committed long ago, if this is not the first.
    kept: Lot,
    /// Added by the last one.
    fresh: Lot,
    /// Bytes of both when it was granted.
    granted: u64,
    /// Regions for which it must be asked before it is widened again.
    unpaid: u32,
}

/// Bytes that may be handed out once everything before a mark is committed.
#[derive(Debug)]
struct Lot {
    space: OffsetAllocator,
    safe_from: Seq,
}

impl Lot {
    fn of(size: u64, ranges: &[ByteRange], safe_from: Seq) -> Self {
        Self { space: OffsetAllocator::with_free(size, ranges), safe_from }
    }

    fn take(&mut self, reserved: u64) -> Option<(u64, Seq)> {
        let offset = self.space.find(reserved)?;
        self.space.carve(offset, reserved).ok()?;
        Some((offset, if mutant!(ReuseBeforeCommit) { Seq::FIRST } else { self.safe_from }))
    }
}

impl Window {
    /// Nothing was granted: it is asked for at once.
    fn none(size: u64) -> Self {
        let lot = || Lot::of(size, &[], Seq::FIRST);
        Self { kept: lot(), fresh: lot(), granted: 0, unpaid: 0 }
    }

    /// Takes a region; also says what must be committed before anybody is told.
    fn take(&mut self, reserved: u64) -> Option<(u64, Seq)> {
        self.unpaid = self.unpaid.saturating_sub(1);
        self.kept.take(reserved).or_else(|| self.fresh.take(reserved))
    }

    fn left(&self) -> u64 {
        self.kept.space.free_bytes() + self.fresh.space.free_bytes()
    }

    /// Half of it is used. Also where nothing is left to grant it is not asked for all the time.
    fn is_low(&self) -> bool {
        self.left() <= self.granted / 2 && self.unpaid == 0
    }

    /// What is left, the largest first and no more than half of what a window may have:
    /// the rest are slivers.
    fn remnants(&self) -> Vec<ByteRange> {
        let all = [&self.kept, &self.fresh].into_iter().flat_map(|lot| lot.space.free_extents());
        let mut all: Vec<ByteRange> = all.map(|(offset, len)| ByteRange { offset, len }).collect();
        all.sort_unstable_by_key(|r| (std::cmp::Reverse(r.len), r.offset));
        all.truncate(limits::WINDOW_RANGES_MAX / 2);
        all
    }
}

/// Takes a region of a mount's window; `low` learns of mounts that want a GRANT.
pub(super) fn take(
    windows: &mut OfMounts,
    low: &mut SmallVec<[MountUid; 1]>,
    (mount, size): (MountUid, u64),
    reserved: u64,
) -> Option<(u64, Seq)> {
    let window = windows.entry(mount).or_insert_with(|| Window::none(size));
    let taken = window.take(reserved);
    if window.is_low() && !low.contains(&mount) {
        low.push(mount);
    }
    taken
}

/// When an object of a key was last taken away, or its write given up. A standby that does
/// not know of it would take the end of a later write of the key, which it does not know
/// either, for that of the earlier one. Keys share slots: an answer may wait for nothing.
#[derive(Debug)]
pub(super) struct Vacated {
    slots: Box<[AtomicU64]>,
}

impl Vacated {
    fn new() -> Self {
        Self { slots: (0..limits::VACATED_SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    fn slot(&self, key: u64) -> &AtomicU64 {
        &self.slots[key as usize % limits::VACATED_SLOTS]
    }

    /// Notes an entry that was logged; `key` is the map hash of its key.
    pub(super) fn note(&self, op: &Op<'_>, key: u64, pos: LogPos) {
        let set = |key| _ = self.slot(key).fetch_max(pos.end().0, Ordering::Relaxed);
        match op {
            Op::Remove { .. }
            | Op::Preempt { .. }
            | Op::PutRevoke { .. }
            | Op::Evict { .. }
            | Op::Discard { .. }
            | Op::TransferEnd { .. }
            | Op::TransferRevoke { .. }
            | Op::DropReplica { .. }
            | Op::Abandon { .. }
            | Op::Resolve { .. } => set(key),
            Op::Clear { objects, .. } | Op::Purge { objects, .. } => {
                objects.iter().for_each(|key| set(*key));
            }
            _ => {}
        }
    }

    /// Everything before it must be committed before a new write of this key is told of.
    pub(super) fn of(&self, key: u64) -> Seq {
        if mutant!(VacatedForgot) { Seq::FIRST } else { Seq(self.slot(key).load(Ordering::Relaxed)) }
    }
}

impl Call<'_> {
    /// Grants more in the mounts whose windows are half used.
    pub(super) fn widen(&mut self) {
        if self.low.is_empty() {
            return;
        }
        let mut table = self.master.store.segments().write();
        for mount in std::mem::take(&mut self.low) {
            if let Some(pos) = self.master.widen(self.now, self.wall, &mut table, mount) {
                self.entries.push(Seq(pos.seq));
            }
        }
    }
}

impl Master {
    /// Grants more in a mount, unless there is nothing to grant.
    fn widen(&self, now: Instant, wall: WallTime, table: &mut SegmentTable, uid: MountUid) -> Option<LogPos> {
        let windows = self.windows.as_ref()?;
        let mount = table.mount(uid).filter(|m| m.is_open());
        let Some(mount) = mount else {
            windows.by_mount.lock().remove(&uid);
            return None;
        };
        let (size, quarantined) = (mount.segment.size, self.quarantined(table, mount, now));
        let mut allocators = self.store.allocators().lock();
        let mut of_mounts = windows.by_mount.lock();
        let window = of_mounts.get_mut(&uid).filter(|w| w.is_low())?;
        window.unpaid = windows.rules.every_min;
        let kept = window.remnants();
        let kept_bytes = kept.iter().map(|r| r.len).sum::<u64>();
        let quota = (size / windows.rules.share.max(1)).min(windows.rules.bytes_max);
        let room = limits::GRANT_RANGES_MAX.saturating_sub(quarantined.len() + kept.len());
        let room = room.min(limits::WINDOW_RANGES_MAX - kept.len());
        let fresh = allocators.get(uid)?.free().largest(room, quota.saturating_sub(kept_bytes));
        if fresh.is_empty() {
            return None;
        }
        let op = Op::Grant { mount: uid, open: [&kept[..], &fresh[..]].concat(), quarantined };
        let pos = self.append(wall, crate::types::KeyHash::SEGMENTS, &op);
        let applied = apply_to_segments(table, &mut allocators, pos, &op);
        invariant!(applied.is_ok(), "a grant of free bytes did not apply: {applied:?} {op:?}");
        let granted = kept_bytes + fresh.iter().map(|r| r.len).sum::<u64>();
        let safe_from = window.kept.safe_from.max(window.fresh.safe_from);
        let (kept, fresh) = (Lot::of(size, &kept, safe_from), Lot::of(size, &fresh, pos.end()));
        *window = Window { kept, fresh, granted, unpaid: windows.rules.every_min };
        drop(of_mounts);
        self.watch_quarantine(table, uid);
        Some(pos)
    }

    /// What earlier primaries may have handed out in a mount unknown to this one: it is
    /// carried in each GRANT until it ends, else a second failover forgets it.
    fn quarantined(&self, table: &SegmentTable, mount: &Mount, now: Instant) -> Vec<ByteRange> {
        let Some(granted) = table.grants().of(mount.uid).filter(|_| now < self.quarantine_end()) else {
            return Vec::new();
        };
        if granted.at.epoch == self.epoch {
            return granted.quarantined.clone();
        }
        let carried: &[ByteRange] = if mutant!(QuarNotLogged) { &[] } else { &granted.quarantined };
        [&granted.open[..], carried].concat()
    }

    /// When nobody can have a right any more that an earlier primary gave and this one
    /// does not know of: the writer, or a reader of what it wrote.
    fn quarantine_end(&self) -> Instant {
        if mutant!(WindowUnquar) { self.since } else { self.since.plus(self.right_max()) }
    }

    /// When the quarantine of a mount ends, if it has one.
    pub(super) fn quarantine_end_of(&self, granted: &Granted) -> Option<Instant> {
        let inherited = granted.at.epoch != self.epoch || !granted.quarantined.is_empty();
        inherited.then(|| self.quarantine_end())
    }

    fn watch_quarantine(&self, table: &SegmentTable, uid: MountUid) {
        if let Some(end) = table.grants().of(uid).and_then(|g| self.quarantine_end_of(g)) {
            self.watch_from(end);
        }
    }

    /// Ends the quarantine of a mount: only what this primary hands out from stays on record.
    pub(super) fn end_quarantine(&self, wall: WallTime, table: &mut SegmentTable, uid: MountUid) {
        let Some(granted) = table.grants().of(uid) else { return };
        let open = if granted.at.epoch == self.epoch { granted.open.clone() } else { Vec::new() };
        self.log_to_table(wall, table, &Op::Grant { mount: uid, open, quarantined: Vec::new() });
    }
}

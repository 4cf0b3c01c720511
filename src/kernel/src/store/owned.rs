//! Allocators from scratch: what the homes own, gathered, then laid out in one
//! pass per mount.

use std::collections::BTreeMap;

use super::{AuditError, RegionError, SegmentTable, Space};
use crate::types::{ByteRange, MountUid, Region};

/// The bytes that objects and limbo own on live mounts.
pub(super) struct Owned(BTreeMap<MountUid, OnMount>);

struct OnMount {
    size: u64,
    recorded: Vec<ByteRange>,
    /// Offsets and lengths, in no order.
    regions: Vec<(u64, u64)>,
}

impl Owned {
    /// Nothing yet, of the live mounts of this table.
    pub(super) fn none(table: &SegmentTable) -> Self {
        let on = |m: &super::Mount| {
            let recorded = table.grants().of(m.uid).map_or(Vec::new(), |g| g.ranges().copied().collect());
            (m.uid, OnMount { size: m.segment.size, recorded, regions: Vec::new() })
        };
        Self(table.mounts().map(on).collect())
    }

    /// What is left of a dead mount waits for its PURGE and owns nothing.
    pub(super) fn add(&mut self, Region { mount, offset, reserved }: Region) {
        if let Some(on) = self.0.get_mut(&mount) {
            on.regions.push((offset, reserved));
        }
    }

    /// The allocators that have exactly these regions taken.
    ///
    /// # Errors
    /// When two owners claim the same bytes, or one claims bytes that its
    /// segment does not have.
    pub(super) fn into_allocators(self) -> Result<BTreeMap<MountUid, Space>, AuditError> {
        let lay_out = |(uid, mut on): (MountUid, OnMount)| {
            on.regions.sort_unstable();
            let space = Space::with_owned(on.size, &on.regions, &on.recorded);
            Ok((uid, space.map_err(|e| overlap(uid, e))?))
        };
        self.0.into_iter().map(lay_out).collect()
    }
}

fn overlap(mount: MountUid, source: RegionError) -> AuditError {
    let (offset, reserved) = match source {
        RegionError::NotFree { offset, len } | RegionError::NotOwned { offset, len } => (offset, len),
        RegionError::NoMount(_) => (0, 0),
    };
    AuditError::Overlap { mount: mount.0, offset, reserved, source }
}

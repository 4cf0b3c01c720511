//! The unowned bytes of all mounts. Derived: a function of what objects and limbo
//! own and of what GRANTs have recorded, so no digest covers it.

use std::collections::BTreeMap;

use super::{Effect, RegionError, Space};
use crate::types::{MountUid, Region};

/// The allocators of all mounts, in mount order.
#[derive(Debug, Default)]
pub struct Allocators {
    by_mount: BTreeMap<MountUid, Space>,
}

impl Allocators {
    pub(super) fn of(by_mount: BTreeMap<MountUid, Space>) -> Self {
        Self { by_mount }
    }

    /// The allocator of a mount.
    #[must_use]
    pub fn get(&self, uid: MountUid) -> Option<&Space> {
        self.by_mount.get(&uid)
    }

    /// All of them, in mount order.
    pub fn iter(&self) -> impl Iterator<Item = (MountUid, &Space)> {
        self.by_mount.iter().map(|(uid, a)| (*uid, a))
    }

    /// Takes all these regions, or none.
    ///
    /// # Errors
    /// When one of them is not free; nothing is changed then.
    pub fn carve_all(&mut self, regions: &[Region]) -> Result<(), RegionError> {
        for (i, r) in regions.iter().enumerate() {
            let allocator = self.by_mount.get_mut(&r.mount).ok_or(RegionError::NoMount(r.mount.0));
            if let Err(why) = allocator.and_then(|a| a.carve(r.offset, r.reserved)) {
                self.release_all(&regions[..i]);
                return Err(why);
            }
        }
        Ok(())
    }

    /// Gives back what [`carve_all`](Self::carve_all) took.
    pub fn release_all(&mut self, regions: &[Region]) {
        for r in regions {
            let given = self.by_mount.get_mut(&r.mount).map(|a| a.release(r.offset, r.reserved));
            invariant!(given == Some(Ok(())), "a region that was just taken cannot be given back: {r:?}");
        }
    }

    /// Carries out what an op says. What is freed on a dead mount is nobody's
    /// any more (PROTOCOL K4).
    ///
    /// # Errors
    /// When a region does not fit; earlier effects of the op stay.
    pub fn perform(&mut self, effects: &[Effect]) -> Result<(), RegionError> {
        for effect in effects {
            match effect {
                Effect::Open(uid, size) => {
                    self.by_mount.insert(*uid, Space::new(*size));
                }
                Effect::Close(uid) => {
                    self.by_mount.remove(uid);
                }
                Effect::Grant(uid, ranges) => {
                    let space = self.by_mount.get_mut(uid).ok_or(RegionError::NoMount(uid.0))?;
                    space.grant(ranges)?;
                }
                Effect::Carve(r) => {
                    let allocator = self.by_mount.get_mut(&r.mount).ok_or(RegionError::NoMount(r.mount.0))?;
                    allocator.carve(r.offset, r.reserved)?;
                }
                Effect::Release(r) => {
                    if let Some(allocator) = self.by_mount.get_mut(&r.mount) {
                        allocator.release(r.offset, r.reserved)?;
                    }
                }
                // Group routes are another index.
                Effect::Route(..) | Effect::Unroute(_) => {}
            }
        }
        Ok(())
    }
}

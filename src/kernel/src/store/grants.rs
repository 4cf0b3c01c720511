//! What GRANTs have recorded of the mounts' bytes, part of the segment table (PROTOCOL A6).

use std::collections::BTreeMap;

use super::ranges::are_apart;
use super::{ApplyError, Digester};
use crate::types::{ByteRange, LogPos, MountUid};

/// The last GRANT of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Its position: the epoch says whose window it is.
    pub at: LogPos,
    /// What the primary of that epoch hands out from.
    pub open: Vec<ByteRange>,
    /// What it inherited, and nobody hands out from.
    pub quarantined: Vec<ByteRange>,
}

impl Granted {
    /// All that is recorded.
    pub fn ranges(&self) -> impl Iterator<Item = &ByteRange> {
        self.open.iter().chain(&self.quarantined)
    }
}

/// The last GRANT of each mount that has anything recorded.
#[derive(Debug, Default)]
pub struct Grants {
    by_mount: BTreeMap<MountUid, Granted>,
}

impl Grants {
    /// What is recorded of this mount.
    #[must_use]
    pub fn of(&self, mount: MountUid) -> Option<&Granted> {
        self.by_mount.get(&mount)
    }

    /// All of it, in mount order.
    pub fn all(&self) -> impl Iterator<Item = (MountUid, &Granted)> {
        self.by_mount.iter().map(|(uid, granted)| (*uid, granted))
    }

    /// Replaces what is recorded of a mount of so many bytes; with nothing, no record is left.
    pub(super) fn replace(
        &mut self,
        (mount, size): (MountUid, u64),
        granted: Granted,
        digester: Digester,
        digest: &mut u128,
    ) -> Result<(), ApplyError> {
        if !are_apart(size, granted.ranges()) {
            return Err(ApplyError::BadGrant(mount.0));
        }
        self.forget(mount, digester, digest);
        if granted.ranges().next().is_some() {
            *digest = digest.wrapping_add(digester.granted(mount, &granted));
            self.by_mount.insert(mount, granted);
        }
        Ok(())
    }

    /// The mount is dead.
    pub(super) fn forget(&mut self, mount: MountUid, digester: Digester, digest: &mut u128) {
        if let Some(granted) = self.by_mount.remove(&mount) {
            *digest = digest.wrapping_sub(digester.granted(mount, &granted));
        }
    }

    pub(super) fn recount(&self, digester: Digester) -> u128 {
        self.all().fold(0, |sum, (uid, granted)| sum.wrapping_add(digester.granted(uid, granted)))
    }
}

//! A primary that may have stopped without its clock: a virtual machine that was
//! paused, or restored from a snapshot. Promises that it counts by that clock may
//! be over (PROTOCOL 1).

use super::{Primary, PrimaryAction};
use crate::types::{ConnId, Instant};

impl Primary {
    /// No right counts from here on that is not confirmed anew; asks for it at once.
    pub(super) fn doubt(&mut self, now: Instant, out: &mut Vec<PrimaryAction>) {
        self.doubted_at = now;
        let conns: Vec<ConnId> = self.peers.keys().copied().collect();
        for conn in conns {
            self.send_batch(now, conn, 0, out);
        }
    }

    /// True until everybody whose promise is needed has answered what was sent
    /// since the doubt, and the coordinator what it was asked.
    pub(super) fn is_doubted(&self) -> bool {
        let granted = |copy| self.isr.get(&copy).map_or(Instant(0), |m| m.granted_at);
        let confirmed = match &self.on_record {
            Some(record) => record.confirmed_at(self.me.copy, granted),
            None => self.isr.values().map(|m| m.granted_at).min().unwrap_or(Instant::MAX),
        };
        confirmed < self.doubted_at
    }
}

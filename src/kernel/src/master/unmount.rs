//! Taking memory back: at once, after a while, and because its lender is dead.

use std::time::Duration;

use super::Master;
use super::call::{Call, invalid};
use crate::api::Refusal;
use crate::oplog::Op;
use crate::store::{Mount, SegmentTable};
use crate::types::{ClientId, Instant, LogPos, MountUid, SegmentId, WallTime, up};

impl Call<'_> {
    pub(super) fn unmount(&mut self, segment: SegmentId) -> Result<(), Refusal> {
        let mut table = self.master.store.segments().write();
        self.byte_critical = true;
        self.depend(table.mark().applied());
        if let Some(uid) = table.mounted(segment).map(|m| m.uid) {
            let pos = self.master.bury(self.now, self.wall, &mut table, uid);
            self.wrote(pos);
        }
        Ok(())
    }

    pub(super) fn graceful_unmount(
        &mut self,
        client: ClientId,
        segment: SegmentId,
        grace: Duration,
    ) -> Result<(), Refusal> {
        let master = self.master;
        let mut table = master.store.segments().write();
        self.byte_critical = true;
        self.depend(table.mark().applied());
        if table.client(client).is_none_or(|c| c.mounts().len() == 0) {
            return Err(Refusal::SegmentNotFound(format!("client {client} lends nothing")));
        }
        let Some(mount) = table.mounted(segment).filter(|m| m.client == client) else {
            return Err(invalid("segment", &segment, "a segment that the caller mounted"));
        };
        if mount.grace_ms.is_some() {
            return Ok(());
        }
        let (uid, grace_ms) = (mount.uid, u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        let op = Op::GracefulUnmount { mount: uid, grace_ms };
        let pos = master.log_to_table(self.wall, &mut table, &op);
        self.wrote(pos);
        let due = self.now.plus(Duration::from_millis(grace_ms));
        table.set_grace_due(uid, Some((master.epoch, due)));
        master.watch_from(due);
        Ok(())
    }
}

impl Master {
    /// Ends a mount (PROTOCOL K2). Its bytes stay on record until no right on
    /// them can be left.
    pub(super) fn bury(
        &self,
        now: Instant,
        wall: WallTime,
        table: &mut SegmentTable,
        uid: MountUid,
    ) -> LogPos {
        let until = table.mount(uid).map_or(now, |m| self.rights_until(m, now));
        let pos = self.log_to_table(wall, table, &Op::SegmentGone { mount: uid });
        self.set_hold_due(table, uid, until);
        self.purge.restart();
        pos
    }

    /// Ends a client and all its mounts, in one op.
    pub(super) fn expire(&self, now: Instant, wall: WallTime, table: &mut SegmentTable, client: ClientId) {
        let mounts = table.mounts().filter(|m| m.client == client);
        let until: Vec<_> = mounts.map(|m| (m.uid, self.rights_until(m, now))).collect();
        self.forget_metadata(wall, table, client);
        self.log_to_table(wall, table, &Op::ClientExpired { client });
        for (uid, until) in until {
            self.set_hold_due(table, uid, until);
        }
        self.purge.restart();
    }

    /// From when on nobody can have a right on bytes of a mount that dies now:
    /// readers for a lease, writers for as long as after the last hand-out. An
    /// earlier primary may have handed out until this one began.
    fn rights_until(&self, mount: &Mount, now: Instant) -> Instant {
        let inherited = (mount.uid.0.epoch != self.epoch).then_some(self.since);
        let used = mount.handed_out().max(inherited);
        let written = used.map(|last| last.plus(self.times.put_release));
        let read = used.map(|_| now.plus(up(self.times.read_ttl)).max(self.hold_until));
        let held = mount.held.then(|| self.hold_end_at(mount.hold_due()));
        written.max(read).max(held).unwrap_or(now)
    }

    /// Notes when this epoch ends a hold.
    pub(super) fn set_hold_due(&self, table: &mut SegmentTable, uid: MountUid, at: Instant) {
        table.set_hold_due(uid, Some((self.epoch, at)));
        self.watch_from(at);
    }
}

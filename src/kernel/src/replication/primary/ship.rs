//! What leaves for each standby, and when.

use super::super::frames::{BatchFrame, FullSyncReason, PrimaryFrame};
use super::{Primary, PrimaryAction};
use crate::oplog::Batch;
use crate::types::{ConnId, Instant, LogPos, Seq, limits};

impl Primary {
    /// Sends what the peer's window allows.
    pub(super) fn ship(&mut self, now: Instant, conn: ConnId, out: &mut Vec<PrimaryAction>) {
        let (tail, limits) = (self.log.tail(), self.config.ship);
        while let Some(peer) = self.peers.get_mut(&conn) {
            let room = limits.window_entries.saturating_sub(peer.next.since(peer.matched));
            let full = room == 0 || peer.in_flight.len() >= limits::SHIP_WINDOW_FRAMES;
            if peer.next >= tail || full {
                // An acknowledgement comes before anything can leave: nothing lingers meanwhile.
                peer.gathers_since = None;
                return;
            }
            if self.gathers(now, conn, tail) {
                return;
            }
            if !self.send_batch(now, conn, limits.batch_entries.min(room as usize), out) {
                return;
            }
        }
    }

    /// Sends one batch of up to `max` entries; 0 makes it a heartbeat.
    pub(super) fn send_batch(
        &mut self,
        now: Instant,
        conn: ConnId,
        max: usize,
        out: &mut Vec<PrimaryAction>,
    ) -> bool {
        let Some(peer) = self.peers.get_mut(&conn) else { return false };
        let read = if max == 0 {
            Some(Batch { prev: LogPos::NONE, count: 0, entries: bytes::Bytes::new() })
        } else {
            self.log.get_entries_since(peer.next, max, limits::SHIP_BYTES_MAX)
        };
        let Some(batch) = read else {
            let start = {
                let copy = peer.hello.copy;
                self.order_full_sync(copy, FullSyncReason::Trimmed(self.log.marks().trim))
            };
            self.welcome(conn, start, out);
            self.drop_peer(conn, "fell behind the log's trim", out);
            return false;
        };
        if batch.count > 0 {
            peer.next = batch.end();
            peer.in_flight.push_back((batch.end(), now));
        }
        peer.sent_at = now;
        peer.gathers_since = None;
        let tells = peer.told.replace(self.revision) != Some(self.revision);
        let marks = self.log.marks();
        let frame = BatchFrame {
            epoch: self.epoch,
            batch,
            token: now.0,
            commit: self.commit,
            tail: marks.tail,
            trim: marks.trim,
            record: tells.then(|| self.record()),
            drained: self.closed.drained,
        };
        out.push(PrimaryAction::Send(conn, PrimaryFrame::Batch(frame)));
        true
    }

    /// Whether a batch that is not full yet waits for more entries, where a
    /// linger is configured. Without one, entries leave at once, and those that
    /// come while the window is full are gathered all the same.
    fn gathers(&mut self, now: Instant, conn: ConnId, tail: Seq) -> bool {
        let ship = self.config.ship;
        let Some(peer) = self.peers.get_mut(&conn) else { return false };
        if ship.linger.is_zero() || tail.since(peer.next) >= ship.batch_entries as u64 {
            return false;
        }
        now < peer.gathers_since.get_or_insert(now).plus(ship.linger)
    }

    /// Sends what has lingered for long enough.
    pub(super) fn ship_gathered(&mut self, now: Instant, out: &mut Vec<PrimaryAction>) {
        let due = |since: Instant| now >= since.plus(self.config.ship.linger);
        let conns: Vec<ConnId> =
            self.peers.iter().filter(|(_, p)| p.gathers_since.is_some_and(due)).map(|(c, _)| *c).collect();
        for conn in conns {
            self.ship(now, conn, out);
        }
    }

    pub(super) fn heartbeats(&mut self, now: Instant, out: &mut Vec<PrimaryAction>) {
        let due: Vec<ConnId> = self
            .peers
            .iter()
            .filter(|(_, p)| {
                p.told != Some(self.revision) || now >= p.sent_at.plus(self.config.times.heartbeat)
            })
            .map(|(conn, _)| *conn)
            .collect();
        for conn in due {
            self.send_batch(now, conn, 0, out);
        }
    }
}

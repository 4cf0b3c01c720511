//! Timers of the segment table: silent lenders, grace periods, holds.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Master;
use crate::oplog::Op;
use crate::store::{Client, Due, Mount, SegmentTable};
use crate::types::{ClientId, Instant, MountUid, WallTime, limits};

/// When to look at the timers again.
#[derive(Debug)]
pub(super) struct Liveness {
    /// No timer is due before.
    next: AtomicU64,
    /// When maintenance last ran.
    last_step: AtomicU64,
    /// Nobody is expired before: this node was itself stalled.
    amnesty: AtomicU64,
}

impl Liveness {
    pub(super) fn new(since: Instant) -> Self {
        Self { next: AtomicU64::new(since.0), last_step: AtomicU64::new(since.0), amnesty: AtomicU64::new(0) }
    }
}

/// Something that is due.
#[derive(Debug, Clone, Copy)]
enum Timer {
    Expire(ClientId),
    Unmount(MountUid),
    EndHold(MountUid),
    EndQuarantine(MountUid),
}

impl Master {
    /// Carries out what is due in the segment table. Returns how many entries
    /// were appended; bounded.
    pub(super) fn table_timers(&self, now: Instant, wall: WallTime) -> usize {
        self.notice_stall(now);
        if now.0 < self.liveness.next.load(Ordering::Acquire) {
            return 0;
        }
        // Cleared before the look, so that a timer set meanwhile is not lost.
        self.liveness.next.store(u64::MAX, Ordering::Release);
        let (due, next) = self.due_timers(&self.store.segments().read(), now);
        self.watch_from(next);
        if due.is_empty() {
            return 0;
        }
        let mut table = self.store.segments().write();
        due.into_iter().filter(|timer| self.fire(now, wall, &mut table, *timer)).count()
    }

    /// A pause between two steps proves that this node was stalled: heartbeats
    /// lie unread, so silence says nothing. Everybody gets a ttl to be heard.
    fn notice_stall(&self, now: Instant) {
        let last = Instant(self.liveness.last_step.swap(now.0, Ordering::Relaxed));
        if let Some(ttl) = self.clients.ttl
            && now.since(last) > self.clients.own_stall
        {
            self.liveness.amnesty.fetch_max(now.plus(ttl).0, Ordering::Relaxed);
        }
    }

    /// What is due, and when to look again.
    fn due_timers(&self, table: &SegmentTable, now: Instant) -> (Vec<Timer>, Instant) {
        let clients = table.clients().map(|c| (self.expires_at(c), Timer::Expire(c.id)));
        let grace = table.mounts().filter_map(|m| Some((self.grace_end_at(m)?, Timer::Unmount(m.uid))));
        let held = table.mounts().filter(|m| m.held);
        let holds = held.map(|m| (self.hold_end_at(m.hold_due()), Timer::EndHold(m.uid)));
        let departed = table.departed().map(|d| (self.hold_end_at(d.due()), Timer::EndHold(d.uid)));
        let granted = |(uid, g)| Some((self.quarantine_end_of(g)?, Timer::EndQuarantine(uid)));
        let quarantines = table.grants().all().filter_map(granted);
        let (mut due, mut next) = (Vec::new(), Instant::MAX);
        for (at, timer) in clients.chain(grace).chain(holds).chain(departed).chain(quarantines) {
            if at <= now && due.len() < limits::TABLE_OPS_PER_STEP {
                due.push(timer);
            } else {
                next = next.min(at);
            }
        }
        (due, next)
    }

    /// Carries out one timer, unless something came between; says whether it did.
    fn fire(&self, now: Instant, wall: WallTime, table: &mut SegmentTable, timer: Timer) -> bool {
        match timer {
            Timer::Expire(id) => {
                let silent = table.client(id).is_some_and(|c| self.expires_at(c) <= now);
                if silent {
                    self.expire(now, wall, table, id);
                }
                silent
            }
            Timer::Unmount(uid) => {
                let lives = table.mount(uid).is_some();
                if lives {
                    self.bury(now, wall, table, uid);
                }
                lives
            }
            Timer::EndHold(uid) => {
                let over = table.hold_due(uid).is_some_and(|due| self.hold_end_at(due) <= now);
                if over {
                    self.log_to_table(wall, table, &Op::HoldEnd { mount: uid });
                }
                over
            }
            Timer::EndQuarantine(uid) => {
                let end = table.grants().of(uid).and_then(|g| self.quarantine_end_of(g));
                let over = end.is_some_and(|end| end <= now);
                if over {
                    self.end_quarantine(wall, table, uid);
                }
                over
            }
        }
    }

    /// When a silent client is expired. One that an earlier primary knew gets a
    /// full ttl from this one's beginning, and time to find it (SEMANTICS R12).
    fn expires_at(&self, client: &Client) -> Instant {
        let Some(ttl) = self.clients.ttl else { return Instant::MAX };
        let inherited = client.since.epoch != self.epoch;
        let floor = if inherited { self.since.plus(ttl + self.clients.reconnect) } else { Instant(0) };
        let amnesty = Instant(self.liveness.amnesty.load(Ordering::Relaxed));
        client.heard().plus(ttl).max(floor).max(amnesty)
    }

    /// True for a lender that has had a full ttl to speak to this primary and
    /// has not: only its reconnect allowance keeps it alive (SEMANTICS R12).
    pub(super) fn is_absent(&self, client: &Client, now: Instant) -> bool {
        let Some(ttl) = self.clients.ttl else { return false };
        let amnesty = Instant(self.liveness.amnesty.load(Ordering::Relaxed));
        client.since.epoch != self.epoch
            && client.heard() < self.since
            && now >= self.since.plus(ttl).max(amnesty)
    }

    fn grace_end_at(&self, mount: &Mount) -> Option<Instant> {
        let grace = Duration::from_millis(mount.grace_ms?);
        let own = mount.grace_due().filter(|(epoch, _)| *epoch == self.epoch);
        Some(own.map_or_else(|| self.since.plus(grace), |(_, at)| at))
    }

    /// When a hold ends. One that an earlier primary began starts again at full length.
    pub(super) fn hold_end_at(&self, due: Due) -> Instant {
        let own = due.filter(|(epoch, _)| *epoch == self.epoch);
        let anew = if mutant!(InheritedHoldsEnd) { self.since } else { self.since.plus(self.right_max()) };
        own.map_or(anew, |(_, at)| at)
    }

    /// A timer is due then.
    pub(super) fn watch_from(&self, at: Instant) {
        self.liveness.next.fetch_min(at.0, Ordering::AcqRel);
    }

    /// A client was heard now.
    pub(super) fn watch_clients_from(&self, now: Instant) {
        if let Some(ttl) = self.clients.ttl {
            self.watch_from(now.plus(ttl));
        }
    }
}

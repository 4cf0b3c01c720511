//! What the primary does on its own, one step after the other; and of it:
//! freeing regions whose rights have ended, giving up what was never finished.

use crate::sync::atomic::Ordering;

use super::Master;
use super::evict::{EvictionStats, Evictor};
use super::sweep::PurgeWalk;
use crate::oplog::{LimboKind, Op, Release};
use crate::store::{Object, Shard};
use crate::types::{Epoch, HomeId, Instant, KeyHash, Seq, WallTime, limits};

/// What is remembered between two steps.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    pub(super) evictor: Evictor,
    purge: PurgeWalk,
}

impl Master {
    /// Carries out what is due, a bounded part of it: call it repeatedly, while
    /// the node may answer. Returns how many entries were appended.
    pub fn maintain(&self, now: Instant, wall: WallTime) -> usize {
        let Upkeep { evictor, purge } = &mut *self.upkeep.lock();
        let mut logged = self.table_timers(now, wall) + self.purge_dead(wall, purge);
        logged += self.clean_some(now, wall, &mut evictor.stats) + self.expire_tasks(now, wall);
        logged + self.evict(now, wall, evictor)
    }

    /// Visits some shards: discards, frees.
    fn clean_some(&self, now: Instant, wall: WallTime, stats: &mut EvictionStats) -> usize {
        let mut logged = 0;
        for _ in 0..limits::MAINTAIN_SHARDS_PER_STEP {
            let index = self.sweep.fetch_add(1, Ordering::Relaxed) % limits::SHARDS;
            let left = limits::MAINTAIN_FREES_PER_STEP.saturating_sub(logged);
            if let Some(home) = HomeId::from_index(index) {
                logged += self.clean(now, wall, home, left, stats);
            }
        }
        logged
    }

    /// Discards what is overdue in one shard and frees what has waited long
    /// enough, at most `max` together.
    pub(super) fn clean(
        &self,
        now: Instant,
        wall: WallTime,
        home: HomeId,
        max: usize,
        stats: &mut EvictionStats,
    ) -> usize {
        let discarded = self.discard_due(now, wall, home, max.min(limits::DISCARDS_PER_VISIT));
        let freed = self.free_due(now, wall, home, max - discarded);
        stats.discarded += discarded as u64;
        stats.released += freed as u64;
        discarded + freed
    }

    fn free_due(&self, now: Instant, wall: WallTime, home: HomeId, max: usize) -> usize {
        let lock = self.store.shard(home);
        let nothing_waits = |shard: &Shard| shard.limbo().len() == 0 && shard.attempts().iter().len() == 0;
        if max == 0 || nothing_waits(&lock.read()) {
            return 0;
        }
        let mut shard = lock.write();
        self.forget_attempts(now, wall, home, &mut shard);
        let due: Vec<(Seq, u8)> = shard
            .limbo()
            .filter(|(_, _, l)| now >= self.due(l.kind, l.due.filter(|(epoch, _)| *epoch == self.epoch)))
            .map(|(since, index, _)| (since, index))
            .take(max)
            .collect();
        for (since, index) in &due {
            let op = Op::Free { shard: home.index() as u16, since: *since, index: *index };
            self.log_and_apply(wall, op.place(), &mut shard, &op);
        }
        due.len()
    }

    /// Resolves abandoned writes whose clients had as long to speak as their
    /// memory waits in limbo.
    fn forget_attempts(&self, now: Instant, wall: WallTime, home: HomeId, shard: &mut Shard) {
        let due: Vec<(Seq, Box<[u8]>)> = shard
            .attempts()
            .iter()
            .filter(|(_, a)| {
                now >= self.due(LimboKind::Write, a.due.filter(|(epoch, _)| *epoch == self.epoch))
            })
            .map(|(since, a)| (since, a.key.clone()))
            .take(limits::MAINTAIN_FREES_PER_STEP)
            .collect();
        for (since, key) in due {
            let op = Op::Resolve { key: &key, since };
            self.log_and_apply(wall, KeyHash::of(&key).within(home), shard, &op);
        }
    }

    /// Gives up writes and transfers that are older than the release time
    /// (SEMANTICS 4.4). Whoever wrote has stopped by then: the bytes are free at once.
    fn discard_due(&self, now: Instant, wall: WallTime, home: HomeId, max: usize) -> usize {
        let lock = self.store.shard(home);
        let overdue = |o: &Object| now >= self.unfinished_since(o).plus(self.times.put_release);
        let keys: Vec<Box<[u8]>> = {
            let shard = lock.read();
            // Oldest start first: behind one that is not due none is.
            shard.unfinished().take_while(|o| overdue(o)).take(max).map(|o| o.key().into()).collect()
        };
        if keys.is_empty() {
            return 0;
        }
        let mut shard = lock.write();
        let mut discarded = 0;
        for key in &keys {
            let at = KeyHash::of(key).within(home);
            if shard.get(at, key).is_some_and(|o| o.unfinished().is_some() && overdue(o)) {
                self.log_and_apply(wall, at, &mut shard, &Op::Discard { key, release: Release::Now });
                discarded += 1;
            }
        }
        discarded
    }

    /// Since when an unfinished write or transfer counts: from its start, or
    /// from this primary's beginning when it is inherited (PROTOCOL A4).
    pub(super) fn unfinished_since(&self, object: &Object) -> Instant {
        let own = object.unfinished().is_none_or(|at| at.epoch == self.epoch);
        if own { object.begun() } else { self.since }
    }

    /// When a limbo entry may be freed. One that an earlier primary left waits
    /// again at full length (PROTOCOL A3, A4).
    fn due(&self, kind: LimboKind, own: Option<(Epoch, Instant)>) -> Instant {
        match (own, kind) {
            (Some((_, at)), _) => at,
            (None, LimboKind::Read) => self.hold_until,
            (None, LimboKind::Write) if mutant!(LimboNow) => self.since,
            (None, LimboKind::Write) => self.since.plus(self.times.put_release),
        }
    }
}

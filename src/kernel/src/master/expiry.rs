//! What the primary does on its own, one step after the other; and the first of
//! it: freeing regions whose rights have ended.

use std::sync::atomic::Ordering;

use super::Master;
use crate::oplog::{LimboKind, Op};
use crate::store::Shard;
use crate::types::{HomeId, Instant, KeyHash, Seq, WallTime, limits};

impl Master {
    /// Carries out what is due, a bounded part of it: call it repeatedly.
    /// Returns how many entries were appended.
    pub fn maintain(&self, now: Instant, wall: WallTime) -> usize {
        self.table_timers(now, wall) + self.purge_dead(wall) + self.free_limbo(now, wall)
    }

    /// Visits some shards and frees what has waited long enough in limbo.
    fn free_limbo(&self, now: Instant, wall: WallTime) -> usize {
        let mut freed = 0;
        for _ in 0..limits::MAINTAIN_SHARDS_PER_STEP {
            let index = self.sweep.fetch_add(1, Ordering::Relaxed) % limits::SHARDS;
            if let Some(home) = HomeId::from_index(index) {
                freed += self.free_due(now, wall, home, limits::MAINTAIN_FREES_PER_STEP - freed);
            }
        }
        freed
    }

    fn free_due(&self, now: Instant, wall: WallTime, home: HomeId, max: usize) -> usize {
        let lock = self.store.shard(home);
        let nothing_waits = |shard: &Shard| shard.limbo().len() == 0 && shard.attempts().iter().len() == 0;
        if nothing_waits(&lock.read()) {
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
            self.log_and_apply(wall, KeyHash { home, ..KeyHash::of(&key) }, shard, &op);
        }
    }

    /// When a limbo entry may be freed. One that an earlier primary left waits
    /// again at full length (PROTOCOL A3, A4).
    fn due(&self, kind: LimboKind, own: Option<(crate::types::Epoch, Instant)>) -> Instant {
        match (own, kind) {
            (Some((_, at)), _) => at,
            (None, LimboKind::Read) => self.hold_until,
            (None, LimboKind::Write) if mutant!(LimboNow) => self.since,
            (None, LimboKind::Write) => self.since.plus(self.times.put_release),
        }
    }
}

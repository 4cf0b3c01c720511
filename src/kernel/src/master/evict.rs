//! Watermark eviction (SEMANTICS 4.1, 4.2): when, how many, and which.
//!
//! A pass counts leases ([`Census`]) until the cut is exact, then sweeps the
//! shards and evicts what lies before it. It goes on over many maintenance
//! steps; what is blocked when its turn comes is replaced in a further round.

use crate::sync::atomic::Ordering;

use super::Master;
use super::census::{Census, Cut};
use super::choose::Chooser;
use crate::oplog::{Op, Release};
use crate::store::{Cursor, Object, PinState};
use crate::types::{HomeId, Instant, KeyHash, MountUid, WallTime, limits};

/// When memory is evicted, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvictionRules {
    /// Share of the objects that a pass evicts; 0 evicts above the watermark only.
    pub ratio: f64,
    /// Share of the mounted memory above which a pass begins.
    pub high_watermark: f64,
    /// Whether soft-pinned objects may go when nothing else is left.
    pub soft_pinned: bool,
}

impl EvictionRules {
    /// Mooncake's defaults (SEMANTICS 1.8).
    pub const DEFAULT: Self = Self { ratio: 0.05, high_watermark: 0.90, soft_pinned: true };

    /// What a pass is to reach, if one is due.
    fn goal(&self, used: f64, needed: bool) -> Option<Goal> {
        let above = used - self.high_watermark;
        if above <= 0.0 && !(needed && self.ratio > 0.0) {
            return None;
        }
        let target = self.ratio.max(above + self.ratio);
        Some(Goal { target, lower: above.max(target * 0.5) })
    }
}

/// Shares of the objects that could go: pass 1 evicts `target`, pass 2 goes on
/// to `lower`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Goal {
    target: f64,
    lower: f64,
}

/// What eviction, discard and release came to under this master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EvictionStats {
    /// Passes begun.
    pub attempted: u64,
    /// Passes that freed something.
    pub successful: u64,
    /// Objects that lost their evictable replicas.
    pub evicted_keys: u64,
    /// Bytes of the values of those replicas.
    pub evicted_bytes: u64,
    /// Unfinished writes and transfers given up because of their age.
    pub discarded: u64,
    /// Regions that left limbo.
    pub released: u64,
    /// Looks at objects, to count or to choose them.
    pub looked_at: u64,
}

/// Whether an object may be evicted, and since when: the order of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evictability {
    /// Nothing of it can be evicted, whatever the time.
    Never,
    /// From the end of this lease.
    PlainFrom(Instant),
    /// From the end of this lease, but only when nothing else helps.
    SoftPinnedFrom(Instant),
}

/// Which objects a round looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Plain,
    SoftPinned,
}

impl Class {
    pub(super) fn lease(self, of: Evictability) -> Option<Instant> {
        match (self, of) {
            (Self::Plain, Evictability::PlainFrom(at))
            | (Self::SoftPinned, Evictability::SoftPinnedFrom(at)) => Some(at),
            (Self::Plain, Evictability::SoftPinnedFrom(_))
            | (Self::SoftPinned, Evictability::PlainFrom(_))
            | (_, Evictability::Never) => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Step {
    /// Finding the cut.
    Count(Census),
    /// Evicting up to it.
    Sweep { cut: Cut, found: u64, evicted: u64 },
}

/// A pass under way.
#[derive(Debug)]
pub(super) struct Pass {
    goal: Goal,
    began: Instant,
    /// Objects that could go if no lease were live; known after the first count.
    pub(super) base: Option<u64>,
    pub(super) counted: u64,
    class: Class,
    /// Still to evict in this class.
    wanted: u64,
    evicted: u64,
    /// Discards and releases before this pass; what comes meanwhile is progress.
    freed_before: u64,
    pub(super) step: Step,
    /// Shard that is walked over, and where in it.
    next: usize,
    pub(super) at: Cursor,
}

/// What eviction remembers between maintenance steps.
#[derive(Debug, Default)]
pub(super) struct Evictor {
    pass: Option<Pass>,
    /// After a pass that freed nothing the next one waits a while.
    not_before: Instant,
    pub(super) stats: EvictionStats,
}

impl Master {
    /// What eviction, discard and release came to under this master.
    #[must_use]
    pub fn eviction_stats(&self) -> EvictionStats {
        self.upkeep.lock().evictor.stats
    }

    /// Whether and since when an object may be evicted. Its order is that of
    /// leases; a write ends with a lease of no length, so this is nearly
    /// least-recently-used.
    pub(super) fn evictability(
        &self,
        object: &Object,
        alive: impl Fn(MountUid) -> bool,
        now: Instant,
    ) -> Evictability {
        if !object.replicas().any(|r| object.is_evictable(&r) && alive(r.region.mount)) {
            return Evictability::Never;
        }
        let used = object.last_used();
        let from = if self.is_inherited(object) { used.max(self.hold_until) } else { used };
        match self.pin_state(object, now) {
            PinState::None => Evictability::PlainFrom(from),
            PinState::Soft => Evictability::SoftPinnedFrom(from),
            PinState::Hard => Evictability::Never,
        }
    }

    /// True while a reader may hold a right on its bytes.
    pub(super) fn may_be_read(&self, object: &Object, now: Instant) -> bool {
        let unread = if mutant!(FreeNowAlways) { object.lease_until() } else { self.unread_from(object) };
        unread > now
    }

    /// Share of the mounted memory that is owned (R14).
    fn memory_used(&self) -> f64 {
        let table = self.store.segments().read();
        let allocators = self.store.allocators().lock();
        let mounted = table.mounts().filter_map(|m| allocators.get(m.uid));
        let (free, size) = mounted.fold((0u64, 0u64), |(f, s), a| (f + a.free_bytes(), s + a.size()));
        if size == 0 { 0.0 } else { (size - free) as f64 / size as f64 }
    }

    /// Goes on with a pass, or begins one that is due. Bounded work; returns
    /// how many entries were logged.
    pub(super) fn evict(&self, now: Instant, wall: WallTime, evictor: &mut Evictor) -> usize {
        let Evictor { pass, not_before, stats } = evictor;
        if pass.is_none() && now >= *not_before {
            let needed = self.eviction_needed.load(Ordering::Relaxed);
            let goal = self.times.eviction.goal(self.memory_used(), needed);
            *pass = goal.map(|goal| Pass::new(goal, now, stats));
            stats.attempted += u64::from(pass.is_some());
        }
        let Some(running) = pass else { return 0 };
        let (logged, over) = self.advance(now, wall, running, stats);
        if over {
            let freed = running.evicted > 0 || running.freed(stats) > 0;
            stats.successful += u64::from(freed);
            if freed || running.base == Some(0) {
                self.eviction_needed.store(false, Ordering::Relaxed);
            }
            *not_before = if freed { now } else { now.plus(now.since(running.began).saturating_mul(4)) };
            *pass = None;
        }
        logged
    }

    /// Visits shards until the step's budget is spent or the pass is over.
    fn advance(
        &self,
        now: Instant,
        wall: WallTime,
        pass: &mut Pass,
        stats: &mut EvictionStats,
    ) -> (usize, bool) {
        let (mut spent, mut logged) = (0, 0);
        while spent < limits::EVICT_VISITS_PER_STEP {
            let Some(home) = HomeId::from_index(pass.next).filter(|h| *h != HomeId::SEGMENTS) else {
                if pass.end_of_round(now, &self.times.eviction, stats) {
                    return (logged, true);
                }
                pass.next = 0;
                continue;
            };
            if pass.base.is_none() && pass.at == Cursor::default() {
                let cleaned = self.clean(now, wall, home, limits::MAINTAIN_FREES_PER_STEP, stats);
                spent += cleaned * limits::EVICT_WEIGHT;
                logged += cleaned;
            }
            let looked_before = stats.looked_at;
            let (evicted, done) = self.visit(now, wall, home, pass, stats);
            spent += 1 + (stats.looked_at - looked_before) as usize + evicted * limits::EVICT_WEIGHT;
            logged += evicted;
            if done {
                (pass.next, pass.at) = (pass.next + 1, Cursor::default());
            }
        }
        (logged, false)
    }

    /// Counts or evicts in a part of one shard: how many objects were evicted,
    /// and whether the shard is done with.
    fn visit(
        &self,
        now: Instant,
        wall: WallTime,
        home: HomeId,
        pass: &mut Pass,
        stats: &mut EvictionStats,
    ) -> (usize, bool) {
        let table = &*self.store.segments().read();
        let chooser = Chooser::new(self, table, pass.class, now);
        if let Step::Sweep { cut, evicted, .. } = &mut pass.step {
            let (keys, done) = {
                let shard = self.store.shard(home).read();
                let wanted = usize::try_from(pass.wanted).unwrap_or(usize::MAX);
                chooser.old_keys(&shard, &mut pass.at, *cut, wanted, stats)
            };
            let gone = self.evict_keys(&chooser, wall, home, cut, &keys, stats);
            *evicted += gone as u64;
            pass.evicted += gone as u64;
            pass.wanted = pass.wanted.saturating_sub(gone as u64);
            return (gone, done || pass.wanted == 0);
        }
        (0, chooser.count(&self.store.shard(home).read(), pass, stats))
    }

    /// Evicts those of the keys that may still go, with their groups, under one
    /// hold of the lock.
    fn evict_keys(
        &self,
        chooser: &Chooser<'_>,
        wall: WallTime,
        home: HomeId,
        cut: &mut Cut,
        keys: &[Box<[u8]>],
        stats: &mut EvictionStats,
    ) -> usize {
        if keys.is_empty() {
            return 0;
        }
        let mut shard = self.store.shard(home).write();
        let mut gone = 0;
        for key in keys {
            let at = KeyHash::of(key).within(home);
            let Some(object) = shard.get(at, key) else { continue };
            if !chooser.candidate(object).is_some_and(|lease| cut.take(lease)) {
                continue;
            }
            // A group goes under one hold of the lock, so that nobody reads a part of it.
            for key in chooser.companions(&shard, object) {
                let at = KeyHash::of(&key).within(home);
                let Some(object) = shard.get(at, &key) else { continue };
                let dropped = object.live(chooser.table).filter(|r| object.is_evictable(r)).count() as u64;
                stats.evicted_bytes += dropped * object.size;
                self.log_and_apply(wall, at, &mut shard, &Op::Evict { key: &key, release: Release::Now });
                gone += 1;
            }
        }
        stats.evicted_keys += gone as u64;
        gone
    }
}

impl Pass {
    fn new(goal: Goal, now: Instant, stats: &EvictionStats) -> Self {
        Self {
            goal,
            began: now,
            base: None,
            counted: 0,
            class: Class::Plain,
            wanted: 0,
            evicted: 0,
            freed_before: stats.discarded + stats.released,
            step: Step::Count(Census::until(now)),
            next: 0,
            at: Cursor::default(),
        }
    }

    /// Discards and releases since the pass began.
    fn freed(&self, stats: &EvictionStats) -> u64 {
        stats.discarded + stats.released - self.freed_before
    }

    fn share(&self, share: f64) -> u64 {
        (self.base.unwrap_or(0) as f64 * share.clamp(0.0, 1.0)).ceil() as u64
    }

    /// All shards were visited: what comes next. True when the pass is over.
    fn end_of_round(&mut self, now: Instant, rules: &EvictionRules, stats: &EvictionStats) -> bool {
        if self.base.is_none() {
            self.base = Some(self.counted);
            self.wanted = self.share(self.goal.target);
        }
        match &mut self.step {
            Step::Count(census) => {
                let found = census.total();
                if self.wanted == 0 || found == 0 {
                    return self.end_of_class(now, rules, stats);
                }
                if let Some(cut) = census.cut(self.wanted) {
                    self.step = Step::Sweep { cut, found, evicted: 0 };
                }
            }
            Step::Sweep { found, evicted, .. } => {
                if self.wanted == 0 || *evicted == 0 || *evicted >= *found {
                    return self.end_of_class(now, rules, stats);
                }
                self.step = Step::Count(Census::until(now));
            }
        }
        false
    }

    /// Nothing more of this class can go, or enough has. Pass 2 goes on with
    /// soft-pinned objects while the lower bound is not reached; it has nothing
    /// to find among plain ones, because pass 1 took all of them that could go.
    fn end_of_class(&mut self, now: Instant, rules: &EvictionRules, stats: &EvictionStats) -> bool {
        let reached = self.evicted + self.freed(stats);
        let missing = self.share(self.goal.lower).saturating_sub(reached);
        if missing == 0 || self.class == Class::SoftPinned || !rules.soft_pinned {
            return true;
        }
        (self.class, self.wanted) = (Class::SoftPinned, missing);
        self.step = Step::Count(Census::until(now));
        false
    }
}

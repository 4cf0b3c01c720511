//! What drops or adds single replicas of an object: eviction, discarding what
//! is unfinished, copies and moves.

use smallvec::SmallVec;

use super::shard::{Named, Regions, Shard};
use super::{ApplyError, Effect, Effects, Object, Replica};
use crate::oplog::Release;
use crate::types::{ClientId, LogPos, Region, ReplicaStatus, TransferKind, limits};

/// A copy or move that a client carries out (SEMANTICS 2.6). It pins its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Copy or move.
    pub kind: TransferKind,
    /// Who carries it out.
    pub client: ClientId,
    /// Position of its TRANSFER_START: names it, and its targets.
    pub started: LogPos,
    /// Id of the replica that is read.
    pub source: u64,
    /// How many replicas were handed out to be written.
    pub targets: u8,
}

impl Transfer {
    /// True for a replica that this transfer writes: made by the same op.
    #[must_use]
    pub fn writes(&self, replica: &Replica) -> bool {
        replica.id >> 8 == self.started.seq
    }
}

impl Object {
    /// True for a replica that eviction may drop: complete, and not the source
    /// of a transfer.
    #[must_use]
    pub fn is_evictable(&self, replica: &Replica) -> bool {
        let pinned = self.transfer().is_some_and(|t| t.source == replica.id);
        replica.status == ReplicaStatus::Complete && !pinned
    }

    /// The replica with this id.
    #[must_use]
    pub fn replica(&self, id: u64) -> Option<Replica> {
        self.replicas().find(|r| r.id == id)
    }

    /// Takes out the replicas that `leave`, in stored order.
    fn drop_replicas(&mut self, leave: impl Fn(&Self, &Replica) -> bool) -> Regions {
        let (gone, kept) = self.replicas().partition::<SmallVec<[Replica; 1]>, _>(|r| leave(self, r));
        self.set_replicas(kept);
        gone.iter().map(|r| r.region).collect()
    }

    /// Takes out all replicas.
    pub(super) fn drop_all(&mut self) -> Regions {
        self.drop_replicas(|_, _| true)
    }

    fn running(&self) -> Result<&Transfer, ApplyError> {
        self.transfer().ok_or(ApplyError::NoTransfer)
    }

    /// True when every replica that the transfer needs to end is there: its
    /// source, its targets, or for a move without targets another replica.
    #[must_use]
    pub fn is_transfer_whole(&self, alive: impl Fn(&Replica) -> bool) -> bool {
        let Some(t) = self.transfer() else { return false };
        let source = self.replica(t.source).is_some_and(|r| alive(&r));
        let targets = self.replicas().filter(|r| t.writes(r) && alive(r)).count();
        let other = |r: Replica| r.id != t.source && r.status == ReplicaStatus::Complete && alive(&r);
        let survives = t.kind == TransferKind::Copy || targets > 0 || self.replicas().any(other);
        source && targets == usize::from(t.targets) && survives
    }
}

impl Shard {
    pub(super) fn evict(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |o| {
            if !o.replicas().any(|r| o.is_evictable(&r)) {
                return Err(ApplyError::NothingEvictable);
            }
            Ok(o.drop_replicas(Object::is_evictable))
        })
    }

    pub(super) fn discard(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |o| {
            if o.unfinished().is_none() {
                return Err(ApplyError::ObjectComplete);
            }
            o.set_transfer(None);
            Ok(o.drop_replicas(|_, r| r.status == ReplicaStatus::Processing))
        })
    }

    pub(super) fn transfer_start(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        (client, kind, source): (ClientId, TransferKind, u64),
        regions: &[Region],
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, Release::Now, |o| {
            if o.transfer().is_some() {
                return Err(ApplyError::TransferRuns);
            }
            if o.replica(source).is_none_or(|r| r.status != ReplicaStatus::Complete) {
                return Err(ApplyError::NoSource(source));
            }
            if o.replicas().len() + regions.len() > limits::REPLICAS_MAX {
                return Err(ApplyError::TooManyReplicas(o.replicas().len() + regions.len()));
            }
            let made = regions.iter().enumerate().map(|(i, region)| Replica {
                id: at.seq << 8 | i as u64,
                region: *region,
                status: ReplicaStatus::Processing,
            });
            o.edit_replicas(|all| all.extend(made));
            let targets = regions.len() as u8;
            o.set_transfer(Some(Transfer { kind, client, started: at, source, targets }));
            Ok(Regions::new())
        })?;
        Ok(regions.iter().copied().map(Effect::Carve).collect())
    }

    pub(super) fn transfer_end(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |o| {
            let (kind, source) = o.running().map(|t| (t.kind, t.source))?;
            if !o.is_transfer_whole(|_| true) {
                return Err(ApplyError::TransferBroken);
            }
            let transfer = o.transfer().cloned();
            o.set_transfer(None);
            o.edit_replicas(|all| {
                for r in all.iter_mut().filter(|r| transfer.as_ref().is_some_and(|t| t.writes(r))) {
                    r.status = ReplicaStatus::Complete;
                }
            });
            Ok(o.drop_replicas(|_, r| kind == TransferKind::Move && r.id == source))
        })
    }

    pub(super) fn transfer_revoke(
        &mut self,
        at: LogPos,
        key: Named<'_>,
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |o| {
            o.running()?;
            let transfer = o.transfer().cloned();
            o.set_transfer(None);
            Ok(o.drop_replicas(|_, r| transfer.as_ref().is_some_and(|t| t.writes(r))))
        })
    }
}

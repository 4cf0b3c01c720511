//! What drops or adds single replicas of an object: eviction, discarding what
//! is unfinished, copies and moves.

use smallvec::SmallVec;

use super::shard::{Object, Regions, Replica, Shard};
use super::{ApplyError, Effect, Effects};
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
        let pinned = self.transfer.as_ref().is_some_and(|t| t.source == replica.id);
        replica.status == ReplicaStatus::Complete && !pinned
    }

    /// The replica with this id.
    #[must_use]
    pub fn replica(&self, id: u64) -> Option<&Replica> {
        self.replicas.iter().find(|r| r.id == id)
    }

    /// Takes out the replicas that `leave`, in stored order.
    fn drop_replicas(&mut self, leave: impl Fn(&Self, &Replica) -> bool) -> Regions {
        let (gone, kept) =
            self.replicas.iter().cloned().partition::<SmallVec<[Replica; 1]>, _>(|r| leave(self, r));
        self.replicas = kept;
        gone.iter().map(|r| r.region).collect()
    }

    /// Takes out all replicas.
    pub(super) fn drop_all(&mut self) -> Regions {
        self.drop_replicas(|_, _| true)
    }

    fn running(&self) -> Result<&Transfer, ApplyError> {
        self.transfer.as_deref().ok_or(ApplyError::NoTransfer)
    }

    /// True when every replica that the transfer needs to end is there: its
    /// source, its targets, or for a move without targets another replica.
    #[must_use]
    pub fn is_transfer_whole(&self, alive: impl Fn(&Replica) -> bool) -> bool {
        let Some(t) = &self.transfer else { return false };
        let source = self.replica(t.source).is_some_and(&alive);
        let targets = self.replicas.iter().filter(|r| t.writes(r) && alive(r)).count();
        let other = |r: &Replica| r.id != t.source && r.status == ReplicaStatus::Complete && alive(r);
        let survives = t.kind == TransferKind::Copy || targets > 0 || self.replicas.iter().any(other);
        source && targets == usize::from(t.targets) && survives
    }
}

impl Shard {
    pub(super) fn evict(&mut self, at: LogPos, key: &[u8], release: Release) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |o| {
            if !o.replicas.iter().any(|r| o.is_evictable(r)) {
                return Err(ApplyError::NothingEvictable);
            }
            Ok(o.drop_replicas(Object::is_evictable))
        })
    }

    pub(super) fn discard(
        &mut self,
        at: LogPos,
        key: &[u8],
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |o| {
            if o.unfinished().is_none() {
                return Err(ApplyError::ObjectComplete);
            }
            o.transfer = None;
            Ok(o.drop_replicas(|_, r| r.status == ReplicaStatus::Processing))
        })
    }

    pub(super) fn transfer_start(
        &mut self,
        at: LogPos,
        key: &[u8],
        (client, kind, source): (ClientId, TransferKind, u64),
        regions: &[Region],
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, Release::Now, |o| {
            if o.transfer.is_some() {
                return Err(ApplyError::TransferRuns);
            }
            if o.replica(source).is_none_or(|r| r.status != ReplicaStatus::Complete) {
                return Err(ApplyError::NoSource(source));
            }
            if o.replicas.len() + regions.len() > limits::REPLICAS_MAX {
                return Err(ApplyError::TooManyReplicas(o.replicas.len() + regions.len()));
            }
            let made = regions.iter().enumerate().map(|(i, region)| Replica {
                id: at.seq << 8 | i as u64,
                region: *region,
                status: ReplicaStatus::Processing,
            });
            o.replicas.extend(made);
            let targets = regions.len() as u8;
            o.transfer = Some(Box::new(Transfer { kind, client, started: at, source, targets }));
            Ok(Regions::new())
        })?;
        Ok(regions.iter().copied().map(Effect::Carve).collect())
    }

    pub(super) fn transfer_end(
        &mut self,
        at: LogPos,
        key: &[u8],
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |o| {
            let (kind, source) = o.running().map(|t| (t.kind, t.source))?;
            if !o.is_transfer_whole(|_| true) {
                return Err(ApplyError::TransferBroken);
            }
            let transfer = o.transfer.take();
            for r in &mut o.replicas {
                if transfer.as_ref().is_some_and(|t| t.writes(r)) {
                    r.status = ReplicaStatus::Complete;
                }
            }
            Ok(o.drop_replicas(|_, r| kind == TransferKind::Move && r.id == source))
        })
    }

    pub(super) fn transfer_revoke(
        &mut self,
        at: LogPos,
        key: &[u8],
        release: Release,
    ) -> Result<Effects, ApplyError> {
        self.edit(at, key, release, |o| {
            o.running()?;
            let transfer = o.transfer.take();
            Ok(o.drop_replicas(|_, r| transfer.as_ref().is_some_and(|t| t.writes(r))))
        })
    }
}

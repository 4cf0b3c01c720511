//! The segment table: which memory is lent, by whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tasks::{NewTask, Sum, TaskTable};
use super::{ApplyError, Digester, HomeMark};
use crate::oplog::Op;
use crate::types::{ClientId, Epoch, Instant, LogPos, MountUid, SegmentId, SegmentSpec, TaskId};

/// One mount of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Names this mount for ever.
    pub uid: MountUid,
    /// The lender.
    pub client: ClientId,
    /// What is lent.
    pub segment: Arc<SegmentSpec>,
}

/// Home of mounts, tasks and the term record.
#[derive(Debug)]
pub struct SegmentTable {
    mounts: BTreeMap<MountUid, Mount>,
    by_id: BTreeMap<SegmentId, MountUid>,
    tasks: TaskTable,
    /// Epoch of the last term record.
    term: Epoch,
    mark: HomeMark,
    digester: Digester,
}

impl SegmentTable {
    pub(super) fn new(digester: Digester) -> Self {
        let mark = HomeMark::default();
        let (mounts, by_id, tasks) = (BTreeMap::new(), BTreeMap::new(), TaskTable::default());
        Self { mounts, by_id, tasks, term: Epoch(0), mark, digester }
    }

    /// Position and digest.
    #[must_use]
    pub fn mark(&self) -> HomeMark {
        self.mark
    }

    pub(super) fn mark_mut(&mut self) -> &mut HomeMark {
        &mut self.mark
    }

    /// Epoch of the last term record applied.
    #[must_use]
    pub fn term(&self) -> Epoch {
        self.term
    }

    /// All mounts, in the order in which they were mounted.
    pub fn mounts(&self) -> impl ExactSizeIterator<Item = &Mount> {
        self.mounts.values()
    }

    /// The mount with this uid, if it lives.
    #[must_use]
    pub fn mount(&self, uid: MountUid) -> Option<&Mount> {
        self.mounts.get(&uid)
    }

    /// The live mount of this segment id.
    #[must_use]
    pub fn mounted(&self, id: SegmentId) -> Option<&Mount> {
        self.mounts.get(self.by_id.get(&id)?)
    }

    /// Copies and moves that clients carry out.
    #[must_use]
    pub fn tasks(&self) -> &TaskTable {
        &self.tasks
    }

    /// Notes when this primary changed a task.
    pub fn begin_task(&mut self, id: TaskId, now: Instant) {
        self.tasks.begin(id, now);
    }

    /// Applies one op; returns the mount that it created.
    ///
    /// # Errors
    /// When the op does not fit; nothing is changed then.
    pub fn apply(&mut self, at: LogPos, op: &Op<'_>) -> Result<Option<&Mount>, ApplyError> {
        let created = match op {
            Op::TermStart { .. } => {
                self.term = at.epoch;
                None
            }
            Op::MountSegment { client, segment } => Some(self.insert(at, *client, segment)?),
            Op::TaskCreate { kind, client, key, source, targets, wall } => {
                let (kind, client, wall) = (*kind, *client, *wall);
                let new = NewTask { kind, client, key, source, targets, wall };
                self.change_tasks(|tasks, sum| tasks.create(at, &new, sum));
                None
            }
            Op::TaskFetch { tasks: ids, wall } => {
                self.change_tasks(|tasks, sum| tasks.fetch(at, ids, *wall, sum))?;
                None
            }
            Op::TaskEnd { task, status, message, wall } => {
                self.change_tasks(|tasks, sum| tasks.end(at, *task, (*status, message, *wall), sum))?;
                None
            }
            Op::TaskPrune { through } => {
                self.change_tasks(|tasks, sum| tasks.prune(*through, sum));
                None
            }
            Op::PutStart { .. }
            | Op::PutEnd { .. }
            | Op::Remove { .. }
            | Op::Preempt { .. }
            | Op::Free { .. }
            | Op::PutRevoke { .. }
            | Op::UpsertInPlace { .. }
            | Op::Clear { .. }
            | Op::DropReplica { .. }
            | Op::Abandon { .. }
            | Op::Resolve { .. }
            | Op::Evict { .. }
            | Op::Discard { .. }
            | Op::TransferStart { .. }
            | Op::TransferEnd { .. }
            | Op::TransferRevoke { .. } => {
                invariant!(false, "{} is not an op of the segment table", op.kind().name());
                None
            }
        };
        self.mark.last = at;
        Ok(created.and_then(|uid| self.mounts.get(&uid)))
    }

    fn insert(
        &mut self,
        at: LogPos,
        client: ClientId,
        segment: &SegmentSpec,
    ) -> Result<MountUid, ApplyError> {
        let SegmentSpec { id, base, size, .. } = *segment;
        if self.by_id.contains_key(&id) {
            return Err(ApplyError::SegmentMounted(id));
        }
        if base == 0 || size == 0 || base.checked_add(size).is_none() {
            return Err(ApplyError::BadRange { base, size });
        }
        let uid = MountUid(at);
        let mount = Mount { uid, client, segment: Arc::new(segment.clone()) };
        self.mark.digest = self.mark.digest.wrapping_add(self.digester.mount(&mount));
        self.by_id.insert(id, uid);
        self.mounts.insert(uid, mount);
        Ok(uid)
    }

    fn change_tasks<T>(&mut self, change: impl FnOnce(&mut TaskTable, &mut Sum) -> T) -> T {
        let mut sum = Sum { digester: self.digester, digest: self.mark.digest };
        let done = change(&mut self.tasks, &mut sum);
        self.mark.digest = sum.digest;
        done
    }

    /// The digest computed from scratch.
    #[must_use]
    pub fn recount(&self) -> u128 {
        let mounts = self.mounts.values().map(|m| self.digester.mount(m));
        mounts.fold(self.tasks.recount(self.digester), u128::wrapping_add)
    }
}

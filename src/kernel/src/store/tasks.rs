//! Copies and moves that wait for a client, are carried out, or have ended.
//! Part of the segment table's home.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{ApplyError, Digester};
use crate::types::{ClientId, Instant, LogPos, TaskId, TaskStatus, TransferKind, WallTime};

/// One task (SEMANTICS 2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub id: TaskId,
    /// Copy or move.
    pub kind: TransferKind,
    /// How far it is.
    pub status: TaskStatus,
    /// Who shall carry it out.
    pub client: ClientId,
    /// `tenant NUL key` of the object.
    pub key: Box<[u8]>,
    /// Name of the segment to read from.
    pub source: Box<str>,
    /// Names of the segments to write to.
    pub targets: Vec<Box<str>>,
    /// When it was asked for; for people.
    pub created: WallTime,
    /// When it last changed; for people.
    pub updated: WallTime,
    /// Position of the op that last changed it.
    pub changed: LogPos,
    /// What its client said at the end.
    pub message: Box<str>,
    /// When this node, as primary, last changed it; 0 when another did. Local.
    pub begun: Instant,
}

/// What a new task is about.
#[derive(Debug)]
pub(super) struct NewTask<'a> {
    pub(super) kind: TransferKind,
    pub(super) client: ClientId,
    pub(super) key: &'a [u8],
    pub(super) source: &'a str,
    pub(super) targets: &'a [Cow<'a, str>],
    pub(super) wall: WallTime,
}

/// All tasks, and where each stands.
#[derive(Debug, Default)]
pub struct TaskTable {
    tasks: BTreeMap<TaskId, Task>,
    waiting: BTreeSet<(ClientId, TaskId)>,
    stages: [BTreeSet<(LogPos, TaskId)>; 3],
}

/// Pending, processing, ended.
fn stage(status: TaskStatus) -> usize {
    match status {
        TaskStatus::Pending => 0,
        TaskStatus::Processing => 1,
        TaskStatus::Failed | TaskStatus::Success => 2,
    }
}

impl TaskTable {
    /// The task with this id.
    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// Adds one as another node has it; false when it is there already.
    pub(super) fn restore(&mut self, task: Task, digest: &mut Sum) -> bool {
        digest.add(&task);
        self.index(&task);
        self.tasks.insert(task.id, task).is_none()
    }

    /// How many tasks are at the stage of this status; both final ones are one stage.
    #[must_use]
    pub fn count(&self, status: TaskStatus) -> usize {
        self.stages[stage(status)].len()
    }

    /// Tasks at the stage of this status, the one that waits there longest first.
    pub fn at(&self, status: TaskStatus) -> impl Iterator<Item = &Task> {
        self.stages[stage(status)].iter().filter_map(|(_, id)| self.tasks.get(id))
    }

    /// Pending tasks of a client, oldest first.
    pub fn waiting(&self, client: ClientId) -> impl Iterator<Item = &Task> {
        let last = LogPos { epoch: crate::types::Epoch(u64::MAX), seq: u64::MAX };
        let of_client = (client, TaskId(LogPos::NONE))..=(client, TaskId(last));
        self.waiting.range(of_client).filter_map(|(_, id)| self.tasks.get(id))
    }

    /// Notes when this primary changed a task.
    pub fn begin(&mut self, id: TaskId, now: Instant) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.begun = now;
        }
    }

    pub(super) fn create(&mut self, at: LogPos, new: &NewTask<'_>, digest: &mut Sum) {
        let task = Task {
            id: TaskId(at),
            kind: new.kind,
            status: TaskStatus::Pending,
            client: new.client,
            key: new.key.into(),
            source: new.source.into(),
            targets: new.targets.iter().map(|t| (**t).into()).collect(),
            created: new.wall,
            updated: new.wall,
            changed: at,
            message: Box::default(),
            begun: Instant(0),
        };
        digest.add(&task);
        self.index(&task);
        self.tasks.insert(task.id, task);
    }

    pub(super) fn fetch(
        &mut self,
        at: LogPos,
        ids: &[TaskId],
        wall: WallTime,
        digest: &mut Sum,
    ) -> Result<(), ApplyError> {
        let mut seen = BTreeSet::new();
        for id in ids {
            let pending = self.tasks.get(id).is_some_and(|t| t.status == TaskStatus::Pending);
            if !pending || !seen.insert(*id) {
                return Err(ApplyError::TaskNotPending(*id));
            }
        }
        for id in ids {
            self.change(*id, digest, |t| {
                (t.status, t.updated, t.changed) = (TaskStatus::Processing, wall, at);
            });
        }
        Ok(())
    }

    pub(super) fn end(
        &mut self,
        at: LogPos,
        id: TaskId,
        (status, message, wall): (TaskStatus, &str, WallTime),
        digest: &mut Sum,
    ) -> Result<(), ApplyError> {
        if self.tasks.get(&id).is_none_or(|t| t.status.is_final()) || !status.is_final() {
            return Err(ApplyError::TaskNotOpen(id));
        }
        self.change(id, digest, |t| {
            (t.status, t.updated, t.changed, t.message) = (status, wall, at, message.into());
        });
        Ok(())
    }

    pub(super) fn prune(&mut self, through: LogPos, digest: &mut Sum) {
        let ended = &self.stages[stage(TaskStatus::Success)];
        let gone: Vec<TaskId> =
            ended.iter().take_while(|(ended, _)| *ended <= through).map(|(_, id)| *id).collect();
        for id in gone {
            if let Some(task) = self.tasks.remove(&id) {
                digest.sub(&task);
                self.unindex(&task);
            }
        }
    }

    fn change(&mut self, id: TaskId, digest: &mut Sum, f: impl FnOnce(&mut Task)) {
        let Some(mut task) = self.tasks.remove(&id) else { return };
        digest.sub(&task);
        self.unindex(&task);
        f(&mut task);
        digest.add(&task);
        self.index(&task);
        self.tasks.insert(id, task);
    }

    fn index(&mut self, task: &Task) {
        if task.status == TaskStatus::Pending {
            self.waiting.insert((task.client, task.id));
        }
        self.stages[stage(task.status)].insert((task.changed, task.id));
    }

    fn unindex(&mut self, task: &Task) {
        self.waiting.remove(&(task.client, task.id));
        self.stages[stage(task.status)].remove(&(task.changed, task.id));
    }

    /// True when the indexes equal those built from scratch.
    pub(super) fn is_indexed(&self) -> bool {
        let mut fresh = Self::default();
        self.tasks.values().for_each(|t| fresh.index(t));
        fresh.waiting == self.waiting && fresh.stages == self.stages
    }

    /// Sum of the terms of all tasks.
    pub(super) fn recount(&self, digester: Digester) -> u128 {
        self.tasks.values().fold(0, |sum, t| sum.wrapping_add(digester.task(t)))
    }
}

/// A digest under change.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) digester: Digester,
    pub(super) digest: u128,
}

impl Sum {
    fn add(&mut self, task: &Task) {
        self.digest = self.digest.wrapping_add(self.digester.task(task));
    }

    fn sub(&mut self, task: &Task) {
        self.digest = self.digest.wrapping_sub(self.digester.task(task));
    }
}

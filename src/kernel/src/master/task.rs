//! The task queue (SEMANTICS 2.6): copies and moves that the master asks
//! clients for.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::Master;
use super::call::{Call, invalid};
use super::task_payload::payload;
use super::transfer::{check_stays, on};
use crate::api::{Refusal, TaskAssignment, TaskState};
use crate::oplog::Op;
use crate::store::{Replica, SegmentTable, Task};
use crate::types::{
    ClientId, Instant, KeyHash, LogPos, ReplicaStatus, TaskId, TaskStatus, TransferKind, WallTime, limits,
};

/// How many tasks are kept, and for how long they may take (SEMANTICS 1.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskRules {
    /// Most tasks that wait to be fetched.
    pub pending_max: usize,
    /// Most tasks that are fetched and not ended.
    pub processing_max: usize,
    /// Most ended tasks that are remembered.
    pub ended_max: usize,
    /// A task that is not fetched for so long has failed.
    pub pending_timeout: Duration,
    /// A fetched task that is not ended for so long has failed.
    pub processing_timeout: Duration,
    /// How often a client tries; for clients.
    pub retries: u32,
}

impl TaskRules {
    /// Mooncake's defaults.
    pub const DEFAULT: Self = Self {
        pending_max: 10_000,
        processing_max: 10_000,
        ended_max: 10_000,
        pending_timeout: Duration::from_secs(300),
        processing_timeout: Duration::from_secs(300),
        retries: 10,
    };
}

impl Call<'_> {
    pub(super) fn create_copy_task(&mut self, key: &Bytes, targets: &[String]) -> Result<TaskId, Refusal> {
        if targets.is_empty() || targets.len() > limits::REPLICAS_MAX {
            return Err(invalid("number of targets", &targets.len(), "1 to 64"));
        }
        self.create_task(TransferKind::Copy, key, None, targets)
    }

    pub(super) fn create_move_task(
        &mut self,
        key: &Bytes,
        source: &str,
        target: &String,
    ) -> Result<TaskId, Refusal> {
        if source == target {
            return Err(invalid("target segment", target, "another than the source"));
        }
        self.create_task(TransferKind::Move, key, Some(source), std::slice::from_ref(target))
    }

    fn create_task(
        &mut self,
        kind: TransferKind,
        key: &Bytes,
        source: Option<&str>,
        targets: &[String],
    ) -> Result<TaskId, Refusal> {
        let (hash, key) = self.hash(key)?;
        let master = self.master;
        let mut table = master.store.segments().write();
        self.depend(table.mark().applied());
        check_names(&table, source, targets)?;
        let (source, client) = self.choose_source(&table, hash, &key, source)?;
        if table.tasks().count(TaskStatus::Pending) >= master.times.tasks.pending_max {
            return Err(Refusal::TaskPendingLimitExceeded(master.times.tasks.pending_max));
        }
        let targets = targets.iter().map(|t| Cow::Borrowed(t.as_str())).collect();
        let source = Cow::Borrowed(source.as_str());
        let op = Op::TaskCreate { kind, client, key: &key, source, targets, wall: self.wall };
        let pos = self.log_task(&mut table, &op);
        table.begin_task(TaskId(pos), self.now);
        Ok(TaskId(pos))
    }

    /// A random readable replica, on the named segment if one is named: its
    /// segment's name, and the client that lends it.
    fn choose_source(
        &mut self,
        table: &SegmentTable,
        own: KeyHash,
        key: &[u8],
        name: Option<&str>,
    ) -> Result<(String, ClientId), Refusal> {
        let (at, shard) = self.master.store.read_key(own, key);
        self.depend(shard.mark().applied());
        let object = self.found(shard.get(at, key))?;
        let fits =
            |r: &Replica| r.status == ReplicaStatus::Complete && name.is_none_or(|name| on(table, r, name));
        let mounts = object.replicas().filter(fits).filter_map(|r| table.mount(r.region.mount));
        let mounts: Vec<_> = mounts.collect();
        let choice = self.master.random() % mounts.len().max(1) as u64;
        let mount = mounts.get(choice as usize).ok_or(Refusal::NoSource)?;
        Ok((mount.segment.name.clone(), mount.client))
    }

    pub(super) fn query_task(&mut self, id: TaskId) -> Result<TaskState, Refusal> {
        let table = self.master.store.segments().read();
        self.depend(table.mark().applied());
        let task = table.tasks().get(id).ok_or(Refusal::TaskNotFound(id))?;
        Ok(TaskState {
            id,
            kind: task.kind,
            status: task.status,
            created: task.created,
            updated: task.updated,
            client: task.client,
            message: task.message.to_string(),
        })
    }

    /// Up to `max` tasks, fewer when many are under way. An empty list is the
    /// rule: clients ask every second, so that costs a read lock only.
    pub(super) fn fetch_tasks(&mut self, client: ClientId, max: u64) -> Vec<TaskAssignment> {
        let master = self.master;
        {
            let table = master.store.segments().read();
            self.depend(table.mark().applied());
            if max == 0 || table.tasks().waiting(client).next().is_none() {
                return Vec::new();
            }
        }
        let mut table = master.store.segments().write();
        self.depend(table.mark().applied());
        let room =
            master.times.tasks.processing_max.saturating_sub(table.tasks().count(TaskStatus::Processing));
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(limits::TASK_FETCH_MAX).min(room);
        let fetched: Vec<TaskAssignment> =
            table.tasks().waiting(client).take(max).map(|t| master.assignment(t)).collect();
        if fetched.is_empty() {
            return fetched;
        }
        let op = Op::TaskFetch { tasks: fetched.iter().map(|t| t.id).collect(), wall: self.wall };
        self.log_task(&mut table, &op);
        for task in &fetched {
            table.begin_task(task.id, self.now);
        }
        fetched
    }

    pub(super) fn mark_task(
        &mut self,
        client: ClientId,
        id: TaskId,
        status: TaskStatus,
        message: &str,
    ) -> Result<(), Refusal> {
        if !status.is_final() {
            return Err(invalid("task status", &(status as u8), "2 (failed) or 3 (success)"));
        }
        let mut table = self.master.store.segments().write();
        self.depend(table.mark().applied());
        let task = table.tasks().get(id).ok_or(Refusal::TaskNotFound(id))?;
        if task.client != client {
            return Err(Refusal::IllegalClient);
        }
        if task.status.is_final() {
            return Ok(());
        }
        let end = message.floor_char_boundary(limits::TASK_MESSAGE_BYTES_MAX);
        let message = Cow::Borrowed(&message[..end]);
        self.log_task(&mut table, &Op::TaskEnd { task: id, status, message, wall: self.wall });
        Ok(())
    }

    fn log_task(&mut self, table: &mut SegmentTable, op: &Op<'_>) -> LogPos {
        let pos = self.master.log_to_table(self.wall, table, op);
        self.wrote(pos);
        pos
    }
}

impl Master {
    fn assignment(&self, task: &Task) -> TaskAssignment {
        let (id, kind, created) = (task.id, task.kind, task.created);
        TaskAssignment { id, kind, payload: payload(task), created, retries: self.times.tasks.retries }
    }

    /// Fails tasks that took too long and forgets ended ones beyond the limit.
    /// Returns how many entries were logged.
    pub(super) fn expire_tasks(&self, now: Instant, wall: WallTime) -> usize {
        let rules = &self.times.tasks;
        let stages = [
            (TaskStatus::Pending, rules.pending_timeout),
            (TaskStatus::Processing, rules.processing_timeout),
        ];
        let overdue = |table: &SegmentTable| -> Vec<TaskId> {
            let due = stages.iter().flat_map(|(status, timeout)| {
                let at_stage = table.tasks().at(*status);
                at_stage.take_while(|t| now >= self.task_since(t).plus(*timeout)).map(|t| t.id)
            });
            due.take(limits::TASK_EXPIRIES_PER_STEP).collect()
        };
        let ended = |table: &SegmentTable| table.tasks().count(TaskStatus::Success);
        {
            let table = self.store.segments().read();
            if overdue(&table).is_empty() && ended(&table) <= rules.ended_max {
                return 0;
            }
        }
        let mut table = self.store.segments().write();
        let mut logged = 0;
        for task in overdue(&table) {
            let (status, message) = (TaskStatus::Failed, Cow::Borrowed("timed out"));
            self.log_to_table(wall, &mut table, &Op::TaskEnd { task, status, message, wall });
            logged += 1;
        }
        let excess = ended(&table).saturating_sub(rules.ended_max);
        let last = excess.checked_sub(1).and_then(|n| table.tasks().at(TaskStatus::Success).nth(n));
        if let Some(through) = last.map(|t| t.changed) {
            self.log_to_table(wall, &mut table, &Op::TaskPrune { through });
            logged += 1;
        }
        logged
    }

    /// Since when a task is at its stage: since this primary's beginning when
    /// an earlier one put it there (SEMANTICS H26).
    fn task_since(&self, task: &Task) -> Instant {
        if task.changed.epoch == self.epoch { task.begun } else { self.since }
    }
}

/// Each named segment must be mounted.
fn check_names(table: &SegmentTable, source: Option<&str>, targets: &[String]) -> Result<(), Refusal> {
    let names = || source.into_iter().chain(targets.iter().map(String::as_str));
    let absent = |name: &str| invalid("segment name", &name, "the name of a mounted segment");
    if let Some(name) = source.filter(|name| !table.mounts().any(|m| m.segment.name == *name)) {
        return Err(absent(name));
    }
    for name in targets {
        check_stays(table, name, || absent(name))?;
    }
    let bytes: usize = names().map(str::len).sum();
    if bytes > limits::TASK_NAMES_BYTES_MAX {
        return Err(invalid("length of the segment names", &bytes, "at most 8192 bytes"));
    }
    Ok(())
}

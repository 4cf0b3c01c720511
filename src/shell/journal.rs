//! What happened on this node: a bounded list for operators, and log lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use standfast_kernel::node::{Happening, Severity};
use standfast_kernel::types::{Epoch, Instant, Seq, WallTime, limits};
use standfast_proto::v1;

use super::history::{History, Started};
use crate::ports::Notifier;
use crate::telemetry::otel::{TraceContext, Tracer};
use crate::telemetry::role_change_to_json;

/// A change that no client has asked after for this long is exported with the phases that it has.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Events and role changes, newest last.
pub struct Journal {
    history: Arc<History>,
    tracer: Option<Arc<Tracer>>,
    notifier: Option<Arc<dyn Notifier>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    events: VecDeque<v1::Event>,
    /// Since the process started, also of what the history no longer keeps.
    changes: Vec<v1::RoleChangeCount>,
    untraced: Option<Untraced>,
}

/// A role change whose spans are not exported yet: phases are still to come.
#[derive(Debug)]
struct Untraced {
    row: String,
    context: TraceContext,
    until: Instant,
}

impl Journal {
    /// Empty; role changes are traced where there is a tracer, and told where
    /// there is somebody to tell.
    pub(super) fn new(
        history: Arc<History>,
        tracer: Option<Arc<Tracer>>,
        notifier: Option<Arc<dyn Notifier>>,
    ) -> Self {
        Self { history, tracer, notifier, inner: Mutex::default() }
    }

    /// Notifications that arrived, and those that did not.
    pub(super) fn notified(&self) -> Option<(u64, u64)> {
        self.notifier.as_ref().map(|n| n.counts())
    }

    /// `seq` is where the log stands.
    pub(super) fn happened(&self, at: WallTime, epoch: Epoch, seq: Seq, what: Happening) {
        let severity = match what.severity {
            Severity::Info => v1::Severity::Info,
            Severity::Warning => v1::Severity::Warning,
            Severity::Critical => v1::Severity::Critical,
        };
        let (code, epoch_number, seq_number) = (what.code, epoch.0, seq.0);
        match what.severity {
            // The record of who leads follows at once, and is the line of that change.
            _ if code == "role_changed" && what.text.starts_with("primary ") => {}
            Severity::Info => tracing::info!(code, epoch = epoch_number, seq = seq_number, "{}", what.text),
            Severity::Warning => {
                tracing::warn!(code, epoch = epoch_number, seq = seq_number, "{}", what.text);
            }
            Severity::Critical => {
                tracing::error!(code, epoch = epoch_number, seq = seq_number, "{}", what.text);
            }
        }
        let mut inner = self.inner.lock();
        inner.next += 1;
        let event = v1::Event {
            number: inner.next,
            at_unix_us: at.0 as i64,
            severity: severity.into(),
            code: what.code.to_owned(),
            text: what.text,
            epoch: Some(epoch.0),
            seq: Some(seq.0),
            ..v1::Event::default()
        };
        push_bounded(&mut inner.events, event, limits::EVENTS_MAX);
    }

    /// `seq` is where the log of the new primary begins to grow.
    pub(super) fn changed(&self, seq: Seq, started: &Started) {
        let mut record = self.history.begin(started);
        if self.tracer.is_some() {
            // One that is replaced before it is complete keeps what it has.
            self.trace_change(Instant::MAX);
            let context = TraceContext::root();
            let trace_id = format!("{:032x}", context.trace_id);
            self.history.traced(&record.id, trace_id.clone());
            record.trace_id = Some(trace_id);
            let until = started.now.plus(ANSWER_WITHIN);
            self.inner.lock().untraced = Some(Untraced { row: record.id.clone(), context, until });
        }
        self.tell(&record, seq);
        self.count(&record);
    }

    fn count(&self, record: &v1::RoleChange) {
        let (kind, drill, succeeded) = (record.kind, record.drill, record.succeeded == Some(true));
        let mut inner = self.inner.lock();
        let same = |c: &&mut v1::RoleChangeCount| (c.kind, c.drill, c.succeeded) == (kind, drill, succeeded);
        match inner.changes.iter_mut().find(same) {
            Some(counted) => counted.count += 1,
            None => inner.changes.push(v1::RoleChangeCount { kind, drill, succeeded, count: 1 }),
        }
    }

    /// That row turned out to be about a drill. A role change was counted when it took place, and counts as a drill's
    /// from now on, too: a counter takes nothing back.
    pub(super) fn drilled(&self, row: &str) {
        let moved = |row: &v1::RoleChange| row.kind() != v1::RoleChangeKind::Unspecified;
        if let Some(row) = self.history.row(row).filter(moved) {
            self.count(&row);
        }
    }

    /// Exports the spans of the last role change once it is complete: a client was answered, or none asked in time.
    pub(super) fn trace_change(&self, now: Instant) {
        let Some(tracer) = &self.tracer else { return };
        let mut inner = self.inner.lock();
        let Some(untraced) = &inner.untraced else { return };
        let row = self.history.row(&untraced.row);
        if row.as_ref().is_some_and(|row| row.outage_us.is_none()) && now < untraced.until {
            return;
        }
        if let (Some(row), Some(untraced)) = (row, inner.untraced.take()) {
            tracer.changed(&row, untraced.context);
        }
    }

    /// One line in the log, and one to whoever wants to know.
    fn tell(&self, record: &v1::RoleChange, seq: Seq) {
        let v1::RoleChange { epoch, cause, reason, actor, to_node, trace_id, .. } = record;
        tracing::warn!(
            code = "role_changed",
            node = to_node,
            epoch,
            seq = seq.0,
            kind = record.kind().as_str_name(),
            cause,
            actor,
            trace_id,
            "primary in epoch {epoch}: {reason}"
        );
        let Some(notifier) = &self.notifier else { return };
        // The record is a message of the contract, so there is JSON for it.
        if let Ok(change) = role_change_to_json(record) {
            let line =
                serde_json::json!({ "schema": 1, "event": "role_change", "seq": seq.0, "change": change });
            notifier.tell(line.to_string());
        }
    }

    /// How many role changes there were, by kind.
    pub(super) fn changes(&self) -> Vec<v1::RoleChangeCount> {
        self.inner.lock().changes.clone()
    }

    /// Events after this number, oldest first.
    pub(super) fn events_after(&self, number: u64) -> Vec<v1::Event> {
        self.inner.lock().events.iter().filter(|e| e.number > number).cloned().collect()
    }

    /// Role changes and drills.
    pub(super) fn history(&self) -> &Arc<History> {
        &self.history
    }
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T, max: usize) {
    if list.len() == max {
        list.pop_front();
    }
    list.push_back(item);
}

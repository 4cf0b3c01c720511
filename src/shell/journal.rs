//! What happened on this node: a bounded list for operators, and log lines.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use standfast_kernel::node::{Happening, RoleChange, Severity};
use standfast_kernel::types::{Epoch, WallTime, limits};
use standfast_proto::v1;

use crate::telemetry::otel::Tracer;

/// Role changes kept.
const HISTORY_MAX: usize = 64;

/// Events and role changes, newest last.
#[derive(Debug, Default)]
pub struct Journal {
    tracer: Option<Arc<Tracer>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    events: VecDeque<v1::Event>,
    history: VecDeque<v1::RoleChange>,
    /// Since the process started, also of what the history no longer keeps.
    changes: Vec<v1::RoleChangeCount>,
}

impl Journal {
    /// Empty; role changes are traced where there is a tracer.
    pub(super) fn new(tracer: Option<Arc<Tracer>>) -> Self {
        Self { tracer, inner: Mutex::default() }
    }

    pub(super) fn happened(&self, at: WallTime, epoch: Epoch, what: Happening) {
        let severity = match what.severity {
            Severity::Info => v1::Severity::Info,
            Severity::Warning => v1::Severity::Warning,
            Severity::Critical => v1::Severity::Critical,
        };
        match what.severity {
            Severity::Info => tracing::info!(code = what.code, epoch = epoch.0, "{}", what.text),
            Severity::Warning => tracing::warn!(code = what.code, epoch = epoch.0, "{}", what.text),
            Severity::Critical => tracing::error!(code = what.code, epoch = epoch.0, "{}", what.text),
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
            ..v1::Event::default()
        };
        push_bounded(&mut inner.events, event, limits::EVENTS_MAX);
    }

    pub(super) fn changed(&self, at: WallTime, node: &str, change: RoleChange) {
        let kind = match change.kind {
            "bootstrap" => v1::RoleChangeKind::Bootstrap,
            _ => v1::RoleChangeKind::Failover,
        };
        let mut start_us = 0;
        let phases = change.phases.iter().map(|(name, took)| {
            let duration_us = took.as_micros() as u64;
            let phase = v1::Phase { name: (*name).to_owned(), start_us, duration_us };
            start_us += duration_us;
            phase
        });
        let phases: Vec<v1::Phase> = phases.collect();
        let mut record = v1::RoleChange {
            epoch: change.epoch.0,
            previous_epoch: Some(change.epoch.0 - 1).filter(|e| *e > 0),
            kind: kind.into(),
            cause: change.cause,
            reason: change.reason,
            actor: change.actor,
            to_node: node.to_owned(),
            started_unix_us: at.0.saturating_sub(start_us) as i64,
            phases,
            lost: change.loss.as_ref().map(|l| v1::Loss { entries: l.acknowledged, ..v1::Loss::default() }),
            at_risk: change.loss.as_ref().map(|l| v1::Loss { entries: l.last_heard, ..v1::Loss::default() }),
            succeeded: Some(true),
            ..v1::RoleChange::default()
        };
        record.trace_id = self.tracer.as_ref().map(|t| format!("{:032x}", t.changed(&record).trace_id));
        let mut inner = self.inner.lock();
        let same = |c: &&mut v1::RoleChangeCount| c.kind == record.kind && c.drill == record.drill;
        match inner.changes.iter_mut().find(same) {
            Some(counted) => counted.count += 1,
            None => inner.changes.push(v1::RoleChangeCount {
                kind: record.kind,
                drill: record.drill,
                succeeded: true,
                count: 1,
            }),
        }
        push_bounded(&mut inner.history, record, HISTORY_MAX);
    }

    /// How many role changes there were, by kind.
    pub(super) fn changes(&self) -> Vec<v1::RoleChangeCount> {
        self.inner.lock().changes.clone()
    }

    /// Events after this number, oldest first.
    pub(super) fn events_after(&self, number: u64) -> Vec<v1::Event> {
        self.inner.lock().events.iter().filter(|e| e.number > number).cloned().collect()
    }

    /// Role changes, oldest first.
    pub(super) fn history(&self) -> Vec<v1::RoleChange> {
        self.inner.lock().history.iter().cloned().collect()
    }
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T, max: usize) {
    if list.len() == max {
        list.pop_front();
    }
    list.push_back(item);
}

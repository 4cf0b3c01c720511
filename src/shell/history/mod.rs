//! The history of role changes and drills: what this node knows of, over
//! restarts where it has an archive, and what is still being learned of the
//! change that it made itself.

mod exchange;
mod opening;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use standfast_kernel::node::{AutomationNote, RoleChange};
use standfast_kernel::types::{Instant, WallTime};
use standfast_proto::v1;

use crate::ports::Archive;
pub use exchange::exchange_history;
use opening::Opening;

/// Rows kept, in memory and in the archive; the newest.
const ROWS_MAX: usize = 256;
/// Rows that the status carries.
const SHOWN_MAX: usize = 64;
/// Bytes of a row's id that comes from elsewhere.
const ID_BYTES_MAX: usize = 200;

/// What a standby knew of its primary before it took over.
#[derive(Debug, Clone)]
pub(super) struct Former {
    /// The primary's name.
    pub node: String,
    /// The epoch that it led.
    pub epoch: u64,
    /// When it was last heard.
    pub heard: Option<Instant>,
    /// When this copy was last known to equal the primary's.
    pub equal: Option<Instant>,
}

/// A role change that has just taken place here.
#[derive(Debug)]
pub(super) struct Started {
    /// This moment, on both clocks.
    pub now: Instant,
    /// The same for people.
    pub wall: WallTime,
    /// The new primary answers from then on.
    pub serve_at: Instant,
    /// Whom it replaces, where anybody was followed.
    pub former: Option<Former>,
    /// What the machine says of it.
    pub change: RoleChange,
}

/// Something that the history cannot do, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSuchRow(String);

/// All rows, shared by everybody who adds to them or reads them.
pub struct History {
    cluster: String,
    node: String,
    archive: Option<Arc<dyn Archive>>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By start.
    rows: Vec<v1::RoleChange>,
    open: Option<Opening>,
}

impl History {
    /// What the archive kept, if there is one, and nothing else yet.
    #[must_use]
    pub fn new(
        cluster: String,
        node: String,
        kept: Vec<v1::RoleChange>,
        archive: Option<Arc<dyn Archive>>,
    ) -> Self {
        let history = Self { cluster, node, archive: None, inner: Mutex::default() };
        history.merge(kept);
        Self { archive, ..history }
    }

    /// Whether rows survive this process.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.archive.is_some()
    }

    /// A role change took place: its row, and how it goes on is written to it.
    pub(super) fn begin(&self, started: &Started) -> v1::RoleChange {
        let (opening, row) = Opening::of(&self.node, started);
        let mut inner = self.inner.lock();
        inner.open = opening;
        self.put(&mut inner, row.clone());
        row
    }

    /// That role change has come to this point. Only the first time counts.
    pub(super) fn reached(&self, what: &'static str, at: Instant) {
        self.complete(|opening, row| opening.reached(what, at, row));
    }

    /// That node is in sync from now on.
    pub(super) fn joined(&self, node: &str, at: Instant) {
        self.complete(|opening, row| opening.joined(node, at, row));
    }

    /// The trace of the change whose row this is.
    pub(super) fn traced(&self, id: &str, trace_id: String) {
        let mut inner = self.inner.lock();
        if let Some(row) = inner.rows.iter().find(|row| row.id == id) {
            let mut row = row.clone();
            (row.trace_id, row.revision) = (Some(trace_id), row.revision + 1);
            self.put(&mut inner, row);
        }
    }

    fn complete(&self, change: impl FnOnce(&mut Opening, &mut v1::RoleChange) -> bool) {
        let mut inner = self.inner.lock();
        let Some(mut opening) = inner.open.take() else { return };
        let row = inner.rows.iter().find(|row| row.id == opening.id()).cloned();
        if let Some(mut row) = row
            && change(&mut opening, &mut row)
        {
            row.revision += 1;
            self.put(&mut inner, row);
        }
        inner.open = Some(opening);
    }

    /// Writes into the history that a role change was a drill, or that one made none. Returns the row's id.
    ///
    /// # Errors
    /// When the change that it names is not known here.
    pub fn note_drill(&self, wall: WallTime, drill: v1::NoteDrillRequest) -> Result<String, NoSuchRow> {
        let v1::NoteDrillRequest { epoch, kind, actor, reason, outage_us, node, succeeded } = drill;
        let mut inner = self.inner.lock();
        let mut row = match epoch {
            Some(epoch) => {
                let rows = inner.rows.iter().rev();
                let row =
                    rows.clone().find(|row| row.epoch == epoch && row.id.starts_with(&format!("{epoch}-")));
                row.cloned().ok_or_else(|| {
                    NoSuchRow(format!("no role change to epoch {epoch} is in the history of {}", self.node))
                })?
            }
            None => v1::RoleChange {
                id: format!("drill-{}-{}", self.node, wall.0),
                to_node: self.node.clone(),
                started_unix_us: (wall.0 - outage_us.unwrap_or(0).min(wall.0)) as i64,
                ..v1::RoleChange::default()
            },
        };
        row.revision += 1;
        row.drill = true;
        row.cause = format!("drill_{kind}");
        row.reason = reason;
        row.actor = actor;
        row.client_outage_us = outage_us;
        row.from_node = Some(node);
        row.succeeded = Some(succeeded);
        let id = row.id.clone();
        self.put(&mut inner, row);
        Ok(id)
    }

    /// Writes down what an operator said about automatic failover, or that a pause is over.
    /// Every node that sees it writes the same row.
    pub(super) fn note_automation(&self, note: &AutomationNote) {
        self.merge(vec![v1::RoleChange {
            id: note.id.clone(),
            revision: 1,
            cause: note.what.to_owned(),
            reason: note.reason.clone(),
            actor: note.actor.clone(),
            started_unix_us: note.at.0 as i64,
            succeeded: Some(true),
            ..v1::RoleChange::default()
        }]);
    }

    /// Adds a row, or replaces it by what is known better.
    fn put(&self, inner: &mut Inner, row: v1::RoleChange) {
        if let Some(archive) = &self.archive {
            archive.keep(row.clone());
        }
        inner.rows.retain(|known| known.id != row.id);
        let at = inner.rows.partition_point(|known| known.started_unix_us <= row.started_unix_us);
        inner.rows.insert(at, row);
        if inner.rows.len() > ROWS_MAX {
            inner.rows.remove(0);
        }
    }

    /// Takes in rows of other nodes, or of the archive; where both sides know a row, the later revision counts.
    fn merge(&self, rows: Vec<v1::RoleChange>) {
        let mut inner = self.inner.lock();
        for row in rows.into_iter().take(ROWS_MAX) {
            let sound = !row.id.is_empty() && row.id.len() <= ID_BYTES_MAX;
            let known = inner.rows.iter().find(|known| known.id == row.id);
            let is_news = known.is_none_or(|known| known.revision < row.revision);
            // What is older than all that is kept would be thrown out at once.
            let full = inner.rows.len() == ROWS_MAX;
            let first = inner.rows.first().filter(|_| full && known.is_none());
            let has_room = first.is_none_or(|first| first.started_unix_us <= row.started_unix_us);
            if sound && is_news && has_room {
                self.put(&mut inner, row);
            }
        }
    }

    /// Names and revisions of all rows.
    fn heads(&self) -> Vec<v1::HistoryHead> {
        let head = |row: &v1::RoleChange| v1::HistoryHead { id: row.id.clone(), revision: row.revision };
        self.inner.lock().rows.iter().map(head).collect()
    }

    /// What somebody who knows `heads` lacks.
    fn lacking(&self, heads: &[v1::HistoryHead]) -> Vec<v1::RoleChange> {
        let known: std::collections::BTreeMap<&str, u64> =
            heads.iter().map(|h| (&*h.id, h.revision)).collect();
        let lacks =
            |row: &&v1::RoleChange| known.get(&*row.id).is_none_or(|revision| *revision < row.revision);
        self.inner.lock().rows.iter().filter(lacks).cloned().collect()
    }

    /// Answers a peer that tells what it knows.
    ///
    /// # Errors
    /// A sentence when the peer is of another cluster.
    pub fn answer(&self, asked: v1::HistoryExchange) -> Result<v1::HistoryExchange, NoSuchRow> {
        if asked.cluster_id != self.cluster {
            let (theirs, ours) = (asked.cluster_id, &self.cluster);
            return Err(NoSuchRow(format!("cluster_id is `{theirs}`: expected `{ours}`")));
        }
        self.merge(asked.rows);
        let rows = self.lacking(&asked.heads);
        Ok(v1::HistoryExchange { cluster_id: self.cluster.clone(), heads: self.heads(), rows })
    }

    /// The newest rows, oldest of them first; 0 means all.
    #[must_use]
    pub fn rows(&self, limit: usize) -> Vec<v1::RoleChange> {
        let rows = &self.inner.lock().rows;
        let skip = if limit == 0 { 0 } else { rows.len().saturating_sub(limit) };
        rows[skip..].to_vec()
    }

    /// What the status shows.
    pub(super) fn shown(&self) -> Vec<v1::RoleChange> {
        self.rows(SHOWN_MAX)
    }
}

/// Microseconds, as the contract has them.
fn us(time: Duration) -> u64 {
    time.as_micros() as u64
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;

//! The views: pure functions of what is known. A new one is a file here and a row of [`VIEWS`].

mod clients;
mod dialog;
mod events;
mod failover;
mod findings;
mod help;
mod oplog;
mod overview;
mod parts;
mod replication;
pub(crate) mod screen;
mod traces;
mod verification;
#[cfg(test)]
mod view_tests;

pub(crate) use parts::role as role_word;

use crate::filter::Filter;
use crate::findings::Since;
use crate::frame::Frame;
use crate::history::History;
use crate::journal::Journal;
use crate::keys::Keys;
use crate::listing::Listing;
use crate::look::Look;
use crate::model::Model;
pub(crate) use crate::page::{Drawn, Page, Sort};
use crate::trace::Lookup;

/// A view.
pub(crate) struct View {
    /// The digit that shows it.
    pub(crate) key: char,
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Where there is little room.
    pub(crate) short: &'static str,
    /// One sentence, for the help and docs/console.md.
    pub(crate) about: &'static str,
    page: fn(&Scene<'_>) -> Page,
}

/// What a view may look at.
pub(crate) struct Scene<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) history: &'a History,
    pub(crate) journal: &'a Journal,
    pub(crate) since: &'a Since,
    pub(crate) look: &'a Look,
    pub(crate) keys: &'a Keys,
    pub(crate) filter: &'a Filter,
    pub(crate) sort: Option<Sort>,
    pub(crate) trace: Option<&'a Lookup>,
    pub(crate) newest: &'a Listing,
    pub(crate) slowest: &'a Listing,
    pub(crate) is_replay: bool,
    pub(crate) range_ms: u64,
    pub(crate) columns: usize,
}

pub(crate) const VIEWS: &[View] = &[
    View {
        key: '1',
        name: "overview",
        title: "Overview",
        short: "Main",
        about: "Who leads, may I fail over, how far behind, what would be lost, what is wrong",
        page: overview::page,
    },
    View {
        key: '2',
        name: "replication",
        title: "Replication",
        short: "Repl",
        about: "The pipeline of each standby, its lag in entries, bytes and time, and their past",
        page: replication::page,
    },
    View {
        key: '3',
        name: "oplog",
        title: "OpLog",
        short: "OpLog",
        about: "The end of the log as it grows, and how long each write took in each stage",
        page: oplog::page,
    },
    View {
        key: '4',
        name: "verification",
        title: "Verification",
        short: "Verify",
        about: "How far the copies are known to be equal, what differs, what was repaired",
        page: verification::page,
    },
    View {
        key: '5',
        name: "failover",
        title: "Failover",
        short: "Failover",
        about: "Who could be promoted and why not; past role changes by phase; RTO and RPO",
        page: failover::page,
    },
    View {
        key: '6',
        name: "clients",
        title: "Clients",
        short: "Clients",
        about: "Clients and their segments: lent, used, away",
        page: clients::page,
    },
    View {
        key: '7',
        name: "traces",
        title: "Traces",
        short: "Trace",
        about: "The slowest writes; one by its seq, as a waterfall across the nodes",
        page: traces::page,
    },
    View {
        key: '8',
        name: "findings",
        title: "Findings",
        short: "Findings",
        about: "What is wrong, since when, and what to type next",
        page: findings::page,
    },
    View {
        key: '9',
        name: "events",
        title: "Events",
        short: "Events",
        about: "What happened, a column for each node",
        page: events::page,
    },
];

impl<'a> Scene<'a> {
    /// What `model` shows in a space of `columns`.
    pub(crate) fn of(model: &'a Model, columns: usize) -> Self {
        Self {
            frame: model.shown(),
            history: &model.history,
            journal: &model.journal,
            since: &model.since,
            look: &model.look,
            keys: &model.keys,
            filter: &model.gaze().filter,
            sort: model.gaze().sort,
            trace: model.trace.as_ref(),
            newest: &model.newest,
            slowest: &model.slowest,
            is_replay: model.replay.is_some(),
            range_ms: model.range_ms,
            columns,
        }
    }
}

/// The page of the view that `model` shows.
pub(crate) fn page(model: &Model, columns: usize) -> Page {
    (VIEWS[model.view].page)(&Scene::of(model, columns))
}

/// The page that is shown, and how many of its rows are seen at once.
pub(crate) fn page_shown(model: &Model) -> (Page, usize) {
    let (columns, rows) = screen::body(model.size);
    let page = page(model, columns);
    let seen = rows.saturating_sub(page.head.len()).max(1);
    (page, seen)
}

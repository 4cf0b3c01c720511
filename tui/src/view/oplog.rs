//! 3 OpLog: the end of the log as it grows, and how long each write took where.

use ratatui::text::Line;
use standfast_proto::v1::WriteTrace;

use super::parts::{self, flow, heading, pair};
use super::{Drawn, Page, Scene};
use crate::format::{bytes, cut, nanos, number};
use crate::frame::Node;
use crate::look::Tone;
use crate::page::{About, plain};
use crate::table::{Column, Row, left, right};
use crate::trace::Lookup;

const COLUMNS: &[Column] = &[
    right("SEQ", 0, 8),
    left("OP", 0, 9),
    left("KEY", 4, 10),
    right("DECIDE", 6, 7),
    right("APPEND", 5, 7),
    right("SEND", 3, 7),
    right("APPLY", 1, 7),
    right("ACK", 2, 7),
    right("REPLY", 0, 7),
];
/// Of the whole width, what a key may take: the stages matter more.
const KEY_SHARE: usize = 5;

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let mut head = log(scene);
    head.push(parts::spark(scene, "writes", "/s", parts::appended));
    head.push(heading(scene, "NEWEST WRITES, HOW LONG IN EACH STAGE"));
    let (header, rows) = writes(scene, &scene.newest.writes());
    let mut head: Vec<Drawn> = plain(head).collect();
    let say = |tone, text: &str| vec![Line::from(scene.look.paint(tone, cut(text, scene.columns))).into()];
    head.extend(scene.newest.complaints().iter().flat_map(|text| say(Tone::Warn, text)));
    let rows = match (scene.is_replay, scene.newest.is_known(), rows.is_empty()) {
        (true, _, _) => say(Tone::Label, "a recording holds no entries of the log"),
        (_, false, _) => say(Tone::Unknown, "? no node has told its newest writes yet"),
        (_, true, true) if scene.filter.is_active() => say(Tone::Label, "the filter hides all of them"),
        (_, true, true) => say(Tone::Label, "the log is empty"),
        (_, true, false) => {
            head.push(header);
            rows
        }
    };
    Page { head, rows }
}

/// Header and rows of a table of writes that the filter shows.
pub(super) fn writes(scene: &Scene<'_>, writes: &[Lookup]) -> (Drawn, Vec<Drawn>) {
    let rows: Vec<Row> =
        writes.iter().map(|write| row(scene, write)).filter(|row| scene.filter.shows(&row.text())).collect();
    parts::table(scene, COLUMNS, rows)
}

fn row(scene: &Scene<'_>, write: &Lookup) -> Row {
    let room = (scene.columns / KEY_SHARE).max(10);
    let told = |pick: &dyn Fn(&WriteTrace) -> Option<String>| {
        let value = write.answers.values().flatten().find_map(pick);
        let tone = if value.is_some() { Tone::Plain } else { Tone::Unknown };
        (value.unwrap_or_else(|| "?".to_owned()), tone)
    };
    // Some operations have no key.
    let key = match told(&|trace| trace.key.as_ref().map(|key| parts::key(key, room))) {
        (_, Tone::Unknown) => ("-".to_owned(), Tone::Label),
        known => known,
    };
    let stages = write.stages();
    let took = |ns: Option<u64>| (nanos(ns), if ns.is_some() { Tone::Plain } else { Tone::Unknown });
    Row::new(vec![
        (write.seq.to_string(), Tone::Plain),
        told(&|trace| trace.op.clone()),
        key,
        took(stages.decide),
        took(stages.append),
        took(stages.send),
        took(stages.apply),
        took(stages.ack),
        took(stages.in_all),
    ])
    .about(About::Write(write.seq))
}

/// Where the primary's log begins and ends, and what it takes.
fn log(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let primary = scene.frame.primary();
    let Some((node, status)) = primary.and_then(|node| Some((node, node.status()?))) else {
        return vec![Line::from(scene.look.paint(Tone::Unknown, "? no primary is known"))];
    };
    let plain = |label: &str, value: String| pair(scene.look, label, value, Tone::Plain);
    let positions = status.positions.as_ref();
    let commit = positions.and_then(|p| p.commit);
    let known = if commit.is_some() { Tone::Plain } else { Tone::Unknown };
    let mut pieces = vec![
        plain("log of", node.name().to_owned()),
        plain("from", number(positions.map(|p| p.trim))),
        plain("tail", number(positions.map(|p| p.tail))),
        pair(scene.look, "committed", number(commit), known),
    ];
    if let Some(log) = &status.log {
        pieces.push(plain("entries", format!("{} of {}", log.entries, log.max_entries)));
        pieces.push(plain("memory", format!("{} of {}", bytes(Some(log.bytes)), bytes(Some(log.max_bytes)))));
        if let Some(at) = log.pinned_at {
            pieces.push(pair(scene.look, "pinned at", at.to_string(), Tone::Warn));
        }
    }
    if !Node::is_fresh(node, scene.frame.at) {
        pieces.push(pair(scene.look, "", "as last told", Tone::Stale));
    }
    flow(pieces, scene.columns)
}

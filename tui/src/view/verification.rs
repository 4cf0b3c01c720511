//! 4 Verification: how far the copies are known to be equal, what differs, what was repaired.

use ratatui::text::Line;
use standfast_proto::v1::{Counter, Mismatch, Role, Verification};

use super::parts::{flow, heading, heard, pair, role, row_tone, table};
use super::{Drawn, Page, Scene};
use crate::format::{micros, millis, number};
use crate::frame::Node;
use crate::judge::verified;
use crate::look::Tone;
use crate::page::{About, plain};
use crate::table::{Column, Row, left, right};
use crate::time::clock_us;

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let mut head = vec![heading(scene, "COPIES").into()];
    head.extend(copies(scene));
    head.push(Drawn::default());
    head.extend(plain(scene.frame.nodes.iter().flat_map(|node| totals(scene, node))));
    head.push(Drawn::default());
    head.push(heading(scene, "DIFFERENCES, NEWEST FIRST").into());
    let (header, rows) = differences(scene);
    if rows.is_empty() {
        let text = if scene.filter.is_active() { "none that the filter shows" } else { "none is on record" };
        return Page { head, rows: vec![Line::from(scene.look.paint(Tone::Label, text)).into()] };
    }
    head.push(header);
    Page { head, rows }
}

fn verification(node: &Node) -> Option<&Verification> {
    node.status()?.verification.as_ref()
}

const COPIES: &[Column] = &[
    left("NODE", 0, 4),
    left("ROLE", 5, 8),
    right("APPLIED", 3, 8),
    right("VERIFIED", 0, 8),
    right("BEHIND", 1, 7),
    right("COMPARED", 2, 8),
    right("DIFFER", 0, 6),
    right("OPEN", 6, 4),
    left("MEMORY", 0, 6),
    right("COUNTED", 4, 8),
    right("HEARD", 0, 5),
];

/// A row for each copy: a primary is what the others are compared with, and counts its own memory, too.
fn copies(scene: &Scene<'_>) -> Vec<Drawn> {
    let row = |node: &Node| {
        let v = verification(node);
        let plain = |text: String| {
            let tone = if text == "?" { Tone::Unknown } else { Tone::Plain };
            (text, tone)
        };
        let leads = node.role() == Role::Primary;
        // What it is compared with is itself.
        let of_standby = |text: String| if leads { ("-".to_owned(), Tone::Label) } else { plain(text) };
        let wrong = v.and_then(|v| v.mismatched_keys.max(v.homes_unequal));
        let memory = match v.and_then(|v| v.recount_equal) {
            Some(true) => ("right".to_owned(), Tone::Ok),
            Some(false) => ("WRONG".to_owned(), Tone::Crit),
            None => ("?".to_owned(), Tone::Unknown),
        };
        let differ = match wrong {
            Some(0) => ("0".to_owned(), Tone::Ok),
            Some(n) => (n.to_string(), Tone::Crit),
            None => of_standby("?".to_owned()),
        };
        let applied = node.status().and_then(|status| status.positions.as_ref()).map(|p| p.applied);
        Row {
            cells: vec![
                plain(node.name().to_owned()),
                plain(role(node.role()).to_owned()),
                plain(number(applied)),
                of_standby(number(verified(scene.frame, node))),
                of_standby(number(v.and_then(|v| v.lag_entries))),
                of_standby(ago(v.and_then(|v| v.last_success_age_ms))),
                differ,
                of_standby(number(v.and_then(|v| v.homes_inconclusive))),
                memory,
                plain(ago(v.and_then(|v| v.recount_age_ms))),
                heard(scene.frame, node),
            ],
            whole: row_tone(scene, node),
            about: Some(About::Node(node.name().to_owned())),
        }
    };
    let rows: Vec<Row> = scene.frame.nodes.iter().map(row).collect();
    let (header, rows) = table(scene, COPIES, rows);
    std::iter::once(header).chain(rows).collect()
}

fn ago(ms: Option<u64>) -> String {
    ms.map_or_else(|| "?".to_owned(), |ms| millis(Some(ms)))
}

/// What a node has counted since it started.
fn totals(scene: &Scene<'_>, node: &Node) -> Vec<Line<'static>> {
    let Some(v) = verification(node) else { return Vec::new() };
    let sum = |counters: &[Counter]| -> Option<u64> {
        (!counters.is_empty()).then(|| counters.iter().map(|counter| counter.value).sum())
    };
    let listed = |counters: &[Counter]| {
        let some = counters.iter().filter(|counter| counter.value > 0);
        some.map(|counter| format!("{} {}", counter.label, counter.value)).collect::<Vec<_>>().join(", ")
    };
    let mut pieces = vec![pair(scene.look, "", node.name().to_owned(), Tone::Title)];
    if v.paused {
        let why = v.paused_reason.as_deref().unwrap_or("it does not say why");
        pieces.push(pair(scene.look, "", format!("paused: {why}"), Tone::Warn));
    }
    for (label, counters, tone) in [
        ("compared", &v.ranges, Tone::Plain),
        ("found", &v.mismatches, Tone::Warn),
        ("repairs", &v.repairs, Tone::Plain),
    ] {
        let text = match sum(counters) {
            None => continue,
            Some(0) => "none".to_owned(),
            Some(_) => listed(counters),
        };
        let tone = if text == "none" { Tone::Plain } else { tone };
        pieces.push(pair(scene.look, label, text, tone));
    }
    if let Some(ms) = v.last_run_duration_ms {
        pieces.push(pair(scene.look, "last run took", millis(Some(ms)), Tone::Plain));
    }
    // A name alone says nothing.
    if pieces.len() > 1 { flow(pieces, scene.columns) } else { Vec::new() }
}

const DIFFERENCES: &[Column] = &[
    left("FOUND", 0, 8),
    left("NODE", 1, 4),
    left("KIND", 0, 8),
    right("HOME", 4, 5),
    left("KEY", 0, 10),
    right("SEQ", 5, 7),
    left("REPAIRED", 0, 9),
    left("WHAT", 2, 10),
];
/// Of the whole width, what a key may take.
const KEY_SHARE: usize = 3;

fn differences(scene: &Scene<'_>) -> (Drawn, Vec<Drawn>) {
    let nodes = scene.frame.nodes.iter();
    let mut all: Vec<(&Node, &Mismatch)> = nodes
        .filter_map(|node| Some((node, verification(node)?)))
        .flat_map(|(node, v)| v.recent.iter().map(move |mismatch| (node, mismatch)))
        .collect();
    all.sort_by_key(|(_, mismatch)| std::cmp::Reverse(mismatch.found_unix_us));
    let rows: Vec<Row> = all.into_iter().map(|(node, mismatch)| difference(scene, node, mismatch)).collect();
    let rows: Vec<Row> = rows.into_iter().filter(|row| scene.filter.shows(&row.text())).collect();
    table(scene, DIFFERENCES, rows)
}

fn difference(scene: &Scene<'_>, node: &Node, mismatch: &Mismatch) -> Row {
    let plain = |text: String| (text, Tone::Plain);
    let key = mismatch.key.as_ref().map(|key| super::parts::key(key, scene.columns / KEY_SHARE));
    let none_left = verification(node).and_then(|v| v.mismatched_keys) == Some(0);
    let repaired = match mismatch.repaired_unix_us {
        // An entry of the log has overwritten it meanwhile.
        None if none_left => ("gone".to_owned(), Tone::Ok),
        None => ("no".to_owned(), Tone::Crit),
        Some(at) => {
            let took = u64::try_from(at - mismatch.found_unix_us).ok();
            (format!("in {}", micros(took)), Tone::Ok)
        }
    };
    Row::new(vec![
        plain(clock_us(mismatch.found_unix_us)),
        plain(node.name().to_owned()),
        (mismatch.kind.clone(), Tone::Warn),
        plain(mismatch.home.to_string()),
        plain(key.unwrap_or_else(|| "?".to_owned())),
        plain(number(mismatch.seq)),
        repaired,
        plain(mismatch.text.clone()),
    ])
}

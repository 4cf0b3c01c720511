//! 5 Failover: who could take over, what past role changes took, and what they cost.

use std::collections::BTreeMap;

use ratatui::text::{Line, Span};
use standfast_proto::v1::{Role, RoleChange, RoleChangeKind};

use super::parts::{heading, heard, promotable, role, row_tone, table};
use super::{Drawn, Page, Scene};
use crate::format::{cut, micros, millis, number, width, wrap};
use crate::frame::Node;
use crate::look::Tone;
use crate::page::{About, plain};
use crate::table::{Column, Row, lay, left, right};
use crate::time::clock_us;

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let mut drawn = vec![heading(scene, "MAY BE PROMOTED").into()];
    drawn.extend(candidates(scene));
    let mut rows = vec![Line::default()];
    let history = history(scene);
    rows.push(heading(scene, "ROLE CHANGES, NEWEST FIRST"));
    if history.is_empty() {
        rows.push(Line::from(scene.look.paint(Tone::Label, "none is on record")));
    }
    for change in history.iter().rev().filter(|change| scene.filter.shows(&summary(scene, change))) {
        rows.extend(row_change(scene, change));
    }
    rows.push(Line::default());
    rows.push(heading(scene, "RTO AND RPO"));
    rows.extend(objectives(scene, &history));
    drawn.extend(plain(rows));
    Page { head: Vec::new(), rows: drawn }
}

const COLUMNS: &[Column] = &[
    left("NODE", 0, 4),
    left("ROLE", 1, 9),
    left("PROMOTABLE", 0, 10),
    right("KEYS", 0, 8),
    right("SEGMENTS", 4, 8),
    right("FROM", 2, 8),
    right("REPLY IN", 3, 8),
    right("LOSES", 0, 5),
    right("PROOF", 5, 6),
    right("HEARD", 0, 5),
];

fn candidates(scene: &Scene<'_>) -> Vec<Drawn> {
    let mut rows = Vec::new();
    let mut reasons = Vec::new();
    for node in scene.frame.nodes.iter().filter(|node| node.role() != Role::Primary) {
        let rehearsal = node.status().and_then(|status| status.rehearsal.as_ref());
        let plan = rehearsal.and_then(|r| r.plan).unwrap_or_default();
        let plain = |text: String| (text, Tone::Plain);
        let loss = plan.loss.unwrap_or_default();
        rows.push(Row {
            cells: vec![
                plain(node.name().to_owned()),
                plain(role(node.role()).to_owned()),
                promotable(node),
                plain(number(plan.keys)),
                plain(number(plan.segments)),
                plain(number(plan.applied)),
                plain(millis(plan.serve_in_ms)),
                plain(number(loss.entries)),
                plain(millis(rehearsal.and_then(|r| r.age_ms))),
                heard(scene.frame, node),
            ],
            whole: row_tone(scene, node),
            about: Some(About::Node(node.name().to_owned())),
        });
        for reason in rehearsal.map(|r| &r.reasons[..]).unwrap_or_default() {
            let cure = if reason.cure.is_empty() { String::new() } else { format!(" Next: {}", reason.cure) };
            let text = format!("{} ({}): {}.{cure}", node.name(), reason.code, reason.text);
            reasons.extend(wrap(&text, scene.columns.saturating_sub(2)));
        }
    }
    if rows.is_empty() {
        let text = "no standby is known to the nodes that answer";
        return vec![Line::from(scene.look.paint(Tone::Unknown, text)).into()];
    }
    let (header, rows) = table(scene, COLUMNS, rows);
    let reasons =
        reasons.into_iter().map(|text| Line::from(scene.look.paint(Tone::Warn, format!("  {text}"))));
    std::iter::once(header).chain(rows).chain(plain(reasons)).collect()
}

/// The role changes and drills that any node has on record, oldest first. Of a row that several nodes tell, the one
/// that was revised most counts.
fn history(scene: &Scene<'_>) -> Vec<RoleChange> {
    let mut rows: BTreeMap<(i64, u64, String), RoleChange> = BTreeMap::new();
    for change in scene.frame.nodes.iter().filter_map(Node::status).flat_map(|status| &status.history) {
        let key = (change.started_unix_us, change.epoch, change.id.clone());
        if rows.get(&key).is_none_or(|known| change.revision > known.revision) {
            rows.insert(key, change.clone());
        }
    }
    rows.into_values().collect()
}

fn kind(kind: RoleChangeKind) -> &'static str {
    match kind {
        RoleChangeKind::Bootstrap => "bootstrap",
        RoleChangeKind::Switchover => "switchover",
        RoleChangeKind::Failover => "failover",
        RoleChangeKind::Forced => "forced",
        RoleChangeKind::Unspecified => "?",
    }
}

fn summary(scene: &Scene<'_>, change: &RoleChange) -> String {
    let drill = if change.drill { " drill" } else { "" };
    let ended = match change.succeeded {
        Some(true) => "done",
        Some(false) => "FAILED",
        None => "under way",
    };
    format!(
        "{} epoch {} {}{drill} {} {} {}, {ended}, by {}",
        clock_us(change.started_unix_us),
        change.epoch,
        kind(change.kind()),
        change.from_node.as_deref().unwrap_or("?"),
        scene.look.arrow(),
        change.to_node,
        change.actor,
    )
}

fn row_change(scene: &Scene<'_>, change: &RoleChange) -> Vec<Line<'static>> {
    let tone = if change.succeeded == Some(false) { Tone::Crit } else { Tone::Title };
    let mut lines = vec![Line::from(scene.look.paint(tone, cut(&summary(scene, change), scene.columns)))];
    let loss = |loss: Option<&standfast_proto::v1::Loss>| loss.copied().unwrap_or_default();
    let (lost, risk) = (loss(change.lost.as_ref()), loss(change.at_risk.as_ref()));
    let mut text = format!(
        "  outage {}   lost {} entries, {} keys   at risk {} entries",
        micros(change.outage_us),
        number(lost.entries),
        number(lost.keys),
        number(risk.entries),
    );
    if let Some(outage) = change.client_outage_us {
        text.push_str(&format!("   a client saw {}", micros(Some(outage))));
    }
    if let Some(rejoin) = change.rejoin_us {
        text.push_str(&format!("   rejoined after {}", micros(Some(rejoin))));
    }
    // The first primary of a cluster ends no outage and loses nothing of anybody.
    if change.kind() != RoleChangeKind::Bootstrap {
        lines.push(Line::from(scene.look.paint(Tone::Plain, cut(&text, scene.columns))));
    }
    if !change.reason.is_empty() {
        let reason = cut(&format!("  because {} ({})", change.reason, change.cause), scene.columns);
        lines.push(Line::from(scene.look.paint(Tone::Label, reason)));
    }
    lines.extend(phases(scene, change));
    lines
}

/// A bar of the phases over the outage. What no phase explains is shown, too: the parts add up to the whole.
fn phases(scene: &Scene<'_>, change: &RoleChange) -> Vec<Line<'static>> {
    let parts = parts(change);
    let whole: u64 = parts.iter().map(|(_, us)| us).sum();
    if whole == 0 {
        return Vec::new();
    }
    let columns = scene.columns.saturating_sub(4).max(10);
    let fills = if scene.look.ascii { ["#", "=", "%", "+"] } else { ["█", "▓", "▒", "░"] };
    let mut bar: Vec<Span<'static>> = vec![Span::raw("  ")];
    let (mut sum, mut drawn) = (0, 0);
    for (nr, (name, us)) in parts.iter().enumerate() {
        sum += us;
        let until = (sum as u128 * columns as u128 / u128::from(whole)) as usize;
        let (glyph, tone) =
            if name == UNEXPLAINED { (".", Tone::Stale) } else { (fills[nr % 4], Tone::Primary) };
        bar.push(scene.look.paint(tone, glyph.repeat(until - drawn)));
        drawn = until;
    }
    let mut legend: Vec<String> = Vec::new();
    for (nr, (name, us)) in parts.iter().enumerate() {
        let glyph = if name == UNEXPLAINED { "." } else { fills[nr % 4] };
        legend.push(format!("{glyph} {name} {}", micros(Some(*us))));
    }
    legend.push(format!("= {}", micros(Some(whole))));
    let mut lines = vec![Line::from(bar)];
    let mut line = String::new();
    for part in legend {
        if width(&line) + width(&part) + 5 > scene.columns {
            lines.push(Line::from(scene.look.paint(Tone::Label, std::mem::take(&mut line))));
        }
        line.push_str("  ");
        line.push_str(&part);
    }
    lines.push(Line::from(scene.look.paint(Tone::Label, line)));
    lines
}

const UNEXPLAINED: &str = "outside of the phases";
/// The phase that ends the outage; what follows it is no part of it.
const LAST: &str = "first_answer";

/// Phases of the outage in order, with what lies between and after them, up to its end.
pub(super) fn parts(change: &RoleChange) -> Vec<(String, u64)> {
    let mut parts: Vec<(String, u64)> = Vec::new();
    let mut at = 0;
    for phase in &change.phases {
        if phase.start_us > at {
            parts.push((UNEXPLAINED.to_owned(), phase.start_us - at));
        }
        // Phases that overlap share their time: counted once, so that the sum is the whole.
        let end = phase.start_us.saturating_add(phase.duration_us);
        parts.push((phase.name.clone(), end.saturating_sub(at.max(phase.start_us))));
        at = at.max(end);
        if phase.name == LAST {
            break;
        }
    }
    if let Some(rest) = change.outage_us.and_then(|outage| outage.checked_sub(at)).filter(|rest| *rest > 0) {
        parts.push((UNEXPLAINED.to_owned(), rest));
    }
    parts
}

const OBJECTIVES: &[Column] = &[
    left("KIND", 0, 10),
    right("COUNT", 0, 5),
    right("RTO LAST", 0, 8),
    right("WORST", 0, 8),
    right("RPO LAST", 1, 10),
    right("WORST", 2, 10),
    right("UNKNOWN", 3, 7),
];

/// What role changes took and cost, by kind; drills are a kind of their own. RTO is the outage as a client saw it, else
/// as the new primary knows it, else at least the phases' time.
fn objectives(scene: &Scene<'_>, history: &[RoleChange]) -> Vec<Line<'static>> {
    let kinds = [RoleChangeKind::Failover, RoleChangeKind::Switchover, RoleChangeKind::Forced];
    let mut groups: Vec<(&str, Vec<&RoleChange>)> = Vec::new();
    let ended = || history.iter().filter(|change| change.succeeded == Some(true));
    for wanted in kinds {
        groups.push((kind(wanted), ended().filter(|c| c.kind() == wanted && !c.drill).collect()));
    }
    groups.push(("drill", ended().filter(|change| change.drill).collect()));
    let mut rows = Vec::new();
    for (name, of) in groups {
        let Some(last) = of.last() else { continue };
        let seen = |change: &RoleChange| change.client_outage_us.or(change.outage_us);
        let rto = |change: &RoleChange| {
            seen(change).unwrap_or_else(|| parts(change).iter().map(|(_, us)| us).sum())
        };
        let rto_text = |change: &RoleChange| {
            let at_least = if seen(change).is_some() { "" } else { ">= " };
            format!("{at_least}{}", micros(Some(rto(change))))
        };
        let rpo = |change: &RoleChange| change.lost.as_ref().and_then(|lost| lost.entries);
        let worst = of.iter().max_by_key(|change| rto(change)).unwrap_or(last);
        let unknown = of.iter().filter(|change| rpo(change).is_none()).count();
        let plain = |text: String| (text, Tone::Plain);
        let entries = |value: Option<u64>| format!("{} entries", number(value));
        rows.push(Row::new(vec![
            plain(name.to_owned()),
            plain(of.len().to_string()),
            plain(rto_text(last)),
            plain(rto_text(worst)),
            plain(entries(rpo(last))),
            plain(entries(of.iter().filter_map(|change| rpo(change)).max())),
            plain(unknown.to_string()),
        ]));
    }
    if rows.is_empty() {
        return vec![Line::from(scene.look.paint(Tone::Label, "no failover is on record"))];
    }
    let (header, rows) = lay(scene.look, OBJECTIVES, &rows, scene.columns);
    std::iter::once(header).chain(rows).collect()
}

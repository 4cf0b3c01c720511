//! 1 Overview: five answers, the nodes, two graphs, what is wrong.

use ratatui::text::{Line, Span};

use super::parts::{self, beside, heading, judged, promotable, row_tone};
use super::{Drawn, Page, Scene};
use crate::findings::{Found, findings};
use crate::format::{cut, millis, number, width, wrap};
use crate::frame::Node;
use crate::judge::{self, Answers, answers};
use crate::look::Tone;
use crate::page::{About, plain};
use crate::table::{Column, Row, left, right};

/// From this width on, findings and events stand beside the rest.
const RICH: usize = 120;
const FINDINGS_SHOWN: usize = 6;

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let answers = answers(scene.frame);
    let found = findings(scene.frame, scene.history.before(scene.frame.at));
    if scene.columns < RICH {
        let mut rows: Vec<Drawn> = plain(five(scene, &answers)).collect();
        rows.push(Drawn::default());
        rows.extend(nodes(scene));
        rows.push(Drawn::default());
        let graphs: Vec<Drawn> = plain(graphs(scene, &answers)).collect();
        let wrong = wrong(scene, &found);
        // What is wrong must be seen on the smallest screen, whatever else is not.
        let parts = if found.is_empty() { [graphs, wrong] } else { [wrong, graphs] };
        rows.extend(parts.join(&Drawn::default()));
        return Page { head: Vec::new(), rows };
    }
    let mut rows: Vec<Drawn> = plain(five(scene, &answers)).collect();
    rows.push(Drawn::default());
    let columns = scene.columns * 3 / 5;
    let (main, side) = (part(scene, columns), part(scene, scene.columns - columns - 2));
    let mut block = vec![heading(&main, "NODES").into()];
    block.extend(nodes(&main));
    block.push(Drawn::default());
    block.push(heading(&main, "LAST MINUTES").into());
    block.extend(plain(graphs(&main, &answers)));
    block.push(Drawn::default());
    block.extend(super::replication::standbys(&main));
    let mut aside: Vec<Line<'static>> = wrong(&side, &found).into_iter().map(|drawn| drawn.line).collect();
    aside.push(Line::default());
    aside.extend(latest(&side));
    rows.extend(beside(block, aside, columns));
    Page { head: Vec::new(), rows }
}

fn part<'a>(scene: &Scene<'a>, columns: usize) -> Scene<'a> {
    Scene { columns, ..*scene }
}

fn five(scene: &Scene<'_>, answers: &Answers) -> Vec<Line<'static>> {
    let known = |known: bool| if known { Tone::Ok } else { Tone::Unknown };
    let (primary, tone) = match (&answers.primary, answers.primary_stale_ms) {
        (None, _) => ("?".to_owned(), Tone::Unknown),
        (Some(name), None) => {
            (format!("{name}   epoch {}{}", number(answers.epoch), serving(scene)), Tone::Ok)
        }
        (Some(name), Some(ms)) => (
            format!("{name}   epoch {}   last heard {} ago", number(answers.epoch), millis(Some(ms))),
            Tone::Crit,
        ),
    };
    let mut lines = vec![judged(scene, tone, "PRIMARY ", &primary)];
    let label = "FAILOVER SAFE ";
    let tone = answers.safe_tone();
    let room = scene.columns.saturating_sub(width(label) + width(scene.look.badge(tone)) + 2);
    let text = wrap(&format!("{}: {}", answers.safe_word(), answers.reason), room);
    lines.push(judged(scene, tone, label, &text[0]));
    let indent = " ".repeat(width(label));
    lines.extend(text[1..].iter().map(|more| Line::from(scene.look.paint(tone, format!("{indent}{more}")))));
    let of = answers.target.as_ref().map_or(String::new(), |name| format!("   {name}"));
    let lag = format!("{}{of}", judge::lag_text(&answers.lag));
    lines.push(judged(scene, answers.lag_tone(), "LAG ", &lag));
    let told = match (answers.lose_keys, answers.lose_entries) {
        (None, Some(entries)) => format!("   (lacks {entries} entries that it was told of)"),
        _ => String::new(),
    };
    let tone = match answers.lose_keys {
        None => Tone::Unknown,
        Some(0) => Tone::Ok,
        Some(_) => Tone::Warn,
    };
    lines.push(judged(scene, tone, "WOULD LOSE ", &format!("{} keys{told}", number(answers.lose_keys))));
    let (tone, but) = match answers.differs {
        true => (Tone::Crit, "   but something differs: 4 shows what"),
        false => (known(answers.verified.is_some()), ""),
    };
    lines.push(judged(scene, tone, "VERIFIED ", &format!("{}{but}", number(answers.verified))));
    lines
}

/// Whether the primary may answer at this moment.
fn serving(scene: &Scene<'_>) -> String {
    let status = scene.frame.primary().and_then(Node::status);
    let Some(rights) = status.and_then(|status| status.rights.as_ref()) else { return String::new() };
    let ack = status.and_then(|s| s.leadership.as_ref()).map_or("", |l| match l.ack_mode() {
        standfast_proto::v1::AckMode::Sync => "   ack sync",
        standfast_proto::v1::AckMode::Async => "   ack async",
        standfast_proto::v1::AckMode::Unspecified => "",
    });
    let word = if rights.may_answer { "serving" } else { "NOT SERVING" };
    format!("   {word}{ack}")
}

const COLUMNS: &[Column] = &[
    left("NODE", 0, 4),
    left("ROLE", 0, 9),
    right("EPOCH", 4, 5),
    right("TAIL", 2, 8),
    right("APPLIED", 5, 8),
    right("LAG", 1, 12),
    left("PROMOTABLE", 3, 10),
    right("OBJECTS", 6, 8),
    right("HEARD", 0, 8),
];

fn nodes(scene: &Scene<'_>) -> Vec<Drawn> {
    let rows: Vec<Row> = scene.frame.nodes.iter().map(|node| node_row(scene, node)).collect();
    let rows: Vec<Row> = rows.into_iter().filter(|row| scene.filter.shows(&row.text())).collect();
    let (header, rows) = parts::table(scene, COLUMNS, rows);
    std::iter::once(header).chain(rows).collect()
}

fn node_row(scene: &Scene<'_>, node: &Node) -> Row {
    use standfast_proto::v1::Role;
    let positions = node.status().and_then(|status| status.positions.as_ref());
    let objects = node.status().and_then(|status| status.store.as_ref()).map(|store| store.objects);
    let plain = |text: String| (text, Tone::Plain);
    let role_tone = if node.role() == Role::Primary { Tone::Primary } else { Tone::Plain };
    let lag = match node.role() {
        // A primary is behind nobody.
        Role::Primary => ("-".to_owned(), Tone::Label),
        _ => {
            let lag = judge::lag(scene.frame, node);
            (judge::lag_short(&lag), judge::lag_tone(&lag))
        }
    };
    Row {
        cells: vec![
            plain(node.name().to_owned()),
            (parts::role(node.role()).to_owned(), role_tone),
            plain(number(node.epoch())),
            plain(number(positions.map(|p| p.tail))),
            plain(number(positions.map(|p| p.applied))),
            lag,
            promotable(node),
            plain(number(objects)),
            parts::heard(scene.frame, node),
        ],
        whole: row_tone(scene, node),
        about: Some(About::Node(node.name().to_owned())),
    }
}

fn graphs(scene: &Scene<'_>, answers: &Answers) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(name) = &answers.target {
        lines.push(parts::spark(scene, "lag", "behind", |_, frame| parts::lag_entries(frame, name)));
    }
    lines.push(parts::spark(scene, "writes", "/s", parts::appended));
    lines
}

/// The worst findings, cut to a line each.
fn wrong(scene: &Scene<'_>, found: &[Found]) -> Vec<Drawn> {
    if found.is_empty() {
        let ok =
            scene.look.paint(Tone::Ok, format!("{} nothing is known to be wrong", scene.look.mark(Tone::Ok)));
        let none = scene.frame.fresh() == 0;
        let unknown = || scene.look.paint(Tone::Unknown, "? no node answers: nothing is known");
        let says = Line::from(if none { unknown() } else { ok });
        return vec![heading(scene, "FINDINGS").into(), says.into()];
    }
    let mut lines = vec![heading(scene, &format!("FINDINGS {}", found.len())).into()];
    for finding in found.iter().take(FINDINGS_SHOWN) {
        let tone = finding.tone();
        let text = cut(&finding.sentence(), scene.columns.saturating_sub(7));
        let mark = format!("{:<6}", scene.look.badge(tone).replace("UNKNOWN", "?"));
        let line = Line::from(vec![
            scene.look.paint(tone, mark),
            Span::raw(" "),
            scene.look.paint(Tone::Plain, text),
        ]);
        lines.push(Drawn::about(line, finding.about()));
    }
    if found.len() > FINDINGS_SHOWN {
        lines.push(Line::from(scene.look.paint(Tone::Label, "8 shows all of them")).into());
    }
    lines
}

/// The newest events of all nodes, where there is room for them.
fn latest(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let newest: Vec<_> = scene.journal.heard_by(scene.frame.at).rev().take(16).collect();
    let line = |entry: &&crate::journal::Entry| {
        let at = crate::time::clock_us(entry.event.at_unix_us);
        let text = cut(&format!("{at} {} {}", entry.node, entry.event.text), scene.columns);
        let tone = match crate::findings::tone(entry.event.severity()) {
            Tone::Unknown => Tone::Plain,
            tone => tone,
        };
        Line::from(scene.look.paint(tone, text))
    };
    std::iter::once(heading(scene, "LATEST EVENTS")).chain(newest.iter().map(line)).collect()
}

//! What several views draw.

use ratatui::text::{Line, Span};
use standfast_proto::v1::{Role, Verdict};

use super::{Drawn, Scene};
use crate::format::{cut, figure, millis, width};
use crate::frame::{Frame, Node};
use crate::judge::{lag, verdict};
use crate::look::{Look, Tone};
use crate::table::{Column, Row, sortable};

/// A heading over a part of a page.
pub(crate) fn heading(scene: &Scene<'_>, text: &str) -> Line<'static> {
    let rule = scene.look.rule().repeat(scene.columns.saturating_sub(width(text) + 1));
    Line::from(vec![scene.look.paint(Tone::Title, format!("{text} ")), scene.look.paint(Tone::Label, rule)])
}

/// Text on the left and a verdict on the right, never by colour alone.
pub(crate) fn judged(scene: &Scene<'_>, tone: Tone, label: &str, value: &str) -> Line<'static> {
    let badge = scene.look.badge(tone);
    let room = scene.columns.saturating_sub(width(badge) + 2 + width(label));
    let value = cut(value, room);
    let pad = " ".repeat(room.saturating_sub(width(&value)) + 2);
    Line::from(vec![
        scene.look.paint(Tone::Title, label.to_owned()),
        scene.look.paint(tone, value),
        Span::raw(pad),
        scene.look.paint(tone, badge),
    ])
}

/// The word for a role, or `?`.
pub(crate) fn role(role: Role) -> &'static str {
    role.word().unwrap_or("?")
}

/// How a node's row looks as a whole: stale values are dimmed.
pub(crate) fn row_tone(scene: &Scene<'_>, node: &Node) -> Option<Tone> {
    (!node.is_fresh(scene.frame.at)).then_some(Tone::Stale)
}

/// Header and rows of a table in the order that the operator has chosen.
pub(crate) fn table(scene: &Scene<'_>, columns: &[Column], rows: Vec<Row>) -> (Drawn, Vec<Drawn>) {
    sortable(scene.look, columns, rows, scene.columns, scene.sort)
}

/// When a node last answered: `now`, or how long ago.
pub(crate) fn heard(frame: &Frame, node: &Node) -> (String, Tone) {
    match node.age_ms(frame.at) {
        None => ("never".to_owned(), Tone::Crit),
        Some(_) if node.is_fresh(frame.at) => ("now".to_owned(), Tone::Ok),
        Some(ms) => (format!("{} ago", millis(Some(ms))), Tone::Stale),
    }
}

/// Whether a node says that it could be promoted.
pub(crate) fn promotable(node: &Node) -> (String, Tone) {
    let word = match (node.role(), node.status().map(verdict)) {
        (Role::Primary, _) => return ("-".to_owned(), Tone::Label),
        (_, Some(Verdict::Yes)) => ("yes", Tone::Ok),
        (_, Some(Verdict::No)) => ("no", Tone::Crit),
        _ => ("?", Tone::Unknown),
    };
    (word.0.to_owned(), word.1)
}

/// A label, a sparkline over the range, and what its values come to.
pub(crate) fn spark(
    scene: &Scene<'_>,
    label: &str,
    unit: &str,
    value: impl Fn(Option<&Frame>, &Frame) -> Option<f64>,
) -> Line<'static> {
    let (label_room, tail_room) = (8, 29 + unit.len());
    let columns = scene.columns.saturating_sub(label_room + tail_room + 2).max(8);
    let values = scene.history.series(scene.frame.at, scene.range_ms, columns, &value);
    let minutes = scene.range_ms / 60_000;
    let most = values.iter().flatten().copied().reduce(f64::max);
    // What is unknown now is not what it was when it was known.
    let last = scene.history.latest(scene.frame.at, value);
    Line::from(vec![
        scene.look.paint(Tone::Label, format!("{:<label_room$}", cut(label, label_room))),
        scene.look.paint(Tone::Primary, scene.look.sparkline(&values)),
        scene.look.paint(
            Tone::Label,
            format!("  last {} max {} {unit}, {minutes} min", figure(last), figure(most)),
        ),
    ])
}

/// Lag of the standby `name` in entries.
pub(crate) fn lag_entries(frame: &Frame, name: &str) -> Option<f64> {
    frame.find(name).and_then(|node| lag(frame, node).entries).map(|entries| entries as f64)
}

/// Lag of the standby `name` in milliseconds.
pub(crate) fn lag_ms(frame: &Frame, name: &str) -> Option<f64> {
    frame.find(name).and_then(|node| lag(frame, node).age_us).map(|us| us as f64 / 1000.0)
}

/// Entries a second that the primary appended between two frames.
pub(crate) fn appended(before: Option<&Frame>, frame: &Frame) -> Option<f64> {
    let now = frame.primary().filter(|node| node.is_fresh(frame.at))?;
    let was = before?.at_addr(&now.addr).filter(|was| was.copy() == now.copy())?;
    let reading = |node: &Node| {
        let status = node.status()?;
        Some((status.positions.as_ref()?.tail, status.taken.as_ref()?.boot_us))
    };
    let ((tail, at), (tail_was, at_was)) = (reading(now)?, reading(was)?);
    let seconds = at.checked_sub(at_was).filter(|us| *us > 0)? as f64 / 1e6;
    Some(tail.checked_sub(tail_was)? as f64 / seconds)
}

/// A key in at most `room` columns; of a longer one the end, which tells keys apart.
pub(crate) fn key(bytes: &[u8], room: usize) -> String {
    // The tenant is set off by a character that no terminal shows.
    let text: String =
        String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ':' } else { c }).collect();
    let mut kept: Vec<char> = Vec::new();
    for c in text.chars().rev() {
        if kept.len() + 1 >= room && width(&text) > room {
            kept.push('~');
            break;
        }
        kept.push(c);
    }
    cut(&kept.into_iter().rev().collect::<String>(), room)
}

/// A label and its value; a label may be empty.
pub(crate) fn pair(look: &Look, label: &str, value: impl Into<String>, tone: Tone) -> Line<'static> {
    let gap = if label.is_empty() { "" } else { " " };
    Line::from(vec![look.paint(Tone::Label, format!("{label}{gap}")), look.paint(tone, value)])
}

/// Pieces one after the other, on as many lines as they need.
pub(crate) fn flow(pieces: Vec<Line<'static>>, columns: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    for piece in pieces {
        let used = lines.last().map_or(0, Line::width);
        if used > 0 && used + 3 + piece.width() > columns {
            lines.push(Line::default());
        }
        if let Some(line) = lines.last_mut() {
            if line.width() > 0 {
                line.push_span(Span::raw("   "));
            }
            line.spans.extend(piece.spans);
        }
    }
    lines
}

/// Cuts a line to `columns`.
pub(crate) fn clip(line: Line<'static>, columns: usize) -> Line<'static> {
    if line.width() <= columns {
        return line;
    }
    let mut left = columns;
    let mut spans = Vec::new();
    for span in line.spans {
        let text = cut(&span.content, left);
        left -= width(&text);
        spans.push(Span::styled(text, span.style));
        if left == 0 {
            break;
        }
    }
    Line::from(spans)
}

/// Two blocks side by side; each line of the left one takes `columns`. What can be selected stands on the left.
pub(crate) fn beside(left: Vec<Drawn>, right: Vec<Line<'static>>, columns: usize) -> Vec<Drawn> {
    let rows = left.len().max(right.len());
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    let mut lines = Vec::with_capacity(rows);
    for _ in 0..rows {
        let mut drawn = left.next().unwrap_or_default();
        drawn.line = clip(drawn.line, columns);
        let pad = columns - drawn.line.width() + 2;
        drawn.line.push_span(Span::raw(" ".repeat(pad)));
        drawn.line.spans.extend(right.next().unwrap_or_default().spans);
        lines.push(drawn);
    }
    lines
}

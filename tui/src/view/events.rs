//! 9 Events: a row for each, in the column of the node where it happened.

use ratatui::text::{Line, Span};

use super::{Page, Scene};
use crate::findings::tone;
use crate::format::{cut, width};
use crate::journal::Entry;
use crate::look::Tone;
use crate::page::plain;
use crate::time::clock_us;

/// `12:00:01  `.
const CLOCK: usize = 10;
const GAP: usize = 1;
/// A column narrower than this says nothing.
const COLUMN_MIN: usize = 16;

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let mut nodes: Vec<&str> = scene.journal.heard_by(scene.frame.at).map(|entry| &*entry.node).collect();
    nodes.extend(
        scene.frame.nodes.iter().filter(|node| node.status().is_some()).map(crate::frame::Node::name),
    );
    nodes.sort_unstable();
    nodes.dedup();
    if nodes.is_empty() {
        let text = scene.look.paint(Tone::Unknown, "no node has reported an event");
        return Page::saying(Line::from(text));
    }
    let fit = ((scene.columns - CLOCK) / (COLUMN_MIN + GAP)).max(1);
    let column = (scene.columns - CLOCK) / nodes.len().min(fit) - GAP;
    let mut header = vec![scene.look.paint(Tone::Title, format!("{:<CLOCK$}", "TIME"))];
    for (nr, name) in nodes.iter().take(fit).enumerate() {
        // Where there are more nodes than columns, the last column is everybody else's.
        let name = if nr + 1 == fit && nodes.len() > fit { "others" } else { name };
        let name = cut(name, column);
        let pad = " ".repeat(column - width(&name) + GAP);
        header.push(scene.look.paint(Tone::Title, name + &pad));
    }
    let entries = scene.journal.heard_by(scene.frame.at).rev();
    let shown = entries.filter(|entry| {
        scene.filter.shows(&format!("{} {} {}", entry.node, entry.event.code, entry.event.text))
    });
    let rows = plain(shown.flat_map(|entry| event(scene, &nodes, entry, fit, column))).collect();
    Page { head: vec![Line::from(header).into()], rows }
}

/// An event takes as many rows as its text needs, but not more than three.
fn event(scene: &Scene<'_>, nodes: &[&str], entry: &Entry, fit: usize, column: usize) -> Vec<Line<'static>> {
    let at = nodes.iter().position(|name| *name == entry.node).unwrap_or_default().min(fit - 1);
    let tone = match tone(entry.event.severity()) {
        Tone::Unknown => Tone::Plain,
        tone => tone,
    };
    let mark = match tone {
        Tone::Plain => String::new(),
        _ => format!("{} ", scene.look.mark(tone)),
    };
    let who = if nodes.len() > fit && at + 1 == fit { format!("{}: ", entry.node) } else { String::new() };
    let mut text = crate::format::wrap(&format!("{mark}{who}{}", entry.event.text), column);
    if text.len() > 3 {
        text.truncate(3);
        text[2] = cut(&format!("{} ~", text[2]), column);
    }
    let indent = at * (column + GAP);
    let line = |(nr, text): (usize, String)| {
        let clock = if nr == 0 { clock_us(entry.event.at_unix_us) } else { String::new() };
        Line::from(vec![
            scene.look.paint(Tone::Label, format!("{clock:<CLOCK$}")),
            Span::raw(" ".repeat(indent)),
            scene.look.paint(tone, text),
        ])
    };
    text.into_iter().enumerate().map(line).collect()
}

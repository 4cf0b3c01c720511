//! The help: the tables of views, keys and commands.

use ratatui::text::Line;

use super::VIEWS;
use crate::bindings::When;
use crate::command::COMMANDS;
use crate::format::{cut, wrap};
use crate::keys::{Keys, shown};
use crate::look::{Look, Tone};

/// Width of the keys' column: the longest command and a space.
const KEY: usize = 26;

pub(super) fn lines(look: &Look, keys: &Keys, columns: usize) -> Vec<Line<'static>> {
    let title = |text: &str| Line::from(look.paint(Tone::Title, text.to_owned()));
    let row = |key: &str, help: &str| {
        let help = wrap(help, columns.saturating_sub(KEY + 2));
        let line = |(nr, text): (usize, String)| {
            let key = if nr == 0 { key } else { "" };
            Line::from(vec![
                look.paint(Tone::Primary, format!("  {key:<KEY$}")),
                look.paint(Tone::Plain, text),
            ])
        };
        help.into_iter().enumerate().map(line).collect::<Vec<_>>()
    };
    let mut lines = vec![title("VIEWS")];
    lines.extend(VIEWS.iter().flat_map(|view| row(&format!("{} {}", view.key, view.title), view.about)));
    lines.push(Line::default());
    lines.push(title("KEYS"));
    for (binding, keys) in keys.rows() {
        let note = match binding.when {
            When::Always => "",
            When::Acting => " (with --allow-actions)",
            When::Lab => " (in the demo)",
            When::Replay => " (with --replay)",
        };
        lines.extend(row(&shown(keys), &format!("{}{note}", binding.help)));
    }
    lines.push(Line::default());
    lines.push(title("COMMANDS; a name may be shortened"));
    lines.extend(COMMANDS.iter().flat_map(|c| row(&format!(":{} {}", c.name, c.args), c.help)));
    lines.push(Line::default());
    lines.push(title("SIGNS"));
    for (sign, help) in [
        ("?", "Nobody knows; never shown as 0"),
        ("dim, with an age", "Older than two intervals: it was true then"),
        ("a / b", "Lag: entries / time since the oldest of them was appended"),
    ] {
        lines.extend(row(sign, help));
    }
    for tone in [Tone::Ok, Tone::Warn, Tone::Crit] {
        lines.extend(row(
            look.badge(tone),
            match tone {
                Tone::Ok => "As it should be",
                Tone::Warn => "Needs a look",
                _ => "Needs a hand",
            },
        ));
    }
    lines
}

/// A page of the runbook: its Markdown as it is, but for lines that are too long and signs that only a browser needs.
pub(super) fn runbook(look: &Look, text: &str, columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
            continue;
        }
        let tone = match line.trim_start_matches('#') {
            _ if code => Tone::Focus,
            title if title.len() < line.len() => Tone::Title,
            _ => Tone::Plain,
        };
        let shown = if tone == Tone::Title { line.trim_start_matches('#').trim_start() } else { line };
        let wrapped = if code { vec![cut(shown, columns)] } else { wrap(shown, columns) };
        lines.extend(wrapped.into_iter().map(|text| Line::from(look.paint(tone, text))));
    }
    lines
}

//! The whole screen.
//!
//! ```text
//! header   what this is, whose, live or not, the time
//! tabs     the views
//! body     the view, or the dialog over it
//! line     what is typed, a notice, or the place in a replay
//! footer   the keys that matter here
//! ```

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::parts::clip;
use super::{Drawn, Scene, VIEWS, View, dialog, help, page};
use crate::act::Stage;
use crate::bindings::Action;
use crate::format::{cut, millis, plural, width};
use crate::look::Tone;
use crate::model::{Dialog, Model, Prompt};
use crate::msg::Key;
use crate::page::Link;

/// Rows that are not the body's.
const FRAME_ROWS: usize = 4;
/// Rows above it: the header and the views.
const BODY_TOP: usize = 2;
/// Smaller than this nothing can be shown.
const LEAST: (u16, u16) = (40, 10);

/// Columns and rows of the body.
pub(super) fn body(size: (u16, u16)) -> (usize, usize) {
    (usize::from(size.0), usize::from(size.1).saturating_sub(FRAME_ROWS))
}

/// All lines of the screen, from top to bottom.
pub(crate) fn lines(model: &Model) -> Vec<Line<'static>> {
    let (columns, rows) = (usize::from(model.size.0), usize::from(model.size.1));
    if model.size.0 < LEAST.0 || model.size.1 < LEAST.1 {
        let text = format!("{columns}x{rows} is too small: {}x{} is needed", LEAST.0, LEAST.1);
        return vec![Line::raw(cut(&text, columns))];
    }
    let (_, body_rows) = body(model.size);
    let mut lines = vec![header(model, columns), tabs(model, columns)];
    let content = content(model, columns, body_rows);
    lines.extend(content.into_iter().take(body_rows).map(|line| clip(line, columns)));
    lines.resize(rows - 2, Line::default());
    lines.push(message(model, columns));
    lines.push(footer(model, columns));
    lines
}

/// Draws the screen.
pub(crate) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    for (row, line) in (area.y..area.bottom()).zip(lines(model)) {
        buffer.set_line(area.x, row, &line, area.width);
    }
}

/// The screen as plain text.
#[must_use]
pub fn text(model: &Model) -> String {
    let lines = lines(model);
    lines.iter().map(|line| format!("{}\n", line.to_string().trim_end())).collect()
}

fn content(model: &Model, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let from_row = |all: Vec<Line<'static>>, from: usize| -> Vec<Line<'static>> {
        let from = from.min(all.len().saturating_sub(rows));
        all.into_iter().skip(from).collect()
    };
    match &model.dialog {
        Dialog::Help(from) => from_row(help::lines(&model.look, &model.keys, columns), *from),
        Dialog::Runbook { name, text, row } => {
            let mut lines = vec![Line::from(model.look.paint(Tone::Focus, format!("RUNBOOK {name}")))];
            lines.extend(from_row(help::runbook(&model.look, text, columns), *row));
            lines
        }
        Dialog::Act(act) => {
            // Whatever the screen is held at: one acts on what is known now.
            let scene = Scene { frame: &model.live, ..Scene::of(model, columns) };
            dialog::lines(&scene, act)
        }
        Dialog::None | Dialog::Prompt { .. } => {
            drawn(model, columns, rows).into_iter().map(|drawn| drawn.line).collect()
        }
    }
}

/// The part of the page that is seen, with what is selected in reverse.
fn drawn(model: &Model, columns: usize, rows: usize) -> Vec<Drawn> {
    let page = page(model, columns);
    let seen = rows.saturating_sub(page.head.len()).max(1);
    let from = model.gaze().scroll.min(page.rows.len().saturating_sub(seen));
    let below = page.rows.len().saturating_sub(from + seen);
    let mut drawn = page.head;
    drawn.extend(page.rows.into_iter().skip(from).take(seen));
    if below > 0 && drawn.len() == rows {
        // The last row is no row that could be missed.
        drawn.pop();
        let more = format!("... {} below: {}", plural(below + 1, "row"), model.keys.of(Action::PageDown));
        drawn.push(Line::from(model.look.paint(Tone::Label, more)).into());
    }
    let selected = model.gaze().selected.as_ref();
    for drawn in drawn.iter_mut().filter(|drawn| drawn.about.is_some() && drawn.about.as_ref() == selected) {
        for span in &mut drawn.line.spans {
            span.style = span.style.add_modifier(Modifier::REVERSED);
        }
    }
    drawn.truncate(rows);
    drawn
}

/// What stands in a row of the screen, while no dialog lies over it.
pub(crate) fn drawn_at(model: &Model, row: usize) -> Option<Drawn> {
    let (columns, rows) = body(model.size);
    drawn(model, columns, rows).into_iter().nth(row.checked_sub(BODY_TOP)?)
}

/// Where the screen leads to pages of the runbook: row, columns, address. Nowhere unless somebody has said where they are.
pub(crate) fn links(model: &Model) -> Vec<(u16, Range<u16>, String)> {
    let (Some(base), Dialog::None) = (&model.runbooks, &model.dialog) else { return Vec::new() };
    let (columns, rows) = body(model.size);
    let place = |(nr, drawn): (usize, Drawn)| {
        let Link { at, runbook } = drawn.link?;
        let row = u16::try_from(nr + BODY_TOP).ok()?;
        let at = u16::try_from(at.start).ok()?..u16::try_from(at.end.min(columns)).ok()?;
        Some((row, at, format!("{}/{runbook}.md", base.trim_end_matches('/'))))
    };
    drawn(model, columns, rows).into_iter().enumerate().filter_map(place).collect()
}

/// Where the values come from: live, held, a recording, or nowhere.
fn source(model: &Model) -> (String, Tone) {
    let nodes = model.live.nodes.len();
    let fresh = model.live.fresh();
    if let Some(replay) = &model.replay {
        let word = match (replay.is_over(), replay.playing) {
            (true, _) => "at the end".to_owned(),
            (false, true) => replay.speed(),
            (false, false) => "standing".to_owned(),
        };
        return (format!("REPLAY {word}"), Tone::Warn);
    }
    if let Some(held) = &model.hold {
        return (format!("PAUSED {} ago", millis(Some(model.now.since(held.at)))), Tone::Warn);
    }
    if nodes > 0 && fresh == 0 {
        let age = model.live.nodes.iter().filter_map(|node| node.age_ms(model.now)).min();
        return match age {
            Some(age) => (format!("STALE {} {}", model.look.mark(Tone::Crit), millis(Some(age))), Tone::Crit),
            None => ("NO ANSWER".to_owned(), Tone::Unknown),
        };
    }
    let (mark, tone) = if fresh == nodes { (Tone::Ok, Tone::Ok) } else { (Tone::Warn, Tone::Warn) };
    (format!("LIVE {} {fresh}/{nodes}", model.look.mark(mark)), tone)
}

fn header(model: &Model, columns: usize) -> Line<'static> {
    let look = &model.look;
    let bar = look.theme.style(Tone::Bar);
    let (source, _) = source(model);
    let cluster = model.live.cluster().unwrap_or("?").to_owned();
    let label = look.environment.label();
    let mut left = vec![Span::styled(" standfast ", bar)];
    if !label.is_empty() {
        left.push(Span::styled(format!(" {label} "), look.environment_style()));
    }
    let recording = match model.recorded {
        Some(r) if r.failed => "  REC FAILED",
        Some(r) if r.dropped > 0 => "  REC INCOMPLETE",
        Some(_) => "  REC",
        None => "",
    };
    let right = format!("{source}{recording}  {} UTC ", model.shown().at);
    let taken: usize = left.iter().map(Span::width).sum();
    let room = columns.saturating_sub(taken + width(&right) + 1);
    let name = cut(&format!(" {cluster}"), room);
    let pad = " ".repeat(columns.saturating_sub(taken + width(&name) + width(&right)));
    left.push(Span::styled(format!("{name}{pad}{right}"), bar));
    Line::from(left)
}

/// The views: in full, shorter, or as digits, whatever there is room for. Each with its text.
fn tab_texts(model: &Model, columns: usize) -> (Vec<String>, usize) {
    let widest = |title: fn(&View) -> &'static str, gap: usize| {
        VIEWS.iter().map(|view| 2 + title(view).len() + gap).sum::<usize>() - gap
    };
    let full = widest(|view| view.title, 2) <= columns;
    let short = widest(|view| view.short, 1) <= columns;
    let text = |(nr, view): (usize, &View)| match (full, short || nr == model.view) {
        (true, _) => format!("{} {}", view.key, view.title),
        (false, true) => format!("{} {}", view.key, view.short),
        (false, false) => view.key.to_string(),
    };
    (VIEWS.iter().enumerate().map(text).collect(), if full || !short { 2 } else { 1 })
}

fn tabs(model: &Model, columns: usize) -> Line<'static> {
    let (texts, gap) = tab_texts(model, columns);
    let mut spans = Vec::new();
    for (nr, text) in texts.into_iter().enumerate() {
        spans.push(model.look.paint(if nr == model.view { Tone::Focus } else { Tone::Label }, text));
        spans.push(Span::raw(" ".repeat(gap)));
    }
    clip(Line::from(spans), columns)
}

/// The view whose title stands there.
pub(crate) fn view_at(model: &Model, column: usize, row: usize) -> Option<usize> {
    let (texts, gap) = tab_texts(model, usize::from(model.size.0));
    let mut left = 0;
    let place = |text: &String| {
        let at = left..left + text.len();
        left = at.end + gap;
        at
    };
    texts.iter().map(place).position(|at| row + 1 == BODY_TOP && at.contains(&column))
}

/// The line above the footer.
fn message(model: &Model, columns: usize) -> Line<'static> {
    if let Dialog::Prompt { kind, text } = &model.dialog {
        let sign = match kind {
            Prompt::Filter => '/',
            Prompt::Command => ':',
        };
        // The end is what is being typed.
        let skip = text.chars().count().saturating_sub(columns - 3);
        let shown: String = text.chars().skip(skip).collect();
        return Line::from(model.look.paint(Tone::Focus, format!("{sign}{shown}_")));
    }
    if let Some(notice) = model.notice() {
        return Line::from(model.look.paint(notice.tone, cut(&notice.text, columns)));
    }
    let filter = &model.gaze().filter;
    if filter.is_active() {
        let text = cut(&format!("filter /{}   Esc drops it", filter.text()), columns);
        return Line::from(model.look.paint(Tone::Warn, text));
    }
    match &model.replay {
        Some(replay) => {
            let torn = if replay.recording().torn { " (cut off)" } else { "" };
            let room = columns.saturating_sub(width(torn));
            let bar = replay.scrub_bar(room, model.look.ascii);
            Line::from(model.look.paint(Tone::Label, format!("{bar}{torn}")))
        }
        None => Line::default(),
    }
}

/// As many keys as there is room for, in the order of the table.
fn footer(model: &Model, columns: usize) -> Line<'static> {
    let typing = match &model.dialog {
        Dialog::None => None,
        Dialog::Help(_) | Dialog::Runbook { .. } => Some("Up Down scroll   any other key closes"),
        Dialog::Prompt { .. } => Some("Enter takes it   Esc leaves"),
        Dialog::Act(act) => Some(match act.stage {
            Stage::Acting => "under way: wait for the answer",
            Stage::Ended(_) => "Enter closes this",
            Stage::Choosing { .. } | Stage::Asking | Stage::Confirm { .. } => {
                "Esc leaves without doing anything"
            }
        }),
    };
    if let Some(text) = typing {
        return Line::from(model.look.paint(Tone::Label, cut(text, columns)));
    }
    let mut spans = Vec::new();
    let mut used = 0;
    for (binding, keys) in model.keys.rows().filter(|(b, _)| !b.short.is_empty() && model.holds(b.when)) {
        let Some(key) = keys.first().map(Key::to_string) else { continue };
        let room = width(&key) + width(binding.short) + 3;
        if used + room > columns {
            break;
        }
        used += room;
        spans.push(model.look.paint(Tone::Primary, key));
        spans.push(model.look.paint(Tone::Label, format!(" {}  ", binding.short)));
    }
    Line::from(spans)
}

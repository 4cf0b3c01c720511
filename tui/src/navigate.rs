//! Moving about in a view: scrolling, selecting, opening, sorting, by keys or with the mouse.

use crate::bindings::Action;
use crate::command;
use crate::look::Tone;
use crate::model::{Dialog, Model};
use crate::msg::{Effect, Mouse};
use crate::page::{About, Sort};
use crate::view::{page_shown, screen};

/// Rows that a notch of the wheel moves.
const NOTCH: usize = 3;

pub(crate) fn scroll(model: &mut Model, to: impl Fn(usize, usize) -> usize) {
    let (page, seen) = page_shown(model);
    let last = page.rows.len().saturating_sub(seen);
    let gaze = model.gaze_mut();
    gaze.scroll = to(gaze.scroll.min(last), seen).min(last);
}

/// Selects the thing before or after; where there is none, scrolls by a row.
pub(crate) fn select(model: &mut Model, forward: bool) {
    let (page, seen) = page_shown(model);
    let things = page.things();
    let selected = model.gaze().selected.as_ref();
    let at = selected.and_then(|selected| things.iter().position(|thing| *thing == selected));
    let next = match (at, forward) {
        (Some(at), true) => things.get(at + 1),
        (Some(at), false) => at.checked_sub(1).and_then(|at| things.get(at)),
        (None, true) => things.first(),
        (None, false) => things.last(),
    };
    let Some(next) = next.map(|thing| (*thing).clone()) else {
        return scroll(model, |row, _| if forward { row + 1 } else { row.saturating_sub(1) });
    };
    let rows = page.rows_of(&next);
    model.gaze_mut().selected = Some(next);
    if let Some(rows) = rows {
        // One row less than is seen: the last may say how many more there are.
        let from = rows.end.saturating_sub(seen.saturating_sub(1).max(1));
        scroll(model, |row, _| row.max(from).min(rows.start));
    }
}

/// Opens what is selected.
pub(crate) fn open(model: &mut Model) -> Vec<Effect> {
    // What has gone from the page can no longer be meant.
    let (page, _) = page_shown(model);
    let things = page.things();
    let selected = model.gaze().selected.clone().filter(|selected| things.contains(&selected));
    // Where nothing else can be meant, the worst finding is.
    let worst = || {
        things.first().filter(|thing| matches!(thing, About::Finding { .. })).map(|thing| (*thing).clone())
    };
    match selected.or_else(worst) {
        None => {
            let (up, down) = (model.keys.of(Action::Up), model.keys.of(Action::Down));
            model.say(Tone::Plain, format!("nothing is selected: {up} and {down} select a row"));
        }
        Some(About::Node(_)) => model.show("replication"),
        Some(About::Segment(_)) => model.say(Tone::Plain, "a segment has nothing to open"),
        Some(About::Write(seq)) => {
            return command::follow(model, seq);
        }
        Some(About::Finding { code, runbook, .. }) if runbook.is_empty() => {
            model.say(Tone::Plain, format!("no page of the runbook is about {code}"));
        }
        Some(About::Finding { runbook, .. }) => return vec![Effect::Runbook(runbook)],
    }
    Vec::new()
}

/// Sorts by the next column of the view; after the last, by none.
pub(crate) fn sort_next(model: &mut Model) {
    let (page, _) = page_shown(model);
    let titles = page.titles();
    let now = model.gaze().sort;
    let at = now.and_then(|sort| titles.iter().position(|title| *title == sort.by));
    let next = at.map_or(0, |at| at + 1);
    let down = now.is_some_and(|sort| sort.down);
    model.gaze_mut().sort = titles.get(next).map(|by| Sort { by, down });
    say_sort(model, titles.is_empty());
}

/// Turns the order round.
pub(crate) fn sort_turn(model: &mut Model) {
    if let Some(sort) = &mut model.gaze_mut().sort {
        sort.down = !sort.down;
    }
    let (page, _) = page_shown(model);
    say_sort(model, page.titles().is_empty());
}

/// Sorts by the column whose title begins so; nothing = by none.
///
/// # Errors
/// When the view has no such column.
pub(crate) fn sort_by(model: &mut Model, args: &str) -> Result<Vec<Effect>, String> {
    let (name, down) = match args.strip_suffix(" down") {
        Some(name) => (name.trim(), true),
        None => (args, false),
    };
    let (page, _) = page_shown(model);
    let titles = page.titles();
    let begins = |title: &&&str| title.to_lowercase().starts_with(&name.to_lowercase());
    model.gaze_mut().sort = match titles.iter().find(begins) {
        _ if name.is_empty() => None,
        Some(by) => Some(Sort { by, down }),
        None if titles.is_empty() => return Err("this view has no table to sort".to_owned()),
        None => return Err(format!("`{name}` is no column: expected one of {}", titles.join(" "))),
    };
    Ok(Vec::new())
}

fn say_sort(model: &mut Model, nothing: bool) {
    let turn = model.keys.of(Action::SortTurn);
    let said = match model.gaze().sort {
        _ if nothing => "this view has no table to sort".to_owned(),
        None => "sorted by none: as the nodes tell it".to_owned(),
        Some(Sort { by, down }) => {
            let first = if down { "largest" } else { "smallest" };
            format!("sorted by {by}, the {first} first; {turn} turns it round")
        }
    };
    model.say(Tone::Plain, said);
}

/// A click selects, a click on what is selected opens it; the views and the titles of tables take clicks, too. In front
/// of a dialog only the wheel does anything: whatever acts on the cluster is typed.
pub(crate) fn mouse(model: &mut Model, mouse: Mouse) -> Vec<Effect> {
    match (&mut model.dialog, mouse) {
        (Dialog::Help(row) | Dialog::Runbook { row, .. }, Mouse::WheelDown) => *row += NOTCH,
        (Dialog::Help(row) | Dialog::Runbook { row, .. }, Mouse::WheelUp) => *row = row.saturating_sub(NOTCH),
        (Dialog::None, Mouse::WheelDown) => scroll(model, |row, _| row + NOTCH),
        (Dialog::None, Mouse::WheelUp) => scroll(model, |row, _| row.saturating_sub(NOTCH)),
        (Dialog::None, Mouse::Click { column, row }) => {
            return click(model, usize::from(column), usize::from(row));
        }
        (_, _) => {}
    }
    Vec::new()
}

fn click(model: &mut Model, column: usize, row: usize) -> Vec<Effect> {
    if let Some(view) = screen::view_at(model, column, row) {
        model.view = view;
        return Vec::new();
    }
    let Some(drawn) = screen::drawn_at(model, row) else { return Vec::new() };
    if let Some(title) = drawn.titles.iter().find(|title| title.at.contains(&column)) {
        let turned = |sort: Sort| sort.by == title.name && !sort.down;
        let down = model.gaze().sort.is_some_and(turned);
        model.gaze_mut().sort = Some(Sort { by: title.name, down });
        return Vec::new();
    }
    match drawn.about {
        Some(about) if model.gaze().selected.as_ref() == Some(&about) => open(model),
        Some(about) => {
            model.gaze_mut().selected = Some(about);
            Vec::new()
        }
        None => Vec::new(),
    }
}

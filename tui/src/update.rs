//! The one place where the model changes: a function of the model, the time and a message.

use standfast_proto::v1::TraceOrder;

use crate::act::{Act, Confirmed};
use crate::bindings::{Action, When};
use crate::command;
use crate::deed::Deed;
use crate::filter::Filter;
use crate::intake;
use crate::judge;
use crate::look::Tone;
use crate::model::{Dialog, Model, Prompt, RANGES, RATES};
use crate::msg::{Effect, Key, Msg, Outcome};
use crate::navigate::{mouse, open, scroll, select, sort_next, sort_turn};
use crate::time::Time;
use crate::view::VIEWS;

/// A step of `[` and `]` in a replay.
const REPLAY_STEP_MS: u64 = 10_000;
/// A line that is typed is never longer.
const TYPED_MAX: usize = 200;

/// Takes `msg` in at `wall`; says what the outside must do.
pub fn update(model: &mut Model, wall: Time, msg: Msg) -> Vec<Effect> {
    model.wall = wall;
    match &mut model.replay {
        None => set_now(model, wall),
        Some(replay) => {
            replay.tick(wall);
            catch_up(model);
        }
    }
    let mut effects = match msg {
        Msg::Tick => Vec::new(),
        Msg::Key(key) => on_key(model, key),
        Msg::Mouse(did) => mouse(model, did),
        Msg::Resize(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        Msg::Said { addr, update } => intake::said(model, &addr, *update),
        Msg::Lost { addr, why, attempts, retry_in_ms } => {
            intake::lost(model, &addr, &why, attempts, retry_in_ms);
            Vec::new()
        }
        Msg::Planned { deed, addr, reply } => {
            if let Dialog::Act(act) = &mut model.dialog {
                act.planned(deed, &addr, reply);
            }
            Vec::new()
        }
        Msg::Acted { act, outcome } => {
            acted(model, &act, outcome);
            Vec::new()
        }
        Msg::Traced { seq, addr, answer } => {
            // It may be about a write that was looked up before.
            if let Some(lookup) = model.trace.as_mut().filter(|lookup| lookup.seq == seq) {
                lookup.answers.insert(addr, answer.map(|trace| *trace));
            }
            Vec::new()
        }
        Msg::Listed { order, addr, answer } => {
            let listing = if order == TraceOrder::Slowest { &mut model.slowest } else { &mut model.newest };
            // While the screen is held, it is.
            if model.hold.is_none() {
                listing.answered(addr, answer);
            }
            Vec::new()
        }
        Msg::Runbook { name, text } => {
            match text {
                Some(text) => model.dialog = Dialog::Runbook { name, text, row: 0 },
                None => model.say(Tone::Warn, format!("this program has no page `{name}`")),
            }
            Vec::new()
        }
        Msg::Saved(Ok(path)) => {
            model.say(Tone::Ok, format!("written: {path}"));
            Vec::new()
        }
        Msg::Saved(Err(why)) => {
            model.say(Tone::Crit, why);
            Vec::new()
        }
        Msg::Recorded(state) => {
            model.recorded = Some(state);
            Vec::new()
        }
    };
    intake::sample(model);
    effects.extend(list(model));
    effects
}

/// Asks for the list that is looked at, once an interval: nobody else pays for it.
fn list(model: &mut Model) -> Option<Effect> {
    if model.replay.is_some() || model.hold.is_some() {
        return None;
    }
    let addrs = model.answering();
    let listing = match VIEWS[model.view].name {
        "oplog" => &mut model.newest,
        "traces" => &mut model.slowest,
        _ => return None,
    };
    let due = listing.asked_at.is_none_or(|at| model.now.since(at) >= model.rate_ms);
    if !due || addrs.is_empty() {
        return None;
    }
    listing.ask(model.now, &addrs);
    Some(Effect::List { order: listing.order, addrs })
}

fn set_now(model: &mut Model, now: Time) {
    model.now = now;
    model.live.at = now;
}

/// Takes in what the recording holds up to the moment shown.
fn catch_up(model: &mut Model) {
    let Some(replay) = &mut model.replay else { return };
    let (due, at) = (replay.due(), replay.at());
    for record in due {
        set_now(model, Time(record.at_ms));
        if let Some(update) = record.update {
            // In a recording there is nobody to watch.
            drop(intake::said(model, &record.addr, update));
        } else if let Some(why) = record.lost {
            intake::lost(model, &record.addr, &why, 1, 0);
        } else if let Some(event) = record.acted {
            model.journal.own(Time(record.at_ms), event);
        }
        intake::sample(model);
    }
    set_now(model, at);
}

/// What came of an act is echoed, and stays among the events.
fn acted(model: &mut Model, confirmed: &Confirmed, outcome: Outcome) {
    let (tone, word) = match outcome {
        Outcome::Done(_) => (Tone::Ok, "done"),
        Outcome::Refused(_) => (Tone::Crit, "refused"),
        Outcome::Unknown { .. } => (Tone::Crit, "unknown"),
    };
    model.say(tone, format!("{} {}: {word}", confirmed.deed().word(), confirmed.target()));
    model.journal.own(model.wall, confirmed.event(model.wall, &outcome));
    if let Dialog::Act(act) = &mut model.dialog {
        act.acted(outcome);
    }
}

fn on_key(model: &mut Model, key: Key) -> Vec<Effect> {
    if key == Key::Ctrl('c') {
        return vec![Effect::Quit];
    }
    match std::mem::take(&mut model.dialog) {
        Dialog::None => on_view_key(model, key),
        Dialog::Help(row) => {
            model.dialog = paged(key, row).map_or(Dialog::None, Dialog::Help);
            Vec::new()
        }
        Dialog::Runbook { name, text, row } => {
            let end = text.lines().count().saturating_sub(1);
            if let Some(row) = paged(key, row) {
                model.dialog = Dialog::Runbook { name, text, row: row.min(end) };
            }
            Vec::new()
        }
        Dialog::Prompt { kind, text } => on_prompt_key(model, kind, text, key),
        Dialog::Act(act) => match act.key(key, &model.live) {
            Ok((act, effects)) => {
                model.dialog = act.map_or(Dialog::None, |act| Dialog::Act(Box::new(act)));
                effects
            }
            Err(why) => {
                model.say(Tone::Crit, why);
                Vec::new()
            }
        },
    }
}

/// From which row on a text is then read; `None` = it is closed.
fn paged(key: Key, row: usize) -> Option<usize> {
    match key {
        Key::Down | Key::Char('j') => Some(row + 1),
        Key::PageDown | Key::Char(' ') => Some(row + 10),
        Key::Up | Key::Char('k') => Some(row.saturating_sub(1)),
        Key::PageUp => Some(row.saturating_sub(10)),
        _ => None,
    }
}

fn on_prompt_key(model: &mut Model, kind: Prompt, mut text: String, key: Key) -> Vec<Effect> {
    match key {
        Key::Esc => return Vec::new(),
        Key::Enter => {
            let done = match kind {
                Prompt::Filter => set_filter(model, &text),
                Prompt::Command => command::run(model, &text),
            };
            return done.unwrap_or_else(|why| {
                model.say(Tone::Warn, why);
                Vec::new()
            });
        }
        Key::Char(c) if text.len() < TYPED_MAX => text.push(c),
        // One more than there is closes the prompt.
        Key::Backspace if text.pop().is_none() => return Vec::new(),
        _ => {}
    }
    model.dialog = Dialog::Prompt { kind, text };
    Vec::new()
}

fn on_view_key(model: &mut Model, key: Key) -> Vec<Effect> {
    let action = model.keys.find(key, |when| model.holds(when));
    let live = |when| when != When::Replay;
    if action.is_none() && matches!(model.keys.find(key, live), Some(Action::Deed(_))) {
        let why = match (model.replay.is_some(), model.allow_actions) {
            (true, _) => "a recording cannot be acted upon",
            (false, false) => "read-only: start with --allow-actions",
            (false, true) => "only a cluster of the demo may be damaged",
        };
        model.say(Tone::Warn, why);
    }
    action.map_or_else(Vec::new, |action| perform(model, action))
}

fn perform(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Close => close(model),
        Action::Help => model.dialog = Dialog::Help(0),
        Action::View(digit) => match VIEWS.iter().position(|view| view.key == digit) {
            Some(view) => model.view = view,
            None => model.say(Tone::Warn, format!("there is no view {digit} yet")),
        },
        Action::NextView => model.view = (model.view + 1) % VIEWS.len(),
        Action::PreviousView => model.view = (model.view + VIEWS.len() - 1) % VIEWS.len(),
        Action::Filter => {
            let text = model.gaze().filter.text().to_owned();
            model.dialog = Dialog::Prompt { kind: Prompt::Filter, text };
        }
        Action::Command => model.dialog = Dialog::Prompt { kind: Prompt::Command, text: String::new() },
        Action::Pause => pause(model),
        Action::Older => step(model, false),
        Action::Newer => step(model, true),
        Action::Slower => return set_rate(model, model.rate_ms.saturating_mul(2)),
        Action::Faster => return set_rate(model, model.rate_ms / 2),
        Action::Range => {
            let at = RANGES.iter().position(|range| *range > model.range_ms);
            model.range_ms = RANGES[at.unwrap_or(0)];
        }
        Action::Theme => {
            model.look.theme = model.look.theme.next();
            model.say(Tone::Plain, format!("theme {}", model.look.theme.word()));
        }
        Action::Ascii => model.look.ascii = !model.look.ascii,
        Action::Mouse => {
            model.mouse = !model.mouse;
            let does =
                if model.mouse { "the console listens to the mouse" } else { "the mouse is the terminal's" };
            model.say(Tone::Plain, does);
            return vec![Effect::Mouse(model.mouse)];
        }
        Action::Open => return open(model),
        Action::SortNext => sort_next(model),
        Action::SortTurn => sort_turn(model),
        Action::Copy => {
            // Nothing tells whether the terminal did.
            model.say(Tone::Plain, "copied, if the terminal allows it");
            return vec![Effect::Copy];
        }
        Action::SaveText => return vec![Effect::SaveText(command::file(model, "", "txt"))],
        Action::SaveJson => return vec![Effect::SaveJson(command::file(model, "", "json"))],
        Action::Up => select(model, false),
        Action::Down => select(model, true),
        Action::PageUp => scroll(model, usize::saturating_sub),
        Action::PageDown => scroll(model, |row, page| row + page),
        Action::Top => scroll(model, |_, _| 0),
        Action::Bottom => scroll(model, |_, _| usize::MAX),
        Action::Deed(deed) => {
            let deed = if deed == Deed::Pause && judge::paused(&model.live) { Deed::Resume } else { deed };
            return act(model, deed, "", "").unwrap_or_else(|why| {
                model.say(Tone::Crit, why);
                Vec::new()
            });
        }
        Action::SpeedDown | Action::SpeedUp => {
            if let Some(replay) = &mut model.replay {
                if action == Action::SpeedUp { replay.faster() } else { replay.slower() }
            }
        }
        Action::PreviousMark | Action::NextMark => {
            let mark = model.replay.as_ref().and_then(|replay| {
                if action == Action::NextMark { replay.mark_after() } else { replay.mark_before() }
            });
            match mark.map(|mark| mark.at) {
                Some(at) => seek(model, at),
                None => model.say(Tone::Plain, "no failover there"),
            }
        }
    }
    Vec::new()
}

/// Esc goes one step back to the plain present.
fn close(model: &mut Model) {
    if model.notice().is_some() {
        model.notice = None;
    } else if model.gaze().filter.is_active() {
        model.gaze_mut().filter = Filter::default();
    } else if model.gaze().selected.is_some() {
        model.gaze_mut().selected = None;
    } else {
        model.hold = None;
    }
}

fn pause(model: &mut Model) {
    match &mut model.replay {
        Some(replay) => replay.playing = !replay.playing,
        None => model.hold = if model.hold.is_some() { None } else { Some(model.live.clone()) },
    }
}

/// Back or forward in time; past the newest frame is the present.
fn step(model: &mut Model, forward: bool) {
    if let Some(replay) = &model.replay {
        let at = replay.at();
        seek(model, if forward { at.plus(REPLAY_STEP_MS) } else { at.minus(REPLAY_STEP_MS) });
        return;
    }
    let at = model.shown().at;
    if forward {
        model.hold = model.history.after(at).filter(|_| model.hold.is_some()).cloned();
    } else if let Some(frame) = model.history.before(at) {
        model.hold = Some(frame.clone());
    } else {
        model.say(Tone::Plain, "nothing older is kept");
    }
}

/// Shows what was known at `to`.
pub(crate) fn seek(model: &mut Model, to: Time) {
    if let Some(replay) = &mut model.replay {
        replay.seek(to);
        let at = replay.at();
        intake::forget(model, at);
        catch_up(model);
    } else {
        model.hold = if to < model.now { model.history.at(to).cloned() } else { None };
    }
}

/// # Errors
/// When it is no regular expression.
pub(crate) fn set_filter(model: &mut Model, text: &str) -> Result<Vec<Effect>, String> {
    let filter = Filter::parse(text)?;
    let gaze = model.gaze_mut();
    gaze.filter = filter;
    gaze.scroll = 0;
    Ok(Vec::new())
}

pub(crate) fn set_rate(model: &mut Model, ms: u64) -> Vec<Effect> {
    if model.replay.is_some() {
        model.say(Tone::Warn, "a recording has the rate that it was made with");
        return Vec::new();
    }
    model.rate_ms = ms.clamp(*RATES.start(), *RATES.end());
    model.say(Tone::Plain, format!("an update each {}", crate::format::millis(Some(model.rate_ms))));
    vec![Effect::Rate(model.rate_ms)]
}

/// Begins an act on what is known now, whatever the screen shows.
///
/// # Errors
/// Why not.
pub(crate) fn act(model: &mut Model, deed: Deed, target: &str, reason: &str) -> Result<Vec<Effect>, String> {
    if model.replay.is_some() {
        return Err("a recording cannot be acted upon".to_owned());
    }
    if !model.allow_actions {
        return Err("read-only: start with --allow-actions".to_owned());
    }
    let (act, effects) = Act::begin(deed, &model.live, target, reason)?;
    model.dialog = Dialog::Act(Box::new(act));
    Ok(effects)
}

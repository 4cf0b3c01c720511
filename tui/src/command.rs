//! What `:` takes. One table drives dispatch, help and docs/console.md.

use crate::deed::{Deed, Fault};
use crate::look::{Theme, Tone};
use crate::model::{Model, RATES};
use crate::msg::Effect;
use crate::navigate::sort_by;
use crate::trace::Lookup;
use crate::update::{act, seek, set_filter, set_rate};
use crate::view::VIEWS;

type Done = Result<Vec<Effect>, String>;

/// A row of the table.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) args: &'static str,
    pub(crate) help: &'static str,
    run: fn(&mut Model, &str) -> Done,
}

pub(crate) const COMMANDS: &[Command] = &[
    Command { name: "quit", args: "", help: "Ends the console", run: |_, _| Ok(vec![Effect::Quit]) },
    Command { name: "view", args: "NAME", help: "Shows the view whose name begins so", run: view },
    Command {
        name: "filter",
        args: "[!]REGEX",
        help: "Shows rows that match; nothing: all",
        run: set_filter,
    },
    Command {
        name: "sort",
        args: "[COLUMN [down]]",
        help: "Sorts by a column; nothing: by none",
        run: sort_by,
    },
    Command { name: "theme", args: "NAME", help: "dark light high-contrast colour-blind mono", run: theme },
    Command { name: "rate", args: "MS", help: "Time between updates, 100 to 60000", run: rate },
    Command { name: "range", args: "MINUTES", help: "Time range of the graphs, 1 to 1440", run: range },
    Command { name: "back", args: "SECONDS", help: "Shows what was known so long ago", run: back },
    Command { name: "save", args: "FILE", help: "Writes the screen as text", run: save_text },
    Command { name: "json", args: "FILE", help: "Writes the state as one line of JSON", run: save_json },
    Command { name: "trace", args: "[SEQ]", help: "Follows one write through the cluster", run: trace },
    Command { name: "speed", args: "FACTOR", help: "Speed of a replay, 0.25 to 64", run: speed },
    Command {
        name: "switchover",
        args: "[NODE [REASON]]",
        help: "The primary hands over to a standby",
        run: |model, args| deed(model, Deed::Switchover, args),
    },
    Command {
        name: "failover",
        args: "[NODE [REASON]]",
        help: "Promotes a standby",
        run: |model, args| deed(model, Deed::Failover, args),
    },
    Command {
        name: "repair",
        args: "[NODE [REASON]]",
        help: "Overwrites what differs on a standby",
        run: |model, args| deed(model, Deed::Repair, args),
    },
    Command { name: "drill", args: "FAULT [NODE [REASON]]", help: "kill stop partition", run: drill },
    Command {
        name: "pause",
        args: "[REASON]",
        help: "No standby takes over by itself for an hour",
        run: |model, args| act(model, Deed::Pause, "", args),
    },
    Command {
        name: "resume",
        args: "[REASON]",
        help: "Ends the pause; acknowledges automatic failovers",
        run: |model, args| act(model, Deed::Resume, "", args),
    },
    Command {
        name: "detach",
        args: "[NODE [REASON]]",
        help: "Takes a standby out of the in-sync set",
        run: |model, args| deed(model, Deed::Detach, args),
    },
];

/// Does what was typed. A name may be shortened as long as one command is meant.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn run(model: &mut Model, typed: &str) -> Done {
    let (name, args) = typed.trim().split_once(' ').unwrap_or((typed.trim(), ""));
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let meant: Vec<&Command> = match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => vec![command],
        None => COMMANDS.iter().filter(|command| command.name.starts_with(name)).collect(),
    };
    match meant[..] {
        [command] => (command.run)(model, args.trim()),
        [] => Err(format!("`{name}` is no command; `?` shows them")),
        _ => {
            let names: Vec<&str> = meant.iter().map(|command| command.name).collect();
            Err(format!("`{name}` may mean {}", names.join(", ")))
        }
    }
}

fn view(model: &mut Model, args: &str) -> Done {
    let found = VIEWS.iter().position(|view| !args.is_empty() && view.name.starts_with(&args.to_lowercase()));
    let names: Vec<&str> = VIEWS.iter().map(|view| view.name).collect();
    model.view = found.ok_or_else(|| format!("`{args}` is no view; there are {}", names.join(", ")))?;
    Ok(Vec::new())
}

fn theme(model: &mut Model, args: &str) -> Done {
    let words: Vec<&str> = Theme::ALL.into_iter().map(Theme::word).collect();
    let theme = Theme::of_word(args);
    model.look.theme =
        theme.ok_or_else(|| format!("`{args}` is no theme; there are {}", words.join(", ")))?;
    Ok(Vec::new())
}

fn rate(model: &mut Model, args: &str) -> Done {
    let ms = args.parse().ok().filter(|ms| RATES.contains(ms));
    let expected = || format!("`{args}` is no rate: expected {} to {} ms", RATES.start(), RATES.end());
    Ok(set_rate(model, ms.ok_or_else(expected)?))
}

fn range(model: &mut Model, args: &str) -> Done {
    let minutes = args.parse().ok().filter(|minutes| (1..=1440).contains(minutes));
    let minutes: u64 = minutes.ok_or_else(|| format!("`{args}` is no range: expected 1 to 1440 minutes"))?;
    model.range_ms = minutes * 60_000;
    Ok(Vec::new())
}

fn back(model: &mut Model, args: &str) -> Done {
    let seconds: u64 = args.parse().map_err(|_| format!("`{args}` is no time: expected seconds"))?;
    let to = model.now.minus(seconds.saturating_mul(1000));
    seek(model, to);
    Ok(Vec::new())
}

fn save_text(model: &mut Model, args: &str) -> Done {
    Ok(vec![Effect::SaveText(file(model, args, "txt"))])
}

fn save_json(model: &mut Model, args: &str) -> Done {
    Ok(vec![Effect::SaveJson(file(model, args, "json"))])
}

/// The name typed, or one that says when.
pub(crate) fn file(model: &Model, args: &str, ending: &str) -> String {
    if args.is_empty() {
        let at = model.shown().at.rfc3339().replace([':', '-'], "");
        let at = at.split('.').next().unwrap_or_default().trim_end_matches('Z');
        format!("standfast-console-{at}Z.{ending}")
    } else {
        args.to_owned()
    }
}

/// Asks every node that answers: each tells its own part.
fn trace(model: &mut Model, args: &str) -> Done {
    if model.replay.is_some() {
        return Err("a recording holds no traces".to_owned());
    }
    let newest = || {
        let primary = model.live.primary().and_then(crate::frame::Node::status)?;
        primary.positions.as_ref()?.tail.checked_sub(1)
    };
    let seq = if args.is_empty() { newest() } else { args.parse().ok() };
    let seq =
        seq.ok_or_else(|| format!("`{args}` is no seq: expected a number, or nothing for the newest write"))?;
    Ok(follow(model, seq))
}

/// Shows the write `seq` as each node saw it.
pub(crate) fn follow(model: &mut Model, seq: u64) -> Vec<Effect> {
    let addrs = model.answering();
    model.trace = Some(Lookup::new(seq, addrs.clone()));
    model.show("traces");
    model.gaze_mut().scroll = 0;
    vec![Effect::Trace { seq, addrs }]
}

fn speed(model: &mut Model, args: &str) -> Done {
    let replay = model.replay.as_mut().ok_or("only a replay has a speed")?;
    replay.set_speed(args)?;
    let said = format!("replaying at {}", replay.speed());
    model.say(Tone::Plain, said);
    Ok(Vec::new())
}

fn deed(model: &mut Model, deed: Deed, args: &str) -> Done {
    let (node, reason) = args.split_once(' ').unwrap_or((args, ""));
    act(model, deed, node, reason.trim())
}

fn drill(model: &mut Model, args: &str) -> Done {
    let (word, rest) = args.split_once(' ').unwrap_or((args, ""));
    let fault = Fault::ALL.into_iter().find(|fault| fault.word() == word);
    let fault = fault.ok_or_else(|| format!("`{word}` is no fault; there are kill, stop, partition"))?;
    deed(model, Deed::Drill(fault), rest.trim())
}

//! docs/console.md: its tables and screens are made by the program, and compared with what is checked in.
//! `STANDFAST_BLESS=1 cargo test -p standfast-tui` writes them anew.

use std::path::Path;
use std::sync::Arc;

use crate::bindings::{BINDINGS, Binding, When};
use crate::command::COMMANDS;
use crate::model::{Model, Setup};
use crate::msg::{Key, Msg};
use crate::record::{Record, Recording};
use crate::replay::Replay;
use crate::time::Time;
use crate::update::update;
use crate::view::{VIEWS, screen};

/// A recording of the two nodes of a demo: the standby is damaged and repaired, then the primary is killed.
fn recording() -> Recording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/failover.rec");
    Recording::read(&path).expect("the recording is checked in")
}

/// The screen at `at`, after these keys.
fn screen_at(at: Time, keys: &str) -> String {
    let setup = Setup { rate_ms: 1000, ..Setup::default() };
    let replay = Replay::new(Arc::new(recording()));
    let begin = replay.at();
    let mut model = Model::replaying(&setup, replay, Time(0));
    update(&mut model, Time(0), Msg::Tick);
    // Time passes as in front of the screen, so that the graphs are what they were.
    for wall in (0..=at.since(begin)).step_by(100) {
        update(&mut model, Time(wall), Msg::Tick);
    }
    for key in keys.chars() {
        update(&mut model, Time(at.since(begin)), Msg::Key(Key::Char(key)));
    }
    format!("```text\n{}```\n", screen::text(&model))
}

/// Moments of the recording: all is well, something differs, the other node has taken over, the end.
fn moments() -> [Time; 4] {
    let recording = recording();
    let differs = |record: &Record| {
        let status = record.update.as_ref().and_then(|update| update.status.as_ref());
        status.is_some_and(crate::judge::differs)
    };
    let damaged = recording.records.iter().find(|record| differs(record)).expect("the standby is damaged");
    let promoted = recording.marks.first().expect("the other is promoted").at;
    let damaged = Time(damaged.at_ms);
    [damaged.minus(500), damaged.plus(1200), promoted.plus(1200), recording.end()]
}

fn views() -> String {
    let rows = VIEWS.iter().map(|view| format!("| `{}` | {} | {} |\n", view.key, view.title, view.about));
    format!("| Key | View | What it shows |\n|---|---|---|\n{}", rows.collect::<String>())
}

fn keys() -> String {
    let row = |binding: &Binding| {
        let when = match binding.when {
            When::Always => "",
            When::Acting => ", with `--allow-actions`",
            When::Lab => ", in `standfast demo`",
            When::Replay => ", with `--replay`",
        };
        let keys: Vec<String> = binding.keys.iter().map(|key| format!("`{key}`")).collect();
        format!("| {} | `{}` | {}{when} |\n", keys.join(" "), binding.name, binding.help)
    };
    format!("| Key | Name | What it does |\n|---|---|---|\n{}", BINDINGS.iter().map(row).collect::<String>())
}

fn commands() -> String {
    let row = |command: &crate::command::Command| {
        format!("| `{}` | {} |\n", format!(":{} {}", command.name, command.args).trim(), command.help)
    };
    format!("| Command | What it does |\n|---|---|\n{}", COMMANDS.iter().map(row).collect::<String>())
}

/// Puts what is generated between its marks.
fn filled(page: &str, parts: &[(&str, String)]) -> String {
    let mut page = page.to_owned();
    for (name, text) in parts {
        let begin = format!("<!-- generated: {name} -->\n");
        let at = page.find(&begin).expect("the page has a place for it") + begin.len();
        let end = at + page[at..].find("<!-- end -->").expect("the place has an end");
        page.replace_range(at..end, text);
    }
    page
}

#[test]
fn the_page_shows_what_the_program_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/console.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let [healthy, damaged, promoted, end] = moments();
    let parts = [
        ("screen healthy", screen_at(healthy, "")),
        ("screen damaged", screen_at(damaged, "")),
        ("screen differences", screen_at(damaged, "4")),
        ("screen promoted", screen_at(promoted, "")),
        ("screen failover", screen_at(end, "5")),
        ("views", views()),
        ("keys", keys()),
        ("commands", commands()),
    ];
    assert!(parts[0].1.contains("FAILOVER SAFE yes"), "{}", parts[0].1);
    assert!(parts[1].1.contains("FAILOVER SAFE no"), "{}", parts[1].1);
    assert!(parts[2].1.contains("WRONG"), "{}", parts[2].1);
    assert!(parts[3].1.contains("PRIMARY b"), "{}", parts[3].1);
    assert!(parts[4].1.contains("failover drill a"), "{}", parts[4].1);
    let wanted = filled(&page, &parts);
    if std::env::var_os("STANDFAST_BLESS").is_some() {
        std::fs::write(&path, &wanted).expect("the page can be written");
    } else {
        assert!(
            page == wanted,
            "docs/console.md is out of date: STANDFAST_BLESS=1 cargo test -p standfast-tui"
        );
    }
}

#[test]
fn a_page_that_lags_behind_is_noticed() {
    let page = "a\n<!-- generated: keys -->\nold\n<!-- end -->\nb\n";
    let new = filled(page, &[("keys", "new\n".to_owned())]);
    assert_eq!(new, "a\n<!-- generated: keys -->\nnew\n<!-- end -->\nb\n");
    assert_ne!(new, page);
}

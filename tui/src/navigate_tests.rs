//! Transcripts of somebody who moves about: selecting, opening, sorting, with keys and with the mouse.

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use standfast_proto::v1::{Finding, Severity};

use crate::keys::Keys;
use crate::model::Dialog;
use crate::msg::{Effect, Key, Mouse, Msg};
use crate::page::{About, Sort};
use crate::terminal;
use crate::testing::{Bench, primary, standby};
use crate::view::screen;

/// Two nodes, and a finding that names a page.
fn bench() -> Bench {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 4);
    let mut b = standby("b", 1, 1000, bench.at);
    b.findings = vec![Finding {
        code: "lag_high".into(),
        severity: Severity::Warning.into(),
        text: "is too far behind".into(),
        runbook: "ReplicationLagHigh".into(),
        ..Finding::default()
    }];
    bench.said("h:2", b);
    bench.screen(80, 24);
    bench
}

fn row_of(screen: &str, text: &str) -> u16 {
    let row = screen.lines().position(|line| line.contains(text));
    u16::try_from(row.unwrap_or_else(|| panic!("{text} is on the screen: {screen}"))).expect("small")
}

fn click(bench: &mut Bench, column: u16, row: u16) -> Vec<Effect> {
    bench.take(Msg::Mouse(Mouse::Click { column, row }))
}

#[test]
fn down_selects_row_by_row_and_enter_opens_the_runbook() {
    let mut bench = bench();
    bench.key(Key::Enter);
    assert!(bench.screen(80, 24).contains("nothing is selected: Up and Down select a row"));
    for wanted in ["a", "b"] {
        bench.key(Key::Down);
        assert_eq!(bench.model.gaze().selected, Some(About::Node(wanted.to_owned())));
    }
    bench.key(Key::Down);
    let effects = bench.key(Key::Enter);
    assert_eq!(effects, [Effect::Runbook("ReplicationLagHigh".into())]);
    let text = "# ReplicationLagHigh\n\n## Meaning\n\nText.\n\n```\nstandfast status\n```\n";
    bench.take(Msg::Runbook { name: "ReplicationLagHigh".into(), text: Some(text.into()) });
    let screen = bench.screen(80, 24);
    for line in ["RUNBOOK ReplicationLagHigh", "Meaning", "standfast status"] {
        assert!(screen.lines().any(|shown| shown == line), "{line}: {screen}");
    }
    bench.keys("q");
    assert_eq!(bench.model.dialog, Dialog::None, "any other key closes it");
    bench.key(Key::Esc);
    bench.key(Key::Esc);
    assert_eq!(bench.model.gaze().selected, None, "Esc drops the notice, then the selection");
    bench.keys("8");
    assert_eq!(
        bench.key(Key::Enter),
        [Effect::Runbook("ReplicationLagHigh".into())],
        "the worst, if none is selected"
    );
    bench.take(Msg::Runbook { name: "None".into(), text: None });
    assert!(bench.screen(80, 24).contains("this program has no page `None`"));
}

#[test]
fn a_selection_stays_with_its_thing_and_is_kept_in_sight() {
    let mut bench = Bench::asking(false, &["h:1"]);
    let many: Vec<(String, u64)> = (0..40).map(|nr| (format!("s{nr:02}"), nr)).collect();
    let named: Vec<(&str, u64)> = many.iter().map(|(name, behind)| (&**name, *behind)).collect();
    bench.said("h:1", primary("a", 1, 1000, 0, &named));
    bench.screen(80, 24);
    bench.keys("2");
    for _ in 0..30 {
        bench.key(Key::Down);
    }
    assert_eq!(bench.model.gaze().selected, Some(About::Node("s29".into())));
    let screen = bench.screen(80, 24);
    assert!(screen.contains("a → s29"), "{screen}");
    bench.said("h:1", primary("a", 1, 1000, 0, &named[29..]));
    bench.key(Key::Down);
    assert_eq!(
        bench.model.gaze().selected,
        Some(About::Node("s30".into())),
        "the one below it, wherever it stands"
    );
    for _ in 0..3 {
        bench.key(Key::Up);
    }
    assert!(bench.screen(80, 24).contains("a → s29"), "it is scrolled back");
}

#[test]
fn a_table_is_sorted_by_the_next_column_turned_round_and_as_it_was() {
    let mut bench = bench();
    let order = |bench: &mut Bench| {
        let screen = bench.screen(80, 24);
        let names = screen.lines().filter_map(|line| line.split_once("  ")).map(|(name, _)| name);
        names.filter(|name| ["a", "b"].contains(name)).collect::<Vec<_>>().concat()
    };
    assert_eq!(order(&mut bench), "ab");
    bench.keys("c");
    assert!(bench.screen(80, 24).contains("sorted by NODE, the smallest first; r turns it round"));
    bench.keys("r");
    assert_eq!(order(&mut bench), "ba");
    assert!(bench.screen(80, 24).contains("NODE↓"));
    bench.model.look.ascii = true;
    assert!(bench.screen(80, 24).contains("NODEv"));
    bench.model.look.ascii = false;
    bench.keys(":sort lag");
    bench.key(Key::Enter);
    assert_eq!(bench.model.gaze().sort, Some(Sort { by: "LAG", down: false }));
    assert_eq!(order(&mut bench), "ba", "the primary is behind nobody: nothing to compare, so it is last");
    bench.keys(":sort weight");
    bench.key(Key::Enter);
    let screen = bench.screen(80, 24);
    assert!(screen.contains("`weight` is no column: expected one of NODE ROLE EPOCH"), "{screen}");
    bench.keys(":sort");
    bench.key(Key::Enter);
    assert_eq!((bench.model.gaze().sort, &*order(&mut bench)), (None, "ab"));
    bench.keys("9c");
    assert!(bench.screen(80, 24).contains("this view has no table to sort"));
}

#[test]
fn the_mouse_selects_opens_sorts_scrolls_and_switches_views() {
    let mut bench = bench();
    let screen = bench.screen(80, 24);
    let row = row_of(&screen, "b     standby");
    assert_eq!(click(&mut bench, 3, row), []);
    assert_eq!(bench.model.gaze().selected, Some(About::Node("b".into())));
    let header = row_of(&screen, "NODE  ROLE");
    let column =
        u16::try_from(screen.lines().nth(header.into()).and_then(|l| l.find("TAIL")).expect("there"));
    click(&mut bench, column.expect("small"), header);
    assert_eq!(bench.model.gaze().sort, Some(Sort { by: "TAIL", down: false }));
    click(&mut bench, column.expect("small"), header);
    assert_eq!(bench.model.gaze().sort, Some(Sort { by: "TAIL", down: true }), "again turns it round");
    let row = row_of(&bench.screen(80, 24), "b     standby");
    click(&mut bench, 3, row);
    assert_eq!(crate::view::VIEWS[bench.model.view].name, "replication", "what is selected is opened");
    let tabs = bench.screen(80, 24).lines().nth(1).expect("there").to_owned();
    click(&mut bench, u16::try_from(tabs.find("8 Findings").expect("there")).expect("small"), 1);
    assert_eq!(crate::view::VIEWS[bench.model.view].name, "findings");
    bench.screen(60, 10);
    bench.take(Msg::Mouse(Mouse::WheelDown));
    assert!(bench.model.gaze().scroll <= 3);
    for nothing in [(0, 0), (79, 1), (0, 23), (500, 500)] {
        assert_eq!(click(&mut bench, nothing.0, nothing.1), []);
    }
}

#[test]
fn no_click_confirms_what_acts_on_the_cluster() {
    let mut bench = bench();
    bench.keys("R");
    bench.keys("D");
    let before = bench.model.dialog.clone();
    assert!(matches!(before, Dialog::Act(_)));
    for row in 0..24 {
        assert_eq!(click(&mut bench, 5, row), []);
    }
    assert_eq!(bench.model.dialog, before);
    assert_eq!(bench.model.view, 0);
    bench.key(Key::Esc);
    assert_eq!(bench.keys("m"), [Effect::Mouse(true)], "and back with the same key");
    assert_eq!(bench.keys("m"), [Effect::Mouse(false)]);
}

#[test]
fn help_footer_and_sentences_show_the_keys_in_force() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    let keys = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (help, kill) = (keys(&["h"]), keys(&["X", "Ctrl-k"]));
    let with = Keys::with([("help", help.as_slice()), ("kill", kill.as_slice())]);
    bench.model.keys = Arc::new(with.expect("no clash"));
    let screen = bench.screen(120, 40);
    assert!(screen.lines().last().is_some_and(|l| l.contains("h help") && l.contains("X kill")), "{screen}");
    bench.keys("?");
    assert_eq!(bench.model.dialog, Dialog::None, "it is nobody's key now");
    bench.keys("h");
    let screen = bench.screen(80, 80);
    let shown = |key: &str, does: &str| {
        screen.lines().any(|line| line.trim_start().starts_with(key) && line.contains(does))
    };
    assert!(shown("X Ctrl-k ", "A drill") && shown("h ", "What every key does"), "{screen}");
    bench.key(Key::Esc);
    bench.key(Key::Ctrl('k'));
    assert!(matches!(bench.model.dialog, Dialog::Act(_)), "both of its keys do it");
}

/// The bytes that a terminal gets for the whole screen.
fn written(bench: &Bench) -> String {
    let mut bytes = Vec::new();
    let viewport = ratatui::Viewport::Fixed(Rect::new(0, 0, 80, 24));
    let mut screen =
        Terminal::with_options(CrosstermBackend::new(&mut bytes), ratatui::TerminalOptions { viewport })
            .expect("a buffer is a terminal");
    screen.draw(|frame| terminal::paint(&bench.model, frame)).expect("drawn");
    drop(screen);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_name_of_a_page_is_a_link_for_terminals_that_have_links_and_for_nobody_else() {
    let mut bench = bench();
    bench.keys("8");
    let plain = bench.screen(80, 24);
    assert!(!written(&bench).contains("\x1b]8"), "nobody said where the pages are");
    bench.model.runbooks = Some("https://wiki/runbooks/".into());
    let bytes = written(&bench);
    let link = "\x1b]8;;https://wiki/runbooks/ReplicationLagHigh.md\x1b\\";
    assert_eq!(bytes.matches(link).count(), "ReplicationLagHigh".len(), "each letter of it: {bytes}");
    let shown = bytes.replace(link, "").replace("\x1b]8;;\x1b\\", "");
    assert!(
        shown.contains("standfast runbook ReplicationLagHigh   Enter shows it"),
        "no column is lost: {shown}"
    );
    assert_eq!(bench.screen(80, 24), plain, "the screen as text knows nothing of it");
    bench.keys("D");
    assert_eq!(screen::links(&bench.model), [], "a dialog lies over it");
}

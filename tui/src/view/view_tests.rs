//! Whole screens against text files in `tests/golden`; `STANDFAST_BLESS=1` rewrites them.

use std::path::Path;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use standfast_proto::v1::{Lag, LinkState, Phase, Role, RoleChange, Severity, TraceOrder, WriteTrace};

use super::{VIEWS, failover, parts, screen};
use crate::act::Forecast;
use crate::deed::Deed;
use crate::look::{Environment, Theme};
use crate::msg::{Key, Msg};
use crate::testing::{Bench, event, failover as change, node, primary, refusing, standby};

const SIZES: [(u16, u16); 4] = [(60, 20), (80, 24), (120, 40), (200, 50)];

/// Compares the bench's screens at all sizes with the file of that name.
fn golden(name: &str, bench: &mut Bench, sizes: &[(u16, u16)]) {
    let mut text = String::new();
    for (columns, rows) in sizes {
        let screen = bench.screen(*columns, *rows);
        assert_eq!(screen.lines().count(), usize::from(*rows), "{name}");
        for line in screen.lines() {
            assert!(crate::format::width(line) <= usize::from(*columns), "{name} {columns}: {line}");
        }
        text.push_str(&format!("=== {columns}x{rows}\n{screen}"));
    }
    same_as_file(&format!("{name}.txt"), &text);
}

/// Fails when the file differs; writes it when told so.
pub(crate) fn same_as_file(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("STANDFAST_BLESS").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = wanted.lines().zip(text.lines()).position(|(wanted, got)| wanted != got);
    assert!(
        wanted == text,
        "{name} differs from line {:?} on; look at it, then STANDFAST_BLESS=1 cargo test -p standfast-tui\n{text}",
        differs.map(|line| line + 1)
    );
}

fn pair() -> Bench {
    let mut bench = Bench::new(false);
    bench.pair_for(30, 12);
    bench
}

/// a has died, b has taken over.
fn after_failover() -> Bench {
    let mut bench = pair();
    bench.lost("h:1", "Connection refused");
    bench.pass(5_000);
    let at = bench.at;
    let mut b = primary("b", 2, 1500, at, &[]);
    b.history = vec![change(2, 29_000), RoleChange { succeeded: Some(false), ..change(3, 31_000) }];
    b.leadership.as_mut().expect("has one").crash_loses_all = Some(true);
    b.events = vec![event(2, at, Severity::Critical, "primary in epoch 2: rack 3 is down")];
    bench.said("h:2", b);
    bench
}

fn four() -> Bench {
    let mut bench = Bench::asking(false, &["h:1", "h:2", "h:3", "h:4"]);
    let mut a = primary("a", 4, 90_000, 0, &[("b", 0), ("c", 1200)]);
    a.standbys[1].link = LinkState::Down.into();
    a.standbys[1].reason = Some("in the in-sync set but not connected: writes wait for it".into());
    bench.said("h:1", a);
    bench.said("h:2", standby("b", 4, 90_000, 0));
    bench.said("h:3", refusing(standby("c", 4, 88_800, 0), "is not in the last known in-sync set"));
    bench.said("h:4", node("d", Role::Offline, 4, 1, 0));
    bench.pass(1000);
    bench
}

#[test]
fn every_view_at_every_size() {
    for (nr, view) in VIEWS.iter().enumerate() {
        let mut bench = after_failover();
        bench.model.view = nr;
        golden(view.name, &mut bench, &SIZES);
    }
    golden("overview-healthy", &mut pair(), &SIZES);
    let mut bench = pair();
    bench.keys("2");
    golden("replication-healthy", &mut bench, &SIZES);
    golden("overview-four-nodes", &mut four(), &SIZES);
}

/// What a primary said before it fell silent is not what is so: its standby's own words count.
#[test]
fn what_a_silent_primary_said_is_not_shown_as_so() {
    let mut bench = pair();
    bench.keys("2");
    bench.lost("h:1", "no route");
    bench.pass(2_500);
    let mut b = standby("b", 1, 1000, bench.at);
    let upstream = b.upstream.as_mut().expect("has one");
    upstream.link = LinkState::Down.into();
    upstream.lag = Some(Lag { entries: None, bytes: None, age_us: Some(2_500_000) });
    bench.said("h:2", b);
    golden("replication-primary-silent", &mut bench, &SIZES);
    let screen = bench.screen(80, 24);
    assert!(screen.contains("not connected") && !screen.contains("in sync"), "{screen}");
    let entries = screen.lines().find(|line| line.starts_with("entries")).expect("a sparkline");
    assert!(entries.contains("last ? max"), "entries behind are unknown now: {screen}");
}

#[test]
fn before_any_answer_everything_is_unknown() {
    let mut bench = Bench::new(false);
    golden("unknown", &mut bench, &[(80, 24)]);
    let screen = bench.screen(80, 24);
    for line in ["PRIMARY ?", "FAILOVER SAFE ?: ", "LAG ? / ?", "WOULD LOSE ? keys", "VERIFIED ?"] {
        assert!(screen.lines().any(|shown| shown.starts_with(line)), "{line}: {screen}");
    }
    for digit in VIEWS.iter().map(|view| view.key) {
        bench.key(Key::Char(digit));
        let screen = bench.screen(80, 24);
        assert!(screen.contains("NO ANSWER"), "{screen}");
        let body: Vec<&str> = screen.lines().skip(2).take(20).collect();
        assert!(!body.join("\n").contains('0'), "an unknown value is never 0: {screen}");
    }
}

#[test]
fn the_dialog_shows_the_dry_run_before_it_asks_for_the_name() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    bench.keys("F");
    let plan = standby("b", 1, 1000, 0).rehearsal.expect("has one").plan;
    let forecast = Forecast { accepted: true, plan, ..Forecast::default() };
    bench.planned(Deed::Failover, "h:2", Ok(forecast));
    bench.keys("k");
    golden("dialog-failover", &mut bench, &SIZES);
    bench.key(Key::Esc);
    bench.keys("D");
    golden("dialog-detach", &mut bench, &[(80, 24)]);
    bench.key(Key::Esc);
    bench.keys("?");
    golden("help", &mut bench, &[(60, 20), (80, 70)]);
}

#[test]
fn ascii_is_ascii_in_every_view() {
    for (nr, view) in VIEWS.iter().enumerate() {
        for mut bench in [pair(), after_failover(), four()] {
            bench.model.look.ascii = true;
            bench.model.view = nr;
            for (columns, rows) in SIZES {
                let screen = bench.screen(columns, rows);
                assert!(screen.is_ascii(), "{}: {screen}", view.name);
            }
            bench.keys("?");
            assert!(bench.screen(80, 60).is_ascii());
        }
    }
    let mut bench = after_failover();
    bench.model.look.ascii = true;
    bench.keys("5");
    golden("failover-ascii", &mut bench, &[(60, 20), (80, 24)]);
}

#[test]
fn mono_draws_no_colour_and_still_marks_what_is_stale() {
    let mut bench = after_failover();
    bench.model.look.theme = Theme::Mono;
    bench.model.look.environment = Environment::Production;
    for nr in 0..VIEWS.len() {
        bench.model.view = nr;
        let screen = bench.screen(80, 24);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
        screen::draw(&bench.model, buffer.area, &mut buffer);
        for cell in buffer.content() {
            let reset = ratatui::style::Color::Reset;
            assert_eq!((cell.fg, cell.bg), (reset, reset), "{screen}");
        }
        assert!(screen.contains("PRODUCTION"), "the environment is a word, too");
    }
    bench.model.view = 0;
    let screen = bench.screen(80, 24);
    assert!(screen.lines().any(|line| line.starts_with("a ") && line.ends_with("ago")), "{screen}");
}

#[test]
fn a_write_is_drawn_across_the_nodes() {
    let mut bench = pair();
    bench.model.trace = Some(crate::trace::tests::lookup());
    bench.keys("7");
    golden("traces-write", &mut bench, &SIZES);
    bench.model.look.ascii = true;
    assert!(bench.screen(80, 24).is_ascii());
}

/// The nodes have told their newest and slowest writes.
fn listed() -> Bench {
    let mut bench = pair();
    let told = crate::trace::tests::lookup().answers;
    for order in [TraceOrder::Newest, TraceOrder::Slowest] {
        for (addr, answer) in &told {
            let told = answer.clone().expect("told");
            let answer = Ok((6..=8).map(|seq| WriteTrace { seq, ..told.clone() }).collect());
            bench.take(Msg::Listed { order, addr: addr.clone(), answer });
        }
        bench.take(Msg::Listed { order, addr: "h:3".into(), answer: Err("it runs another version".into()) });
    }
    bench
}

#[test]
fn the_end_of_the_log_shows_how_long_each_stage_took() {
    let mut bench = listed();
    bench.keys("3");
    golden("oplog-live", &mut bench, &SIZES);
    bench.keys("7");
    golden("traces-slowest", &mut bench, &SIZES);
    bench.model.look.ascii = true;
    assert!(bench.screen(80, 24).is_ascii());
}

#[test]
fn a_copy_that_differs_is_seen_and_then_repaired() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    let mut b = standby("b", 1, 1000, bench.at);
    let v = b.verification.as_mut().expect("has one");
    v.mismatched_keys = Some(1);
    v.recent[0].repaired_unix_us = None;
    bench.said("h:2", b);
    bench.keys("4");
    golden("verification-differs", &mut bench, &SIZES);
    let effects = bench.keys("R");
    assert_eq!(effects, [], "there is no dry run of it: what is known is shown");
    golden("dialog-repair", &mut bench, &[(80, 24)]);
}

#[test]
fn why_a_copy_is_not_compared_is_shown() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    let mut b = standby("b", 1, 1000, bench.at);
    let v = b.verification.as_mut().expect("has one");
    (v.paused, v.paused_reason) = (true, Some("verification is switched off".into()));
    bench.said("h:2", b);
    bench.keys("4");
    let screen = bench.screen(160, 40);
    assert!(screen.contains("paused: verification is switched off"), "{screen}");
}

#[test]
fn of_a_long_key_the_end_is_shown() {
    assert_eq!(parts::key(b"default\0model/layer-7", 40), "default:model/layer-7");
    assert_eq!(parts::key(b"default\0model/layer-7", 8), "~layer-7");
}

#[test]
fn a_phase_after_the_first_answer_is_no_part_of_the_outage() {
    let phase = |name: &str, start_us, duration_us| Phase { name: name.into(), start_us, duration_us };
    let answered = RoleChange {
        phases: vec![phase("detect", 0, 5), phase("first_answer", 5, 3), phase("publish", 8, 9)],
        outage_us: Some(8),
        ..RoleChange::default()
    };
    let parts = failover::parts(&answered);
    assert_eq!(parts.iter().map(|(_, us)| us).sum::<u64>(), 8, "{parts:?}");
}

#[test]
fn the_parts_of_a_failover_add_up_to_the_outage() {
    let sum = |change: &RoleChange| failover::parts(change).iter().map(|(_, us)| us).sum::<u64>();
    let whole = change(2, 0);
    assert_eq!(sum(&whole), 600_000, "phases and what none of them explains");
    assert_eq!(failover::parts(&whole).last().expect("parts").1, 30_000);
    let mut overlapping = change(2, 0);
    overlapping.phases[1].start_us = 400_000;
    assert_eq!(sum(&overlapping), 600_000, "time shared by two phases counts once");
    let mut unseen = change(2, 0);
    unseen.outage_us = None;
    assert_eq!(sum(&unseen), 570_000, "no client saw it: at least the phases");
    let mut late = change(2, 0);
    late.phases.remove(0);
    assert_eq!(failover::parts(&late)[0].1, 470_000, "a gap before the first phase is shown");
}

#[test]
fn a_terminal_too_small_says_what_is_needed() {
    let screen = pair().screen(39, 9);
    assert!(screen.starts_with("39x9 is too small"), "{screen}");
}

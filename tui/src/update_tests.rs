//! Transcripts: what happens, and what the console then shows and asks for.

use standfast_proto::v1::{Role, Severity, TraceOrder};

use crate::act::{Confirmed, Forecast, Stage};
use crate::deed::{Deed, Fault};
use crate::history::{BYTES_MAX, FRAMES_MAX};
use crate::journal::EVENTS_MAX;
use crate::model::{Dialog, NODES_MAX};
use crate::msg::{Effect, Key, Msg, Outcome};
use crate::testing::{Bench, event, node, primary, standby};
use crate::view::VIEWS;

fn line<'a>(screen: &'a str, start: &str) -> &'a str {
    screen.lines().find(|line| line.starts_with(start)).unwrap_or_default()
}

fn accepted() -> Forecast {
    let plan = standby("b", 1, 1000, 0).rehearsal.and_then(|rehearsal| rehearsal.plan);
    Forecast { accepted: true, plan, ..Forecast::default() }
}

/// The dry run of a promotion of `target`.
fn dry_run(addr: &str, target: &str, reason: &str) -> Effect {
    Effect::Plan { deed: Deed::Failover, addr: addr.into(), target: target.into(), reason: reason.into() }
}

/// Types the cluster's name; returns what is then done.
fn confirm(bench: &mut Bench) -> Confirmed {
    bench.keys("kv");
    let effects = bench.key(Key::Enter);
    let [Effect::Act(confirmed)] = &effects[..] else { panic!("{effects:?}") };
    confirmed.clone()
}

#[test]
fn a_lost_connection_is_stale_within_two_intervals_and_recovers() {
    let mut bench = Bench::new(false);
    bench.pair_for(5, 0);
    assert!(bench.screen(80, 24).contains("LIVE ● 2/2"));
    // Neither node is heard of again; nothing says so but the time.
    bench.pass(2_001);
    let screen = bench.screen(80, 24);
    assert!(screen.contains("STALE ■ 2.0 s"), "{screen}");
    assert!(
        line(&screen, "FAILOVER SAFE").starts_with("FAILOVER SAFE ?: b has not answered for"),
        "{screen}"
    );
    assert!(line(&screen, "LAG").starts_with("LAG ? / ?"), "a lag of then is not the lag of now: {screen}");
    assert!(line(&screen, "PRIMARY").contains("last heard 2.0 s ago"), "{screen}");
    bench.said("h:2", standby("b", 1, 1100, bench.at));
    assert!(bench.screen(80, 24).contains("LIVE ▲ 1/2"));
    bench.said("h:1", primary("a", 1, 1100, bench.at, &[("b", 0)]));
    assert!(bench.screen(80, 24).contains("LIVE ● 2/2"));
}

#[test]
fn cutting_the_link_between_nodes_raises_the_lag() {
    let mut bench = Bench::new(false);
    bench.pair_for(5, 0);
    let mut b = standby("b", 1, 1000, bench.at);
    let upstream = b.upstream.as_mut().expect("has one");
    upstream.lag = Some(standfast_proto::v1::Lag { entries: None, bytes: None, age_us: Some(12_000_000) });
    bench.lost("h:1", "no route");
    bench.pass(2_500);
    bench.said("h:2", b);
    let screen = bench.screen(80, 24);
    assert!(
        line(&screen, "LAG").starts_with("LAG ? / 12.000 s"),
        "entries are unknown, time goes on: {screen}"
    );
    assert!(line(&screen, "LAG").ends_with("CRIT ■"), "{screen}");
}

#[test]
fn a_primary_that_does_not_count_its_standby_outweighs_the_standbys_word() {
    let mut bench = Bench::new(false);
    let mut a = primary("a", 1, 1000, 0, &[("b", 0)]);
    a.standbys[0].in_sync = false;
    bench.said("h:1", a);
    bench.said("h:2", standby("b", 1, 1000, 0));
    let screen = bench.screen(80, 24);
    assert!(line(&screen, "FAILOVER SAFE").contains("no: b: its primary does not count it"), "{screen}");
    let mut detached = Bench::new(false);
    detached.said("h:1", primary("a", 1, 1000, 0, &[]));
    detached.said("h:2", standby("b", 1, 1000, 0));
    let screen = detached.screen(80, 24);
    assert!(line(&screen, "FAILOVER SAFE").contains("no: b: its primary does not count it"), "{screen}");
    let mut late = Bench::new(false);
    late.said("h:1", primary("a", 7, 1000, 0, &[]));
    late.said("h:2", standby("b", 6, 1000, 0));
    let screen = late.screen(80, 24);
    assert!(screen.contains("no: b: knows of no epoch above 6, but epoch 7 exists"), "{screen}");
}

#[test]
fn nodes_that_are_named_are_watched_and_one_node_is_shown_once() {
    let mut bench = Bench::asking(false, &["localhost:1"]);
    let mut a = primary("a", 1, 10, 0, &[("b", 0)]);
    a.leadership.as_mut().expect("has one").holder =
        Some(standfast_proto::v1::Holder { grpc_addr: "127.0.0.1:1".into(), ..Default::default() });
    a.standbys[0].grpc_addr = Some("h:2".into());
    let effects = bench.said("localhost:1", a.clone());
    assert_eq!(effects, [Effect::Watch("127.0.0.1:1".into()), Effect::Watch("h:2".into())]);
    assert_eq!(bench.said("127.0.0.1:1", a.clone()), [Effect::Forget("127.0.0.1:1".into())], "the same copy");
    assert_eq!(bench.said("localhost:1", a), [], "it is not watched again");
    assert_eq!(bench.model.live.nodes.len(), 2);

    bench.said("h:2", standby("b", 1, 10, 0));
    bench.pass(5_000);
    let effects = bench.said("h:9", standby("b", 1, 10, 0));
    assert_eq!(effects, [Effect::Forget("h:2".into())], "b came back at another address");
}

#[test]
fn a_hint_that_lies_does_not_send_us_around_for_ever() {
    let mut bench = Bench::asking(false, &["h:1"]);
    for round in 0..100 {
        let mut a = node("a", Role::Primary, 1, 1, 0);
        a.upstream =
            Some(standfast_proto::v1::Upstream { addr: Some(format!("x:{round}")), ..Default::default() });
        bench.said("h:1", a);
    }
    assert_eq!(bench.model.live.nodes.len(), NODES_MAX);
}

#[test]
fn space_holds_the_screen_while_data_flow() {
    let mut bench = Bench::new(false);
    bench.pair_for(5, 0);
    bench.key(Key::Char(' '));
    let held = bench.screen(80, 24);
    bench.pair_for(5, 9);
    let later = bench.screen(80, 24);
    assert_eq!(held.lines().nth(8), later.lines().nth(8), "the tails stand still");
    assert!(later.contains("PAUSED 4.0 s ago"), "{later}");
    assert_eq!(bench.model.retained().frames, 9, "the past is kept all the same");
    bench.key(Key::Char(' '));
    assert!(bench.screen(80, 24).contains("LIVE"));
}

#[test]
fn one_travels_back_and_forth_in_time() {
    let mut bench = Bench::new(false);
    bench.pair_for(10, 9);
    let tail = |bench: &mut Bench| {
        let screen = bench.screen(80, 24);
        line(&screen, "a ").split_whitespace().nth(3).expect("a tail").parse::<u64>().expect("a number")
    };
    let now = tail(&mut bench);
    bench.keys("[[[");
    let then = tail(&mut bench);
    assert!(then < now, "{then} {now}");
    assert!(bench.screen(80, 24).contains("PAUSED 3.0 s ago"));
    bench.keys("]]]]");
    assert_eq!(tail(&mut bench), now);
    assert!(bench.screen(80, 24).contains("LIVE"), "past the newest frame is the present");
    bench.keys("]");
    assert!(bench.screen(80, 24).contains("LIVE"));
    bench.keys("[");
    bench.key(Key::Esc);
    assert!(bench.screen(80, 24).contains("LIVE"), "Esc returns to the present");
}

#[test]
fn a_filter_belongs_to_its_view_and_a_bad_one_is_explained() {
    let mut bench = Bench::new(false);
    bench.pair_for(3, 0);
    bench.keys("/^b");
    bench.key(Key::Enter);
    let screen = bench.screen(80, 24);
    assert!(line(&screen, "a ").is_empty() && !line(&screen, "b ").is_empty(), "{screen}");
    assert!(screen.contains("/^b"), "it is on display");
    bench.keys("2");
    assert!(!bench.screen(80, 24).contains("/^b"));
    bench.keys("1/(");
    bench.key(Key::Backspace);
    bench.keys("(");
    bench.key(Key::Enter);
    assert!(bench.screen(80, 24).contains("is no regular expression"), "{}", bench.screen(80, 24));
    bench.key(Key::Esc);
    bench.key(Key::Esc);
    assert!(!line(&bench.screen(80, 24), "a ").is_empty(), "Esc drops notice and filter");
}

#[test]
fn commands_are_found_by_their_beginning_and_explain_themselves() {
    let mut bench = Bench::new(false);
    let typed = |bench: &mut Bench, command: &str| {
        bench.keys(&format!(":{command}"));
        bench.key(Key::Enter)
    };
    typed(&mut bench, "view rep");
    assert_eq!(VIEWS[bench.model.view].name, "replication");
    assert_eq!(typed(&mut bench, "rate 250"), [Effect::Rate(250)]);
    assert_eq!(typed(&mut bench, "save x.txt"), [Effect::SaveText("x.txt".into())]);
    assert_eq!(
        typed(&mut bench, "json"),
        [Effect::SaveJson("standfast-console-20261123T120000Z.json".into())]
    );
    assert_eq!(typed(&mut bench, "q"), [Effect::Quit]);
    for (bad, says) in [
        ("fly", "`fly` is no command"),
        ("rate 5", "`5` is no rate: expected 100 to 60000 ms"),
        ("view x", "`x` is no view; there are overview, replication"),
        ("r", "`r` may mean rate, range"),
        ("theme pink", "there are dark, light"),
        ("speed 2", "only a replay has a speed"),
        ("failover b", "read-only: start with --allow-actions"),
    ] {
        assert_eq!(typed(&mut bench, bad), []);
        assert!(bench.screen(80, 24).contains(says), "{bad}: {}", bench.screen(80, 24));
    }
    assert_eq!(bench.keys("y"), [Effect::Copy]);
    assert_eq!(bench.keys("+"), [Effect::Rate(125)]);
    assert_eq!(bench.keys("--"), [Effect::Rate(250), Effect::Rate(500)]);
}

#[test]
fn a_read_only_console_refuses_to_act() {
    let mut bench = Bench::new(false);
    bench.pair_for(3, 0);
    assert_eq!(bench.keys("F"), []);
    assert_eq!(bench.model.dialog, Dialog::None);
    assert!(bench.screen(80, 24).contains("read-only: start with --allow-actions"));
}

#[test]
fn nothing_is_done_before_the_dry_run_and_the_whole_name() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    let effects = bench.keys("F");
    assert_eq!(effects, [dry_run("h:2", "b", "asked in the console")]);
    assert_eq!(bench.keys("kv"), [], "typed before the dry run came back");
    assert_eq!(bench.key(Key::Enter), []);
    bench.planned(Deed::Failover, "h:2", Ok(accepted()));
    assert!(bench.screen(80, 24).contains("WOULD LOSE            0 keys"));
    for wrong in ["", "k", "KV", "kvv"] {
        bench.keys(wrong);
        assert_eq!(bench.key(Key::Enter), [], "{wrong}");
        assert!(bench.screen(80, 24).contains("is not the name"));
        for _ in wrong.chars() {
            bench.key(Key::Backspace);
        }
    }
    bench.keys("kv");
    let effects = bench.key(Key::Enter);
    let [Effect::Act(confirmed)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((confirmed.deed(), confirmed.target(), confirmed.addr()), (Deed::Failover, "b", "h:2"));
    assert_eq!(bench.key(Key::Enter), [], "Enter twice acts once");
    bench.key(Key::Esc);
    assert!(matches!(&bench.model.dialog, Dialog::Act(act) if act.stage == Stage::Acting), "it waits");
    let act = confirmed.clone();
    bench.take(Msg::Acted { act, outcome: Outcome::Done(vec!["b is the primary of epoch 2.".into()]) });
    assert!(bench.screen(80, 24).contains("b is the primary of epoch 2."));
    bench.key(Key::Enter);
    assert_eq!(bench.model.dialog, Dialog::None);
}

#[test]
fn a_refused_dry_run_ends_with_the_next_command() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    bench.keys(":failover b rack 3 is down");
    let effects = bench.key(Key::Enter);
    assert_eq!(effects, [dry_run("h:2", "b", "rack 3 is down")]);
    let reasons =
        crate::testing::refusing(standby("b", 1, 1, 0), "not in sync").rehearsal.expect("one").reasons;
    bench.planned(Deed::Failover, "h:2", Ok(Forecast { reasons, ..Forecast::default() }));
    let screen = bench.screen(80, 24);
    assert!(
        screen.contains("REFUSED: nothing was changed") && screen.contains("next: standfast status"),
        "{screen}"
    );
    assert_eq!(bench.keys("kv"), []);
    bench.key(Key::Enter);
    bench.keys("F");
    bench.planned(Deed::Failover, "h:2", Err("reset".into()));
    assert!(
        bench.screen(80, 24).contains("dry_run_failed: reset"),
        "a dry run changes nothing, whatever came of it"
    );
}

#[test]
fn an_unknown_outcome_is_not_called_a_failure() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    bench.keys("F");
    bench.planned(Deed::Failover, "h:2", Ok(accepted()));
    let act = confirm(&mut bench);
    let cure = "standfast status --connect h:2".to_owned();
    bench.take(Msg::Acted { act, outcome: Outcome::Unknown { why: "reset".into(), cure } });
    let screen = bench.screen(80, 24);
    assert!(screen.contains("UNKNOWN whether it took effect: reset"), "{screen}");
    assert!(!screen.to_lowercase().contains("failed"), "{screen}");
}

#[test]
fn a_standby_that_a_later_primary_has_left_behind_is_not_even_asked() {
    let mut bench = Bench::new(true);
    bench.said("h:1", primary("a", 7, 1000, 0, &[]));
    bench.said("h:2", standby("b", 6, 1000, 0));
    assert_eq!(bench.keys("F"), []);
    assert!(bench.screen(80, 24).contains("a leads epoch 7, but b knows of no epoch above 6"));
}

#[test]
fn of_several_standbys_one_is_chosen() {
    let mut bench = Bench::asking(true, &["h:1", "h:2", "h:3"]);
    bench.said("h:1", primary("a", 1, 1000, 0, &[("b", 0), ("c", 0)]));
    bench.said("h:2", standby("b", 1, 1000, 0));
    bench.said("h:3", standby("c", 1, 1000, 0));
    assert_eq!(bench.keys("F"), []);
    bench.key(Key::Down);
    bench.key(Key::Down);
    let effects = bench.key(Key::Enter);
    assert_eq!(effects, [dry_run("h:3", "c", "asked in the console")]);
    bench.planned(Deed::Failover, "h:2", Ok(accepted()));
    assert!(bench.screen(80, 24).contains("Dry run: the nodes are asked"), "that was another node's answer");
    bench.planned(Deed::Failover, "h:3", Ok(accepted()));
    assert!(bench.screen(80, 24).contains("DRY RUN accepted"));
    bench.key(Key::Esc);
    bench.keys("D");
    bench.key(Key::Enter);
    let screen = bench.screen(80, 24);
    assert!(screen.contains("In-sync set afterwards: a, c."), "{screen}");
    bench.keys("kv");
    let effects = bench.key(Key::Enter);
    let [Effect::Act(confirmed)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((confirmed.deed(), confirmed.target(), confirmed.addr()), (Deed::Detach, "b", "h:1"));
}

#[test]
fn a_write_is_asked_for_at_every_node_that_answers() {
    let mut bench = Bench::asking(false, &["h:1", "h:2", "h:3"]);
    bench.pair_for(3, 0);
    bench.keys(":trace");
    let addrs = vec!["h:1".to_owned(), "h:2".to_owned()];
    let effects = bench.key(Key::Enter);
    assert_eq!(effects[0], Effect::Trace { seq: 1239, addrs: addrs.clone() }, "the newest");
    bench.keys(":trace 8");
    assert_eq!(bench.key(Key::Enter), [Effect::Trace { seq: 8, addrs }]);
    let late = Msg::Traced { seq: 1239, addr: "h:1".into(), answer: Err("late".into()) };
    bench.take(late);
    let screen = bench.screen(80, 24);
    assert!(screen.contains("WRITE 8") && screen.contains("waiting for the nodes"), "{screen}");
    assert!(!screen.contains("late"), "that was another write's answer: {screen}");
    bench.keys(":trace x");
    assert_eq!(bench.key(Key::Enter), []);
    assert!(bench.screen(80, 24).contains("`x` is no seq"));
}

#[test]
fn the_end_of_the_log_is_asked_for_while_it_is_looked_at_and_no_oftener_than_the_rest() {
    let mut bench = Bench::new(false);
    bench.pair_for(3, 0);
    let addrs = vec!["h:1".to_owned(), "h:2".to_owned()];
    let asked = Effect::List { order: TraceOrder::Newest, addrs: addrs.clone() };
    assert_eq!(bench.keys("3"), std::slice::from_ref(&asked));
    assert_eq!(bench.take(Msg::Tick), [], "once an interval");
    bench.at += 1_000;
    assert_eq!(bench.take(Msg::Tick), [asked]);
    bench.keys(" ");
    bench.at += 1_000;
    assert_eq!(bench.take(Msg::Tick), [], "the screen is held");
    bench.keys(" 7");
    bench.at += 1_000;
    let slowest = Effect::List { order: TraceOrder::Slowest, addrs };
    bench.said("h:1", primary("a", 1, 1100, bench.at, &[("b", 0)]));
    bench.said("h:2", standby("b", 1, 1100, bench.at));
    bench.at += 1_000;
    assert_eq!(bench.take(Msg::Tick), [slowest]);
    bench.keys("1");
    bench.at += 1_000;
    assert_eq!(bench.take(Msg::Tick), []);
}

#[test]
fn a_switchover_is_judged_and_then_ordered_of_the_primary_and_stays_among_the_events() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    let asked = Effect::Plan {
        deed: Deed::Switchover,
        addr: "h:1".into(),
        target: "b".into(),
        reason: "new kernel".into(),
    };
    bench.keys(":switchover b new kernel");
    assert_eq!(bench.key(Key::Enter), [asked]);
    let forecast = Forecast { accepted: true, to: Some("b".into()), ..Forecast::default() };
    bench.planned(Deed::Failover, "h:1", Ok(forecast.clone()));
    assert!(bench.screen(80, 24).contains("Dry run: the nodes are asked"), "that was about something else");
    bench.planned(Deed::Switchover, "h:1", Ok(forecast));
    let screen = bench.screen(80, 24);
    assert!(screen.contains("a → b") && screen.contains("WOULD LOSE            0 keys"), "{screen}");
    let act = confirm(&mut bench);
    assert_eq!((act.deed(), act.target(), act.addr()), (Deed::Switchover, "b", "h:1"));
    bench.take(Msg::Acted { act, outcome: Outcome::Done(vec!["b leads.".into()]) });
    let screen = bench.screen(80, 24);
    assert!(screen.contains("b leads.") && screen.contains("reason given: new kernel"), "{screen}");
    bench.key(Key::Enter);
    bench.keys("9");
    let screen = bench.screen(200, 50);
    assert!(screen.contains("switchover b: done. b leads. Reason given: new kernel"), "{screen}");
}

#[test]
fn a_primary_is_struck_only_when_a_standby_would_take_over() {
    let mut bench = Bench::new(true);
    bench.said("h:1", primary("a", 1, 1000, 0, &[]));
    assert_eq!(bench.keys("K"), []);
    assert!(bench.screen(80, 24).contains("not struck: no standby could take over"));
    bench.pair_for(3, 0);
    let asked = Effect::Plan {
        deed: Deed::Drill(Fault::Kill),
        addr: "h:2".into(),
        target: "a".into(),
        reason: "asked in the console".into(),
    };
    assert_eq!(bench.keys("K"), [asked], "the survivor says what would be lost");
    bench.planned(Deed::Drill(Fault::Kill), "h:2", Ok(accepted()));
    let screen = bench.screen(80, 24);
    assert!(screen.contains("DRILL: kill a") && screen.contains("takes over            b"), "{screen}");
    assert_eq!(confirm(&mut bench).target(), "a");
}

#[test]
fn only_a_demo_can_be_damaged_and_only_what_differs_is_repaired() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    assert_eq!(bench.keys("C"), []);
    assert!(bench.screen(80, 24).contains("only a cluster of the demo may be damaged"));
    bench.keys("R");
    assert!(bench.screen(80, 24).contains("there is nothing to repair"));
    bench.model.lab = true;
    bench.keys("C");
    let act = confirm(&mut bench);
    assert_eq!((act.deed(), act.addr()), (Deed::Corrupt, "h:2"));
}

#[test]
fn one_key_pauses_automatic_failover_and_ends_the_pause() {
    let mut bench = Bench::new(true);
    bench.pair_for(3, 0);
    bench.keys("P");
    assert!(bench.screen(80, 24).contains("PAUSE automatic failover"), "{}", bench.screen(80, 24));
    let act = confirm(&mut bench);
    assert_eq!((act.deed(), act.addr()), (Deed::Pause, "h:1"));
    bench.take(Msg::Acted { act, outcome: Outcome::Done(vec!["paused".into()]) });
    bench.key(Key::Enter);
    let mut a = primary("a", 1, 1300, bench.at, &[("b", 0)]);
    a.automation = Some(standfast_proto::v1::Automation {
        suspended: true,
        reason: "ana asked: kernel update".into(),
        ..Default::default()
    });
    bench.said("h:1", a);
    bench.keys("P");
    let screen = bench.screen(80, 24);
    assert!(
        screen.contains("RESUME automatic failover") && screen.contains("ana asked: kernel update"),
        "{screen}"
    );
    assert_eq!(confirm(&mut bench).deed(), Deed::Resume);
}

/// A day at one update a second from four nodes, with an event a second.
#[test]
fn a_day_takes_bounded_memory() {
    let mut bench = Bench::asking(false, &["h:1", "h:2", "h:3", "h:4"]);
    let day = 24 * 60 * 60;
    for second in 0..day {
        let mut a = primary("a", 1, 1000 + second, bench.at, &[("b", 0)]);
        a.events = vec![event(second + 1, bench.at, Severity::Info, "something")];
        bench.said("h:1", a);
        for (addr, name) in [("h:2", "b"), ("h:3", "c"), ("h:4", "d")] {
            bench.said(addr, standby(name, 1, 1000 + second, bench.at));
        }
        bench.pass(1000);
    }
    let kept = bench.model.retained();
    assert!(kept.frames <= FRAMES_MAX && kept.frames > FRAMES_MAX / 2, "{kept:?}");
    assert!(kept.bytes <= BYTES_MAX && kept.bytes > 0, "{kept:?}");
    assert_eq!(kept.events, EVENTS_MAX, "{kept:?}");
    bench.keys(":back 36000");
    bench.key(Key::Enter);
    let shown = bench.model.shown().at;
    let off =
        shown.since(bench.model.now.minus(36_000_000)).max(bench.model.now.minus(36_000_000).since(shown));
    assert!(off < 3_600_000, "ten hours ago can still be seen, coarsely: {shown}");
}

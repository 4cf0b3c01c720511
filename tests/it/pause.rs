//! Automatic failover on hold: by an operator, and after too many of them.

use nix::sys::signal::Signal;
use standfast_proto::v1;

use crate::coordinator::{Server as _, Witness};
use crate::leadership::{CLUSTER, cli, cluster, epoch, follows, in_sync, leads};
use crate::node::Node;
use crate::scrape::scrape;

fn paused(s: &v1::NodeStatus) -> bool {
    s.automation.as_ref().is_some_and(|a| a.suspended && a.pause.is_some())
}

/// The primary is silent, and this standby says that it does nothing about it, because.
fn holds_back(s: &v1::NodeStatus, why: &str) -> bool {
    let silent = s.upstream.as_ref().is_some_and(|u| u.link() != v1::LinkState::Up);
    let reason = s.coordinator.as_ref().and_then(|c| c.reason.as_deref());
    silent && follows(s) && reason.is_some_and(|r| r.contains(why))
}

fn codes(s: &v1::NodeStatus) -> Vec<String> {
    s.rehearsal.iter().flat_map(|r| &r.reasons).map(|r| r.code.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_over_while_it_is_paused_on_any_surface() {
    let witness = Witness::start();
    let (a, b) = cluster(&witness.url(), "").await;
    let (code, line) = cli(&b.addr, "resume --json");
    assert_eq!((code, &line["reasons"][0]["code"]), (Some(1), &"nothing_to_resume".into()), "{line}");
    let (code, line) = cli(&b.addr, "pause --for 1h --reason firmware --json");
    assert_eq!((code, &line["automation"]["pause"]["reason"]), (Some(0), &"firmware".into()), "{line}");
    for node in [&a, &b] {
        let seen = node.until("both see it", paused).await;
        assert!(seen.findings.iter().any(|f| f.code == "paused" && f.cure.contains("resume")), "{seen:?}");
        let rows: Vec<_> = seen.history.iter().filter(|row| row.cause == "pause").collect();
        assert!(rows.len() == 1 && rows[0].reason == "firmware", "{rows:?}");
        assert_eq!(scrape(node).await.value("standfast_paused"), Some(1.0));
    }
    let left = scrape(&a).await.value("standfast_pause_remaining_seconds").expect("it is known");
    assert!((1.0..=3600.0).contains(&left), "{left}");
    let seen = b.until("not promotable by itself", |s| codes(s).contains(&"paused".to_owned())).await;
    assert_eq!(seen.rehearsal.expect("a verdict").verdict(), v1::Verdict::No);
    let (_, map) = cli(&b.addr, "topology --json");
    assert_eq!(map["automation"]["suspended"], true, "{map}");
    // The primary dies; nothing happens, and the record survives restarts.
    let before = epoch(&b.status(false).await);
    drop(a);
    b.until("it says why it does nothing", |s| holds_back(s, "paused by")).await;
    let again = Node::start(&format!("--node c --cluster {CLUSTER} --coordinator {}", witness.url()));
    again.until("a new process sees it, too", paused).await;
    assert_eq!(epoch(&b.status(false).await), before);
    // By hand it works.
    let (code, done) = cli(&b.addr, "failover --to b --yes --json --reason test");
    assert_eq!((code, &done["accepted"]), (Some(0), &true.into()), "{done}");
    b.until("it leads", leads).await;
    let (code, line) = cli(&b.addr, "resume --json --reason done");
    assert_eq!((code, &line["automation"]["suspended"]), (Some(0), &false.into()), "{line}");
    let seen = b.until("it is over", |s| !paused(s)).await;
    assert!(
        seen.history.iter().any(|row| row.cause == "resume" && row.reason == "done"),
        "{:?}",
        seen.history
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself_and_then_the_standby_takes_over() {
    let witness = Witness::start();
    let (a, b) = cluster(&witness.url(), "").await;
    let (code, line) = cli(&b.addr, "pause --for 3s --reason short --json");
    assert_eq!(code, Some(0), "{line}");
    b.until("it sees it", paused).await;
    a.signal(Signal::SIGSTOP);
    let led = b.until("it leads once the pause is over", leads).await;
    let over = led.history.iter().find(|row| row.cause == "pause_over").expect("a row says that it was over");
    let row = led.history.iter().find(|h| h.epoch == epoch(&led)).expect("a row of the takeover");
    // A row of a takeover starts with the last sign of life; it was decided when it was detected.
    let decided = row.started_unix_us + row.phases[0].duration_us as i64;
    assert!(over.started_unix_us <= decided + 1_000_000, "{over:?} {row:?}");
    // What is watched tells each event once; this asks for all of them.
    let events = b.status(false).await.events;
    assert!(events.iter().any(|e| e.code == "pause_over"), "and it is said: {events:?}");
}

/// Two automatic failovers are too many here: the third waits for somebody.
#[tokio::test(flavor = "multi_thread")]
async fn after_too_many_failovers_somebody_has_to_acknowledge_them() {
    let witness = Witness::start();
    let flags = "--failover-limit 2 --failover-window-s 3600";
    let (mut a, mut b) = cluster(&witness.url(), flags).await;
    for round in 0..2 {
        let (old, name, new) = if round == 0 { (&mut a, "a", &b) } else { (&mut b, "b", &a) };
        let address = old.addr.clone();
        old.signal(Signal::SIGKILL);
        old.ended().await;
        new.until("the standby leads", leads).await;
        let url = witness.url();
        let again = format!("--node {name} --cluster {CLUSTER} --coordinator {url} {flags}");
        *old = Node::start_at(&address, &again);
        let back = |s: &v1::NodeStatus| {
            // Promotable, but for that.
            follows(s) && (in_sync(s) || codes(s) == ["flapping"])
        };
        old.until("it is back", back).await;
    }
    drop(a);
    let seen = b.until("it holds back", |s| holds_back(s, "2 automatic failovers within 3600 s")).await;
    assert!(seen.findings.iter().any(|f| f.code == "flapping" && f.cure.contains("resume")), "{seen:?}");
    assert_eq!(scrape(&b).await.value("standfast_automatic_failover_stopped"), Some(1.0));
    let (code, line) = cli(&b.addr, "acknowledge --json --reason seen");
    assert_eq!((code, &line["automation"]["recent"]), (Some(0), &0.into()), "{line}");
    b.until("and it takes over", leads).await;
}

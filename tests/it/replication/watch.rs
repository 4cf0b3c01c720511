//! What `standfast status --watch` says while a standby is stopped, cut off, and returns.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::time::Instant;

use super::{Load, in_sync, primary};
use crate::cable::Cable;
use crate::node::{Node, PATIENCE};

/// Lines that wait to be looked at; more are waited for.
const LINES_MAX: usize = 16;

/// The command, and the lines that it prints.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn on(nodes: &[&Node]) -> Self {
        let connect: Vec<&str> = nodes.iter().map(|n| &*n.addr).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        command.args(["status", "--watch", "--json", "--connect", &connect.join(",")]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (tx, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if tx.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The first line in which the primary's view of its one standby is as wanted, with that view.
    fn until(&self, what: &str, wanted: impl Fn(&Value, &Value) -> bool) -> Value {
        let begun = Instant::now();
        let mut last = String::new();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let line = self.lines.recv_timeout(left);
            let line = line.map_err(|_| format!("never: {what}; last: {last}")).expect("in time");
            let found: Value = serde_json::from_str(&line).expect("one JSON line");
            let standby = &found["nodes"][0]["standbys"][0];
            if wanted(&found, standby) {
                return found;
            }
            last = line;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_standby_is_shown_as_what_it_is_and_when_it_returns() {
    let a = primary().await;
    let b = super::standby(&a);
    in_sync(&b).await;
    let watch = Watch::on(&[&a, &b]);
    watch.until("all is well", |all, s| all["verdict"] == "ok" && s["lag"]["entries"] == 0);

    b.signal(Signal::SIGSTOP);
    let stopped = |all: &Value, s: &Value, ms: u64| {
        all["verdict"] == "degraded" && s["contact_age_ms"].as_u64().is_some_and(|age| age > ms)
    };
    let first = watch.until("seen as silent", |all, s| stopped(all, s, 1_000));
    let why = first["nodes"][0]["standbys"][0]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("stopped or cut off"), "{first}");
    let nodes = watch.until("the age rises", |all, s| stopped(all, s, 2_500));
    assert!(nodes["nodes"][1]["error"].is_string(), "and it does not answer itself: {nodes}");

    b.signal(Signal::SIGCONT);
    watch.until("it is back", |all, s| all["verdict"] == "ok" && s["in_sync"] == true);
}

/// Cut off, it knows by itself that it follows nobody, and its lag is unknown, not 0; a
/// standby that takes its place is shown catching up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_cut_off_has_no_lag_of_zero_and_its_successor_catches_up() {
    let a = primary().await;
    let load = Load::on(&a).await;
    let cable = Cable::to(&a.addr).await;
    let b = Node::start(&format!("--node b --role standby --peer {} {}", cable.addr, super::flags()));
    in_sync(&b).await;
    let watch = Watch::on(&[&a, &b]);
    watch.until("all is well", |all, _| all["verdict"] == "ok");
    drop(load.calls().await);

    cable.cut();
    let found = watch.until("seen on both sides", |all, s| {
        s["link"] == "down" && s["lag"]["entries"].is_null() && all["nodes"][1]["lag"]["entries"].is_null()
    });
    let age = |found: &Value| found["nodes"][1]["lag"]["seconds"].as_f64();
    let before = age(&found);
    watch.until("its age rises on the standby, too", |all, _| age(all) > before);
    assert_eq!(found["verdict"], "degraded");

    drop(b);
    let again = super::standby(&a);
    in_sync(&again).await;
    watch.until("another copy is in its place", |_, s| s["link"] == "up" && s["in_sync"] == true);
}

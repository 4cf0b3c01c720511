//! The console against real nodes: one look, and recordings that are looked at afterwards.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use standfast_tui::{Key, Model, Msg, Record, Recording, Replay, Setup, Time, screen_text, update};

use crate::node::{Node, PATIENCE, end, segment, start};

/// Milliseconds between the updates of a recording made here.
const RATE: u64 = 100;

fn once(connect: &str) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(["console", "--once", "--json", "--connect", connect])
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(out.lines().count(), 1, "one line on stdout: {out}");
    (output.status.code(), serde_json::from_str(&out).expect("JSON"))
}

#[tokio::test]
async fn one_look_answers_the_five_questions() {
    let (a, b) = Node::pair("").await;
    for connect in [&a.addr, &b.addr] {
        let (code, line) = once(connect);
        assert_eq!((code, &line["schema"], &line["verdict"]), (Some(0), &1.into(), &"ok".into()), "{line}");
        assert_eq!((&line["primary"], &line["failover_safe"]), (&"a".into(), &true.into()), "{line}");
        assert_eq!((&line["lag"]["entries"], &line["would_lose_keys"]), (&0.into(), &0.into()), "{line}");
        assert!(line["nodes"][0]["lag"]["entries"].is_null(), "a primary lags behind nobody: {line}");
        assert_eq!(line["nodes"].as_array().map(Vec::len), Some(2), "either node leads to the other: {line}");
    }
    a.signal(Signal::SIGKILL);
    b.until("alone", |s| s.upstream.as_ref().is_some_and(|u| u.lag.is_some_and(|l| l.entries.is_none())))
        .await;
    let (code, line) = once(&b.addr);
    assert_eq!((code, &line["verdict"]), (Some(1), &"degraded".into()), "{line}");
    assert!(line["lag"]["entries"].is_null() && line["primary"].is_null(), "{line}");
    assert_eq!(line["findings"][0]["code"], "no_primary", "{line}");
    // Port 1 is privileged and nobody's.
    assert_eq!(once("127.0.0.1:1").0, Some(3));
}

/// A recorder without a screen, as a process.
struct Recorder {
    child: Child,
    path: PathBuf,
}

impl Recorder {
    fn start(connect: &str, folder: &Path) -> Self {
        let path = folder.join("night.rec");
        let child = Command::new(env!("CARGO_BIN_EXE_standfast"))
            .args(["console", "--headless", "--rate", &RATE.to_string(), "--connect", connect, "--record"])
            .arg(&path)
            .stdin(Stdio::null())
            .spawn()
            .expect("the binary runs");
        Self { child, path }
    }

    /// Reads the recording again and again until it is as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&[Record]) -> bool) {
        let read = async {
            loop {
                if Recording::read(&self.path).is_ok_and(|recording| wanted(&recording.records)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.map_err(|_| format!("never recorded: {what}")).expect("in time");
    }

    fn stop(mut self) -> Recording {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).expect("it runs");
        let ended = self.child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(0), "asked to stop is no failure");
        let recording = Recording::read(&self.path).expect("a recording");
        assert!(!recording.torn, "it was finished");
        recording
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_update(record: &Record, addr: &str) -> bool {
    record.addr == addr && record.update.is_some()
}

/// The screen of a replay.
struct Screen {
    model: Model,
    wall: u64,
}

impl Screen {
    fn of(recording: Recording) -> Self {
        let setup = Setup { rate_ms: RATE, ..Setup::default() };
        let mut screen =
            Self { model: Model::replaying(&setup, Replay::new(Arc::new(recording)), Time(0)), wall: 0 };
        screen.pass(0);
        screen
    }

    fn pass(&mut self, ms: u64) -> String {
        self.wall += ms;
        update(&mut self.model, Time(self.wall), Msg::Tick);
        screen_text(&self.model)
    }

    fn key(&mut self, key: char) -> String {
        update(&mut self.model, Time(self.wall), Msg::Key(Key::Char(key)));
        screen_text(&self.model)
    }
}

/// How the row of the node on the first screen ends.
fn heard(screen: &str, node: &str) -> String {
    let row = screen.lines().find(|line| line.starts_with(&format!("{node} "))).unwrap_or_default();
    row.split_whitespace().next_back().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_node_that_freezes_is_stale_within_two_intervals_and_recovers() {
    let (a, b) = Node::pair("").await;
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = Recorder::start(&a.addr, folder.path());
    recorder
        .until("both nodes", |all| [&a, &b].iter().all(|node| all.iter().any(|r| is_update(r, &node.addr))))
        .await;
    b.signal(Signal::SIGSTOP);
    let lost = |all: &[Record]| all.iter().rposition(|r| r.addr == b.addr && r.lost.is_some());
    recorder.until("b is lost", |all| lost(all).is_some()).await;
    b.signal(Signal::SIGCONT);
    recorder
        .until("b is back", |all| lost(all).is_some_and(|at| all[at..].iter().any(|r| is_update(r, &b.addr))))
        .await;
    let recording = recorder.stop();

    // The widest gap between two answers of b is the freeze.
    let answers: Vec<u64> =
        recording.records.iter().filter(|r| is_update(r, &b.addr)).map(|r| r.at_ms).collect();
    let gap = answers.windows(2).max_by_key(|pair| pair[1] - pair[0]).expect("two answers");
    let (last, back, begin) = (gap[0], gap[1], recording.begin().0);
    assert!(back - last > 3 * RATE, "it was frozen");
    let mut screen = Screen::of(recording);
    let shown = screen.pass(last + 2 * RATE - begin);
    assert_eq!(heard(&shown, "b"), "now", "{shown}");
    let shown = screen.pass(1);
    assert_eq!(
        heard(&shown, "b"),
        "ago",
        "stale after two intervals, whether or not the connection knows: {shown}"
    );
    let shown = screen.pass(back - last - 2 * RATE - 1);
    assert_eq!(heard(&shown, "b"), "now", "{shown}");
}

#[tokio::test]
async fn a_recording_shows_the_failover_again() {
    let (a, b) = Node::pair("").await;
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = Recorder::start(&a.addr, folder.path());
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    client.put_start(start(&["x", "y"])).await.expect("started");
    client.put_end(end(&["x", "y"])).await.expect("ended");
    let objects =
        |record: &Record| record.update.as_ref()?.status.as_ref()?.store.as_ref().map(|s| s.objects);
    recorder
        .until("the objects", |all| all.iter().any(|r| is_update(r, &b.addr) && objects(r) == Some(2)))
        .await;
    a.signal(Signal::SIGKILL);
    recorder.until("a is lost", |all| all.iter().any(|r| r.addr == a.addr && r.lost.is_some())).await;
    assert!(b.promote().await.accepted);
    let leads = |record: &Record| {
        let status = record.update.as_ref().and_then(|update| update.status.as_ref());
        status.and_then(|s| s.leadership.as_ref()).is_some_and(|l| l.epoch == Some(2))
    };
    recorder.until("b leads", |all| all.iter().filter(|record| leads(record)).count() > 5).await;
    let recording = recorder.stop();
    assert_eq!(recording.marks.len(), 1, "{:?}", recording.marks);
    assert_eq!((&*recording.marks[0].node, recording.marks[0].epoch), ("b", 2));

    let mut screen = Screen::of(recording);
    let shown = screen.key('}');
    assert!(shown.contains("PRIMARY b   epoch 2"), "{shown}");
    screen.key('5');
    let shown = screen.pass(1000);
    assert!(
        shown.contains("epoch 2 failover") && shown.contains("by test"),
        "the row of the history: {shown}"
    );
    assert!(shown.contains("fence") && shown.contains("= "), "its phases: {shown}");
    let shown = screen.key('9');
    assert!(shown.contains("TIME      a") && shown.contains("primary in epoch 2"), "{shown}");
}

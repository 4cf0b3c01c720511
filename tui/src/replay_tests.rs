//! Recordings: written, bounded, torn, refused; and what a replay shows of them.

use std::io::Write;
use std::sync::Arc;

use standfast_proto::v1::{Severity, StatusUpdate};

use crate::model::{Model, Setup};
use crate::msg::{Key, Msg};
use crate::record::{Record, Recorder, Recording};
use crate::replay::Replay;
use crate::testing::{NOON, node, primary, standby};
use crate::time::Time;
use crate::update::update;
use crate::view::screen;

fn record(at: u64, addr: &str, status: standfast_proto::v1::NodeStatus) -> Record {
    let update = StatusUpdate { number: 1, interval_ms: 1000, status: Some(status) };
    Record { at_ms: NOON + at, addr: addr.into(), update: Some(update), ..Record::default() }
}

/// 60 s of a pair; at 30 s a dies and b leads epoch 2.
fn incident() -> Vec<Record> {
    let mut records = Vec::new();
    for second in 0..60 {
        let at = second * 1000;
        if second < 30 {
            records.push(record(at, "h:1", primary("a", 1, 100 + second, at, &[("b", 0)])));
            records.push(record(at, "h:2", standby("b", 1, 100 + second, at)));
        } else {
            let lost = Some("Connection refused".to_owned());
            records.push(Record { at_ms: NOON + at, addr: "h:1".into(), lost, ..Record::default() });
            records.push(record(at, "h:2", primary("b", 2, 100 + second, at, &[])));
        }
    }
    records
}

fn written(records: &[Record], bytes_max: u64) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("night.rec");
    let mut recorder = Recorder::create(&path, Time(NOON), bytes_max).expect("a new file");
    for record in records {
        recorder.write(record).expect("written");
    }
    let size = std::fs::metadata(&path).expect("it is there").len();
    assert_eq!(recorder.bytes(), size);
    assert!(size <= bytes_max.max(4096), "{size}");
    (folder, path)
}

#[test]
fn what_was_recorded_is_read_back_with_its_failovers() {
    let records = incident();
    let (_folder, path) = written(&records, 1 << 20);
    let recording = Recording::read(&path).expect("a recording");
    assert_eq!((recording.records.len(), recording.torn), (records.len(), false));
    assert_eq!(recording.records, records);
    let marks: Vec<(u64, u64, &str)> =
        recording.marks.iter().map(|mark| (mark.at.0 - NOON, mark.epoch, &*mark.node)).collect();
    assert_eq!(marks, [(30_000, 2, "b")], "the first primary is no failover");
}

#[test]
fn a_recording_at_its_limit_keeps_the_newest() {
    let records: Vec<Record> =
        (0..400).map(|second| record(second * 1000, "h:2", standby("b", 1, second, second * 1000))).collect();
    let (_folder, path) = written(&records, 20_000);
    let recording = Recording::read(&path).expect("still a recording");
    assert_eq!(recording.records.last(), records.last());
    assert!(recording.records.len() > 20 && recording.records.len() < 200, "{}", recording.records.len());
    let kept: Vec<u64> = recording.records.iter().map(|record| record.at_ms).collect();
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1000), "without a hole");
}

#[test]
fn a_recording_cut_off_anywhere_is_read_up_to_there() {
    let (_folder, path) = written(&incident(), 1 << 20);
    let whole = std::fs::read(&path).expect("it is there");
    let header = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    for end in [header + 700, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..end]).expect("written");
        let recording = Recording::read(&path).expect("still a recording");
        assert!(!recording.records.is_empty() && recording.records.len() < 120);
    }
}

#[test]
fn other_files_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    let refused = |bytes: &[u8]| {
        std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("written");
        Recording::read(&path).expect_err("refused").to_string()
    };
    let header = br#"{"schema":1,"kind":"standfast console recording"}"#;
    assert!(refused(b"").contains("its first line is no JSON"));
    assert!(refused(b"{\"a\":1}\n").contains("expected the kind"));
    let newer = br#"{"schema":2,"kind":"standfast console recording"}"#;
    assert!(refused(newer).contains("its version is 2, this console reads version 1"));
    assert!(refused(header).contains("nothing was recorded"));
    let garbage = [&header[..], b"\n", &[3, 0xff, 0xff, 0xff]].concat();
    assert!(refused(&garbage).contains("record 1 cannot be read"));
    let missing = Recording::read(&folder.path().join("y")).expect_err("nothing there").to_string();
    assert!(missing.starts_with("cannot read ") && missing.contains("No such file"), "{missing}");
}

struct Theatre {
    model: Model,
    wall: u64,
}

impl Theatre {
    fn open() -> Self {
        let (_folder, path) = written(&incident(), 1 << 20);
        let recording = Recording::read(&path).expect("a recording");
        let setup = Setup {
            connect: vec!["h:9".into()],
            rate_ms: 1000,
            allow_actions: true,
            lab: true,
            ..Setup::default()
        };
        // The wall clock is of another year.
        let wall = NOON + 1_000_000_000_000;
        let mut theatre =
            Self { model: Model::replaying(&setup, Replay::new(Arc::new(recording)), Time(wall)), wall };
        theatre.pass(0);
        theatre
    }

    fn take(&mut self, msg: Msg) {
        let effects = update(&mut self.model, Time(self.wall), msg);
        assert!(effects.is_empty(), "a replay asks for nothing: {effects:?}");
    }

    fn pass(&mut self, ms: u64) -> String {
        self.wall += ms;
        self.take(Msg::Tick);
        screen::text(&self.model)
    }

    fn keys(&mut self, typed: &str) -> String {
        for c in typed.chars() {
            self.take(Msg::Key(Key::Char(c)));
        }
        self.pass(0)
    }

    fn tail(&self, name: &str) -> Option<u64> {
        self.model.live.find(name)?.status()?.positions.as_ref().map(|positions| positions.tail)
    }
}

#[test]
fn a_replay_runs_at_its_speed_in_the_time_of_the_recording() {
    let mut theatre = Theatre::open();
    assert_eq!(theatre.tail("a"), Some(100));
    let screen = theatre.pass(5_000);
    assert_eq!(theatre.tail("a"), Some(105));
    assert!(screen.contains("REPLAY 1x") && screen.contains("12:00:05 UTC"), "{screen}");
    theatre.keys(">>");
    assert!(theatre.pass(2_000).contains("REPLAY 4x"));
    assert_eq!(theatre.tail("a"), Some(113));
    theatre.keys(" ");
    let screen = theatre.pass(60_000);
    assert!(screen.contains("REPLAY standing") && screen.contains("12:00:13 UTC"), "{screen}");
    theatre.keys(" ");
    let screen = theatre.pass(60_000);
    assert!(screen.contains("REPLAY at the end") && screen.contains("PRIMARY b   epoch 2"), "{screen}");
    assert!(screen.contains("12:00:59 UTC"), "{screen}");
}

#[test]
fn one_seeks_and_jumps_to_failovers_and_nothing_of_the_future_stays() {
    let mut theatre = Theatre::open();
    let screen = theatre.keys("}");
    assert!(screen.contains("PRIMARY b   epoch 2") && screen.contains("12:00:30 UTC"), "{screen}");
    let bar = screen.lines().rev().nth(1).expect("a bar").to_owned();
    assert_eq!((bar.chars().count(), bar.matches('█').count()), (80, 1), "{bar}");
    let screen = theatre.keys("[");
    assert!(screen.contains("PRIMARY a   epoch 1") && screen.contains("12:00:20 UTC"), "{screen}");
    let bar = screen.lines().rev().nth(1).expect("a bar");
    assert_eq!((bar.matches('▲').count(), bar.matches('█').count()), (1, 1), "the failover is marked: {bar}");
    assert_eq!(theatre.tail("b"), Some(120), "what came later is forgotten");
    assert!(theatre.model.retained().frames <= 21, "{:?}", theatre.model.retained());
    assert!(theatre.keys("[[[").contains("12:00:00 UTC"), "not before the beginning");
    assert!(theatre.keys("{").contains("no failover there"));
    theatre.keys("F");
    assert!(theatre.pass(0).contains("a recording cannot be acted upon"));
}

#[test]
fn a_hint_in_a_recording_is_not_followed() {
    let mut status = node("a", standfast_proto::v1::Role::Standby, 1, 1, 0);
    status.upstream = Some(standfast_proto::v1::Upstream { addr: Some("h:7".into()), ..Default::default() });
    let (_folder, path) = written(&[record(0, "h:1", status)], 1 << 20);
    let recording = Recording::read(&path).expect("a recording");
    let setup = Setup { rate_ms: 1000, ..Setup::default() };
    let mut model = Model::replaying(&setup, Replay::new(Arc::new(recording)), Time(0));
    assert_eq!(update(&mut model, Time(1), Msg::Tick), []);
    assert_eq!(model.live.nodes.len(), 1);
}

#[test]
fn what_the_operator_did_is_in_the_recording() {
    let event = crate::testing::event(0, 40_000, Severity::Info, "failover b: done. b leads.");
    let mut records = incident();
    records.insert(80, Record { at_ms: NOON + 40_000, acted: Some(event), ..Record::default() });
    let (_folder, path) = written(&records, 1 << 20);
    let recording = Recording::read(&path).expect("a recording");
    let setup = Setup { rate_ms: 1000, ..Setup::default() };
    let mut model = Model::replaying(&setup, Replay::new(Arc::new(recording)), Time(0));
    let at = |model: &mut Model, wall| {
        update(model, Time(wall), Msg::Key(Key::Char('9')));
        screen::text(model)
    };
    at(&mut model, 0);
    assert!(!at(&mut model, 39_000).contains("failover b: done"), "it has not been done yet");
    let screen = at(&mut model, 41_000);
    assert!(screen.contains("console") && screen.contains("failover b: done."), "{screen}");
}

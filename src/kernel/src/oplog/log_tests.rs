use super::*;
use crate::oplog::{Op, codec};
use crate::types::{CopyId, WallTime};

fn entry(epoch: u64, node: &str) -> Prepared {
    Prepared::new(
        Epoch(epoch),
        WallTime(0),
        crate::types::KeyHash::SEGMENTS,
        &Op::TermStart { node: node.to_owned().into(), copy: CopyId(1) },
    )
}

fn filled(n: u64, limits: LogLimits) -> OpLog {
    let mut log = OpLog::new(limits);
    for i in 1..=n {
        assert_eq!(
            log.append(Epoch(1 + i / 1000), entry(1 + i / 1000, &"n".repeat(i as usize % 90 + 1))),
            Seq(i)
        );
    }
    log
}

fn seqs(batch: &Batch) -> Vec<u64> {
    split_entries(&batch.entries).map(|e| codec::decode(e.expect("whole")).expect("good").pos.seq).collect()
}

#[test]
fn reads_back_what_was_appended_in_any_batch_size() {
    let log = filled(5000, LogLimits::default());
    for (max_entries, max_bytes) in [(1, 1), (7, usize::MAX), (10_000, 1000), (10_000, usize::MAX)] {
        let mut at = Seq::FIRST;
        while at < log.tail() {
            let batch = log.read(at, max_entries, max_bytes).expect("held");
            assert_eq!(batch.first(), at);
            assert!(batch.count >= 1 && batch.count as usize <= max_entries.max(1));
            assert!(batch.count == 1 || batch.entries.len() <= max_bytes);
            let expected: Vec<u64> = (at.0..batch.end().0).collect();
            assert_eq!(seqs(&batch), expected);
            at = batch.end();
        }
        assert_eq!(at, log.tail());
    }
}

#[test]
fn limits_trim_whole_chunks_and_old_positions_stay_known() {
    let log = filled(40_000, LogLimits { entries: u64::MAX, bytes: 1 << 20 });
    assert!(log.trim() > Seq::FIRST);
    assert!(log.bytes() <= 1 << 20);
    assert_eq!(log.read(Seq(1), 1, 100), None);
    assert!(log.read(log.trim(), 1, 100).is_some());
    assert!(log.contains(LogPos::new(Epoch(1), Seq(5))), "trimmed, but its epoch is known");
    assert!(!log.contains(LogPos::new(Epoch(2), Seq(5))));
    let by_entries = filled(40_000, LogLimits { entries: 5_000, bytes: 1 << 30 });
    assert!(by_entries.tail().since(by_entries.trim()) < 5_000 + 4_000, "at most one chunk over");
}

#[test]
fn truncate_before_keeps_what_is_asked_for() {
    let mut log = filled(20_000, LogLimits::default());
    log.truncate_before(Seq(10_000));
    assert!(log.trim() > Seq::FIRST && log.trim() <= Seq(10_000));
    assert_eq!(log.read(Seq(10_000), 1, 100).map(|b| seqs(&b)), Some(vec![10_000]));
    log.truncate_before(log.tail());
    assert!(log.trim() < log.tail(), "the newest chunk stays");
}

#[test]
fn positions_before_and_at_the_ends() {
    let mut log = OpLog::new(LogLimits::default());
    assert_eq!((log.last(), log.before(Seq(1))), (LogPos::NONE, LogPos::NONE));
    assert!(log.contains(LogPos::NONE) && !log.contains(LogPos::new(Epoch(1), Seq(1))));
    log.append(Epoch(4), entry(4, "a"));
    log.append(Epoch(6), entry(6, "b"));
    assert_eq!(log.last(), LogPos::new(Epoch(6), Seq(2)));
    assert_eq!(log.before(Seq(2)), LogPos::new(Epoch(4), Seq(1)));
    assert!(!log.contains(LogPos::new(Epoch(4), Seq(2))));
    assert_eq!(log.read(Seq(3), 9, 9).map(|b| (b.prev, b.count)), Some((log.last(), 0)));
    assert_eq!(log.read(Seq(4), 9, 9), None);
}

#[test]
#[should_panic(expected = "appended after")]
fn epochs_never_go_back() {
    let mut log = OpLog::new(LogLimits::default());
    log.append(Epoch(4), entry(4, "a"));
    log.append(Epoch(3), entry(3, "a"));
}

#[test]
fn a_broken_length_ends_the_split_with_an_error() {
    let batch = filled(3, LogLimits::default()).read(Seq(1), 9, 9000).expect("held");
    let mut bytes = batch.entries.to_vec();
    bytes.truncate(bytes.len() - 1);
    let items: Vec<bool> = split_entries(&bytes).map(|e| e.is_ok()).collect();
    assert_eq!(items, [true, true, false]);
}

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
    let log = filled(40_000, LogLimits { entries: u64::MAX, bytes: 1 << 20, ..LogLimits::default() });
    assert!(log.trim() > Seq::FIRST);
    assert!(log.bytes() <= 1 << 20);
    assert_eq!(log.read(Seq(1), 1, 100), None);
    assert!(log.read(log.trim(), 1, 100).is_some());
    assert!(log.contains(LogPos::new(Epoch(1), Seq(5))), "trimmed, but its epoch is known");
    assert!(!log.contains(LogPos::new(Epoch(2), Seq(5))));
    let by_entries = filled(40_000, LogLimits { entries: 5_000, bytes: 1 << 30, ..LogLimits::default() });
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

fn small() -> LogLimits {
    LogLimits { entries: 500, bytes: 1 << 20, chunk_bytes: 4096 }
}

#[test]
fn nothing_is_trimmed_behind_the_pin_and_all_is_when_it_goes() {
    let mut log = filled(300, small());
    log.pin(Some(Seq(200)));
    for i in 301..=5000 {
        log.append(Epoch(1), entry(1, &"n".repeat(i as usize % 90 + 1)));
    }
    assert!(log.trim() <= Seq(200) && log.trim() > Seq(100), "trimmed up to the pin: {}", log.trim());
    log.truncate_before(Seq(4000));
    assert!(log.read(Seq(200), 1, 100).is_some(), "not by hand either");
    log.pin(None);
    log.append(Epoch(1), entry(1, &"n".repeat(4096)));
    assert!(log.trim() > Seq(4300), "trimmed at last: {}", log.trim());
}

#[test]
fn bytes_behind_a_position_are_those_of_its_entries() {
    let log = filled(3000, small());
    let mut at = log.trim();
    while at < log.tail() {
        let batch = log.read(at, 37, usize::MAX).expect("held");
        let left = log.bytes_from(batch.end()).expect("held");
        assert_eq!(log.bytes_from(at), Some(left + batch.entries.len() as u64));
        at = batch.end();
    }
    assert_eq!(
        (log.bytes_from(at), log.bytes_from(Seq(1)), log.bytes_from(at.next())),
        (Some(0), None, None)
    );
}

#[test]
fn a_log_that_starts_over_goes_on_behind_the_other_ones_entry() {
    let source = filled(2500, small());
    let after = source.before(Seq(2200));
    let mut log = filled(10, small());
    log.restart(source.epochs_upto(after), after);
    assert_eq!((log.tail(), log.trim(), log.last(), log.bytes()), (Seq(2200), Seq(2200), after, 0));
    let before = log.appended();
    assert!(before < 2199, "what the copy stands for was not appended here: {before}");
    assert!(log.contains(LogPos::new(Epoch(1), Seq(7))) && !log.contains(LogPos::new(Epoch(1), Seq(1500))));
    let next = source.read(Seq(2200), 1, usize::MAX).expect("held");
    log.append_raw(LogPos::new(Epoch(3), Seq(2200)), &next.entries);
    assert_eq!(log.read(Seq(2200), 1, usize::MAX).expect("held").entries, next.entries);
    assert_eq!(log.appended(), before + 1);
    assert_eq!(log.bytes_from(Seq(2200)), Some(next.entries.len() as u64));
}

#[test]
fn what_two_logs_have_in_common_ends_where_their_epochs_part() {
    let e = |list: &[(u64, u64)]| list.iter().map(|(e, s)| (Epoch(*e), Seq(*s))).collect::<Vec<_>>();
    let log = |epochs: &[(u64, u64)], tail: u64| {
        let mut log = OpLog::new(small());
        let last = epochs.last().expect("an epoch").0;
        log.restart(e(epochs), LogPos::new(Epoch(last), Seq(tail - 1)));
        log
    };
    let theirs = e(&[(1, 1), (3, 50)]);
    for (mine, tail, common) in [
        (&[(1, 1)][..], 40, 40),
        (&[(1, 1)][..], 60, 50),
        (&[(1, 1), (2, 40)][..], 45, 40),
        (&[(1, 1), (2, 40), (3, 50)][..], 60, 55),
        (&[(2, 1)][..], 9, 1),
    ] {
        assert_eq!(log(mine, tail).common_end(&theirs, Seq(55)), Seq(common), "{mine:?} up to {tail}");
    }
}

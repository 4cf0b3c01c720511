use super::*;
use crate::types::{AckMode, Epoch};

const OPEN: Instant = Instant(150);

fn gate(ack: AckMode, commit: u64) -> Gate {
    Gate {
        epoch: Epoch(1),
        serve_at: Instant(100),
        rights_until: Instant(200),
        doubted: false,
        commit: Seq(commit),
        ack,
        admission: crate::replication::Admission::OPEN,
    }
}

/// Waiting replies, named by what they depend on; `!` marks those that hand out bytes.
fn waiting(replies: &[(u64, bool)]) -> PendingReplies<String> {
    let mut pending = PendingReplies::default();
    for (i, (depends_on, critical)) in replies.iter().enumerate() {
        let mark = if *critical { "!" } else { "" };
        pending.add(Seq(*depends_on), *critical, format!("{depends_on}{mark}#{i}"));
    }
    pending
}

#[test]
fn leave_in_the_order_of_positions_and_no_further_than_the_commit() {
    let mut pending = waiting(&[(7, false), (3, true), (5, false), (3, false), (6, false)]);
    assert_eq!(pending.len(), 5);
    let gone = pending.release(&gate(AckMode::Sync, 5), Seq(9), OPEN);
    assert_eq!(gone, ["3!#1", "3#3", "5#2"], "equal positions leave in the order of arrival");
    assert_eq!(pending.release(&gate(AckMode::Sync, 5), Seq(9), OPEN), [""; 0], "nobody is answered twice");
    assert_eq!(pending.release(&gate(AckMode::Sync, 7), Seq(9), OPEN), ["6#4", "7#0"]);
    assert!(pending.is_empty());
}

#[test]
fn async_lets_everything_up_to_the_tail_leave_but_what_hands_out_bytes() {
    let mut pending = waiting(&[(4, true), (6, false), (6, true), (9, false), (10, false)]);
    let gone = pending.release(&gate(AckMode::Async, 5), Seq(9), OPEN);
    assert_eq!(gone, ["4!#0", "6#1", "9#3"]);
    assert_eq!(pending.len(), 2);
    assert_eq!(pending.release(&gate(AckMode::Async, 6), Seq(10), OPEN), ["6!#2", "10#4"]);
}

#[test]
fn nothing_leaves_without_the_right_to_answer() {
    let mut pending = waiting(&[(1, false), (2, true)]);
    for closed in [Instant(0), Instant(99), Instant(200), Instant::MAX] {
        assert!(pending.release(&gate(AckMode::Sync, 9), Seq(9), closed).is_empty(), "at {closed}");
        assert!(pending.release(&gate(AckMode::Async, 9), Seq(9), closed).is_empty(), "at {closed}");
    }
    assert_eq!(pending.release(&gate(AckMode::Sync, 9), Seq(9), Instant(100)).len(), 2);
    assert!(pending.release(&gate(AckMode::Sync, 9), Seq(9), OPEN).is_empty(), "none waits");
}

#[test]
fn drain_takes_all_whatever_the_gate_says() {
    let mut pending = waiting(&[(9, true), (1, false), (u64::MAX - 1, false)]);
    assert_eq!(pending.drain(), ["1#1", "9!#0", "18446744073709551614#2"]);
    assert_eq!((pending.len(), pending.drain().len()), (0, 0));
}

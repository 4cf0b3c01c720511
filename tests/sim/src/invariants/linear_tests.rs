//! The checker itself: histories that it must refuse, each with the reason as
//! its name, and some that look odd and are right.

use super::{Ask, Op, Told, check};
use Ask::{End, Exist, Forgotten, Get, Loss, PutStart, Remove, Revoke, Rollback, UpsertStart};
use Told::{Done, Exists, Is, Leased, Missing, NoSpace, NotYours, There, Unready};

const FORCED: Ask = Remove { force: true };
const GENTLE: Ask = Remove { force: false };

/// A call from one moment to another, and its answer.
fn told(from: u64, to: u64, ask: Ask, told: Told) -> Op {
    Op { ask, told: Some(told), from, to }
}

/// A call without an answer, or what a log says.
fn maybe(from: u64, to: u64, ask: Ask) -> Op {
    Op { ask, told: None, from, to }
}

/// A whole write before moment 4.
fn written(n: u64) -> Vec<Op> {
    vec![told(0, 1, PutStart(n), Done), told(2, 3, End(n), Done)]
}

/// A write before moment 4, then these.
fn after(n: u64, rest: &[Op]) -> Vec<Op> {
    [written(n), rest.to_vec()].concat()
}

fn bad() -> Vec<(&'static str, Vec<Op>)> {
    vec![
        ("an acknowledged write is gone", after(1, &[told(4, 5, Get, Missing)])),
        ("a value that nobody wrote", after(1, &[told(4, 5, Get, Is(9))])),
        (
            "a value before its write began",
            [vec![told(0, 1, Get, Is(1))], vec![told(2, 3, PutStart(1), Done), told(4, 5, End(1), Done)]]
                .concat(),
        ),
        ("a value that was begun and not ended", vec![told(0, 1, PutStart(1), Done), told(2, 3, Get, Is(1))]),
        ("a removed value comes back", after(1, &[told(4, 5, FORCED, Done), told(6, 7, Get, Is(1))])),
        (
            "a removed value still exists",
            after(1, &[told(4, 5, FORCED, Done), told(6, 7, Exist, There(true))]),
        ),
        (
            "the old value after a successful upsert",
            after(1, &[told(4, 5, UpsertStart(2), Done), told(6, 7, End(2), Done), told(8, 9, Get, Is(1))]),
        ),
        (
            "the old value while it is overwritten",
            after(1, &[told(4, 5, UpsertStart(2), Done), told(6, 7, Get, Is(1))]),
        ),
        (
            "a read goes back behind an earlier read",
            after(
                1,
                &[
                    told(4, 5, UpsertStart(2), Done),
                    maybe(6, 20, End(2)),
                    told(7, 8, Get, Is(2)),
                    told(9, 10, Get, Unready),
                ],
            ),
        ),
        ("a key exists for nobody's write", vec![told(0, 1, PutStart(1), Exists)]),
        ("a put over a complete value", after(1, &[told(4, 5, PutStart(2), Done)])),
        ("two removals of one value", after(1, &[told(4, 7, FORCED, Done), told(5, 6, GENTLE, Done)])),
        ("an end without a start", vec![told(0, 1, End(1), Done)]),
        (
            "the end of a write that was preempted",
            vec![
                told(0, 1, PutStart(1), Done),
                told(2, 3, PutStart(2), Done),
                told(4, 5, End(1), Done),
                told(6, 7, Get, Is(1)),
            ],
        ),
        (
            "a revoked write is shown",
            vec![told(0, 1, PutStart(1), Done), told(2, 3, Revoke(1), Done), told(4, 5, Get, Is(1))],
        ),
        ("a missing key is leased", vec![told(0, 1, GENTLE, Leased)]),
        (
            "a write without an answer takes effect twice",
            after(
                1,
                &[
                    told(4, 5, FORCED, Done),
                    maybe(5, 30, PutStart(2)),
                    told(6, 7, Get, Unready),
                    told(8, 9, Revoke(2), Done),
                    told(10, 11, Get, Unready),
                ],
            ),
        ),
        (
            "a removal without an answer takes effect after its time",
            after(1, &[maybe(4, 6, FORCED), told(7, 8, Get, Is(1)), told(9, 10, Get, Missing)]),
        ),
        ("a loss that was logged later", after(1, &[told(4, 5, Get, Missing), maybe(6, 7, Loss)])),
        (
            "a logged loss brings an older value back",
            after(
                1,
                &[
                    told(4, 5, UpsertStart(2), Done),
                    told(6, 7, End(2), Done),
                    maybe(8, 9, Loss),
                    told(10, 11, Get, Is(1)),
                ],
            ),
        ),
        (
            "a start from empty keeps what was acknowledged afterwards only",
            after(1, &[maybe(4, 5, Forgotten), told(6, 7, Get, Missing), told(8, 9, Get, Is(1))]),
        ),
        (
            "a stated loss of async mode invents a value",
            after(1, &[maybe(4, 5, Rollback), told(6, 7, Get, Is(9))]),
        ),
        (
            "two clients are told different ends of one race",
            vec![
                told(0, 1, PutStart(1), Done),
                told(2, 9, End(1), Done),
                told(3, 4, Exist, There(true)),
                told(5, 6, Exist, There(false)),
            ],
        ),
        ("a foreign end is told that it is of nothing", after(1, &[told(4, 5, End(2), Missing)])),
    ]
}

fn good() -> Vec<(&'static str, Vec<Op>)> {
    vec![
        ("a write and a read", after(1, &[told(4, 5, Get, Is(1))])),
        (
            "a read during the end sees either",
            vec![
                told(0, 1, PutStart(1), Done),
                told(2, 9, End(1), Done),
                told(3, 4, Get, Unready),
                told(5, 6, Get, Is(1)),
            ],
        ),
        (
            "a write without an answer happened",
            vec![told(0, 1, PutStart(1), Done), maybe(2, 3, End(1)), told(4, 5, Get, Is(1))],
        ),
        (
            "a write without an answer did not happen",
            vec![told(0, 1, PutStart(1), Done), maybe(2, 3, End(1)), told(4, 5, Get, Unready)],
        ),
        ("an end that is repeated", after(1, &[told(4, 5, End(1), Done), told(6, 7, Get, Is(1))])),
        ("a logged loss", after(1, &[maybe(4, 5, Loss), told(6, 7, Get, Missing)])),
        ("a logged loss that a failover undid", after(1, &[maybe(4, 5, Loss), told(6, 7, Get, Is(1))])),
        ("a start from empty", after(1, &[maybe(4, 5, Forgotten), told(6, 7, PutStart(2), Done)])),
        (
            "a stated loss of async mode",
            after(1, &[told(4, 5, FORCED, Done), maybe(6, 7, Rollback), told(8, 9, Get, Is(1))]),
        ),
        (
            "an upsert without room costs the old value",
            after(1, &[told(4, 5, UpsertStart(2), NoSpace), told(6, 7, Get, Missing)]),
        ),
        (
            "a put that preempts, and the writer who lost",
            vec![
                told(0, 1, PutStart(1), Done),
                told(2, 3, PutStart(2), Done),
                told(4, 5, End(1), NotYours),
                told(6, 7, End(2), Done),
            ],
        ),
        (
            "two removals that overlap, one of which finds nothing",
            after(1, &[told(4, 7, FORCED, Done), told(5, 6, GENTLE, Missing)]),
        ),
    ]
}

#[test]
fn each_bad_history_is_refused() {
    let bad = bad();
    assert!(bad.len() >= 20);
    for (why, ops) in bad {
        assert!(check(0, &ops).is_err(), "not refused: {why}");
    }
}

#[test]
fn each_good_history_is_accepted() {
    for (why, ops) in good() {
        if let Err(violation) = check(0, &ops) {
            panic!("refused: {why}: {violation}");
        }
    }
}

/// A bad history is bad by its last answer alone: without it, it is accepted. So it is refused for its name's sake.
#[test]
fn a_bad_history_is_bad_only_by_what_it_is_named_after() {
    let early = ["a value before its write began", "a loss that was logged later", "an end without a start"];
    for (why, ops) in bad().into_iter().filter(|(why, _)| !early.contains(why)) {
        let rest = &ops[..ops.len() - 1];
        let one_earlier = why == "the end of a write that was preempted";
        assert_eq!(check(0, rest).is_err(), one_earlier, "{why}");
    }
}

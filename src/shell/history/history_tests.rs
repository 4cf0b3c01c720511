use proptest::prelude::*;
use standfast_kernel::node::Loss;
use standfast_kernel::types::Epoch;

use super::*;

const NOW: Instant = Instant(10_000_000_000);

fn ms(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn history(node: &str) -> History {
    History::new("kv".into(), node.into(), Vec::new(), None)
}

/// A takeover at 10 s: the primary was last heard at 9.5 s, the takeover took 4 ms, the fence lasts until 10.1 s.
fn takeover() -> Started {
    Started {
        now: NOW,
        wall: WallTime(1_000_000_000),
        serve_at: ms(10_100),
        former: Some(Former { node: "a".into(), epoch: 3, heard: Some(ms(9_500)), equal: Some(ms(9_490)) }),
        change: RoleChange {
            epoch: Epoch(9),
            kind: "failover",
            cause: "coordinator".into(),
            reason: "a is silent".into(),
            actor: "b".into(),
            phases: vec![("take_over", Duration::from_millis(4)), ("fence", Duration::from_millis(100))],
            loss: Some(Loss { last_heard: Some(2), acknowledged: Some(0) }),
        },
    }
}

fn phases(row: &v1::RoleChange) -> Vec<(&str, u64)> {
    row.phases.iter().map(|p| (&*p.name, p.duration_us / 1000)).collect()
}

#[test]
fn phases_up_to_the_first_answer_add_up_to_the_outage() {
    let history = history("b");
    let row = history.begin(&takeover());
    assert_eq!(phases(&row), [("detect", 496), ("take_over", 4), ("fence", 100)]);
    assert_eq!((row.outage_us, row.started_unix_us), (None, 999_500_000), "nobody has been answered yet");
    // Reported out of order, and one of them twice.
    history.reached("first_write", ms(10_130));
    history.reached("first_answer", ms(10_110));
    history.reached("publish", ms(10_020));
    history.reached("publish", ms(10_900));
    let row = history.rows(0).remove(0);
    let expected = [
        ("detect", 496),
        ("take_over", 4),
        ("publish", 20),
        ("fence", 80),
        ("first_answer", 10),
        ("first_write", 20),
    ];
    assert_eq!(phases(&row), expected);
    assert_eq!(row.outage_us, Some(610_000));
    history.joined("c", ms(11_000));
    history.joined("a", ms(12_000));
    history.joined("a", ms(13_000));
    assert_eq!(history.rows(0)[0].rejoin_us, Some(2_500_000));
}

/// However long the coordinator was away: the outage ends with the first answer.
#[test]
fn a_long_detection_is_part_of_the_outage_and_a_late_client_is_not() {
    let long_silent = || {
        let mut started = takeover();
        started.former.iter_mut().for_each(|former| former.heard = Some(Instant(1)));
        started.now = ms(90_000);
        started.serve_at = ms(90_100);
        started
    };
    let history = history("b");
    history.begin(&long_silent());
    history.reached("first_answer", ms(90_200));
    assert_eq!(history.rows(0)[0].outage_us, Some(90_199_999));
    let idle = self::history("b");
    idle.begin(&long_silent());
    idle.reached("first_answer", ms(120_200));
    assert_eq!(idle.rows(0)[0].outage_us, None, "nobody asked while it was an outage");
}

#[test]
fn what_is_not_known_is_absent_and_nothing_has_no_bytes() {
    let row = history("b").begin(&takeover());
    let lost = v1::Loss { entries: Some(0), bytes: Some(0), age_us: Some(0), keys: Some(0) };
    assert_eq!(row.lost, Some(lost));
    let at_risk = v1::Loss { entries: Some(2), bytes: None, age_us: Some(10_000), keys: None };
    assert_eq!(row.at_risk, Some(at_risk));
    assert_eq!((row.from_node.as_deref(), row.previous_epoch), (Some("a"), Some(3)));
}

#[test]
fn a_first_primary_replaces_nobody_and_is_complete_at_once() {
    let history = history("a");
    let first = RoleChange { kind: "bootstrap", phases: Vec::new(), loss: None, ..takeover().change };
    let row = history.begin(&Started { former: None, serve_at: NOW, change: first, ..takeover() });
    history.reached("first_answer", ms(10_500));
    assert_eq!(history.rows(0), [row]);
}

/// A planned change begins where the former primary let no write in any more, and it says how long ago that was.
#[test]
fn a_switchover_counts_from_where_the_former_primary_closed() {
    let of = |before: &[(&'static str, u64)]| {
        let own = [("take_over", 0), ("fence", 0)];
        let all = before.iter().chain(&own).map(|(name, took)| (*name, Duration::from_millis(*took)));
        let change = RoleChange { kind: "switchover", phases: all.collect(), ..takeover().change };
        let history = history("b");
        history.begin(&Started { serve_at: NOW, change, ..takeover() });
        history.reached("first_answer", ms(10_030));
        history.rows(0).remove(0)
    };
    let told = of(&[("drain", 12), ("hand_over", 8)]);
    let expected = [("drain", 12), ("hand_over", 8), ("take_over", 0), ("fence", 0), ("first_answer", 30)];
    assert_eq!(phases(&told), expected);
    assert_eq!((told.outage_us, told.started_unix_us), (Some(50_000), 999_980_000));
    let untold = of(&[]);
    assert_eq!(phases(&untold), expected[2..]);
    assert_eq!(untold.outage_us, None, "it began before, nobody knows when");
}

#[test]
fn a_drill_is_written_into_the_row_of_what_it_brought_about() {
    let history = history("b");
    history.begin(&takeover());
    let drill = |epoch| v1::NoteDrillRequest {
        epoch,
        kind: "kill".into(),
        actor: "me@host".into(),
        reason: "drill day".into(),
        outage_us: Some(520_000),
        node: "a".into(),
        succeeded: true,
    };
    let id = history.note_drill(WallTime(2_000_000_000), drill(Some(9))).expect("it is known");
    let rows = history.rows(0);
    assert_eq!((rows.len(), &rows[0].id, rows[0].drill), (1, &id, true));
    assert_eq!((&*rows[0].cause, rows[0].client_outage_us), ("drill_kill", Some(520_000)));
    assert!(history.note_drill(WallTime(2_000_000_000), drill(Some(8))).is_err());
    history.note_drill(WallTime(2_000_000_000), drill(None)).expect("of a drill without a role change");
    assert_eq!(history.rows(1)[0].epoch, 0);
}

fn row(id: u8, revision: u64) -> v1::RoleChange {
    v1::RoleChange {
        id: format!("row-{id}"),
        revision,
        started_unix_us: i64::from(id),
        epoch: revision,
        ..v1::RoleChange::default()
    }
}

/// One round as `exchange` makes it.
fn swap(a: &History, b: &History) {
    let cluster_id = || a.cluster.clone();
    let asked = v1::HistoryExchange { cluster_id: cluster_id(), heads: a.heads(), rows: Vec::new() };
    let answer = b.answer(asked).expect("of one cluster");
    a.merge(answer.rows);
    let rows = a.lacking(&answer.heads);
    b.answer(v1::HistoryExchange { cluster_id: cluster_id(), heads: a.heads(), rows })
        .expect("of one cluster");
}

proptest! {
    #[test]
    fn after_one_exchange_both_know_the_newest_of_every_row(
        here in prop::collection::vec((0_u8..20, 1_u64..5), 0..30),
        there in prop::collection::vec((0_u8..20, 1_u64..5), 0..30),
    ) {
        let (a, b) = (history("a"), history("b"));
        a.merge(here.iter().map(|(id, revision)| row(*id, *revision)).collect());
        b.merge(there.iter().map(|(id, revision)| row(*id, *revision)).collect());
        swap(&a, &b);
        let mut newest = std::collections::BTreeMap::new();
        for (id, revision) in here.into_iter().chain(there) {
            let known = newest.entry(id).or_insert(revision);
            *known = revision.max(*known);
        }
        let expected: Vec<_> = newest.into_iter().map(|(id, revision)| row(id, revision)).collect();
        prop_assert_eq!(&a.rows(0), &expected);
        prop_assert_eq!(&b.rows(0), &expected);
    }
}

#[test]
fn only_so_many_rows_are_kept_and_those_of_other_clusters_are_refused() {
    let history = history("a");
    for n in 0..=u8::MAX {
        history.merge(vec![row(n, 1), v1::RoleChange { id: String::new(), ..row(n, 9) }]);
    }
    let late = v1::RoleChange { id: "late".into(), started_unix_us: 1_000, ..row(0, 1) };
    history.merge(vec![late, v1::RoleChange { id: "old".into(), started_unix_us: -1, ..row(0, 1) }]);
    let rows = history.rows(0);
    assert_eq!((rows.len(), &*rows[0].id, &*rows[ROWS_MAX - 1].id), (ROWS_MAX, "row-1", "late"));
    let foreign = v1::HistoryExchange { cluster_id: "other".into(), ..v1::HistoryExchange::default() };
    assert!(history.answer(foreign).is_err());
}

use super::*;

fn runs(seqs: std::ops::Range<u64>) -> SeqRuns {
    let mut runs = SeqRuns::default();
    seqs.for_each(|seq| runs.push(Seq(seq)));
    runs
}

fn stages(at: u64) -> RequestStages {
    RequestStages {
        call: 9,
        door: 1,
        received: Instant(at),
        decided: Instant(at + 1),
        appended: Instant(at + 2),
        replied: None,
        trace_id: Some(7 << 64 | 5),
    }
}

#[test]
fn a_write_is_found_by_each_of_its_seqs_until_it_is_overwritten() {
    let r = Recorder::default();
    r.appended(&runs(5..8), &stages(100));
    r.replied(&runs(5..8), Instant(110));
    let expected = RequestStages { replied: Some(Instant(110)), ..stages(100) };
    for seq in 5..8 {
        assert_eq!(r.request(Seq(seq)), Some(expected));
    }
    assert_eq!((r.request(Seq(4)), r.request(Seq(8)), r.request(Seq(0))), (None, None, None));

    let later = 6 + WRITES_MAX as u64;
    r.appended(&runs(later..later + 1), &stages(900));
    assert_eq!(r.request(Seq(6)), None, "its slot is taken");
    r.replied(&runs(5..8), Instant(111));
    assert_eq!(r.request(Seq(later)).expect("there").replied, None, "a late reply hits nobody else");
}

#[test]
fn the_slowest_requests_are_named_once_each_and_one_that_waits_is_not_judged() {
    let r = Recorder::default();
    for (seqs, from, took) in [(1..4, 100, Some(50)), (4..5, 200, Some(900)), (5..6, 300, None)] {
        r.appended(&runs(seqs.clone()), &stages(from));
        if let Some(took) = took {
            r.replied(&runs(seqs), Instant(from + took));
        }
    }
    assert_eq!(r.slowest(9), [Seq(4), Seq(1)], "three entries of one request are one row");
    assert_eq!(r.slowest(1), [Seq(4)]);
}

#[test]
fn batches_are_stamped_as_they_pass() {
    let r = Recorder::default();
    let (one, two) = (ConnId(1), ConnId(2));
    r.sent(one, Seq(1), Seq(4), Instant(10), None);
    r.sent(two, Seq(1), Seq(4), Instant(11), None);
    r.sent(one, Seq(4), Seq(9), Instant(12), None);
    r.acked(one, Seq(4), Instant(20));
    r.acked(two, Seq(3), Instant(21));
    r.committed(Seq(3), Instant(22));
    let of_first = r.batches(Seq(3));
    assert_eq!(of_first.iter().map(|b| b.acked).collect::<Vec<_>>(), [Some(Instant(20)), None]);
    r.acked(two, Seq(4), Instant(30));
    r.acked(one, Seq(9), Instant(31));
    r.committed(Seq(4), Instant(32));
    let of_first = r.batches(Seq(3));
    assert_eq!(of_first.iter().map(|b| b.acked).collect::<Vec<_>>(), [Some(Instant(20)), Some(Instant(30))]);
    assert!(of_first.iter().all(|b| b.committed == Some(Instant(32))));
    let later = r.batches(Seq(4));
    assert_eq!((later.len(), later[0].acked, later[0].committed), (1, Some(Instant(31)), None));
}

/// Two connections, one of which catches up far below the other.
#[test]
fn a_connection_that_catches_up_hides_nothing_of_the_others() {
    let r = Recorder::default();
    let (ahead, behind) = (ConnId(1), ConnId(2));
    r.sent(ahead, Seq(200_000), Seq(200_010), Instant(10), None);
    r.sent(behind, Seq(5), Seq(9), Instant(11), None);
    // What catches up is committed long since: the next step of the commit stamps it.
    r.committed(Seq(199_000), Instant(12));
    assert_eq!(r.batches(Seq(5))[0].committed, Some(Instant(12)));
    r.committed(Seq(200_010), Instant(13));
    let far = r.batches(Seq(200_003));
    assert_eq!(far.iter().map(|b| (b.conn, b.committed)).collect::<Vec<_>>(), [(ahead, Some(Instant(13)))]);
    // Open ones do not outlive the ring.
    for i in 0..2 * BATCHES_MAX as u64 {
        r.sent(behind, Seq(10 + i), Seq(11 + i), Instant(20), None);
    }
    assert_eq!(r.batches.lock().open.len(), BATCHES_MAX);
    r.committed(Seq(300_000), Instant(21));
    assert!(r.batches.lock().open.is_empty());
}

#[test]
fn a_standby_stamps_its_own_part() {
    let r = Recorder::default();
    r.applied(Seq(1), Seq(3), [5, 6, 7].map(Instant), None);
    let batch = r.batches(Seq(2)).remove(0);
    assert_eq!((batch.received, batch.applied, batch.sent), (Some(Instant(5)), Some(Instant(7)), None));
    for i in 1..=BATCHES_MAX as u64 {
        r.applied(Seq(10 * i), Seq(10 * i + 1), [Instant(i); 3], None);
    }
    assert_eq!(r.batches(Seq(2)), [], "the ring is bounded");
}

/// A reader sees a whole write or none, however the ring turns under it.
#[test]
fn readers_never_see_two_writes_mixed() {
    let r = Recorder::default();
    std::thread::scope(|s| {
        let writer = s.spawn(|| {
            for turn in 1..2_000_u64 {
                let seq = turn * WRITES_MAX as u64 + 3;
                r.appended(&runs(seq..seq + 1), &stages(seq));
            }
        });
        while !writer.is_finished() {
            for turn in [1, 500, 1_000, 1_999] {
                let seq = turn * WRITES_MAX as u64 + 3;
                if let Some(read) = r.request(Seq(seq)) {
                    assert_eq!(read, stages(seq));
                }
            }
        }
    });
}

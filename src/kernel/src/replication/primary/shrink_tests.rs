//! Who leaves the record and who falls silent, as transcripts. Times are in
//! milliseconds: the heartbeat is 100, T_shrink 250, the grant 500.

use std::sync::Arc;
use std::time::Duration;

use super::super::tests::given;
use super::super::{Closing, Keeping, PrimaryEvent, PrimaryStart, RecordStart, shard_hash};
use super::*;
use crate::machine::Machine;
use crate::oplog::codec::Prepared;
use crate::oplog::{LogLimits, Op, OpLogManager};
use crate::replication::{Ack, Degrade, Hello, PROTOCOL_VERSION, PrimaryFrame, StandbyFrame};
use crate::store::MetadataStore;
use crate::types::{AckMode, ConnId, CopyId, Epoch, LogPos, Seq, WallTime};

const ME: u128 = 100;

/// A primary of epoch 3 with a coordinator, whose log held 4 entries when it
/// began: its term record is the 5th.
struct Bench {
    primary: Primary,
    isr: IsrRecord,
    /// Who was dismissed, whose connections were ended, and why.
    said: Vec<String>,
}

const fn ms(n: u64) -> Instant {
    Instant(n * 1_000_000)
}

fn member(copy: u128) -> IsrMember {
    let node = format!("n{copy}").parse().expect("a name");
    IsrMember { copy: CopyId(copy), node, address: String::new() }
}

/// A primary that demands so many standbys, with these copies on record beside its own.
fn bench(degrade: Degrade, others: &[u128], silent: &[u128]) -> Bench {
    let (me, config) = given(ME, degrade);
    let log = OpLogManager::new(LogLimits::default());
    append(&log, 1, 4);
    let isr = IsrRecord {
        members: [ME].iter().chain(others).map(|c| member(*c)).collect(),
        silent: silent.iter().map(|c| CopyId(*c)).collect(),
        ack: AckMode::Sync,
        min_insync: degrade.demanded(),
        read_ttl_max: Duration::from_secs(10),
    };
    let record =
        RecordStart { isr: isr.clone(), lease_until: ms(60_000), commit_known: Seq(5), former: None };
    let keeping = Keeping::Recorded(Box::new(record));
    let start = PrimaryStart { epoch: Epoch(3), serve_at: ms(0), now: ms(1_000), keeping };
    let store = Arc::new(MetadataStore::new(&me.cluster));
    let primary = Primary::new(me, config, store, log.clone(), start);
    append(&log, 3, 1);
    Bench { primary, isr, said: Vec::new() }
}

fn append(log: &OpLogManager, epoch: u64, n: usize) {
    for _ in 0..n {
        let op = Op::TermStart { node: "p".into(), copy: CopyId(ME) };
        let _ = log.append(Epoch(epoch), Prepared::new(Epoch(epoch), WallTime(0), op.place(), &op));
    }
}

impl Bench {
    /// What is proposed at `at`: members besides the own copy, and who is silent.
    fn on(&mut self, at: u64, event: PrimaryEvent) -> Vec<(Vec<u128>, Vec<u128>)> {
        let mut out = Vec::new();
        self.primary.on(ms(at), event, &mut out);
        let mut proposed = Vec::new();
        for action in out {
            match action {
                PrimaryAction::Propose(isr) => proposed.push(isr),
                PrimaryAction::Dismissed(node, why) => self.said.push(format!("{node}: {why}")),
                PrimaryAction::Close(conn, why) => self.said.push(format!("{}: {why}", conn.0)),
                _ => {}
            }
        }
        let mut all = Vec::new();
        for isr in proposed {
            let others = isr.members.iter().map(|m| m.copy.0).filter(|c| *c != ME).collect();
            all.push((others, isr.silent.iter().map(|c| c.0).collect()));
            self.isr = isr;
        }
        all
    }

    fn tick(&mut self, at: u64) -> Vec<(Vec<u128>, Vec<u128>)> {
        self.on(at, PrimaryEvent::Tick)
    }

    /// What was proposed last is on record.
    fn confirm(&mut self, at: u64) {
        let isr = self.isr.clone();
        assert!(self.on(at, PrimaryEvent::Confirmed(isr)).is_empty());
    }

    /// That copy connects and holds everything up to `matched`.
    fn acks(&mut self, at: u64, copy: u128, matched: u64) -> Vec<(Vec<u128>, Vec<u128>)> {
        self.acks_with(at, copy, matched, 0)
    }

    /// The same of one that has set so many entries aside.
    fn acks_with(
        &mut self,
        at: u64,
        copy: u128,
        matched: u64,
        quarantined: u32,
    ) -> Vec<(Vec<u128>, Vec<u128>)> {
        let hello = Hello {
            cluster: "test".into(),
            node: format!("n{copy}").parse().expect("a name"),
            copy: CopyId(copy),
            last: Some(LogPos { epoch: Epoch(1), seq: 4 }),
            quarantined: false,
            unsealed: None,
            max_epoch: Epoch(3),
            version: PROTOCOL_VERSION,
            shard_hash: shard_hash(),
            address: "n:1".into(),
        };
        let conn = ConnId(copy as u64);
        // A heartbeat first: what is acknowledged was sent.
        let mut said = self.tick(at);
        if self.primary.connections().all(|c| c != conn) {
            said = self.on(at, PrimaryEvent::Frame(conn, StandbyFrame::Hello(hello)));
        }
        let ack = Ack {
            copy: CopyId(copy),
            epoch: Epoch(3),
            matched: Seq(matched),
            token: at * 1_000_000,
            grant_us: if quarantined > 0 { 0 } else { 500_000 },
            quarantined,
            sealed: true,
        };
        said.extend(self.on(at, PrimaryEvent::Frame(conn, StandbyFrame::Ack(ack))));
        said
    }

    /// Entries are appended and sent.
    fn append(&mut self, at: u64, n: usize) -> Vec<(Vec<u128>, Vec<u128>)> {
        append(&self.primary.log, 3, n);
        self.on(at, PrimaryEvent::Appended)
    }

    fn refuses(&self, at: u64) -> bool {
        let gate = self.primary.gate();
        gate.refuses_writes(Seq(6), ms(at)).is_some_and(|why| why.contains("--degrade strict"))
    }
}

const STRICT: Degrade = Degrade::Strict { min_insync: 1 };

#[test]
fn an_available_primary_goes_on_without_a_lost_standby() {
    let mut b = bench(Degrade::Available, &[1], &[]);
    assert!(b.acks(1_000, 1, 6).is_empty());
    assert!(b.tick(1_249).is_empty());
    assert_eq!(b.tick(1_250), [(vec![], vec![])]);
    assert!(!b.refuses(1_250));
}

/// PROTOCOL 6: with the coordinator away and the standby there, nothing ends; a standby that stumbles comes back.
#[test]
fn a_standby_that_stumbles_while_the_coordinator_is_away_costs_no_right() {
    for degrade in [Degrade::Available, STRICT] {
        let mut b = bench(degrade, &[1], &[]);
        assert!(b.acks(60_000, 1, 6).is_empty(), "the lease is over");
        assert!(b.tick(60_250).is_empty(), "lost, but without the coordinator it could not leave");
        assert_eq!(b.primary.shrink_at(), None, "and nobody is woken for it");
        assert!(b.primary.gate().may_answer(ms(60_499)) && !b.primary.gate().may_answer(ms(60_500)));
        assert!(b.acks(60_400, 1, 6).is_empty());
        assert!(b.primary.gate().may_answer(ms(60_899)), "it grants again");
        let proposed = b.on(60_700, PrimaryEvent::Lease(ms(63_700)));
        assert_eq!(proposed.len(), 1, "the coordinator is back, and the standby is lost");
    }
}

#[test]
fn a_strict_primary_silences_its_last_standby_and_takes_no_write() {
    let mut b = bench(STRICT, &[1], &[]);
    assert!(b.acks(1_000, 1, 6).is_empty());
    assert!(!b.refuses(1_200));
    assert_eq!(b.tick(1_250), [(vec![1], vec![1])]);
    assert!(b.refuses(1_250), "from the proposal on: it may be on record");
    b.confirm(1_260);
    assert!(b.refuses(1_260) && b.primary.gate().may_answer(ms(30_000)), "reads go on under the lease");
    assert!(b.tick(30_000).is_empty(), "it stays where it is");
    assert_eq!(b.primary.shrink_at(), None, "and nobody is woken for it");
    append(&b.primary.log, 3, 1);
    b.tick(30_001);
    assert_eq!(b.primary.gate().commit, Seq(6), "what it lacks is not committed");
}

#[test]
fn a_silent_standby_that_returns_grants_again_once_that_is_on_record() {
    let mut b = bench(STRICT, &[1], &[]);
    b.acks(1_000, 1, 6);
    b.tick(1_250);
    b.confirm(1_260);
    assert_eq!(b.acks(2_000, 1, 6), [(vec![1], vec![])]);
    assert!(b.refuses(2_000));
    b.confirm(2_010);
    assert!(!b.refuses(2_010));
}

#[test]
fn only_what_acknowledged_the_term_record_falls_silent() {
    let mut b = bench(STRICT, &[1], &[]);
    assert!(b.acks(1_000, 1, 5).is_empty(), "everything but the term record");
    assert_eq!(b.tick(1_250), [(vec![], vec![])]);
    let mut b = bench(STRICT, &[1], &[1]);
    assert!(b.tick(1_249).is_empty());
    assert_eq!(b.tick(1_250), [(vec![], vec![])], "one that a former primary silenced neither");
}

#[test]
fn only_as_many_as_are_demanded_fall_silent_and_no_more_once_others_grant() {
    let mut b = bench(STRICT, &[1, 2], &[]);
    b.acks(1_000, 1, 6);
    b.acks(1_000, 2, 6);
    b.acks(1_200, 2, 6);
    assert_eq!(b.tick(1_250), [(vec![2], vec![])], "another one grants");
    b.confirm(1_260);
    assert_eq!(b.tick(1_450), [(vec![2], vec![2])]);
    b.confirm(1_460);
    // Node 1 comes back with the copy that left; node 2 is then needed no more.
    assert!(b.acks(1_700, 1, 6).is_empty(), "not at once");
    assert_eq!(b.acks(2_700, 1, 6), [(vec![2, 1], vec![2])]);
    let on_record = PrimaryEvent::Confirmed(b.isr.clone());
    assert_eq!(b.on(2_710, on_record), [(vec![1], vec![])]);
}

#[test]
fn a_silent_node_that_returns_with_another_copy_is_removed() {
    let mut b = bench(STRICT, &[1], &[]);
    b.acks(1_000, 1, 6);
    b.tick(1_250);
    b.confirm(1_260);
    let dismissed = PrimaryEvent::Detach("n1".parse().expect("a name"));
    assert_eq!(b.on(2_000, dismissed), [(vec![], vec![])]);
    b.confirm(2_010);
    assert!(b.refuses(2_010), "and writes wait for a standby");
    append(&b.primary.log, 3, 1);
    b.tick(2_011);
    assert_eq!(b.primary.gate().commit, Seq(6), "what nobody else holds is not committed");
}

/// The coordinator's records went back behind it, and are believed again.
#[test]
fn the_set_that_counts_is_put_on_record_again_and_nobody_waits_for_it() {
    let mut b = bench(Degrade::Available, &[1], &[]);
    b.acks(1_000, 1, 6);
    let gate = b.primary.gate();
    assert_eq!(b.on(1_010, PrimaryEvent::Reconfirm), [(vec![1], vec![])]);
    assert_eq!(b.primary.gate(), gate, "nothing waits for it");
    assert!(b.on(1_020, PrimaryEvent::Reconfirm).is_empty(), "it is on its way");
    b.confirm(1_030);
    assert_eq!(b.on(1_040, PrimaryEvent::Reconfirm), [(vec![1], vec![])]);
}

#[test]
fn a_holder_that_is_silent_on_record_takes_itself_out() {
    let mut b = bench(STRICT, &[1], &[ME]);
    assert_eq!(b.tick(1_001), [(vec![1], vec![])]);
}

/// I10: it goes on to answer, but grants nothing: the others must not wait for it.
#[test]
fn a_standby_that_set_an_entry_aside_leaves_at_once_and_is_given_another_copy() {
    let mut b = bench(Degrade::Available, &[1, 2], &[]);
    b.acks(1_000, 1, 6);
    b.acks(1_000, 2, 6);
    b.append(1_100, 1);
    b.acks(1_100, 2, 7);
    assert_eq!(b.acks_with(1_100, 1, 6, 1), [(vec![2], vec![])]);
    assert_eq!(b.said, ["n1: it has set an entry aside that it could not apply"]);
    assert_eq!(b.primary.gate().commit, Seq(6), "it counts until that is on record");
    b.confirm(1_110);
    assert_eq!((b.primary.gate().commit, b.primary.gate().rights_until), (Seq(7), ms(1_600)));
    assert!(b.acks_with(1_210, 1, 6, 1).is_empty());
    assert_eq!(b.said[1..], ["1: it has set an entry aside: it is given another copy"]);
    assert_eq!((b.primary.connections().count(), b.said.len()), (1, 2), "it greets anew");
}

/// It may not take over, so it is of no use as a silent one.
#[test]
fn a_strict_primary_does_not_keep_a_copy_with_a_hole() {
    let mut b = bench(STRICT, &[1], &[]);
    b.acks(1_000, 1, 6);
    assert_eq!(b.acks_with(1_100, 1, 6, 1), [(vec![], vec![])]);
    b.confirm(1_110);
    assert!(b.refuses(1_110) && b.primary.gate().may_answer(ms(30_000)), "reads go on under the lease");
}

/// Nobody waits without bound for one that answers and never gets there.
#[test]
fn a_standby_that_stays_far_behind_leaves() {
    for (behind, leaves) in [(25, None), (49, None), (60, Some(10_000..=20_000))] {
        let mut b = bench(Degrade::Available, &[1, 2], &[]);
        b.acks(1_000, 1, 6);
        b.acks(1_000, 2, 6);
        let mut left = None;
        for (n, at) in (1_200..61_000).step_by(200).enumerate() {
            let tail = 7 + n as u64;
            let appended = b.append(at, 1);
            let slow = tail.saturating_sub(behind).max(6);
            let said = [appended, b.acks(at, 2, tail), b.acks(at, 1, slow)].concat();
            if left.is_none() && !said.is_empty() {
                assert_eq!(said, [(vec![2], vec![])]);
                left = Some(at - 1_000);
            }
        }
        assert_eq!(left.is_some(), leaves.is_some(), "{behind} entries behind: {left:?}");
        let told: Vec<_> = b.said.iter().filter(|s| s.contains("where the log ended 10 s ago")).collect();
        assert_eq!(told.len(), left.iter().count(), "{told:?}");
        assert!(left.iter().all(|at| leaves.clone().expect("so").contains(at)), "{left:?}");
    }
}

#[test]
fn a_strict_primary_waits_for_a_slow_standby_that_it_needs() {
    for (others, wanted) in [(&[1][..], None), (&[1, 2], Some((vec![2], vec![])))] {
        let mut b = bench(STRICT, others, &[]);
        let mut proposed = Vec::new();
        for at in (1_000..15_000).step_by(200) {
            for copy in others {
                proposed.extend(b.acks(at, *copy, if *copy == 1 { 6 } else { b.primary.log.tail().0 }));
            }
            proposed.extend(b.append(at, 1));
        }
        assert_eq!(proposed.into_iter().next(), wanted);
        assert!(!b.refuses(15_000), "it still grants");
    }
}

/// PROTOCOL T7: the successor counts from there how long nobody answered.
#[test]
fn who_falls_silent_says_at_once_for_how_long_it_had_let_nothing_in() {
    let mut b = bench(Degrade::Available, &[1], &[]);
    b.acks(1_010, 1, 5);
    let mut told = |at: u64, how| {
        let mut out = Vec::new();
        b.primary.on(ms(at), PrimaryEvent::Close(how), &mut out);
        let drained = out.iter().filter_map(|action| match action {
            PrimaryAction::Send(_, PrimaryFrame::Batch(frame)) => Some(frame.drained),
            _ => None,
        });
        drained.collect::<Vec<_>>()
    };
    assert_eq!(told(1_020, Closing::Admission), [None; 0], "what was let in is still answered");
    assert_eq!(told(1_032, Closing::Quiet), [Some(Duration::from_millis(12))]);
    assert_eq!(told(1_140, Closing::Open), [None], "it goes on");
    assert_eq!(told(1_150, Closing::Admission), [None; 0]);
    assert_eq!(told(1_153, Closing::Quiet), [Some(Duration::from_millis(3))], "counted anew");
}

/// PROTOCOL 1: after a stop without a clock no promise counts that was given before it.
#[test]
fn rights_that_are_doubted_count_once_they_are_confirmed_anew() {
    let mut b = bench(Degrade::Available, &[1, 2], &[2]);
    b.acks(1_010, 1, 5);
    assert!(b.primary.gate().may_answer(ms(1_011)));
    b.on(1_020, PrimaryEvent::Doubt);
    let gate = b.primary.gate();
    assert!(gate.refuses_answers(ms(1_021)).is_none(), "what is asked is taken in");
    assert!(!gate.may_answer(ms(1_021)), "and not answered");
    // An acknowledgement that was on its way, of what was sent before.
    let late = Ack {
        copy: CopyId(1),
        epoch: Epoch(3),
        matched: Seq(5),
        token: ms(1_015).0,
        grant_us: 500_000,
        quarantined: 0,
        sealed: true,
    };
    b.on(1_025, PrimaryEvent::Frame(ConnId(1), StandbyFrame::Ack(late.clone())));
    assert!(!b.primary.gate().may_answer(ms(1_025)), "it may have been promised long ago");
    let fresh = Ack { token: ms(1_020).0, ..late };
    b.on(1_030, PrimaryEvent::Frame(ConnId(1), StandbyFrame::Ack(fresh)));
    assert!(!b.primary.gate().may_answer(ms(1_030)), "beside a silent member the lease is needed, too");
    b.on(1_040, PrimaryEvent::Lease(ms(4_030)));
    assert!(b.primary.gate().may_answer(ms(1_040)));
}

//! Both sides at once: a primary's handler and a standby's client over two
//! stores, with a stream between them that keeps its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use smallvec::smallvec;

use super::*;
use crate::oplog::codec::{Prepared, decode};
use crate::oplog::{LogLimits, Op, OpLogManager, split_entries};
use crate::store::{Adoption, AuditError, Damage, MetadataStore};
use crate::types::{
    ClientId, CopyId, Instant, KeyHash, MountUid, Region, SegmentId, SegmentSpec, Traits, Uuid, WallTime,
};

const MS: Duration = Duration::from_millis(1);

enum Frame {
    Entries(Bytes),
    Beacons(BeaconFrame),
    Answer(VerificationResponse),
}

struct Pair {
    now: Instant,
    primary: Arc<MetadataStore>,
    standby: Arc<MetadataStore>,
    log: OpLogManager,
    handler: VerificationHandler,
    client: VerificationClient,
    beacon: (usize, Instant),
    sent: Seq,
    applied: Seq,
    /// From the primary, in order.
    down: VecDeque<Frame>,
    notes: Vec<VerifyNote>,
    keys: Vec<Vec<u8>>,
}

fn key(i: usize) -> Vec<u8> {
    format!("default\0key-{i}").into_bytes()
}

fn client_id(n: u64) -> ClientId {
    ClientId(Uuid { first: n, second: 1 })
}

impl Pair {
    fn new(config: VerifyConfig) -> Self {
        let cluster = "test".parse().expect("a name");
        let primary = Arc::new(MetadataStore::new(&cluster));
        let standby = Arc::new(MetadataStore::new(&cluster));
        let log = OpLogManager::new(LogLimits::default());
        let mut pair = Self {
            now: Instant(1_000_000_000),
            handler: VerificationHandler::new(config, Arc::clone(&primary), log.clone(), Epoch(1)),
            client: VerificationClient::new(config, Arc::clone(&standby), CopyId(7), Instant(0)),
            beacon: (0, Instant(1_000_000_000)),
            primary,
            standby,
            log,
            sent: Seq::FIRST,
            applied: Seq::FIRST,
            down: VecDeque::new(),
            notes: Vec::new(),
            keys: Vec::new(),
        };
        let segment = SegmentSpec {
            id: SegmentId(Uuid { first: 1, second: 0 }),
            name: "host".into(),
            base: 1 << 20,
            size: 1 << 40,
            te_endpoint: "host:1".into(),
            protocol: "tcp".into(),
            host_id: "rack".into(),
        };
        pair.op(&Op::MountSegment {
            client: client_id(1),
            segment: std::borrow::Cow::Owned(segment),
            held: false,
        });
        pair.op(&Op::ClientOk { client: client_id(1), host: "rack".into() });
        pair
    }

    /// Appends, and applies on the primary.
    fn op(&mut self, op: &Op<'_>) {
        let pos = self.log.append(Epoch(1), Prepared::new(Epoch(1), WallTime(0), op.place(), op));
        let batch = self.log.get_entries_since(Seq(pos.seq), 1, 1 << 20).expect("held");
        let entry = split_entries(&batch.entries).next().expect("one").expect("whole");
        self.primary.apply(&decode(entry).expect("own bytes")).expect("fits");
    }

    fn put(&mut self, end: bool) {
        let i = self.keys.len() as u64;
        let key = key(self.keys.len());
        let region = |n: u64| Region {
            mount: MountUid(LogPos::new(Epoch(1), Seq(1))),
            offset: (2 * i + n) * 64,
            reserved: 64,
        };
        let regions = smallvec![region(0), region(1)];
        let traits = Traits::default();
        self.op(&Op::PutStart { key: &key, client: client_id(9), size: 64, regions, traits });
        if end {
            self.op(&Op::PutEnd { key: &key, checksum: Some(i) });
        }
        self.keys.push(key);
    }

    /// The primary sends what it has, and what is due.
    fn primary_turn(&mut self) {
        if self.log.tail() > self.sent {
            let batch = self.log.get_entries_since(self.sent, 100, 1 << 20).expect("held");
            self.sent = batch.end();
            self.down.push_back(Frame::Entries(batch.entries));
        }
        if let Some(frame) = self.handler.beacons(self.now, &mut self.beacon.0, &mut self.beacon.1) {
            self.down.push_back(Frame::Beacons(frame));
        }
        self.handler.recount(self.now);
    }

    /// The standby takes one frame, asks what it wants; the primary answers at once.
    fn standby_turn(&mut self) {
        match self.down.pop_front() {
            Some(Frame::Entries(entries)) => {
                for entry in split_entries(&entries) {
                    let entry = decode(entry.expect("whole")).expect("good");
                    let raw = self.client.is_raw();
                    let applied = if raw { self.standby.replay(&entry) } else { self.standby.apply(&entry) };
                    applied.expect("fits");
                    self.applied = entry.pos.end();
                    self.client.applied(self.now, Seq(entry.pos.seq));
                }
            }
            Some(Frame::Beacons(frame)) => self.client.beacons(self.now, &frame, self.applied),
            Some(Frame::Answer(answer)) => self.client.answer(self.now, answer, self.applied),
            None => {}
        }
        let standing = self.standing(Some(Epoch(1)));
        if let Some(request) = self.client.work(self.now, standing)
            && let Some(answer) = self.handler.answer(&request)
        {
            self.down.push_back(Frame::Answer(answer));
        }
        self.notes.extend(self.client.take_notes());
    }

    fn standing(&self, stream: Option<Epoch>) -> Standing {
        Standing { whole: true, stream, applied: self.applied, tail: self.log.tail() }
    }

    /// Without a primary for this long.
    fn run_alone(&mut self, seconds: u64) {
        self.client.disconnected(self.now);
        for _ in 0..seconds * 20 {
            self.now = self.now.plus(MS * 50);
            let asked = self.client.work(self.now, self.standing(None));
            assert!(asked.is_none(), "nobody is there to be asked: {asked:?}");
        }
        self.notes.extend(self.client.take_notes());
    }

    /// Runs for this long, with `load` writes a millisecond.
    fn run(&mut self, ms: u64, load: usize) {
        for _ in 0..ms {
            self.now = self.now.plus(MS);
            for _ in 0..load {
                self.put(true);
            }
            self.primary_turn();
            // One frame a turn while there is load: the standby is always a little behind.
            self.standby_turn();
            if load == 0 || self.down.len() > 8 {
                self.standby_turn();
            }
        }
    }

    fn drained(&mut self) -> bool {
        while !self.down.is_empty() || self.sent < self.log.tail() {
            self.primary_turn();
            self.standby_turn();
        }
        self.applied == self.log.tail()
    }

    fn equal(&self) -> bool {
        let (p, s) = (self.primary.recount(), self.standby.recount());
        p.recount == s.recount && s.digest == s.recount && s.applied == p.applied
    }

    fn view(&self) -> VerifyView {
        self.client.view(self.now)
    }

    fn mismatches(&self) -> Vec<&MismatchNote> {
        self.notes
            .iter()
            .filter_map(|n| if let VerifyNote::Mismatch(m) = n { Some(m) } else { None })
            .collect()
    }
}

fn quick() -> VerifyConfig {
    VerifyConfig {
        cycle: Duration::from_millis(500),
        recount_period: Duration::from_secs(1),
        ..VerifyConfig::default()
    }
}

/// A node's clock does not begin with the node.
#[test]
fn the_first_walk_is_as_old_as_its_first_step() {
    let pair = Pair::new(quick());
    let mut recount = Recounter::new(Instant(0));
    let hour = Instant(3_600_000_000_000);
    assert_eq!(recount.proof(hour, &quick()).0, Duration::ZERO, "nothing was begun");
    recount.step(hour, &quick(), &pair.standby, true);
    assert_eq!(recount.proof(hour.plus(Duration::from_secs(2)), &quick()).0, Duration::from_secs(2));
}

/// The primary is gone: what an operator is about to rely on must not grow old by itself.
#[test]
fn without_a_primary_the_walk_goes_on_and_finds_what_changes() {
    let mut pair = Pair::new(quick());
    pair.run(2000, 1);
    assert!(pair.drained());
    pair.run_alone(120);
    let (age, age_max) = pair.client.soundness(pair.now).proof.expect("verification is on");
    assert!(age < age_max, "{age:?} of {age_max:?}");
    pair.standby.lab_corrupt(Damage::FlippedBit, 7 << 16).expect("there is one");
    pair.run_alone(10);
    assert!(pair.notes.iter().any(|n| matches!(n, VerifyNote::Damaged(_))), "{:?}", pair.notes);
}

#[test]
fn equal_copies_are_verified_through_the_tail_and_never_alarm_under_load() {
    let mut pair = Pair::new(quick());
    pair.run(2000, 3);
    let view = pair.view();
    assert!(view.equal > 2000, "{view:?}");
    assert_eq!((view.unequal, view.inconclusive, view.looking_at), (0, 0, 0), "{view:?}");
    assert!(pair.mismatches().is_empty());
    assert!(view.verified.is_some_and(|v| v.0 > 3000 && v <= pair.log.tail()), "{view:?}");
    assert!(pair.drained());
    pair.run(1200, 0);
    assert_eq!(pair.view().verified, Some(pair.log.tail()), "an idle pair is verified to the end");
    assert!(pair.view().sampled > 0 && pair.view().samples.1 == 0);
}

#[test]
fn each_kind_of_damage_of_the_standby_is_found_named_and_overwritten() {
    for damage in Damage::ALL {
        let mut pair = Pair::new(quick());
        pair.put(false);
        pair.run(300, 2);
        assert!(pair.drained());
        let what = pair.standby.lab_corrupt(damage, 0x1234_5678_9abc).expect("there is one");
        assert!(!pair.equal(), "{damage:?} changes something");
        pair.run(3000, 1);
        assert!(pair.drained());
        pair.run(200, 0);
        let found = pair.mismatches();
        assert_eq!(found.len(), 1, "{damage:?}: {:?}", pair.notes);
        let difference = &found[0].difference;
        assert_eq!(difference.name, what, "{damage:?}");
        let kind = match damage {
            Damage::Missing => DifferenceKind::Missing,
            Damage::Extra => DifferenceKind::Extra,
            _ => DifferenceKind::Field,
        };
        assert_eq!(difference.kind, kind, "{damage:?}");
        let fields: Vec<_> = difference.fields.iter().map(|f| f.field).collect();
        let expected: &[&str] = match damage {
            Damage::Missing | Damage::Extra => &[],
            Damage::Field => &["size"],
            Damage::Segment => &["segment"],
            Damage::Client => &["host"],
            Damage::InFlight | Damage::Order => &["replicas"],
            Damage::FlippedBit => &["checksum"],
        };
        assert_eq!(fields, expected, "{damage:?}");
        assert!(pair.equal(), "{damage:?} is repaired: {:?}", pair.notes);
        assert!(!pair.client.is_raw());
        pair.standby.audit().expect("what joins the homes is right again");
        assert_eq!(pair.view().mismatched_keys, 0);
    }
}

#[test]
fn a_damaged_primary_is_named_and_nothing_is_taken_from_it_until_an_operator_says_so() {
    for damage in Damage::ALL {
        let mut pair = Pair::new(quick());
        pair.put(false);
        pair.run(300, 2);
        assert!(pair.drained());
        let right = pair.standby.recount().recount;
        pair.primary.lab_corrupt(damage, 0x1234_5678_9abc).expect("there is one");
        pair.run(4000, 0);
        assert_eq!(pair.mismatches().len(), 1, "{damage:?}: {:?}", pair.notes);
        let is_named = |n: &VerifyNote| matches!(n, VerifyNote::PrimaryDamaged(_));
        assert!(pair.notes.iter().any(is_named), "{damage:?}: {:?}", pair.notes);
        assert_eq!(pair.standby.recount().recount, right, "{damage:?}: the good copy is kept");
        assert_eq!(pair.view().primary_damaged.len(), 1);
        let is_impossible = matches!(damage, Damage::Extra | Damage::InFlight);
        match pair.handler.accept() {
            Ok(homes) => assert!(homes == 1 && !is_impossible, "{damage:?}: {homes} homes"),
            Err(why) => {
                assert!(is_impossible && matches!(why, AuditError::Overlap { .. }), "{damage:?}: {why}");
            }
        }
        pair.run(12_000, 0);
        if is_impossible {
            assert_eq!(pair.standby.recount().recount, right, "{damage:?}: the good copy is kept");
        } else {
            assert!(pair.equal(), "{damage:?}: {:?}", pair.notes);
            assert_eq!(pair.view().mismatched_keys, 0, "{damage:?}");
        }
        assert!(!pair.client.is_raw(), "{damage:?}: the standby may be promoted");
        pair.standby.audit().expect("what joins its homes is right");
    }
}

/// What joins the homes is built anew, in a pass over all of them, only where it does not fit.
#[test]
fn most_repairs_need_no_pass_over_all_homes() {
    for damage in Damage::ALL {
        let mut pair = Pair::new(quick());
        pair.put(false);
        pair.run(300, 2);
        assert!(pair.drained());
        let name = pair.standby.lab_corrupt(damage, 0x1234_5678_9abc).expect("there is one");
        let is_of_table = matches!(damage, Damage::Segment | Damage::Client);
        let home = if is_of_table { HomeId::SEGMENTS } else { KeyHash::of(&name).home };
        let theirs = pair.primary.image_of(home, crate::store::ALL_BUCKETS);
        let image = pair.standby.read_image(crate::store::ALL_BUCKETS, &theirs).expect("an image");
        let moves_bytes = matches!(damage, Damage::Extra | Damage::InFlight);
        let expected = if moves_bytes { Adoption::Misfits } else { Adoption::Fits };
        assert_eq!(pair.standby.adopt(image), expected, "{damage:?}");
        if !moves_bytes {
            pair.standby.audit().expect("what joins the homes is right without");
        }
    }
}

/// Repaired is home by home: that another home cannot be repaired here keeps the copy from nothing.
#[test]
fn a_home_that_only_an_operator_can_decide_on_ends_the_repair_of_the_others() {
    let mut pair = Pair::new(quick());
    pair.run(500, 2);
    assert!(pair.drained());
    pair.primary.lab_corrupt(Damage::FlippedBit, 3 << 16).expect("there is one");
    pair.standby.lab_corrupt(Damage::Extra, 900 << 16 | 511).expect("there is one");
    pair.run(5000, 0);
    let view = pair.view();
    assert_eq!((view.primary_damaged.len(), view.repaired), (1, 1), "{view:?}");
    assert!(!pair.client.is_raw(), "{:?}", pair.notes);
    pair.standby.audit().expect("what joins the homes is right again");
}

/// Where repair is switched off what is stored stays damaged, and is told to be.
#[test]
fn the_indexes_of_a_damaged_home_are_not_made_to_fit_the_damage() {
    let mut pair = Pair::new(VerifyConfig { repair: false, ..quick() });
    pair.put(false);
    pair.run(300, 2);
    assert!(pair.drained());
    let name = pair.standby.lab_corrupt(Damage::InFlight, 0).expect("there is one");
    let home = KeyHash::of(&name).home;
    pair.standby.lab_unindex(home);
    pair.run(2500, 0);
    pair.client.check_all(pair.now);
    pair.run(4000, 0);
    assert_eq!(pair.view().recount.damaged, [home], "{:?}", pair.notes);
}

#[test]
fn an_index_that_does_not_fit_is_built_anew_when_an_operator_has_all_compared() {
    let mut pair = Pair::new(quick());
    pair.put(false);
    pair.run(300, 2);
    assert!(pair.drained());
    pair.standby.lab_unindex(KeyHash::of(&key(0)).home);
    pair.standby.audit().expect_err("an index is off");
    pair.run(1500, 0);
    assert!(pair.client.soundness(pair.now).misfit.is_some());
    pair.client.check_all(pair.now);
    pair.run(4000, 0);
    assert_eq!(pair.client.soundness(pair.now).misfit, None);
    pair.standby.audit().expect("it is right again");
    assert!(pair.equal() && !pair.client.is_raw());
}

#[test]
fn an_entry_that_was_not_applied_is_found_also_where_its_home_saw_no_other() {
    let mut pair = Pair::new(quick());
    pair.run(100, 1);
    assert!(pair.drained());
    // As if the standby had lost its last entries.
    let image = |p: &Pair, home| p.standby.image_of(home, crate::store::ALL_BUCKETS);
    let home = KeyHash::of(&key(100)).home;
    let before = image(&pair, home);
    let mark = pair.standby.mark(home);
    pair.put(true);
    pair.drained();
    let old = pair.standby.read_image(crate::store::ALL_BUCKETS, &before).expect("own image");
    pair.standby.lab_damage(home, &mut |m| m.last = mark.last);
    assert_ne!(pair.standby.adopt(old), Adoption::MovedOn);
    pair.run(3000, 0);
    assert_eq!(pair.mismatches().len(), 1, "{:?}", pair.notes);
    assert!(pair.equal(), "{:?}", pair.notes);
}

#[test]
fn a_digest_that_is_off_is_counted_anew_when_the_content_is_right() {
    let mut pair = Pair::new(quick());
    pair.run(100, 1);
    assert!(pair.drained());
    let home = KeyHash::of(&key(5)).home;
    pair.standby.lab_damage(home, &mut |m| m.digest ^= 1 << 77);
    pair.run(2000, 0);
    assert!(pair.mismatches().is_empty(), "no item differs: {:?}", pair.notes);
    assert_eq!(pair.view().digests_reset, 1);
    assert!(pair.equal());
}

#[test]
fn a_digest_that_is_off_and_may_not_be_counted_anew_keeps_nobody_waiting() {
    let mut pair = Pair::new(VerifyConfig { repair: false, ..quick() });
    pair.run(100, 1);
    assert!(pair.drained());
    pair.standby.lab_damage(KeyHash::of(&key(5)).home, &mut |m| m.digest ^= 1 << 77);
    pair.run(2000, 0);
    let view = pair.view();
    assert_eq!((view.looking_at, view.homes_unequal, view.recount.damaged.len()), (0, 0, 1), "{view:?}");
    pair.client.check_all(pair.now);
    pair.run(4000, 0);
    assert_eq!(pair.view().looking_at, 0, "a run over all homes ends");
}

#[test]
fn what_an_entry_replaced_while_it_was_looked_at_is_not_said_to_be_overwritten() {
    let mut pair = Pair::new(quick());
    pair.run(100, 1);
    assert!(pair.drained());
    let name = pair.standby.lab_corrupt(Damage::FlippedBit, 7 << 16).expect("there is one");
    let is_sums =
        |f: &Frame| matches!(f, Frame::Answer(a) if matches!(a.outcome, VerificationOutcome::Sums(_)));
    while !pair.down.iter().any(is_sums) {
        pair.now = pair.now.plus(MS);
        pair.primary_turn();
        pair.standby_turn();
    }
    pair.op(&Op::Remove { key: &name, release: crate::oplog::Release::Now });
    pair.run(500, 0);
    assert!(pair.mismatches().is_empty(), "no item differs any more: {:?}", pair.notes);
    let repaired = pair.notes.iter().any(|n| matches!(n, VerifyNote::Repaired(..)));
    assert!(!repaired && pair.view().digests_reset == 1, "{:?}", pair.notes);
    assert!(pair.equal());
    pair.standby.audit().expect("what joins the homes is right");
}

/// PROTOCOL S10: what the primary did before it answered is behind the answer, so the answer waits for it.
#[test]
fn a_repair_carries_no_home_ahead_of_the_log() {
    let mut pair = Pair::new(quick());
    pair.run(100, 1);
    assert!(pair.drained());
    let name = pair.standby.lab_corrupt(Damage::FlippedBit, 7 << 16).expect("there is one");
    let home = KeyHash::of(&name).home;
    let mut others = (1_000_000u64..).map(|i| key(i as usize)).filter(|k| KeyHash::of(k).home == home);
    let is_repaired = |pair: &Pair| pair.notes.iter().any(|n| matches!(n, VerifyNote::Repaired(..)));
    while !is_repaired(&pair) {
        pair.now = pair.now.plus(MS);
        pair.primary_turn();
        let offset = (1 << 30) + pair.log.tail().0 * 64;
        let region = Region { mount: MountUid(LogPos::new(Epoch(1), Seq(1))), offset, reserved: 64 };
        let (key, regions) = (others.next().expect("endless"), smallvec![region]);
        let traits = Traits::default();
        pair.op(&Op::PutStart { key: &key, client: client_id(9), size: 64, regions, traits });
        for _ in 0..2 {
            pair.standby_turn();
            let last = pair.standby.mark(home).last;
            assert!(last.end() <= pair.applied, "{last} of {} that were applied", pair.applied);
        }
    }
    assert!(pair.drained());
    pair.run(500, 0);
    assert!(pair.equal() && !pair.client.is_raw());
}

#[test]
fn many_differences_are_overwritten_home_by_home_and_none_is_left() {
    let mut pair = Pair::new(VerifyConfig { repair_keys_max: 20, ..quick() });
    pair.run(500, 4);
    assert!(pair.drained());
    for i in 0..200u64 {
        pair.standby
            .lab_corrupt(Damage::Missing, i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .expect("there is one");
    }
    pair.run(4000, 1);
    assert!(pair.drained());
    pair.run(500, 0);
    assert_eq!(pair.view().overwrites, 1, "{:?}", pair.view());
    assert!(pair.equal());
    pair.standby.audit().expect("whole");
    assert_eq!(pair.view().repaired, 200);
}

#[test]
fn without_leave_to_repair_differences_stay_and_are_shown_until_told() {
    let mut pair = Pair::new(VerifyConfig { repair: false, ..quick() });
    pair.run(100, 1);
    assert!(pair.drained());
    pair.standby.lab_corrupt(Damage::Field, 1).expect("there is one");
    pair.run(3000, 0);
    assert_eq!(pair.view().mismatched_keys, 1);
    assert!(!pair.equal());
    assert_eq!(pair.client.repair_all(pair.now), 1);
    pair.run(2000, 0);
    assert!(pair.equal());
    assert_eq!(pair.view().mismatched_keys, 0);
}

#[test]
fn what_differs_later_in_a_home_that_differs_is_named_too() {
    for (of_primary, shard) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut pair = Pair::new(VerifyConfig { repair: of_primary, ..quick() });
        for _ in 0..8000 {
            pair.put(true);
        }
        assert!(pair.drained());
        let damage = |pair: &Pair, n: u64| {
            let store = if of_primary { &pair.primary } else { &pair.standby };
            // Two items of shard 7, or the mount and then the client.
            let kind = if shard { Damage::Field } else { [Damage::Segment, Damage::Client][n as usize] };
            store.lab_corrupt(kind, 7 | n << 16).expect("there is one")
        };
        let first = damage(&pair, 0);
        pair.run(4000, 0);
        let second = damage(&pair, 1);
        // While other items come and go, what differs is looked at again, and named once.
        pair.run(30_000, 1);
        let named: Vec<_> = pair.mismatches().iter().map(|m| m.difference.name.clone()).collect();
        assert_eq!(named, [first, second], "of primary: {of_primary}, shard: {shard}: {:?}", pair.notes);
        assert_eq!(pair.view().mismatched_keys, 2);
    }
}

#[test]
fn what_differs_after_a_repair_is_named_before_it_is_repaired_too() {
    let mut pair = Pair::new(quick());
    pair.run(100, 1);
    assert!(pair.drained());
    let first = pair.standby.lab_corrupt(Damage::Segment, 0).expect("there is one");
    while !pair.notes.iter().any(|n| matches!(n, VerifyNote::Repaired(..))) {
        pair.run(1, 0);
    }
    // The home has not been proved equal yet.
    let second = pair.standby.lab_corrupt(Damage::Client, 0).expect("there is one");
    pair.run(2000, 0);
    let named: Vec<_> = pair.mismatches().iter().map(|m| m.difference.name.clone()).collect();
    assert_eq!(named, [first, second], "{:?}", pair.notes);
    assert!(pair.equal());
}

#[test]
fn a_large_gap_and_another_epoch_need_a_full_sync() {
    let pair = Pair::new(quick());
    let ask = |epoch, applied| {
        let ask = VerificationAsk::Sums(HomeId::SEGMENTS);
        let request = VerificationRequest { id: 1, epoch: Epoch(epoch), applied: Seq(applied), ask };
        pair.handler.answer(&request).expect("a question").outcome
    };
    assert!(matches!(ask(1, 3), VerificationOutcome::Sums(_)));
    assert!(matches!(ask(2, 3), VerificationOutcome::NeedFullSync(_)));
    assert!(matches!(ask(1, 0), VerificationOutcome::NeedFullSync(_)), "trimmed away");
    assert!(matches!(ask(1, 4), VerificationOutcome::NeedFullSync(_)), "beyond the tail");
}

#[test]
fn a_sample_that_differs_comes_back_with_the_primarys_data() {
    let mut pair = Pair::new(quick());
    pair.run(200, 4);
    assert!(pair.drained());
    let home = KeyHash::of(&key(3)).home;
    let sample = pair.primary.sample(home, 77, 100);
    let mut entries: Vec<VerificationEntry> =
        sample.sums.iter().map(|(h, c)| VerificationEntry { prefix_hash: *h, checksum: *c }).collect();
    let wrong = KeyHash::of(&key(3)).map;
    for e in entries.iter_mut().filter(|e| e.prefix_hash == wrong) {
        e.checksum ^= 1;
    }
    entries.push(VerificationEntry { prefix_hash: 5, checksum: 5 });
    let request = |at, entries: &[VerificationEntry]| {
        let range = (sample.start, sample.span);
        let ask = VerificationAsk::Sample { home, at, range, entries: entries.to_vec() };
        VerificationRequest { id: 1, epoch: Epoch(1), applied: pair.applied, ask }
    };
    let answer = pair.handler.answer(&request(sample.mark.last, &entries)).expect("a question");
    let VerificationOutcome::Mismatches(found) = answer.outcome else { panic!("{answer:?}") };
    let kinds: BTreeMap<u64, DifferenceKind> = found.iter().map(|m| (m.prefix_hash, m.kind)).collect();
    assert_eq!(kinds, [(wrong, DifferenceKind::Field), (5, DifferenceKind::Extra)].into());
    let field = found.iter().find(|m| m.prefix_hash == wrong).expect("there");
    assert_eq!(field.keys, [key(3)]);
    assert_eq!(field.checksum, Some(sample.sums[&wrong]));
    let image = pair.standby.read_image(crate::store::ALL_BUCKETS, &field.data).expect("decodes");
    assert_eq!((image.home, image.mark.last), (home, sample.mark.last));
    let moved = pair.handler.answer(&request(LogPos::NONE, &entries)).expect("a question");
    assert_eq!(moved.outcome, VerificationOutcome::Inconclusive);
}

/// A hundred of a shard's keys, from a start by chance: no key is much likelier than another.
#[test]
fn samples_favour_no_key() {
    let mut pair = Pair::new(quick());
    let home = KeyHash::of(&key(0)).home;
    let keys: Vec<_> = (0..).map(key).filter(|k| KeyHash::of(k).home == home).take(400).collect();
    for (i, key) in keys.iter().enumerate() {
        let mount = MountUid(LogPos::new(Epoch(1), Seq(1)));
        let regions = smallvec![Region { mount, offset: i as u64 * 64, reserved: 64 }];
        let traits = Traits::default();
        pair.op(&Op::PutStart { key, client: client_id(9), size: 64, regions, traits });
    }
    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    let mut random = client::test_random(9);
    for _ in 0..4000 {
        for hash in pair.primary.sample(home, random(), 100).sums.keys() {
            *seen.entry(*hash).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), keys.len(), "every key is sampled");
    let (least, most) = (seen.values().min().expect("some"), seen.values().max().expect("some"));
    assert!(*most <= 3 * *least, "sampled {least} to {most} times of 4000");
}

#[test]
fn samples_visit_every_shard_in_turn() {
    // Round robin: a tenth of the shards a round, all in ten.
    let config = VerifyConfig { sample_interval: Duration::from_millis(1000), ..quick() };
    let mut pair = Pair::new(config);
    for _ in 0..8000 {
        pair.put(true);
    }
    assert!(pair.drained());
    let mut homes = BTreeSet::new();
    for _ in 0..20_000 {
        pair.now = pair.now.plus(MS);
        let standing = pair.standing(Some(Epoch(1)));
        if let Some(request) = pair.client.work(pair.now, standing) {
            if let VerificationAsk::Sample { home, entries, .. } = &request.ask {
                assert!(entries.len() <= 100);
                homes.insert(*home);
            }
            if let Some(answer) = pair.handler.answer(&request) {
                pair.client.answer(pair.now, answer, pair.applied);
            }
        }
    }
    assert!(homes.len() > 1000, "{} shards with keys were sampled", homes.len());
    assert_eq!(pair.view().samples.1, 0);
}

#[test]
fn a_standby_far_behind_pauses_and_says_so() {
    let mut pair = Pair::new(VerifyConfig { pause_lag: 10, ..quick() });
    for _ in 0..20 {
        pair.put(true);
    }
    let standing = pair.standing(Some(Epoch(1)));
    assert!(pair.client.work(pair.now, standing).is_none());
    assert_eq!(pair.view().paused, Some("the standby is too far behind"));
    assert!(pair.drained());
    pair.run(100, 0);
    assert_eq!(pair.view().paused, None);
    assert!(pair.notes.contains(&VerifyNote::Resumed));
}

#[test]
fn the_checksum_of_an_object_is_frozen() {
    // Golden: nodes of two versions must agree on it. It leaves out all that is
    // dynamic: leases, times of this node, ends of pins (SEMANTICS 6).
    let mut pair = Pair::new(quick());
    pair.put(true);
    let hash = KeyHash::of(&key(0));
    let checksum = |p: &Pair| p.primary.sample(hash.home, 0, 1).sums[&hash.map];
    let golden = checksum(&pair);
    assert_eq!(format!("{golden:032x}"), GOLDEN);
    {
        let shard = pair.primary.shard(hash.home).read();
        let object = shard.get(hash, &key(0)).expect("there");
        object.extend_lease(Instant(77));
        object.begin(Instant(78));
    }
    assert_eq!(checksum(&pair), golden, "leases and own times are left out");
    assert!(pair.drained());
    assert_eq!(pair.standby.sample(hash.home, 0, 1).sums[&hash.map], golden, "the same on both sides");
    pair.primary.lab_corrupt(Damage::Field, 0).expect("there");
    assert_ne!(checksum(&pair), golden);
}

const GOLDEN: &str = "e26a84ca951febd37af8bf2c9594a83e";

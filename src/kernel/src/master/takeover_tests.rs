//! What a new primary does with what it inherits (PROTOCOL A3, A4), and random
//! histories over several epochs against a model.

use super::*;

const HOLD: u64 = 300;

#[test]
fn a_term_begins_with_its_record() {
    let b = bench(1).takeover(HOLD);
    b.logged(Seq(3), &[Op::TermStart { node: "n".into(), copy: CopyId(1) }]);
    assert_eq!((b.master.term_on_record(), b.master.epoch()), (Epoch(2), Epoch(2)));
    assert_eq!(b.master.hold_until(), ms(1_000 + HOLD));
    b.replay_agrees();
}

#[test]
fn inherited_objects_count_as_leased_until_the_hold_ends() {
    let b = bench(1);
    b.put("old", MIB);
    b.put("forced", MIB);
    let mut b = b.takeover(HOLD);
    let all = b.free_bytes();
    b.put("new", MIB);
    assert_eq!(b.remove("old", false), Err(ObjectHasLease));
    assert_eq!(b.remove("new", false), Ok(()), "what was born now follows its own lease");
    assert_eq!(b.free_bytes(), all);
    assert_eq!(b.remove("forced", true), Ok(()));
    assert_eq!((b.free_bytes(), b.store.recount().limbo), (all, 1));
    b.now = Instant(b.master.hold_until().0 - 1);
    assert_eq!((b.maintain(), b.remove("old", false)), (0, Err(ObjectHasLease)));
    b.now = b.master.hold_until();
    assert_eq!((b.maintain(), b.remove("old", false)), (1, Ok(())));
    assert_eq!(b.free_bytes(), 16 * MIB, "and nothing waits any more");
    b.replay_agrees();
}

#[test]
fn a_lease_of_this_epoch_on_an_inherited_object_outlives_the_hold() {
    let b = bench(1);
    b.put("k", MIB);
    let mut b = b.takeover(HOLD);
    b.sleep(HOLD - 50);
    b.get("k").expect("complete");
    let read_at = b.now;
    b.sleep(60);
    assert_eq!(b.remove("k", false), Err(ObjectHasLease));
    assert_eq!(b.remove("k", true), Ok(()));
    b.now = Instant(read_at.plus(up(TIMES.read_ttl)).0 - 1);
    assert_eq!(b.maintain(), 0);
    b.now = Instant(b.now.0 + 1);
    assert_eq!(b.maintain(), 1);
}

#[test]
fn an_inherited_write_accepts_its_writer_s_end() {
    let b = bench(1);
    let placed = b.start(A, "k", 8).expect("room");
    let b = b.takeover(HOLD);
    assert_eq!((b.exist("k"), b.end(B, "k")), (Ok(false), Err(IllegalClient)));
    assert_eq!(b.end_with(A, "k", Some(4)), Ok(()));
    let got = b.get("k").expect("complete");
    assert_eq!((got.replicas[0].address, got.replicas[0].id), (placed[0].address, placed[0].id));
}

#[test]
fn an_inherited_write_may_be_preempted_at_once_and_its_region_waits_at_full_length() {
    let mut b = bench(1);
    b.sleep(DISCARD - 1);
    let old = b.start(A, "k", MIB).expect("room");
    let mut b = b.takeover(HOLD);
    let began = b.now;
    let new = b.start(A, "k", MIB).expect("R16: at once, by any client");
    assert_ne!(old[0].address, new[0].address);
    assert_eq!(b.start(B, "k", MIB), Err(ObjectAlreadyExists), "this one is not inherited");
    assert_eq!(b.end(A, "k"), Err(InvalidWrite), "R21: charged to the lost attempt, once");
    assert_eq!(b.end(A, "k"), Ok(()));
    b.now = Instant(began.plus(TIMES.put_release).0 - 1);
    assert_eq!((b.maintain(), b.free_bytes()), (0, 14 * MIB));
    b.now = began.plus(TIMES.put_release);
    assert_eq!((b.maintain(), b.free_bytes()), (1, 15 * MIB));
    b.replay_agrees();
}

#[test]
fn inherited_limbo_waits_again_at_full_length() {
    let mut b = bench(1);
    b.start(A, "w", MIB).expect("room");
    b.sleep(DISCARD + 1);
    b.start(B, "w", MIB).expect("preempts");
    b.put("r", MIB);
    b.get("r").expect("complete");
    assert_eq!(b.remove("r", true), Ok(()));
    b.sleep(RELEASE - DISCARD - 10);
    let mut b = b.takeover(HOLD);
    let began = b.now;
    b.now = Instant(b.master.hold_until().0 - 1);
    assert_eq!(b.maintain(), 0, "the old timers are over, but they were another node's");
    b.now = b.master.hold_until();
    assert_eq!((b.maintain(), b.store.recount().limbo), (1, 1), "read limbo: the hold");
    b.now = Instant(began.plus(TIMES.put_release).0 - 1);
    assert_eq!(b.maintain(), 0);
    b.now = began.plus(TIMES.put_release);
    assert_eq!((b.maintain(), b.store.recount().limbo), (2, 0), "write limbo and w itself: put release");
    b.replay_agrees();
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Start(u8, usize, u64, u32),
    End(u8, usize, Option<u64>),
    Get(usize),
    Exist(usize),
    Remove(usize, bool),
    Sleep(u64),
    Maintain,
    Takeover,
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

fn step() -> impl Strategy<Value = Step> {
    let (who, key) = (1..3u8, 0..KEYS.len());
    let size = prop_oneof![Just(8u64), Just(100), Just(4096)];
    let checksum = proptest::option::of(0..3u64);
    prop_oneof![
        6 => (who.clone(), key.clone(), size, 1..3u32).prop_map(|(w, k, s, n)| Step::Start(w, k, s, n)),
        5 => (who, key.clone(), checksum).prop_map(|(w, k, c)| Step::End(w, k, c)),
        2 => key.clone().prop_map(Step::Get),
        1 => key.clone().prop_map(Step::Exist),
        4 => (key, any::<bool>()).prop_map(|(k, f)| Step::Remove(k, f)),
        3 => prop_oneof![Just(1u64), Just(TTL / 2), Just(TTL), Just(DISCARD), Just(RELEASE / 3)].prop_map(Step::Sleep),
        2 => Just(Step::Maintain),
        1 => Just(Step::Takeover),
    ]
}

#[derive(Debug, Clone)]
struct Known {
    writer: ClientId,
    size: u64,
    checksum: Option<u64>,
    complete: bool,
    begun: Instant,
    born: Epoch,
    lease_until: Instant,
    at: Vec<(u64, u64)>,
}

/// Somebody may read or write these bytes until then, whatever the store says.
#[derive(Debug)]
struct Right {
    key: usize,
    at: Vec<(u64, u64)>,
    until: Instant,
}

/// What clients were told, and what follows from it.
#[derive(Debug, Default)]
struct Model {
    objects: BTreeMap<usize, Known>,
    rights: Vec<Right>,
    /// Preempted writes that their clients have not spoken about: key, client,
    /// and until when they are waited for. Oldest first.
    abandoned: Vec<(usize, ClientId, Instant)>,
}

impl Model {
    /// Handed-out bytes must be nobody else's, and free of rights.
    fn hand_out(&self, key: usize, at: &[(u64, u64)], now: Instant) {
        let clash = |other: &[(u64, u64)]| {
            at.iter().any(|(a, n)| other.iter().any(|(b, m)| a < &(b + m) && b < &(a + n)))
        };
        for (k, o) in &self.objects {
            assert!(*k == key || !clash(&o.at), "bytes of {} and {} overlap", KEYS[*k], KEYS[key]);
        }
        for r in self.rights.iter().filter(|r| r.until > now) {
            assert!(!clash(&r.at), "bytes under a right on {} were reused: {r:?}", KEYS[r.key]);
        }
    }

    fn may_start(&self, key: usize, b: &Bench) -> bool {
        self.objects.get(&key).is_none_or(|o| {
            let old = o.begun.plus(TIMES.put_discard) < b.now;
            !o.complete && (old || o.born != b.master.epoch())
        })
    }

    fn is_leased(o: &Known, b: &Bench) -> bool {
        b.now < o.lease_until || (o.born != b.master.epoch() && b.now < b.master.hold_until())
    }

    /// Writes that were never ended are given up after the release time.
    fn discard(&mut self, b: &Bench) {
        self.objects.retain(|_, o| {
            let since = if o.born == b.master.epoch() { o.begun } else { b.master.since };
            o.complete || b.now < since.plus(TIMES.put_release)
        });
    }

    fn read(&mut self, key: usize, now: Instant) -> Result<Known, ErrorCode> {
        let o = self.objects.get_mut(&key).ok_or(ObjectNotFound)?;
        if !o.complete {
            return Err(ReplicaIsNotReady);
        }
        o.lease_until = o.lease_until.max(now.plus(TIMES.read_ttl));
        self.rights.push(Right { key, at: o.at.clone(), until: now.plus(TIMES.read_ttl) });
        Ok(o.clone())
    }
}

fn places(replicas: &[ReplicaDescriptor]) -> Vec<(u64, u64)> {
    replicas.iter().map(|r| (r.address, r.size)).collect()
}

/// Carries out one step and compares the answer with the model's.
fn play(b: &mut Bench, m: &mut Model, step: &Step) {
    match *step {
        Step::Start(who, key, size, n) => {
            let got = b.start_with(client(who.into()), KEYS[key], size, replicas(n));
            if !m.may_start(key, b) {
                assert_eq!(got, Err(ObjectAlreadyExists));
                return;
            }
            let at = places(&got.expect("there is ample room"));
            assert_eq!(at.len(), n as usize);
            m.hand_out(key, &at, b.now);
            if let Some(old) = m.objects.remove(&key) {
                let began = if old.born == b.master.epoch() { old.begun } else { b.master.since };
                m.abandoned.push((key, old.writer, began.plus(TIMES.put_release)));
                let until = old.begun.plus(TIMES.put_release);
                m.rights.push(Right { key, at: old.at, until });
                m.hand_out(key, &at, b.now);
            }
            let (writer, begun, born) = (client(who.into()), b.now, b.master.epoch());
            let lease_until = Instant(0);
            let (checksum, complete) = (None, false);
            m.objects.insert(key, Known { writer, size, checksum, complete, begun, born, lease_until, at });
        }
        Step::End(who, key, checksum) => {
            let mine = |(k, c, _): &(usize, ClientId, Instant)| *k == key && *c == client(who.into());
            let charged = m.abandoned.iter().position(mine).map(|i| m.abandoned.remove(i)).is_some();
            let want = match m.objects.get_mut(&key) {
                None => Err(ObjectNotFound),
                Some(o) if o.writer != client(who.into()) => Err(IllegalClient),
                Some(_) if charged => Err(InvalidWrite),
                Some(o) => {
                    o.checksum = if o.complete { o.checksum } else { checksum };
                    o.complete = true;
                    Ok(())
                }
            };
            assert_eq!(b.end_with(client(who.into()), KEYS[key], checksum), want);
        }
        Step::Get(key) => {
            let want = m.read(key, b.now).map(|o| (o.at, o.size, o.checksum));
            let got = b.get(KEYS[key]).map(|l| (places(&l.replicas), l.replicas[0].size, l.checksum));
            assert_eq!(got, want);
        }
        Step::Exist(key) => assert_eq!(b.exist(KEYS[key]), Ok(m.read(key, b.now).is_ok())),
        Step::Remove(key, force) => {
            let want = match m.objects.get(&key) {
                None => Err(ObjectNotFound),
                Some(o) if !force && Model::is_leased(o, b) => Err(ObjectHasLease),
                Some(o) if !o.complete => Err(ReplicaIsNotReady),
                Some(_) => Ok(()),
            };
            assert_eq!(b.remove(KEYS[key], force), want);
            if want.is_ok() {
                m.objects.remove(&key);
            }
        }
        Step::Sleep(millis) => b.sleep(millis),
        Step::Maintain => {
            b.maintain();
            m.abandoned.retain(|(_, _, due)| *due > b.now);
            m.discard(b);
        }
        Step::Takeover => {
            // The old node's leases are unknown to the new one: only the hold stands for them.
            for o in m.objects.values_mut() {
                o.lease_until = Instant(0);
            }
            let copy = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
            for entry in split_entries(&b.entries_since(Seq::FIRST)) {
                copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
            }
            let (log, epoch) = (b.log.clone(), Epoch(b.master.epoch().0 + 1));
            *b = Bench::lead(copy, log, epoch, b.now, b.now.plus(up(TIMES.read_ttl)), None);
            m.abandoned.iter_mut().for_each(|(_, _, due)| *due = b.now.plus(TIMES.put_release));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random requests against a model, over several epochs: equal answers, no
    /// byte handed out twice or under a right, and a replay that agrees.
    #[test]
    fn s8_27_random_histories_equal_the_model_and_their_replay(steps in proptest::collection::vec(step(), 1..80)) {
        let mut b = bench(2);
        let mut m = Model::default();
        for step in &steps {
            play(&mut b, &mut m, step);
        }
        b.replay_agrees();
        b.sleep(2 * RELEASE);
        b.maintain();
        m.discard(&b);
        let owned: u64 = m.objects.values().flat_map(|o| &o.at).map(|(_, n)| OffsetAllocator::reserved_for(*n).expect("small")).sum();
        prop_assert_eq!((b.store.recount().limbo, b.free_bytes()), (0, 32 * MIB - owned), "all comes back in the end");
        b.replay_agrees();
    }
}

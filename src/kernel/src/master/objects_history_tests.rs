//! Random histories of all writes, with groups, pins and takeovers: no byte is
//! handed out under somebody's right, and the replay agrees.

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Start { upsert: bool, who: u64, key: usize, size: u64, config: ReplicateConfig },
    End(u64, usize),
    Revoke(u64, usize),
    Get(usize),
    Remove(usize, bool),
    Matching(&'static str, bool),
    All(bool),
    Clear(u64, usize, &'static str),
    Sleep(u64),
    Maintain,
    Takeover,
}

const KEYS: [&str; 3] = ["a", "b", "ab"];

fn config() -> impl Strategy<Value = ReplicateConfig> {
    let group = prop_oneof![3 => Just(None), 1 => Just(Some("")), 2 => Just(Some("G")), 1 => Just(Some("H"))];
    let pin = prop_oneof![3 => Just((0, None)), 1 => Just((1, Some(TTL))), 1 => Just((2, None))];
    (1..3u32, group, pin, any::<bool>()).prop_map(|(replica_num, group, (action, ttl), with_hard_pin)| {
        ReplicateConfig {
            replica_num,
            group_ids: group.map(|g| keys(&[g])),
            soft_pin_action: SoftPinAction::from(action),
            soft_pin_ttl_ms: ttl,
            with_hard_pin,
            ..ReplicateConfig::default()
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let (who, key) = (1..3u64, 0..KEYS.len());
    let size = prop_oneof![3 => Just(8u64), 1 => Just(4096)];
    let start = (any::<bool>(), who.clone(), key.clone(), size, config());
    let pattern = prop_oneof![Just("a"), Just("^b"), Just("")];
    let segment = prop_oneof![Just(""), Just("host-1"), Just("host-2")];
    let sleep = prop_oneof![Just(1), Just(QUARANTINE), Just(TTL), Just(DISCARD), Just(RELEASE / 2)];
    prop_oneof![
        8 => start.prop_map(|(upsert, who, key, size, config)| Step::Start { upsert, who, key, size, config }),
        6 => (who.clone(), key.clone()).prop_map(|(w, k)| Step::End(w, k)),
        2 => (who.clone(), key.clone()).prop_map(|(w, k)| Step::Revoke(w, k)),
        3 => key.clone().prop_map(Step::Get),
        2 => (key.clone(), any::<bool>()).prop_map(|(k, f)| Step::Remove(k, f)),
        1 => (pattern, any::<bool>()).prop_map(|(p, f)| Step::Matching(p, f)),
        1 => any::<bool>().prop_map(Step::All),
        1 => (who, key, segment).prop_map(|(w, k, s)| Step::Clear(w, k, s)),
        4 => sleep.prop_map(Step::Sleep),
        2 => Just(Step::Maintain),
        1 => Just(Step::Takeover),
    ]
}

type Places = Vec<(u64, u64)>;

/// Who may touch which bytes, as clients were told.
#[derive(Debug, Default)]
struct Rights {
    /// Readers, until their leases end.
    read: Vec<(Places, Instant)>,
    /// The present write of each key: its writer and its start.
    open: BTreeMap<usize, (u64, Places, Instant)>,
    /// Writes that were taken over, until their writers have given up, and those
    /// that were given up, until their packets have landed.
    lost: Vec<(Places, Instant)>,
}

impl Rights {
    fn hand_out(&mut self, who: u64, key: usize, placed: &[ReplicaDescriptor], now: Instant) {
        let at: Places = placed.iter().map(|r| (r.address, r.size)).collect();
        if let Some((_, old, begun)) = self.open.remove(&key) {
            self.lost.push((old, begun.plus(TIMES.put_release)));
        }
        let clash =
            |other: &Places| at.iter().any(|(a, n)| other.iter().any(|(b, m)| a < &(b + m) && b < &(a + n)));
        for (other, until) in self.read.iter().chain(&self.lost) {
            assert!(*until <= now || !clash(other), "{} got bytes under a right: {at:?}", KEYS[key]);
        }
        for (other, (_, places, _)) in &self.open {
            assert!(!clash(places), "{} got bytes that {} is written to", KEYS[key], KEYS[*other]);
        }
        self.open.insert(key, (who, at, now));
    }

    /// The key is no longer written by this client, who said so.
    fn close(&mut self, who: u64, key: usize) -> Option<Places> {
        let mine = self.open.get(&key).is_some_and(|(w, ..)| *w == who);
        mine.then(|| self.open.remove(&key)).flatten().map(|(_, at, _)| at)
    }
}

fn play(b: &mut Bench, rights: &mut Rights, step: &Step) {
    match step {
        Step::Start { upsert, who, key, size, config } => {
            let start = if *upsert { Bench::upsert_with } else { Bench::start_with };
            if let Ok(placed) = start(b, client(*who), KEYS[*key], *size, config.clone()) {
                rights.hand_out(*who, *key, &placed, b.now);
            } else if b.exist(KEYS[*key]) == Ok(true) {
                assert!(!rights.open.contains_key(key), "{} is shown while it is written", KEYS[*key]);
            }
        }
        Step::End(who, key) => {
            if b.end(client(*who), KEYS[*key]) == Ok(()) {
                rights.close(*who, *key);
                assert_eq!(b.store.recount().damaged, Vec::new());
            }
        }
        Step::Revoke(who, key) => {
            let was = b.store.objects();
            let done = b.revoke(client(*who), KEYS[*key]) == Ok(());
            if done && b.store.objects() < was {
                let at = rights.close(*who, *key).expect("only its writer's own");
                rights.lost.push((at, b.now.plus(TIMES.revoke_quarantine)));
            }
        }
        Step::Get(key) => {
            if let Ok(list) = b.get(KEYS[*key]) {
                assert!(!rights.open.contains_key(key), "{} is shown while it is written", KEYS[*key]);
                let at = list.replicas.iter().map(|r| (r.address, r.size)).collect();
                rights.read.push((at, b.now.plus(TIMES.read_ttl)));
            }
        }
        Step::Remove(key, force) => drop(b.remove(KEYS[*key], *force)),
        Step::Matching(pattern, force) => {
            let found = b.matching(pattern).expect("valid").len() as u64;
            let removed = b.remove_matching(pattern, *force).expect("valid");
            assert_eq!(removed, if *force { found } else { 0 }, "just leased");
        }
        Step::All(force) => {
            let n = b.remove_all(*force);
            assert!(!force || b.store.objects() == rights.open.len() as u64, "{n} removed");
        }
        Step::Clear(who, key, segment) => drop(b.clear(client(*who), &[KEYS[*key]], segment)),
        Step::Sleep(millis) => b.sleep(*millis),
        Step::Maintain => {
            b.maintain();
            // What was too old is discarded.
            rights.open.retain(|key, _| {
                let key = crate::types::scoped_key(crate::api::DEFAULT_TENANT, KEYS[*key].as_bytes());
                let (at, shard) = b.store.read_key(KeyHash::of(&key), &key);
                shard.get(at, &key).is_some()
            });
        }
        Step::Takeover => {
            let copy = Arc::new(MetadataStore::new(&"test".parse().expect("a name")));
            for entry in split_entries(&b.entries_since(Seq::FIRST)) {
                copy.apply(&decode(entry.expect("whole")).expect("own bytes")).expect("fits");
            }
            let (log, epoch) = (b.log.clone(), Epoch(b.master.epoch().0 + 1));
            *b = Bench::lead(copy, log, epoch, b.now, b.now.plus(up(TIMES.read_ttl)), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_is_handed_out_under_a_right(steps in proptest::collection::vec(step(), 1..100)) {
        let mut b = bench(2);
        let mut rights = Rights::default();
        for step in &steps {
            play(&mut b, &mut rights, step);
        }
        b.replay_agrees();
        b.sleep(2 * RELEASE);
        b.maintain();
        b.remove_all(true);
        b.sleep(2 * RELEASE);
        b.maintain();
        prop_assert_eq!(b.store.recount().limbo, 0);
        prop_assert_eq!(b.store.objects(), 0, "unfinished writes are discarded");
        b.replay_agrees();
    }
}

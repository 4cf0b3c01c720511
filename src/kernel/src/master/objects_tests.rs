//! SEMANTICS section 8: arguments of a start, revoke, removal of many.

use super::*;
use crate::store::PinState;

impl Bench {
    pub(super) fn upsert(
        &self,
        client: ClientId,
        key: &str,
        size: u64,
    ) -> Result<ReplicaDescriptors, ErrorCode> {
        self.upsert_with(client, key, size, ReplicateConfig::default())
    }

    pub(super) fn upsert_with(
        &self,
        client: ClientId,
        key: &str,
        size: u64,
        config: ReplicateConfig,
    ) -> Result<ReplicaDescriptors, ErrorCode> {
        let items = vec![PutItem { key: keys(&[key]).remove(0), size }];
        match self.run(&Request::UpsertStart { client, config, items }).response {
            Response::UpsertStart(r) => only(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn revoke(&self, client: ClientId, key: &str) -> Result<(), ErrorCode> {
        self.revoke_of(client, key, ReplicaType::All)
    }

    pub(super) fn revoke_of(
        &self,
        client: ClientId,
        key: &str,
        replica_type: ReplicaType,
    ) -> Result<(), ErrorCode> {
        match self.run(&Request::PutRevoke { client, keys: keys(&[key]), replica_type }).response {
            Response::PutRevoke(r) => only(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end_of(
        &self,
        client: ClientId,
        key: &str,
        replica_type: ReplicaType,
    ) -> Result<(), ErrorCode> {
        let items = vec![EndItem { key: keys(&[key]).remove(0), checksum: None }];
        match self.run(&Request::PutEnd { client, items, replica_type }).response {
            Response::PutEnd(r) => only(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn put_with(&self, key: &str, size: u64, config: ReplicateConfig) -> ReplicaDescriptors {
        let placed = self.start_with(A, key, size, config).expect("room");
        assert_eq!(self.end(A, key), Ok(()));
        placed
    }

    pub(super) fn remove_all(&self, force: bool) -> u64 {
        match self.run(&Request::RemoveAll { force }).response {
            Response::RemoveAll(n) => n,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn remove_matching(&self, pattern: &str, force: bool) -> Result<u64, ErrorCode> {
        let pattern = Bytes::copy_from_slice(pattern.as_bytes());
        match self.run(&Request::RemoveByRegex { pattern, force }).response {
            Response::RemoveByRegex(r) => code(r),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn matching(&self, pattern: impl AsRef<[u8]>) -> Result<Vec<String>, ErrorCode> {
        let pattern = Bytes::copy_from_slice(pattern.as_ref());
        match self.run(&Request::GetReplicaListByRegex { pattern }).response {
            Response::GetReplicaListByRegex(r) => code(r)
                .map(|found| found.iter().map(|(k, _)| String::from_utf8_lossy(k).into_owned()).collect()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn clear(&self, client: ClientId, names: &[&str], segment: &str) -> Vec<Bytes> {
        let request = Request::BatchReplicaClear { keys: keys(names), client, segment: segment.into() };
        match self.run(&request).response {
            Response::BatchReplicaClear(cleared) => cleared,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn pin(&self, key: &str) -> PinState {
        let (_, shard, at) = self.locate(key);
        let shard = shard.read();
        self.master.pin_state(shard.get(at, &scoped(key)).expect("there"), self.now)
    }

    /// Its group, data type and shard.
    pub(super) fn place(&self, key: &str) -> (Vec<u8>, u8, HomeId) {
        let (home, shard, at) = self.locate(key);
        let shard = shard.read();
        let object = shard.get(at, &scoped(key)).expect("there");
        (object.group().map_or(Vec::new(), |g| g.to_vec()), object.data_type.0, home)
    }

    fn locate(&self, key: &str) -> (HomeId, &crate::sync::RankedRwLock<crate::store::Shard>, KeyHash) {
        let at = self.store.routes().place(KeyHash::of(&scoped(key)), &scoped(key));
        (at.home, self.store.shard(at.home), at)
    }
}

pub(super) fn scoped(key: &str) -> Vec<u8> {
    [b"default\0", key.as_bytes()].concat()
}

pub(super) fn grouped(group: &str) -> ReplicateConfig {
    ReplicateConfig { group_ids: Some(keys(&[group])), ..ReplicateConfig::default() }
}

pub(super) fn soft(ttl: Option<u64>) -> ReplicateConfig {
    let soft_pin_action = SoftPinAction::Enable;
    ReplicateConfig { soft_pin_action, soft_pin_ttl_ms: ttl, ..ReplicateConfig::default() }
}

pub(super) fn hard() -> ReplicateConfig {
    ReplicateConfig { with_hard_pin: true, ..ReplicateConfig::default() }
}

pub(super) fn address(replicas: &[ReplicaDescriptor]) -> u64 {
    replicas[0].address
}

#[test]
fn s8_01_the_arguments_are_checked_in_order() {
    let b = bench(1);
    b.put("old", 8);
    let (before, tail) = (b.store.recount(), b.log.tail());
    let with = |change: &dyn Fn(&mut ReplicateConfig)| {
        let mut config = ReplicateConfig::default();
        change(&mut config);
        config
    };
    let many = ReplicateConfig { group_ids: Some(keys(&["a", "b"])), ..ReplicateConfig::default() };
    for (config, want) in [
        (with(&|c| c.replica_num = 0), InvalidParams),
        (with(&|c| c.dfs_replica_num = 2), InvalidParams),
        (with(&|c| (c.replica_num, c.dfs_replica_num) = (0, 1)), InvalidParams),
        (with(&|c| c.dfs_replica_num = 1), DfsServiceUnavailable),
        (with(&|c| (c.dfs_replica_num, c.nof_replica_num) = (1, 1)), DfsServiceUnavailable),
        (with(&|c| c.nof_replica_num = 1), InvalidParams),
        (with(&|c| (c.replica_num, c.nof_replica_num) = (0, 1)), InvalidParams),
        (with(&|c| (c.nof_replica_num, c.prefer_alloc_in_same_node) = (1, true)), InvalidParams),
        (with(&|c| c.soft_pin_action = SoftPinAction::from(3)), InvalidParams),
        (with(&|c| c.group_ids = Some(Vec::new())), InvalidParams),
        (with(&|c| c.group_ids = Some(keys(&[&"g".repeat(limits::GROUP_BYTES_MAX + 1)]))), InvalidParams),
        (many, InvalidParams),
    ] {
        assert_eq!(b.start_with(A, "k", 8, config.clone()), Err(want), "{config:?}");
        assert_eq!(b.upsert_with(A, "old", 8, config.clone()), Err(want), "{config:?}");
    }
    let dfs = with(&|c| c.dfs_replica_num = 1);
    assert_eq!(b.start_with(A, "", 8, dfs.clone()), Err(InvalidParams), "the key comes before the feature");
    assert_eq!(b.start_with(A, "k", 0, dfs), Err(InvalidParams));
    assert_eq!((b.store.recount(), b.log.tail()), (before, tail));
}

#[test]
fn s8_08_revoke_by_another_client_leaves_the_write_alone() {
    let b = bench(1);
    b.start(A, "k", 8).expect("room");
    assert_eq!(b.revoke(B, "k"), Err(IllegalClient));
    assert_eq!(b.end(A, "k"), Ok(()));
    assert_eq!(b.revoke(B, "k"), Err(IllegalClient));
}

/// Memory replicas end together; an end of a type that the write has not is a
/// repeat on nothing while it goes on, and invalid afterwards.
#[test]
fn s8_10_end_and_revoke_of_other_replica_types() {
    let b = bench(1);
    b.start(A, "k", 8).expect("room");
    let tail = b.log.tail();
    for other in [ReplicaType::Disk, ReplicaType::LocalDisk, ReplicaType::NofSsd, ReplicaType::Dfs] {
        assert_eq!((b.end_of(A, "k", other), b.revoke_of(A, "k", other)), (Ok(()), Ok(())));
        assert_eq!((b.exist("k"), b.log.tail()), (Ok(false), tail));
    }
    assert_eq!(b.end_of(A, "k", ReplicaType::Memory), Ok(()));
    assert_eq!(b.end_of(A, "k", ReplicaType::Memory), Ok(()));
    assert_eq!(b.end_of(A, "k", ReplicaType::Disk), Err(InvalidWrite));
    assert_eq!(b.exist("k"), Ok(true));
}

#[test]
fn s8_11_revoke_after_the_end_and_of_a_missing_key() {
    let b = bench(1);
    assert_eq!(b.revoke(A, "k"), Err(ObjectNotFound));
    b.put("k", 8);
    assert_eq!(b.revoke(A, "k"), Err(InvalidWrite));
    assert_eq!(b.exist("k"), Ok(true));
    b.start(A, "j", 8).expect("room");
    assert_eq!(b.revoke_of(A, "j", ReplicaType::Memory), Ok(()));
    assert_eq!(b.revoke(A, "j"), Err(ObjectNotFound), "erased by the first");
}

/// Differs from section 8 by R7: a short quarantine comes first; 0 turns it off.
#[test]
fn s8_12_revoke_makes_memory_available_after_its_quarantine() {
    let mut b = bench(1);
    b.start(A, "k", 10 * MIB).expect("room");
    let from = b.log.tail();
    assert_eq!(b.revoke(A, "k"), Ok(()));
    b.logged(from, &[Op::PutRevoke { key: b"default\0k", release: Release::Limbo(LimboKind::Write) }]);
    assert_eq!(b.start(A, "k", 10 * MIB), Err(NoAvailableHandle));
    b.sleep(QUARANTINE - 1);
    assert_eq!(b.maintain(), 0);
    b.sleep(1);
    assert_eq!(b.maintain(), 1);
    b.start(A, "k", 10 * MIB).expect("room again");
    b.replay_agrees();

    b.master.times.revoke_quarantine = Duration::ZERO;
    let from = b.log.tail();
    assert_eq!(b.revoke(A, "k"), Ok(()));
    b.logged(from, &[Op::PutRevoke { key: b"default\0k", release: Release::Now }]);
    assert_eq!(b.free_bytes(), 16 * MIB);
    b.start(A, "k", 16 * MIB).expect("immediately");
}

#[test]
fn s8_13_an_upsert_that_ends_without_checksum_clears_it() {
    let b = bench(1);
    b.start(A, "k", 8).expect("room");
    assert_eq!(b.end_with(A, "k", Some(5)), Ok(()));
    assert_eq!(b.upsert(A, "k", 8).map(|_| ()), Ok(()));
    assert_eq!(b.end(A, "k"), Ok(()));
    assert_eq!(b.get("k").expect("complete").checksum, None);
}

#[test]
fn s8_18_remove_all_counts_and_skips_what_is_leased() {
    let mut b = bench(1);
    for i in 0..300 {
        let _ = b.master.execute(b.now, WallTime(7), &start(A, &format!("k{i}"), 8, replicas(1)));
        let _ = b.master.execute(b.now, WallTime(7), &end(A, &format!("k{i}"), None));
    }
    b.put_with("g1", 8, grouped("g"));
    b.put_with("g2", 8, hard());
    b.start(A, "open", 8).expect("room");
    for key in ["k7", "k8"] {
        b.get(key).expect("complete");
    }
    assert_eq!(b.remove_all(false), 300);
    assert_eq!((b.exist("k7"), b.exist("k9"), b.end(A, "open")), (Ok(true), Ok(false), Ok(())));
    b.get("k8").expect("still there");
    b.start(A, "open2", 8).expect("room");
    assert_eq!(b.remove_all(true), 3, "leased ones, too, but nothing unfinished");
    let r = b.store.recount();
    assert_eq!((r.objects, r.limbo), (1, 2), "what readers may know waits");
    b.sleep(2 * TTL);
    assert_eq!(b.maintain(), 2);
    assert_eq!((b.remove_all(true), b.remove_all(false)), (0, 0));
    b.replay_agrees();
}

#[test]
fn a_forced_remove_all_is_one_op_for_what_nobody_reads_in_a_slice_of_a_shard() {
    let b = bench(1);
    let (mut shards, all) = (BTreeMap::<_, Vec<u64>>::new(), b.free_bytes());
    for i in 0..2000 {
        let key = format!("k{i}");
        let _ = b.master.execute(b.now, WallTime(7), &start(A, &key, 8, replicas(1)));
        let _ = b.master.execute(b.now, WallTime(7), &end(A, &key, None));
        let hash = KeyHash::of(&scoped(&key));
        shards.entry(hash.home).or_default().push(hash.map);
    }
    let from = b.log.tail();
    assert_eq!(b.remove_all(true), 2000);
    shards.values_mut().for_each(|hashes| hashes.sort_unstable());
    let clear = |(h, objects): (HomeId, _)| Op::Clear { shard: h.index() as u16, objects };
    let clears: Vec<_> = shards.into_iter().map(clear).collect();
    b.logged(from, &clears);
    assert_eq!(b.free_bytes(), all);
    b.replay_agrees();
}

#[test]
fn s8_19_remove_by_regex_removes_exactly_the_matches() {
    let b = bench(1);
    for key in ["model-a/1", "model-a/2", "model-b/1", "other"] {
        b.put(key, 8);
    }
    b.start(A, "model-a/open", 8).expect("room");
    b.get("model-a/2").expect("complete");
    assert_eq!(b.remove_matching("^model-a/", false), Ok(1));
    assert_eq!(b.remove_matching("^model-a/", true), Ok(1));
    assert_eq!(b.remove_matching("model-a/", true), Ok(0), "never what is unfinished");
    assert_eq!(b.matching(""), Ok(vec!["model-b/1".into(), "other".into()]));
    assert_eq!(b.remove_matching("[", true), Err(InvalidParams));
    b.replay_agrees();
}

#[test]
fn s8_20_regular_expressions_search_in_the_key() {
    let b = bench(1);
    for key in ["test_key1", "test_key2", "test_other", "prod.key1", "x\u{e9}y", "Def"] {
        b.put(key, 8);
    }
    b.start(A, "test_open", 8).expect("room");
    let found = |p: &str| b.matching(p).expect("valid").join(" ");
    assert_eq!(found("key"), "prod.key1 test_key1 test_key2");
    assert_eq!(found("^test_"), "test_key1 test_key2 test_other", "incomplete ones are left out");
    assert_eq!(found("key1$"), "prod.key1 test_key1");
    assert_eq!(found("^(prod\\.|test_)key1$"), "prod.key1 test_key1");
    assert_eq!(found("key[0-9]|other"), "prod.key1 test_key1 test_key2 test_other");
    assert_eq!(found("key[^1]"), "test_key2");
    assert_eq!(found("\\bkey\\d"), "prod.key1");
    assert_eq!(found("x..y"), "x\u{e9}y", "bytes, as stock masters count");
    assert_eq!(found("nothing"), "", "no match is no error");
    assert_eq!(found("default"), "", "the tenant is no part of the key");
    assert_eq!(found(""), "Def prod.key1 test_key1 test_key2 test_other x\u{e9}y", "in key order");
    assert_eq!(b.remove("test_key1", false), Err(ObjectHasLease), "leases are granted");
    let tail = b.log.tail();
    for bad in [
        "[",
        "(",
        "*",
        "a{2,1}",
        "(?=x)",
        "(a)\\1",
        "\\c",
        &"x".repeat(4097),
        "(a{1000}){1000}",
        &"(".repeat(500),
    ] {
        assert_eq!(b.matching(bad), Err(InvalidParams), "{bad:.20}");
        assert_eq!(b.remove_matching(bad, true), Err(InvalidParams), "{bad:.20}");
    }
    assert_eq!(b.matching([0xff, b'a']), Err(InvalidParams), "not UTF-8");
    assert_eq!(b.log.tail(), tail);
}

#[test]
fn s8_21_batch_remove_of_thousands() {
    let b = bench(1);
    let names: Vec<String> = (0..3000).map(|i| format!("k{i}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let items = all.iter().map(|k| PutItem { key: keys(&[k]).remove(0), size: 8 }).collect();
    let config = ReplicateConfig::default();
    let Response::PutStart(r) = b.run(&Request::PutStart { client: A, config, items }).response else {
        panic!()
    };
    assert!(r.iter().all(Result::is_ok));
    let items = keys(&all).into_iter().map(|key| EndItem { key, checksum: None }).collect();
    b.run(&Request::PutEnd { client: A, items, replica_type: ReplicaType::All });
    let Response::Remove(r) = b.run(&remove(&all, false)).response else { panic!() };
    assert_eq!((r.len(), r.iter().filter(|r| r.is_ok()).count()), (3000, 3000));
    assert_eq!((b.store.objects(), b.free_bytes()), (0, 16 * MIB));
}

#[test]
fn s8_22_batches_may_mix_grouped_and_ungrouped_keys() {
    let b = bench(1);
    let items = ["a", "b", "c"].map(|k| PutItem { key: keys(&[k]).remove(0), size: 8 }).to_vec();
    let config = ReplicateConfig { group_ids: Some(keys(&["g", "", "h"])), ..ReplicateConfig::default() };
    let request = Request::PutStart { client: A, config: config.clone(), items: items.clone() };
    let Response::PutStart(r) = b.run(&request).response else { panic!() };
    assert!(r.iter().all(Result::is_ok));
    assert_eq!([b.place("a").0, b.place("b").0, b.place("c").0], [&b"g"[..], b"", b"h"]);
    let two = ReplicateConfig { group_ids: Some(keys(&["g", "h"])), ..config };
    let Response::PutStart(r) = b.run(&Request::PutStart { client: A, config: two, items }).response else {
        panic!()
    };
    assert!(r.into_iter().all(|r| code(r) == Err(InvalidParams)), "every element");
    for key in ["a", "b", "c"] {
        assert_eq!(b.end(A, key), Ok(()));
    }
    let Response::ExistKey(r) = b.run(&exist(&["c", "none", "a", "b"])).response else { panic!() };
    assert_eq!(r, [Ok(true), Ok(false), Ok(true), Ok(true)]);
    b.replay_agrees();
}

#[test]
fn s8_25_a_batch_on_one_node_follows_its_first_element() {
    let b = bench(4);
    let items: Vec<_> =
        (0..8).map(|i| PutItem { key: keys(&[&format!("k{i}")]).remove(0), size: 8 }).collect();
    let config = ReplicateConfig { prefer_alloc_in_same_node: true, ..ReplicateConfig::default() };
    let Response::PutStart(r) = b.run(&Request::PutStart { client: A, config, items }).response else {
        panic!()
    };
    let names: Vec<_> = r.iter().map(|r| r.as_ref().expect("room")[0].segment.name.clone()).collect();
    assert!(names.iter().all(|n| *n == names[0]), "{names:?}");
    let old = ReplicateConfig { preferred_segment: "host-3".into(), ..prefer(&["host-1"]) };
    let placed = b.start_with(A, "old", 8, old).expect("room");
    assert_eq!(placed[0].segment.name, "host-3", "the deprecated name overrides the list");
}

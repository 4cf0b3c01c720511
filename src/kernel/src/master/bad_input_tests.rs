//! Input that cannot be: the exact error, and nothing is changed by it.

use std::collections::BTreeMap;

use super::*;
use crate::types::{TaskId, TaskStatus};

/// The answer's error codes, one an element; absent where it succeeded.
fn errors(response: &Response) -> Vec<Option<ErrorCode>> {
    fn of<T>(results: &[Result<T, Refusal>]) -> Vec<Option<ErrorCode>> {
        results.iter().map(|r| r.as_ref().err().map(Refusal::code)).collect()
    }
    fn one<T>(result: &Result<T, Refusal>) -> Vec<Option<ErrorCode>> {
        of(std::slice::from_ref(result))
    }
    match response {
        Response::MountSegment(r)
        | Response::ReMountSegment(r)
        | Response::UnmountSegment(r)
        | Response::GracefulUnmountSegment(r)
        | Response::CopyEnd(r)
        | Response::CopyRevoke(r)
        | Response::MoveEnd(r)
        | Response::MoveRevoke(r)
        | Response::MarkTaskToComplete(r)
        | Response::RemoveMetadata(r) => one(r),
        Response::ListKeys(r) => one(r),
        Response::GetMetadata(r) => one(r),
        Response::PutMetadata(r) => one(r),
        Response::QuerySegmentStatus(r) => one(r),
        Response::PutStart(r) | Response::UpsertStart(r) => of(r),
        Response::PutEnd(r) | Response::PutRevoke(r) | Response::Remove(r) => of(r),
        Response::GetReplicaList(r) => of(r),
        Response::ExistKey(r) => of(r),
        Response::GetReplicaListByRegex(r) => one(r),
        Response::RemoveByRegex(r) => one(r),
        Response::CopyStart(r) | Response::MoveStart(r) => one(r),
        Response::CreateCopyTask(r) | Response::CreateMoveTask(r) => one(r),
        Response::QueryTask(r) => one(r),
        Response::Ping(_)
        | Response::BatchQueryIp(_)
        | Response::GetFsdir(_)
        | Response::GetStorageConfig(_)
        | Response::RemoveAll(_)
        | Response::BatchReplicaClear(_)
        | Response::FetchTasks(_) => Vec::new(),
    }
}

/// Each call is refused with this code in every element, and neither the log nor the state moves.
fn refused(b: &Bench, expected: ErrorCode, calls: &[(&str, Request)]) {
    for (what, call) in calls {
        let (before, tail, free) = (b.store.recount(), b.log.tail(), b.free_bytes());
        let done = b.run(call);
        let got = errors(&done.response);
        assert_eq!(got, vec![Some(expected); call.elements()], "{what}: {}", call.name());
        assert_eq!((b.store.recount(), b.log.tail(), b.free_bytes()), (before, tail, free), "{what}");
    }
}

/// All calls that take a key, with this one.
fn keyed(key: &Bytes) -> Vec<(&'static str, Request)> {
    let (client, replica_type, force) = (A, ReplicaType::All, true);
    let keys = || vec![key.clone()];
    let items = || vec![PutItem { key: key.clone(), size: 8 }];
    let (source, target) = (|| "host-1".to_owned(), || "host-2".to_owned());
    let config = ReplicateConfig::default;
    vec![
        ("key", Request::PutStart { client, config: config(), items: items() }),
        ("key", Request::UpsertStart { client, config: config(), items: items() }),
        ("key", end(A, std::str::from_utf8(key).expect("text"), None)),
        ("key", Request::PutRevoke { client, keys: keys(), replica_type }),
        ("key", Request::GetReplicaList { keys: keys() }),
        ("key", Request::Remove { keys: keys(), force }),
        ("key", Request::CopyStart { client, key: key.clone(), source: source(), targets: vec![target()] }),
        ("key", Request::CopyEnd { client, key: key.clone() }),
        ("key", Request::CopyRevoke { client, key: key.clone() }),
        ("key", Request::MoveStart { client, key: key.clone(), source: source(), target: target() }),
        ("key", Request::MoveEnd { client, key: key.clone() }),
        ("key", Request::MoveRevoke { client, key: key.clone() }),
        ("key", Request::CreateCopyTask { key: key.clone(), targets: vec![target()] }),
        ("key", Request::CreateMoveTask { key: key.clone(), source: source(), target: target() }),
    ]
}

#[test]
fn keys_that_are_empty_or_too_long_are_refused_by_every_call() {
    let b = bench(2);
    b.put("k", 8);
    refused(&b, InvalidParams, &keyed(&Bytes::new()));
    refused(&b, InvalidParams, &keyed(&Bytes::from("x".repeat(limits::KEY_BYTES_MAX + 1))));
    let longest = "x".repeat(limits::KEY_BYTES_MAX);
    b.put(&longest, 8);
    assert!(b.get(&longest).is_ok(), "R18: {} bytes is the last that is fine", limits::KEY_BYTES_MAX);
    b.replay_agrees();
}

#[test]
fn sizes_that_are_zero_or_overflow_are_refused() {
    let b = bench(2);
    let starts = |size, config: ReplicateConfig| {
        let items = vec![PutItem { key: Bytes::from("k"), size }];
        let put = Request::PutStart { client: A, config: config.clone(), items: items.clone() };
        vec![("size", put), ("size", Request::UpsertStart { client: A, config, items })]
    };
    refused(&b, InvalidParams, &starts(0, replicas(1)));
    for size in [16 * MIB + 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
        for n in [1, 2] {
            refused(&b, NoAvailableHandle, &starts(size, replicas(n)));
        }
    }
}

#[test]
fn configurations_that_cannot_be_are_refused_whatever_the_key() {
    let b = bench(2);
    b.put("k", 8);
    let group = Bytes::from_static(b"G");
    let long = Bytes::from("x".repeat(limits::GROUP_BYTES_MAX + 1));
    let plain = ReplicateConfig::default;
    let cases = [
        ("no replica", ReplicateConfig { replica_num: 0, ..plain() }),
        ("too many replicas", ReplicateConfig { replica_num: u32::MAX, ..plain() }),
        ("NoF", ReplicateConfig { nof_replica_num: 1, ..plain() }),
        ("two on DFS", ReplicateConfig { dfs_replica_num: 2, ..plain() }),
        ("unknown action", ReplicateConfig { soft_pin_action: SoftPinAction::Unknown(9), ..plain() }),
        ("ttl without a pin", ReplicateConfig { soft_pin_ttl_ms: Some(1), ..plain() }),
        ("no group", ReplicateConfig { group_ids: Some(Vec::new()), ..plain() }),
        ("two groups", ReplicateConfig { group_ids: Some(vec![group.clone(), group]), ..plain() }),
        ("a group too long", ReplicateConfig { group_ids: Some(vec![long]), ..plain() }),
    ];
    for (what, config) in cases {
        let items = vec![PutItem { key: Bytes::from("new"), size: 8 }];
        let put = Request::PutStart { client: A, config: config.clone(), items: items.clone() };
        let upsert = Request::UpsertStart { client: A, config, items };
        refused(&b, InvalidParams, &[(what, put), (what, upsert)]);
    }
    let dfs = ReplicateConfig { dfs_replica_num: 1, ..plain() };
    refused(&b, DfsServiceUnavailable, &[("DFS", start(A, "new", 8, dfs))]);
}

#[test]
fn segments_that_cannot_be_are_refused() {
    let b = bench(1);
    let good = segment(9, MIB);
    let long = "x".repeat(limits::ENDPOINT_BYTES_MAX + 1);
    let bad = [
        ("base 0", SegmentSpec { base: 0, ..good.clone() }),
        ("size 0", SegmentSpec { size: 0, ..good.clone() }),
        ("an end beyond the last address", SegmentSpec { base: u64::MAX - 1, size: 2, ..good.clone() }),
        ("no name", SegmentSpec { name: String::new(), ..good.clone() }),
        ("a name too long", SegmentSpec { name: long.clone(), ..good.clone() }),
        ("an endpoint too long", SegmentSpec { te_endpoint: long.clone(), ..good.clone() }),
        ("a protocol too long", SegmentSpec { protocol: long.clone(), ..good.clone() }),
        ("a host too long", SegmentSpec { host_id: long, ..good.clone() }),
    ];
    for (what, segment) in bad {
        let mount = Request::MountSegment { client: A, segment: segment.clone() };
        refused(&b, InvalidParams, &[(what, mount)]);
        let done = b.run(&Request::ReMountSegment { client: B, segments: vec![good.clone(), segment] });
        assert_eq!(errors(&done.response), [Some(InvalidParams)], "{what}, remounted: all or nothing");
        assert!(!done.appended);
    }
    // Within one list nothing can be an earlier life of the other (R11 is for what is mounted).
    let overlap =
        SegmentSpec { id: SegmentId(Uuid { first: 10, second: 0 }), base: good.base + 1, ..good.clone() };
    let twice = [vec![good.clone(), good.clone()], vec![good.clone(), overlap]];
    for segments in twice {
        let done = b.run(&Request::ReMountSegment { client: B, segments });
        assert_eq!((errors(&done.response), done.appended), (vec![Some(InvalidParams)], false));
    }
}

#[test]
fn transfers_tasks_and_patterns_that_cannot_be_are_refused() {
    let b = bench(2);
    b.put("k", 8);
    let key = Bytes::from("k");
    let many = vec!["host-2".to_owned(); limits::REPLICAS_MAX + 1];
    let source = || "host-1".to_owned();
    let unknown = TaskId(LogPos { epoch: Epoch(u64::MAX), seq: u64::MAX });
    let mark =
        |status| Request::MarkTaskToComplete { client: A, id: unknown, status, message: String::new() };
    let calls = [
        (
            "targets",
            Request::CopyStart { client: A, key: key.clone(), source: source(), targets: many.clone() },
        ),
        ("targets", Request::CreateCopyTask { key: key.clone(), targets: many }),
        ("targets", Request::CreateCopyTask { key: key.clone(), targets: Vec::new() }),
        ("same", Request::MoveStart { client: A, key: key.clone(), source: source(), target: source() }),
        ("same", Request::CreateMoveTask { key, source: source(), target: source() }),
        ("not final", mark(TaskStatus::Pending)),
        ("not final", mark(TaskStatus::Processing)),
        ("pattern", Request::RemoveByRegex { pattern: Bytes::from_static(b"("), force: true }),
        ("pattern", Request::GetReplicaListByRegex { pattern: Bytes::from_static(b"[z-a]") }),
    ];
    refused(&b, InvalidParams, &calls);
    refused(
        &b,
        TaskNotFound,
        &[("task", mark(TaskStatus::Success)), ("task", Request::QueryTask { id: unknown })],
    );
}

/// Nothing is allocated for what is not there; nothing is refused that is merely empty.
#[test]
fn empty_batches_are_answered_with_nothing() {
    let b = bench(1);
    let (client, replica_type) = (A, ReplicaType::All);
    let config = ReplicateConfig::default;
    let calls = [
        Request::PutStart { client, config: config(), items: Vec::new() },
        Request::UpsertStart { client, config: config(), items: Vec::new() },
        Request::PutEnd { client, items: Vec::new(), replica_type },
        Request::PutRevoke { client, keys: Vec::new(), replica_type },
        Request::GetReplicaList { keys: Vec::new() },
        Request::ExistKey { keys: Vec::new() },
        Request::Remove { keys: Vec::new(), force: true },
        Request::BatchReplicaClear { keys: Vec::new(), client, segment: String::new() },
    ];
    for call in calls {
        let done = b.run(&call);
        assert!(errors(&done.response).is_empty() && !done.appended, "{}", call.name());
    }
}

/// A call of a million elements is refused in each of them, and nothing is looked at.
#[test]
fn a_million_elements_are_refused_by_every_call() {
    let b = bench(2);
    b.put("k", 8);
    let (client, replica_type, force) = (A, ReplicaType::All, true);
    let key = || Bytes::from_static(b"k");
    let config = ReplicateConfig::default;
    let calls = |n: usize| {
        let items = || vec![PutItem { key: key(), size: 8 }; n];
        let keys = || vec![key(); n];
        [
            Request::PutStart { client, config: config(), items: items() },
            Request::UpsertStart { client, config: config(), items: items() },
            Request::PutEnd { client, items: vec![EndItem { key: key(), checksum: None }; n], replica_type },
            Request::PutRevoke { client, keys: keys(), replica_type },
            Request::GetReplicaList { keys: keys() },
            Request::ExistKey { keys: keys() },
            Request::Remove { keys: keys(), force },
        ]
    };
    for n in [limits::BATCH_ITEMS_MAX + 1, 1_000_000] {
        for call in calls(n) {
            refused(&b, InvalidParams, &[("elements", call)]);
        }
        // These have one answer, or name what they did.
        let done = b.run(&Request::ReMountSegment { client, segments: vec![segment(9, MIB); n] });
        assert_eq!((errors(&done.response), done.appended), (vec![Some(InvalidParams)], false));
        let done =
            b.run(&Request::BatchReplicaClear { keys: vec![key(); n], client, segment: String::new() });
        assert_eq!((done.response, done.appended), (Response::BatchReplicaClear(Vec::new()), false));
        let done = b.run(&Request::BatchQueryIp { clients: vec![A; n] });
        assert_eq!(done.response, Response::BatchQueryIp(BTreeMap::new()));
        assert!(b.store.recount().objects == 1 && b.exist("k") == Ok(true));
    }
    let most = calls(limits::BATCH_ITEMS_MAX).into_iter().nth(5).expect("exist");
    assert_eq!(b.run(&most).response, Response::ExistKey(vec![Ok(true); limits::BATCH_ITEMS_MAX]));
}

/// What a client may mount it can also mount again, in one list.
#[test]
fn a_client_lends_so_many_segments_and_no_more() {
    const MAX: u64 = limits::SEGMENTS_PER_CLIENT_MAX as u64;
    let b = bench(0);
    let many: Vec<_> = (1..=MAX + 1).map(|n| segment(n, 64)).collect();
    let mount = |client, n| Request::MountSegment { client, segment: segment(n, 64) };
    let remount = |segments: &[_]| Request::ReMountSegment { client: A, segments: segments.to_vec() };
    let full = ErrorCode::UnavailableInCurrentStatus;
    let done = b.run(&remount(&many));
    assert_eq!((errors(&done.response), b.live_mounts()), (vec![Some(full)], 0), "all or nothing");
    assert_eq!(errors(&b.run(&remount(&many[..many.len() - 1])).response), [None]);
    assert_eq!(errors(&b.run(&mount(A, MAX + 1)).response), [Some(full)]);
    assert_eq!(errors(&b.run(&mount(B, MAX + 1)).response), [None], "another client may");
    assert_eq!(errors(&b.run(&remount(&many[..many.len() - 1])).response), [None]);
    assert_eq!(b.live_mounts(), limits::SEGMENTS_PER_CLIENT_MAX + 1);
}

/// What one expression may read is bounded in keys' bytes, too, and then grants no lease.
#[test]
fn an_expression_that_matches_too_much_is_refused_and_grants_nothing() {
    let b = bench(1);
    let long = |n: usize| format!("{n:04}{}", "k".repeat(limits::KEY_BYTES_MAX - 4));
    let most = limits::REGEX_KEY_BYTES_MAX / (limits::KEY_BYTES_MAX + 8);
    let items = (0..=most).map(|n| PutItem { key: Bytes::from(long(n)), size: 8 }).collect();
    let _ = b.run(&Request::PutStart { client: A, config: ReplicateConfig::default(), items });
    let items = (0..=most).map(|n| EndItem { key: Bytes::from(long(n)), checksum: None }).collect();
    let ended = b.run(&Request::PutEnd { client: A, items, replica_type: ReplicaType::All });
    assert_eq!(errors(&ended.response), vec![None; most + 1]);
    let read = |pattern: &'static str| Request::GetReplicaListByRegex {
        pattern: Bytes::from_static(pattern.as_bytes()),
    };
    assert_eq!(errors(&b.run(&read(".")).response), [Some(InvalidParams)]);
    assert_eq!(b.remove(&long(0), false), Ok(()), "nobody was given a lease");
    let Response::GetReplicaListByRegex(Ok(found)) = b.run(&read(".")).response else { unreachable!() };
    assert_eq!(found.len(), most, "as much as there may be");
    assert_eq!(b.remove(&long(1), false), Err(ObjectHasLease));
}

/// A long batch is gone through in parts: the answers are in order all the same.
#[test]
fn a_batch_longer_than_one_hold_of_the_table_is_one_batch() {
    let b = bench(2);
    let count = 3 * limits::TABLE_SLICE + 1;
    let key = |n: usize| Bytes::from(format!("k{n}"));
    let items = (0..count).map(|n| PutItem { key: key(n), size: 1 + n as u64 }).collect();
    let config = ReplicateConfig { prefer_alloc_in_same_node: true, ..ReplicateConfig::default() };
    let Response::PutStart(started) = b.run(&Request::PutStart { client: A, config, items }).response else {
        unreachable!()
    };
    let of_one = |s: &Result<ReplicaDescriptors, Refusal>| {
        let replica = &s.as_ref().expect("room")[0];
        (replica.size, replica.segment.name.clone())
    };
    let placed: Vec<_> = started.iter().map(of_one).collect();
    assert!(placed.iter().enumerate().all(|(n, (size, name))| *size == 1 + n as u64 && *name == placed[0].1));
    let items = (0..count).rev().map(|n| EndItem { key: key(n), checksum: None }).collect();
    let done = b.run(&Request::PutEnd { client: A, items, replica_type: ReplicaType::All });
    assert_eq!(errors(&done.response), vec![None; count]);
    let keys: Vec<Bytes> = (0..2 * count).rev().map(key).collect();
    let Response::GetReplicaList(found) = b.run(&Request::GetReplicaList { keys: keys.clone() }).response
    else {
        unreachable!()
    };
    let sizes: Vec<_> = found.iter().map(|r| r.as_ref().ok().map(|l| l.replicas[0].size)).collect();
    let expected: Vec<_> = (0..2 * count).rev().map(|n| (n < count).then_some(1 + n as u64)).collect();
    assert_eq!(sizes, expected);
    let done = b.run(&Request::Remove { keys, force: true });
    let gone: Vec<_> = (0..2 * count).rev().map(|n| (n >= count).then_some(ObjectNotFound)).collect();
    assert_eq!(errors(&done.response), gone);
}

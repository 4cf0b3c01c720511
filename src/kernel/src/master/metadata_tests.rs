//! The transfer metadata server.

use super::*;
use crate::api::MetadataPut;

const RPC: &str = "mooncake%2Frpc_meta%2Fhost-1";
const RAM: &str = "mooncake%2Fram%2Fhost-1";

fn get(b: &Bench, key: &str) -> Option<Bytes> {
    match b.run(&Request::GetMetadata { key: Bytes::from(key.to_owned()) }).response {
        Response::GetMetadata(found) => found.ok(),
        other => unreachable!("{other:?}"),
    }
}

fn put(b: &Bench, key: &str, value: impl Into<Bytes>) -> Result<MetadataPut, Refusal> {
    let key = Bytes::from(key.to_owned());
    match b.run(&Request::PutMetadata { key, value: value.into() }).response {
        Response::PutMetadata(done) => done,
        other => unreachable!("{other:?}"),
    }
}

fn remove(b: &Bench, key: &str) -> Result<(), Refusal> {
    match b.run(&Request::RemoveMetadata { key: Bytes::from(key.to_owned()) }).response {
        Response::RemoveMetadata(done) => done,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_value_is_told_replaced_and_taken_back() {
    let b = bench(0);
    assert_eq!((get(&b, RAM), remove(&b, RAM)), (None, Err(Refusal::MetadataNotFound)));
    assert_eq!(put(&b, RAM, "one"), Ok(MetadataPut::Updated));
    assert_eq!(put(&b, RAM, "one"), Ok(MetadataPut::Unchanged));
    assert_eq!(put(&b, RAM, "two"), Ok(MetadataPut::Updated));
    assert_eq!(get(&b, RAM), Some("two".into()));
    // Keys are compared as they are spelled.
    assert_eq!(get(&b, "mooncake/ram/host-1"), None);
    assert_eq!((remove(&b, RAM), get(&b, RAM)), (Ok(()), None));
    assert_eq!(put(&b, RAM, ""), Ok(MetadataPut::Updated), "nothing is a value, too");
    assert_eq!(get(&b, RAM), Some(Bytes::new()));
}

#[test]
fn a_change_waits_for_the_in_sync_set_in_async_mode_too() {
    let b = bench(0);
    let key = || Bytes::from_static(RAM.as_bytes());
    let waits = |r: &Request| b.run(r).bytes_depend_on == b.log.tail();
    assert!(waits(&Request::PutMetadata { key: key(), value: "x".into() }));
    assert!(!waits(&Request::GetMetadata { key: key() }));
    assert!(waits(&Request::RemoveMetadata { key: key() }));
}

#[test]
fn where_a_process_is_reached_is_told_once() {
    let b = bench(0);
    assert_eq!(put(&b, RPC, "here"), Ok(MetadataPut::Updated));
    assert_eq!(put(&b, RPC, "here"), Ok(MetadataPut::Unchanged));
    assert_eq!(put(&b, RPC, "there"), Ok(MetadataPut::Duplicate));
    assert_eq!(get(&b, RPC), Some("here".into()));
    assert_eq!(remove(&b, RPC), Ok(()));
    assert_eq!(put(&b, RPC, "there"), Ok(MetadataPut::Updated));
}

#[test]
fn it_is_there_after_a_takeover_and_in_a_replayed_log() {
    let b = bench(1);
    let long = vec![7; 3 * limits::METADATA_PART_BYTES_MAX + 5];
    put(&b, RAM, long.clone()).expect("room");
    put(&b, RPC, "here").expect("room");
    let b = b.takeover(TTL);
    assert_eq!(get(&b, RAM), Some(long.into()));
    assert_eq!(put(&b, RPC, "there"), Ok(MetadataPut::Duplicate));
    b.replay_agrees();
}

#[test]
fn every_measure_has_its_maximum() {
    let b = bench(0);
    let long = "k".repeat(limits::KEY_BYTES_MAX + 1);
    for (key, bytes, part) in
        [("", 1, "key length"), (&long, 1, "key length"), (RAM, (1 << 20) + 1, "metadata")]
    {
        let refusal = put(&b, key, vec![0; bytes]).expect_err("too much");
        assert!(matches!(&refusal, Refusal::InvalidParams { what, .. } if what.contains(part)), "{refusal}");
    }
    let fits = limits::METADATA_BYTES_MAX / (limits::METADATA_VALUE_BYTES_MAX + 8);
    let key = |n: usize| format!("{n:08}");
    for n in 0..fits {
        put(&b, &key(n), vec![0; limits::METADATA_VALUE_BYTES_MAX]).expect("room");
    }
    let full = put(&b, &key(fits), vec![0; limits::METADATA_VALUE_BYTES_MAX]);
    assert_eq!(full, Err(Refusal::Full { what: "bytes of metadata", max: limits::METADATA_BYTES_MAX }));
    assert_eq!(put(&b, &key(0), vec![1; limits::METADATA_VALUE_BYTES_MAX]), Ok(MetadataPut::Updated));
}

#[test]
fn what_an_expired_lender_told_goes_with_it_where_that_is_asked_for() {
    for asked in [false, true] {
        let clients = ClientTimes { own_stall: Duration::from_secs(600), ..ClientTimes::default() };
        let config = MasterConfig { metadata_cleanup: asked, clients, ..TIMES.into() };
        let mut b = bench_of(config, 2);
        for key in [RPC, RAM, "mooncake%2Fram%2Fhost-10", "mooncake/c1/ram/host-2", "else/ram/host-1"] {
            put(&b, key, "x").expect("room");
        }
        b.sleep(60_000);
        let _ = b.master.maintain(b.now, WallTime(7));
        let left = [RPC, RAM, "mooncake%2Fram%2Fhost-10", "mooncake/c1/ram/host-2", "else/ram/host-1"]
            .map(|key| get(&b, key).is_some());
        assert_eq!(left, [!asked, !asked, true, !asked, true]);
        b.replay_agrees();
    }
}

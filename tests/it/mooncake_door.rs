//! The door for Mooncake's protocol: calls, the transport's reactions to what
//! is wrong (WIRE 6), and who may be reached at all.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use standfast_wire::calls as w;
use standfast_wire::types::{
    ClientStatus, Descriptor, ErrorCode, ObjectMeta, ReplicaStatus, ReplicaType, ReplicateConfig, Segment,
    SegmentStatus, SoftPinAction, Uuid,
};
use standfast_wire::{Form, List, Method, RequestHeader, frame};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::mooncake::{Client, ME, TENANT, exist, mount, plain, put_end, put_start, result_of};
use crate::node::{Node, PATIENCE};

const DOOR: &str = "--mooncake 127.0.0.1:0";
/// All that the door takes, but for two that work.
const IDLE_CONNECTIONS: usize = 9_998;

async fn primary() -> (Node, Client) {
    let node = Node::start(&format!("--node a --role primary {DOOR}"));
    let client = Client::connect_when_served(&node.mooncake).await;
    (node, client)
}

#[tokio::test]
async fn a_value_is_put_found_read_and_removed() {
    let (node, mut client) = primary().await;
    let ready = client.call(&w::ServiceReady).await.expect("a result");
    assert_eq!(result_of!(ServiceReady, ready), Ok(&b"2.0.0"[..]));
    let mounted = client.call(&mount(1 << 20)).await.expect("a result");
    assert_eq!(result_of!(MountSegment, mounted), Ok(()));

    let started = client.call(&put_start(b"k\xff")).await.expect("a result");
    let started = result_of!(PutStart, started).expect("placed");
    let replica = started.iter().next().expect("one replica");
    let Descriptor::Memory(memory) = replica.descriptor_variant else { unreachable!("{replica:?}") };
    let buffer = memory.buffer_descriptor;
    assert_eq!((started.len(), replica.status, buffer.size), (1, ReplicaStatus::PROCESSING, 100));
    assert_eq!((buffer.protocol, buffer.transport_endpoint), (&b"tcp"[..], &b"10.0.0.1:17000"[..]));
    let again = client.call(&put_start(b"k\xff")).await.expect("a result");
    assert_eq!(result_of!(PutStart, again).err(), Some(ErrorCode::OBJECT_ALREADY_EXISTS));

    let get = w::GetReplicaList { key: b"k\xff", tenant_id: TENANT };
    let early = client.call(&get).await.expect("a result");
    assert_eq!(result_of!(GetReplicaList, early).err(), Some(ErrorCode::REPLICA_IS_NOT_READY));
    let early = client.call(&exist(b"k\xff")).await.expect("a result");
    assert_eq!(result_of!(ExistKey, early), Ok(false));
    let stranger = w::PutEnd { client_id: Uuid { first: 1, second: 1 }, ..put_end(b"k\xff") };
    let stranger = client.call(&stranger).await.expect("a result");
    assert_eq!(result_of!(PutEnd, stranger), Err(ErrorCode::ILLEGAL_CLIENT));
    let disk = w::PutEnd { replica_type: ReplicaType::DISK, ..put_end(b"k\xff") };
    let disk = client.call(&disk).await.expect("a result");
    assert_eq!(result_of!(PutEnd, disk), Ok(()), "it has no disk replica, so nothing changes");
    let early = client.call(&exist(b"k\xff")).await.expect("a result");
    assert_eq!(result_of!(ExistKey, early), Ok(false));
    let ended = client.call(&put_end(b"k\xff")).await.expect("a result");
    assert_eq!(result_of!(PutEnd, ended), Ok(()));

    let found = client.call(&get).await.expect("a result");
    let found = result_of!(GetReplicaList, found).expect("readable");
    assert_eq!((found.object_checksum, found.lease_ttl_ms), (Some(5), 10_000));
    let read = found.replicas.iter().next().expect("one replica");
    assert_eq!((read.status, read.descriptor_variant), (ReplicaStatus::COMPLETE, replica.descriptor_variant));

    let remove = |force| w::Remove { key: b"k\xff", force, tenant_id: TENANT };
    let leased = client.call(&remove(false)).await.expect("a result");
    assert_eq!(result_of!(Remove, leased), Err(ErrorCode::OBJECT_HAS_LEASE));
    let removed = client.call(&remove(true)).await.expect("a result");
    assert_eq!(result_of!(Remove, removed), Ok(()));
    let gone = client.call(&get).await.expect("a result");
    assert_eq!(result_of!(GetReplicaList, gone).err(), Some(ErrorCode::OBJECT_NOT_FOUND));
    let status = node.status(true).await;
    assert_eq!(status.identity.expect("identity").mooncake_addr.as_deref(), Some(node.mooncake.as_str()));
    let store = status.store.expect("store");
    assert_eq!(store.digest, store.recount);
}

/// WIRE 10.1: what a client does from its start to its end.
#[tokio::test]
async fn a_lender_lives_and_leaves() {
    let (_node, mut client) = primary().await;
    let storage = client.call(&w::GetStorageConfig).await.expect("a result");
    let storage = result_of!(GetStorageConfig, storage).expect("always");
    assert_eq!((storage.fsdir, storage.enable_disk_eviction, storage.quota_bytes), (&b""[..], true, 0));
    let fsdir = client.call(&w::GetFsdir).await.expect("a result");
    assert_eq!(result_of!(GetFsdir, fsdir), Ok(&b""[..]));
    client.call(&mount(1 << 20)).await.expect("mounted");
    let ping = w::Ping { client_id: ME };
    let segments = [mount(1 << 20).segment];
    let remount = w::ReMountSegment { segments: List::new(&segments), client_id: ME };
    for expected in [ClientStatus::NEED_REMOUNT, ClientStatus::OK] {
        let pinged = client.call(&ping).await.expect("a result");
        assert_eq!(result_of!(Ping, pinged).expect("always").client_status, expected);
        let remounted = client.call(&remount).await.expect("a result");
        assert_eq!(result_of!(ReMountSegment, remounted), Ok(()));
    }
    let tasks = client.call(&w::FetchTasks { client_id: ME, batch_size: 16 }).await.expect("a result");
    assert_eq!(result_of!(FetchTasks, tasks).expect("always").len(), 0);
    let hosts = w::BatchQueryIp { client_ids: List::new(&[ME, Uuid { first: 3, second: 3 }]) };
    let hosts = client.call(&hosts).await.expect("a result");
    let hosts: Vec<_> = result_of!(BatchQueryIp, hosts).expect("always").0.iter().collect();
    assert_eq!(hosts, [(ME, List::new(&[&b"10.0.0.1"[..]]))]);
    let id = segments[0].id;
    let status = w::QuerySegmentStatusById { segment_id: id };
    let by_name = w::QuerySegmentStatus { segment_name: b"host-1:1" };
    let found = client.call(&by_name).await.expect("a result");
    assert_eq!(result_of!(QuerySegmentStatus, found), Ok(SegmentStatus::OK));
    let grace = w::GracefulUnmountSegment { segment_id: id, client_id: ME, grace_period_ms: 60_000 };
    let leaving = client.call(&grace).await.expect("a result");
    assert_eq!(result_of!(GracefulUnmountSegment, leaving), Ok(()));
    let found = client.call(&status).await.expect("a result");
    assert_eq!(result_of!(QuerySegmentStatusById, found), Ok(SegmentStatus::GRACEFULLY_UNMOUNTING));
    for _ in 0..2 {
        let unmount = w::UnmountSegment { segment_id: id, client_id: ME };
        let unmounted = client.call(&unmount).await.expect("a result");
        assert_eq!(result_of!(UnmountSegment, unmounted), Ok(()), "also of an unknown one");
    }
    let gone = client.call(&status).await.expect("a result");
    assert_eq!(result_of!(QuerySegmentStatusById, gone), Err(ErrorCode::SEGMENT_NOT_FOUND));
}

/// More elements than the hall takes at once: one call to the client.
#[tokio::test]
async fn a_batch_of_66_000_keys_is_one_call() {
    let (_node, mut client) = primary().await;
    client.call(&mount(1 << 40)).await.expect("mounted");
    let names: Vec<String> = (0..66_000).map(|i| format!("key-{i}")).collect();
    let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let sizes = vec![8; keys.len()];
    let start = w::BatchPutStart {
        client_id: ME,
        keys: List::new(&keys[..20_000]),
        slice_lengths: List::new(&sizes[..20_000]),
        config: plain(),
        tenant_id: TENANT,
    };
    let started = client.call(&start).await.expect("a result");
    let started = result_of!(BatchPutStart, started);
    assert_eq!((started.len(), started.iter().filter(Result::is_ok).count()), (20_000, 20_000));
    let metas: Vec<_> = keys[..20_000].iter().map(|key| ObjectMeta { key, object_checksum: None }).collect();
    let end = w::BatchPutEnd {
        client_id: ME,
        object_metas: List::new(&metas),
        replica_type: ReplicaType::ALL,
        tenant_id: TENANT,
    };
    let ended = client.call(&end).await.expect("a result");
    assert!(result_of!(BatchPutEnd, ended).iter().eq(std::iter::repeat_n(Ok(()), 20_000)));
    let all = w::BatchExistKey { keys: List::new(&keys), tenant_id: TENANT };
    let exist = client.call(&all).await.expect("a result");
    let expected = (0..66_000).map(|i| Ok(i < 20_000));
    assert!(result_of!(BatchExistKey, exist).iter().eq(expected), "each in its place");
    let get = w::BatchGetReplicaList { keys: List::new(&keys[19_999..20_001]), tenant_id: TENANT };
    let found = client.call(&get).await.expect("a result");
    let found: Vec<_> = result_of!(BatchGetReplicaList, found).iter().map(|r| r.map(|_| ())).collect();
    assert_eq!(found, [Ok(()), Err(ErrorCode::OBJECT_NOT_FOUND)]);
    let remove = w::BatchRemove { keys: List::new(&keys[19_999..20_001]), force: true, tenant_id: TENANT };
    let removed = client.call(&remove).await.expect("a result");
    let removed: Vec<_> = result_of!(BatchRemove, removed).iter().collect();
    assert_eq!(removed, [Ok(()), Err(ErrorCode::OBJECT_NOT_FOUND)]);
}

/// SEMANTICS 2.2: what the first success chose holds for the call, also where the door cuts it into batches.
#[tokio::test]
async fn objects_that_want_one_node_get_one_across_batches() {
    let (_node, mut client) = primary().await;
    let names: Vec<String> = (0..8).map(|i| format!("host-{i}:1")).collect();
    for (i, name) in names.iter().enumerate() {
        let segment = Segment {
            id: Uuid { first: i as u64 + 1, second: 0 },
            name: name.as_bytes(),
            base: (i as u64 + 1) << 40,
            te_endpoint: name.as_bytes(),
            ..mount(1 << 30).segment
        };
        let mounted = client.call(&w::MountSegment { segment, client_id: ME }).await.expect("a result");
        assert_eq!(result_of!(MountSegment, mounted), Ok(()));
    }
    let names: Vec<String> = (0..30_001).map(|i| format!("key-{i}")).collect();
    let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let sizes = vec![8; keys.len()];
    let together = w::BatchPutStart {
        client_id: ME,
        keys: List::new(&keys),
        slice_lengths: List::new(&sizes),
        config: ReplicateConfig { prefer_alloc_in_same_node: true, ..plain() },
        tenant_id: TENANT,
    };
    let started = client.call(&together).await.expect("a result");
    let mut endpoints: Vec<Vec<u8>> = Vec::new();
    for placed in result_of!(BatchPutStart, started) {
        let replica = placed.expect("placed").iter().next().expect("one replica");
        let Descriptor::Memory(memory) = replica.descriptor_variant else { unreachable!("{replica:?}") };
        endpoints.push(memory.buffer_descriptor.transport_endpoint.to_vec());
    }
    assert_eq!(endpoints.len(), 30_001);
    endpoints.dedup();
    assert_eq!(endpoints.len(), 1, "{endpoints:?}");
}

/// SEMANTICS 2.2, as a master without NoF and DFS answers.
#[tokio::test]
async fn configs_are_refused_as_a_stock_master_refuses_them() {
    type Change = fn(&mut ReplicateConfig<'static>);
    let (_node, mut client) = primary().await;
    client.call(&mount(1 << 20)).await.expect("mounted");
    let params = Some(ErrorCode::INVALID_PARAMS);
    let cases: &[(&str, Change, Option<ErrorCode>)] = &[
        ("plain", |_| {}, None),
        ("no replica", |c| c.replica_num = 0, params),
        ("more than anybody has", |c| c.replica_num = u64::MAX, params),
        ("one in the file system", |c| c.dfs_replica_num = 1, Some(ErrorCode::DFS_SERVICE_UNAVAILABLE)),
        ("two in the file system", |c| c.dfs_replica_num = 2, params),
        ("NoF", |c| c.nof_replica_num = 1, params),
        ("hard pin", |c| c.with_hard_pin = true, None),
        ("soft pin", |c| c.soft_pin_action = SoftPinAction::ENABLE, None),
        ("ttl without a pin", |c| c.soft_pin_ttl_ms = Some(1), params),
        ("unknown action", |c| c.soft_pin_action = SoftPinAction(3), params),
        ("a group", |c| c.group_ids = Some(List::new(&[b"g"])), None),
        ("a group too many", |c| c.group_ids = Some(List::new(&[b"g", b"h"])), params),
    ];
    for (what, change, refused) in cases {
        let mut config = plain();
        change(&mut config);
        let started =
            client.call(&w::PutStart { config, ..put_start(what.as_bytes()) }).await.expect("a result");
        assert_eq!(result_of!(PutStart, started).err(), *refused, "{what}");
    }
}

/// Lists of different lengths are refused in every element, an element that cannot be alone.
#[tokio::test]
async fn s8_23_a_batch_start_with_too_few_lengths_is_refused_in_every_element() {
    let (_node, mut client) = primary().await;
    client.call(&mount(1 << 20)).await.expect("mounted");
    let keys: [&[u8]; 3] = [b"", b"zero", b"good"];
    let params = Err(ErrorCode::INVALID_PARAMS);
    let cases = [(&[1, 1][..], [params, params, params]), (&[1, 0, 1][..], [params, params, Ok(())])];
    for (sizes, expected) in cases {
        let call = w::BatchPutStart {
            client_id: ME,
            keys: List::new(&keys),
            slice_lengths: List::new(sizes),
            config: plain(),
            tenant_id: TENANT,
        };
        let started = client.call(&call).await.expect("a result");
        let started: Vec<_> = result_of!(BatchPutStart, started).iter().map(|r| r.map(|_| ())).collect();
        assert_eq!(started, expected, "{sizes:?}");
    }
}

#[tokio::test]
async fn writes_are_given_up_replaced_and_removed_in_numbers() {
    let (_node, mut client) = primary().await;
    client.call(&mount(1 << 20)).await.expect("mounted");
    client.call(&put_start(b"given up")).await.expect("started");
    let revoke =
        w::PutRevoke { client_id: ME, key: b"given up", replica_type: ReplicaType::ALL, tenant_id: TENANT };
    let revoked = client.call(&revoke).await.expect("a result");
    assert_eq!(result_of!(PutRevoke, revoked), Ok(()));
    let again = client.call(&revoke).await.expect("a result");
    assert_eq!(result_of!(PutRevoke, again), Err(ErrorCode::OBJECT_NOT_FOUND));

    let keys: [&[u8]; 3] = [b"red", b"green", b"blue"];
    let start = w::BatchUpsertStart {
        client_id: ME,
        keys: List::new(&keys),
        slice_lengths: List::new(&[7, 7, 7]),
        config: plain(),
        tenant_id: TENANT,
    };
    let metas = keys.map(|key| ObjectMeta { key, object_checksum: None });
    let end = w::BatchUpsertEnd { client_id: ME, object_metas: List::new(&metas), tenant_id: TENANT };
    for round in ["new", "replaced"] {
        let started = client.call(&start).await.expect("a result");
        assert!(result_of!(BatchUpsertStart, started).iter().all(|r| r.is_ok()), "{round}");
        let ended = client.call(&end).await.expect("a result");
        assert!(result_of!(BatchUpsertEnd, ended).iter().eq([Ok(()); 3]), "{round}");
    }
    let regex = w::GetReplicaListByRegex { regex: b"^(red|blue)$", tenant_id: TENANT };
    let found = client.call(&regex).await.expect("a result");
    let found = result_of!(GetReplicaListByRegex, found).expect("found");
    let mut found: Vec<_> = found.0.iter().map(|(key, replicas)| (key, replicas.len())).collect();
    found.sort_unstable();
    assert_eq!(found, [(&b"blue"[..], 1), (&b"red"[..], 1)]);
    let wrong = w::RemoveByRegex { regex: b"(", force: true, tenant_id: TENANT };
    let wrong = client.call(&wrong).await.expect("a result");
    assert_eq!(result_of!(RemoveByRegex, wrong), Err(ErrorCode::INVALID_PARAMS));
    let remove = w::RemoveByRegex { regex: b"re", force: true, tenant_id: TENANT };
    let removed = client.call(&remove).await.expect("a result");
    assert_eq!(result_of!(RemoveByRegex, removed), Ok(2), "red and green");
    client.call(&put_start(b"unread")).await.expect("started");
    client.call(&put_end(b"unread")).await.expect("ended");
    let keys: [&[u8]; 4] = [b"red", b"blue", b"unread", b"none"];
    let clear = w::BatchReplicaClear { object_keys: List::new(&keys), client_id: ME, segment_name: b"" };
    let cleared = client.call(&clear).await.expect("a result");
    let cleared: Vec<_> = result_of!(BatchReplicaClear, cleared).expect("cleared").iter().collect();
    assert_eq!(cleared, [b"unread"], "red is gone, a reader has blue, the last never was");
    client.call(&put_start(b"last")).await.expect("started");
    client.call(&put_end(b"last")).await.expect("ended");
    let all = client.call(&w::RemoveAll { force: true, tenant_id: TENANT }).await.expect("a result");
    assert_eq!(result_of!(RemoveAll, all), 2, "blue and the last");
}

/// Multi-tenancy is off: whatever tenant a call names, there is one namespace.
#[tokio::test]
async fn s8_89_without_multi_tenancy_all_tenants_are_one() {
    let (_node, mut client) = primary().await;
    client.call(&mount(1 << 20)).await.expect("mounted");
    let started = w::PutStart { tenant_id: b"red", ..put_start(b"k") };
    let started = client.call(&started).await.expect("a result");
    assert!(result_of!(PutStart, started).is_ok());
    let again = client.call(&w::PutStart { tenant_id: b"", ..put_start(b"k") }).await.expect("a result");
    assert_eq!(result_of!(PutStart, again).err(), Some(ErrorCode::OBJECT_ALREADY_EXISTS));
    let ended = client.call(&w::PutEnd { tenant_id: b"_blue", ..put_end(b"k") }).await.expect("a result");
    assert_eq!(result_of!(PutEnd, ended), Ok(()));
    for tenant_id in [&b"default"[..], b"green", b"_invalid", b"\x00", b""] {
        let asked = client.call(&w::ExistKey { key: b"k", tenant_id }).await.expect("a result");
        assert_eq!(result_of!(ExistKey, asked), Ok(true), "{tenant_id:?}");
    }
    let all = client.call(&w::RemoveAll { force: true, tenant_id: b"green" }).await.expect("a result");
    assert_eq!(result_of!(RemoveAll, all), 1);
}

/// The recorded inputs of WIRE 6 and the reference master's reactions.
#[tokio::test]
async fn calls_that_cannot_be_understood_get_the_protocols_errors() {
    let (_node, mut client) = primary().await;
    let request = |function_id, payload: &[u8], length, attach_length| {
        let header = RequestHeader { msg_type: 9, seq_num: 7, function_id, length, attach_length };
        [&header.to_bytes()[..], payload].concat()
    };
    let exist = Method::ExistKey.contract().function_id;
    let unknown = "15000b00070000002800000000000000 77facf9d 04 800c 00 1f";
    let arguments = "15000400070000001800000000000000 77facf9d 04 800c 00 0f";
    let cases: [(&str, Vec<u8>, &str, &str); 3] = [
        ("unknown function", request(1, b"any", 3, 0), unknown, "the rpc function not registered"),
        ("garbage", request(exist, b"garbage", 7, 0), arguments, "invalid rpc arg"),
        ("nothing", request(exist, b"", 0, 0), arguments, "invalid rpc arg"),
    ];
    for (what, bytes, head, text) in cases {
        client.send_bytes(&bytes).await;
        let expected = [unhex(head), text.as_bytes().to_vec()].concat();
        assert_eq!(client.receive_bytes(expected.len()).await, expected, "{what}");
    }
    // An attachment is dropped, and the connection is as good as before.
    let ready = Method::ServiceReady.contract().function_id;
    client.send_bytes(&request(ready, b"attached", 0, 8)).await;
    assert!(client.receive().await.expect("open").1.is_ok());
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).expect("ascii"), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}

#[tokio::test]
async fn frames_that_cannot_be_close_the_connection_and_hurt_nobody() {
    let (node, mut other) = primary().await;
    let header = |length, attach_length| {
        RequestHeader { msg_type: 0, seq_num: 0, function_id: 1, length, attach_length }.to_bytes().to_vec()
    };
    let with = |at: usize, byte| {
        let mut bytes = header(0, 0);
        bytes[at] = byte;
        bytes
    };
    let cases = [
        ("wrong magic", with(0, 0x16)),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("version 1", with(1, 1)),
        ("another serialization", with(2, 1)),
        ("4 GiB of payload", header(u32::MAX, 0)),
    ];
    for (what, bytes) in cases {
        let mut client = Client::connect(&node.mooncake).await;
        client.send_bytes(&bytes).await;
        assert!(client.receive().await.is_none(), "{what}: closed without an answer");
        assert!(other.call(&w::ServiceReady).await.is_ok(), "{what}: another client is served");
    }
    // 4 GiB of attachment: answered like any unknown function would be, then nothing more is taken.
    let mut client = Client::connect(&node.mooncake).await;
    client.send_bytes(&header(0, u32::MAX)).await;
    assert!(client.receive().await.is_none());

    let mut client = Client::connect(&node.mooncake).await;
    let mut bytes = Vec::new();
    frame::write_request(&mut bytes, 0, &w::ServiceReady, Form::LONG).expect("fits");
    bytes.extend_from_slice(b"nonsense");
    client.send_bytes(&bytes).await;
    assert!(client.receive().await.expect("what came before is answered").1.is_ok());
    assert!(client.receive().await.is_none(), "then it is closed");
}

#[tokio::test]
async fn half_a_frame_and_silence_is_closed_and_an_idle_connection_is_not() {
    let (node, mut idle) = primary().await;
    let mut bytes = Vec::new();
    frame::write_request(&mut bytes, 0, &exist(b"key"), Form::LONG).expect("fits");
    let mut half = Client::connect(&node.mooncake).await;
    let begun = Instant::now();
    half.send_bytes(&bytes[..25]).await;
    assert!(half.receive().await.is_none());
    assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
    assert!(idle.call(&w::ServiceReady).await.is_ok());
    // In pieces, but in time.
    for piece in bytes.chunks(5) {
        idle.send_bytes(piece).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (_, answer) = idle.receive().await.expect("open");
    assert_eq!(result_of!(ExistKey, answer.expect("a result")), Ok(false));
}

#[tokio::test]
async fn a_mebibyte_of_requests_in_one_write_is_answered_in_order() {
    let (_node, mut client) = primary().await;
    client.call(&mount(1 << 30)).await.expect("mounted");
    let mut bytes = Vec::new();
    let mut count = 0;
    while bytes.len() < 1 << 20 {
        let key = format!("pipelined-{count}");
        frame::write_request(&mut bytes, count, &put_start(key.as_bytes()), Form::LONG).expect("fits");
        frame::write_request(&mut bytes, count + 1, &put_end(key.as_bytes()), Form::SHORT).expect("fits");
        frame::write_request(&mut bytes, count + 2, &exist(key.as_bytes()), Form::LONG).expect("fits");
        count += 3;
    }
    client.send_bytes(&bytes).await;
    for expected in 0..count {
        let (seq, answer) = client.receive().await.expect("open");
        let answer = answer.expect("a result");
        assert_eq!(seq, expected);
        match seq % 3 {
            0 => assert!(result_of!(PutStart, answer).is_ok()),
            1 => assert_eq!(result_of!(PutEnd, answer), Ok(())),
            _ => assert_eq!(result_of!(ExistKey, answer), Ok(true), "after its own end"),
        }
    }
}

/// It is not read from until it reads; the others do not notice.
#[tokio::test]
async fn a_slow_reader_hurts_nobody() {
    let (node, mut other) = primary().await;
    other.call(&mount(1 << 20)).await.expect("mounted");
    other.call(&put_start(b"k")).await.expect("started");
    other.call(&put_end(b"k")).await.expect("ended");
    let keys = vec![&b"k"[..]; 50_000];
    let mut request = Vec::new();
    let get = w::BatchGetReplicaList { keys: List::new(&keys), tenant_id: TENANT };
    frame::write_request(&mut request, 0, &get, Form::SHORT).expect("fits");
    let mut slow = Client::connect(&node.mooncake).await;
    let sent = async {
        for _ in 0..200 {
            slow.send_bytes(&request).await;
        }
    };
    let stuck = tokio::time::timeout(Duration::from_secs(3), sent).await;
    assert!(stuck.is_err(), "requests are not taken in while replies are not taken");
    assert!(node.resident_bytes() < 200 << 20, "{} bytes", node.resident_bytes());
    let asked = other.call(&exist(b"k")).await.expect("a result");
    assert_eq!(result_of!(ExistKey, asked), Ok(true));
    let (_, answer) = slow.receive().await.expect("open");
    assert_eq!(result_of!(BatchGetReplicaList, answer.expect("a result")).len(), 50_000);
}

#[tokio::test]
async fn idle_connections_cost_little_and_too_many_are_closed_at_once() {
    let node = Node::start(&format!("--node a --role primary {DOOR}"));
    let mut first = Client::connect_when_served(&node.mooncake).await;
    let before = node.resident_bytes();
    let mut idle = Vec::new();
    for _ in 0..400 {
        let mut client = Client::connect(&node.mooncake).await;
        client.call(&w::ServiceReady).await.expect("served");
        idle.push(client);
    }
    let each = node.resident_bytes().saturating_sub(before) / 400;
    assert!(each < 16 << 10, "{each} bytes a connection");
    assert!(first.call(&w::ServiceReady).await.is_ok());

    // Half of the files are for connections of this door.
    let small = Node::start_with_files(64, &format!("--node b --role primary {DOOR}"));
    let mut held = vec![Client::connect_when_served(&small.mooncake).await];
    held[0].call(&w::ServiceReady).await.expect("served");
    let mut closed = 0;
    while held.len() < 40 && closed == 0 {
        let mut client = Client::connect(&small.mooncake).await;
        if client.is_served().await { held.push(client) } else { closed += 1 }
    }
    assert!((30..=32).contains(&held.len()) && closed == 1, "{} held", held.len());
    assert!(held[0].call(&w::ServiceReady).await.is_ok(), "those that are in stay");
    assert!(small.status(false).await.identity.is_some(), "operators get in");
    held.truncate(1);
    let again = async { while !Client::connect(&small.mooncake).await.is_served().await {} };
    tokio::time::timeout(PATIENCE, again).await.expect("served again");
}

/// As many as the door takes: they cost little, and the one that works is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_hurt_nobody() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(12_000).min(hard), hard).expect("raised");
    // The door leaves half of a system's files to others.
    let connections = IDLE_CONNECTIONS.min(hard as usize / 2 - 2);
    let (node, mut working) = primary().await;
    working.call(&mount(1 << 20)).await.expect("mounted");
    let before = node.resident_bytes();
    let mut idle = Vec::new();
    while idle.len() < connections {
        // Some say hello, most never say a word.
        let mut client = Client::connect(&node.mooncake).await;
        if idle.len() % 10 == 0 {
            client.call(&w::ServiceReady).await.expect("served");
        }
        idle.push(client);
    }
    for key in [&b"a"[..], b"b"] {
        let started = working.call(&put_start(key)).await.expect("a result");
        assert!(result_of!(PutStart, started).is_ok());
        let ended = working.call(&put_end(key)).await.expect("a result");
        assert_eq!(result_of!(PutEnd, ended), Ok(()));
    }
    let each = node.resident_bytes().saturating_sub(before) / idle.len() as u64;
    assert!(each < 8 << 10, "{each} bytes a connection");
    let last = idle.last_mut().expect("some");
    assert!(last.is_served().await, "the newest of them is served as well");
    assert!(node.status(false).await.identity.is_some(), "operators get in");
}

/// Whoever announces much and sends little holds what he sent, not what he announced.
#[tokio::test]
async fn lengths_that_lie_take_no_memory() {
    let (node, mut other) = primary().await;
    let before = node.resident_bytes();
    let header = RequestHeader { msg_type: 0, seq_num: 0, function_id: 1, length: 8 << 20, attach_length: 0 };
    let mut liars = Vec::new();
    for _ in 0..500 {
        let mut client = Client::connect(&node.mooncake).await;
        client.send_bytes(&header.to_bytes()).await;
        client.send_bytes(&[0; 1000]).await;
        liars.push(client);
    }
    assert!(other.call(&w::ServiceReady).await.is_ok());
    let took = node.resident_bytes().saturating_sub(before);
    assert!(took < 64 << 20, "{took} bytes for 4 GB announced");
    for mut liar in liars {
        assert!(liar.receive().await.is_none(), "closed once its time is over");
    }
}

#[tokio::test]
async fn names_must_be_text_and_keys_need_not() {
    let (_node, mut client) = primary().await;
    let named = |name: &'static [u8]| {
        let segment = Segment { name, ..mount(1 << 20).segment };
        w::MountSegment { segment, client_id: ME }
    };
    let refused = client.call(&named(b"host\xff:1")).await.expect("a result");
    assert_eq!(result_of!(MountSegment, refused), Err(ErrorCode::INVALID_PARAMS));
    let mounted = client.call(&named(b"host:1")).await.expect("a result");
    assert_eq!(result_of!(MountSegment, mounted), Ok(()));
    let keys: [&[u8]; 3] = [b"\xff\xfe", b"\0", b"\xf0\x28\x8c\x28"];
    for key in keys {
        client.call(&put_start(key)).await.expect("a result");
        let ended = client.call(&put_end(key)).await.expect("a result");
        assert_eq!(result_of!(PutEnd, ended), Ok(()), "{key:?}");
    }
    let found =
        client.call(&w::GetReplicaListByRegex { regex: b".*", tenant_id: TENANT }).await.expect("a result");
    assert!(result_of!(GetReplicaListByRegex, found).is_ok());
    let wrong = client.call(&w::RemoveByRegex { regex: b"\xff(", force: true, tenant_id: TENANT }).await;
    assert_eq!(result_of!(RemoveByRegex, wrong.expect("a result")), Err(ErrorCode::INVALID_PARAMS));
    let removed =
        client.call(&w::BatchRemove { keys: List::new(&keys), force: true, tenant_id: TENANT }).await;
    assert!(result_of!(BatchRemove, removed.expect("a result")).iter().eq([Ok(()); 3]));
}

#[tokio::test]
async fn a_batch_of_a_million_is_refused_and_the_connection_stays() {
    let (_node, mut client) = primary().await;
    let keys = vec![&b"k"[..]; 1_000_000];
    let call = w::BatchExistKey { keys: List::new(&keys), tenant_id: TENANT };
    let error = client.call(&call).await.expect_err("refused");
    let text = String::from_utf8_lossy(&error.message).into_owned();
    assert_eq!((error.code, text.as_str()), (4, "1000000 elements in one call: expected at most 100000"));
    assert!(client.call(&w::ServiceReady).await.is_ok());
}

#[tokio::test]
async fn a_standby_refuses_connections_and_demotion_closes_them() {
    let (a, b) = Node::pair(DOOR).await;
    let mut old = Client::connect_when_served(&a.mooncake).await;
    let mut idle = Client::connect_when_served(&a.mooncake).await;
    let refused = TcpStream::connect(&b.mooncake).await.expect_err("a standby does not listen");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    old.call(&mount(1 << 20)).await.expect("mounted");
    old.call(&put_start(b"k")).await.expect("started");
    old.call(&put_end(b"k")).await.expect("ended");

    assert!(b.promote().await.accepted);
    let mut new = Client::connect_when_served(&b.mooncake).await;
    let found = new.call(&exist(b"k")).await.expect("a result");
    assert_eq!(result_of!(ExistKey, found), Ok(true));
    assert!(idle.receive().await.is_none(), "closed without a word");
    assert!(old.receive().await.is_none(), "closed without a word");
    let refused = TcpStream::connect(&a.mooncake).await.expect_err("the old primary listens no more");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// Without its standby a primary in sync mode may not answer: nothing was done, and it says so.
#[tokio::test]
async fn without_the_right_to_answer_every_element_is_refused() {
    let (a, b) = Node::pair(DOOR).await;
    let mut client = Client::connect_when_served(&a.mooncake).await;
    client.call(&mount(1 << 20)).await.expect("mounted");
    b.signal(nix::sys::signal::Signal::SIGSTOP);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let keys: [&[u8]; 2] = [b"x", b"y"];
    let call = w::BatchExistKey { keys: List::new(&keys), tenant_id: TENANT };
    let refused = client.call(&call).await.expect("a result");
    let unavailable = Err(ErrorCode::UNAVAILABLE_IN_CURRENT_STATUS);
    assert!(result_of!(BatchExistKey, refused).iter().eq([unavailable; 2]));
}

/// A write that the standby has not acknowledged may or may not survive.
#[tokio::test]
async fn an_unknown_outcome_is_the_transports_time_out_and_says_so() {
    let (a, b) = Node::pair(&format!("{DOOR} --grant-ms 8000")).await;
    let mut client = Client::connect_when_served(&a.mooncake).await;
    client.call(&mount(1 << 20)).await.expect("mounted");
    b.signal(nix::sys::signal::Signal::SIGSTOP);
    let error = client.call(&put_start(b"k")).await.expect_err("unknown");
    let text = String::from_utf8_lossy(&error.message).into_owned();
    assert_eq!(error.code, standfast_wire::RpcError::TIMED_OUT);
    assert!(text.starts_with("the outcome is unknown"), "{text}");
}

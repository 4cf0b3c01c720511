//! Copy, move and the task queue through the door for Mooncake's protocol (SEMANTICS 2.6).

use standfast_wire::List;
use standfast_wire::calls as w;
use standfast_wire::types::{
    Descriptor, ErrorCode, ReplicaDescriptor, ReplicaStatus, Segment, TaskCompleteRequest, TaskStatus,
    TaskType, Uuid,
};

use crate::mooncake::{Client, ME, TENANT, mount, plain, put_end, put_start, result_of};
use crate::node::Node;

const HOSTS: [&[u8]; 3] = [b"host-1:1", b"host-2:1", b"host-3:1"];
const STRANGER: Uuid = Uuid { first: 1, second: 1 };

/// A primary with three segments of one lender, and the object `k` on the first.
async fn primary_with_an_object() -> (Node, Client) {
    let node = Node::start("--node a --role primary --mooncake 127.0.0.1:0");
    let mut client = Client::connect_when_served(&node.mooncake).await;
    for (i, name) in (1..).zip(HOSTS) {
        let base = i << 40;
        let segment = Segment {
            id: Uuid { first: i, second: 0 },
            name,
            base,
            te_endpoint: name,
            ..mount(1 << 20).segment
        };
        let mounted = client.call(&w::MountSegment { segment, client_id: ME }).await.expect("a result");
        assert_eq!(result_of!(MountSegment, mounted), Ok(()));
    }
    let mut config = plain();
    config.preferred_segments = List::new(&HOSTS[..1]);
    let started = client.call(&w::PutStart { config, ..put_start(b"k") }).await.expect("a result");
    assert_eq!(endpoints(result_of!(PutStart, started).expect("placed").iter()), HOSTS[..1]);
    let ended = client.call(&put_end(b"k")).await.expect("a result");
    assert_eq!(result_of!(PutEnd, ended), Ok(()));
    (node, client)
}

fn endpoints<'a>(replicas: impl Iterator<Item = ReplicaDescriptor<'a>>) -> Vec<&'a [u8]> {
    let endpoint = |r: ReplicaDescriptor<'a>| match r.descriptor_variant {
        Descriptor::Memory(memory) => memory.buffer_descriptor.transport_endpoint,
        other => unreachable!("this master has memory replicas only: {other:?}"),
    };
    replicas.map(endpoint).collect()
}

/// Endpoints of the replicas of `k` that can be read.
async fn readable(client: &mut Client) -> Vec<Vec<u8>> {
    let get = w::GetReplicaList { key: b"k", tenant_id: TENANT };
    let found = client.call(&get).await.expect("a result");
    let found = result_of!(GetReplicaList, found).expect("readable");
    endpoints(found.replicas.iter()).into_iter().map(<[u8]>::to_vec).collect()
}

#[tokio::test]
async fn a_copy_adds_replicas_and_a_move_replaces_one() {
    let (_node, mut client) = primary_with_an_object().await;
    let names: [&[u8]; 2] = [HOSTS[0], HOSTS[1]];
    let copy = w::CopyStart {
        client_id: ME,
        key: b"k",
        tenant_id: TENANT,
        src_segment: HOSTS[0],
        tgt_segments: List::new(&names),
    };
    let started = client.call(&copy).await.expect("a result");
    let started = result_of!(CopyStart, started).expect("room");
    assert_eq!(started.source.status, ReplicaStatus::COMPLETE);
    assert!(started.targets.iter().all(|r| r.status == ReplicaStatus::PROCESSING));
    assert_eq!(endpoints(started.targets.iter()), HOSTS[1..2], "the source holds one already");
    assert_eq!(readable(&mut client).await, HOSTS[..1]);
    let again = client.call(&copy).await.expect("a result");
    assert_eq!(result_of!(CopyStart, again).err(), Some(ErrorCode::OBJECT_HAS_REPLICATION_TASK));

    let end = w::CopyEnd { client_id: ME, key: b"k", tenant_id: TENANT };
    let stranger = client.call(&w::CopyEnd { client_id: STRANGER, ..end }).await.expect("a result");
    assert_eq!(result_of!(CopyEnd, stranger), Err(ErrorCode::ILLEGAL_CLIENT));
    let wrong = w::MoveEnd { client_id: ME, key: b"k", tenant_id: TENANT };
    let wrong = client.call(&wrong).await.expect("a result");
    assert_eq!(result_of!(MoveEnd, wrong), Err(ErrorCode::INVALID_PARAMS), "it is a copy");
    let ended = client.call(&end).await.expect("a result");
    assert_eq!(result_of!(CopyEnd, ended), Ok(()));
    assert_eq!(readable(&mut client).await, HOSTS[..2]);
    let ended = client.call(&end).await.expect("a result");
    assert_eq!(result_of!(CopyEnd, ended), Err(ErrorCode::OBJECT_NO_REPLICATION_TASK));

    let movement = |to| w::MoveStart {
        client_id: ME,
        key: b"k",
        tenant_id: TENANT,
        src_segment: HOSTS[0],
        tgt_segment: to,
    };
    for (to, refused) in [
        (HOSTS[0], ErrorCode::INVALID_PARAMS),
        (&b"nobody"[..], ErrorCode::SEGMENT_NOT_FOUND),
        (&b"\xff"[..], ErrorCode::SEGMENT_NOT_FOUND),
    ] {
        let started = client.call(&movement(to)).await.expect("a result");
        assert_eq!(result_of!(MoveStart, started).err(), Some(refused), "to {to:?}");
    }
    for (to, targets) in [(HOSTS[1], &HOSTS[..0]), (HOSTS[2], &HOSTS[2..])] {
        let started = client.call(&movement(to)).await.expect("a result");
        let started = result_of!(MoveStart, started).expect("room");
        assert_eq!(endpoints(started.target.into_iter()), targets);
        let revoke = w::MoveRevoke { client_id: ME, key: b"k", tenant_id: TENANT };
        let revoked = client.call(&revoke).await.expect("a result");
        assert_eq!(result_of!(MoveRevoke, revoked), Ok(()));
    }
    client.call(&movement(HOSTS[2])).await.expect("a result");
    let ended = w::MoveEnd { client_id: ME, key: b"k", tenant_id: TENANT };
    let ended = client.call(&ended).await.expect("a result");
    assert_eq!(result_of!(MoveEnd, ended), Ok(()));
    assert_eq!(readable(&mut client).await, HOSTS[1..]);

    let revoke = w::CopyRevoke { client_id: ME, key: b"k", tenant_id: TENANT };
    let revoked = client.call(&revoke).await.expect("a result");
    assert_eq!(result_of!(CopyRevoke, revoked), Err(ErrorCode::OBJECT_NO_REPLICATION_TASK));
}

#[tokio::test]
async fn a_task_is_asked_for_fetched_and_ended() {
    let (_node, mut client) = primary_with_an_object().await;
    let targets: [&[u8]; 1] = [HOSTS[1]];
    let copy = w::CreateCopyTask { key: b"k", tenant_id: TENANT, targets: List::new(&targets) };
    let created = client.call(&copy).await.expect("a result");
    let copy = result_of!(CreateCopyTask, created).expect("queued");
    let movement = w::CreateMoveTask { key: b"k", tenant_id: TENANT, source: HOSTS[0], target: HOSTS[2] };
    let created = client.call(&movement).await.expect("a result");
    let movement = result_of!(CreateMoveTask, created).expect("queued");
    let none = w::CreateCopyTask { key: b"k", tenant_id: TENANT, targets: List::default() };
    let none = client.call(&none).await.expect("a result");
    assert_eq!(result_of!(CreateCopyTask, none).err(), Some(ErrorCode::INVALID_PARAMS));
    let nobody = w::CreateMoveTask { key: b"nobody", tenant_id: TENANT, source: HOSTS[0], target: HOSTS[1] };
    let nobody = client.call(&nobody).await.expect("a result");
    assert_eq!(result_of!(CreateMoveTask, nobody).err(), Some(ErrorCode::OBJECT_NOT_FOUND));

    let fetch = |client_id, batch_size| w::FetchTasks { client_id, batch_size };
    let others = client.call(&fetch(STRANGER, 16)).await.expect("a result");
    assert_eq!(result_of!(FetchTasks, others).expect("always").len(), 0);
    let mut fetched = Vec::new();
    for batch_size in [1, u64::MAX] {
        let answer = client.call(&fetch(ME, batch_size)).await.expect("a result");
        let tasks = result_of!(FetchTasks, answer).expect("always");
        assert_eq!(tasks.len(), 1);
        fetched.extend(tasks.iter().map(|t| (t.id, t.r#type, t.payload.to_vec(), t.max_retry_attempts)));
        assert!(tasks.iter().all(|t| t.created_at_ms_epoch > 0));
    }
    let payloads: Vec<serde_json::Value> =
        fetched.iter().map(|task| serde_json::from_slice(&task.2).expect("JSON")).collect();
    assert_eq!((fetched[0].0, fetched[0].1, fetched[0].3), (copy, TaskType::REPLICA_COPY, 10));
    assert_eq!((fetched[1].0, fetched[1].1), (movement, TaskType::REPLICA_MOVE));
    assert_eq!((&payloads[0]["key"], &payloads[0]["targets"][0]), (&"k".into(), &"host-2:1".into()));
    assert_eq!((&payloads[1]["source"], &payloads[1]["target"]), (&"host-1:1".into(), &"host-3:1".into()));

    let mark = |client_id, id, status| w::MarkTaskToComplete {
        client_id,
        request: TaskCompleteRequest { id, status, message: b"all is well" },
    };
    let cases = [
        (mark(ME, copy, TaskStatus::PROCESSING), Err(ErrorCode::INVALID_PARAMS)),
        (mark(ME, copy, TaskStatus(7)), Err(ErrorCode::INVALID_PARAMS)),
        (mark(ME, copy, TaskStatus(-1)), Err(ErrorCode::INVALID_PARAMS)),
        (mark(ME, STRANGER, TaskStatus::SUCCESS), Err(ErrorCode::TASK_NOT_FOUND)),
        (mark(STRANGER, copy, TaskStatus::SUCCESS), Err(ErrorCode::ILLEGAL_CLIENT)),
        (mark(ME, copy, TaskStatus::SUCCESS), Ok(())),
        (mark(ME, copy, TaskStatus::FAILED), Ok(())),
    ];
    for (call, expected) in cases {
        let marked = client.call(&call).await.expect("a result");
        assert_eq!(result_of!(MarkTaskToComplete, marked), expected, "{call:?}");
    }
    for (task_id, status, message) in
        [(copy, TaskStatus::SUCCESS, &b"all is well"[..]), (movement, TaskStatus::PROCESSING, b"")]
    {
        let found = client.call(&w::QueryTask { task_id }).await.expect("a result");
        let found = result_of!(QueryTask, found).expect("known");
        assert_eq!((found.id, found.status, found.assigned_client), (task_id, status, ME));
        assert_eq!(found.message, message);
        assert!(found.last_updated_at_ms_epoch >= found.created_at_ms_epoch);
    }
    let unknown = client.call(&w::QueryTask { task_id: STRANGER }).await.expect("a result");
    assert_eq!(result_of!(QueryTask, unknown).err(), Some(ErrorCode::TASK_NOT_FOUND));
}

//! Calls of features that this master does not have, as a stock master answers them whose flags for them are off;
//! and that every registered call has an answer.

use std::path::Path;

use serde_json::Value;
use standfast_wire::calls as w;
use standfast_wire::types::{
    ErrorCode, NoFSegment, OffloadTaskItem, ReplicaType, StorageObjectMetadata, Uuid,
};
use standfast_wire::{List, Method};

use crate::mooncake::{Client, ME, TENANT, mount, put_end, put_start, result_of};
use crate::node::Node;

const HERE: &[u8] = b"here";
const NOWHERE: &[u8] = b"nowhere";

async fn with_an_object() -> (Node, Client) {
    let node = Node::start("--node a --role primary --mooncake 127.0.0.1:0");
    let mut client = Client::connect_when_served(&node.mooncake).await;
    client.call(&mount(1 << 20)).await.expect("mounted");
    client.call(&put_start(HERE)).await.expect("started");
    client.call(&put_end(HERE)).await.expect("ended");
    (node, client)
}

/// Calls, and expects this result.
macro_rules! answers {
    ($client:expr, $name:ident, $call:expr, $expected:expr) => {
        let answer = $client.call(&$call).await.expect("a result");
        assert_eq!(result_of!($name, answer).map(|_| ()), $expected, "{:?}", $call);
    };
}

#[tokio::test]
async fn local_disks_and_promotion_are_off() {
    let (_node, mut client) = with_an_object().await;
    let unmounted: Result<(), ErrorCode> = Err(ErrorCode::SEGMENT_NOT_FOUND);
    let unable: Result<(), ErrorCode> = Err(ErrorCode::UNABLE_OFFLOAD);
    let mount_disk = w::MountLocalDiskSegment { client_id: ME, enable_offloading: true };
    answers!(client, MountLocalDiskSegment, mount_disk, unable);
    answers!(client, UnmountLocalDiskSegment, w::UnmountLocalDiskSegment { client_id: ME }, unable);
    let capacity =
        |ssd_total_capacity_bytes| w::ReportSsdCapacity { client_id: ME, ssd_total_capacity_bytes };
    answers!(client, ReportSsdCapacity, capacity(-1), Err(ErrorCode::INVALID_PARAMS));
    answers!(client, ReportSsdCapacity, capacity(5), unmounted);
    let heartbeat = w::OffloadObjectHeartbeat { client_id: ME, enable_offloading: true };
    answers!(client, OffloadObjectHeartbeat, heartbeat, unmounted);
    answers!(client, PollRemoveAll, w::PollRemoveAll { client_id: ME }, unmounted);
    answers!(client, PromotionObjectHeartbeat, w::PromotionObjectHeartbeat { client_id: ME }, unmounted);

    let tasks = [OffloadTaskItem { tenant_id: TENANT, key: HERE, size: 100 }];
    let metadata = StorageObjectMetadata {
        bucket_id: 1,
        offset: 0,
        key_size: 4,
        data_size: 100,
        transport_endpoint: b"host-1:1",
    };
    let metadatas = [metadata];
    let offloaded = |tasks, metadatas| w::NotifyOffloadSuccess { client_id: ME, tasks, metadatas };
    answers!(client, NotifyOffloadSuccess, offloaded(List::default(), List::default()), Ok(()));
    let uneven = offloaded(List::new(&tasks), List::default());
    answers!(client, NotifyOffloadSuccess, uneven, Err(ErrorCode::INVALID_PARAMS));
    answers!(client, NotifyOffloadSuccess, offloaded(List::new(&tasks), List::new(&metadatas)), unmounted);

    for (key, refused, failed) in [
        (HERE, ErrorCode::REPLICA_IS_NOT_READY, Ok(())),
        (NOWHERE, ErrorCode::OBJECT_NOT_FOUND, Err(ErrorCode::OBJECT_NOT_FOUND)),
    ] {
        let preferred_segments = List::default();
        let start =
            w::PromotionAllocStart { client_id: ME, key, tenant_id: TENANT, size: 100, preferred_segments };
        answers!(client, PromotionAllocStart, start, Err(refused));
        let done = w::NotifyPromotionSuccess { client_id: ME, key, tenant_id: TENANT };
        answers!(client, NotifyPromotionSuccess, done, Err(refused));
        let gone = w::NotifyPromotionFailure { client_id: ME, key, tenant_id: TENANT };
        answers!(client, NotifyPromotionFailure, gone, failed);
    }
}

#[tokio::test]
async fn there_are_no_files_no_nof_segments_and_no_copies_by_heat() {
    let (_node, mut client) = with_an_object().await;
    let params = Err(ErrorCode::INVALID_PARAMS);
    for (replica_type, here) in [
        (ReplicaType::MEMORY, params),
        (ReplicaType::DISK, Ok(())),
        (ReplicaType::LOCAL_DISK, Ok(())),
        (ReplicaType::NOF_SSD, params),
        (ReplicaType::ALL, params),
        (ReplicaType::DFS, params),
    ] {
        for (key, expected) in [(HERE, here), (NOWHERE, Err(ErrorCode::OBJECT_NOT_FOUND))] {
            let evict = w::EvictDiskReplica { client_id: ME, key, tenant_id: TENANT, replica_type };
            answers!(client, EvictDiskReplica, evict, expected);
        }
        let keys = [HERE, NOWHERE];
        let keys = List::new(&keys);
        let evict = w::BatchEvictDiskReplica { client_id: ME, keys, tenant_id: TENANT, replica_type };
        let evicted = client.call(&evict).await.expect("a result");
        let expected = [here, Err(ErrorCode::OBJECT_NOT_FOUND)];
        assert!(result_of!(BatchEvictDiskReplica, evicted).iter().eq(expected), "{replica_type:?}");
    }

    let mode = Err(ErrorCode::UNAVAILABLE_IN_CURRENT_MODE);
    let id = Uuid { first: 1, second: 1 };
    let segment = NoFSegment { id, name: b"nof", base: 1 << 30, size: 1 << 20, te_endpoint: b"nqn:1" };
    answers!(client, MountNoFSegment, w::MountNoFSegment { segment, client_id: ME }, mode);
    let segments = [segment];
    let again = w::ReMountNoFSegment { segments: List::new(&segments), client_id: ME };
    answers!(client, ReMountNoFSegment, again, mode);
    answers!(client, UnmountNoFSegment, w::UnmountNoFSegment { segment_id: id, client_id: ME }, mode);
    let all = client.call(&w::GetAllNoFSegments).await.expect("a result");
    assert_eq!(result_of!(GetAllNoFSegments, all).map(|all| all.len()), Ok(0));
    let by_name = w::GetNoFSegmentsByName { segment_name: b"nof" };
    answers!(client, GetNoFSegmentsByName, by_name, Err(ErrorCode::SEGMENT_NOT_FOUND));

    for (key, start, end) in [
        (HERE, ErrorCode::UNAVAILABLE_IN_CURRENT_STATUS, ErrorCode::OBJECT_NO_REPLICATION_TASK),
        (NOWHERE, ErrorCode::OBJECT_NOT_FOUND, ErrorCode::OBJECT_NOT_FOUND),
    ] {
        let (dynamic_replication_lease_id, dynamic_replication_version_epoch) = (id, 1);
        let copy = w::DynamicReplicaCopyStart {
            client_id: ME,
            key,
            tenant_id: TENANT,
            src_segment: b"host-1:1",
            tgt_segments: List::default(),
            dynamic_replication_lease_id,
            dynamic_replication_version_epoch,
        };
        answers!(client, DynamicReplicaCopyStart, copy, Err(start));
        let done = w::DynamicReplicaCopyEnd {
            client_id: ME,
            key,
            tenant_id: TENANT,
            dynamic_replication_lease_id,
            dynamic_replication_version_epoch,
        };
        answers!(client, DynamicReplicaCopyEnd, done, Err(end));
        let revoke = w::DynamicReplicaCopyRevoke {
            client_id: ME,
            key,
            tenant_id: TENANT,
            dynamic_replication_lease_id,
            dynamic_replication_version_epoch,
        };
        answers!(client, DynamicReplicaCopyRevoke, revoke, Err(end));
    }
}

/// Each request as it was recorded from a client of the release.
#[tokio::test]
async fn every_registered_call_has_an_answer() {
    let (_node, mut client) = with_an_object().await;
    for method in Method::ALL {
        let path = Path::new("tests/wire/data/frames").join(format!("{}.json", method.name()));
        let frames = std::fs::read_to_string(&path).expect("recorded");
        let frames: Vec<Value> = serde_json::from_str(&frames).expect("JSON");
        let request = frames.iter().find(|frame| frame["direction"] == "request").expect("a request");
        let hex = request["hex"].as_str().expect("its bytes");
        let bytes = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(bytes).collect();
        client.send_bytes(&bytes).await;
        let (_, answer) = client.receive().await.expect("the connection stays");
        let answer = answer.map_err(|error| format!("{}: {error:?}", method.name())).expect("a result");
        assert!(standfast_wire::Response::decode_as(method, &answer.payload).is_ok(), "{}", method.name());
    }
}

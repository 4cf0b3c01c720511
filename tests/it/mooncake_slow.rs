//! Slow readers of long replies: many of them take no more memory than a few.

use standfast_kernel::types::limits;
use standfast_wire::calls as w;
use standfast_wire::{Form, List, frame};

use crate::mooncake::{Client, ME, TENANT, exist, mount, plain, put_end, put_start, result_of};
use crate::node::{Node, PATIENCE};

/// Objects with the longest keys: naming them all takes 14 MiB.
const OBJECTS: usize = 3_500;
const SLOW: usize = 60;

async fn put_long_keys(client: &mut Client) {
    let names: Vec<Vec<u8>> =
        (0..OBJECTS).map(|i| format!("{i:0width$}", width = limits::KEY_BYTES_MAX).into_bytes()).collect();
    for names in names.chunks(500) {
        let keys: Vec<&[u8]> = names.iter().map(|name| &name[..]).collect();
        let sizes = vec![8; keys.len()];
        let start = w::BatchPutStart {
            client_id: ME,
            keys: List::new(&keys),
            slice_lengths: List::new(&sizes),
            config: plain(),
            tenant_id: TENANT,
        };
        let started = client.call(&start).await.expect("a result");
        assert!(result_of!(BatchPutStart, started).iter().all(|r| r.is_ok()));
        for key in keys {
            let ended = client.call(&put_end(key)).await.expect("a result");
            assert_eq!(result_of!(PutEnd, ended), Ok(()));
        }
    }
}

/// Each asks in some bytes for megabytes and does not read them. Those who read are answered,
/// long replies too, because whoever is in their way is cut off.
#[tokio::test]
async fn many_slow_readers_take_bounded_memory_and_hurt_nobody() {
    let node = Node::start("--node a --role primary --mooncake 127.0.0.1:0");
    let mut reader = Client::connect_when_served(&node.mooncake).await;
    reader.call(&mount(1 << 20)).await.expect("mounted");
    put_long_keys(&mut reader).await;
    let all = w::GetReplicaListByRegex { regex: b".", tenant_id: TENANT };
    let mut request = Vec::new();
    frame::write_request(&mut request, 0, &all, Form::SHORT).expect("fits");
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut client = Client::connect(&node.mooncake).await;
        client.send_bytes(&request).await;
        slow.push(client);
    }
    let asked = reader.call(&exist(b"k")).await.expect("a result");
    assert_eq!(result_of!(ExistKey, asked), Ok(false), "short replies wait for nobody");
    reader.call(&put_start(b"k")).await.expect("short");
    let found = tokio::time::timeout(PATIENCE, reader.call(&all)).await.expect("in time").expect("a result");
    let found = result_of!(GetReplicaListByRegex, found).expect("found");
    assert_eq!(found.0.len(), OBJECTS, "those who read are answered");
    let peak = node.peak_resident_bytes();
    assert!(peak < 600 << 20, "{} MiB for {SLOW} replies of 14 MiB", peak >> 20);
}

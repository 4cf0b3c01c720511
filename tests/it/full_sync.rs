//! A standby whose log does not continue the primary's is given a copy of the
//! state while writes go on, and is then as good as any other.

use nix::sys::signal::Signal;
use standfast_proto::v1;

use crate::node::{CLIENT, Node, segment};

/// Puts so many small objects; enough of them push the first entries out of a log of 1 MiB.
async fn fill(node: &Node, from: u64, count: u64) {
    let mut client = node.master().await;
    for first in (from..from + count).step_by(500) {
        let keys =
            || (first..(first + 500).min(from + count)).map(|k| bytes::Bytes::from(format!("key-{k}")));
        let items = keys().map(|key| v1::PutStartItem { key, size: 8 }).collect();
        let start = v1::PutStartRequest { client: Some(CLIENT), config: None, items, tenant: String::new() };
        let started = client.put_start(start).await.expect("started").into_inner();
        assert!(started.results.iter().all(|r| r.error.is_none()));
        let items = keys().map(|key| v1::PutEndItem { key, checksum: Some(1) }).collect();
        let end = v1::PutEndRequest { client: Some(CLIENT), items, tenant: String::new() };
        client.put_end(end).await.expect("ended");
    }
}

async fn until_in_sync(node: &Node) -> v1::NodeStatus {
    node.until("in sync", |s| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)).await;
    node.status(false).await
}

async fn assert_equal(a: &Node, b: &Node) {
    let (a, b) = (a.status(true).await.store.expect("store"), b.status(true).await.store.expect("store"));
    assert_eq!((a.objects, &a.digest, &a.recount), (b.objects, &b.digest, &b.recount));
    assert_eq!(b.digest, b.recount, "the digest that was put together is right");
    assert_eq!(a.used_bytes, b.used_bytes, "and so are the allocators that were derived");
}

fn copy_of(status: &v1::NodeStatus) -> String {
    status.identity.as_ref().expect("identity").copy.clone()
}

fn happened(status: &v1::NodeStatus, code: &str) -> bool {
    status.events.iter().any(|e| e.code == code)
}

/// The primary's log no longer starts at the beginning, twice over: the second
/// copy is made by a node that has its state from a copy itself.
#[tokio::test]
async fn an_empty_standby_is_given_a_copy_and_hands_it_on() {
    let a = Node::start("--node a --role primary --log-mib 1");
    a.master().await.mount_segment(segment(1, 1 << 30)).await.expect("mounted");
    fill(&a, 0, 10_000).await;
    assert!(a.status(false).await.positions.expect("positions").trim > 1, "trimmed");

    let b = Node::start(&format!("--node b --role standby --log-mib 1 --peer {}", a.addr));
    let status = until_in_sync(&b).await;
    let upstream = status.upstream.expect("upstream");
    assert_eq!((upstream.full_syncs, upstream.sealed), (Some(1), true));
    assert!(status.events.iter().any(|e| e.text.contains("it is empty, and the primary's log starts at")));
    assert_equal(&a, &b).await;

    a.signal(Signal::SIGKILL);
    assert!(b.promote().await.accepted);
    fill(&b, 10_000, 1_000).await;
    let c = Node::start(&format!("--node c --role standby --log-mib 1 --peer {}", b.addr));
    assert_eq!(until_in_sync(&c).await.store.expect("store").objects, 11_000);
    assert_equal(&b, &c).await;
}

#[tokio::test]
async fn a_standby_that_was_trimmed_past_discards_its_copy_and_comes_back() {
    let (a, b) = Node::pair("--log-mib 1").await;
    a.master().await.mount_segment(segment(1, 1 << 30)).await.expect("mounted");
    let before = copy_of(&b.status(false).await);
    b.signal(Signal::SIGSTOP);
    let detach = v1::DetachRequest { node: "b".into(), actor: "test".into(), reason: "a test".into() };
    a.admin().await.detach(detach).await.expect("answered");
    fill(&a, 0, 10_000).await;
    b.signal(Signal::SIGCONT);
    b.until("another copy", |s| copy_of(s) != before).await;
    let status = until_in_sync(&b).await;
    assert!(happened(&status, "discarded") && happened(&status, "full_sync_sealed"), "{:?}", status.events);
    assert!(status.events.iter().any(|e| e.text.contains("the entries that it lacks are trimmed away")));
    assert_equal(&a, &b).await;
    let peers = a.status(false).await.standbys;
    assert!(peers.len() == 1 && peers[0].in_sync && peers[0].copy.as_deref() == Some(&copy_of(&status)));
}

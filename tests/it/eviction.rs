//! Memory that fills up: the primary evicts, and its status says so.

use standfast_proto::v1;

use crate::node::{Node, end, segment, start};

#[tokio::test]
async fn eviction_is_counted_in_the_status_of_the_primary() {
    let (a, b) = Node::pair("").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1_000)).await.expect("mounted");
    let keys = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];
    let started = client.put_start(start(&keys)).await.expect("started").into_inner();
    let placed = started.results.iter().filter(|r| r.error.is_none()).count() as u64;
    client.put_end(end(&keys)).await.expect("ended");

    let counted = |s: &v1::NodeStatus| s.store.as_ref().and_then(|s| s.eviction);
    a.until("evicted", |s| counted(s).is_some_and(|e| e.objects > 0)).await;
    let after = a.status(false).await;
    let eviction = counted(&after).expect("on the primary");
    assert!(eviction.objects <= placed && eviction.bytes == eviction.objects * 100, "{eviction:?}");
    assert!(eviction.passes >= 1, "{eviction:?}");
    let store = after.store.expect("store");
    assert_eq!(store.objects + eviction.objects, placed, "what is gone was evicted");
    assert_eq!(counted(&b.status(false).await), None, "a standby evicts nothing by itself");
}

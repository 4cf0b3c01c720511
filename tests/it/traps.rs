//! Outcomes that look right and are not: the traps of operators' reports that
//! concern one node or a pair. Others are `trap_...` tests of the simulation and
//! of tidy.

use nix::sys::signal::Signal;
use standfast_proto::v1;

use crate::node::{Node, end, get, segment, start};
use crate::scrape::{Scrape, page, scrape, until};

fn lag(status: &v1::NodeStatus) -> Option<v1::Lag> {
    status.upstream.as_ref().and_then(|upstream| upstream.lag)
}

/// "The standby is watching": true within microseconds, with nothing replayed.
#[tokio::test]
async fn trap_01_a_standby_that_has_replayed_nothing_says_so_and_is_not_promoted() {
    let b = Node::start("--node b --role standby --peer 127.0.0.1:1");
    let status = b.status(false).await;
    let upstream = status.upstream.as_ref().expect("a standby");
    assert_eq!(upstream.stream, None, "no stream was ever open");
    assert_ne!(upstream.link(), v1::LinkState::Up);
    let rehearsal = status.rehearsal.as_ref().expect("rehearsed");
    assert_eq!(rehearsal.verdict(), v1::Verdict::No);
    assert!(rehearsal.reasons.iter().any(|reason| reason.code == "never_streamed"), "{rehearsal:?}");
    let promoted = b.promote().await;
    assert!(!promoted.accepted, "{promoted:?}");
}

/// "Lag is 0": also when nothing was ever read, and when the link is cut.
#[tokio::test]
async fn trap_02_lag_without_contact_is_unknown_and_grows_old() {
    let alone = Node::start("--node b --role standby --peer 127.0.0.1:1");
    let never = lag(&alone.status(false).await);
    assert_eq!(never.and_then(|lag| lag.entries), None, "unknown is not 0");

    let (a, b) = Node::pair("").await;
    b.until("equal", |s| lag(s).is_some_and(|lag| lag.entries == Some(0) && lag.age_us == Some(0))).await;
    a.signal(Signal::SIGKILL);
    let cut = b.until("cut", |s| lag(s).is_some_and(|lag| lag.entries.is_none())).await;
    let first = lag(&cut).and_then(|lag| lag.age_us).expect("since when it was equal");
    b.until("older", |s| lag(s).and_then(|lag| lag.age_us).is_some_and(|age| age > first)).await;
}

/// The same seen from the primary: a standby that is gone is not "0 behind".
#[tokio::test]
async fn trap_02_a_standby_that_is_gone_has_no_lag_on_the_primary() {
    let (a, b) = Node::pair("").await;
    b.signal(Signal::SIGKILL);
    let gone = |s: &v1::NodeStatus| s.standbys.iter().any(|peer| peer.link() == v1::LinkState::Down);
    let status = a.until("gone", gone).await;
    let peer = status.standbys.first().expect("still a member");
    assert_eq!(peer.lag.and_then(|lag| lag.entries), None, "unknown is not 0");
    assert!(peer.in_sync, "writes wait for it, and the status says whom they wait for");
}

/// "Restore succeeded": said before what was restored is cleaned away. Here the
/// answer to a promotion comes when everything can be read, and it stays so.
#[tokio::test]
async fn trap_03_what_a_promotion_announces_can_be_read() {
    let (a, b) = Node::pair("").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    client.put_start(start(&["x", "y", "z"])).await.expect("started");
    client.put_end(end(&["x", "y", "z"])).await.expect("ended");
    let before = client.get_replica_list(get(&["x", "y", "z"])).await.expect("read").into_inner();
    a.signal(Signal::SIGKILL);
    assert!(b.promote().await.accepted);
    let mut client = b.master().await;
    let objects = |s: v1::NodeStatus| s.store.map(|store| store.objects);
    for _ in 0..3 {
        let after = client.get_replica_list(get(&["x", "y", "z"])).await.expect("read").into_inner();
        assert_eq!(after, before, "the same addresses, ids and checksums");
        assert_eq!(objects(b.status(true).await), Some(3));
    }
}

/// "Service ready": with no client attached. A new primary is ready at once, and
/// says how many of its clients have come back.
#[tokio::test]
async fn trap_04_ready_says_nothing_about_clients_so_they_are_counted_apart() {
    let clients = |s: &Scrape| {
        let of = |state: &str| s.value(&format!("standfast_clients{{state=\"{state}\"}}"));
        (of("ok"), of("needing_remount"))
    };
    let (a, b) = Node::pair("").await;
    assert_eq!((page(&a, "/readyz").await.0, clients(&scrape(&a).await)), (200, (Some(0.0), Some(0.0))));
    let lent = segment(1, 1 << 20);
    let hello =
        v1::ReMountSegmentRequest { client: lent.client, segments: lent.segment.into_iter().collect() };
    a.master().await.re_mount_segment(hello.clone()).await.expect("mounted");
    until(&a, "attached", |s| clients(s) == (Some(1.0), Some(0.0))).await;
    a.signal(Signal::SIGKILL);
    assert!(b.promote().await.accepted);
    assert_eq!(page(&b, "/readyz").await.0, 200);
    assert_eq!(clients(&scrape(&b).await), (Some(0.0), Some(1.0)), "nobody has come back yet");
    b.master().await.re_mount_segment(hello).await.expect("back");
    until(&b, "back", |s| clients(s) == (Some(1.0), Some(0.0))).await;
}

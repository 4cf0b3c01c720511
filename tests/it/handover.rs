//! A primary that is told to stop hands over first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use standfast_proto::v1;

use crate::coordinator::{Server as _, Witness};
use crate::leadership::{CLUSTER, cluster, epoch, follows, has, in_sync, leads, write_on};
use crate::node::{Node, segment};

/// Both nodes are restarted under writes, one after the other; nobody waits for silence to be noticed.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_hands_over_and_loses_nothing() {
    let witness = Witness::start();
    let (mut a, mut b) = cluster(&witness.url(), "").await;
    a.master().await.mount_segment(segment(1, 64 << 20)).await.expect("mounted");
    let stop = Arc::new(AtomicBool::new(false));
    let addresses = [a.addr.clone(), b.addr.clone()];
    let writer = tokio::spawn(write_on(addresses, Arc::clone(&stop)));
    let flags = format!("--cluster {CLUSTER} --coordinator {}", witness.url());
    for round in 0..2 {
        let (old, name, new) = if round == 0 { (&mut a, "a", &b) } else { (&mut b, "b", &a) };
        let before = epoch(&new.status(false).await);
        old.signal(Signal::SIGTERM);
        assert!(old.ended().await.success(), "it ends well");
        let led = new.until("the standby leads", leads).await;
        let row = led.history.iter().find(|h| h.epoch == epoch(&led)).expect("a row of the history");
        assert!(row.epoch > before);
        assert_eq!(row.kind(), v1::RoleChangeKind::Switchover, "not by silence: {row:?}");
        assert_eq!((&*row.actor, &*row.reason), ("SIGTERM", "the primary was told to stop"));
        let address = old.addr.clone();
        *old = Node::start_at(&address, &format!("--node {name} {flags}"));
        old.until("it is an in-sync standby", |s| follows(s) && in_sync(s)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let acked = writer.await.expect("it wrote");
    assert!(acked.len() > 20, "{} writes", acked.len());
    for key in acked {
        assert!(has(&a, key).await, "{key} was acknowledged");
    }
}

/// Nobody to hand over to, or nobody who answers, or told not to: it stops all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_without_a_standby_stops_as_before() {
    let mut witness = Witness::start();
    let url = witness.url();
    let start =
        |flags: &str| Node::start(&format!("--node a --cluster {CLUSTER} --coordinator {url} {flags}"));
    let mut alone = start("");
    alone.until("it leads", leads).await;
    alone.signal(Signal::SIGTERM);
    assert!(alone.ended().await.success());
    drop(alone);
    let mut witness_2 = Witness::start();
    let (mut a, b) = cluster(&witness_2.url(), "--stop-handover-ms 0").await;
    a.signal(Signal::SIGTERM);
    assert!(a.ended().await.success());
    let led = b.until("the standby notices", leads).await;
    let row = led.history.iter().find(|h| h.epoch == epoch(&led)).expect("a row of the history");
    assert_eq!(row.kind(), v1::RoleChangeKind::Failover, "{row:?}");
    // The last one, and its coordinator is away, too.
    let mut b = b;
    witness_2.kill();
    witness.kill();
    b.signal(Signal::SIGTERM);
    assert!(b.ended().await.success());
}

//! What a bad network does to the streams between two nodes: connections that
//! are reset in mid batch and in mid full sync, one that is open and carries
//! nothing, and answers that come too late.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use standfast_proto::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use super::{Load, assert_equal, flags, in_sync, objects, primary};
use crate::node::{CLIENT, Node, refusal, segment, start};

/// What becomes of a connection once it has carried its share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Both ends are told at once, and what is under way is lost.
    Reset,
    /// Nobody is told, and nothing passes any more.
    Hang,
}

/// A relay to the primary whose connections carry only so many bytes to the standby.
struct Flaky {
    addr: String,
    /// Of each connection from now on.
    share: Arc<AtomicU64>,
    /// Connections that have had their share.
    ended: Arc<AtomicU64>,
}

impl Flaky {
    async fn to(target: &str, share: u64, then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let addr = listener.local_addr().expect("an address").to_string();
        let (share, ended) = (Arc::new(AtomicU64::new(share)), Arc::new(AtomicU64::new(0)));
        let (shares, ends, target) = (Arc::clone(&share), Arc::clone(&ended), target.to_owned());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                tokio::spawn(carry(near, far, shares.load(Ordering::Relaxed), then, Arc::clone(&ends)));
            }
        });
        Self { addr, share, ended }
    }

    /// Connections from now on carry everything.
    fn heal(&self) {
        self.share.store(u64::MAX, Ordering::Relaxed);
    }

    fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }
}

async fn carry(mut near: TcpStream, mut far: TcpStream, mut share: u64, then: Then, ended: Arc<AtomicU64>) {
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    while share > 0 {
        let passed = tokio::select! {
            read = near.read(&mut up) => match read {
                Ok(n) if n > 0 => far.write_all(&up[..n]).await,
                _ => return,
            },
            read = far.read(&mut down) => match read {
                Ok(n) if n > 0 => {
                    let n = (n as u64).min(share);
                    share -= n;
                    near.write_all(&down[..n as usize]).await
                }
                _ => return,
            },
        };
        if passed.is_err() {
            return;
        }
    }
    ended.fetch_add(1, Ordering::Relaxed);
    match then {
        // Dropped with nothing left to linger for: a reset, not an end.
        Then::Reset => {
            for socket in [&near, &far] {
                socket.set_zero_linger().expect("a socket");
            }
        }
        Then::Hang => std::future::pending().await,
    }
}

fn standby(relay: &Flaky) -> Node {
    Node::start(&format!("--node b --role standby --peer {} {}", relay.addr, flags()))
}

/// Each connection carries a part of the homes only; those that arrived count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_sync_that_is_reset_again_and_again_goes_on_where_it_was() {
    let a = primary().await;
    let relay = Flaky::to(&a.addr, objects() * 30, Then::Reset).await;
    let b = standby(&relay);
    b.until("homes arrive", |s| s.upstream.as_ref().is_some_and(|u| u.progress.is_some())).await;
    let load = Load::on(&a).await;
    let status = in_sync(&b).await;
    assert!(relay.ended() >= 2, "{} connections were reset", relay.ended());
    relay.heal();
    assert_eq!(status.upstream.expect("upstream").full_syncs, Some(1), "one copy, in parts");
    in_sync(&b).await;
    let written = load.calls().await.len() as u64 * 10;
    assert_equal(&a, &b, objects() + written).await;
}

/// Entries that were under way are sent again, and none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_reset_in_mid_batch_loses_and_repeats_nothing() {
    let a = Node::start("--node a --role primary");
    a.master().await.mount_segment(segment(1, 1 << 36)).await.expect("mounted");
    super::keep_alive(a.master().await);
    let relay = Flaky::to(&a.addr, 20_011, Then::Reset).await;
    let b = standby(&relay);
    in_sync(&b).await;
    let load = Load::on(&a).await;
    while relay.ended() < 5 {
        load.has_written(20).await;
    }
    relay.heal();
    in_sync(&b).await;
    let written = load.calls().await.len() as u64 * 10;
    assert_equal(&a, &b, written).await;
    let status = b.status(false).await;
    assert_eq!(status.quarantine.expect("quarantine").count, 0);
    assert_eq!(status.upstream.expect("upstream").full_syncs, Some(0), "it went on where it was");
}

/// Nobody is told that the connection is dead: silence ends it, and another one is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_open_and_carries_nothing_is_given_up() {
    let a = Node::start("--node a --role primary");
    let relay = Flaky::to(&a.addr, 4_001, Then::Hang).await;
    let b = standby(&relay);
    b.until("heartbeats come", |s| s.upstream.as_ref().is_some_and(|u| u.contact_age_ms.is_some())).await;
    b.until("they stop, and it knows", |s| {
        s.upstream.as_ref().is_some_and(|u| u.link() != v1::LinkState::Up && u.reason.is_some())
    })
    .await;
    assert!(relay.ended() >= 1);
    relay.heal();
    in_sync(&b).await;
}

/// The node's own patience ends before the standby speaks: nothing is called failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_commit_does_not_come_in_time_is_unknown_and_may_be_there() {
    let (a, b) = Node::pair("--grant-ms 30000").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    b.signal(Signal::SIGSTOP);
    // The caller's own deadline: the transport says so, and the node did all the same.
    let mut hasty = tonic::Request::new(start(&["hasty"]));
    hasty.set_timeout(Duration::from_millis(200));
    let late = client.put_start(hasty).await.expect_err("no answer in time");
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late:?}");
    assert_eq!(v1::Refusal::from_status(&late), None, "it is no refusal");
    // The node's: it says that it does not know.
    let (code, why) = refusal(client.put_start(start(&["patient"])).await);
    assert!(!why.nothing_was_done() && why.text.contains("unknown"), "{code:?} {why:?}");
    assert!(!why.text.contains("fail"), "{why:?}");

    b.signal(Signal::SIGCONT);
    in_sync(&b).await;
    for key in ["hasty", "patient"] {
        let items = vec![v1::PutEndItem { key: key.into(), checksum: None }];
        let end = v1::PutEndRequest { client: Some(CLIENT), items, tenant: String::new() };
        let ended = client.put_end(end).await.expect("answered").into_inner();
        assert_eq!(ended.results[0].error, None, "{key} was started: its writer may end it");
    }
    let (a, b) = a.compared_with(&b).await;
    assert_eq!((a.objects, a.recount), (2, b.recount));
}

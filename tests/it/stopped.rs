//! A standby that stops: writes wait for it, the status says so, and an
//! operator can go on without it.

use nix::sys::signal::Signal;
use standfast_proto::v1;
use tonic::Code;

use crate::node::{Node, refusal, segment, start};

fn detach(node: &str) -> v1::DetachRequest {
    v1::DetachRequest { node: node.into(), actor: "test".into(), reason: "a test".into() }
}

#[tokio::test]
async fn a_stopped_standby_blocks_writes_until_it_is_detached() {
    let (a, b) = Node::pair("").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    b.signal(Signal::SIGSTOP);
    let stopped = a
        .until("rights end with the standby's promise", |s| s.rights.as_ref().is_some_and(|r| !r.may_answer));
    let status = stopped.await;
    let (code, refusal) = refusal(client.put_start(start(&["k"])).await);
    assert_eq!((code, refusal.code()), (Code::Unavailable, v1::RefusalCode::Unavailable));
    assert!(refusal.nothing_was_done() && !refusal.cure.is_empty());
    assert_eq!(status.in_sync.expect("record").members.len(), 2, "nobody left the record by itself");

    let reply = a.admin().await.detach(detach("b")).await.expect("answered").into_inner();
    assert!(reply.accepted, "{reply:?}");
    assert_eq!(client.put_start(start(&["k"])).await.expect("goes on alone").into_inner().results.len(), 1);
    let reply = a.admin().await.detach(detach("b")).await.expect("answered").into_inner();
    assert_eq!(reply.reasons[0].code, "NOT_A_MEMBER");

    b.signal(Signal::SIGCONT);
    a.until("it returned by itself", |s| s.in_sync.as_ref().is_some_and(|r| r.members.len() == 2)).await;
    let (sa, sb) = (a.status(true).await.store.expect("store"), b.status(true).await.store.expect("store"));
    assert_eq!((sa.objects, sa.recount), (sb.objects, sb.recount));
}

#[tokio::test]
async fn lag_is_unknown_and_its_age_rises_while_a_standby_is_away() {
    let (a, b) = Node::pair("").await;
    b.signal(Signal::SIGKILL);
    let away = |s: &v1::NodeStatus, older_than_us: u64| {
        s.standbys.iter().any(|p| {
            let lag = p.lag.as_ref();
            let rises = lag.and_then(|l| l.age_us).is_some_and(|age| age > older_than_us);
            p.link() == v1::LinkState::Down && lag.is_some_and(|l| l.entries.is_none()) && rises
        })
    };
    a.until("seen as away", |s| away(s, 0)).await;
    a.until("its age rises", |s| away(s, 1_000_000)).await;
}

#[tokio::test]
async fn a_restarted_standby_joins_again_with_a_new_copy() {
    let (a, b) = Node::pair("").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    b.signal(Signal::SIGKILL);
    drop(b);
    let b = Node::start(&format!("--node b --role standby --peer {}", a.addr));
    b.until("in sync", |s| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)).await;
    let members = a.status(false).await.in_sync.expect("record").members;
    assert_eq!(members.iter().filter(|m| m.node == "b").count(), 1, "its former copy is gone: {members:?}");
    client.put_start(start(&["k"])).await.expect("writes go on");
}

#[tokio::test]
async fn a_standby_of_another_cluster_is_refused_and_says_why() {
    let a = Node::start("--node a --role primary --cluster one");
    let b = Node::start(&format!("--node b --role standby --cluster two --peer {}", a.addr));
    let told = |s: &v1::NodeStatus| s.upstream.as_ref().and_then(|u| u.reason.clone()).unwrap_or_default();
    b.until("told the cluster's name", |s| told(s).contains("cluster `one`")).await;
    assert!(a.status(false).await.standbys.is_empty());
}

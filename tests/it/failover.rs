use nix::sys::signal::Signal;
use standfast_proto::v1;
use tonic::Code;

use crate::node::{Node, end, get, refusal, segment, start};

async fn acknowledged_writes_survive(flags: &str) {
    let (a, b) = Node::pair(flags).await;
    let mut client = a.master().await;
    assert_eq!(client.mount_segment(segment(1, 1 << 20)).await.expect("mounted").into_inner().error, None);
    let started = client.put_start(start(&["x", "y", "unfinished"])).await.expect("started").into_inner();
    assert!(started.results.iter().all(|r| r.error.is_none() && r.replicas.len() == 1));
    assert_eq!(started.segments.len(), 1, "a segment is named once a reply");
    client.put_end(end(&["x", "y"])).await.expect("ended");
    let keys = vec!["y".into()];
    client.remove(v1::RemoveRequest { keys, force: true, tenant: String::new() }).await.expect("removed");
    let before = client.get_replica_list(get(&["x", "y"])).await.expect("read").into_inner();
    let copies_equal = |s: &v1::NodeStatus| s.positions.as_ref().map(|p| p.applied);
    let tail = copies_equal(&a.status(false).await);
    b.until("caught up", |s| copies_equal(s) == tail).await;
    let (sa, sb) = (a.status(true).await.store.expect("store"), b.status(true).await.store.expect("store"));
    assert_eq!((&sa.digest, &sa.recount), (&sb.digest, &sb.recount));
    assert_eq!(sa.digest, sa.recount, "the incremental digest is right");

    a.signal(Signal::SIGKILL);
    let promoted = b.promote().await;
    assert!(promoted.accepted, "{promoted:?}");
    assert_eq!(promoted.epoch, Some(2));
    let mut client = b.master().await;
    let after = client.get_replica_list(get(&["x", "y"])).await.expect("read").into_inner();
    assert_eq!(after, before, "the same addresses, ids, checksum; the removed key is gone");
    assert_eq!(after.results[1].error.as_ref().map(|e| e.code), Some(v1::ErrorCode::ObjectNotFound.into()));
    // The write that was under way lives on: its own writer may end it.
    let ended = client.put_end(end(&["unfinished"])).await.expect("ended").into_inner();
    assert_eq!(ended.results[0].error, None);
    assert_eq!(client.put_start(start(&["new"])).await.expect("started").into_inner().results[0].error, None);
    let status = b.status(false).await;
    let change = status.history.last().expect("a row for the failover");
    assert_eq!(
        (change.kind(), change.epoch, change.actor.as_str()),
        (v1::RoleChangeKind::Failover, 2, "test")
    );
    let lost = change.lost.as_ref().and_then(|l| l.entries);
    assert_eq!(lost, if flags == "--ack sync" { Some(0) } else { None }, "unknown is not 0");
    assert_eq!(status.leadership.expect("leadership").crash_loses_all, Some(true));
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9_in_sync_mode() {
    acknowledged_writes_survive("--ack sync").await;
}

#[tokio::test]
async fn replicated_writes_survive_kill_9_in_async_mode() {
    acknowledged_writes_survive("--ack async").await;
}

#[tokio::test]
async fn a_standby_refuses_clients_and_names_the_primary() {
    let (a, b) = Node::pair("").await;
    let (code, refusal) = refusal(b.master().await.put_start(start(&["k"])).await);
    assert_eq!(code, Code::FailedPrecondition);
    assert_eq!(refusal.code(), v1::RefusalCode::NotPrimary);
    assert_eq!((refusal.primary_addr.as_deref(), refusal.epoch), (Some(a.addr.as_str()), Some(1)));
}

#[tokio::test]
async fn a_promotion_that_would_lose_writes_is_refused_with_reasons() {
    let a = Node::start("--node a --role primary");
    assert_eq!(a.promote().await.reasons[0].code, "not_standby");
    let lonely = Node::start("--node c --role standby --peer 127.0.0.1:1");
    let reply = lonely.promote().await;
    assert!(!reply.accepted && reply.epoch.is_none());
    assert_eq!(reply.reasons[0].code, "never_streamed");
    assert!(!reply.reasons[0].cure.is_empty(), "a refusal says what would cure it");
    let (code, _) = refusal(a.admin().await.promote(v1::PromoteRequest::default()).await);
    assert_eq!(code, Code::InvalidArgument, "an act without an actor is not taken");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let (_a, b) = Node::pair("").await;
    let request = v1::PromoteRequest {
        actor: "t".into(),
        reason: "r".into(),
        dry_run: true,
        start_empty: false,
        accept_loss_entries: None,
    };
    let reply = b.admin().await.promote(request).await.expect("answered").into_inner();
    assert!(reply.accepted && reply.epoch.is_none());
    let status = b.status(false).await;
    assert_eq!(status.leadership.expect("leadership").role(), v1::Role::Standby);
    assert!(status.history.iter().all(|row| row.to_node == "a"), "{:?}", status.history);
}

/// The thawed primary has lost every grant before the new one spoke.
#[tokio::test]
async fn a_frozen_primary_answers_nothing_after_it_thaws() {
    let (a, b) = Node::pair("").await;
    let mut old = a.master().await;
    old.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    a.signal(Signal::SIGSTOP);
    assert!(b.promote().await.accepted);
    let mut new = b.master().await;
    new.put_start(start(&["k"])).await.expect("the new primary serves");
    a.signal(Signal::SIGCONT);
    let asked = old.exist_key(v1::ExistKeyRequest { keys: vec!["k".into()], tenant: String::new() }).await;
    let (code, refusal) = refusal(asked);
    assert!(matches!(code, Code::Unavailable | Code::FailedPrecondition), "{code} {refusal:?}");
    assert!(refusal.nothing_was_done());
    // The new primary asks its peer whether it still thinks that it leads.
    let role = |s: &v1::NodeStatus| s.leadership.as_ref().map(v1::Leadership::role);
    a.until("stepped down", |s| role(s) == Some(v1::Role::Standby)).await;
}

/// A primary restarted by a supervisor must not found a second, empty cluster.
#[tokio::test]
async fn a_primary_is_not_founded_twice() {
    let (_a, b) = Node::pair("").await;
    let founder = std::process::Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(["serve", "--node", "a", "--role", "primary", "--grpc", "127.0.0.1:0", "--peer", &b.addr])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&founder.stderr);
    assert_eq!(founder.status.code(), Some(1), "{said}");
    assert!(
        said.contains("has seen epoch 1: the cluster exists") && said.contains("--role standby"),
        "{said}"
    );
}

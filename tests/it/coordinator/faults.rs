//! What coordinators go through, and what nodes see of it.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use standfast::outbound::{CoordinatorOptions, Credentials, EtcdCoordinator};
use standfast::ports::{Coordinator, CoordinatorFault, News};
use standfast_kernel::coordination::{Key, Revision, Transaction, TransactionOutcome, change_isr, renew};
use standfast_proto::access::SharedAccess;
use standfast_proto::etcdserverpb as pb;
use standfast_proto::etcdserverpb::kv_client::KvClient;
use tokio::sync::mpsc;

use super::cases::{committed, found, isr, seen_until, view};
use super::proxy::Proxy;
use super::servers::{Etcd, Server, Witness};
use super::{connect, on_both};
use crate::node::PATIENCE;

/// Of one call. Tests wait for it to pass, so it is short.
const DEADLINE: Duration = Duration::from_millis(400);

/// Each case has a server of its own.
const CLUSTER: &str = "kv";

on_both!(
    records_and_watches_survive_a_kill,
    a_stopped_coordinator_leaves_the_outcome_unknown_in_time,
    a_transaction_without_an_answer_may_be_done,
    a_transaction_without_an_answer_may_be_done_later,
    a_transaction_is_dead_once_what_it_compares_is_written_again,
    what_is_compacted_away_is_read_anew,
    a_bad_value_is_named,
    an_endpoint_that_is_away_is_passed_over,
);

/// The next news that `wanted` says yes to.
async fn next(news: &mut mpsc::Receiver<News>, wanted: impl Fn(&News) -> bool) -> News {
    let reading = async {
        loop {
            let item = news.recv().await.expect("it goes on");
            if wanted(&item) {
                return item;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("in time")
}

fn is_whole(news: &News) -> bool {
    matches!(news, News::Seen(records) if records.records.len() == Key::GROUND.len())
}

/// Repeats a renewal until it is committed: what an answer missed is told by the next compare.
async fn renewed(c: &impl Coordinator, epoch: Revision, n: u64) -> Revision {
    let trying = async {
        loop {
            match c.transact(&renew(epoch, n)).await {
                TransactionOutcome::Committed(at) => return at,
                TransactionOutcome::CompareFailed(truth) => panic!("{truth:?}"),
                TransactionOutcome::Unknown(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, trying).await.expect("in time")
}

async fn records_and_watches_survive_a_kill(mut server: impl Server) {
    let c = connect(CLUSTER, &[server.address()], DEADLINE);
    let base = found(&c).await;
    let mut news = c.follow();
    next(&mut news, is_whole).await;
    let before = c.read().await.expect("it answers");
    server.kill();
    assert!(matches!(
        next(&mut news, |n| matches!(n, News::Lost(_))).await,
        News::Lost(CoordinatorFault::NoAnswer { .. })
    ));
    assert!(matches!(c.transact(&renew(base.epoch, 1)).await, TransactionOutcome::Unknown(_)));
    assert!(matches!(c.read().await, Err(CoordinatorFault::NoAnswer { .. })));
    server.restart().await;
    assert_eq!(next(&mut news, is_whole).await, News::Seen(before), "the revisions survive, too");
    let at = renewed(&c, base.epoch, 7).await;
    assert!(at > base.isr);
    seen_until(&mut news, at).await;
}

async fn a_stopped_coordinator_leaves_the_outcome_unknown_in_time(server: impl Server) {
    let c = connect(CLUSTER, &[server.address()], DEADLINE);
    let base = found(&c).await;
    let mut news = c.follow();
    next(&mut news, is_whole).await;
    server.signal(Signal::SIGSTOP);
    // Bounded by the deadline, else this would wait for the SIGCONT below.
    match c.transact(&renew(base.epoch, 1)).await {
        TransactionOutcome::Unknown(why) => assert!(why.contains("no answer within 400 ms"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(c.read().await.is_err());
    next(&mut news, |n| matches!(n, News::Lost(_))).await;
    server.signal(Signal::SIGCONT);
    next(&mut news, is_whole).await;
    renewed(&c, base.epoch, 2).await;
}

/// PROTOCOL C1: done, but the answer is lost.
async fn a_transaction_without_an_answer_may_be_done(server: impl Server) {
    let direct = connect(CLUSTER, &[server.address()], PATIENCE);
    let proxy = Proxy::to(server.address()).await;
    let c = connect(CLUSTER, &[&proxy.address], DEADLINE);
    let base = found(&c).await;
    proxy.hold_answers();
    let outcome = c.transact(&change_isr(base, isr(&[1]))).await;
    assert!(matches!(outcome, TransactionOutcome::Unknown(_)), "{outcome:?}");
    let seen = view(&direct).await;
    assert_eq!(seen.in_sync(), Some(&isr(&[1])));
    assert!(seen.isr.modified() > base.isr);
    proxy.open();
    assert_eq!(view(&c).await.in_sync(), Some(&isr(&[1])), "and whoever asks again learns it");
}

/// PROTOCOL C1: done long after the caller has given up.
async fn a_transaction_without_an_answer_may_be_done_later(server: impl Server) {
    let direct = connect(CLUSTER, &[server.address()], PATIENCE);
    let base = found(&direct).await;
    let late = held_back(&server, change_isr(base, isr(&[1]))).await;
    assert_eq!(view(&direct).await.isr.modified(), base.isr, "not done yet");
    let mut news = direct.follow();
    late();
    next(
        &mut news,
        |n| matches!(n, News::Seen(r) if r.get(&Key::Isr).is_some_and(|r| r.modified > base.isr)),
    )
    .await;
    assert_eq!(view(&direct).await.in_sync(), Some(&isr(&[1])));
}

/// PROTOCOL C1: the cure for the case before.
async fn a_transaction_is_dead_once_what_it_compares_is_written_again(server: impl Server) {
    let direct = connect(CLUSTER, &[server.address()], PATIENCE);
    let base = found(&direct).await;
    let txn = change_isr(base, isr(&[1]));
    let late = held_back(&server, txn.clone()).await;
    let read = direct.read().await.expect("it answers");
    assert!(!txn.is_dead(&read));
    let again = committed(&direct.transact(&change_isr(base, isr(&[1, 2]))).await);
    assert!(txn.is_dead(&direct.read().await.expect("it answers")));
    late();
    // Whatever it does, it has done before a later transaction of ours ends.
    for n in 1..20 {
        committed(&direct.transact(&renew(base.epoch, n)).await);
    }
    assert_eq!(view(&direct).await.isr.modified(), again);
}

/// Sends a transaction that waits on its way until its caller has given up;
/// what is returned lets it arrive.
async fn held_back(server: &impl Server, txn: Transaction) -> Box<dyn FnOnce()> {
    let proxy = Proxy::to(server.address()).await;
    let c = connect(CLUSTER, &[&proxy.address], DEADLINE);
    // Connected before, so that what waits is the transaction and nothing else.
    c.read().await.expect("it answers");
    proxy.hold_requests();
    let call = c.transact(&txn);
    let half = tokio::time::sleep(DEADLINE / 2);
    tokio::pin!(call, half);
    let sent = tokio::select! {
        outcome = &mut call => panic!("answered: {outcome:?}"),
        () = &mut half => proxy.held(),
    };
    assert!(sent > 0, "it was sent");
    assert!(matches!(call.await, TransactionOutcome::Unknown(_)));
    Box::new(move || proxy.let_pass(sent))
}

async fn kv(server: &impl Server) -> KvClient<tonic::transport::Channel> {
    KvClient::connect(format!("http://{}", server.address())).await.expect("it listens")
}

/// PROTOCOL C3: a watch from a revision that is gone ends, and everything is read again.
async fn what_is_compacted_away_is_read_anew(server: impl Server) {
    let direct = connect(CLUSTER, &[server.address()], PATIENCE);
    let base = found(&direct).await;
    let proxy = Proxy::to(server.address()).await;
    let through = connect(CLUSTER, &[&proxy.address], DEADLINE);
    let mut news = through.follow();
    next(&mut news, is_whole).await;
    proxy.hold_answers();
    let mut last = base.isr;
    for n in 1..=5 {
        last = committed(&direct.transact(&renew(base.epoch, n)).await);
    }
    let request = pb::CompactionRequest { revision: last.0 as i64, physical: true };
    kv(&server).await.compact(request).await.expect("it compacts");
    next(&mut news, |n| matches!(n, News::Lost(_))).await;
    proxy.open();
    let whole = next(&mut news, is_whole).await;
    assert_eq!(whole, News::Seen(direct.read().await.expect("it answers")));
    // The watch itself: changes at the revision of the compaction are kept, earlier ones are not.
    assert_eq!(first_answer(&server, last).await, (0, 1));
    assert_eq!(first_answer(&server, Revision(last.0 - 1)).await, (last.0 as i64, 0));
}

/// Of a watch on all keys of the cluster from `from` on: the compact revision that
/// it is cancelled with, or 0, and the number of events.
async fn first_answer(server: &impl Server, from: Revision) -> (i64, usize) {
    use pb::watch_request::RequestUnion::CreateRequest;
    let mut client = pb::watch_client::WatchClient::connect(format!("http://{}", server.address()))
        .await
        .expect("it listens");
    let create = pb::WatchCreateRequest {
        key: "standfast/".into(),
        range_end: "standfast0".into(),
        start_revision: from.0 as i64,
        progress_notify: false,
    };
    let (ask, requests) = mpsc::channel(1);
    let create = pb::WatchRequest { request_union: Some(CreateRequest(create)) };
    ask.send(create).await.expect("room");
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = client.watch(requests).await.expect("a stream").into_inner();
    let reading = async {
        loop {
            let answer = answers.message().await.expect("it goes on").expect("it goes on");
            if answer.canceled || !answer.events.is_empty() {
                return (answer.compact_revision, answer.events.len());
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("in time")
}

async fn a_bad_value_is_named(server: impl Server) {
    let c = connect(CLUSTER, &[server.address()], PATIENCE);
    let base = found(&c).await;
    let mut news = c.follow();
    next(&mut news, is_whole).await;
    let put = pb::PutRequest { key: "standfast/kv/isr".into(), value: "me!".into(), ..Default::default() };
    let op = pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) };
    let txn = pb::TxnRequest { compare: vec![], success: vec![op], failure: vec![] };
    kv(&server).await.txn(txn).await.expect("done");
    let fault = c.read().await.expect_err("it cannot be understood");
    for part in ["`standfast/kv/isr`", "`me!`", "expected an in-sync set as JSON"] {
        assert!(fault.to_string().contains(part), "{fault}");
    }
    assert_eq!(next(&mut news, |n| matches!(n, News::Lost(_))).await, News::Lost(fault));
    // The truth of a failed compare cannot be told either; that it failed is not known then.
    assert!(matches!(c.transact(&change_isr(base, isr(&[1]))).await, TransactionOutcome::Unknown(_)));
}

async fn an_endpoint_that_is_away_is_passed_over(server: impl Server) {
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("bound").to_string()
    };
    let c = connect(CLUSTER, &[&nobody, server.address()], PATIENCE);
    let base = found(&c).await;
    let mut news = c.follow();
    seen_until(&mut news, base.isr).await;
}

/// Members of a majority go on when one stops, be it the leader.
#[tokio::test(flavor = "multi_thread")]
async fn each_member_of_an_etcd_cluster_may_stop() {
    let Some(members) = Etcd::cluster_or_skip(3).await else { return };
    let addresses: Vec<&str> = members.iter().map(Server::address).collect();
    let c = connect(CLUSTER, &addresses, DEADLINE);
    let base = found(&connect(CLUSTER, &addresses, PATIENCE)).await;
    let mut news = c.follow();
    next(&mut news, is_whole).await;
    for (n, member) in members.iter().enumerate() {
        member.signal(Signal::SIGSTOP);
        let at = renewed(&c, base.epoch, n as u64).await;
        let told = |news: &News| matches!(news, News::Seen(records) if records.at >= at);
        next(&mut news, told).await;
        member.signal(Signal::SIGCONT);
    }
}

/// Who gives no name is told so; who does is let in, also after a restart, which voids tokens.
#[tokio::test(flavor = "multi_thread")]
async fn etcd_wants_to_know_who_asks() {
    let Some(mut etcd) = Etcd::start_or_skip().await else { return };
    for command in ["user add root:secret", "user grant-role root root", "auth enable"] {
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.env("ETCDCTL_API", "3").args(["--endpoints", etcd.address()]).args(command.split(' '));
        assert!(etcdctl.stdout(Stdio::null()).status().expect("etcdctl starts").success(), "{command}");
    }
    let stranger = connect(CLUSTER, &[etcd.address()], PATIENCE);
    let refused = stranger.read().await.expect_err("no name was given");
    assert!(
        matches!(&refused, CoordinatorFault::Refused { what, .. } if what.contains("user name is empty")),
        "{refused}"
    );
    let options = |password: &str| CoordinatorOptions {
        endpoints: vec![etcd.address.clone()],
        access: SharedAccess::default(),
        credentials: Some(Credentials { user: "root".into(), password: password.into() }),
        call_deadline: PATIENCE,
    };
    let guesser = EtcdCoordinator::new(CLUSTER.parse().expect("valid"), options("guess"));
    assert!(matches!(guesser.read().await, Err(CoordinatorFault::Refused { .. })));
    let c = EtcdCoordinator::new(CLUSTER.parse().expect("valid"), options("secret"));
    let base = found(&c).await;
    let mut news = c.follow();
    next(&mut news, is_whole).await;
    etcd.kill();
    etcd.restart().await;
    renewed(&c, base.epoch, 1).await;
}

//! Every metric of the catalogue moves through the public doors of running
//! processes, or is absent as it says.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::Signal;
use standfast::telemetry::catalog::{self, Kind, Metric};
use standfast_proto::v1;
use standfast_wire::List;
use standfast_wire::calls as w;
use standfast_wire::types::{ObjectMeta, ReplicaType, Segment, TaskCompleteRequest, TaskStatus, Uuid};
use tokio::net::TcpListener;

use crate::cable::Cable;
use crate::collector::Collector;
use crate::coordinator::{Server, Witness};
use crate::leadership::{cli, cluster, leads};
use crate::logs::posted;
use crate::mooncake::{Client, ME, TENANT, exist, mount, plain, put_end, put_start};
use crate::node::{Node, end, get, refusal, segment, start};
use crate::scrape::{Scrape, page, scrape, until};

/// What a healthy pair cannot move: a unit test of the exposition shows each. A certificate is replaced among the
/// tests of security.
const NEEDS_A_FAULT: &[&str] = &[
    "standfast_quarantined_entries",
    "standfast_quarantined_entries_total",
    "standfast_full_sync_progress_ratio",
    "standfast_tls_certificate_not_after_timestamp_seconds",
];

/// Calls of Mooncake's protocol, so that each stock counter counts: one that succeeds and one that fails.
async fn stock_calls(node: &Node) {
    let mut c = Client::connect_when_served(&node.mooncake).await;
    let lent = Segment { id: Uuid { first: 1, second: 0 }, ..mount(1 << 20).segment };
    c.call(&w::MountSegment { segment: lent, client_id: ME }).await.expect("a result");
    let other = Segment { size: 0, id: Uuid { first: 8, second: 8 }, ..lent };
    c.call(&w::MountSegment { segment: other, client_id: ME }).await.expect("a result");
    for segments in [&[lent][..], &[other]] {
        c.call(&w::ReMountSegment { segments: List::new(segments), client_id: ME }).await.expect("a result");
    }
    for key in [&b"s1"[..], b"s1", b""] {
        c.call(&put_start(key)).await.expect("a result");
        c.call(&put_end(key)).await.expect("a result");
        c.call(&w::PutRevoke { client_id: ME, key, replica_type: ReplicaType::ALL, tenant_id: TENANT })
            .await
            .expect("a result");
        c.call(&w::GetReplicaList { key, tenant_id: TENANT }).await.expect("a result");
        c.call(&exist(key)).await.expect("a result");
    }
    let keys = [&b"b1"[..], b"b2", b"b3", b""];
    for keys in [&keys[..2], &keys[2..], &keys[3..]] {
        let (list, lengths) = (List::new(keys), vec![50; keys.len()]);
        let started = w::BatchPutStart {
            client_id: ME,
            keys: list,
            slice_lengths: List::new(&lengths),
            config: plain(),
            tenant_id: TENANT,
        };
        c.call(&started).await.expect("a result");
        let metas: Vec<ObjectMeta<'_>> =
            keys.iter().map(|key| ObjectMeta { key, object_checksum: None }).collect();
        let (replica_type, object_metas) = (ReplicaType::ALL, List::new(&metas[..]));
        c.call(&w::BatchPutEnd { client_id: ME, object_metas, replica_type, tenant_id: TENANT })
            .await
            .expect("a result");
        c.call(&w::BatchGetReplicaList { keys: list, tenant_id: TENANT }).await.expect("a result");
        c.call(&w::BatchExistKey { keys: list, tenant_id: TENANT }).await.expect("a result");
        c.call(&w::BatchPutRevoke { client_id: ME, keys: list, replica_type, tenant_id: TENANT })
            .await
            .expect("a result");
    }
    c.call(&put_start(b"given up")).await.expect("a result");
    let keys_of = [&b"given up"[..], b""];
    let given_up = w::BatchPutRevoke {
        client_id: ME,
        keys: List::new(&keys_of),
        replica_type: ReplicaType::ALL,
        tenant_id: TENANT,
    };
    c.call(&given_up).await.expect("a result");
    for regex in [&b"s.*"[..], b"("] {
        c.call(&w::GetReplicaListByRegex { regex, tenant_id: TENANT }).await.expect("a result");
        c.call(&w::RemoveByRegex { regex, force: true, tenant_id: TENANT }).await.expect("a result");
    }
    for key in [&b"b1"[..], b"b1"] {
        c.call(&w::Remove { key, force: true, tenant_id: TENANT }).await.expect("a result");
    }
    transfers(&mut c).await;
    whole_calls(&mut c).await;
}

/// Copies, moves and tasks of a key that is not there.
async fn transfers(c: &mut Client) {
    let (key, client_id, tenant_id) = (&b"nobody"[..], ME, TENANT);
    let (from, to) = (&b"host-1:1"[..], &b"host-2:1"[..]);
    let targets = [to];
    let tgt_segments = List::new(&targets);
    let copy = w::CopyStart { client_id, key, tenant_id, src_segment: from, tgt_segments };
    c.call(&copy).await.expect("a result");
    c.call(&w::CopyEnd { client_id, key, tenant_id }).await.expect("a result");
    c.call(&w::CopyRevoke { client_id, key, tenant_id }).await.expect("a result");
    let movement = w::MoveStart { client_id, key, tenant_id, src_segment: from, tgt_segment: to };
    c.call(&movement).await.expect("a result");
    c.call(&w::MoveEnd { client_id, key, tenant_id }).await.expect("a result");
    c.call(&w::MoveRevoke { client_id, key, tenant_id }).await.expect("a result");
    c.call(&w::CreateCopyTask { key, tenant_id, targets: tgt_segments }).await.expect("a result");
    c.call(&w::CreateMoveTask { key, tenant_id, source: from, target: to }).await.expect("a result");
    let id = Uuid { first: 1, second: 1 };
    c.call(&w::QueryTask { task_id: id }).await.expect("a result");
    let request = TaskCompleteRequest { id, status: TaskStatus::SUCCESS, message: b"" };
    c.call(&w::MarkTaskToComplete { client_id, request }).await.expect("a result");
}

/// Calls that fail as a whole or not at all.
async fn whole_calls(c: &mut Client) {
    let segment_id = Uuid { first: 1, second: 0 };
    c.call(&w::Ping { client_id: ME }).await.expect("a result");
    c.call(&w::FetchTasks { client_id: ME, batch_size: 1 }).await.expect("a result");
    c.call(&w::BatchQueryIp { client_ids: List::new(&[ME]) }).await.expect("a result");
    let keys = [&b"b1"[..]];
    let object_keys = List::new(&keys);
    let clear = w::BatchReplicaClear { object_keys, client_id: ME, segment_name: b"" };
    c.call(&clear).await.expect("a result");
    // Where it is refused it has no result, only an error of the transport.
    let _ = c.call(&w::RemoveAll { force: true, tenant_id: TENANT }).await;
    c.call(&w::UnmountSegment { segment_id, client_id: ME }).await.expect("a result");
}

/// Calls of our own contract, with elements that fail.
async fn own_calls(node: &Node) {
    let mut c = node.master().await;
    c.ping(v1::PingRequest { client: Some(crate::node::CLIENT) }).await.expect("answered");
    c.mount_segment(segment(3, 1 << 21)).await.expect("answered");
    c.put_start(start(&["x", "y", "x"])).await.expect("answered");
    c.put_end(end(&["x", "never"])).await.expect("answered");
    c.get_replica_list(get(&["x", "never"])).await.expect("answered");
    // More than the log holds; at once it would be gone before the standby has it.
    for batch in 0..18 {
        let key = |i: u64| format!("{batch}-{i:0200}").into();
        let item = |i| v1::PutStartItem { key: key(i), size: 100 };
        let put = v1::PutStartRequest { items: (0..500).map(item).collect(), ..start(&[]) };
        c.put_start(put).await.expect("answered");
        // Half of them may be evicted, the others grow too old.
        let items = (0..250).map(|i| v1::PutEndItem { key: key(i), checksum: None }).collect();
        c.put_end(v1::PutEndRequest { items, ..end(&[]) }).await.expect("answered");
    }
    // A thread of its own counts.
    node.status(true).await;
    let keys = vec!["x".into()];
    c.exist_key(v1::ExistKeyRequest { keys: keys.clone(), tenant: String::new() }).await.expect("answered");
    // Larger than all memory that is lent.
    let item = v1::PutStartItem { key: "huge".into(), size: 1 << 30 };
    c.put_start(v1::PutStartRequest { items: vec![item], ..start(&[]) }).await.expect("answered");
    c.remove(v1::RemoveRequest { keys, force: true, tenant: String::new() }).await.expect("answered");
}

/// A put that nobody can acknowledge in time, and calls that are refused meanwhile.
async fn unknown_outcome(a: &Node, b: &Node) -> Scrape {
    b.signal(Signal::SIGSTOP);
    let mut client = a.master().await;
    let put = tokio::spawn(async move { client.put_start(start(&["z"])).await });
    let waiting = until(a, "a reply waits", |s| s.value("standfast_pending_replies") == Some(1.0)).await;
    let (code, _) = refusal(put.await.expect("the task"));
    assert_eq!(code, tonic::Code::Unknown);
    whole_calls(&mut Client::connect_when_served(&a.mooncake).await).await;
    b.signal(Signal::SIGCONT);
    waiting
}

/// The coordinator is seen from where there is one: up, and then gone; failover is paused, and then stopped.
async fn with_a_coordinator() -> Vec<Scrape> {
    let mut witness = Witness::start();
    let (led, standby) = cluster(&witness.url(), "--failover-limit 1").await;
    let is = |name: &'static str, value: f64| move |s: &Scrape| s.value(name) == Some(value);
    let mut seen = vec![until(&standby, "the coordinator answers", is("standfast_arbiter_up", 1.0)).await];
    assert_eq!(cli(&standby.addr, "pause --for 1h --reason test --json").0, Some(0));
    let paused = until(&standby, "failover is paused", is("standfast_paused", 1.0)).await;
    let left = |s: &Scrape| s.value("standfast_pause_remaining_seconds").expect("paused");
    let less = until(&standby, "the pause runs down", |s| left(s) < left(&paused)).await;
    seen.extend([paused, less]);
    assert_eq!(cli(&standby.addr, "resume --reason test --json").0, Some(0));
    seen.push(until(&standby, "it goes on", is("standfast_paused", 0.0)).await);
    led.signal(Signal::SIGKILL);
    standby.until("the standby leads", leads).await;
    // One automatic failover is too many here.
    let stopped = is("standfast_automatic_failover_stopped", 1.0);
    seen.push(until(&standby, "no further one", stopped).await);
    witness.kill();
    seen.push(until(&standby, "the coordinator is gone", is("standfast_arbiter_up", 0.0)).await);
    seen
}

/// The old primary comes back with nothing, and is given a copy of the state.
async fn comes_back(b: &Node, of_b: &mut Vec<Scrape>) -> Vec<Scrape> {
    let a = Node::start(&format!("--node a --role standby --peer {} {QUICK}", b.addr));
    let copied = |s: &Scrape| s.value("standfast_full_syncs_total") == Some(1.0);
    let first = scrape(&a).await;
    let of_a = vec![first, until(&a, "a copy of the state", copied).await];
    let encoded = |s: &Scrape| {
        s.value("standfast_lock_hold_seconds_count") > Some(0.0)
            && s.value("standfast_replication_ack_seconds_count{standby=\"a\"}") > Some(0.0)
    };
    of_b.push(until(b, "homes were locked, and batches acknowledged", encoded).await);
    of_a
}

/// Gauges that come with one value, or go, and need not take another within the test.
const COMES_OR_GOES: &[(&str, &str)] = &[
    ("standfast_failover_rto_seconds", "of one role change"),
    ("standfast_failover_rpo_entries", "of one role change, which loses nothing"),
    ("standfast_failover_rpo_bytes", "the same"),
    ("standfast_failover_rpo_seconds", "the same"),
    ("standfast_failover_rpo_keys", "the same"),
    ("standfast_failover_last_timestamp_seconds", "of one role change"),
    ("standfast_failover_phase_seconds", "of one role change"),
    ("standfast_verify_mismatched_keys", "one item, overwritten milliseconds after it is known to differ"),
    ("standfast_memory_intact", "of one item, which is whole again milliseconds after"),
    ("standfast_verify_paused", "only while a standby is far behind; it comes and goes with the role"),
    ("segment_total_capacity_bytes", "of one segment, with which it comes and goes"),
    ("ha_oplog_standby_lag", "0 while nothing is on its way; comes and goes with the role"),
];

/// True when a series that is in two readings of a node has another value in the later one. A counter moves
/// up; to appear with a value is to move only for what is listed.
fn moved(metric: &Metric, scrapes: &[Vec<Scrape>]) -> bool {
    let may_come = COMES_OR_GOES.iter().any(|(name, _)| *name == metric.name);
    scrapes.iter().any(|of_node| {
        let readings: Vec<_> = of_node.iter().map(|s| s.of(metric.name)).collect();
        let changed = |earlier: &BTreeMap<&str, f64>, later: &BTreeMap<&str, f64>| {
            let is_other = |(series, value): (&&str, &f64)| match later.get(series) {
                Some(now) if metric.kind == Kind::Gauge => now != value,
                Some(now) => now > value,
                None => false,
            };
            earlier.iter().any(is_other) || (may_come && earlier.len() != later.len())
        };
        // A series may be absent in between.
        (0..readings.len()).any(|i| readings[i + 1..].iter().any(|later| changed(&readings[i], later)))
    })
}

/// Damage to the standby is found, named and repaired.
async fn damaged(b: &Node, of_b: &mut Vec<Scrape>) {
    // No object is left by then; the memory that was lent is.
    let damage = v1::LabCorruptRequest { kind: "segment".into(), pick: 7, count: 1 };
    let planted = b.admin().await.lab_corrupt(damage).await.expect("damaged").into_inner();
    assert_eq!(planted.names.len(), 1);
    let repaired = |s: &Scrape| s.value("standfast_repairs_total{result=\"repaired\"}") > Some(0.0);
    of_b.push(until(b, "the damage is repaired", repaired).await);
}

/// So that every home is compared and counted within the test.
const QUICK: &str = "--verify-cycle-ms 200 --verify-recount-ms 500";

/// "Metrics exist": and never change.
#[tokio::test]
async fn trap_08_every_metric_of_the_catalogue_moves_or_is_absent_as_it_says() {
    let collector = Collector::start().await;
    let traced = format!(
        "--otlp {} --trace-sample always --client-ttl-ms 600000 --eviction-watermark 0.2 --put-discard-ms 1000 \
         --put-release-ms 2000",
        collector.url
    );
    let a = Node::start(&format!(
        "--node a --role primary --grant-ms 3000 --log-mib 1 {QUICK} --mooncake 127.0.0.1:0 {traced}"
    ));
    let read = |s: &Scrape| s.families.contains("standfast_node_role");
    let lonely = until(&a, "the first reading", read).await;
    for name in
        ["standfast_replication_lag_entries", "segment_allocated_bytes", "standfast_failover_phase_seconds"]
    {
        assert!(!lonely.families.contains(name), "{name} is not known yet");
    }
    let hook = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let told = format!("--webhook http://{}/", hook.local_addr().expect("an address"));
    let b = Node::start(&format!(
        "--node b --role standby --peer {} --log-mib 1 --mooncake 127.0.0.1:0 {told} --enable-lab {QUICK}",
        a.addr
    ));
    let young = until(&b, "the first reading", read).await;
    b.until("in sync", |s| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)).await;
    let (mut of_a, mut of_b) = (vec![lonely, scrape(&a).await], vec![young, scrape(&b).await]);
    own_calls(&a).await;
    of_a.push(scrape(&a).await);
    let exported = |s: &Scrape| s.value("standfast_spans_exported_total") > Some(0.0);
    of_a.push(until(&a, "spans are exported", exported).await);
    collector.stop();
    stock_calls(&a).await;
    let (code, _) = refusal(b.master().await.put_start(start(&["k"])).await);
    assert_eq!(code, tonic::Code::FailedPrecondition);
    of_a.extend([scrape(&a).await, unknown_outcome(&a, &b).await]);
    let refused = "standfast_spans_dropped_total{why=\"refused\"}";
    of_a.push(until(&a, "drops are counted", |s| s.value(refused) > Some(0.0)).await);
    let freed = |s: &Scrape| {
        s.value("master_put_start_release_cnt") > Some(0.0) && s.value("master_evicted_key_count") > Some(0.0)
    };
    of_a.push(until(&a, "eviction and discard", freed).await);
    of_b.push(scrape(&b).await);
    for m in catalog::all() {
        let stated = |s: &Scrape, when: &str| m.absent != when || !s.families.contains(m.name);
        assert!(stated(&of_a[3], "on a primary"), "{}", m.name);
        assert!(stated(&of_b[2], "on a node that is not the primary"), "{}", m.name);
    }
    let gone = |m: &&Metric| of_a.iter().chain(&of_b).any(|s| !s.families.contains(m.name));
    let gone: Vec<&str> =
        catalog::all().filter(|m| m.absent.is_empty()).filter(gone).map(|m| m.name).collect();
    assert!(gone.is_empty(), "never absent, says the catalogue: {gone:?}");
    let counted = |s: &Scrape| s.value("standfast_memory_intact") == Some(1.0);
    of_a.push(until(&a, "the primary has counted its memory", counted).await);
    let verified = |s: &Scrape| counted(s) && s.families.contains("standfast_verify_age_seconds");
    of_b.push(until(&b, "the standby is verified", verified).await);
    damaged(&b, &mut of_b).await;
    a.signal(Signal::SIGKILL);
    assert!(b.promote().await.accepted);
    posted(&hook).await;
    b.master().await.get_replica_list(get(&["x"])).await.expect("answered");
    let known = |s: &Scrape| s.families.contains("standfast_failover_rto_seconds");
    of_b.push(until(&b, "the outage is known", known).await);
    let ok = "standfast_notifications_total{result=\"ok\"}";
    of_b.push(until(&b, "the webhook was told", |s| s.value(ok) == Some(1.0)).await);

    let back = comes_back(&b, &mut of_b).await;
    let all = [of_a, of_b, back, with_a_coordinator().await];
    let known: BTreeSet<&str> = catalog::all().map(|m| m.name).collect();
    for family in all.iter().flatten().flat_map(|s| &s.families) {
        assert!(known.contains(&**family), "{family} is exported and not in the catalogue");
    }
    let still: Vec<&str> = catalog::all()
        .filter(|m| m.constant == moved(m, &all) && !NEEDS_A_FAULT.contains(&m.name))
        .map(|m| m.name)
        .collect();
    assert!(still.is_empty(), "these did not move, or moved though constant: {still:?}");
    let series = all.iter().flatten().map(|s| s.series.len()).max().expect("some");
    assert!(series <= 600, "{series} series");
    let counters = catalog::all().filter(|m| m.kind == Kind::Counter).count();
    assert!(counters > 50, "the stock counters are among them: {counters}");
}

/// From the second missed heartbeat on, long before the link counts as down, by the node's own clock: its view may be 50 ms old.
async fn lag_rises_with_silence(node: &Node) {
    let silent_for = |s: &Scrape| {
        let heard = "standfast_replication_last_contact_timestamp_seconds{standby=\"b\"}";
        Some(s.value("standfast_clock_timestamp_seconds")? - s.value(heard)?)
    };
    loop {
        let seen = scrape(node).await;
        let silent = silent_for(&seen).expect("they were in contact");
        let lag = seen.value("standfast_replication_lag_seconds{standby=\"b\"}").expect("known");
        assert!(silent < 0.3 || lag > 0.2, "silent for {silent} s, and a lag of {lag} s");
        if silent > 0.6 {
            return;
        }
    }
}

/// Cutting the cable must show: lag does not stay at its last good value.
#[tokio::test]
async fn a_cut_link_makes_lag_rise_and_the_standby_not_promotable() {
    let a = Node::start("--node a --role primary");
    let cable = Cable::to(&a.addr).await;
    let b = Node::start(&format!("--node b --role standby --peer {}", cable.addr));
    b.until("in sync", |s| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)).await;
    let whole =
        until(&a, "promotable", |s| s.value("standfast_standby_promotable{standby=\"b\"}") == Some(1.0));
    let whole = whole.await;
    assert_eq!(whole.value("standfast_replication_lag_entries{standby=\"b\"}"), Some(0.0));

    cable.cut();
    for node in [&a, &b] {
        let lag = |s: &Scrape| s.value("standfast_replication_lag_seconds{standby=\"b\"}");
        lag_rises_with_silence(node).await;
        let down = |s: &Scrape| s.value("standfast_replication_link_up{standby=\"b\"}") == Some(0.0);
        // From the second heartbeat interval on it is above 0 and only rises.
        let first = until(node, "lag after the cut", |s| down(s) && lag(s) > Some(0.2)).await;
        assert_eq!(first.value("standfast_replication_lag_entries{standby=\"b\"}"), None, "unknown, not 0");
        until(node, "lag rises", |s| lag(s) > lag(&first)).await;
    }
    let seen = scrape(&a).await;
    assert_eq!(seen.value("standfast_standby_promotable{standby=\"b\"}"), Some(0.0));
    assert_eq!(page(&b, "/readyz").await.0, 503);
    assert_eq!(page(&b, "/livez").await.0, 200, "a cut cable is no reason to restart a node");
}

#[tokio::test]
async fn every_call_of_the_stock_door_is_counted() {
    let (a, _b) = Node::pair("--mooncake 127.0.0.1:0").await;
    stock_calls(&a).await;
    let s = scrape(&a).await;
    for (series, expected) in [
        ("master_put_start_requests_total", 4.0),
        ("master_put_start_failures_total", 2.0),
        ("master_batch_put_start_requests_total", 3.0),
        ("master_batch_put_start_items_total", 5.0),
        ("master_batch_put_start_failed_items_total", 2.0),
        ("master_batch_put_start_failures_total", 1.0),
        ("master_batch_put_start_partial_successes_total", 1.0),
    ] {
        assert_eq!(s.value(series), Some(expected), "{series}");
    }
    assert_eq!((s.value("master_key_count"), s.value("master_allocated_bytes")), (Some(0.0), Some(0.0)));
}

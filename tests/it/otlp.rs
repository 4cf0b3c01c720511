//! Traces: every write's chain is complete on both nodes and every link leads somewhere.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::Span;
use standfast_proto::v1;
use tokio::task::JoinSet;

use crate::collector::{Collector, Id, id};
use crate::node::{CLIENT, Node, end, get, segment, start};
use crate::scrape::{scrape, until};

const WRITES: usize = 10_000;
/// Requests at the same time.
const AT_ONCE: usize = 64;

fn put(key: String) -> v1::PutStartRequest {
    let item = v1::PutStartItem { key: key.into(), size: 100 };
    v1::PutStartRequest { client: Some(CLIENT), items: vec![item], ..start(&[]) }
}

async fn many_writes(a: &Node) {
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 30)).await.expect("mounted");
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        let mut client = client.clone();
        workers.spawn(async move {
            for i in (worker..WRITES).step_by(AT_ONCE) {
                let reply = client.put_start(put(format!("key-{i}"))).await.expect("answered").into_inner();
                assert_eq!(reply.results[0].error, None);
            }
        });
    }
    workers.join_all().await;
}

/// Spans by name and by what they are.
struct Spans {
    by_id: BTreeMap<Id, (String, Span)>,
    children: BTreeMap<Id, Vec<Id>>,
}

impl Spans {
    fn of(all: Vec<(String, Span)>) -> Self {
        let mut children: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
        for (_, span) in &all {
            children.entry((span.trace_id.clone(), span.parent_span_id.clone())).or_default().push(id(span));
        }
        let count = all.len();
        let by_id: BTreeMap<Id, (String, Span)> = all.into_iter().map(|(n, s)| (id(&s), (n, s))).collect();
        assert_eq!(by_id.len(), count, "span ids are distinct");
        Self { by_id, children }
    }

    /// The only child of that name, which must be of that node.
    fn child(&self, parent: &Id, node: &str, name: &str) -> &Span {
        let children = self.children.get(parent).map(Vec::as_slice).unwrap_or_default();
        let mut named = children.iter().map(|id| &self.by_id[id]).filter(|(_, s)| s.name == name);
        let found = named.next().ok_or_else(|| format!("no {name} below {parent:?}")).expect("there");
        assert!(named.next().is_none() && found.0 == node, "one {name}, of {node}");
        &found.1
    }

    /// What its links lead to.
    fn linked(&self, span: &Span) -> Vec<&Span> {
        let target = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| {
            let id = (link.trace_id.clone(), link.span_id.clone());
            &self.by_id.get(&id).ok_or_else(|| format!("{} links to nothing", span.name)).expect("resolves").1
        };
        span.links.iter().map(target).collect()
    }

    /// Checks one write's chain from the door to the standby's apply and back.
    fn check(&self, root: &Span) {
        let at = id(root);
        let decide = self.child(&at, "a", "master.decide");
        let append = self.child(&at, "a", "oplog.append");
        let wait = self.child(&at, "a", "replicate.wait_ack");
        let receive = self.child(&at, "b", "standby.receive");
        let apply = self.child(&at, "b", "standby.apply");
        assert_eq!(root.start_time_unix_nano, decide.start_time_unix_nano);
        assert_eq!(decide.end_time_unix_nano, append.start_time_unix_nano);
        assert_eq!(append.end_time_unix_nano, wait.start_time_unix_nano);
        assert_eq!(wait.end_time_unix_nano, root.end_time_unix_nano);
        assert_eq!(receive.end_time_unix_nano, apply.start_time_unix_nano);
        let ships = self.linked(wait);
        assert_eq!(ships.len(), 1, "one standby, one batch");
        assert_eq!(ships[0].name, "batch.ship");
        assert!(self.linked(ships[0]).iter().any(|write| id(write) == at), "the batch links back");
        assert_eq!(self.linked(receive), ships, "both nodes name the same batch");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_chain_is_complete_on_both_nodes_and_every_link_resolves() {
    let collector = Collector::start().await;
    let (a, b) =
        Node::pair(&format!("--otlp {} --trace-sample always --client-ttl-ms 600000", collector.url)).await;
    many_writes(&a).await;
    let is_root = |s: &Span| s.name == "standfast.put_start";
    let complete = |spans: &[(String, Span)]| {
        let count = |wanted: &dyn Fn(&Span) -> bool| spans.iter().filter(|(_, s)| wanted(s)).count();
        let linked: usize =
            spans.iter().filter(|(_, s)| s.name == "batch.ship").map(|(_, s)| s.links.len()).sum();
        count(&is_root) >= WRITES && count(&|s| s.name == "standby.apply") > WRITES && linked > WRITES
    };
    let spans = Spans::of(collector.until("all spans", complete).await);
    let roots: Vec<&Span> = spans.by_id.values().map(|(_, s)| s).filter(|s| is_root(s)).collect();
    assert_eq!(roots.len(), WRITES);
    roots.iter().for_each(|root| spans.check(root));
    let traces: BTreeSet<&[u8]> = roots.iter().map(|r| &*r.trace_id).collect();
    assert_eq!(traces.len(), WRITES, "each write has a trace of its own");
    for node in [&a, &b] {
        let s = scrape(node).await;
        for why in ["queue_full", "refused"] {
            let dropped = s.value(&format!("standfast_spans_dropped_total{{why=\"{why}\"}}"));
            assert_eq!(dropped, Some(0.0), "{why}");
        }
    }
}

#[tokio::test]
async fn a_callers_trace_is_continued_and_shown_by_the_recorder() {
    let collector = Collector::start().await;
    let (a, _b) = Node::pair(&format!("--otlp {} --trace-sample failed", collector.url)).await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let mut request = tonic::Request::new(put("k".into()));
    let header = format!("00-{trace}-{parent}-01").parse().expect("a header");
    request.metadata_mut().insert("traceparent", header);
    client.put_start(request).await.expect("answered");
    client.put_end(end(&["k"])).await.expect("answered");

    let there = |spans: &[(String, Span)], name| spans.iter().any(|(_, s)| s.name == name);
    let both =
        |spans: &[(String, Span)]| there(spans, "standby.apply") && there(spans, "standfast.put_start");
    let spans = collector.until("spans of both nodes", both).await;
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    // A batch and a role change have traces of their own.
    let own = |s: &Span| ["batch.ship", "bootstrap"].contains(&&*s.name);
    let others: Vec<&Span> =
        spans.iter().map(|(_, s)| s).filter(|s| !own(s) && hex(&s.trace_id) != trace).collect();
    assert!(others.is_empty(), "nothing else is sampled: {others:?}");
    let roots = spans.iter().filter(|(_, s)| s.name == "standfast.put_start");
    assert_eq!(roots.map(|(_, s)| hex(&s.parent_span_id)).collect::<Vec<_>>(), [parent]);
    let shown = std::process::Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(["trace", "3", "--json", "--connect", &a.addr])
        .output()
        .expect("it runs");
    let path: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(path["trace_id"], trace, "{path}");
}

/// Sampled only because it failed: the standby is told late, and its spans are there all the same.
#[tokio::test]
async fn a_failed_request_is_traced_and_a_role_change_is_one_trace() {
    let collector = Collector::start().await;
    let (a, b) = Node::pair(&format!("--otlp {} --trace-sample slow:0ms", collector.url)).await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    let told = |spans: &[(String, Span)]| {
        spans.iter().any(|(node, s)| node == "b" && s.name == "standby.apply" && !s.parent_span_id.is_empty())
    };
    collector.until("a slow write on the standby", told).await;
    drop(a);
    assert!(b.promote().await.accepted);
    // The answer that ends the outage is a phase, too.
    b.master().await.get_replica_list(get(&["k"])).await.expect("answered");
    let over = |spans: &[(String, Span)]| spans.iter().any(|(_, s)| s.name == "failover.first_answer");
    let spans = collector.until("the failover", over).await;
    let root = spans.iter().map(|(_, s)| s).rfind(|s| s.name == "failover").expect("a root");
    let phases: Vec<&str> =
        spans.iter().filter(|(_, s)| s.parent_span_id == root.span_id).map(|(_, s)| &*s.name).collect();
    let expected = ["failover.detect", "failover.fence", "failover.promote", "failover.first_answer"];
    assert_eq!(phases[..4], expected, "{phases:?}");
    let record = b.status(false).await.history.last().cloned().expect("a row");
    let spanned = root.end_time_unix_nano - root.start_time_unix_nano;
    assert_eq!(record.outage_us.map(|us| us * 1_000), Some(spanned), "the trace is as long as the outage");
    let hex: String = root.trace_id.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(record.trace_id, Some(hex), "the history names the trace");
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_no_write_and_is_counted() {
    let collector = Collector::start().await;
    let a = Node::start(&format!("--node a --role primary --otlp {} --trace-sample always", collector.url));
    collector.stop();
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("answered at once");
    client.put_start(start(&["k"])).await.expect("answered at once");
    let refused = "standfast_spans_dropped_total{why=\"refused\"}";
    until(&a, "drops are counted", |s| s.value(refused) > Some(0.0)).await;
}

#[tokio::test]
async fn spans_are_exported_over_http_too() {
    let collector = Collector::start_http().await;
    let a = Node::start(&format!("--node a --role primary --otlp {} --trace-sample always", collector.url));
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    let there = |spans: &[(String, Span)]| spans.iter().any(|(_, s)| s.name == "standfast.mount_segment");
    collector.until("the mount", there).await;
}

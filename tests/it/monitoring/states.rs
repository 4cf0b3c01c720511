//! Clusters, and how each is brought into the state in which alerts fire.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use standfast_proto::v1;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::prometheus::{Prometheus, Target};
use crate::node::{CLIENT, Node, PATIENCE, end, segment, start};
use crate::scrape;

/// A state, and the alerts that fire in it.
pub(crate) struct State {
    pub(crate) name: &'static str,
    pub(crate) fires: &'static [&'static str],
}

const fn state(name: &'static str, fires: &'static [&'static str]) -> State {
    State { name, fires }
}

/// All of them; the first is healthy.
pub(crate) const STATES: &[State] = &[
    state("healthy", &[]),
    state("no-primary", &["NoPrimary", "TargetDown", "VerifyStale"]),
    state("two-primaries", &["TwoPrimaries"]),
    state(
        "standby-gone",
        &[
            "PrimaryMayNotAnswer",
            "StandbyNotPromotable",
            "PromotableBudgetBurns",
            "ReplicationLagHigh",
            "ReplicationStalled",
            "ErrorBudgetBurnsFast",
            "ErrorBudgetBurnsSlowly",
        ],
    ),
    state("alone", &["InSyncSetSmall"]),
    state("failover", &["FailoverHappened", "NotificationsFail", "SpansLost"]),
    state("mismatch", &["VerifyMismatch"]),
    state("damaged", &["MemoryDamaged"]),
    state("expired", &["ClientsExpired"]),
    state("not-back", &["ClientsNotReattached"]),
    state("full", &["CapacityHigh", "AllocationFailures"]),
    state("late", &["LoopDelayHigh", "LatencyHigh"]),
    state("restarts", &["NodeRestarts"]),
    state("files", &["FilesHigh"]),
];

/// Long enough that no client expires by itself, and no promise on a machine that runs so many nodes.
const FLAGS: &str =
    "--enable-lab --verify-cycle-ms 500 --verify-recount-ms 1000 --grant-ms 2500 --client-ttl-ms 600000";
/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// The nodes of one cluster.
pub(crate) struct Cluster {
    pub(crate) name: &'static str,
    nodes: BTreeMap<&'static str, Node>,
    /// Addresses of every node that there was: gRPC and HTTP.
    pub(crate) addresses: BTreeMap<&'static str, (String, String)>,
    load: Option<JoinHandle<()>>,
    /// Connections that are only held.
    held: Vec<TcpStream>,
}

impl Cluster {
    /// Healthy, with what its state needs.
    pub(crate) async fn start(name: &'static str) -> Self {
        let (nodes, addresses) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Self { name, nodes, addresses, load: None, held: Vec::new() };
        let otlp = format!("--otlp {NOBODY} --trace-sample always");
        let (of_a, of_b) = match name {
            "failover" => (otlp.clone(), format!("{otlp} --webhook {NOBODY}/")),
            "expired" => ("--client-ttl-ms 4000".into(), "--client-ttl-ms 4000".into()),
            _ => (String::new(), String::new()),
        };
        let flags = |more: &str| {
            let base = if more.contains("--client-ttl-ms") {
                FLAGS.replace("--client-ttl-ms 600000", "")
            } else {
                FLAGS.into()
            };
            format!("{base} {more}")
        };
        let first = format!("--node a --role primary {}", flags(&of_a));
        let a = if name == "files" { Node::start_with_files(128, &first) } else { Node::start(&first) };
        let peer = a.addr.clone();
        cluster.put("a", a);
        if name == "two-primaries" {
            return cluster;
        }
        cluster.put("b", Node::start(&format!("--node b --role standby --peer {peer} {}", flags(&of_b))));
        cluster.in_sync("b").await;
        for node in ["a", "b"] {
            let counted =
                |s: &v1::NodeStatus| s.verification.as_ref().is_some_and(|v| v.recount_equal == Some(true));
            cluster.node(node).until("counted", counted).await;
        }
        let segment_bytes = if name == "full" { 1 << 20 } else { 1 << 26 };
        cluster.lend(segment_bytes).await;
        if !["standby-gone", "full"].contains(&name) {
            cluster.load = Some(load(cluster.node("a")).await);
        }
        cluster
    }

    /// A client mounts memory, and again when it is told to, as all clients are once.
    async fn lend(&self, bytes: u64) {
        let mut client = self.node("a").master().await;
        let mount = segment(1, bytes);
        while is_refused(client.mount_segment(mount.clone()).await.err()).await {}
        if self.name != "not-back" {
            let segments = mount.segment.into_iter().collect();
            let again = v1::ReMountSegmentRequest { client: mount.client, segments };
            while is_refused(client.re_mount_segment(again.clone()).await.err()).await {}
        }
    }

    fn put(&mut self, name: &'static str, node: Node) {
        self.addresses.insert(name, (node.addr.clone(), node.http.clone()));
        self.nodes.insert(name, node);
    }

    pub(crate) fn node(&self, name: &str) -> &Node {
        &self.nodes[name]
    }

    fn kill(&mut self, name: &str) {
        drop(self.nodes.remove(name));
    }

    async fn in_sync(&self, name: &str) {
        let ready =
            |s: &v1::NodeStatus| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes);
        self.node(name).until("in sync", ready).await;
    }

    /// Whom Prometheus scrapes; one that was killed stays a target.
    pub(crate) fn targets(&self) -> Vec<Target> {
        self.addresses.iter().map(|(instance, (_, http))| (self.name, *instance, http.clone())).collect()
    }

    /// The argument of `--connect`.
    pub(crate) fn connect(&self) -> String {
        self.addresses.values().map(|(grpc, _)| grpc.as_str()).collect::<Vec<_>>().join(",")
    }

    fn stop_load(&mut self) {
        if let Some(load) = self.load.take() {
            load.abort();
        }
    }

    /// Brings it into its state; what takes a while goes on by itself.
    pub(crate) async fn break_it(&mut self) {
        match self.name {
            "no-primary" => self.kill("a"),
            "standby-gone" => {
                self.kill("b");
                self.load = Some(load(self.node("a")).await);
            }
            "alone" => {
                self.kill("b");
                self.cli("detach b --yes");
            }
            "nothing" => self.nodes.clear(),
            "detached" => {
                self.cli("detach b --yes");
                self.kill("a");
            }
            "two-primaries" => self.put("c", Node::start(&format!("--node c --role primary {FLAGS}"))),
            "failover" => self.fail_over().await,
            "mismatch" => self.corrupt("b").await,
            "damaged" => self.corrupt("a").await,
            "expired" => self.stop_load(),
            "full" => self.load = Some(fill(self.node("a")).await),
            "late" => self.stutter().await,
            "files" => self.hold_files().await,
            _ => {}
        }
    }

    async fn fail_over(&mut self) {
        self.stop_load();
        self.kill("a");
        assert!(self.node("b").promote().await.accepted);
        let peer = self.node("b").addr.clone();
        self.put("a", Node::start(&format!("--node a --role standby --peer {peer} {FLAGS}")));
        self.in_sync("a").await;
        self.load = Some(load(self.node("b")).await);
    }

    async fn corrupt(&self, node: &str) {
        let damage = async {
            loop {
                let request = v1::LabCorruptRequest { kind: "field".into(), pick: 3, count: 1 };
                let reply =
                    self.node(node).admin().await.lab_corrupt(request).await.expect("answered").into_inner();
                // There may be no object yet.
                if !reply.names.is_empty() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, damage).await.expect("there is something to damage");
    }

    /// Stops and continues the standby, so that many of its timers fire late.
    async fn stutter(&self) {
        for _ in 0..8 {
            self.node("b").signal(Signal::SIGSTOP);
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.node("b").signal(Signal::SIGCONT);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn hold_files(&mut self) {
        let open = scrape::scrape(self.node("a")).await.value("process_open_fds").expect("known");
        for _ in 0..(118 - open as usize) {
            self.held.push(TcpStream::connect(&self.node("a").addr).await.expect("connected"));
        }
    }

    /// Ends and starts the standby; Prometheus is to see each start.
    pub(crate) async fn restart(&mut self) {
        let peer = self.node("a").addr.clone();
        self.kill("b");
        self.put("b", Node::start(&format!("--node b --role standby --peer {peer} {FLAGS}")));
    }

    fn cli(&self, args: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        command.args(args.split(' ')).env("STANDFAST_CONNECT", self.connect()).stdin(Stdio::null());
        let output = command.output().expect("the binary runs");
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop_load();
    }
}

/// Restarts the standby of the state that is about that as often as the alert wants, one scrape each.
pub(crate) async fn crash_loop(cluster: &mut Cluster, prometheus: &Prometheus, publish: impl Fn(&Cluster)) {
    for restarts in 1..=3 {
        cluster.restart().await;
        publish(cluster);
        let seen = format!(
            "changes(process_start_time_seconds{{cluster=\"{}\", instance=\"b\"}}[5m]) >= {restarts}",
            cluster.name
        );
        prometheus.until_series(&seen, 1).await;
    }
}

/// Whether a call has to be made again: a busy node may have missed a promise.
async fn is_refused(error: Option<tonic::Status>) -> bool {
    let Some(error) = error else { return false };
    assert_eq!(error.code(), tonic::Code::Unavailable, "{error}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    true
}

/// A client that writes and reads a little, and pings. What is refused is asked again.
async fn load(node: &Node) -> JoinHandle<()> {
    let mut client = node.master().await;
    tokio::spawn(async move {
        for round in 0_u64.. {
            let key = || bytes(round);
            let items = vec![v1::PutStartItem { key: key(), size: 100 }];
            let _ = client.put_start(v1::PutStartRequest { items, ..start(&[]) }).await;
            let items = vec![v1::PutEndItem { key: key(), checksum: Some(round) }];
            let _ = client.put_end(v1::PutEndRequest { items, ..end(&[]) }).await;
            let _ = client
                .get_replica_list(v1::GetReplicaListRequest { keys: vec![key()], ..Default::default() })
                .await;
            let _ = client.exist_key(v1::ExistKeyRequest { keys: vec![key()], ..Default::default() }).await;
            let _ = client.ping(v1::PingRequest { client: Some(CLIENT) }).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
}

/// A client that writes more than there is room for.
async fn fill(node: &Node) -> JoinHandle<()> {
    let mut client = node.master().await;
    tokio::spawn(async move {
        for round in 0_u64.. {
            let items = vec![v1::PutStartItem { key: bytes(round), size: 1 << 17 }];
            let _ = client.put_start(v1::PutStartRequest { items, ..start(&[]) }).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

fn bytes(round: u64) -> tonic::codegen::Bytes {
    format!("key-{round}").into()
}

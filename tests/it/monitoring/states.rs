//! Clusters, and how each is brought into the state in which alerts fire.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use standfast_proto::v1;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::planted;
use super::prometheus::{Prometheus, Target};
use crate::coordinator::{Server, Witness};
use crate::node::{CLIENT, Node, PATIENCE, end, segment, start};
use crate::scrape;

/// A state, the alerts that fire in it, and those that look as if they did and must not.
pub(crate) struct State {
    pub(crate) name: &'static str,
    pub(crate) fires: &'static [&'static str],
    pub(crate) silent: &'static [&'static str],
}

const fn state(name: &'static str, fires: &'static [&'static str]) -> State {
    State { name, fires, silent: &[] }
}

impl State {
    const fn but_not(self, silent: &'static [&'static str]) -> Self {
        Self { silent, ..self }
    }
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
    state("drill", &["DrillRan"]),
    state("lost", &["AcknowledgedWritesLost"]),
    state("aside", &["QuarantinedEntries"]),
    state("memory", &["MemoryHigh"]),
    state("versions", &["VersionSkew"]),
    state("clocks", &["ClockSkew"]),
    state("coordinator-away", &["ArbiterDown"]).but_not(&[
        "StandbyNotPromotable",
        "NoPrimary",
        "InSyncSetSmall",
    ]),
    // A planned pause does not page.
    state("paused", &["PausedTooLong"]).but_not(&["StandbyNotPromotable"]),
    state("stopped", &["FailoverStopped"]),
    state("insecure", &["CertificateExpires", "PortOpen"]),
    state("dead", &["ClusterDown"]),
    state("unverified", &["VerifyStale"]),
    state("stale-rehearsal", &["RehearsalStale"]),
];

/// Long enough that no client expires by itself, and no promise on a machine that runs so many nodes.
const FLAGS: &str =
    "--enable-lab --verify-cycle-ms 500 --verify-recount-ms 1000 --grant-ms 2500 --client-ttl-ms 600000";
/// States of clusters that a coordinator leads.
const LED: &[&str] =
    &["led", "drill", "coordinator-away", "gone", "lost", "paused", "stopped", "upgrade", "damaged-led"];
/// With one, beside many other nodes: nothing short.
const PATIENT_FLAGS: &str = "--enable-lab --verify-cycle-ms 500 --verify-recount-ms 1000 --client-ttl-ms 600000 \
     --shrink-ms 1500 --grant-ms 2500 --takeover-ms 2500 --coordinator-timeout-ms 2000 --lease-ms 15000";
/// With one, alone: short leases, so that what is gone is soon known to be.
const LED_FLAGS: &str = "--enable-lab --verify-cycle-ms 500 --verify-recount-ms 1000 --client-ttl-ms 600000 \
     --lease-ms 700 --renew-ms 100 --coordinator-timeout-ms 300 --cold-start ask";
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
    witness: Option<Witness>,
    /// Where nodes keep files.
    folder: TempDir,
}

impl Cluster {
    /// Healthy, with what its state needs.
    pub(crate) async fn start(name: &'static str) -> Self {
        let (nodes, addresses) = (BTreeMap::new(), BTreeMap::new());
        let folder = tempfile::tempdir().expect("a folder");
        let witness = LED.contains(&name).then(Witness::start);
        let mut cluster = Self { name, nodes, addresses, load: None, held: Vec::new(), witness, folder };
        if cluster.witness.is_some() {
            cluster.start_led().await;
            return cluster;
        }
        if name == "insecure" {
            let flags = planted::certificate(cluster.folder.path());
            cluster
                .put("a", Node::start_at("0.0.0.0:0", &format!("--node a --role primary {flags} {FLAGS}")));
            return cluster;
        }
        let otlp = format!("--otlp {NOBODY} --trace-sample always");
        let (of_a, of_b) = match name {
            "failover" => (otlp.clone(), format!("{otlp} --webhook {NOBODY}/")),
            "expired" => ("--client-ttl-ms 4000".into(), "--client-ttl-ms 4000".into()),
            "unverified" => (String::new(), "--verify=false".into()),
            "stale-rehearsal" => (String::new(), "--verify-recount-ms 15000".into()),
            "memory" => (String::new(), "--lab-report memory-limit-mib=8".into()),
            "versions" => (String::new(), "--lab-report version=0.0.9".into()),
            "clocks" => (String::new(), "--lab-report clock-ahead-ms=3000".into()),
            _ => (String::new(), String::new()),
        };
        let flags = |more: &str| {
            let replaced = ["--client-ttl-ms 600000", "--verify-recount-ms 1000"]
                .into_iter()
                .filter(|flag| flag.split(' ').next().is_some_and(|name| more.contains(name)));
            let base = replaced.fold(FLAGS.to_owned(), |base, flag| base.replace(flag, ""));
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
        if name != "unverified" {
            cluster.counted().await;
        }
        let segment_bytes = if name == "full" { 1 << 20 } else { 1 << 26 };
        cluster.lend(segment_bytes).await;
        if !["standby-gone", "full"].contains(&name) {
            cluster.load = Some(load(cluster.node("a")).await);
        }
        cluster
    }

    /// Two nodes that a coordinator leads.
    async fn start_led(&mut self) {
        let old = if self.name == "upgrade" { "--lab-report version=0.0.9" } else { "" };
        let flags = format!("{} {old}", self.led_flags());
        self.put("a", Node::start(&format!("--node a {flags}")));
        self.leads("a").await;
        self.put("b", Node::start(&format!("--node b {flags}")));
        self.in_sync("b").await;
        self.counted().await;
        self.lend(1 << 26).await;
    }

    async fn leads(&self, name: &str) {
        let is_primary =
            |s: &v1::NodeStatus| s.leadership.as_ref().is_some_and(|l| l.role() == v1::Role::Primary);
        self.node(name).until("it leads", is_primary).await;
    }

    /// Both have counted their memory once, and the standby has compared all of it.
    async fn counted(&self) {
        let counted = |s: &v1::NodeStatus| {
            let compared = |v: &v1::Verification| s.upstream.is_none() || v.last_success_age_ms.is_some();
            s.verification.as_ref().is_some_and(|v| v.recount_equal == Some(true) && compared(v))
        };
        for node in ["a", "b"] {
            self.node(node).until("counted", counted).await;
        }
    }

    fn led_flags(&self) -> String {
        let flags = if ["led", "gone"].contains(&self.name) { LED_FLAGS } else { PATIENT_FLAGS };
        let limit = if self.name == "stopped" { "--failover-limit 1" } else { "" };
        format!("--coordinator {} {flags} {limit}", self.witness.as_ref().expect("there is one").url())
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
            "nothing" | "dead" => self.nodes.clear(),
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
            "drill" => self.drill().await,
            "paused" => self.cli("pause --for 2h --reason test"),
            "stopped" => self.lose_the_primary().await,
            "coordinator-away" => {
                self.witness.as_mut().expect("there is one").kill();
                let unknown = |s: &v1::NodeStatus| {
                    s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Unknown)
                };
                self.node("b").until("nobody knows", unknown).await;
            }
            "damaged-led" => self.damage_the_leader().await,
            "aside" => self.set_aside().await,
            "gone" => self.begin_anew().await,
            "lost" => {
                self.begin_anew().await;
                self.cli("failover --to c --force --accept-loss all --yes --reason test");
            }
            _ => {}
        }
    }

    /// What an operator does, or waits for, before this block of a procedure.
    pub(crate) async fn enter(&mut self, block: &str) {
        match block {
            "procedure-etcd-dead" => self.kill("a"),
            "procedure-etcd-back" => {
                self.witness.as_mut().expect("there is one").restart().await;
                // It leads before its own last promise is over; it answers then.
                let answers = |s: &v1::NodeStatus| s.rights.as_ref().is_some_and(|r| r.may_answer);
                self.node("b").until("it answers", answers).await;
            }
            "procedure-upgrade-standby" => self.replace("b").await,
            "procedure-upgrade-old" => self.replace("a").await,
            "procedure-damaged-after" => {
                self.in_sync("a").await;
                self.counted().await;
            }
            _ => {}
        }
    }

    /// Another process in place of that standby, with what all are given today.
    async fn replace(&mut self, name: &'static str) {
        self.kill(name);
        self.put(name, Node::start(&format!("--node {name} {}", self.led_flags())));
        self.in_sync(name).await;
        self.counted().await;
    }

    /// Something of the leader's memory changes, and both nodes have noticed.
    async fn damage_the_leader(&mut self) {
        self.load = Some(load(self.node("a")).await);
        self.corrupt("a").await;
        self.stop_load();
        let noticed =
            |s: &v1::NodeStatus| s.verification.as_ref().is_some_and(|v| v.recount_equal == Some(false));
        self.node("a").until("it finds the damage", noticed).await;
        let differs = |s: &v1::NodeStatus| {
            s.verification.as_ref().is_some_and(|v| v.mismatched_keys.is_some_and(|n| n > 0))
        };
        self.node("b").until("it finds the difference", differs).await;
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

    /// The other one takes over by itself, and the lost one comes back.
    async fn lose_the_primary(&mut self) {
        self.kill("a");
        self.leads("b").await;
        let flags = self.led_flags();
        self.put("a", Node::start(&format!("--node a {flags}")));
        let connected =
            |s: &v1::NodeStatus| s.upstream.as_ref().is_some_and(|u| u.link() == v1::LinkState::Up);
        self.node("a").until("it is back", connected).await;
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

    /// What the primary removes is not there on the standby: it can only set such an entry aside.
    async fn set_aside(&mut self) {
        self.stop_load();
        let b = self.node("b");
        let aside = async {
            loop {
                let request = v1::LabCorruptRequest { kind: "missing".into(), pick: 3, count: 3 };
                // There may be no object yet, or none left.
                let _ = b.admin().await.lab_corrupt(request).await;
                let keys = (0..500).map(bytes).collect();
                let all = v1::RemoveRequest { keys, force: true, ..Default::default() };
                let mut client = self.node("a").master().await;
                let removing = tokio::spawn(async move { client.remove(all).await });
                for _ in 0..20 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    if b.status(false).await.quarantine.is_some_and(|q| q.count > 0) {
                        removing.abort();
                        return;
                    }
                }
                removing.abort();
                let items = (0..9).map(|i| v1::PutStartItem { key: bytes(i), size: 100 }).collect();
                let again = v1::PutStartRequest { items, ..start(&[]) };
                while is_refused(self.node("a").master().await.put_start(again.clone()).await.err()).await {}
            }
        };
        tokio::time::timeout(3 * PATIENCE, aside).await.expect("an entry is set aside");
    }

    /// It is refused while the standby is not in sync, which it may be for a moment on a busy machine.
    async fn drill(&self) {
        let striking = async {
            let strike = "drill stop --for 8s --yes --reason test";
            while !tokio::task::block_in_place(|| self.cli_says(strike)) {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(4 * PATIENCE, striking).await.expect("a drill succeeds");
    }

    /// All are gone, and one that has nothing comes up; it may begin once the last lease is over.
    async fn begin_anew(&mut self) {
        self.nodes.clear();
        self.addresses.clear();
        let flags = self.led_flags();
        self.put("c", Node::start(&format!("--node c {flags}")));
        let asked = "failover --to c --force --accept-loss all --dry-run";
        let waiting = async {
            while !self.cli_says(asked) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(3 * PATIENCE, waiting).await.expect("the last lease ends");
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
        let output = self.typed(args);
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn cli_says(&self, args: &str) -> bool {
        self.typed(args).status.success()
    }

    fn typed(&self, args: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        command.args(args.split(' ')).env("STANDFAST_CONNECT", self.connect()).stdin(Stdio::null());
        command.output().expect("the binary runs")
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

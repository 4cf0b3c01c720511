//! Configuration of a node, valid by construction: each value of a
//! [`ServeConfig`] is in its range, and a grant covers several heartbeats, which
//! is the one rule between timers (PROTOCOL T6) that flags could break.

mod coordinator;
mod lab;
mod master;
mod security;
pub mod stock;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use standfast_kernel::lab::Sabotage;
use standfast_kernel::master::MasterConfig;
use standfast_kernel::replication::{LossBound, ShipConfig, VerifyConfig};
use standfast_kernel::types::{AckMode, ClusterId, NodeId, limits};

use crate::telemetry::otel::{Collector, SAMPLE_DEFAULT, Sampling};
pub use coordinator::{CoordinatorArgs, CoordinatorConfig, CoordinatorUrl};
pub use lab::LabReport;
pub use master::MasterArgs;
pub use security::{SecurityArgs, SecurityConfig, WitnessTlsArgs};
pub use verify::VerifyArgs;

/// Role that a node starts in, until a coordinator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StartRole {
    /// The first primary of a new cluster.
    Primary,
    /// Follows `--peer`.
    Standby,
}

/// Format of log lines on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where HTTP is served unless `--http` says otherwise.
pub const HTTP_DEFAULT: &str = "127.0.0.1:9003";

/// Flags of `standfast serve`, as given.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Name of this node, unique in its cluster
    #[arg(long, value_name = "NAME")]
    pub node: NodeId,
    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = "mooncake_cluster")]
    pub cluster: ClusterId,
    /// Role to start in; a coordinator decides that by itself
    #[arg(long, value_enum)]
    pub role: Option<StartRole>,
    /// Who keeps the record of who leads.
    #[command(flatten)]
    pub coordinator: CoordinatorArgs,
    /// Address of the gRPC port for clients, peers and operators; port 0 takes any
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50052")]
    pub grpc: SocketAddr,
    /// Address of the port for Mooncake's own clients; none unless given, port 0 takes any
    #[arg(long, value_name = "ADDR")]
    pub mooncake: Option<SocketAddr>,
    /// Address of the HTTP port for metrics and health [default: 127.0.0.1:9003]; port 0 takes any
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// Address of the transfer metadata server, which Mooncake's transfer engines are told as
    /// http://HOST:PORT/metadata; none unless given, port 0 takes any
    #[arg(long, value_name = "ADDR")]
    pub transfer_metadata: Option<SocketAddr>,
    /// Address of the other node's gRPC port; a standby follows it
    #[arg(long, value_name = "HOST:PORT")]
    pub peer: Option<String>,
    /// When replies go out: after every in-sync standby has applied the write,
    /// or after the append
    #[arg(long, value_name = "sync|async", default_value = "sync")]
    pub ack: AckMode,
    /// Interval of heartbeats to standbys, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub heartbeat_ms: u64,
    /// For how long each acknowledgement keeps other primaries silent, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub grant_ms: u64,
    /// Who may give orders.
    #[command(flatten)]
    pub security: SecurityArgs,
    /// How it decides.
    #[command(flatten)]
    pub master: MasterArgs,
    /// How copies are compared.
    #[command(flatten)]
    pub verify: VerifyArgs,
    /// Most entries in one batch to a standby
    #[arg(long, value_name = "N", default_value_t = limits::SHIP_ENTRIES_MAX as u64)]
    pub batch_entries: u64,
    /// Most entries sent to a standby and not yet acknowledged
    #[arg(long, value_name = "N", default_value_t = limits::SHIP_WINDOW_ENTRIES)]
    pub window_entries: u64,
    /// How long a batch that is not full waits for more entries, in milliseconds;
    /// 0 sends at once
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub linger_ms: u64,
    /// In async mode: entries that an in-sync standby may lack before writes are refused
    #[arg(long, value_name = "N", default_value_t = limits::LOSS_ENTRIES_MAX)]
    pub max_loss_entries: u64,
    /// In async mode: age of the oldest of them, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = limits::LOSS_AGE_MAX.as_millis() as u64)]
    pub max_loss_ms: u64,
    /// Bound of the op log, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub log_mib: u64,
    /// Threads that answer calls and replicate [default: one for every two cores, at most 8]; fewer
    /// hand over to each other less, which costs more than a thread brings on few cores
    #[arg(long, value_name = "N")]
    pub workers: Option<u64>,
    /// Collector of traces: http://host:4317 (gRPC) or http://host:4318/v1/traces
    #[arg(long, value_name = "URL")]
    pub otlp: Option<Collector>,
    /// Which requests are traced, while there is a collector: always, ratio:0.01,
    /// slow:50ms, failed, prefix:KEY; several separated by commas
    #[arg(long, value_name = "RULES", default_value = SAMPLE_DEFAULT)]
    pub trace_sample: Sampling,
    /// File that keeps the history of role changes over restarts; without it,
    /// the history begins with the process
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// URL that is told about role changes, as JSON by POST
    #[arg(long, value_name = "URL")]
    pub webhook: Option<WebhookUrl>,
    /// Format of log lines on stderr
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Allow faults to be planted on this node
    #[arg(long)]
    pub enable_lab: bool,
    /// Fault to plant: drop-entry, flip-digest or lose-ack
    #[arg(long, value_name = "FAULT", requires = "enable_lab")]
    pub sabotage: Option<Sabotage>,
    /// Say of itself what is not so: version=1.2.3, clock-ahead-ms=3000 or
    /// memory-limit-mib=64
    #[arg(long, value_name = "WHAT=VALUE", requires = "enable_lab")]
    pub lab_report: Vec<LabReport>,
    /// Stop when stdin ends: whoever started this node is gone then, however it went
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}

/// Flags of `standfast witness`.
#[derive(Debug, Clone, Args)]
pub struct WitnessArgs {
    /// Address to listen on; port 0 takes any
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50060")]
    pub listen: SocketAddr,
    /// The file that it keeps its records in; begun if there is none
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Begin a new file at this revision: above the highest epoch of the nodes,
    /// when the former file is lost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..1 << 62))]
    pub start_revision: Option<u64>,
    /// How it is reached.
    #[command(flatten)]
    pub tls: WitnessTlsArgs,
    /// Format of log lines on stderr
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Stop when stdin ends: whoever started this witness is gone then, however it went
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Name of this node.
    pub node: NodeId,
    /// Name of the cluster.
    pub cluster: ClusterId,
    /// Role to start in.
    pub role: StartRole,
    /// Who keeps the record of who leads; without, roles are given.
    pub coordinator: Option<CoordinatorConfig>,
    /// Where to listen.
    pub grpc: SocketAddr,
    /// Where Mooncake's own clients are served.
    pub mooncake: Option<SocketAddr>,
    /// Where metrics, health and administration are served; [`HTTP_DEFAULT`] unless given.
    pub http: Option<SocketAddr>,
    /// Where transfer engines tell each other what they need.
    pub transfer_metadata: Option<SocketAddr>,
    /// Whom to follow.
    pub peer: Option<String>,
    /// When replies go out.
    pub ack: AckMode,
    /// HB.
    pub heartbeat: Duration,
    /// G.
    pub grant: Duration,
    /// T_shrink.
    pub shrink: Duration,
    /// How far behind a standby in sync may be, as a time.
    pub shrink_lag: Duration,
    /// For how long a primary that is told to stop tries to hand over; zero: not at all.
    pub stop_handover: Duration,
    /// How entries are gathered and sent.
    pub ship: ShipConfig,
    /// Who may give orders.
    pub security: SecurityConfig,
    /// In async mode: what a failover may lose.
    pub loss: LossBound,
    /// How it decides.
    pub master: MasterConfig,
    /// Bound of the log in bytes.
    pub log_bytes: usize,
    /// Threads that answer calls and replicate.
    pub workers: usize,
    /// Where spans go.
    pub otlp: Option<Collector>,
    /// Which requests are traced.
    pub sampling: Sampling,
    /// The file of the history.
    pub history: Option<PathBuf>,
    /// Who is told about role changes.
    pub webhook: Option<WebhookUrl>,
    /// Format of log lines.
    pub log_format: LogFormat,
    /// How copies are compared.
    pub verify: VerifyConfig,
    /// Faults may be planted.
    pub enable_lab: bool,
    /// Planted fault.
    pub sabotage: Option<Sabotage>,
    /// What the node says of itself that is not so.
    pub lab_report: Vec<LabReport>,
}

/// All that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl TryFrom<&ServeArgs> for ServeConfig {
    type Error = ConfigError;

    fn try_from(a: &ServeArgs) -> Result<Self, ConfigError> {
        let mut wrong = Vec::new();
        a.check_role(&mut wrong);
        if let Some(peer) = a.peer.as_deref().filter(|p| !is_host_port(p)) {
            wrong.push(format!("--peer is `{peer}`: expected host:port"));
        }
        let mut range = |flag: &str, value: u64, min: u64, max: u64| {
            if !(min..=max).contains(&value) {
                wrong.push(format!("{flag} is {value}: expected {min} to {max}"));
            }
        };
        range("--heartbeat-ms", a.heartbeat_ms, 5, 10_000);
        range("--grant-ms", a.grant_ms, 20, 60_000);
        range("--batch-entries", a.batch_entries, 1, limits::SHIP_ENTRIES_MAX as u64);
        range("--window-entries", a.window_entries, 1, limits::SHIP_WINDOW_ENTRIES);
        range("--linger-ms", a.linger_ms, 0, 1_000);
        range("--max-loss-entries", a.max_loss_entries, 1, u64::MAX / 2);
        range("--max-loss-ms", a.max_loss_ms, 10, 24 * 3_600_000);
        range("--log-mib", a.log_mib, 1, 65_536);
        let workers = a.workers.unwrap_or_else(workers_for_this_machine);
        range("--workers", workers, 1, 256);
        let security = a.security.config();
        let coordinator = a.coordinator.config(a.heartbeat_ms, a.grant_ms, &security, &mut wrong);
        if a.grant_ms < a.heartbeat_ms.saturating_mul(4) {
            wrong.push(format!(
                "--grant-ms is {}: expected at least 4 times --heartbeat-ms ({}), so that one late heartbeat \
                 does not end the primary's right to answer",
                a.grant_ms, a.heartbeat_ms
            ));
        }
        let master = a.master.config(&mut wrong);
        let verify = a.verify.config(&mut wrong);
        if !wrong.is_empty() {
            return Err(ConfigError(wrong));
        }
        Ok(Self {
            node: a.node.clone(),
            cluster: a.cluster.clone(),
            role: a.role.unwrap_or(StartRole::Standby),
            coordinator,
            grpc: a.grpc,
            mooncake: a.mooncake,
            http: a.http,
            transfer_metadata: a.transfer_metadata,
            peer: a.peer.clone(),
            ack: a.ack,
            heartbeat: Duration::from_millis(a.heartbeat_ms),
            grant: Duration::from_millis(a.grant_ms),
            shrink: a.coordinator.shrink(),
            shrink_lag: a.coordinator.shrink_lag(),
            stop_handover: a.coordinator.stop_handover(),
            security,
            ship: ShipConfig {
                batch_entries: a.batch_entries as usize,
                window_entries: a.window_entries,
                linger: Duration::from_millis(a.linger_ms),
            },
            loss: LossBound { entries: a.max_loss_entries, age: Duration::from_millis(a.max_loss_ms) },
            master,
            log_bytes: (a.log_mib as usize) << 20,
            workers: workers as usize,
            otlp: a.otlp.clone(),
            sampling: a.trace_sample.clone(),
            history: a.history.clone(),
            webhook: a.webhook.clone(),
            log_format: a.log_format,
            verify,
            enable_lab: a.enable_lab,
            sabotage: a.sabotage,
            lab_report: a.lab_report.clone(),
        })
    }
}

/// On two cores a second worker costs a fifth more processor time a write and brings nothing:
/// the clients, the standby and the kernel's network need the other half.
pub fn workers_for_this_machine() -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores as u64 / 2).clamp(1, 8)
}

impl ServeArgs {
    /// Roles are given by flags, or decided by a coordinator; never both.
    fn check_role(&self, wrong: &mut Vec<String>) {
        let manual = self.coordinator.coordinator == CoordinatorUrl::Manual;
        match self.role {
            None if manual => wrong.push(
                "--role is missing: expected primary or standby, or a --coordinator that decides".to_owned(),
            ),
            Some(_) if !manual => {
                wrong.push("--role is given: expected none beside --coordinator, which decides".to_owned());
            }
            Some(StartRole::Standby) if self.peer.is_none() => wrong
                .push("--peer is missing: a standby needs the address of the primary's gRPC port".to_owned()),
            Some(_) | None => {}
        }
        if !manual && self.peer.is_some() {
            wrong.push(
                "--peer is given: expected none beside --coordinator, which knows the nodes".to_owned(),
            );
        }
        for (flag, at) in [("--grpc", Some(self.grpc)), ("--mooncake", self.mooncake)] {
            if let Some(at) = at.filter(|at| !manual && at.ip().is_unspecified()) {
                wrong.push(format!(
                    "{flag} is {at}: expected an address that others can reach, they find it on record"
                ));
            }
        }
    }
}

/// A URL that messages are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(String);

impl WebhookUrl {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for WebhookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        match rest.and_then(|rest| rest.split('/').next()).filter(|host| is_host_port(host)) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(format!("`{text}` is no webhook: expected http://host:port/path or https://...")),
        }
    }
}

/// Whether this is an address to dial: a host and a port other than 0.
#[must_use]
pub fn is_host_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn load(flags: &str) -> Result<ServeConfig, String> {
        let words = std::iter::once("serve").chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|e| e.to_string())?;
        ServeConfig::try_from(&cli.args).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_valid() {
        let c = load("--node a --role primary").expect("valid");
        assert_eq!(
            (c.ack, c.grant, c.cluster.as_str()),
            (AckMode::Sync, Duration::from_millis(500), "mooncake_cluster")
        );
        assert_eq!(c.master, MasterConfig::default(), "the flags' defaults are the kernel's");
    }

    #[test]
    fn every_problem_is_named_at_once_with_value_and_expectation() {
        let error = load("--node a --role standby --heartbeat-ms 200 --log-mib 0").expect_err("invalid");
        for part in
            ["--peer is missing", "--log-mib is 0: expected 1 to", "--grant-ms is 500: expected at least 4"]
        {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn timings_that_contradict_each_other_are_named_all_at_once() {
        let flags = "--node a --coordinator etcd://h:1 --grant-ms 390 --shrink-ms 150 --lease-ms 2000";
        let error = load(flags).expect_err("invalid");
        for part in ["--grant-ms is 390: expected at least 4", "--shrink-ms is 150", "--lease-ms is 2000"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn bad_values_are_refused() {
        let cases = [
            ("--node a/b --role primary", "node name `a/b` is not valid"),
            ("--node a --role primary --ack maybe", "`sync` or `async`"),
            ("--node a --role standby --peer nowhere", "expected host:port"),
            ("--node a --role standby --peer :5", "expected host:port"),
            ("--node a --role primary --sabotage lose-ack", "--enable-lab"),
            ("--node a --role primary --enable-lab --sabotage x", "`drop-entry`"),
            ("--node a --role primary --lab-report version=2", "--enable-lab"),
            ("--node a --role primary --enable-lab --lab-report x", "`x` is nothing to report"),
            ("--node a --role primary --grpc here", "invalid socket address"),
            ("--node a --role primary --otlp h:4317", "expected http://host:4317"),
            ("--node a --role primary --webhook ftp://h:1/x", "`ftp://h:1/x` is no webhook"),
            ("--node a --role primary --webhook h:80", "expected http://host:port/path"),
            ("--node a --role primary --trace-sample ratio:7", "`ratio:7` is no sampling rule"),
            ("--node a --role primary --mooncake 50051", "invalid socket address"),
            ("--node a --role primary --degrade strict", "--degrade is strict: expected a --coordinator"),
            ("--node a --coordinator etcd://h:1 --min-insync 0", "--min-insync is 0: expected 1 to 16"),
            ("--node a", "--role is missing"),
            ("--node a --coordinator etcd://h", "etcd://HOST:PORT"),
            ("--node a --coordinator etcd://h:1 --role primary", "--role is given"),
            ("--node a --coordinator etcd://h:1 --peer h:2", "--peer is given"),
            (
                "--node a --coordinator etcd://h:1 --grpc 0.0.0.0:1",
                "--grpc is 0.0.0.0:1: expected an address",
            ),
            ("--node a --coordinator etcd://h:1 --coordinator-user u", "--coordinator-password-file"),
            (
                "--node a --coordinator etcd://h:1 --shrink-ms 150",
                "--shrink-ms is 150: expected at least 2 times",
            ),
            ("--node a --coordinator etcd://h:1 --grant-ms 440", "--grant-ms is 440: expected more than"),
            (
                "--node a --coordinator etcd://h:1 --takeover-ms 300",
                "--takeover-ms is 300: expected at least",
            ),
            (
                "--node a --coordinator etcd://h:1 --lease-ms 2000",
                "--lease-ms is 2000: expected at least 3 times",
            ),
            (
                "--node a --coordinator etcd://h:1 --stop-handover-ms 1500",
                "--stop-handover-ms is 1500: expected 0, or at least 1000 + --coordinator-timeout-ms (1000)",
            ),
            (
                "--node a --coordinator etcd://h:1 --failover-limit 17",
                "--failover-limit is 17: expected 0 to 16",
            ),
            (
                "--node a --coordinator etcd://h:1 --failover-window-s 0",
                "--failover-window-s is 0: expected 1",
            ),
            (
                "--node a --coordinator etcd://h:1 --failover-limit 16 --failover-window-s 5",
                "--failover-window-s is 5: expected at least --failover-limit (16) times --takeover-ms (400)",
            ),
            ("--node a --role primary --tls-cert x", "--tls-key"),
            ("--node a --role primary --placement cxl", "`free_ratio_first`"),
            ("--node a --role primary --client-ttl-ms 5", "--client-ttl-ms is 5: expected 100 to"),
            ("--node a --role primary --eviction-ratio 1.5", "--eviction-ratio is 1.5: expected 0 to 1"),
            ("--node a --role primary --eviction-watermark NaN", "--eviction-watermark is NaN"),
            (
                "--node a --role primary --put-release-ms 30000",
                "put release timeout `30000 ms` is not valid: expected more than the put discard timeout",
            ),
            (
                "--node a --role primary --soft-pin-ttl-ms 100 --soft-pin-ttl-max-ms 99",
                "at most the longest soft pin TTL",
            ),
        ];
        for (flags, part) in cases {
            let error = load(flags).expect_err(flags);
            assert!(error.contains(part), "{flags}: {error}");
        }
    }
}

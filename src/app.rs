//! The composition root: every concrete type is built here, once.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use standfast_kernel::master::MasterTimes;
use standfast_kernel::node::{Node, NodeConfig};
use standfast_kernel::oplog::LogLimits;
use standfast_kernel::replication::{Identity, ReplicationConfig, ReplicationTimes};
use standfast_kernel::types::{CopyId, Epoch};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{LogFormat, ServeArgs, ServeConfig, StartRole};
use crate::inbound::{coro_rpc, grpc};
use crate::outbound::{BootClock, GrpcPeer, OsEntropy, epoch_of};
use crate::ports::{Clock, Entropy};
use crate::shell::{
    ConnIds, Driver, DriverParts, FullSyncService, HotStandbyService, MasterService, NodeHandle,
    ReplicationService, ServingCell, StatusBoard, StatusFacts, Traffic,
};
use crate::telemetry;

/// Commands on their way to the node before senders must wait.
const COMMANDS_MAX: usize = 1024;
/// How long open calls may take to end when the node stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Runs a node until it is told to stop: `standfast serve`.
#[must_use]
pub fn serve(args: &ServeArgs) -> ExitCode {
    let config = match ServeConfig::try_from(args) {
        Ok(config) => config,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return ExitCode::from(2);
        }
    };
    telemetry::init(config.log_format == LogFormat::Json);
    stop_on_bugs();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: cannot start the runtime: {e}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::from(1)
        }
    }
}

/// A broken invariant must end the process, whichever task or thread finds it:
/// a master that goes on afterwards corrupts data.
#[expect(clippy::disallowed_methods, reason = "after a broken invariant there is nothing left to shut down")]
fn stop_on_bugs() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
}

/// A node whose parts are wired, before it runs.
struct App {
    listener: TcpListener,
    services: grpc::Services<BootClock>,
    mooncake: Option<coro_rpc::Port>,
    serving: watch::Receiver<Option<Epoch>>,
    driver: Driver<BootClock, GrpcPeer>,
    handle: NodeHandle,
    ready: serde_json::Value,
}

async fn run(config: ServeConfig) -> anyhow::Result<()> {
    let App { listener, services, mooncake, serving, driver, handle, ready } = build(config).await?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let node = tasks.spawn(driver.run());
    if let Some(port) = mooncake {
        tasks.spawn(coro_rpc::serve(port, Arc::clone(&services.hall), serving, stop.clone()));
    }
    let door = tasks.spawn(grpc::serve(listener, services, stop.clone().cancelled_owned()));
    println!("{ready}");
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        ended = node => ended.context("the node's loop ended"),
        ended = door => ended.context("the gRPC door ended").and_then(|r| r.context("the gRPC door failed")),
    };
    tracing::info!("stopping");
    // The ladder: no new connections, no more answers, then wait for what runs.
    stop.cancel();
    let _ = handle.stop().await;
    tasks.close();
    if tokio::time::timeout(SHUTDOWN_GRACE, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "some connections did not end in time");
    }
    ended
}

async fn build(config: ServeConfig) -> anyhow::Result<App> {
    let listener =
        TcpListener::bind(config.grpc).await.with_context(|| format!("cannot listen on {}", config.grpc))?;
    let address = listener.local_addr().context("cannot read the port")?.to_string();
    let mooncake = config.mooncake.map(|at| {
        coro_rpc::Port::bind(at).with_context(|| format!("cannot bind {at} for Mooncake's clients"))
    });
    let mooncake = mooncake.transpose()?;
    let mooncake_address = mooncake.as_ref().map(|port| port.address().to_string());
    refuse_second_founder(&config).await?;
    let (clock, entropy) = (Arc::new(BootClock), OsEntropy);
    let me = Identity {
        cluster: config.cluster.clone(),
        node: config.node.clone(),
        copy: CopyId(entropy.random()),
        address: address.clone(),
    };
    let ready = serde_json::json!({
        "schema": 1, "node": me.node.as_str(), "role": role_name(config.role), "grpc": address,
        "mooncake": mooncake_address, "pid": std::process::id(),
    });
    let node = Node::new(node_config(&config, me.clone(), entropy.random() as u64));
    let (tx, commands) = mpsc::channel(COMMANDS_MAX);
    let serving = Arc::new(ServingCell::default());
    let traffic = Arc::new(Traffic::default());
    let appended = Arc::new(Notify::new());
    let facts = StatusFacts {
        me,
        ack: config.ack,
        mooncake: mooncake_address,
        peer: config.peer.clone(),
        started: clock.wall(),
    };
    let store = Arc::clone(node.store());
    let board = Arc::new(StatusBoard::new(facts, store, Arc::clone(&serving), Arc::clone(&traffic)));
    let ids = ConnIds::default();
    let replication = ReplicationService::new(tx.clone(), ids.clone());
    let copies = FullSyncService::new(tx.clone(), ids, Arc::clone(&clock));
    let hall = MasterService::new(
        Arc::clone(&clock),
        Arc::clone(&serving),
        Arc::clone(&board),
        traffic,
        Arc::clone(&appended),
    );
    let handle = NodeHandle::new(tx.clone());
    let link = HotStandbyService::new(config.peer.map(GrpcPeer::new), tx);
    let driver = Driver::new(DriverParts {
        node,
        clock: Arc::clone(&clock),
        link,
        peers: replication.clone(),
        copies: copies.clone(),
        serving: Arc::clone(&serving),
        board: Arc::clone(&board),
        appended,
        commands,
    });
    let services =
        grpc::Services { hall: Arc::new(hall), replication, copies, board, node: handle.clone(), clock };
    Ok(App { listener, services, mooncake, serving: serving.watch(), driver, handle, ready })
}

/// A first primary founds a cluster. Where the peer has seen an epoch there is
/// one already, and a second founder would serve an empty copy beside it.
async fn refuse_second_founder(config: &ServeConfig) -> anyhow::Result<()> {
    let (StartRole::Primary, Some(peer)) = (config.role, &config.peer) else { return Ok(()) };
    match epoch_of(peer).await {
        Ok(Some(epoch)) => anyhow::bail!(
            "{peer} has seen epoch {epoch}: the cluster exists. Start this node with \
             `--role standby --peer {peer}`"
        ),
        Ok(None) => Ok(()),
        Err(fault) => {
            tracing::info!("the peer cannot be asked whether the cluster exists: {fault}");
            Ok(())
        }
    }
}

fn node_config(config: &ServeConfig, me: Identity, seed: u64) -> NodeConfig {
    NodeConfig {
        me,
        replication: ReplicationConfig {
            times: ReplicationTimes { heartbeat: config.heartbeat, grant: config.grant },
            ack: config.ack,
            read_ttl_max: config.read_ttl,
            ship: config.ship,
            loss: config.loss,
        },
        master: MasterTimes { read_ttl: config.read_ttl, ..MasterTimes::default() }.into(),
        log: LogLimits { bytes: config.log_bytes, ..LogLimits::default() },
        bootstrap: config.role == StartRole::Primary,
        has_peer: config.peer.is_some(),
        seed,
        sabotage: config.sabotage,
    }
}

fn role_name(role: StartRole) -> &'static str {
    match role {
        StartRole::Primary => "primary",
        StartRole::Standby => "standby",
    }
}

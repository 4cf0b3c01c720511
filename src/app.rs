//! The composition root: every concrete type is built here, once.

mod files;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use standfast_kernel::coordination::Revision;
use standfast_kernel::node::{Node, NodeConfig};
use standfast_kernel::oplog::LogLimits;
use standfast_kernel::replication::{Degrade, Identity, ReplicationConfig, ReplicationTimes};
use standfast_kernel::supervisor::{LeadershipConfig, LeadershipTimes};
use standfast_kernel::types::{CopyId, Epoch, WallTime};
use standfast_proto::access::{self, SharedAccess};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{
    ConfigError, CoordinatorConfig, HTTP_DEFAULT, LabReport, LogFormat, ServeArgs, ServeConfig, StartRole,
    WitnessArgs,
};
use crate::inbound::{Guard, admin, coro_rpc, grpc};
use crate::outbound::{
    BootClock, CoordinatorOptions, Credentials, EtcdCoordinator, GrpcPeer, HistoryFile, Looked, OsEntropy,
    Reloader, Secured, ServerTls, Visitors, WebhookSender, epoch_of, over_tls, plain,
};
use crate::ports::{Archive, Clock, Entropy, Notifier};
use crate::shell::{
    Command, ConnIds, Driver, DriverParts, FullSyncService, History, HotStandbyService, MasterService,
    MasterServiceSupervisor, NodeHandle, Operated, Order, ReplicationService, SecurityFacts, ServingCell,
    StatusBoard, StatusFacts, StoppedNode, Traffic, WriteTraces, exchange_history,
};
use crate::telemetry::otel::Exporter;
use crate::telemetry::{self, Durations, Instruments, LogControl};
use crate::witness;
pub use files::Files;

/// Commands on their way to the node before senders must wait.
const COMMANDS_MAX: usize = 1024;
/// How often suppressed log lines are counted in the log.
const SUPPRESSED_EVERY: Duration = Duration::from_secs(10);
/// Who hands over when the process is told to stop, for the record.
const STOPPING: &str = "SIGTERM";
/// How long open calls may take to end when the node stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Runs a node until it is told to stop: `standfast serve`.
#[must_use]
pub fn serve(args: &ServeArgs) -> ExitCode {
    let (config, files) = match checked(args) {
        Ok(checked) => checked,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return ExitCode::from(2);
        }
    };
    let logs = telemetry::init(config.log_format == LogFormat::Json, || BootClock.now());
    stop_on_bugs();
    let workers = config.workers;
    block_on(workers, run(config, files, logs))
}

/// What a node starts with: `config check` asks the same.
///
/// # Errors
/// Everything that is wrong: first of the flags, then of the files that they name.
pub fn checked(args: &ServeArgs) -> Result<(ServeConfig, Files), ConfigError> {
    let config = ServeConfig::try_from(args)?;
    let files = Files::read(&config)?;
    Ok((config, files))
}

/// Runs a witness until it is told to stop: `standfast witness`.
#[must_use]
pub fn witness(args: &WitnessArgs) -> ExitCode {
    let _ = telemetry::init(args.log_format == LogFormat::Json, || BootClock.now());
    stop_on_bugs();
    block_on(1, run_witness(args.clone()))
}

fn block_on(workers: usize, program: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: cannot start the runtime: {e}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::from(1)
        }
    }
}

async fn run_witness(args: WitnessArgs) -> anyhow::Result<()> {
    let security = args.tls.config();
    let secured = Secured::load(&security, None, Visitors::MustShow).map_err(anyhow::Error::msg)?;
    let witness = witness::open(args.file.clone(), args.start_revision.map(Revision))?;
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr().context("cannot read the port")?.to_string();
    let ready = serde_json::json!({
        "schema": 1, "witness": address, "revision": witness.revision().0, "pid": std::process::id(),
    });
    tracing::warn!(
        "this witness is a single point: while it is away no standby takes over, and if {} is lost, so is the \
         record of who leads",
        args.file.display()
    );
    if security.ca.is_none() && !args.listen.ip().is_loopback() {
        tracing::warn!(
            "whoever reaches {} may say who leads: give --tls-cert, --tls-key and --tls-ca",
            args.listen
        );
    }
    println!("{ready}");
    let stop = stop_signal()?;
    let ended = CancellationToken::new();
    let _over = ended.clone().drop_guard();
    tokio::spawn(secured.reloader.keep(|| seconds(BootClock.wall()), |_| {}, ended));
    match secured.tls {
        Some(tls) => witness.serve(over_tls(listener, tls), stop).await,
        None => witness.serve(plain(listener), stop).await,
    }
}

/// A primary that is told to stop makes an in-sync standby the primary first, so
/// that nothing is lost and nobody waits for silence to be noticed. Without one,
/// or after `limit`, it stops all the same: its successor then finds out. The clients of a
/// Mooncake port get their `farewell`.
async fn hand_over(node: &NodeHandle, limit: Duration, farewell: Duration) {
    if limit.is_zero() {
        return;
    }
    let order = Order::Switchover { to: None, dry_run: false };
    let why = "the primary was told to stop".to_owned();
    match tokio::time::timeout(limit, node.operate(order, STOPPING.to_owned(), why)).await {
        Ok(Ok(Operated { verdict, node: Some(to), .. })) if verdict.is_yes() => {
            tracing::info!("handed over to {to} before stopping");
            tokio::time::sleep(farewell).await;
        }
        Ok(Ok(Operated { verdict, .. })) => {
            let why: Vec<&str> = verdict.reasons.iter().map(|r| &*r.text).collect();
            tracing::info!("stopping without a hand-over: {}", why.join("; "));
        }
        Ok(Err(StoppedNode)) => {}
        Err(_) => tracing::warn!("stopping: no standby took over within {} ms", limit.as_millis()),
    }
}

/// Resolves when the process is asked to stop.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    })
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

/// Clients are sent here only once they can connect (PROTOCOL C5).
async fn tell_listening(mut listens: watch::Receiver<bool>, events: mpsc::Sender<Command>) {
    while listens.changed().await.is_ok() {
        let now = *listens.borrow_and_update();
        if events.send(Command::Listening(now)).await.is_err() {
            return;
        }
    }
}

/// A node whose parts are wired, before it runs.
struct App {
    listener: TcpListener,
    tls: Option<ServerTls>,
    reloader: Reloader,
    services: grpc::Services<BootClock>,
    mooncake: Option<coro_rpc::Port>,
    http: Option<TcpListener>,
    transfer_metadata: Option<TcpListener>,
    exporter: Option<Exporter>,
    webhook: Option<WebhookSender>,
    serving: watch::Receiver<Option<Epoch>>,
    events: mpsc::Sender<Command>,
    followed: watch::Receiver<Option<Arc<GrpcPeer>>>,
    driver: Driver<BootClock, GrpcPeer>,
    handle: NodeHandle,
    ready: serde_json::Value,
}

async fn run(config: ServeConfig, files: Files, logs: LogControl) -> anyhow::Result<()> {
    let stop_handover = if config.coordinator.is_some() { config.stop_handover } else { Duration::ZERO };
    let farewell = config.mooncake.map_or(Duration::ZERO, |_| coro_rpc::FAREWELL);
    let App {
        listener,
        tls,
        reloader,
        services,
        mooncake,
        http,
        transfer_metadata,
        exporter,
        webhook,
        serving,
        events,
        followed,
        mut driver,
        handle,
        ready,
    } = build(config, files).await?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    driver.start();
    let node = tasks.spawn(driver.run());
    if let Some(port) = mooncake {
        let (listening, listens) = watch::channel(false);
        tasks.spawn(tell_listening(listens, events));
        let hall = Arc::clone(&services.hall);
        tasks.spawn(coro_rpc::serve(port, hall, serving, Some(listening), stop.clone()));
    }
    if let Some(exporter) = exporter {
        let clock = Arc::clone(&services.clock);
        tasks.spawn(exporter.run(move || (clock.now(), clock.wall()), stop.clone()));
    }
    if let Some(webhook) = webhook {
        tasks.spawn(webhook.run(stop.clone()));
    }
    tasks.spawn(keep_certificates(
        reloader,
        Arc::clone(&services.board),
        Arc::clone(&services.clock),
        stop.clone(),
    ));
    let history = Arc::clone(services.board.history());
    tasks.spawn(exchange_history(history, followed, stop.clone()));
    tasks.spawn(tell_suppressed(logs.clone(), stop.clone()));
    if let Some(listener) = http {
        let admin = admin::Admin {
            board: Arc::clone(&services.board),
            hall: Arc::clone(&services.hall),
            clock: Arc::clone(&services.clock),
            logs,
            guard: services.guard.clone(),
        };
        let stop = stop.clone().cancelled_owned();
        tasks.spawn(async move {
            if let Err(e) = admin::serve(listener, admin, stop).await {
                tracing::error!("the HTTP door failed: {e}");
            }
        });
    }
    if let Some(listener) = transfer_metadata {
        let (hall, stop) = (Arc::clone(&services.hall), stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(e) = admin::serve_metadata(listener, hall, stop).await {
                tracing::error!("the transfer metadata server failed: {e}");
            }
        });
    }
    let closing = stop.clone().cancelled_owned();
    let door = match tls {
        Some(tls) => tasks.spawn(grpc::serve(over_tls(listener, tls), services, closing)),
        None => tasks.spawn(grpc::serve(plain(listener), services, closing)),
    };
    println!("{ready}");
    let asked = stop_signal()?;
    let ended = tokio::select! {
        () = asked => {
            // Whoever asks twice is in a hurry.
            let again = stop_signal()?;
            tokio::select! {
                () = hand_over(&handle, stop_handover, farewell) => {}
                () = again => tracing::warn!("asked to stop again: not waiting for a hand-over"),
            }
            Ok(())
        }
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

async fn build(config: ServeConfig, files: Files) -> anyhow::Result<App> {
    let Files { secured, credentials } = files;
    access::set_own(secured.access.clone());
    warn_of_open_port(&config);
    let listener =
        TcpListener::bind(config.grpc).await.with_context(|| format!("cannot listen on {}", config.grpc))?;
    let address = listener.local_addr().context("cannot read the port")?.to_string();
    let mooncake = config.mooncake.map(|at| {
        coro_rpc::Port::bind(at).with_context(|| format!("cannot bind {at} for Mooncake's clients"))
    });
    let mooncake = mooncake.transpose()?;
    let http = listen_http(config.http).await?;
    let http_address = http.as_ref().and_then(|l| l.local_addr().ok()).map(|a| a.to_string());
    let transfer_metadata = match config.transfer_metadata {
        Some(at) => Some(
            TcpListener::bind(at)
                .await
                .with_context(|| format!("cannot listen on {at} for transfer metadata"))?,
        ),
        None => None,
    };
    let metadata_address =
        transfer_metadata.as_ref().and_then(|l| l.local_addr().ok()).map(|a| a.to_string());
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
        "mooncake": mooncake_address, "http": http_address,
        "transfer_metadata": metadata_address, "pid": std::process::id(),
    });
    let (exporter, instruments) = instruments(&config)?;
    let node = Node::new(node_config(&config, me.clone(), mooncake_address.clone(), entropy.random() as u64));
    let (tx, commands) = mpsc::channel(COMMANDS_MAX);
    let serving = Arc::new(ServingCell::default());
    let traffic = Arc::new(Traffic::default());
    let appended = Arc::new(Notify::new());
    let mut facts = StatusFacts {
        me,
        ack: config.ack,
        degrade: config.coordinator.as_ref().map(|c| c.degrade),
        loss: config.loss,
        mooncake: mooncake_address,
        http: http_address,
        peer: config.peer.clone(),
        coordinator: config
            .coordinator
            .as_ref()
            .map_or_else(|| ("manual", Vec::new()), |c| (c.kind, c.members.clone())),
        heartbeat: config.heartbeat,
        started: clock.wall(),
        security: SecurityFacts {
            tls: secured.tls.is_some(),
            client_certificates: config.security.ca.is_some(),
            token: secured.token.is_some(),
            exposed: !config.grpc.ip().is_loopback(),
            certificate_until: secured.certificate_until,
            certificate_refused: None,
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        clock_ahead: Duration::ZERO,
        memory_limit: None,
    };
    for said in &config.lab_report {
        match said {
            LabReport::Version(version) => facts.version.clone_from(version),
            LabReport::ClockAhead(ahead) => facts.clock_ahead = *ahead,
            LabReport::MemoryLimit(bytes) => facts.memory_limit = Some(*bytes),
        }
    }
    let store = Arc::clone(node.store());
    let tracer = instruments.tracer.clone();
    let (sender, notifier) = match config.webhook.clone().map(WebhookSender::new).transpose()? {
        Some((sender, webhook)) => (Some(sender), Some(Arc::new(webhook) as Arc<dyn Notifier>)),
        None => (None, None),
    };
    let (seen, counted) = (Arc::clone(&serving), Arc::clone(&traffic));
    let history = history(&config)?;
    let board =
        StatusBoard::new(facts, store, seen, counted, Arc::clone(&history), instruments.clone(), notifier);
    let board = Arc::new(board);
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let ids = ConnIds::default();
    let replication =
        ReplicationService::new(tx.clone(), ids.clone(), Arc::clone(&shared), instruments.clone());
    let durations = Arc::clone(&instruments.durations);
    let copies = FullSyncService::new(tx.clone(), ids, Arc::clone(&clock), Arc::clone(&durations));
    let recorder = Arc::clone(&instruments.recorder);
    let traces = WriteTraces::new(Arc::clone(&board), node.log().clone(), Arc::clone(&recorder));
    let hall = MasterService::new(
        Arc::clone(&clock),
        Arc::clone(&serving),
        Arc::clone(&board),
        traffic,
        Arc::clone(&appended),
        instruments,
    );
    let handle = NodeHandle::new(tx.clone());
    let supervisor = match &config.coordinator {
        Some(c) => Some(supervise(
            &config,
            c,
            (secured.coordinator.clone(), credentials),
            tx.clone(),
            Arc::clone(&shared),
            durations,
        )?),
        None => None,
    };
    let events = tx.clone();
    let link = HotStandbyService::new(config.peer.clone(), GrpcPeer::new, tx, shared, tracer);
    let followed = link.followed();
    let driver = Driver::new(DriverParts {
        node,
        clock: Arc::clone(&clock),
        link,
        supervisor,
        peers: replication.clone(),
        copies: copies.clone(),
        serving: Arc::clone(&serving),
        board: Arc::clone(&board),
        appended,
        recorder,
        commands,
    });
    let services = grpc::Services {
        hall: Arc::new(hall),
        replication,
        copies,
        board,
        traces,
        node: handle.clone(),
        clock,
        lab: config.enable_lab,
        guard: Guard::new(secured.token, config.security.ca.is_some()),
    };
    Ok(App {
        listener,
        tls: secured.tls,
        reloader: secured.reloader,
        services,
        mooncake,
        http,
        transfer_metadata,
        exporter,
        webhook: sender,
        serving: serving.watch(),
        events,
        followed,
        driver,
        handle,
        ready,
    })
}

/// Whether somebody forgot secrets and certificates.
fn warn_of_open_port(config: &ServeConfig) {
    if !config.security.asks_for_proof() && !config.grpc.ip().is_loopback() {
        tracing::warn!(
            code = "port_open",
            "whoever reaches {} may give orders and pose as a node: give --operator-token-file, or --tls-cert, \
             --tls-key and --tls-ca",
            config.grpc
        );
    }
    if let Some(http) = config.http.filter(|at| !config.security.asks_for_proof() && !at.ip().is_loopback()) {
        tracing::warn!(
            code = "port_open",
            "whoever reaches {http} may remove all objects and change the log level: give --operator-token-file"
        );
    }
}

/// Takes up new certificates, and tells the status.
async fn keep_certificates(
    reloader: Reloader,
    board: Arc<StatusBoard>,
    clock: Arc<BootClock>,
    stop: CancellationToken,
) {
    let tell = |looked: &Looked| match looked {
        Looked::Same => {}
        Looked::InForce { certificate_until } => board.certificates(Ok(*certificate_until)),
        Looked::Refused(why) => board.certificates(Err(why.clone())),
    };
    reloader.keep(|| seconds(clock.wall()), tell, stop).await;
}

/// Since 1970.
fn seconds(at: WallTime) -> i64 {
    (at.0 / 1_000_000) as i64
}

/// The history, over restarts where there is a file for it.
fn history(config: &ServeConfig) -> anyhow::Result<Arc<History>> {
    let (archive, kept) = match &config.history {
        Some(path) => {
            let (file, kept) = HistoryFile::open(path).context("--history")?;
            (Some(Arc::new(file) as Arc<dyn Archive>), kept)
        }
        None => (None, Vec::new()),
    };
    let (cluster, node) = (config.cluster.to_string(), config.node.to_string());
    Ok(Arc::new(History::new(cluster, node, kept, archive)))
}

/// Says from time to time how many log lines were too many.
async fn tell_suppressed(logs: LogControl, stop: CancellationToken) {
    let mut told = 0;
    while stop.run_until_cancelled(tokio::time::sleep(SUPPRESSED_EVERY)).await.is_some() {
        let suppressed = logs.suppressed();
        if suppressed > told {
            tracing::warn!(lines = suppressed - told, "log lines were suppressed: one place wrote too many");
            told = suppressed;
        }
    }
}

/// The flight recorder, and the exporter of spans where there is a collector.
fn instruments(config: &ServeConfig) -> anyhow::Result<(Option<Exporter>, Instruments)> {
    let mut instruments = Instruments::default();
    let Some(collector) = &config.otlp else { return Ok((None, instruments)) };
    let names = (config.cluster.as_str(), config.node.as_str());
    let recorder = Arc::clone(&instruments.recorder);
    let (exporter, tracer) = Exporter::new(collector, config.sampling.clone(), names, recorder)?;
    instruments.tracer = Some(Arc::new(tracer));
    Ok((Some(exporter), instruments))
}

/// Listens for HTTP. A second node on one machine finds the default port taken:
/// it runs without, and says so; an address that was asked for must be free.
async fn listen_http(at: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    if let Some(at) = at {
        let listener = TcpListener::bind(at).await;
        return listener.map(Some).with_context(|| format!("cannot listen on {at} for HTTP"));
    }
    match TcpListener::bind(HTTP_DEFAULT).await {
        Ok(listener) => Ok(Some(listener)),
        Err(e) => {
            tracing::warn!(
                "no metrics and no probes: cannot listen on {HTTP_DEFAULT}: {e}; give --http ADDR"
            );
            Ok(None)
        }
    }
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

/// The way to the coordinator.
fn supervise(
    config: &ServeConfig,
    coordinator: &CoordinatorConfig,
    (access, credentials): (SharedAccess, Option<Credentials>),
    commands: mpsc::Sender<Command>,
    clock: Arc<dyn Clock>,
    durations: Arc<Durations>,
) -> anyhow::Result<MasterServiceSupervisor> {
    let options = CoordinatorOptions {
        endpoints: coordinator.members.clone(),
        access,
        credentials,
        call_deadline: coordinator.timeout,
    };
    let records = EtcdCoordinator::new(config.cluster.clone(), options);
    MasterServiceSupervisor::start(records, commands, clock, durations)
        .context("cannot start the coordinator's thread")
}

fn node_config(config: &ServeConfig, me: Identity, mooncake: Option<String>, seed: u64) -> NodeConfig {
    let leadership = config.coordinator.as_ref().map(|c| LeadershipConfig {
        node: me.node.clone(),
        address: me.address.clone(),
        mooncake,
        times: LeadershipTimes {
            heartbeat: config.heartbeat,
            takeover: c.takeover,
            call_deadline: c.timeout,
            lease: c.lease,
            renew: c.renew,
        },
        ack: config.ack,
        read_ttl_max: config.master.times.read_ttl,
        cold_start: c.cold_start,
        flaps: c.flaps,
        seed,
    });
    NodeConfig {
        me,
        replication: ReplicationConfig {
            times: ReplicationTimes {
                heartbeat: config.heartbeat,
                grant: config.grant,
                shrink: config.shrink,
                lag: config.shrink_lag,
            },
            ack: config.ack,
            read_ttl_max: config.master.times.read_ttl,
            verify: config.verify,
            ship: config.ship,
            loss: config.loss,
            degrade: config.coordinator.as_ref().map_or(Degrade::Available, |c| c.degrade),
        },
        master: config.master.clone(),
        log: LogLimits { bytes: config.log_bytes, ..LogLimits::default() },
        bootstrap: config.role == StartRole::Primary,
        has_peer: config.peer.is_some() || config.coordinator.is_some(),
        seed,
        sabotage: config.sabotage,
        leadership,
    }
}

fn role_name(role: StartRole) -> &'static str {
    match role {
        StartRole::Primary => "primary",
        StartRole::Standby => "standby",
    }
}

#[cfg(test)]
mod conformance_tests;

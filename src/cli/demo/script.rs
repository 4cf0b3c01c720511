//! The acts of the demo, in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::{PromoteReply, PromoteRequest, StreamState, Verdict};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::transport::Channel;

use super::super::client::{self, ADMIN_LIMIT, CONNECT_LIMIT, within};
use super::super::exit::{Exit, Failure};
use super::super::{operate, text};
use super::DemoArgs;
use super::cluster::{Node, Plan};
use super::compare::{Compared, compare};
use super::corrupt::{self, CorruptFacts};
use super::ledger::read;
use super::lender::{mount, stay_alive};
use super::monitor::{self, Board};
use super::panel::{self, Stage};
use super::readback::{self, Reader};
use super::route::Caller;
use super::verdict::{FailoverFacts, Measured, NodeFacts};
use super::workload::{World, Writer};

const KEYS: u32 = 60_000;
const WRITERS: u32 = 4;
const READERS: u64 = 2;
const SEGMENTS: usize = 4;
/// Shares of the duration at which the acts begin.
const MOUNT_AT: f64 = 0.3;
const COMPARE_AT: f64 = 0.6;
const KILL_AT: f64 = 0.7;
/// For the standby to be in sync at the start.
const IN_SYNC_LIMIT: Duration = Duration::from_secs(15);
/// For the clients to end their turns.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// A status is read some time after it was true: at most a heartbeat in the node, and the way to here.
const BOUND_SLACK: Duration = Duration::from_millis(250);
/// The board's number of the node that is the primary at first.
const PRIMARY: usize = 0;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A run and what it has measured so far.
pub(super) struct Run {
    args: DemoArgs,
    stage: Arc<Stage>,
    measured: Measured,
    world: Option<Arc<World>>,
    board: Arc<Board>,
    loaded: Duration,
}

/// The primary and the standby that takes its place.
struct Pair {
    a: Node,
    b: Node,
}

impl Run {
    pub(super) fn new(args: DemoArgs, stage: Arc<Stage>, measured: Measured) -> Self {
        Self { args, stage, measured, world: None, board: Arc::new(Board::new(2)), loaded: Duration::ZERO }
    }

    /// Notes how the play ended.
    pub(super) fn ended(&mut self, played: Result<(), Failure>) {
        if let Err(failure) = played {
            self.measured.gaps.push(failure.text);
        }
    }

    /// All that was measured, also when the play did not reach its end.
    pub(super) fn measured(mut self) -> Measured {
        let m = &mut self.measured;
        m.lag_ms = self.board.lag_ms();
        m.duration_s = self.args.duration.as_secs_f64();
        let Some(world) = self.world else { return self.measured };
        let counts = &world.ledger.counts;
        m.puts_acked = read(&counts.puts_acked);
        m.puts_per_s = (!self.loaded.is_zero()).then(|| m.puts_acked as f64 / self.loaded.as_secs_f64());
        m.acked_missing = read(&counts.acked_missing);
        m.missing_beyond = read(&counts.missing_beyond);
        m.returned = read(&counts.returned);
        m.wrong_bytes = read(&counts.wrong_bytes);
        m.unexpected = read(&counts.unexpected);
        m.keys = world.ledger.ever_acked();
        m.removes_acked = read(&counts.removes_acked);
        m.unknown = read(&counts.unknown);
        m.no_space = read(&counts.no_space);
        m.reads_checked = read(&counts.reads_checked);
        m.complaints = world.ledger.complaints();
        if let Some(failover) = &mut m.failover {
            failover.outage_ms = world.outage.duration().map(|outage| outage.as_secs_f64() * 1e3);
            failover.acked_lost = m.acked_missing.saturating_sub(failover.acked_lost);
        }
        self.measured
    }

    /// Starts the nodes and plays all acts. Dropping the future ends the nodes and all clients.
    pub(super) async fn play(&mut self) -> Result<(), Failure> {
        let mut pair = self.start().await?;
        let addrs = vec![pair.a.addr.clone(), pair.b.addr.clone()];
        let world = Arc::new(World::new(KEYS, addrs));
        self.world = Some(Arc::clone(&world));
        let mut tasks = JoinSet::new();
        for (nr, node) in [&pair.a, &pair.b].into_iter().enumerate() {
            tasks.spawn(monitor::watch(Arc::clone(&self.board), nr, node.addr.clone()));
        }
        tasks.spawn(stay_alive(Arc::clone(&world)));
        let (stage, board) = (Arc::clone(&self.stage), Arc::clone(&self.board));
        let live = stage.is_live();
        let names = vec![pair.a.name, pair.b.name];
        // In this task, so that the terminal is restored before the verdict is printed.
        let panel = panel::show(stage, board, Arc::clone(&world), names);
        tokio::select! {
            acted = self.acts(&mut pair, &world) => acted?,
            never = async { if live { panel.await; } std::future::pending().await } => never,
        }
        if self.args.keep {
            self.keep(&mut pair);
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<Pair, Failure> {
        let DemoArgs { ack, sabotage, corrupt, keep, ref otlp, .. } = self.args;
        let otlp = otlp.as_ref().map(|collector| collector.as_str().to_owned());
        let otlp = otlp.as_deref();
        let on_primary = sabotage.filter(|sabotage| sabotage.strikes_the_primary());
        let on_standby = sabotage.filter(|sabotage| !sabotage.strikes_the_primary());
        let a = Node::start(Plan { name: "a", peer: None, ack, sabotage: on_primary, corrupt, keep, otlp })
            .await?;
        self.measured.nodes.push(NodeFacts {
            id: a.name.into(),
            pid: a.pid,
            role: "primary",
            ..NodeFacts::default()
        });
        let b = Node::start(Plan {
            name: "b",
            peer: Some(&a.addr),
            ack,
            sabotage: on_standby,
            corrupt,
            keep,
            otlp,
        })
        .await?;
        self.measured.nodes.push(NodeFacts {
            id: b.name.into(),
            pid: b.pid,
            role: "standby",
            ..NodeFacts::default()
        });
        self.stage.say(format!(
            "a (pid {}) is primary at {}, b (pid {}) standby at {}",
            a.pid, a.addr, b.pid, b.addr
        ));
        Ok(Pair { a, b })
    }

    async fn acts(&mut self, pair: &mut Pair, world: &Arc<World>) -> Result<(), Failure> {
        Box::pin(in_sync(pair)).await?;
        self.stage.say("the standby is in sync");
        let mut lender = Caller::new(Arc::clone(&world.route));
        for _ in 0..SEGMENTS {
            mount(&mut lender, world).await?;
        }
        let began = Instant::now();
        let at = |share: f64| began + self.args.duration.mul_f64(share);
        let (mount_at, compare_at, kill_at, end_at) = (at(MOUNT_AT), at(COMPARE_AT), at(KILL_AT), at(1.0));
        let mut clients = start_load(world, self.measured.seed);
        self.stage.say(format!("{WRITERS} writers and {READERS} readers work on {KEYS} keys"));

        sleep_until(mount_at).await;
        match mount(&mut lender, world).await {
            Ok(()) => self.stage.say("one more segment is mounted"),
            // The comparison tells what is behind it.
            Err(failure) => {
                self.stage.say(&*failure.text);
                self.measured.gaps.push(failure.text);
            }
        }
        if self.args.corrupt {
            self.corrupt(&pair.b).await;
        }
        sleep_until(compare_at).await;
        let paused = self.compare(pair, world).await;
        let mut goes_on = true;
        if !self.args.no_failover {
            sleep_until(kill_at).await;
            goes_on = self.fail_over(pair, world).await;
        }
        if goes_on {
            sleep_until(end_at).await;
        }
        self.loaded = began.elapsed().saturating_sub(paused);
        self.stop(world, &mut clients).await;
        self.look_at_processes(pair);
        self.stage.say("reading every key back");
        let unread = readback::read_all(world).await;
        let asked = world.ledger.acked_now().saturating_sub(unread);
        (self.measured.unread, self.measured.read_back) = (Some(unread), asked);
        let missing = read(&world.ledger.counts.acked_missing);
        self.stage.say(format!("asked for {asked} acknowledged keys; missing in the whole run: {missing}"));
        Ok(())
    }

    /// Damages the standby's memory under the load.
    async fn corrupt(&mut self, standby: &Node) {
        self.stage.say("bits flip in the standby's memory");
        match Box::pin(corrupt::plant(standby)).await {
            Ok(facts) => {
                let CorruptFacts { planted, found, repaired, .. } = facts;
                self.stage.say(format!("{planted} corruptions planted, {found} found, {repaired} repaired"));
                self.measured.corruption = Some(facts);
            }
            Err(why) => self.measured.gaps.push(format!("no corruption could be planted: {why}")),
        }
    }

    /// Pauses the load and compares both copies at one position. Returns how long that took.
    async fn compare(&mut self, pair: &Pair, world: &World) -> Duration {
        let began = Instant::now();
        let _paused = world.gate.write().await;
        self.stage.say("load paused: comparing both copies");
        let Compared { nodes, equal, faults } = Box::pin(compare(&pair.a, &pair.b)).await;
        let at = nodes.last().and_then(|standby| standby.applied);
        self.measured.digests_equal = equal;
        if !nodes.is_empty() {
            (self.measured.entries_replicated, self.measured.nodes) = (at, nodes);
        }
        match equal {
            Some(equal) => {
                let word = if equal { "equal" } else { "WRONG: they differ" };
                self.stage.say(format!("both copies at position {}: {word}", text::number(at)));
            }
            None => {
                let gap = "the copies did not come to stand at one position while the load was paused";
                self.stage.say(gap);
                self.measured.gaps.push(gap.to_owned());
            }
        }
        self.measured.faults.extend(faults);
        began.elapsed()
    }

    /// Kills the primary in full load and promotes the standby. False when the standby would not have it.
    async fn fail_over(&mut self, pair: &mut Pair, world: &World) -> bool {
        let channel = match client::open(&pair.b.addr, CONNECT_LIMIT).await {
            Ok(channel) => channel,
            Err(why) => {
                self.measured.faults.push(format!("the standby cannot be reached: {why}"));
                return false;
            }
        };
        if let Err(why) = promote(&channel, true).await {
            // Killing the primary now would lose everything, as the standby says itself.
            self.stage.say(format!("not killed: {why}"));
            self.measured.faults.push(why);
            return false;
        }
        let mut facts = FailoverFacts {
            acked_lost: read(&world.ledger.counts.acked_missing),
            loss_bound_ms: self.state_the_bound(world),
            ..FailoverFacts::default()
        };
        pair.a.kill();
        let _ = world.outage.began.set(Instant::now());
        self.stage.say("primary KILLED with SIGKILL in full load");
        match promote(&channel, false).await {
            Ok(reply) => {
                let change = operate::history_row(&channel, reply.epoch).await;
                let epoch = text::number(reply.epoch);
                self.stage.say(format!("standby PROMOTED: b is the primary of epoch {epoch}"));
                facts.phases = change.as_ref().map(operate::phases_ms).unwrap_or_default();
                let told = change.and_then(|change| change.at_risk).and_then(|loss| loss.entries);
                facts.loss_told_entries = told;
            }
            Err(why) => self.measured.faults.push(why),
        }
        self.measured.failover = Some(facts);
        true
    }

    /// In async mode: says before the kill what may be lost by it. The primary's newest status tells how old the
    /// oldest entry is that the standby may lack; what was acknowledged before that must survive.
    fn state_the_bound(&self, world: &World) -> Option<f64> {
        if !self.measured.is_async {
            return Some(0.0);
        }
        let from = self.board.held_until(PRIMARY)?.checked_sub(BOUND_SLACK)?;
        world.ledger.may_lose_from(from);
        Some(from.elapsed().as_secs_f64() * 1e3)
    }

    async fn stop(&mut self, world: &World, clients: &mut JoinSet<()>) {
        world.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + STOP_LIMIT;
        loop {
            match tokio::time::timeout_at(until, clients.join_next()).await {
                Ok(None) => break,
                Ok(Some(Ok(()))) => {}
                Ok(Some(Err(error))) => {
                    self.measured.faults.push(format!("a client of the demo failed: {error}"));
                }
                Err(_) => {
                    self.measured.gaps.push(format!("{} clients did not end their turn", clients.len()));
                    clients.shutdown().await;
                    break;
                }
            }
        }
    }

    /// A node that ended by itself is a fault, whatever the load noticed.
    fn look_at_processes(&mut self, pair: &mut Pair) {
        let nodes = [(&mut pair.a, self.measured.failover.is_some()), (&mut pair.b, false)];
        for (node, was_killed) in nodes {
            if !was_killed && node.has_ended() {
                let fault = format!("node {} ended by itself; it logged: {}", node.name, node.last_words());
                self.measured.faults.push(fault);
            }
        }
    }

    fn keep(&self, pair: &mut Pair) {
        for node in [&mut pair.a, &mut pair.b] {
            if !node.has_ended() {
                node.stay();
                self.stage.say(format!("{} (pid {}) keeps running at {}", node.name, node.pid, node.addr));
                let next = format!("  standfast status --connect {}      kill {}", node.addr, node.pid);
                text::tell(&[next]);
            }
        }
    }
}

fn start_load(world: &Arc<World>, seed: u64) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let share = KEYS / WRITERS;
    for nr in 0..WRITERS {
        let writer = Writer::new(world, nr, nr * share..(nr + 1) * share, seed);
        clients.spawn(writer.run());
    }
    for nr in 0..READERS {
        clients.spawn(Reader::new(world, seed ^ (nr + 1)).run());
    }
    clients
}

/// Waits until the primary counts on the standby and the standby could take over.
async fn in_sync(pair: &Pair) -> Result<(), Failure> {
    let until = Instant::now() + IN_SYNC_LIMIT;
    while Instant::now() < until {
        let (a, b) = tokio::join!(client::status(&pair.a.addr, false), client::status(&pair.b.addr, false));
        if let (Ok(a), Ok(b)) = (a, b) {
            let counted =
                a.standbys.iter().any(|peer| peer.in_sync && peer.stream() == StreamState::Streaming);
            let ready = b.rehearsal.is_some_and(|rehearsal| rehearsal.verdict() == Verdict::Yes);
            if counted && ready {
                return Ok(());
            }
        }
        sleep(LOOK_EVERY).await;
    }
    let text = format!(
        "the standby was not in sync within {} s; a logged: {}; b logged: {}",
        IN_SYNC_LIMIT.as_secs(),
        pair.a.last_words(),
        pair.b.last_words()
    );
    Err(Failure::new(Exit::Bad, text))
}

/// Asks the standby to take over, or whether it would. Anything but yes is a sentence.
async fn promote(channel: &Channel, dry_run: bool) -> Result<PromoteReply, String> {
    let reason = "the demo killed the primary".to_owned();
    let request = PromoteRequest { actor: operate::actor(), reason, dry_run };
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel.clone()).promote(request)).await;
    let reply = reply.map_err(|status| Failure::of_change("promotion", &status).text)?;
    if reply.accepted {
        return Ok(reply);
    }
    let why: Vec<&str> = reply.reasons.iter().map(|reason| &*reason.text).collect();
    Err(format!("the standby refuses to be promoted: {}", why.join("; ")))
}

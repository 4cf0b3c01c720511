//! The acts of the demo, in order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::super::exit::Failure;
use super::super::load::ledger::read;
use super::super::load::lender::{mount, stay_alive};
use super::super::load::readback::{self, Reader};
use super::super::load::route::Caller;
use super::super::load::workload::{World, Writer};
use super::super::{operate, text};
use super::DemoArgs;
use super::cluster::{ANY_PORT, Node, Plan, Witness};
use super::compare::{Compared, compare};
use super::corrupt::{self, CorruptFacts};
use super::monitor::{self, Board};
use super::mooncake;
use super::stage::Stage;
use super::takeover::{self, AWAY};
use super::verdict::{FailoverFacts, Measured, NodeFacts};

const KEYS: u32 = 60_000;
const WRITERS: u32 = 4;
const READERS: u64 = 2;
const SEGMENTS: usize = 4;
/// Shares of the duration at which the acts begin.
const MOUNT_AT: f64 = 0.15;
const COMPARE_AT: f64 = 0.3;
const KILL_AT: f64 = 0.4;
/// For the clients to end their turns.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// A status is read some time after it was true: at most a heartbeat in the node, and the way to here.
const BOUND_SLACK: Duration = Duration::from_millis(250);
/// The board's number of the node that is the primary at first.
const PRIMARY: usize = 0;

/// A run and what it has measured so far.
pub(super) struct Run {
    args: DemoArgs,
    pub(super) stage: Arc<Stage>,
    pub(super) measured: Measured,
    pub(super) world: Option<Arc<World>>,
    pub(super) board: Arc<Board>,
    pub(super) loaded: Duration,
}

/// The primary, the standby that takes its place, and who decides between them.
pub(super) struct Pair {
    pub(super) a: Node,
    pub(super) b: Node,
    witness: Witness,
    /// How each of them is started again.
    pub(super) again: [Plan; 2],
    /// `a` was killed and is not back.
    a_is_away: bool,
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
        let mut pair = self.start(false).await?;
        let addrs = vec![pair.a.addr.clone(), pair.b.addr.clone()];
        let world = Arc::new(World::new(KEYS, addrs));
        self.world = Some(Arc::clone(&world));
        let mut tasks = JoinSet::new();
        for (nr, node) in [&pair.a, &pair.b].into_iter().enumerate() {
            tasks.spawn(monitor::watch(Arc::clone(&self.board), nr, node.addr.clone()));
        }
        tasks.spawn(stay_alive(Arc::clone(&world)));
        self.acts(&mut pair, &world).await?;
        if self.args.keep {
            self.keep(&mut pair);
        }
        Ok(())
    }

    /// Starts the witness and both nodes.
    pub(super) async fn start(&mut self, hands_on: bool) -> Result<Pair, Failure> {
        let DemoArgs { ack, sabotage, corrupt, keep, ref otlp, .. } = self.args;
        let witness = Witness::start(keep).await?;
        let plan = Plan {
            name: "a",
            grpc: ANY_PORT.to_owned(),
            witness: witness.addr.clone(),
            ack,
            sabotage: sabotage.filter(|sabotage| sabotage.strikes_the_primary()),
            corrupt,
            hands_on,
            keep,
            mooncake: false,
            otlp: otlp.as_ref().map(|collector| collector.as_str().to_owned()),
        };
        let a = takeover::found(&plan).await?;
        self.measured.nodes.push(started(&a, "primary"));
        let on_standby = sabotage.filter(|sabotage| !sabotage.strikes_the_primary());
        let b = Node::start(&Plan { name: "b", sabotage: on_standby, ..plan.clone() }).await?;
        self.measured.nodes.push(started(&b, "standby"));
        self.stage.say(format!(
            "a (pid {}) is primary at {}, b (pid {}) standby at {}",
            a.pid, a.addr, b.pid, b.addr
        ));
        // The same address: clients and nodes know it.
        let again = [&a, &b].map(|node| Plan {
            name: node.name,
            grpc: node.addr.clone(),
            sabotage: None,
            ..plan.clone()
        });
        Ok(Pair { a, b, witness, again, a_is_away: false })
    }

    async fn acts(&mut self, pair: &mut Pair, world: &Arc<World>) -> Result<(), Failure> {
        Box::pin(takeover::in_sync(&pair.a, &pair.b)).await?;
        self.stage.say("the standby is in sync");
        let mut lender = Caller::new(Arc::clone(&world.route));
        for _ in 0..SEGMENTS {
            mount(&mut lender, world).await?;
        }
        let began = Instant::now();
        let at = |share: f64| began + self.args.duration().mul_f64(share);
        let mut wheel = JoinSet::new();
        if self.args.mooncake {
            let plan = Plan { corrupt: false, keep: false, ..pair.again[0].clone() };
            let kill_at = (!self.args.no_failover).then(|| at(KILL_AT));
            wheel.spawn(mooncake::play(plan, kill_at, at(1.0)));
        }
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
        let mut paused = self.compare(&pair.a, &pair.b, world).await;
        let mut goes_on = true;
        if !self.args.no_failover {
            sleep_until(kill_at).await;
            goes_on = self.fail_over(pair, world).await;
        }
        if goes_on {
            sleep_until(end_at).await;
        }
        if self.measured.failover.as_ref().is_some_and(|f| f.rejoin_ms.is_some()) {
            paused += self.compare(&pair.b, &pair.a, world).await;
        }
        self.loaded = began.elapsed().saturating_sub(paused);
        self.stop(world, &mut clients).await;
        if let Some(played) = wheel.join_next().await {
            match played.unwrap_or_else(|error| Err(format!("the Mooncake client's part failed: {error}"))) {
                Ok(facts) => self.measured.mooncake = Some(facts),
                Err(why) => self.measured.gaps.push(why),
            }
        }
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
    pub(super) async fn compare(&mut self, primary: &Node, standby: &Node, world: &World) -> Duration {
        let began = Instant::now();
        let _paused = world.gate.write().await;
        self.stage.say("load paused: comparing both copies");
        let Compared { nodes, equal, faults } = Box::pin(compare(primary, standby)).await;
        let at = nodes.last().and_then(|standby| standby.applied);
        // One comparison that shows a difference is not excused by a later one.
        self.measured.digests_equal = equal.map(|equal| equal && self.measured.digests_equal != Some(false));
        if !nodes.is_empty() {
            (self.measured.entries_replicated, self.measured.nodes) = (at, nodes);
            self.measured.nodes.sort_by(|a, b| a.id.cmp(&b.id));
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

    /// Kills the primary in full load; the standby takes over by itself, and the killed node returns. False when the
    /// standby would not have taken over: then nothing is killed.
    async fn fail_over(&mut self, pair: &mut Pair, world: &World) -> bool {
        if let Some(why) = Box::pin(takeover::why_not(&pair.b)).await {
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
        pair.a_is_away = true;
        let killed = Instant::now();
        let _ = world.outage.began.set(killed);
        self.stage.say("primary KILLED with SIGKILL in full load");
        match Box::pin(takeover::taken_over(&pair.b)).await {
            Ok(change) => {
                self.stage.say(format!("standby TOOK OVER: b is the primary of epoch {}", change.epoch));
                facts.phases = operate::phases_ms(&change);
                facts.loss_told_entries = change.at_risk.and_then(|loss| loss.entries);
            }
            Err(why) => self.measured.faults.push(why),
        }
        self.measured.failover = Some(facts);
        sleep_until(killed + AWAY).await;
        match Box::pin(self.rejoin(pair)).await {
            Ok(rejoin_ms) => {
                self.measured.failover.iter_mut().for_each(|failover| failover.rejoin_ms = Some(rejoin_ms));
            }
            Err(failure) => self.measured.faults.push(failure.text),
        }
        true
    }

    /// Starts the killed node again. Returns how long it took to be in sync, in milliseconds.
    async fn rejoin(&mut self, pair: &mut Pair) -> Result<f64, Failure> {
        let began = Instant::now();
        pair.a = Node::start(&pair.again[0]).await?;
        pair.a_is_away = false;
        self.stage.say(format!("a (pid {}) is started again", pair.a.pid));
        takeover::in_sync(&pair.b, &pair.a).await?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        self.stage.say(format!("a is in sync again, as standby of b, after {took:.0} ms"));
        Ok(took)
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

    pub(super) async fn stop(&mut self, world: &World, clients: &mut JoinSet<()>) {
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
        let nodes = [(&mut pair.a, pair.a_is_away), (&mut pair.b, false)];
        for (node, was_killed) in nodes {
            if !was_killed && node.has_ended() {
                let fault = format!("node {} ended by itself; it logged: {}", node.name, node.last_words());
                self.measured.faults.push(fault);
            }
        }
    }

    fn keep(&self, pair: &mut Pair) {
        let witness = pair.witness.stay();
        self.stage.say(format!("the witness (pid {witness}) keeps running at {}", pair.witness.addr));
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

/// What is known of a node that has just been started.
fn started(node: &Node, role: &'static str) -> NodeFacts {
    NodeFacts { id: node.name.into(), pid: node.pid, role, ..NodeFacts::default() }
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

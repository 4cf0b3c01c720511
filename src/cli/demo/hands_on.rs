//! The demo on a terminal: the console in front of two real nodes under load, and a person who kills, corrupts,
//! repairs and switches over. What was killed is started again. The verdict is about all of it.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use standfast_proto::v1::{Leadership, Role};
use standfast_tui::{Options, Setup};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::ClientArgs;
use super::super::console;
use super::super::console::drills;
use super::super::exit::{Exit, Failure};
use super::super::load::lender::{mount, stay_alive};
use super::super::load::readback::{self, Reader};
use super::super::load::route::Caller;
use super::super::load::workload::{World, Writer};
use super::super::operate;
use super::cluster::{Node, Plan};
use super::script::{Pair, Run};
use super::{monitor, takeover};

/// Few enough that the machine keeps time for the screen.
const KEYS: u32 = 20_000;
const SEGMENTS: usize = 2;
/// A person sees the other node lead before the killed one is back.
const AWAY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two updates of the console, in milliseconds.
const RATE_MS: u64 = 500;

/// Whether a person sits in front of it.
pub(super) fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

impl Run {
    /// Shows the console until it is closed; then checks everything that was acknowledged.
    pub(super) async fn let_play(&mut self) -> Result<(), Failure> {
        let mut pair = self.start(true).await?;
        let addrs = vec![pair.a.addr.clone(), pair.b.addr.clone()];
        let world = Arc::new(World::new(KEYS, addrs.clone()));
        self.world = Some(Arc::clone(&world));
        let mut tasks = JoinSet::new();
        for (nr, addr) in addrs.iter().enumerate() {
            tasks.spawn(monitor::watch(Arc::clone(&self.board), nr, addr.clone()));
        }
        tasks.spawn(stay_alive(Arc::clone(&world)));
        let mut clients = JoinSet::new();
        let options = options(addrs);
        let began = Instant::now();
        self.stage.is_quiet(true);
        let shown = tokio::select! {
            shown = standfast_tui::run(&options) => shown,
            never = self.tend(&mut pair, &world, &mut clients) => match never {},
        };
        self.stage.is_quiet(false);
        shown.map_err(|error| Failure::new(Exit::Bad, error.to_string()))?;
        self.loaded = began.elapsed();
        self.measured.duration_s = self.loaded.as_secs_f64();
        self.stop(&world, &mut clients).await;
        self.check(&pair, &world).await;
        Ok(())
    }

    /// Starts the load, and every node that has ended.
    async fn tend(
        &mut self,
        pair: &mut Pair,
        world: &Arc<World>,
        clients: &mut JoinSet<()>,
    ) -> std::convert::Infallible {
        if let Err(failure) = self.begin_load(pair, world, clients).await {
            self.measured.faults.push(failure.text);
        }
        let mut ended: [Option<Instant>; 2] = [None, None];
        loop {
            for (node, (plan, since)) in
                [&mut pair.a, &mut pair.b].into_iter().zip(pair.again.iter().zip(&mut ended))
            {
                match *since {
                    None if node.has_ended() => *since = Some(Instant::now()),
                    Some(at) if at.elapsed() >= AWAY => match Node::start(plan).await {
                        Ok(started) => (*node, *since) = (started, None),
                        // Tried again after a while; the console shows that it is away.
                        Err(_) => *since = Some(Instant::now()),
                    },
                    _ => {}
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn begin_load(
        &mut self,
        pair: &Pair,
        world: &Arc<World>,
        clients: &mut JoinSet<()>,
    ) -> Result<(), Failure> {
        Box::pin(takeover::in_sync(&pair.a, &pair.b)).await?;
        let mut lender = Caller::new(Arc::clone(&world.route));
        for _ in 0..SEGMENTS {
            mount(&mut lender, world).await?;
        }
        // At any moment a person may take a primary away: what may then become of a write is no fault.
        let _ = world.outage.began.set(Instant::now());
        clients.spawn(Writer::new(world, 0, 0..KEYS, self.measured.seed).run());
        clients.spawn(Reader::new(world, self.measured.seed ^ 1).run());
        Ok(())
    }

    /// Compares the copies where both are there, and reads every key back.
    async fn check(&mut self, pair: &Pair, world: &Arc<World>) {
        let leads = |node: usize| {
            let status = self.board.reading(node)?.status;
            Some(status.leadership.as_ref().map(Leadership::role)? == Role::Primary)
        };
        let nodes = match (leads(0), leads(1)) {
            (Some(true), Some(false)) => Some((&pair.a, &pair.b)),
            (Some(false), Some(true)) => Some((&pair.b, &pair.a)),
            _ => None,
        };
        if let Some((primary, standby)) = nodes {
            self.compare(primary, standby, world).await;
        }
        self.stage.say("reading every key back");
        let unread = readback::read_all(world).await;
        (self.measured.unread, self.measured.read_back) =
            (Some(unread), world.ledger.acked_now().saturating_sub(unread));
    }
}

fn options(connect: Vec<String>) -> Options {
    let look = console::look(None, false, Some("test"), &|name| std::env::var(name).ok());
    let client = ClientArgs { connect, ..ClientArgs::default() };
    Options {
        drills: Some(drills::by_process(&client)),
        setup: Setup {
            connect: client.connect,
            look,
            rate_ms: RATE_MS,
            allow_actions: true,
            lab: true,
            mouse: false,
            ..Setup::default()
        },
        runbooks: console::runbook_pages(),
        actor: operate::actor(),
        record: None,
        record_bytes_max: standfast_tui::RECORD_BYTES_MAX,
        replay: None,
    }
}

/// The flags of a node that a person may damage: what differs stays so until it is repaired by hand.
pub(super) fn flags(plan: &Plan) -> &'static [&'static str] {
    if plan.hands_on {
        &[
            "--enable-lab",
            "--verify-cycle-ms",
            "250",
            "--verify-recount-ms",
            "1000",
            "--verify-repair",
            "false",
        ]
    } else {
        &[]
    }
}

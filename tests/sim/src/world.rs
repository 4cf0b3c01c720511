//! The simulated world: one queue of events, one seed, one history. It plays
//! the shell of each node; everything that decides is production code.

use std::collections::BTreeMap;

use standfast_kernel::machine::Machine;
use standfast_kernel::node::NodeEvent;
use standfast_kernel::types::{ClusterId, CopyId, Instant, WallTime};

use crate::calls::Calls;
use crate::client::{Client, Reply, Req};
use crate::clock::{Clock, DRIFT_PPM_MAX, MS, SECOND};
use crate::coordinator::{Coordinator, Parcel};
use crate::counters::{Count, Counters};
use crate::host::{Host, Input, Process};
use crate::invariants::{Fence, Held, Invariant, Ledger, Outcome, Promises, States};
use crate::links::REFUSED;
use crate::memory::Memory;
use crate::nemesis::Healing;
use crate::net::{CLIENTS, NODES, Net, Way};
use crate::operator::{Call, Operator};
use crate::rng::Rng;
use crate::scenario::{Params, Scenario};
use crate::trace::{At, Trace};

/// What is due.
#[derive(Debug)]
pub(crate) enum Event {
    Wake(usize),
    Pipe(u64, Way),
    Dialled(usize, u64),
    Request(usize, Req),
    Reply(Reply),
    Client(usize, u64),
    Call(usize, Call),
    Coordinator(Parcel),
    /// More homes of a copy are due.
    Dump(usize, u64),
    Operator,
    Nemesis,
    Heal(Healing),
    Check,
}

/// How far the history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Faults and calls.
    Faulty,
    /// Calls only.
    Calm,
    /// Neither: everything must converge.
    Settling,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) t: u64,
    pub(crate) phase: Phase,
    pub(crate) params: Params,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    pub(crate) rng: Rng,
    pub(crate) net: Net,
    pub(crate) hosts: Vec<Host>,
    pub(crate) clients: Vec<Client>,
    pub(crate) memory: Memory,
    pub(crate) operator: Operator,
    pub(crate) coordinator: Coordinator,
    pub(crate) fence: Fence,
    pub(crate) ledger: Ledger,
    pub(crate) promises: Promises,
    pub(crate) held: Held,
    pub(crate) calls: Calls,
    pub(crate) states: States,
    pub(crate) counters: Counters,
    pub(crate) trace: Trace,
    pub(crate) checks: u64,
    pub(crate) done: bool,
    /// What was damaged on purpose, once all is at rest.
    pub(crate) planted: Option<crate::corrupt::Planted>,
    cluster: ClusterId,
    seed: u64,
}

/// Calls go on for this long after the last fault.
const CALM: u64 = 5 * SECOND;
/// Within this time after that, everything must have converged.
const SETTLE_MAX: u64 = 20 * SECOND;
/// Bounds a history that does not end: a livelock is a failure, not a hang.
const EVENTS_MAX: u64 = 5_000_000;

impl World {
    pub(crate) fn new(scenario: Scenario, seed: u64, traced: bool) -> Self {
        let params = Params::of(scenario);
        let mut rng = Rng::new(seed.wrapping_mul(31).wrapping_add(scenario as u64));
        let cluster: ClusterId = name("sim");
        let hosts = (0..NODES).map(|i| host(i, &params, &mut rng)).collect();
        let clients = (0..CLIENTS).map(|c| Client::new(c, &mut rng)).collect();
        Self {
            t: 0,
            phase: Phase::Faulty,
            queue: BTreeMap::new(),
            queued: 0,
            net: Net::new(params.delay),
            hosts,
            clients,
            memory: Memory::new(),
            operator: Operator::new(),
            coordinator: Coordinator::new(),
            fence: Fence::default(),
            ledger: Ledger::default(),
            promises: Promises::new(params.ack),
            held: Held::new(params.degrade),
            calls: Calls::default(),
            states: States::default(),
            counters: Counters::new(),
            trace: Trace::new(traced),
            checks: 0,
            done: false,
            planted: None,
            cluster,
            seed,
            params,
            rng,
        }
    }

    /// Runs the whole history.
    pub(crate) fn run(&mut self) -> Outcome {
        for i in 0..NODES {
            self.start(i, i == 0)?;
        }
        self.prefill()?;
        for c in 0..CLIENTS {
            let pause = self.rng.range(MS, 20 * MS);
            self.wake_client(c, self.t + pause);
        }
        self.at(self.t + 20 * MS, Event::Operator);
        self.at(self.t + 500 * MS, Event::Nemesis);
        self.at(self.t + 100 * MS, Event::Check);
        let faulty_until = self.params.faulty_ns;
        for _ in 0..EVENTS_MAX {
            let Some(((t, _), event)) = self.queue.pop_first() else { break };
            self.t = self.t.max(t);
            if self.phase == Phase::Faulty && self.t >= faulty_until {
                self.phase = Phase::Calm;
                self.calm()?;
            }
            if self.phase == Phase::Calm && self.t >= faulty_until + CALM {
                self.phase = Phase::Settling;
                self.check_answered(faulty_until + CALM / 4)?;
            }
            self.step(event)?;
            if self.done {
                return self.final_checks();
            }
            let late = self.t > faulty_until + CALM + SETTLE_MAX;
            Invariant::Converges.check(!late, || self.why_not_converged())?;
        }
        Err(Invariant::Converges.broken(format!("more than {EVENTS_MAX} events")))
    }

    fn step(&mut self, event: Event) -> Outcome {
        match event {
            Event::Wake(i) => self.wake(i),
            Event::Pipe(id, way) => self.deliver(id, way),
            Event::Dialled(i, id) => self.dialled(i, id),
            Event::Request(i, req) => self.input(i, Input::Request(req)),
            Event::Reply(reply) => self.replied(reply),
            Event::Client(c, generation) => self.client(c, generation),
            Event::Call(i, call) => self.input(i, Input::Call(call)),
            Event::Coordinator(parcel) => self.parcel(parcel),
            Event::Dump(i, id) => {
                self.dump(i, id);
                Ok(())
            }
            Event::Operator => self.patrol(),
            Event::Nemesis => self.nemesis(),
            Event::Heal(healing) => self.heal(healing),
            Event::Check => self.check(),
        }
    }

    pub(crate) fn at(&mut self, t: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((t, self.queued), event);
    }

    pub(crate) fn now(&self, i: usize) -> Instant {
        self.hosts[i].clock.at(self.t)
    }

    /// Wall time is for people; all nodes have the same here.
    pub(crate) fn wall(&self) -> WallTime {
        WallTime(self.t / 1_000)
    }

    pub(crate) fn note(&mut self, at: At, text: impl FnOnce() -> String) {
        self.trace.row(self.t, at, text);
    }

    /// Starts a process on node `i`.
    pub(crate) fn start(&mut self, i: usize, first: bool) -> Outcome {
        let fresh = CopyId(u128::from(self.rng.next()) << 64 | u128::from(self.rng.next()));
        let host = &mut self.hosts[i];
        let copy = if host.generation == 0 {
            fresh
        } else {
            standfast_kernel::node::copy_of_restart(host.last_copy, fresh)
        };
        host.generation += 1;
        host.last_copy = copy;
        host.dialled = None;
        host.wake_at = u64::MAX;
        let seed = self.seed ^ (i as u64) << 32 ^ host.generation;
        host.process = Some(Process::new(&host.name, &self.cluster, copy, &self.params, first, seed));
        self.note(At::Node(i), || format!("starts, copy {:04x}", copy.0 as u16));
        let wall = self.wall();
        self.node_event(i, NodeEvent::Start(wall))?;
        self.watch_records(i);
        let t = self.t;
        self.wake_node_at(i, t);
        Ok(())
    }

    /// Hands an input to a process, or keeps it while the process is frozen.
    pub(crate) fn input(&mut self, i: usize, input: Input) -> Outcome {
        let host = &mut self.hosts[i];
        if host.process.is_none() {
            if let Input::Request(req) = input {
                self.refuse_connection(i, &req);
            }
            return Ok(());
        }
        if host.frozen {
            host.inbox.push_back(input);
            return Ok(());
        }
        match input {
            Input::Event(event) => self.node_event(i, event),
            Input::Up(id) if host.dialled == Some(id) => self.node_event(i, NodeEvent::LinkUp),
            Input::Frame(id, frame) if host.dialled == Some(id) => self.node_event(i, NodeEvent::Link(frame)),
            Input::Copy(id, frame) if host.dialled == Some(id) => self.node_event(i, NodeEvent::Copy(frame)),
            Input::Closed(id, why) if host.dialled == Some(id) => {
                host.dialled = None;
                self.counters.hit(Count::LinkDown);
                let event = if why == REFUSED {
                    NodeEvent::LinkRefused(why.into())
                } else {
                    NodeEvent::LinkDown(why.into())
                };
                self.node_event(i, event)
            }
            // Of a connection that this process has left.
            Input::Up(_) | Input::Frame(..) | Input::Copy(..) | Input::Closed(..) => Ok(()),
            Input::Request(req) => self.serve(i, req),
            Input::Call(call) => self.called(i, call),
        }
    }

    fn wake(&mut self, i: usize) -> Outcome {
        if self.hosts[i].wake_at != self.t {
            return Ok(());
        }
        self.hosts[i].wake_at = u64::MAX;
        if self.hosts[i].frozen || self.hosts[i].process.is_none() {
            return Ok(());
        }
        self.tick(i)
    }

    /// Hands in a tick and sees to it that the machine does not want the next one at once.
    pub(crate) fn tick(&mut self, i: usize) -> Outcome {
        self.announce(i);
        let (now, wall) = (self.now(i), self.wall());
        self.node_event(i, NodeEvent::Tick(wall))?;
        let deadline = self.hosts[i].process.as_ref().and_then(|p| p.node.deadline());
        Invariant::NoBusyWait.check(deadline.is_none_or(|d| d > now), || {
            format!("n{i} wants to be woken at {deadline:?} after a tick at {now:?}")
        })
    }

    /// Schedules the next tick where the machine asks for it.
    pub(crate) fn schedule(&mut self, i: usize) {
        let host = &self.hosts[i];
        let Some(deadline) = host.process.as_ref().and_then(|p| p.node.deadline()) else { return };
        let due = host.clock.reaches(deadline).max(self.t);
        if due < host.wake_at {
            self.wake_node_at(i, due);
        }
    }

    pub(crate) fn wake_node_at(&mut self, i: usize, t: u64) {
        self.hosts[i].wake_at = t;
        self.at(t, Event::Wake(i));
    }
}

fn host(i: usize, params: &Params, rng: &mut Rng) -> Host {
    let drift = rng.range(0, 2 * DRIFT_PPM_MAX as u64) as i64 - DRIFT_PPM_MAX;
    let ppm = params.rates.map_or(drift, |rates| rates[i]);
    Host {
        name: name(&format!("n{i}")),
        clock: Clock::new(rng.range(SECOND, 1_000 * SECOND), ppm),
        process: None,
        generation: 0,
        frozen: false,
        inbox: std::collections::VecDeque::new(),
        target: usize::from(i == 0),
        dialled: None,
        wake_at: u64::MAX,
        last_copy: CopyId(0),
    }
}

/// Names in the simulation are valid.
fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a valid name")
}

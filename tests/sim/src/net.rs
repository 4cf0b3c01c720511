//! Ordered streams between nodes. A stream never reorders or duplicates; it
//! delays, stalls while a direction is blocked, and ends. What is under way
//! when it ends is lost, or still arrives: on the old connection's id.

use std::collections::{BTreeMap, VecDeque};

use standfast_kernel::replication::{CopyFrame, CopyRequest, PrimaryFrame, StandbyFrame};

use crate::clock::MS;
use crate::rng::Rng;

/// Nodes first, then clients.
pub(crate) const NODES: usize = 3;
pub(crate) const CLIENTS: usize = 4;
const ENDS: usize = NODES + CLIENTS;

#[derive(Debug)]
pub(crate) enum Item {
    Up(StandbyFrame),
    Down(PrimaryFrame),
    /// The one request of a stream that copies the state.
    Ask(Box<CopyRequest>),
    Copy(CopyFrame),
    Close,
}

/// Direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    ToAcceptor,
    ToDialer,
}

#[derive(Debug, Default)]
struct Pipe {
    items: VecDeque<(u64, Item)>,
    last_ready: u64,
    scheduled: bool,
}

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) dialer: usize,
    pub(crate) acceptor: usize,
    /// Process of the acceptor that holds the other end; a later one does not.
    pub(crate) acceptor_process: u64,
    /// Whether each end still listens.
    pub(crate) dialer_open: bool,
    pub(crate) acceptor_open: bool,
    /// What to ask for once it is open, if it is to copy the state.
    pub(crate) ask: Option<Box<CopyRequest>>,
    /// Homes are sent on it.
    pub(crate) copies: bool,
    pipes: [Pipe; 2],
}

/// How long one hop takes, in ns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delay {
    pub(crate) min: u64,
    pub(crate) max: u64,
    /// So many hops in a thousand take up to `tail_max` instead.
    pub(crate) tail_permille: u64,
    pub(crate) tail_max: u64,
}

#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) conns: BTreeMap<u64, Conn>,
    next: u64,
    delay: Delay,
    blocked: [[u32; ENDS]; ENDS],
    slow_until: [[u64; ENDS]; ENDS],
    slow_by: [[u64; ENDS]; ENDS],
}

impl Net {
    pub(crate) fn new(delay: Delay) -> Self {
        Self {
            conns: BTreeMap::new(),
            next: 1,
            delay,
            blocked: [[0; ENDS]; ENDS],
            slow_until: [[0; ENDS]; ENDS],
            slow_by: [[0; ENDS]; ENDS],
        }
    }

    pub(crate) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked[from][to] > 0
    }

    pub(crate) fn block(&mut self, from: usize, to: usize) {
        self.blocked[from][to] += 1;
    }

    pub(crate) fn unblock(&mut self, from: usize, to: usize) {
        self.blocked[from][to] = self.blocked[from][to].saturating_sub(1);
    }

    pub(crate) fn slow(&mut self, from: usize, to: usize, until: u64, by: u64) {
        self.slow_until[from][to] = until;
        self.slow_by[from][to] = by;
    }

    /// Everything flows again.
    pub(crate) fn calm(&mut self) {
        self.blocked = [[0; ENDS]; ENDS];
        self.slow_until = [[0; ENDS]; ENDS];
    }

    pub(crate) fn hop(&self, rng: &mut Rng, t: u64, from: usize, to: usize) -> u64 {
        let tail = self.delay.tail_permille > 0 && rng.chance(self.delay.tail_permille);
        let max = if tail { self.delay.tail_max } else { self.delay.max };
        let usual = rng.range(self.delay.min, max);
        if t < self.slow_until[from][to] { usual + rng.range(MS, self.slow_by[from][to]) } else { usual }
    }

    pub(crate) fn dial(&mut self, dialer: usize, acceptor: usize, ask: Option<Box<CopyRequest>>) -> u64 {
        let id = self.next;
        self.next += 1;
        let pipes = [Pipe::default(), Pipe::default()];
        let copies = ask.is_some();
        let conn = Conn {
            dialer,
            acceptor,
            acceptor_process: 0,
            dialer_open: true,
            acceptor_open: false,
            ask,
            copies,
            pipes,
        };
        self.conns.insert(id, conn);
        id
    }

    /// Puts an item on its way; the time at which the pipe must be looked at, if it is idle.
    pub(crate) fn push(&mut self, rng: &mut Rng, t: u64, id: u64, way: Way, item: Item) -> Option<u64> {
        let (from, to) = self.ends(id, way)?;
        let ready = t + self.hop(rng, t, from, to);
        let pipe = &mut self.conns.get_mut(&id)?.pipes[way as usize];
        pipe.last_ready = pipe.last_ready.max(ready);
        pipe.items.push_back((pipe.last_ready, item));
        if pipe.scheduled {
            return None;
        }
        pipe.scheduled = true;
        pipe.items.front().map(|(at, _)| *at)
    }

    fn ends(&self, id: u64, way: Way) -> Option<(usize, usize)> {
        let conn = self.conns.get(&id)?;
        Some(match way {
            Way::ToAcceptor => (conn.dialer, conn.acceptor),
            Way::ToDialer => (conn.acceptor, conn.dialer),
        })
    }

    /// Takes what has arrived, and says when to look again.
    pub(crate) fn arrive(&mut self, t: u64, id: u64, way: Way) -> (Option<Item>, Option<u64>) {
        let Some((from, to)) = self.ends(id, way) else { return (None, None) };
        let blocked = self.is_blocked(from, to);
        let Some(conn) = self.conns.get_mut(&id) else { return (None, None) };
        let pipe = &mut conn.pipes[way as usize];
        pipe.scheduled = false;
        if blocked || pipe.items.front().is_none_or(|(ready, _)| *ready > t) {
            return (None, None);
        }
        let item = pipe.items.pop_front().map(|(_, item)| item);
        let next = pipe.items.front().map(|(ready, _)| (*ready).max(t));
        pipe.scheduled = next.is_some();
        (item, next)
    }

    /// Pipes that stood still and may move again.
    pub(crate) fn unstick(&mut self, t: u64) -> Vec<(u64, u64, Way)> {
        let mut due = Vec::new();
        for (id, conn) in &mut self.conns {
            for way in [Way::ToAcceptor, Way::ToDialer] {
                let pipe = &mut conn.pipes[way as usize];
                if let Some((ready, _)) = pipe.items.front().filter(|_| !pipe.scheduled) {
                    due.push(((*ready).max(t), *id, way));
                    pipe.scheduled = true;
                }
            }
        }
        due
    }

    /// Loses what is under way in one direction; how much it was.
    pub(crate) fn lose(&mut self, id: u64, way: Way) -> usize {
        let Some(conn) = self.conns.get_mut(&id) else { return 0 };
        std::mem::take(&mut conn.pipes[way as usize].items).len()
    }

    /// Forgets connections that both ends have left and that carry nothing.
    pub(crate) fn forget(&mut self) {
        self.conns.retain(|_, c| {
            c.dialer_open || c.acceptor_open || c.pipes.iter().any(|p| !p.items.is_empty() || p.scheduled)
        });
    }
}

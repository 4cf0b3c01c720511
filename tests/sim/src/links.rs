//! Streams between nodes, as their shells see them.

use standfast_kernel::node::NodeEvent;
use standfast_kernel::replication::{CopyFrame, CopyRequest, Dump, PrimaryFrame};
use standfast_kernel::types::ConnId;

use crate::clock::MS;
use crate::counters::Count;
use crate::host::Input;
use crate::invariants::Outcome;
use crate::net::{Item, Way};
use crate::world::{Event, World};

/// Nobody listens there.
pub(crate) const REFUSED: &str = "refused";
/// A dial into a partition is given up after this long.
const DIAL_TIMEOUT: u64 = 200 * MS;

impl World {
    pub(crate) fn dial(&mut self, i: usize, ask: Option<Box<CopyRequest>>) {
        self.hang_up(i);
        let target = self.hosts[i].target;
        let id = self.net.dial(i, target, ask);
        self.hosts[i].dialled = Some(id);
        let hop = self.net.hop(&mut self.rng, self.t, i, target);
        let cut = self.net.is_blocked(i, target) || self.net.is_blocked(target, i);
        let t = self.t + if cut { DIAL_TIMEOUT } else { 2 * hop };
        self.at(t, Event::Dialled(i, id));
    }

    pub(crate) fn dialled(&mut self, i: usize, id: u64) -> Outcome {
        if self.hosts[i].dialled != Some(id) {
            return Ok(());
        }
        let Some(conn) = self.net.conns.get_mut(&id) else { return Ok(()) };
        let target = conn.acceptor;
        let acceptor = &self.hosts[target];
        let alive = acceptor.process.is_some();
        conn.acceptor_process = acceptor.generation;
        conn.acceptor_open = alive;
        let ask = conn.ask.take();
        let cut = self.net.is_blocked(i, target) || self.net.is_blocked(target, i);
        if alive && !cut {
            self.counters.hit(Count::LinkUp);
            if let Some(request) = ask {
                self.counters.hit(if request.resume.is_some() {
                    Count::CopyResumed
                } else {
                    Count::CopyAsked
                });
                self.push(id, Way::ToAcceptor, Item::Ask(request));
            }
            return self.input(i, Input::Up(id));
        }
        if let Some(conn) = self.net.conns.get_mut(&id) {
            (conn.dialer_open, conn.acceptor_open) = (false, false);
        }
        let (count, why) =
            if cut { (Count::DialTimedOut, "timed out") } else { (Count::DialRefused, REFUSED) };
        self.counters.hit(count);
        self.input(i, Input::Closed(id, why))
    }

    pub(crate) fn hang_up(&mut self, i: usize) {
        let Some(id) = self.hosts[i].dialled.take() else { return };
        if let Some(conn) = self.net.conns.get_mut(&id) {
            conn.dialer_open = false;
        }
        self.push(id, Way::ToAcceptor, Item::Close);
    }

    pub(crate) fn send_peer(&mut self, id: u64, frame: PrimaryFrame) {
        if self.net.conns.get(&id).is_some_and(|c| c.acceptor_open) {
            self.push(id, Way::ToDialer, Item::Down(frame));
        }
    }

    pub(crate) fn send_copy(&mut self, id: u64, frame: CopyFrame) {
        if self.net.conns.get(&id).is_some_and(|c| c.acceptor_open) {
            self.push(id, Way::ToDialer, Item::Copy(frame));
        }
    }

    /// Begins to send homes, a few at a time: writes go on in between.
    pub(crate) fn copy(&mut self, i: usize, id: u64, dump: Dump) {
        if let Some(process) = &mut self.hosts[i].process {
            process.dumps.insert(id, dump);
            self.at(self.t, Event::Dump(i, id));
        }
    }

    pub(crate) fn dump(&mut self, i: usize, id: u64) {
        let pause = self.rng.range(MS / 20, self.params.copy_pause_max);
        let homes = self.rng.range(1, 120);
        let open = self.net.conns.get(&id).is_some_and(|c| c.acceptor_open);
        let frozen = self.hosts[i].frozen;
        let Some(process) = &mut self.hosts[i].process else { return };
        let Some(dump) = process.dumps.get_mut(&id) else { return };
        if !open {
            process.dumps.remove(&id);
            return;
        }
        let count = if frozen { 0 } else { homes as usize };
        let frames: Vec<CopyFrame> = dump.take(count).collect();
        if matches!(frames.last(), Some(CopyFrame::End(_))) {
            process.dumps.remove(&id);
            self.counters.hit(Count::CopySent);
        }
        for frame in frames {
            self.send_copy(id, frame);
        }
        self.at(self.t + pause, Event::Dump(i, id));
    }

    pub(crate) fn close_peer(&mut self, id: u64) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.acceptor_open = false;
        self.push(id, Way::ToDialer, Item::Close);
    }

    pub(crate) fn push(&mut self, id: u64, way: Way, item: Item) {
        if self.params.twice_permille > 0
            && let Some(again) = twin(&item)
            && self.rng.chance(self.params.twice_permille)
        {
            self.counters.hit(Count::FrameTwice);
            self.push_once(id, way, again);
        }
        self.push_once(id, way, item);
    }

    fn push_once(&mut self, id: u64, way: Way, item: Item) {
        if let Some(t) = self.net.push(&mut self.rng, self.t, id, way, item) {
            self.at(t, Event::Pipe(id, way));
        }
    }

    pub(crate) fn deliver(&mut self, id: u64, way: Way) -> Outcome {
        let (item, next) = self.net.arrive(self.t, id, way);
        if let Some(t) = next {
            self.at(t, Event::Pipe(id, way));
        }
        let Some(item) = item else { return Ok(()) };
        let Some(conn) = self.net.conns.get(&id) else { return Ok(()) };
        let (dialer, acceptor) = (conn.dialer, conn.acceptor);
        match item {
            Item::Down(frame) => self.input(dialer, Input::Frame(id, frame)),
            Item::Up(frame) => {
                let same = self.hosts[acceptor].generation == conn.acceptor_process;
                if !conn.acceptor_open || !same {
                    return Ok(());
                }
                if !conn.dialer_open {
                    self.counters.hit(Count::FramesLateAfterClose);
                }
                self.input(acceptor, Input::Event(NodeEvent::Peer(ConnId(id), frame)))
            }
            Item::Copy(frame) => self.input(dialer, Input::Copy(id, frame)),
            Item::Ask(request) => {
                let same = self.hosts[acceptor].generation == conn.acceptor_process;
                if !conn.acceptor_open || !same {
                    return Ok(());
                }
                self.input(acceptor, Input::Event(NodeEvent::CopyAsked(ConnId(id), request)))
            }
            Item::Close => self.closed(id, way),
        }
    }

    fn closed(&mut self, id: u64, way: Way) -> Outcome {
        let Some(conn) = self.net.conns.get_mut(&id) else { return Ok(()) };
        let (dialer, acceptor) = (conn.dialer, conn.acceptor);
        match way {
            Way::ToDialer => {
                conn.dialer_open = false;
                self.input(dialer, Input::Closed(id, "closed by the other end"))
            }
            Way::ToAcceptor => {
                let same = self.hosts[acceptor].generation == conn.acceptor_process;
                let open = std::mem::replace(&mut conn.acceptor_open, false);
                if !open || !same {
                    return Ok(());
                }
                self.counters.hit(Count::PeerClosed);
                self.input(acceptor, Input::Event(NodeEvent::PeerClosed(ConnId(id))))
            }
        }
    }

    /// Ends a stream from outside; each direction's frames are lost or arrive first.
    pub(crate) fn break_stream(&mut self, id: u64) {
        for way in [Way::ToAcceptor, Way::ToDialer] {
            if self.rng.chance(500) && self.net.lose(id, way) > 0 {
                self.counters.hit(Count::FramesLostWithStream);
            }
            self.push(id, way, Item::Close);
        }
    }

    /// What the operating system does with the streams of a process that is gone.
    pub(crate) fn drop_streams(&mut self, i: usize) {
        let generation = self.hosts[i].generation;
        let ends: Vec<(u64, Way)> = self
            .net
            .conns
            .iter()
            .filter_map(|(id, c)| {
                if c.dialer == i && c.dialer_open {
                    return Some((*id, Way::ToAcceptor));
                }
                let held = c.acceptor == i && c.acceptor_open && c.acceptor_process == generation;
                held.then_some((*id, Way::ToDialer))
            })
            .collect();
        for (id, way) in ends {
            if let Some(conn) = self.net.conns.get_mut(&id) {
                match way {
                    Way::ToAcceptor => conn.dialer_open = false,
                    Way::ToDialer => conn.acceptor_open = false,
                }
            }
            if self.rng.chance(300) && self.net.lose(id, way) > 0 {
                self.counters.hit(Count::FramesLostWithStream);
            }
            self.push(id, way, Item::Close);
        }
        self.hosts[i].dialled = None;
    }
}

/// A second one of a frame that says something, as a sender that is unsure would send it.
fn twin(item: &Item) -> Option<Item> {
    match item {
        Item::Down(frame) => Some(Item::Down(frame.clone())),
        Item::Copy(frame) => Some(Item::Copy(frame.clone())),
        Item::Up(_) | Item::Ask(_) | Item::Close => None,
    }
}

//! Lenders: memory is lent, taken back and lent again, while others use it.

use standfast_kernel::api::Request;

use crate::client::{Client, MOUNTS, client_id};
use crate::memory::Memory;
use crate::net::CLIENTS;
use crate::world::World;

impl Client {
    /// It knows that this segment is mounted.
    pub(crate) fn lends(&mut self, segment: usize) {
        self.to_mount.retain(|s| *s != segment);
        self.taken_back.retain(|s| *s != segment);
        if !self.lent.contains(&segment) {
            self.lent.push(segment);
        }
    }
}

impl World {
    /// Lends what is due, if anything: the first segment at once, others in the
    /// course of the history, what was taken back after a while.
    pub(crate) fn begin_lending(&mut self, c: usize) -> bool {
        let client = client_id(c, 0);
        if let Some(first) = self.clients[c].to_mount.first().copied()
            && (first < CLIENTS || self.rng.chance(5))
        {
            let request = Request::MountSegment { client, segment: Memory::segment(first) };
            self.call(c, MOUNTS, request, first as u64, 0);
            return true;
        }
        let Some(back) = self.clients[c].taken_back.first().copied() else { return false };
        if !self.rng.chance(100) {
            return false;
        }
        let request = if self.rng.chance(700) {
            Request::MountSegment { client, segment: Memory::segment(back) }
        } else {
            // Whether it mounts anything depends on what this primary thinks of the client.
            let all = self.clients[c].lent.iter().chain(&self.clients[c].taken_back);
            Request::ReMountSegment { client, segments: all.map(|s| Memory::segment(*s)).collect() }
        };
        self.call(c, MOUNTS, request, back as u64, 0);
        true
    }

    /// Takes a segment back, with all that is in it.
    pub(crate) fn take_back(&mut self, c: usize) {
        let lent = self.clients[c].lent.clone();
        let Some(segment) = self.rng.pick(&lent) else { return self.idle(c) };
        // Whatever comes of the call: from now on it may be gone.
        self.clients[c].lent.retain(|s| *s != segment);
        self.clients[c].taken_back.push(segment);
        let request =
            Request::UnmountSegment { client: client_id(c, 0), segment: Memory::segment(segment).id };
        self.call(c, MOUNTS, request, segment as u64, 0);
    }
}

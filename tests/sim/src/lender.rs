//! Lenders: memory is lent, taken back and lent again, while others use it.

use standfast_kernel::api::Request;
use standfast_kernel::types::Epoch;

use crate::client::{Client, MOUNTS, client_id};
use crate::memory::{Memory, SEGMENTS};
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

    /// A state that knew of its memory is lost, in this epoch: what it ever lent may still be in use, so it
    /// says all of it again, as a real client does when it is told to.
    pub(crate) fn lends_all_again(&mut self, epoch: Epoch) {
        let all: Vec<usize> = (0..SEGMENTS).filter(|s| s % CLIENTS == self.number).collect();
        (self.to_mount, self.taken_back, self.lent) = (Vec::new(), Vec::new(), all);
        self.says_all_since = Some(epoch);
    }

    /// It was answered, in this epoch, that all of it is known.
    pub(crate) fn said_all(&mut self, epoch: Epoch) {
        self.says_all_since = self.says_all_since.filter(|since| *since > epoch);
    }
}

impl World {
    /// Lends what is due, if anything: the first segment at once, others in the
    /// course of the history, what was taken back after a while.
    pub(crate) fn begin_lending(&mut self, c: usize) -> bool {
        let client = client_id(c, 0);
        if self.clients[c].says_all_since.is_some() {
            let segments = self.clients[c].lent.iter().map(|s| Memory::segment(*s)).collect();
            self.call(c, MOUNTS, Request::ReMountSegment { client, segments }, 0, 0);
            return true;
        }
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

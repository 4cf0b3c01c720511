//! Clients: one call at a time, a call that times out is *unknown*. A client
//! that puts speaks under a new id for each write, because attempts carry no
//! id of their own; but where R21 is tested, all under one.

use std::collections::BTreeMap;

use standfast_kernel::api::{
    EndItem, PutItem, ReplicaDescriptor, ReplicaType, ReplicateConfig, Request, Response,
};
use standfast_kernel::types::{ClientId, Epoch, Instant, LogPos, Uuid};

use crate::clock::{Clock, DRIFT_PPM_MAX, MS, SECOND};
use crate::copying::Copying;
use crate::counters::Count;
use crate::invariants::Outcome;
use crate::memory::{CELL, Memory, Nonce, SEGMENTS, Span};
use crate::net::{CLIENTS, NODES};
use crate::rng::Rng;
use crate::scenario::RPC_TIMEOUT;
use crate::shell::is_about_segments;
use crate::trace::At;
use crate::transfer::{Reading, Writing};
use crate::world::{Event, Phase, World};

/// A call on its way.
#[derive(Debug, Clone)]
pub(crate) struct Req {
    pub(crate) client: usize,
    pub(crate) id: u64,
    pub(crate) request: Request,
    /// An answer from here on this key was delivered to somebody before this was asked.
    pub(crate) must_see: Option<LogPos>,
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// With the position that it was decided on.
    Response(Response, LogPos),
    NotPrimary,
    Unavailable,
    /// The connection ended: the outcome is unknown.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) client: usize,
    pub(crate) id: u64,
    pub(crate) node: usize,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) enum Task {
    Idle,
    Calling(Call),
    Writing(Writing),
    Reading(Reading),
    Copying(Copying),
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) request: Request,
    pub(crate) key: u64,
    pub(crate) sent: Instant,
    pub(crate) tries: u32,
    /// The write that this call begins or ends.
    pub(crate) nonce: Nonce,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) clock: Clock,
    pub(crate) task: Task,
    /// Wake-ups of an earlier task are stale.
    pub(crate) generation: u64,
    home: usize,
    writes: u64,
    pub(crate) calls: u64,
    /// Segments that it has not lent yet, those that it lends, and those that it took back.
    pub(crate) to_mount: Vec<usize>,
    pub(crate) lent: Vec<usize>,
    pub(crate) taken_back: Vec<usize>,
    /// Since when it has to say again all that it lends.
    pub(crate) says_all_since: Option<Epoch>,
    pub(crate) number: usize,
    /// Per key: a segment in which it was shown a replica.
    pub(crate) seen_in: BTreeMap<u64, usize>,
    /// True time of the last definite answer.
    pub(crate) answered_at: u64,
    /// Per key: what this client has been told; the world keeps the union.
    pub(crate) told: BTreeMap<u64, LogPos>,
}

/// Tries of one call before its client turns to something else.
const TRIES_MAX: u32 = 6;
/// The segment table, among keys.
pub(crate) const MOUNTS: u64 = u64::MAX;

impl Client {
    pub(crate) fn new(c: usize, rng: &mut Rng) -> Self {
        let ppm = rng.range(0, 2 * DRIFT_PPM_MAX as u64) as i64 - DRIFT_PPM_MAX;
        Self {
            clock: Clock::new(rng.range(SECOND, 1_000 * SECOND), ppm),
            task: Task::Idle,
            generation: 0,
            home: 0,
            writes: 0,
            calls: 0,
            to_mount: (0..SEGMENTS).filter(|s| s % CLIENTS == c).collect(),
            lent: Vec::new(),
            taken_back: Vec::new(),
            says_all_since: None,
            number: c,
            seen_in: BTreeMap::new(),
            answered_at: 0,
            told: BTreeMap::new(),
        }
    }

    pub(crate) fn saw(&mut self, key: u64, replicas: &[ReplicaDescriptor]) {
        if let Some(segment) = replicas.first().and_then(Memory::segment_of) {
            self.seen_in.insert(key, segment);
        }
    }
}

pub(crate) fn key_name(key: u64) -> String {
    format!("object-{key}")
}

/// The number of an object, from its scoped key.
pub(crate) fn key_number(scoped: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(scoped);
    text.rsplit_once("object-").and_then(|(_, n)| n.parse().ok())
}

/// The id of client `c` for its write `nonce`; 0 for everything else.
pub(crate) fn client_id(c: usize, nonce: Nonce) -> ClientId {
    ClientId(Uuid { first: c as u64 + 1, second: nonce })
}

/// The key that a write is of.
pub(crate) fn key_of(nonce: Nonce) -> u64 {
    if nonce == 0 { u64::MAX } else { nonce >> 8 & 0xff }
}

impl World {
    pub(crate) fn wake_client(&mut self, c: usize, t: u64) {
        let generation = self.clients[c].generation;
        self.at(t, Event::Client(c, generation));
    }

    /// The client turns to something else after a pause.
    pub(crate) fn idle(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.task = Task::Idle;
        client.generation += 1;
        let pause = self.rng.range(self.params.think.0, self.params.think.1);
        self.wake_client(c, self.t + pause);
    }

    pub(crate) fn client(&mut self, c: usize, generation: u64) -> Outcome {
        if self.clients[c].generation != generation {
            return Ok(());
        }
        match std::mem::replace(&mut self.clients[c].task, Task::Idle) {
            Task::Idle if self.phase == Phase::Settling => {}
            Task::Idle => self.begin(c),
            Task::Calling(call) => {
                self.counters.hit(Count::OutcomeUnknown);
                self.elsewhere(c);
                self.retry(c, call);
            }
            Task::Writing(writing) => self.write_on(c, writing),
            Task::Reading(reading) => return self.read_on(c, reading),
            Task::Copying(copying) => self.copy_on(c, copying),
        }
        Ok(())
    }

    fn begin(&mut self, c: usize) {
        let key = self.rng.below(self.params.keys);
        let name = || bytes_of(&key_name(key));
        if self.begin_lending(c) {
            return;
        }
        let weights = self.params.workload;
        let request = match self.rng.weighted(&weights) {
            0 => return self.begin_put(c, key, false),
            1 => Request::GetReplicaList { keys: vec![name()] },
            2 => Request::ExistKey { keys: vec![name()] },
            3 => Request::Remove { keys: vec![name()], force: false },
            4 => Request::Remove { keys: vec![name()], force: true },
            5 => return self.begin_put(c, key, true),
            6 => return self.begin_copy(c, key),
            _ => return self.take_back(c),
        };
        self.call(c, key, request, 0, 0);
    }

    /// Names a write after its key and its client.
    pub(crate) fn next_nonce(&mut self, c: usize, key: u64) -> Nonce {
        self.clients[c].writes += 1;
        self.clients[c].writes << 16 | key << 8 | (c as u64 + 1)
    }

    /// The id under which a write is made.
    fn writer(&self, c: usize, nonce: Nonce) -> ClientId {
        if self.params.shared_writer { client_id(0, u64::MAX) } else { client_id(c, nonce) }
    }

    fn begin_put(&mut self, c: usize, key: u64, upsert: bool) {
        let nonce = self.next_nonce(c, key);
        // Often the same size, so that an upsert may stay where it is.
        let cells = if self.rng.chance(500) { 4 + 2 * (key % 8) } else { self.rng.range(4, 25) };
        let items = vec![PutItem { key: bytes_of(&key_name(key)), size: cells * CELL }];
        let client = self.writer(c, nonce);
        let replica_num = 1 + self.rng.below(2) as u32;
        let config = ReplicateConfig { replica_num, ..ReplicateConfig::default() };
        let request = if upsert {
            Request::UpsertStart { client, config, items }
        } else {
            Request::PutStart { client, config, items }
        };
        self.call(c, key, request, nonce, 0);
    }

    pub(crate) fn end_put(&mut self, c: usize, key: u64, nonce: Nonce) {
        let items = vec![EndItem { key: bytes_of(&key_name(key)), checksum: Some(nonce) }];
        let (client, replica_type) = (self.writer(c, nonce), ReplicaType::All);
        self.call(c, key, Request::PutEnd { client, items, replica_type }, nonce, 0);
    }

    pub(crate) fn revoke_put(&mut self, c: usize, key: u64, nonce: Nonce) {
        let keys = vec![bytes_of(&key_name(key))];
        let (client, replica_type) = (self.writer(c, nonce), ReplicaType::All);
        self.call(c, key, Request::PutRevoke { client, keys, replica_type }, nonce, 0);
    }

    pub(crate) fn call(&mut self, c: usize, key: u64, request: Request, nonce: Nonce, tries: u32) {
        let roam = self.params.roam.then(|| self.rng.below(NODES as u64) as usize);
        let must_see = self.told(key);
        let client = &mut self.clients[c];
        client.calls += 1;
        let id = client.calls;
        let node = roam.unwrap_or(client.home);
        let req = Req { client: c, id, request: request.clone(), must_see };
        client.generation += 1;
        client.task = Task::Calling(Call { id, request, key, sent: client.clock.at(self.t), tries, nonce });
        let timeout = client.clock.after(self.t, RPC_TIMEOUT);
        self.counters.hit(Count::RequestSent);
        self.calls.asked(c, id, key, &req.request, nonce);
        let name = req.request.name();
        self.note(At::Client(c), || {
            format!("call {id} to n{node}: {name} of {key}, write {nonce}, try {tries}")
        });
        self.wake_client(c, timeout);
        if !self.net.is_blocked(NODES + c, node) {
            let t = self.t + self.net.hop(&mut self.rng, self.t, NODES + c, node);
            self.at(t, Event::Request(node, req));
        }
    }

    /// The highest position on this key that was delivered to anybody.
    fn told(&self, key: u64) -> Option<LogPos> {
        self.clients.iter().filter_map(|c| c.told.get(&key).copied()).max()
    }

    fn elsewhere(&mut self, c: usize) {
        self.clients[c].home = (self.clients[c].home + 1) % NODES;
    }

    fn retry(&mut self, c: usize, call: Call) {
        let unsettled = self.phase == Phase::Settling;
        // What it lends is to be said to a state that is new: a call to the former one must not reach it.
        if call.key == MOUNTS && self.clients[c].says_all_since.is_some() {
            return self.idle(c);
        }
        let limit = if matches!(call.request, Request::GetReplicaList { .. }) { 2 } else { TRIES_MAX };
        if call.tries >= limit || unsettled || self.begins(&call.request) {
            return self.idle(c);
        }
        if matches!(call.request, Request::PutEnd { .. }) {
            self.counters.hit(Count::PutEndRetried);
        }
        self.call(c, call.key, call.request, call.nonce, call.tries + 1);
    }

    /// A call that is not made again when its outcome is unknown: what it would
    /// hand out is somebody's already. Nor is what would be charged to the next
    /// attempt of the same client.
    fn begins(&self, request: &Request) -> bool {
        match request {
            Request::PutStart { .. }
            | Request::UpsertStart { .. }
            | Request::CopyStart { .. }
            | Request::MoveStart { .. } => true,
            Request::PutEnd { .. } | Request::PutRevoke { .. } => self.params.shared_writer,
            _ => false,
        }
    }

    pub(crate) fn replied(&mut self, reply: Reply) -> Outcome {
        let Reply { client: c, id, node, answer } = reply;
        if !matches!(&self.clients[c].task, Task::Calling(call) if call.id == id) {
            return Ok(());
        }
        let Task::Calling(call) = std::mem::replace(&mut self.clients[c].task, Task::Idle) else {
            return Ok(());
        };
        self.note(At::Client(c), || format!("call {id}: {answer:?}"));
        match answer {
            Answer::NotPrimary | Answer::Unavailable => {
                let down = matches!(answer, Answer::NotPrimary);
                self.counters.hit(if down { Count::NotPrimary } else { Count::Unavailable });
                self.elsewhere(c);
                self.again_soon(c, call);
            }
            Answer::Closed => {
                self.counters.hit(Count::ConnectionClosed);
                self.elsewhere(c);
                self.retry(c, call);
            }
            Answer::Response(response, saw) => {
                self.counters.hit(Count::AnswerDelivered);
                self.clients[c].answered_at = self.t;
                self.calls.answered(c, id, &response);
                self.clients[c].home = node;
                let about = if is_about_segments(&response) { MOUNTS } else { call.key };
                let told = self.clients[c].told.entry(about).or_insert(saw);
                *told = (*told).max(saw);
                if matches!(&response, Response::ReMountSegment(Ok(()))) {
                    self.clients[c].said_all(saw.epoch);
                }
                return self.answered(c, &call, response);
            }
        }
        Ok(())
    }

    /// A definite "not here": asks the next node after a short pause, and sees to it that a write gets its end.
    fn again_soon(&mut self, c: usize, call: Call) {
        let ends = matches!(call.request, Request::PutEnd { .. });
        if ends && call.tries < TRIES_MAX * 4 && self.phase != Phase::Settling {
            let client = &mut self.clients[c];
            client.generation += 1;
            // A "timeout" that comes after the pause: the call is made again.
            client.task = Task::Calling(Call { id: u64::MAX, tries: call.tries, ..call });
            let pause = self.rng.range(2 * MS, 20 * MS);
            return self.wake_client(c, self.t + pause);
        }
        self.idle(c);
    }

    fn answered(&mut self, c: usize, call: &Call, response: Response) -> Outcome {
        match response {
            Response::MountSegment(answer) => {
                if answer.is_ok() {
                    self.counters.hit(Count::MountAcked);
                    self.clients[c].lends(call.nonce as usize);
                }
                self.idle(c);
            }
            Response::ReMountSegment(_) => {
                self.counters.hit(Count::ReMountAcked);
                self.idle(c);
            }
            Response::UnmountSegment(_) => {
                self.counters.hit(Count::UnmountAcked);
                self.idle(c);
            }
            Response::PutStart(mut answers) | Response::UpsertStart(mut answers) => {
                return self.put_started(c, call, answers.pop());
            }
            Response::PutRevoke(answers) => {
                let ok = answers.iter().all(Result::is_ok);
                self.counters.hit(if ok { Count::RevokeAcked } else { Count::RevokeRefused });
                self.idle(c);
            }
            Response::CopyStart(answer) | Response::MoveStart(answer) => {
                return self.copy_started(c, call, answer);
            }
            Response::CopyEnd(answer) | Response::MoveEnd(answer) => {
                let ok = answer.is_ok();
                self.counters.hit(if ok { Count::TransferEnded } else { Count::TransferBroken });
                self.idle(c);
            }
            Response::CopyRevoke(_) | Response::MoveRevoke(_) => {
                self.counters.hit(Count::TransferRevoked);
                self.idle(c);
            }
            Response::PutEnd(answers) => {
                let ok = answers.iter().all(Result::is_ok);
                self.counters.hit(if ok { Count::PutEndAcked } else { Count::PutEndOfLostWrite });
                self.idle(c);
            }
            Response::GetReplicaList(mut answers) => return self.read_started(c, call, answers.pop()),
            Response::ExistKey(answers) => {
                let there = answers.contains(&Ok(true));
                self.counters.hit(if there { Count::ExistTrue } else { Count::ExistFalse });
                self.idle(c);
            }
            Response::Remove(answers) => {
                self.removed(call, &answers[0]);
                self.idle(c);
            }
            // Not asked by the clients of this simulation.
            Response::GracefulUnmountSegment(_)
            | Response::QuerySegmentStatus(_)
            | Response::Ping(_)
            | Response::BatchQueryIp(_)
            | Response::GetFsdir(_)
            | Response::GetStorageConfig(_)
            | Response::GetReplicaListByRegex(_)
            | Response::ListKeys(_)
            | Response::GetMetadata(_)
            | Response::PutMetadata(_)
            | Response::RemoveMetadata(_)
            | Response::RemoveByRegex(_)
            | Response::RemoveAll(_)
            | Response::BatchReplicaClear(_)
            | Response::CreateCopyTask(_)
            | Response::CreateMoveTask(_)
            | Response::QueryTask(_)
            | Response::FetchTasks(_)
            | Response::MarkTaskToComplete(_) => self.idle(c),
        }
        Ok(())
    }
}

pub(crate) fn bytes_of(text: &str) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(text.as_bytes())
}

/// Spans of an address list that the lenders really have.
pub(crate) fn spans(replicas: &[ReplicaDescriptor]) -> Option<Vec<Span>> {
    replicas.iter().map(Memory::span).collect()
}

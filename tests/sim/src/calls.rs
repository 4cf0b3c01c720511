//! What clients asked of each key and were told: the history that
//! `invariants/linear.rs` judges when it is over.

use std::collections::BTreeMap;

use standfast_kernel::api::{Refusal, Request, Response};
use standfast_kernel::types::Epoch;

use crate::invariants::{Ask, Op, Outcome, Told, linearizable};
use crate::memory::Nonce;

#[derive(Debug)]
struct Call {
    key: u64,
    op: Op,
    /// A node has carried it out, or tried to: without that it never happened.
    served: bool,
}

/// Of one history.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    moment: u64,
    all: Vec<Call>,
    /// Those without an answer, by client and number.
    open: BTreeMap<(usize, u64), usize>,
    /// Losses that may still become visible, until somebody answers in that epoch.
    lossy: Vec<(Epoch, usize)>,
}

impl Calls {
    fn now(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// A client sends a call.
    pub(crate) fn asked(&mut self, client: usize, id: u64, key: u64, request: &Request, nonce: Nonce) {
        let Some(ask) = ask(request, nonce) else { return };
        let from = self.now();
        self.open.insert((client, id), self.all.len());
        self.all.push(Call { key, op: Op { ask, told: None, from, to: u64::MAX }, served: false });
    }

    /// A node has carried a call out: from now on it has either taken effect or never will.
    pub(crate) fn served(&mut self, client: usize, id: u64) {
        let now = self.now();
        let Some(call) = self.open.get(&(client, id)).map(|i| &mut self.all[*i]) else { return };
        (call.served, call.op.to) = (true, now);
    }

    /// The client got this answer.
    pub(crate) fn answered(&mut self, client: usize, id: u64, response: &Response) {
        let now = self.now();
        let Some(call) = self.open.remove(&(client, id)).map(|i| &mut self.all[i]) else { return };
        (call.op.told, call.op.to) = (Some(told(response)), now);
    }

    /// A primary has logged that it took this object, or a part of it, away.
    pub(crate) fn lost(&mut self, key: u64) {
        let from = self.now();
        let to = self.now();
        self.happened(key, Ask::Loss, from, to);
    }

    /// A term begins that is said to lack something: all of it, or the end of the log.
    pub(crate) fn lossy_term(&mut self, epoch: Epoch, ask: Ask, keys: u64) {
        let from = self.now();
        for key in 0..keys {
            self.lossy.push((epoch, self.all.len()));
            self.happened(key, ask, from, u64::MAX);
        }
    }

    /// An answer of this epoch leaves: what it lacks, it lacks from now on.
    pub(crate) fn speaks(&mut self, epoch: Epoch) {
        let now = self.now();
        for (_, i) in self.lossy.iter().filter(|(e, _)| *e <= epoch) {
            self.all[*i].op.to = now;
        }
        self.lossy.retain(|(e, _)| *e > epoch);
    }

    fn happened(&mut self, key: u64, ask: Ask, from: u64, to: u64) {
        self.all.push(Call { key, op: Op { ask, told: None, from, to }, served: true });
    }

    /// Each key's history must be explained by one order of its calls.
    pub(crate) fn check(&self, keys: u64) -> Outcome<usize> {
        let happened = |call: &&Call| call.served || call.op.told.is_some();
        for key in 0..keys {
            let ops = self.all.iter().filter(|call| call.key == key).filter(happened);
            linearizable(key, &ops.map(|call| call.op).collect::<Vec<Op>>())?;
        }
        Ok(self.all.iter().filter(happened).count())
    }
}

fn ask(request: &Request, nonce: Nonce) -> Option<Ask> {
    Some(match request {
        Request::PutStart { .. } => Ask::PutStart(nonce),
        Request::UpsertStart { .. } => Ask::UpsertStart(nonce),
        Request::PutEnd { .. } => Ask::End(nonce),
        Request::PutRevoke { .. } => Ask::Revoke(nonce),
        Request::GetReplicaList { .. } => Ask::Get,
        Request::ExistKey { .. } => Ask::Exist,
        Request::Remove { force, .. } => Ask::Remove { force: *force },
        // They change no value, or are about segments.
        _ => return None,
    })
}

fn told(response: &Response) -> Told {
    match response {
        Response::PutStart(answers) | Response::UpsertStart(answers) => {
            by_refusal(answers.first(), |_| Told::Done)
        }
        Response::PutEnd(answers) | Response::PutRevoke(answers) | Response::Remove(answers) => {
            by_refusal(answers.first(), |()| Told::Done)
        }
        Response::GetReplicaList(answers) => {
            by_refusal(answers.first(), |list| list.checksum.map_or(Told::Other, Told::Is))
        }
        Response::ExistKey(answers) => by_refusal(answers.first(), |there| Told::There(*there)),
        _ => Told::Other,
    }
}

fn by_refusal<T>(answer: Option<&Result<T, Refusal>>, done: impl Fn(&T) -> Told) -> Told {
    match answer {
        Some(Ok(value)) => done(value),
        Some(Err(Refusal::ObjectNotFound)) => Told::Missing,
        Some(Err(Refusal::ReplicaIsNotReady)) => Told::Unready,
        Some(Err(Refusal::ObjectAlreadyExists)) => Told::Exists,
        Some(Err(Refusal::NoAvailableHandle(_))) => Told::NoSpace,
        Some(Err(Refusal::ObjectHasLease)) => Told::Leased,
        Some(Err(Refusal::ObjectHasReplicationTask)) => Told::Busy,
        Some(Err(Refusal::IllegalClient)) => Told::NotYours,
        Some(Err(Refusal::InvalidWrite(_))) => Told::Void,
        Some(Err(_)) | None => Told::Other,
    }
}

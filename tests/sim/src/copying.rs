//! Copies and moves: a client reads the source and writes the targets, whatever
//! it finds there; the end decides whether that is shown to anybody.

use standfast_kernel::api::{Refusal, Request, TransferBuffers};
use standfast_kernel::types::{Instant, TransferKind};

use crate::client::{Call, Task, bytes_of, client_id, key_name, spans};
use crate::clock::MS;
use crate::counters::Count;
use crate::invariants::{Invariant, Outcome};
use crate::memory::{Memory, Nonce, SEGMENTS, Span};
use crate::scenario::TRANSFER_MAX;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Copying {
    key: u64,
    /// Names the client that copies, not the bytes.
    pub(crate) nonce: Nonce,
    kind: TransferKind,
    source: Span,
    pub(crate) targets: Vec<Span>,
    done: usize,
    steps: usize,
    /// Own clock: it stops here, finished or not.
    pub(crate) until: Instant,
}

impl World {
    /// From a segment in which this client saw a replica to any other.
    pub(crate) fn begin_copy(&mut self, c: usize, key: u64) {
        let Some(source) = self.clients[c].seen_in.get(&key).copied() else { return self.idle(c) };
        let target = (source + 1 + self.rng.below(SEGMENTS as u64 - 1) as usize) % SEGMENTS;
        let (source, target) = (Memory::segment(source).name, Memory::segment(target).name);
        let nonce = self.next_nonce(c, key);
        let (client, name) = (client_id(c, nonce), bytes_of(&key_name(key)));
        let request = if self.rng.chance(500) {
            Request::CopyStart { client, key: name, source, targets: vec![target] }
        } else {
            Request::MoveStart { client, key: name, source, target }
        };
        self.call(c, key, request, nonce, 0);
    }

    pub(crate) fn copy_started(
        &mut self,
        c: usize,
        call: &Call,
        answer: Result<TransferBuffers, Refusal>,
    ) -> Outcome {
        let Ok(buffers) = answer else {
            self.counters.hit(Count::TransferRefused);
            self.idle(c);
            return Ok(());
        };
        let moves = matches!(call.request, Request::MoveStart { .. });
        let kind = if moves { TransferKind::Move } else { TransferKind::Copy };
        self.counters.hit(if moves { Count::MoveStarted } else { Count::CopyStarted });
        let source = spans(std::slice::from_ref(&buffers.source)).and_then(|s| s.first().copied());
        let (Some(source), Some(targets)) = (source, spans(&buffers.targets)) else {
            let text = format!("a copy was handed {buffers:?}, which nobody lends");
            return Err(Invariant::NoSharedBytes.broken(text));
        };
        self.check_no_rights(c, call.nonce, &targets)?;
        let until = call.sent.plus(TRANSFER_MAX);
        let steps = 1 + self.rng.below(5) as usize;
        let copying =
            Copying { key: call.key, nonce: call.nonce, kind, source, targets, done: 0, steps, until };
        self.next_copy(c, copying);
        Ok(())
    }

    fn next_copy(&mut self, c: usize, copying: Copying) {
        let pause_max = if self.rng.chance(self.params.slow_permille) { 600 * MS } else { 12 * MS };
        let pause = self.rng.range(MS / 10, pause_max);
        let client = &mut self.clients[c];
        client.generation += 1;
        client.task = Task::Copying(copying);
        self.wake_client(c, self.t + pause);
    }

    pub(crate) fn copy_on(&mut self, c: usize, mut copying: Copying) {
        let Copying { key, nonce, kind, .. } = copying;
        let (client, name) = (client_id(c, nonce), bytes_of(&key_name(key)));
        let late = self.clients[c].clock.at(self.t) >= copying.until;
        if late || self.rng.chance(30) {
            if self.rng.chance(300) {
                return self.idle(c);
            }
            let request = match kind {
                TransferKind::Copy => Request::CopyRevoke { client, key: name },
                TransferKind::Move => Request::MoveRevoke { client, key: name },
            };
            return self.call(c, key, request, nonce, 0);
        }
        let part = |span: Span| span.part(copying.done, copying.steps);
        for target in &copying.targets {
            self.memory.copy(part(copying.source), part(*target));
        }
        copying.done += 1;
        if copying.done < copying.steps {
            return self.next_copy(c, copying);
        }
        let request = match kind {
            TransferKind::Copy => Request::CopyEnd { client, key: name },
            TransferKind::Move => Request::MoveEnd { client, key: name },
        };
        self.call(c, key, request, nonce, 0);
    }
}

//! Bytes in motion: writers that take their time, readers that use their lease
//! to the end. Here the truth about memory is: NoReuseUnderRight, NoWrongBytes.

use standfast_kernel::api::{Refusal, ReplicaDescriptors, ReplicaList, Request};
use standfast_kernel::types::Instant;

use crate::client::{Call, Task, key_of, spans};
use crate::clock::MS;
use crate::counters::Count;
use crate::invariants::{Invariant, Outcome};
use crate::memory::{Nonce, Span};
use crate::scenario::TRANSFER_MAX;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Writing {
    key: u64,
    nonce: Nonce,
    spans: Vec<Span>,
    done: usize,
    steps: usize,
    pause_max: u64,
    /// Own clock: it stops here, finished or not.
    until: Instant,
}

#[derive(Debug)]
pub(crate) struct Reading {
    key: u64,
    nonce: Nonce,
    span: Span,
    done: usize,
    steps: usize,
    /// Own clock: bytes read later prove nothing.
    until: Instant,
}

impl World {
    pub(crate) fn put_started(
        &mut self,
        c: usize,
        call: &Call,
        answer: Option<Result<ReplicaDescriptors, Refusal>>,
    ) -> Outcome {
        let replicas = match answer {
            Some(Ok(replicas)) => replicas,
            Some(Err(Refusal::NoAvailableHandle(_))) => {
                self.counters.hit(Count::PutNoSpace);
                self.idle(c);
                return Ok(());
            }
            Some(Err(_)) | None => {
                self.counters.hit(Count::PutExists);
                self.idle(c);
                return Ok(());
            }
        };
        let upsert = matches!(call.request, Request::UpsertStart { .. });
        self.counters.hit(if upsert { Count::UpsertStartAcked } else { Count::PutStartAcked });
        self.clients[c].saw(call.key, &replicas);
        if replicas.len() > 1 {
            self.counters.hit(Count::PutStartOnTwoSegments);
        }
        let spans = spans(&replicas).ok_or_else(|| {
            Invariant::NoSharedBytes.broken(format!("PutStart handed out {replicas:?}, which nobody lends"))
        })?;
        if spans.iter().any(|s| self.memory.used(*s)) {
            self.counters.hit(Count::MemoryReused);
        }
        self.check_no_rights(c, call.nonce, &spans)?;
        let until = call.sent.plus(TRANSFER_MAX);
        let steps = 1 + self.rng.below(5) as usize;
        // Some take longer than `put_discard`, and are preempted while they write.
        let slow = self.params.slow_permille;
        let pause_max = if self.rng.chance(slow) { 600 * MS } else { 12 * MS };
        let writing = Writing { key: call.key, nonce: call.nonce, spans, done: 0, steps, pause_max, until };
        self.next_write(c, writing);
        Ok(())
    }

    /// Nobody else may still read or write these bytes.
    pub(crate) fn check_no_rights(&self, c: usize, nonce: Nonce, spans: &[Span]) -> Outcome {
        for (other, client) in self.clients.iter().enumerate().filter(|(o, _)| *o != c) {
            let now = client.clock.at(self.t);
            let (what, whose, held, until) = match &client.task {
                Task::Writing(w) => ("write", w.nonce, w.spans.clone(), w.until),
                Task::Copying(w) => ("write", w.nonce, w.targets.clone(), w.until),
                Task::Reading(r) => ("read", r.nonce, vec![r.span], r.until),
                Task::Idle | Task::Calling(_) => continue,
            };
            let clash = held.iter().any(|h| spans.iter().any(|s| h.overlaps(s)));
            Invariant::NoReuseUnderRight.check(!clash || now >= until || whose == nonce, || {
                format!("client {c} may write {spans:?} while client {other} may still {what} {held:?}")
            })?;
        }
        Ok(())
    }

    fn next_write(&mut self, c: usize, writing: Writing) {
        let pause = self.rng.range(MS / 10, writing.pause_max);
        let client = &mut self.clients[c];
        client.generation += 1;
        client.task = Task::Writing(writing);
        self.wake_client(c, self.t + pause);
    }

    pub(crate) fn write_on(&mut self, c: usize, mut writing: Writing) {
        let now = self.clients[c].clock.at(self.t);
        let gives_up = self.rng.chance(8);
        if now >= writing.until || gives_up {
            self.counters.hit(Count::WriterGaveUp);
            // Some say so, others are never heard of again.
            if self.rng.chance(500) {
                return self.revoke_put(c, writing.key, writing.nonce);
            }
            return self.idle(c);
        }
        for span in &writing.spans {
            self.memory.write(span.part(writing.done, writing.steps), writing.nonce);
        }
        writing.done += 1;
        if writing.done == writing.steps {
            return self.end_put(c, writing.key, writing.nonce);
        }
        self.next_write(c, writing);
    }

    pub(crate) fn read_started(
        &mut self,
        c: usize,
        call: &Call,
        answer: Option<Result<ReplicaList, Refusal>>,
    ) -> Outcome {
        let list = match answer {
            Some(Ok(list)) => list,
            Some(Err(Refusal::ObjectNotFound)) | None => {
                self.counters.hit(Count::GetNotFound);
                self.idle(c);
                return Ok(());
            }
            Some(Err(_)) => {
                self.counters.hit(Count::GetNotReady);
                self.idle(c);
                return Ok(());
            }
        };
        self.counters.hit(Count::GetAcked);
        let spans = spans(&list.replicas).filter(|s| !s.is_empty());
        let (Some(spans), Some(nonce)) = (spans, list.checksum) else {
            return Err(Invariant::AnswersFollowLog.broken(format!("GetReplicaList answered {list:?}")));
        };
        let Some(span) = self.rng.pick(&spans) else { return Ok(()) };
        let nonce = self.published(call.key, span, nonce)?;
        self.clients[c].saw(call.key, &list.replicas);
        let until = call.sent.plus(list.lease);
        let steps = 2 + self.rng.below(6) as usize;
        self.next_read(c, Reading { key: call.key, nonce, span, done: 0, steps, until });
        Ok(())
    }

    /// The write whose bytes a reader must find. Writers that share an id may end
    /// each other's writes, and then the checksum names the wrong one: what must
    /// hold is that the value is that of one write of this key, and whole.
    pub(crate) fn published(&self, key: u64, span: Span, checksum: Nonce) -> Outcome<Nonce> {
        if !self.params.shared_writer {
            return Ok(checksum);
        }
        let nonce = self.memory.first(span);
        Invariant::NoWrongBytes.check(key_of(nonce) == key, || {
            format!("object {key} is shown at {span:?}, where write {nonce} of another key is")
        })?;
        Ok(nonce)
    }

    fn next_read(&mut self, c: usize, reading: Reading) {
        let client = &self.clients[c];
        let left = client.clock.reaches(reading.until).saturating_sub(self.t);
        // Spread over the whole lease; the last part is read at its very end.
        let parts = (reading.steps - reading.done) as u64;
        let pause =
            if parts == 1 { left.saturating_sub(MS / 50) } else { self.rng.below(2 * left / parts + 1) };
        let client = &mut self.clients[c];
        client.generation += 1;
        client.task = Task::Reading(reading);
        self.wake_client(c, self.t + pause.max(1));
    }

    pub(crate) fn read_on(&mut self, c: usize, mut reading: Reading) -> Outcome {
        if self.clients[c].clock.at(self.t) >= reading.until {
            self.counters.hit(Count::ReadCutByLease);
            self.idle(c);
            return Ok(());
        }
        let part = reading.span.part(reading.done, reading.steps);
        let foreign = self.memory.foreign(part, reading.nonce);
        Invariant::NoWrongBytes.check(foreign.is_none(), || {
            format!(
                "client {c} reads {part:?} of object {} within its lease: write {foreign:?} is there, not {}",
                reading.key, reading.nonce
            )
        })?;
        reading.done += 1;
        if reading.done == reading.steps {
            self.counters.hit(Count::ReadFinished);
            self.idle(c);
            return Ok(());
        }
        self.next_read(c, reading);
        Ok(())
    }

    pub(crate) fn removed(&mut self, call: &Call, answer: &Result<(), Refusal>) {
        let forced = matches!(call.request, Request::Remove { force: true, .. });
        self.counters.hit(match answer {
            Ok(()) if forced => Count::RemoveForced,
            Ok(()) => Count::RemoveAcked,
            Err(Refusal::ObjectHasLease) => Count::RemoveLeased,
            Err(_) => Count::RemoveNotFound,
        });
    }
}

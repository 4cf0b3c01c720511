//! The flight recorder: when each write passed each stage, for the newest
//! writes, always on. A write costs a few relaxed stores into a ring of slots;
//! nothing on its way takes a lock or allocates. Batch stages are stamped once
//! a batch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use parking_lot::Mutex;
use standfast_kernel::types::{ConnId, Instant, Seq, SeqRuns};

use super::clocks::{ClockEstimate, Clocks, Exchange};
use super::otel::TraceContext;

/// Writes kept: 4 MiB of slots.
const WRITES_MAX: usize = 65_536;
/// Batches kept.
const BATCHES_MAX: usize = 8_192;

/// When a request passed the stages that it passes as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestStages {
    /// Its call, as an index that the caller chose.
    pub call: u8,
    /// Its door, as an index that the caller chose.
    pub door: u8,
    /// The door handed it over.
    pub received: Instant,
    /// The decision began: the time that it was based on.
    pub decided: Instant,
    /// Its entries are appended and applied.
    pub appended: Instant,
    /// Its reply may leave; `None` while it waits or when its outcome stayed unknown.
    pub replied: Option<Instant>,
    /// Its trace, if it was sampled.
    pub trace_id: Option<u128>,
}

/// When one batch passed its stages, as far as this node saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchStages {
    /// To or from whom.
    pub conn: ConnId,
    /// First entry.
    pub first: Seq,
    /// Exclusive end.
    pub end: Seq,
    /// Primary: handed to the transport.
    pub sent: Option<Instant>,
    /// Primary: acknowledged by that standby.
    pub acked: Option<Instant>,
    /// Primary: every in-sync standby has it.
    pub committed: Option<Instant>,
    /// Standby: read from the transport.
    pub received: Option<Instant>,
    /// Standby: taken up by the node's loop.
    pub begun: Option<Instant>,
    /// Standby: all of it is applied.
    pub applied: Option<Instant>,
    /// Its span, where batches are traced.
    pub trace: Option<TraceContext>,
}

impl BatchStages {
    fn new(conn: ConnId, first: Seq, end: Seq) -> Self {
        Self {
            conn,
            first,
            end,
            sent: None,
            acked: None,
            committed: None,
            received: None,
            begun: None,
            applied: None,
            trace: None,
        }
    }

    /// True when this entry is in it.
    #[must_use]
    pub fn holds(&self, seq: Seq) -> bool {
        self.first <= seq && seq < self.end
    }
}

/// One write. Written by whoever executes the request; a reader that finds
/// another seq before or after its reading takes nothing.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    seq: AtomicU64,
    received: AtomicU64,
    decided: AtomicU64,
    appended: AtomicU64,
    /// 0 = not yet.
    replied: AtomicU64,
    call_and_door: AtomicU64,
    trace_high: AtomicU64,
    trace_low: AtomicU64,
}

/// The newest batches, in the order in which they were kept.
#[derive(Debug, Default)]
struct Batches {
    ring: VecDeque<BatchStages>,
    /// Number of the oldest in the ring, counted since the process started.
    first: u64,
    /// Numbers of those that were sent and are not committed: few, and of any connection.
    open: VecDeque<u64>,
}

/// The recorder of one node.
#[derive(Debug)]
pub struct Recorder {
    slots: Box<[Slot]>,
    batches: Mutex<Batches>,
    clocks: Mutex<Clocks>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            slots: (0..WRITES_MAX).map(|_| Slot::default()).collect(),
            batches: Mutex::new(Batches { ring: VecDeque::with_capacity(BATCHES_MAX), ..Batches::default() }),
            clocks: Mutex::new(Clocks::default()),
        }
    }
}

impl Recorder {
    /// Bytes that it has allocated: the same at all times.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.slots.len() * size_of::<Slot>() + BATCHES_MAX * size_of::<BatchStages>()
    }

    fn slot(&self, seq: Seq) -> &Slot {
        &self.slots[seq.0 as usize % WRITES_MAX]
    }

    /// A request has appended these entries.
    pub fn appended(&self, entries: &SeqRuns, stages: &RequestStages) {
        let trace = stages.trace_id.unwrap_or(0);
        for seq in entries.iter() {
            let slot = self.slot(seq);
            slot.seq.store(0, Ordering::Relaxed);
            fence(Ordering::Release);
            slot.received.store(stages.received.0, Ordering::Relaxed);
            slot.decided.store(stages.decided.0, Ordering::Relaxed);
            slot.appended.store(stages.appended.0, Ordering::Relaxed);
            slot.replied.store(stages.replied.map_or(0, |at| at.0), Ordering::Relaxed);
            let call_and_door = u64::from(stages.call) << 8 | u64::from(stages.door);
            slot.call_and_door.store(call_and_door, Ordering::Relaxed);
            slot.trace_high.store((trace >> 64) as u64, Ordering::Relaxed);
            slot.trace_low.store(trace as u64, Ordering::Relaxed);
            slot.seq.store(seq.0, Ordering::Release);
        }
    }

    /// The reply to that request may leave.
    pub fn replied(&self, entries: &SeqRuns, at: Instant) {
        for seq in entries.iter() {
            let slot = self.slot(seq);
            if slot.seq.load(Ordering::Relaxed) == seq.0 {
                slot.replied.store(at.0, Ordering::Relaxed);
            }
        }
    }

    /// The request that appended this entry, while it is remembered.
    #[must_use]
    pub fn request(&self, seq: Seq) -> Option<RequestStages> {
        let slot = self.slot(seq);
        if seq.0 == 0 || slot.seq.load(Ordering::Acquire) != seq.0 {
            return None;
        }
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let at = |value: &AtomicU64| Instant(read(value));
        let call_and_door = read(&slot.call_and_door);
        let trace = u128::from(read(&slot.trace_high)) << 64 | u128::from(read(&slot.trace_low));
        let stages = RequestStages {
            call: (call_and_door >> 8) as u8,
            door: call_and_door as u8,
            received: at(&slot.received),
            decided: at(&slot.decided),
            appended: at(&slot.appended),
            replied: Some(at(&slot.replied)).filter(|at| at.0 != 0),
            trace_id: Some(trace).filter(|id| *id != 0),
        };
        fence(Ordering::Acquire);
        (slot.seq.load(Ordering::Relaxed) == seq.0).then_some(stages)
    }

    /// One entry of each of the `max` answered requests that took longest, the slowest first. Looks at all that is
    /// remembered: for people, not for the write path.
    #[must_use]
    pub fn slowest(&self, max: usize) -> Vec<Seq> {
        let answered = self.slots.iter().filter_map(|slot| {
            let seq = Seq(slot.seq.load(Ordering::Relaxed));
            let stages = self.request(seq)?;
            Some((stages.replied?.since(stages.received), stages.received, seq))
        });
        let mut all: Vec<_> = answered.collect();
        all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        // A request of many entries is one.
        all.dedup_by_key(|(took, received, _)| (*took, *received));
        all.into_iter().take(max).map(|(_, _, seq)| seq).collect()
    }

    fn keep(&self, batch: BatchStages) {
        let Batches { ring, first, open } = &mut *self.batches.lock();
        if ring.len() == BATCHES_MAX {
            ring.pop_front();
            *first += 1;
            open.pop_front_if(|number| *number < *first);
        }
        if batch.sent.is_some() {
            open.push_back(*first + ring.len() as u64);
        }
        ring.push_back(batch);
    }

    /// A batch was handed to the transport.
    pub fn sent(&self, conn: ConnId, first: Seq, end: Seq, at: Instant, trace: Option<TraceContext>) {
        self.keep(BatchStages { sent: Some(at), trace, ..BatchStages::new(conn, first, end) });
    }

    /// A batch of the primary is applied here: when it was received, when its
    /// turn came, and when it was done.
    pub fn applied(&self, first: Seq, end: Seq, times: [Instant; 3], trace: Option<TraceContext>) {
        let [received, begun, applied] = times.map(Some);
        self.keep(BatchStages { received, begun, applied, trace, ..BatchStages::new(ConnId(0), first, end) });
    }

    /// A standby has acknowledged everything before `matched`.
    pub fn acked(&self, conn: ConnId, matched: Seq, at: Instant) {
        let mut batches = self.batches.lock();
        for batch in batches.ring.iter_mut().rev().filter(|b| b.conn == conn && b.end <= matched) {
            if batch.acked.is_some() {
                break;
            }
            batch.acked = Some(at);
        }
    }

    /// Every in-sync standby has everything before `commit`.
    pub fn committed(&self, commit: Seq, at: Instant) {
        let Batches { ring, first, open } = &mut *self.batches.lock();
        open.retain(|number| {
            let Some(batch) = number.checked_sub(*first).and_then(|i| ring.get_mut(i as usize)) else {
                return false;
            };
            let is_there = batch.end <= commit;
            if is_there {
                batch.committed = Some(at);
            }
            !is_there
        });
    }

    /// The batches that carried this entry, oldest first.
    #[must_use]
    pub fn batches(&self, seq: Seq) -> Vec<BatchStages> {
        self.batches_between(seq, seq.next())
    }

    /// The batches that carried any of these entries, oldest first.
    #[must_use]
    pub fn batches_between(&self, first: Seq, end: Seq) -> Vec<BatchStages> {
        let batches = self.batches.lock();
        // In the order of the log on each connection only: one that catches up may be anywhere.
        batches.ring.iter().filter(|b| b.first < end && first < b.end).copied().collect()
    }

    /// The standby behind a connection has said its name.
    pub fn peer(&self, conn: ConnId, node: &str) {
        self.clocks.lock().name(conn, node);
    }

    /// Nothing more comes on this connection.
    pub fn closed(&self, conn: ConnId) {
        self.clocks.lock().closed(conn);
    }

    /// A batch and its acknowledgement have made their way there and back.
    pub fn exchange(&self, conn: ConnId, exchange: &Exchange) {
        self.clocks.lock().exchange(conn, exchange);
    }

    /// Its name, if it is known.
    #[must_use]
    pub fn peer_name(&self, conn: ConnId) -> Option<String> {
        self.clocks.lock().name_of(conn)
    }

    /// How the clocks of standbys relate to this node's.
    #[must_use]
    pub fn clocks(&self) -> Vec<ClockEstimate> {
        self.clocks.lock().estimates()
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;

//! One write as this node saw it: from the flight recorder, the log and the view.

use std::sync::Arc;

use standfast_kernel::oplog::{OpLogManager, codec};
use standfast_kernel::types::{Instant, Seq, WallTime};
use standfast_proto::v1;

use super::StatusBoard;
use super::traffic::words;
use crate::telemetry::{BatchStages, ClockEstimate, Recorder, RequestStages};

/// Answers what happened to a write.
#[derive(Clone)]
pub struct WriteTraces {
    board: Arc<StatusBoard>,
    log: OpLogManager,
    recorder: Arc<Recorder>,
}

impl WriteTraces {
    /// Over the shared state of one node.
    #[must_use]
    pub fn new(board: Arc<StatusBoard>, log: OpLogManager, recorder: Arc<Recorder>) -> Self {
        Self { board, log, recorder }
    }

    /// What this node knows of the write with this seq.
    #[must_use]
    pub fn of(&self, seq: Seq, now: Instant, wall: WallTime) -> v1::WriteTrace {
        let (node, role) = self.board.name_and_role();
        let batches = self.recorder.batches(seq);
        let trace = v1::WriteTrace {
            role: role.into(),
            seq: seq.0,
            request: self.recorder.request(seq).map(|r| request(&r)),
            batches: batches.iter().map(|b| self.batch(b, &node)).collect(),
            clocks: self.recorder.clocks().into_iter().map(|c| clock(c, now)).collect(),
            now_ns: now.0,
            now_unix_us: wall.0 as i64,
            tail: self.log.tail().0,
            node,
            ..v1::WriteTrace::default()
        };
        self.with_entry(trace, seq)
    }

    /// The last `limit` writes of the log, the newest first.
    #[must_use]
    pub fn newest(&self, limit: usize, now: Instant, wall: WallTime) -> Vec<v1::WriteTrace> {
        let tail = self.log.tail().0;
        let first = tail.saturating_sub(limit as u64).max(1);
        (first..tail).rev().map(|seq| self.of(Seq(seq), now, wall)).collect()
    }

    /// The slowest requests that are remembered, each by one of its entries.
    #[must_use]
    pub fn slowest(&self, limit: usize, now: Instant, wall: WallTime) -> Vec<v1::WriteTrace> {
        self.recorder.slowest(limit).into_iter().map(|seq| self.of(seq, now, wall)).collect()
    }

    /// Adds what the log holds of it.
    fn with_entry(&self, mut trace: v1::WriteTrace, seq: Seq) -> v1::WriteTrace {
        let Some(batch) = self.log.get_entries_since(seq, 1, 1).filter(|b| b.count > 0) else { return trace };
        if let Ok(entry) = codec::decode(&batch.entries) {
            trace.epoch = Some(entry.pos.epoch.0);
            trace.op = Some(entry.op.kind().name().to_owned());
            trace.key = entry.op.key().map(bytes::Bytes::copy_from_slice);
            trace.appended_unix_us = Some(entry.wall.0 as i64);
        }
        trace
    }

    fn batch(&self, b: &BatchStages, me: &str) -> v1::BatchStages {
        let ns = |at: Option<Instant>| at.map(|at| at.0);
        // What was received was received here.
        let standby =
            if b.received.is_some() { Some(me.to_owned()) } else { self.recorder.peer_name(b.conn) };
        v1::BatchStages {
            standby: standby.unwrap_or_default(),
            first_seq: b.first.0,
            last_seq: b.end.0 - 1,
            sent_ns: ns(b.sent),
            acked_ns: ns(b.acked),
            committed_ns: ns(b.committed),
            received_ns: ns(b.received),
            applied_ns: ns(b.applied),
        }
    }
}

fn request(r: &RequestStages) -> v1::RequestStages {
    let (call, door) = words(r.call, r.door);
    v1::RequestStages {
        call,
        door,
        received_ns: r.received.0,
        decided_ns: r.decided.0,
        appended_ns: r.appended.0,
        replied_ns: r.replied.map(|at| at.0),
        trace_id: r.trace_id.map(|id| format!("{id:032x}")),
    }
}

fn clock(c: ClockEstimate, now: Instant) -> v1::ClockOffset {
    v1::ClockOffset {
        standby: c.standby,
        offset_ns: c.offset_ns,
        error_ns: c.error_ns,
        samples: c.samples,
        age_ms: now.since(c.at).as_millis() as u64,
    }
}

//! OpenTelemetry: spans of sampled requests and of role changes, built from the
//! flight recorder's times after the fact. A request on its way never waits for
//! them: it leaves a record in a bounded queue, or a drop is counted.
//!
//! Not `tracing-opentelemetry`: it stamps spans by itself while they are open,
//! but ours begin on one thread, end on another, and half of them are known only
//! from a batch's acknowledgement.

mod context;
mod exporter;
mod sampler;
mod spans;

pub use context::{Parent, TraceContext};
pub use exporter::{Collector, ExportError, Exporter};
pub use sampler::{SAMPLE_DEFAULT, Sampling};

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use standfast_kernel::types::{Epoch, Instant, Seq, SeqRuns};
use standfast_proto::v1;
use tokio::sync::mpsc;

/// Records that wait to be exported; more are dropped.
const QUEUE_MAX: usize = 16_384;
/// Contexts that standbys have still to be told; the oldest are given up.
const TOLD_MAX: usize = 16_384;
/// Contexts that one frame carries.
const TOLD_PER_FRAME: usize = 1_024;

/// A request that was begun to be traced.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    /// Its span.
    pub context: TraceContext,
    /// The caller's span.
    pub parent: Option<TraceContext>,
    /// Sampled already; otherwise its end decides.
    pub sampled: bool,
}

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its span.
    pub begun: Begun,
    /// `put_start`, ...
    pub call: String,
    /// `grpc`, ...
    pub door: &'static str,
    /// The epoch in which it was executed.
    pub epoch: Epoch,
    /// What it appended.
    pub entries: SeqRuns,
    /// When it passed its stages.
    pub times: Times,
    /// Why it failed: a word for the span.
    pub error: Option<&'static str>,
}

/// When a request passed its stages; those that it did not reach are as `received`.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// The door handed it over.
    pub received: Instant,
    /// The decision began.
    pub decided: Instant,
    /// Its entries were there.
    pub appended: Instant,
    /// Its answer left.
    pub replied: Instant,
}

/// What the exporter is given.
#[derive(Debug)]
enum Record {
    Request(Box<Request>),
    /// A write that the primary has sampled, here on a standby.
    Followed(Followed),
    RoleChange(Box<v1::RoleChange>, TraceContext),
}

/// Seqs of a sampled request of the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Followed {
    first: Seq,
    end: Seq,
    context: TraceContext,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct SpanCounts {
    exported: AtomicU64,
    /// Records for which a queue had no room: the exporter's, the one of what standbys are told, or the
    /// recorder's, which had forgotten the batch.
    queue_full: AtomicU64,
    /// Spans that the collector did not take.
    refused: AtomicU64,
}

impl SpanCounts {
    /// For the status.
    #[must_use]
    pub fn reading(&self) -> v1::Tracing {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        v1::Tracing {
            spans_exported: get(&self.exported),
            dropped_queue_full: get(&self.queue_full),
            dropped_refused: get(&self.refused),
        }
    }
}

/// The hot side of tracing: decides, and hands over.
#[derive(Debug)]
pub struct Tracer {
    sampling: Sampling,
    queue: mpsc::Sender<Record>,
    counts: Arc<SpanCounts>,
    told: Mutex<Told>,
}

/// Contexts in the order in which they came, with the number of the next.
#[derive(Debug, Default)]
struct Told {
    next: u64,
    contexts: VecDeque<Followed>,
}

impl Tracer {
    fn new(sampling: Sampling, queue: mpsc::Sender<Record>, counts: Arc<SpanCounts>) -> Self {
        Self { sampling, queue, counts, told: Mutex::default() }
    }

    /// What became of spans so far.
    #[must_use]
    pub fn counts(&self) -> &SpanCounts {
        &self.counts
    }

    /// A request comes in.
    pub fn begin<'k>(&self, parent: Option<Parent>, keys: impl Iterator<Item = &'k [u8]>) -> Begun {
        let context = parent.map_or_else(TraceContext::root, |p| p.context.child());
        let sampled = self.sampling.head(parent.as_ref(), context, keys);
        Begun { context, parent: parent.map(|p| p.context), sampled }
    }

    /// It has appended: standbys are told with the frame that carries its entries.
    pub fn appended(&self, begun: &Begun, entries: &SeqRuns) {
        if begun.sampled {
            self.tell(begun.context, entries);
        }
    }

    /// It was answered. One that is traced only because it was slow or failed is told late.
    pub fn answered(&self, mut request: Request) {
        if !request.begun.sampled {
            let took = request.times.replied.since(request.times.received);
            if !self.sampling.tail(took, request.error.is_some()) {
                return;
            }
            request.begun.sampled = true;
            self.tell(request.begun.context, &request.entries);
        }
        self.hand_over(Record::Request(Box::new(request)));
    }

    /// A role change is complete; `context` is its first span.
    pub fn changed(&self, change: &v1::RoleChange, context: TraceContext) {
        self.hand_over(Record::RoleChange(Box::new(change.clone()), context));
    }

    fn tell(&self, context: TraceContext, entries: &SeqRuns) {
        let mut told = self.told.lock();
        for (first, count) in entries.runs() {
            if told.contexts.len() == TOLD_MAX {
                told.contexts.pop_front();
            }
            told.contexts.push_back(Followed { first, end: Seq(first.0 + u64::from(count)), context });
            told.next += 1;
        }
    }

    /// What a peer that has been told everything before `cursor` is to be told
    /// with the next frame; advances the cursor.
    pub fn untold(&self, cursor: &mut u64) -> Vec<v1::WriteTraceContext> {
        let told = self.told.lock();
        let oldest = told.next - told.contexts.len() as u64;
        // One that was told nothing yet has missed nothing.
        let missed = if *cursor == 0 { 0 } else { oldest.saturating_sub(*cursor) };
        self.counts.queue_full.fetch_add(missed, Ordering::Relaxed);
        let from = (*cursor).clamp(oldest, told.next);
        let contexts = told.contexts.iter().skip((from - oldest) as usize).take(TOLD_PER_FRAME);
        let frame: Vec<v1::WriteTraceContext> = contexts
            .map(|f| v1::WriteTraceContext {
                first_seq: f.first.0,
                count: f.end.since(f.first) as u32,
                context: Some(f.context.to_wire()),
            })
            .collect();
        *cursor = from + frame.len() as u64;
        frame
    }

    /// The primary says which writes it samples.
    pub fn heard(&self, contexts: &[v1::WriteTraceContext]) {
        for wire in contexts {
            let context = wire.context.as_ref().and_then(TraceContext::from_wire);
            let end = wire.first_seq.checked_add(u64::from(wire.count));
            if let (Some(context), Some(end)) = (context, end) {
                self.hand_over(Record::Followed(Followed {
                    first: Seq(wire.first_seq),
                    end: Seq(end),
                    context,
                }));
            }
        }
    }

    fn hand_over(&self, record: Record) {
        if self.queue.try_send(record).is_err() {
            self.counts.queue_full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracer(rules: &str, room: usize) -> (Tracer, mpsc::Receiver<Record>) {
        let (tx, rx) = mpsc::channel(room);
        (Tracer::new(rules.parse().expect("sound"), tx, Arc::default()), rx)
    }

    fn runs(seqs: &[u64]) -> SeqRuns {
        let mut runs = SeqRuns::default();
        seqs.iter().for_each(|seq| runs.push(Seq(*seq)));
        runs
    }

    fn request(begun: Begun, took_ms: u64, error: Option<&'static str>) -> Request {
        let (at, replied) = (Instant(0), Instant(took_ms * 1_000_000));
        Request {
            begun,
            call: "put_end".into(),
            door: "grpc",
            epoch: Epoch(1),
            entries: runs(&[7]),
            times: Times { received: at, decided: at, appended: at, replied },
            error,
        }
    }

    #[test]
    fn every_peer_is_told_once_and_late_ones_what_is_left() {
        let (tracer, _rx) = tracer("always", 4);
        let begun = tracer.begin(None, std::iter::empty());
        tracer.appended(&begun, &runs(&[3, 4, 9]));
        let (mut one, mut two) = (0, 0);
        let told = tracer.untold(&mut one);
        assert_eq!(told.iter().map(|t| (t.first_seq, t.count)).collect::<Vec<_>>(), [(3, 2), (9, 1)]);
        assert_eq!((tracer.untold(&mut one).len(), tracer.untold(&mut two).len()), (0, 2));
        for seq in 0..TOLD_MAX as u64 {
            tracer.appended(&begun, &runs(&[100 + seq]));
        }
        let mut late = 0;
        assert_eq!(
            tracer.untold(&mut late).first().map(|t| t.first_seq),
            Some(100),
            "the oldest are given up"
        );
        assert_eq!(
            tracer.counts().reading().dropped_queue_full,
            0,
            "neither has missed anything that it was to hear"
        );
        tracer.appended(&begun, &runs(&[900_000, 900_002, 900_004]));
        assert_eq!(tracer.untold(&mut one).len(), TOLD_PER_FRAME);
        assert_eq!(
            tracer.counts().reading().dropped_queue_full,
            3,
            "the oldest three of those behind its cursor"
        );
    }

    #[test]
    fn a_slow_or_failed_request_is_told_late_and_a_full_queue_counts() {
        let (tracer, mut rx) = tracer("slow:5ms,failed", 2);
        let begun = tracer.begin(None, std::iter::empty());
        assert!(!begun.sampled);
        tracer.appended(&begun, &runs(&[7]));
        let mut cursor = 0;
        tracer.answered(request(begun, 1, None));
        assert!(tracer.untold(&mut cursor).is_empty() && rx.try_recv().is_err(), "neither slow nor failed");
        tracer.answered(request(begun, 5, None));
        tracer.answered(request(begun, 1, Some("unknown")));
        assert_eq!(tracer.untold(&mut cursor).len(), 2);
        tracer.answered(request(begun, 9, None));
        assert_eq!(tracer.counts().reading().dropped_queue_full, 1);
    }

    #[test]
    fn what_a_peer_says_is_not_trusted() {
        let (tracer, mut rx) = tracer("", 8);
        let good =
            v1::WriteTraceContext { first_seq: 5, count: 2, context: Some(TraceContext::root().to_wire()) };
        let bad = [
            v1::WriteTraceContext { context: None, ..good.clone() },
            v1::WriteTraceContext { first_seq: u64::MAX, ..good.clone() },
        ];
        tracer.heard(&bad);
        assert!(rx.try_recv().is_err());
        tracer.heard(&[good]);
        assert!(matches!(rx.try_recv(), Ok(Record::Followed(f)) if f.first == Seq(5) && f.end == Seq(7)));
    }
}

//! The slow side of tracing: waits until a record's times are complete, builds
//! its spans and sends them to the collector. It has a queue in front of it and
//! a deadline on every send; nobody ever waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use standfast_kernel::types::{ConnId, Instant, Seq, WallTime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::spans::{self, Now};
use super::{QUEUE_MAX, Record, Sampling, SpanCounts, TraceContext, Tracer};
use crate::telemetry::{BatchStages, Recorder, http_client};

/// How often what has come is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// Spans in one send.
const SEND_MAX: usize = 2_048;
/// For one send.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// How long a record's missing times are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Records that wait for their times.
const WAITING_MAX: usize = 65_536;
/// How long a batch gathers links before it is sent.
const GATHER: Duration = Duration::from_millis(500);

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector(String);

/// An address that is none, or an exporter that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExportError(String);

impl std::str::FromStr for Collector {
    type Err = ExportError;

    /// `http://host:4317` is OTLP over gRPC, `http://host:4318/v1/traces` over HTTP; `https` goes over TLS.
    fn from_str(text: &str) -> Result<Self, ExportError> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let rest = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        match rest {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(ExportError(format!(
                "`{text}` is no collector: expected http://host:4317 (gRPC) or http://host:4318/v1/traces (HTTP), \
                 or the same with https"
            ))),
        }
    }
}

impl Collector {
    /// Its address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_http(&self) -> bool {
        self.0.ends_with("/v1/traces")
    }

    fn exporter(&self) -> Result<SpanExporter, ExportError> {
        let failed = |why: &dyn std::fmt::Display| ExportError(format!("cannot export to {}: {why}", self.0));
        // Also where the exporter brings its own transport: it installs the provider of cryptography.
        let client = http_client(&self.0, SEND_LIMIT).map_err(|e| failed(&e))?;
        let made = if self.is_http() {
            let http = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
            http.with_http_client(client).with_endpoint(&self.0).with_timeout(SEND_LIMIT).build()
        } else {
            let grpc = SpanExporter::builder().with_tonic().with_endpoint(&self.0).with_timeout(SEND_LIMIT);
            if self.0.starts_with("https:") {
                grpc.with_tls_config(ClientTlsConfig::new().with_enabled_roots()).build()
            } else {
                grpc.build()
            }
        };
        made.map_err(|e| failed(&e))
    }
}

/// The task that exports.
#[derive(Debug)]
pub struct Exporter {
    exporter: SpanExporter,
    queue: mpsc::Receiver<Record>,
    recorder: Arc<Recorder>,
    counts: Arc<SpanCounts>,
    waiting: VecDeque<(Instant, Record)>,
    batches: BTreeMap<(Seq, ConnId), Gathered>,
    ready: Vec<SpanData>,
}

/// A batch with traced writes.
#[derive(Debug)]
struct Gathered {
    since: Instant,
    batch: BatchStages,
    writes: Vec<TraceContext>,
}

impl Exporter {
    /// An exporter of this node's spans, and the tracer that feeds it.
    ///
    /// # Errors
    /// When the collector's address cannot be used. Whether it answers shows later.
    pub fn new(
        collector: &Collector,
        sampling: Sampling,
        (cluster, node): (&str, &str),
        recorder: Arc<Recorder>,
    ) -> Result<(Self, Tracer), ExportError> {
        let mut exporter = collector.exporter()?;
        let about = [
            KeyValue::new("service.namespace", cluster.to_owned()),
            KeyValue::new("service.instance.id", node.to_owned()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let resource = Resource::builder_empty().with_service_name("standfast").with_attributes(about);
        exporter.set_resource(&resource.build());
        let (tx, queue) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::new(SpanCounts::default());
        let tracer = Tracer::new(sampling, tx, Arc::clone(&counts));
        let (waiting, batches, ready) = (VecDeque::new(), BTreeMap::new(), Vec::new());
        Ok((Self { exporter, queue, recorder, counts, waiting, batches, ready }, tracer))
    }

    /// Exports until `stop`, and what is left then.
    pub async fn run(mut self, clocks: impl Fn() -> (Instant, WallTime) + Send, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut over = false;
        while !over {
            tokio::select! {
                () = stop.cancelled() => over = true,
                _ = ticks.tick() => {}
            }
            let (local, wall) = clocks();
            let now = Now { local, wall };
            self.take_in(now);
            self.resolve(now, over);
            self.flush_batches(now, over);
            self.send().await;
        }
    }

    fn take_in(&mut self, now: Now) {
        while self.waiting.len() < WAITING_MAX
            && let Ok(record) = self.queue.try_recv()
        {
            self.waiting.push_back((now.local, record));
        }
    }

    /// Builds the spans of records whose times are complete, or that have waited long enough.
    fn resolve(&mut self, now: Now, over: bool) {
        for (since, record) in std::mem::take(&mut self.waiting) {
            let late = over || now.local.since(since) >= PATIENCE;
            if !self.build(&record, now, late) {
                self.waiting.push_back((since, record));
            }
        }
    }

    /// False when its times are not complete yet.
    fn build(&mut self, record: &Record, now: Now, late: bool) -> bool {
        match record {
            Record::Request(r) => {
                let (Some(first), Some(last)) = (r.entries.first(), r.entries.last()) else {
                    self.ready.extend(spans::request(r, &[], now));
                    return true;
                };
                let batches = self.recorder.batches_between(first, last.next());
                let complete = !batches.is_empty() && batches.iter().all(|b| b.acked.is_some());
                if !complete && !late {
                    return false;
                }
                self.ready.extend(spans::request(r, &batches, now));
                for batch in batches.iter().filter(|b| r.entries.iter().any(|seq| b.holds(seq))) {
                    let gathered = self
                        .batches
                        .entry((batch.first, batch.conn))
                        .or_insert_with(|| Gathered { since: now.local, batch: *batch, writes: Vec::new() });
                    gathered.batch = *batch;
                    gathered.writes.push(r.begun.context);
                }
                true
            }
            Record::Followed(f) => {
                let batches = self.recorder.batches_between(f.first, f.end);
                let applied: u64 = batches.iter().map(|b| b.end.min(f.end).since(b.first.max(f.first))).sum();
                if applied < f.end.since(f.first) && !late {
                    return false;
                }
                if batches.is_empty() {
                    self.counts.queue_full.fetch_add(1, Ordering::Relaxed);
                }
                self.ready.extend(batches.iter().filter_map(|b| spans::followed(f, b, now)).flatten());
                true
            }
            Record::RoleChange(change, context) => {
                self.ready.extend(spans::role_change(change, *context));
                true
            }
        }
    }

    fn flush_batches(&mut self, now: Now, over: bool) {
        let done = |g: &Gathered| over || now.local.since(g.since) >= GATHER;
        let due: Vec<_> = self.batches.extract_if(.., |_, g| done(g)).map(|(_, g)| g).collect();
        for Gathered { batch, writes, .. } in due {
            let standby = self.recorder.peer_name(batch.conn).unwrap_or_default();
            self.ready.extend(spans::batch(&batch, &standby, writes, now));
        }
    }

    async fn send(&mut self) {
        while !self.ready.is_empty() {
            let part: Vec<SpanData> = self.ready.drain(..self.ready.len().min(SEND_MAX)).collect();
            let count = part.len() as u64;
            let sent = tokio::time::timeout(SEND_LIMIT, self.exporter.export(part)).await;
            let why = match sent {
                Ok(Ok(())) => {
                    self.counts.exported.fetch_add(count, Ordering::Relaxed);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", SEND_LIMIT.as_secs()),
            };
            // Said before it is counted: who sees the count finds the reason in the log.
            tracing::warn!(spans = count, "the collector did not take spans, they are dropped: {why}");
            self.counts.refused.fetch_add(count, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_address_is_a_url_and_its_path_chooses_the_protocol() {
    let is_http = |text: &str| text.parse::<Collector>().map(|c| c.is_http());
    assert_eq!(is_http("http://h:4317"), Ok(false));
    assert_eq!(is_http("https://h:4318/v1/traces"), Ok(true));
    for bad in ["", "h:4317", "ftp://h:4317", "https://", "http:///x"] {
        assert!(is_http(bad).expect_err(bad).to_string().contains(&format!("`{bad}`")), "{bad}");
    }
}

//! From records and the recorder's times to spans.
//!
//! ```text
//! (caller)
//! `- standfast.put_end          received .. replied
//!    |- master.decide           received .. decided
//!    |- oplog.append            decided .. appended
//!    |- replicate.wait_ack      appended .. replied        links to batch.ship
//!    |- standby.receive         on each standby            links to batch.ship
//!    `- standby.apply           on each standby
//! batch.ship                    sent .. acked              links to each traced write in it
//! ```

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanLinks};
use standfast_kernel::types::{Instant, WallTime};
use standfast_proto::v1;

use super::{Followed, Request, TraceContext};
use crate::telemetry::BatchStages;

/// Both clocks of this node, read together: spans are told in wall time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) local: Instant,
    pub(super) wall: WallTime,
}

impl Now {
    fn wall(&self, at: Instant) -> SystemTime {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(self.wall.0);
        now - self.local.since(at)
    }
}

/// A span in the making.
struct Span {
    context: TraceContext,
    parent: SpanId,
    remote: bool,
    kind: SpanKind,
    name: String,
    from: SystemTime,
    to: SystemTime,
    attributes: Vec<KeyValue>,
    links: Vec<TraceContext>,
    status: Status,
}

impl Span {
    fn finish(self) -> SpanData {
        let mut links = SpanLinks::default();
        links.links = self.links.into_iter().map(|c| Link::new(c.span(true), Vec::new(), 0)).collect();
        SpanData {
            span_context: self.context.span(false),
            parent_span_id: self.parent,
            parent_span_is_remote: self.remote,
            span_kind: self.kind,
            name: self.name.into(),
            start_time: self.from,
            end_time: self.to.max(self.from),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: opentelemetry_sdk::trace::SpanEvents::default(),
            links,
            status: self.status,
            instrumentation_scope: InstrumentationScope::builder("standfast")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

fn number(key: &'static str, value: u64) -> KeyValue {
    KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX))
}

/// The spans of a request on the node that executed it.
pub(super) fn request(r: &Request, batches: &[BatchStages], now: Now) -> Vec<SpanData> {
    let (context, t) = (r.begun.context, r.times);
    let mut attributes = vec![
        KeyValue::new("rpc.system", r.door),
        KeyValue::new("rpc.method", r.call.clone()),
        number("standfast.epoch", r.epoch.0),
    ];
    if let (Some(first), Some(last)) = (r.entries.first(), r.entries.last()) {
        attributes.push(number("standfast.seq_first", first.0));
        attributes.push(number("standfast.seq_last", last.0));
    }
    if let Some(error) = r.error {
        attributes.push(KeyValue::new("error.type", error));
    }
    let root = Span {
        context,
        parent: r.begun.parent.map_or(SpanId::INVALID, TraceContext::id),
        remote: r.begun.parent.is_some(),
        kind: SpanKind::Server,
        name: format!("standfast.{}", r.call),
        from: now.wall(t.received),
        to: now.wall(t.replied),
        attributes,
        links: Vec::new(),
        status: r.error.map_or(Status::Unset, Status::error),
    };
    let mut spans = vec![root.finish()];
    if r.entries.is_empty() {
        return spans;
    }
    let part = |name: &str, from: Instant, to: Instant, links: Vec<TraceContext>| {
        let (from, to) = (now.wall(from), now.wall(to));
        child(context, SpanKind::Internal, name, from, to, Vec::new(), links)
    };
    let shipped = batches.iter().filter_map(|b| b.trace).collect();
    spans.push(part("master.decide", t.received, t.decided, Vec::new()));
    spans.push(part("oplog.append", t.decided, t.appended, Vec::new()));
    spans.push(part("replicate.wait_ack", t.appended, t.replied, shipped));
    spans
}

fn child(
    parent: TraceContext,
    kind: SpanKind,
    name: &str,
    from: SystemTime,
    to: SystemTime,
    attributes: Vec<KeyValue>,
    links: Vec<TraceContext>,
) -> SpanData {
    let span = Span {
        context: parent.child(),
        parent: parent.id(),
        remote: kind == SpanKind::Consumer,
        kind,
        name: name.to_owned(),
        from,
        to,
        attributes,
        links,
        status: Status::Unset,
    };
    span.finish()
}

fn range(b: &BatchStages) -> Vec<KeyValue> {
    vec![number("standfast.seq_first", b.first.0), number("standfast.seq_last", b.end.0 - 1)]
}

/// A batch with traced writes in it, on the node that sent it.
pub(super) fn batch(b: &BatchStages, standby: &str, writes: Vec<TraceContext>, now: Now) -> Option<SpanData> {
    let (context, sent) = (b.trace?, b.sent?);
    let mut attributes = range(b);
    attributes.push(number("standfast.entries", b.end.since(b.first)));
    attributes.push(KeyValue::new("standfast.standby", standby.to_owned()));
    attributes.push(KeyValue::new("standfast.acked", b.acked.is_some()));
    let span = Span {
        context,
        parent: SpanId::INVALID,
        remote: false,
        kind: SpanKind::Producer,
        name: "batch.ship".to_owned(),
        from: now.wall(sent),
        to: now.wall(b.acked.unwrap_or(now.local)),
        attributes,
        links: writes,
        status: Status::Unset,
    };
    Some(span.finish())
}

/// A traced write on the standby that applied it, for one batch that carried it.
pub(super) fn followed(f: &Followed, b: &BatchStages, now: Now) -> Option<[SpanData; 2]> {
    let (received, begun, applied) = (now.wall(b.received?), now.wall(b.begun?), now.wall(b.applied?));
    let links = b.trace.into_iter().collect();
    let attributes = || {
        vec![
            number("standfast.seq_first", f.first.max(b.first).0),
            number("standfast.seq_last", f.end.min(b.end).0 - 1),
        ]
    };
    Some([
        child(f.context, SpanKind::Consumer, "standby.receive", received, begun, attributes(), links),
        child(f.context, SpanKind::Consumer, "standby.apply", begun, applied, attributes(), Vec::new()),
    ])
}

/// A role change and its phases.
pub(super) fn role_change(change: &v1::RoleChange, context: TraceContext) -> Vec<SpanData> {
    let started = SystemTime::UNIX_EPOCH + Duration::from_micros(change.started_unix_us.max(0) as u64);
    let at = |us: u64| started + Duration::from_micros(us);
    let kind = change.kind().as_str_name().trim_start_matches("ROLE_CHANGE_KIND_").to_ascii_lowercase();
    let phases = change.phases.iter().map(|p| {
        let (from, to) = (at(p.start_us), at(p.start_us + p.duration_us));
        child(context, SpanKind::Internal, &format!("{kind}.{}", p.name), from, to, Vec::new(), Vec::new())
    });
    let end = change.phases.iter().map(|p| p.start_us + p.duration_us).max().unwrap_or(0);
    let root = Span {
        context,
        parent: SpanId::INVALID,
        remote: false,
        kind: SpanKind::Internal,
        name: kind.clone(),
        from: started,
        to: at(end),
        attributes: vec![
            number("standfast.epoch", change.epoch),
            KeyValue::new("standfast.cause", change.cause.clone()),
            KeyValue::new("standfast.reason", change.reason.clone()),
            KeyValue::new("standfast.to_node", change.to_node.clone()),
        ],
        links: Vec::new(),
        status: Status::Unset,
    };
    std::iter::once(root.finish()).chain(phases).collect()
}

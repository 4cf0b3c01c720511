//! Trace contexts: which span of which trace.

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use standfast_proto::v1;

/// One span of a sampled trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceContext {
    /// Of the trace.
    pub trace_id: u128,
    /// Of the span.
    pub span_id: u64,
}

/// What a caller said about its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The caller's span.
    pub context: TraceContext,
    /// The caller records it, and wants it continued.
    pub sampled: bool,
}

impl Parent {
    /// From W3C's header `traceparent`; `None` when it is malformed.
    #[must_use]
    pub fn from_header(traceparent: &str) -> Option<Self> {
        let read = TraceContextPropagator::new().extract(&Header(traceparent));
        let span = read.span().span_context().clone();
        span.is_valid().then(|| Self {
            context: TraceContext {
                trace_id: u128::from_be_bytes(span.trace_id().to_bytes()),
                span_id: u64::from_be_bytes(span.span_id().to_bytes()),
            },
            sampled: span.is_sampled(),
        })
    }
}

struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

impl TraceContext {
    /// The first span of a new trace.
    #[must_use]
    pub fn root() -> Self {
        let trace_id = RandomIdGenerator::default().new_trace_id();
        Self { trace_id: u128::from_be_bytes(trace_id.to_bytes()), span_id: 0 }.child()
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        let span_id = RandomIdGenerator::default().new_span_id();
        Self { span_id: u64::from_be_bytes(span_id.to_bytes()), ..self }
    }

    /// As the SDK takes it.
    #[must_use]
    pub fn span(self, remote: bool) -> SpanContext {
        let (trace, span) = (TraceId::from_bytes(self.trace_id.to_be_bytes()), self.id());
        SpanContext::new(trace, span, TraceFlags::SAMPLED, remote, TraceState::default())
    }

    /// Its span id, as the SDK takes it.
    #[must_use]
    pub fn id(self) -> SpanId {
        SpanId::from_bytes(self.span_id.to_be_bytes())
    }

    /// As frames between nodes carry it.
    #[must_use]
    pub fn to_wire(self) -> v1::TraceContext {
        v1::TraceContext {
            trace_id: self.trace_id.to_be_bytes().to_vec().into(),
            span_id: self.span_id.to_be_bytes().to_vec().into(),
        }
    }

    /// From a frame; `None` when it is malformed: a trace is never worth a stream.
    #[must_use]
    pub fn from_wire(wire: &v1::TraceContext) -> Option<Self> {
        let trace_id = u128::from_be_bytes(wire.trace_id.as_ref().try_into().ok()?);
        let span_id = u64::from_be_bytes(wire.span_id.as_ref().try_into().ok()?);
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_w3c_header_is_read_and_a_malformed_one_is_none() {
        let good =
            Parent::from_header("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").expect("sound");
        assert_eq!(good.context.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((good.context.span_id, good.sampled), (0xb7ad_6b71_6920_3331, true));
        let quiet =
            Parent::from_header("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").expect("sound");
        assert!(!quiet.sampled);
        for bad in ["", "00-xyz-1-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            assert_eq!(Parent::from_header(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_context_survives_the_wire_and_garbage_does_not() {
        let context = TraceContext::root();
        assert_eq!(TraceContext::from_wire(&context.to_wire()), Some(context));
        assert_eq!(context.child().trace_id, context.trace_id);
        assert_ne!(context.child().span_id, context.span_id);
        let short = v1::TraceContext { span_id: vec![1].into(), ..context.to_wire() };
        assert_eq!(TraceContext::from_wire(&short), None);
        assert_eq!(TraceContext::from_wire(&v1::TraceContext::default()), None);
    }
}

//! One write on its way through the cluster: what each node's flight recorder tells, put on the primary's clock.

use std::collections::BTreeMap;

use standfast_proto::v1::{BatchStages, Role, WriteTrace};

/// A look-up by seq, and the answers so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lookup {
    pub(crate) seq: u64,
    /// Addresses that were asked.
    pub(crate) asked: Vec<String>,
    /// What they said; an error says why nobody knows.
    pub(crate) answers: BTreeMap<String, Result<WriteTrace, String>>,
}

/// A part of the way, in nanoseconds after the first moment that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) node: String,
    pub(crate) stage: &'static str,
    pub(crate) from: i128,
    /// Absent = has not ended, was not seen, or has left the recorder.
    pub(crate) until: Option<i128>,
    /// How far off both may be, because they were taken from another clock. Absent = they were not.
    pub(crate) error_ns: Option<u64>,
}

/// A batch sent so long after the reply kept nobody waiting: a standby that came back is sent much again.
const RESENT_NS: u64 = 1_000_000_000;

/// How long a write took in each stage, in nanoseconds. Absent = has not ended, was not seen, or is forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stages {
    pub(crate) decide: Option<u64>,
    pub(crate) append: Option<u64>,
    /// From appended to sent to the slowest standby.
    pub(crate) send: Option<u64>,
    /// From received to applied, on the slowest standby.
    pub(crate) apply: Option<u64>,
    /// From sent to acknowledged, by the slowest standby.
    pub(crate) ack: Option<u64>,
    /// From the request to its reply.
    pub(crate) in_all: Option<u64>,
}

impl Lookup {
    /// How long it took where. No clocks are compared: each part is of one node.
    pub(crate) fn stages(&self) -> Stages {
        let Some(decider) = self.decider() else {
            return Stages { apply: self.applied(), ..Stages::default() };
        };
        let between = |from: Option<u64>, until: Option<u64>| until?.checked_sub(from?);
        let request = decider.request.as_ref();
        let replied = request.and_then(|r| r.replied_ns);
        let awaited = |batch: &&BatchStages| {
            replied.zip(batch.sent_ns).is_none_or(|(replied, sent)| sent <= replied.saturating_add(RESENT_NS))
        };
        let slowest = |time: &dyn Fn(&BatchStages) -> Option<u64>| {
            decider.batches.iter().filter(awaited).filter_map(time).max()
        };
        let appended = request.map(|r| r.appended_ns);
        Stages {
            decide: request.and_then(|r| between(Some(r.received_ns), Some(r.decided_ns))),
            append: request.and_then(|r| between(Some(r.decided_ns), Some(r.appended_ns))),
            send: slowest(&|batch| between(appended, batch.sent_ns)),
            apply: self.applied(),
            ack: slowest(&|batch| between(batch.sent_ns, batch.acked_ns)),
            in_all: request.and_then(|r| between(Some(r.received_ns), r.replied_ns)),
        }
    }

    fn applied(&self) -> Option<u64> {
        let batches = self.answers.values().flatten().flat_map(|trace| &trace.batches);
        batches.filter_map(|batch| batch.applied_ns?.checked_sub(batch.received_ns?)).max()
    }

    pub(crate) fn new(seq: u64, asked: Vec<String>) -> Self {
        Self { seq, asked, answers: BTreeMap::new() }
    }

    /// The answer of the node that decided the write, or that sent it on.
    pub(crate) fn decider(&self) -> Option<&WriteTrace> {
        let known = || self.answers.values().flatten();
        known()
            .find(|trace| trace.request.is_some())
            .or_else(|| known().find(|trace| trace.role() == Role::Primary))
    }

    /// The answer of that standby about itself.
    fn standby(&self, name: &str) -> Option<&BatchStages> {
        let own = self.answers.values().flatten().find(|trace| trace.node == name)?;
        own.batches.iter().find(|batch| batch.standby == name)
    }

    /// All parts that are known, in the order in which they begin.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let Some(decider) = self.decider() else { return Vec::new() };
        let mut spans = Vec::new();
        let here = |stage, from: u64, until: Option<u64>| Span {
            node: decider.node.clone(),
            stage,
            from: i128::from(from),
            until: until.map(i128::from),
            error_ns: None,
        };
        if let Some(request) = &decider.request {
            spans.push(here("decide", request.received_ns, Some(request.decided_ns)));
            spans.push(here("append", request.decided_ns, Some(request.appended_ns)));
            spans.push(here("wait for the commit", request.appended_ns, request.replied_ns));
        }
        for batch in &decider.batches {
            if let Some(sent) = batch.sent_ns {
                spans.push(here("sent and acked", sent, batch.acked_ns));
            }
            spans.extend(self.on_standby(decider, batch));
        }
        let first = spans.iter().map(|span| span.from).min().unwrap_or_default();
        for span in &mut spans {
            span.from -= first;
            span.until = span.until.map(|until| until - first);
        }
        spans.sort_by_key(|span| span.from);
        spans
    }

    /// What the standby did with the batch, on the decider's clock; unknown as long as the offset is.
    fn on_standby(&self, decider: &WriteTrace, batch: &BatchStages) -> Option<Span> {
        let own = self.standby(&batch.standby)?;
        let clock = decider.clocks.iter().find(|clock| clock.standby == batch.standby)?;
        let at = |ns: u64| i128::from(ns) - i128::from(clock.offset_ns);
        Some(Span {
            node: batch.standby.clone(),
            stage: "receive and apply",
            from: at(own.received_ns?),
            until: own.applied_ns.map(at),
            error_ns: Some(clock.error_ns),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use standfast_proto::v1::{ClockOffset, RequestStages};

    use super::*;

    pub(crate) fn lookup() -> Lookup {
        let batch = |sent, acked, received, applied| BatchStages {
            standby: "b".into(),
            first_seq: 7,
            last_seq: 9,
            sent_ns: sent,
            acked_ns: acked,
            received_ns: received,
            applied_ns: applied,
            ..BatchStages::default()
        };
        let a = WriteTrace {
            node: "a".into(),
            role: Role::Primary.into(),
            seq: 8,
            tail: 100,
            epoch: Some(1),
            op: Some("put_end".into()),
            key: Some(b"model/layer-7".to_vec().into()),
            request: Some(RequestStages {
                call: "put_end".into(),
                door: "grpc".into(),
                received_ns: 1_000_000,
                decided_ns: 1_010_000,
                appended_ns: 1_040_000,
                replied_ns: Some(1_900_000),
                ..RequestStages::default()
            }),
            batches: vec![batch(Some(1_100_000), Some(1_800_000), None, None)],
            clocks: vec![ClockOffset {
                standby: "b".into(),
                offset_ns: 50_000_000,
                error_ns: 40_000,
                ..ClockOffset::default()
            }],
            ..WriteTrace::default()
        };
        let b = WriteTrace {
            node: "b".into(),
            role: Role::Standby.into(),
            seq: 8,
            tail: 100,
            batches: vec![batch(None, None, Some(51_300_000), Some(51_500_000))],
            ..WriteTrace::default()
        };
        let mut lookup = Lookup::new(8, vec!["h:1".into(), "h:2".into()]);
        lookup.answers.insert("h:1".into(), Ok(a));
        lookup.answers.insert("h:2".into(), Ok(b));
        lookup
    }

    #[test]
    fn both_nodes_stages_stand_on_one_clock() {
        let spans = lookup().spans();
        let shown: Vec<(&str, &str, i128, Option<i128>)> =
            spans.iter().map(|span| (&*span.node, span.stage, span.from, span.until)).collect();
        assert_eq!(
            shown,
            [
                ("a", "decide", 0, Some(10_000)),
                ("a", "append", 10_000, Some(40_000)),
                ("a", "wait for the commit", 40_000, Some(900_000)),
                ("a", "sent and acked", 100_000, Some(800_000)),
                ("b", "receive and apply", 300_000, Some(500_000)),
            ]
        );
        assert_eq!(spans[4].error_ns, Some(40_000), "taken from another clock");
    }

    #[test]
    fn each_stage_is_timed_by_one_clock() {
        let stages = lookup().stages();
        assert_eq!((stages.decide, stages.append, stages.send), (Some(10_000), Some(30_000), Some(60_000)));
        assert_eq!((stages.apply, stages.ack, stages.in_all), (Some(200_000), Some(700_000), Some(900_000)));
        let mut waiting = lookup();
        waiting.answers.remove("h:2");
        if let Some(Ok(a)) = waiting.answers.get_mut("h:1") {
            a.request.as_mut().expect("has one").replied_ns = None;
        }
        assert_eq!((waiting.stages().apply, waiting.stages().in_all), (None, None), "unknown is no 0");
    }

    #[test]
    fn without_an_offset_a_standbys_time_means_nothing() {
        let mut unknown = lookup();
        if let Some(Ok(a)) = unknown.answers.get_mut("h:1") {
            a.clocks.clear();
        }
        assert!(unknown.spans().iter().all(|span| span.node == "a"));
        unknown.answers.remove("h:1");
        assert_eq!(unknown.spans(), [], "a standby alone does not know when it began");
    }
}

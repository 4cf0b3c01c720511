//! 7 Traces: the slowest writes; one by its seq, as a waterfall across the nodes.

use ratatui::text::Line;
use standfast_proto::v1::WriteTrace;

use super::parts::{heading, pair, role};
use super::{Drawn, Page, Scene};
use crate::bindings::Action;
use crate::format::{cut, nanos, width};
use crate::look::Tone;
use crate::page::plain;
use crate::time::rfc3339_us;
use crate::trace::{Lookup, Span};

/// Node and stage stand to the left of the bars.
const LABEL: usize = 24;
/// The duration stands to the right.
const TAIL: usize = 18;

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let lookup = scene.trace.map_or_else(Vec::new, |lookup| write(scene, lookup));
    let mut rows: Vec<Drawn> = plain(lookup).collect();
    rows.push(heading(scene, "SLOWEST WRITES").into());
    rows.extend(slowest(scene));
    Page { head: Vec::new(), rows }
}

fn say(scene: &Scene<'_>, tone: Tone, text: &str) -> Line<'static> {
    Line::from(scene.look.paint(tone, cut(text, scene.columns)))
}

/// Those that the nodes remember; one request is one row.
fn slowest(scene: &Scene<'_>) -> Vec<Drawn> {
    if scene.is_replay {
        return vec![say(scene, Tone::Label, "a recording holds no traces").into()];
    }
    let open = scene.keys.of(Action::Open);
    let hint = format!("{open} follows the selected write through the cluster, :trace SEQ any other.");
    let mut rows = vec![say(scene, Tone::Label, &hint).into()];
    rows.extend(plain(scene.slowest.complaints().iter().map(|text| say(scene, Tone::Warn, text))));
    let (header, writes) = super::oplog::writes(scene, &scene.slowest.writes());
    match (scene.slowest.is_known(), writes.is_empty()) {
        (false, _) => {
            rows.push(say(scene, Tone::Unknown, "? no node has told its slowest writes yet").into());
        }
        (true, true) => {
            rows.push(say(scene, Tone::Label, "no node remembers a write that was answered").into());
        }
        (true, false) => {
            rows.push(header);
            rows.extend(writes);
        }
    }
    rows
}

/// The write that was looked up.
fn write(scene: &Scene<'_>, lookup: &Lookup) -> Vec<Line<'static>> {
    let mut rows = vec![heading(scene, &format!("WRITE {}", lookup.seq))];
    rows.extend(about(scene, lookup));
    rows.push(Line::default());
    let spans = lookup.spans();
    if spans.is_empty() {
        let waiting = lookup.answers.len() < lookup.asked.len();
        let text = if waiting { "waiting for the nodes ..." } else { "no node has the stages of this write" };
        rows.push(say(scene, Tone::Unknown, text));
    }
    rows.extend(waterfall(scene, &spans));
    for addr in &lookup.asked {
        rows.push(match lookup.answers.get(addr) {
            None => say(scene, Tone::Unknown, &format!("{addr}  ? not answered yet")),
            Some(Err(why)) => say(scene, Tone::Warn, &format!("{addr}  {why}")),
            Some(Ok(trace)) => say(scene, Tone::Label, &format!("{addr}  {}", knows(trace))),
        });
    }
    rows.push(Line::default());
    rows
}

/// What the log says of the entry.
fn about(scene: &Scene<'_>, lookup: &Lookup) -> Vec<Line<'static>> {
    let known =
        |pick: &dyn Fn(&WriteTrace) -> Option<String>| lookup.answers.values().flatten().find_map(pick);
    let tone = |value: &Option<String>| if value.is_some() { Tone::Plain } else { Tone::Unknown };
    let piece = |label: &str, value: Option<String>| {
        let tone = tone(&value);
        pair(scene.look, label, value.unwrap_or_else(|| "?".to_owned()), tone)
    };
    let pieces = vec![
        piece("op", known(&|trace| trace.op.clone())),
        piece("epoch", known(&|trace| trace.epoch.map(|epoch| epoch.to_string()))),
        piece("key", known(&|trace| trace.key.as_ref().map(|key| super::parts::key(key, 40)))),
        piece("call", known(&|trace| trace.request.as_ref().map(|request| request.call.clone()))),
        piece("door", known(&|trace| trace.request.as_ref().map(|request| request.door.clone()))),
        piece("appended", known(&|trace| trace.appended_unix_us.map(rfc3339_us))),
        piece("trace id", known(&|trace| trace.request.as_ref()?.trace_id.clone())),
    ];
    super::parts::flow(pieces, scene.columns)
}

fn knows(trace: &WriteTrace) -> String {
    let request = if trace.request.is_some() { "decided it" } else { "did not decide it, or forgot" };
    let gone = if trace.seq >= trace.tail { ", has not assigned this seq yet" } else { "" };
    format!(
        "{} ({}): {request}; {} of its batches; tail {}{gone}",
        trace.node,
        role(trace.role()),
        trace.batches.len(),
        trace.tail
    )
}

fn waterfall(scene: &Scene<'_>, spans: &[Span]) -> Vec<Line<'static>> {
    let ends = spans.iter().filter_map(|span| span.until.or(Some(span.from)));
    let whole = ends.max().unwrap_or_default().max(1);
    let columns = scene.columns.saturating_sub(LABEL + TAIL + 2).max(8);
    let column = |ns: i128| ((ns.max(0) * columns as i128 / whole) as usize).min(columns - 1);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for span in spans {
        let label = cut(&format!("{} {}", span.node, span.stage), LABEL);
        let pad = " ".repeat(LABEL - width(&label));
        let from = column(span.from);
        let full = span.until.map_or(1, |until| column(until).saturating_sub(from).max(1));
        let bar = format!("{}{}", " ".repeat(from), scene.look.full().repeat(full));
        let took = span.until.map(|until| u64::try_from((until - span.from).max(0)).unwrap_or(u64::MAX));
        let error = span.error_ns.map_or(String::new(), |ns| format!(" +-{}", nanos(Some(ns))));
        let tone = if span.until.is_some() { Tone::Primary } else { Tone::Unknown };
        lines.push(Line::from(vec![
            scene.look.paint(Tone::Label, format!("{label}{pad}  ")),
            scene.look.paint(tone, format!("{bar:<columns$}")),
            scene.look.paint(Tone::Plain, format!(" {}{error}", nanos(took))),
        ]));
    }
    if !spans.is_empty() {
        let whole = u64::try_from(whole).ok();
        lines.push(Line::from(
            scene.look.paint(Tone::Label, format!("{:LABEL$}  in all {}", "", nanos(whole))),
        ));
    }
    lines
}

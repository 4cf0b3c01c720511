//! 7 Traces: one write by its seq, as a waterfall across the nodes.

use ratatui::text::Line;
use standfast_proto::v1::WriteTrace;

use super::parts::{heading, pair, role};
use super::{Page, Scene};
use crate::format::{cut, micros, number, width};
use crate::look::Tone;
use crate::time::rfc3339_us;
use crate::trace::{Lookup, Span};

/// Node and stage stand to the left of the bars.
const LABEL: usize = 24;
/// The duration stands to the right.
const TAIL: usize = 18;

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let say = |tone, text: String| Line::from(scene.look.paint(tone, cut(&text, scene.columns)));
    let Some(lookup) = scene.trace else {
        let rows = vec![
            say(
                Tone::Plain,
                "Type :trace SEQ to follow one write through the cluster, :trace for the newest.".to_owned(),
            ),
            say(
                Tone::Label,
                "Each node keeps the newest writes only; a seq may have left its recorder.".to_owned(),
            ),
        ];
        return Page { head: Vec::new(), rows };
    };
    let mut rows = vec![heading(scene, &format!("WRITE {}", lookup.seq))];
    rows.extend(about(scene, lookup));
    rows.push(Line::default());
    let spans = lookup.spans();
    if spans.is_empty() {
        let waiting = lookup.answers.len() < lookup.asked.len();
        let text = if waiting { "waiting for the nodes ..." } else { "no node has the stages of this write" };
        rows.push(say(Tone::Unknown, text.to_owned()));
    }
    rows.extend(waterfall(scene, &spans));
    rows.push(Line::default());
    rows.push(heading(scene, "WHO WAS ASKED"));
    for addr in &lookup.asked {
        rows.push(match lookup.answers.get(addr) {
            None => say(Tone::Unknown, format!("{addr}  ? not answered yet")),
            Some(Err(why)) => say(Tone::Warn, format!("{addr}  {why}")),
            Some(Ok(trace)) => say(Tone::Plain, format!("{addr}  {}", knows(trace))),
        });
    }
    Page { head: Vec::new(), rows }
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
        piece("key", known(&|trace| trace.key.as_ref().map(|key| cut(&String::from_utf8_lossy(key), 40)))),
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
        let took =
            span.until.map(|until| u64::try_from((until - span.from).max(0) / 1000).unwrap_or(u64::MAX));
        let error = span.error_ns.map_or(String::new(), |ns| format!(" +-{}", micros_fine(Some(ns / 1000))));
        let tone = if span.until.is_some() { Tone::Primary } else { Tone::Unknown };
        lines.push(Line::from(vec![
            scene.look.paint(Tone::Label, format!("{label}{pad}  ")),
            scene.look.paint(tone, format!("{bar:<columns$}")),
            scene.look.paint(Tone::Plain, format!(" {}{error}", micros_fine(took))),
        ]));
    }
    if !spans.is_empty() {
        let whole = u64::try_from(whole / 1000).ok();
        lines.push(Line::from(
            scene.look.paint(Tone::Label, format!("{:LABEL$}  in all {}", "", micros_fine(whole))),
        ));
    }
    lines
}

/// Microseconds where milliseconds would be 0.
fn micros_fine(us: Option<u64>) -> String {
    match us {
        Some(us @ 0..1000) => format!("{us} us"),
        us => {
            if us.is_some() {
                micros(us)
            } else {
                number(None)
            }
        }
    }
}

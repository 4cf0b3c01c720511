//! 8 Findings: what is wrong, since when, and what to do.

use ratatui::text::Line;

use super::{Page, Scene};
use crate::findings::{Found, findings};
use crate::format::wrap;
use crate::look::Tone;
use crate::time::clock_us;

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let found = findings(scene.frame, scene.history.before(scene.frame.at));
    let shown: Vec<&Found> =
        found.iter().filter(|f| scene.filter.shows(&format!("{} {} {}", f.node, f.code, f.text))).collect();
    let mut rows = Vec::new();
    for finding in &shown {
        rows.extend(lines(scene, finding));
    }
    if found.is_empty() {
        let (tone, text) = match scene.frame.fresh() {
            0 => (Tone::Unknown, "no node answers: nothing is known"),
            _ => (Tone::Ok, "nothing is known to be wrong"),
        };
        rows.push(Line::from(scene.look.paint(tone, format!("{} {text}", scene.look.mark(tone)))));
    } else if shown.is_empty() {
        rows.push(Line::from(scene.look.paint(Tone::Label, "the filter hides all of them")));
    }
    Page { head: Vec::new(), rows }
}

fn lines(scene: &Scene<'_>, finding: &Found) -> Vec<Line<'static>> {
    let tone = finding.tone();
    let since = match (finding.since_unix_us, scene.since.of(finding, scene.frame.at)) {
        (Some(us), _) => format!("since {}", clock_us(us)),
        (None, Some(at)) => format!("seen since {at}"),
        (None, None) => "since ?".to_owned(),
    };
    let about = if finding.node.is_empty() { "all" } else { &finding.node };
    let title = format!("{}  {}  {}  {since}", scene.look.badge(tone), finding.code, about);
    let mut lines = vec![Line::from(scene.look.paint(tone, crate::format::cut(&title, scene.columns)))];
    let room = scene.columns.saturating_sub(4);
    let indented = |tone, text: String| Line::from(scene.look.paint(tone, format!("    {text}")));
    lines.extend(wrap(&finding.text, room).into_iter().map(|text| indented(Tone::Plain, text)));
    if !finding.cure.is_empty() {
        let cure = format!("next: {}", finding.cure);
        lines.extend(wrap(&cure, room).into_iter().map(|text| indented(Tone::Focus, text)));
    }
    if !finding.runbook.is_empty() {
        lines.push(indented(Tone::Label, format!("page: standfast runbook {}", finding.runbook)));
    }
    lines.push(Line::default());
    lines
}

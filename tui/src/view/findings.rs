//! 8 Findings: what is wrong, since when, and what to do.

use ratatui::text::Line;

use super::{Drawn, Page, Scene};
use crate::bindings::Action;
use crate::findings::{Found, findings};
use crate::format::{cut, width, wrap};
use crate::look::Tone;
use crate::page::{Link, plain};
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
        rows.push(Line::from(scene.look.paint(tone, format!("{} {text}", scene.look.mark(tone)))).into());
    } else if shown.is_empty() {
        rows.push(Line::from(scene.look.paint(Tone::Label, "the filter hides all of them")).into());
    }
    Page { head: Vec::new(), rows }
}

fn lines(scene: &Scene<'_>, finding: &Found) -> Vec<Drawn> {
    let tone = finding.tone();
    let since = match (finding.since_unix_us, scene.since.of(finding, scene.frame.at)) {
        (Some(us), _) => format!("since {}", clock_us(us)),
        (None, Some(at)) => format!("seen since {at}"),
        (None, None) => "since ?".to_owned(),
    };
    let about = if finding.node.is_empty() { "all" } else { &finding.node };
    let title = format!("{}  {}  {}  {since}", scene.look.badge(tone), finding.code, about);
    let mut lines = vec![Line::from(scene.look.paint(tone, cut(&title, scene.columns)))];
    let room = scene.columns.saturating_sub(4);
    let indented = |tone, text: String| Line::from(scene.look.paint(tone, format!("    {text}")));
    lines.extend(wrap(&finding.text, room).into_iter().map(|text| indented(Tone::Plain, text)));
    if !finding.cure.is_empty() {
        let cure = format!("next: {}", finding.cure);
        lines.extend(wrap(&cure, room).into_iter().map(|text| indented(Tone::Focus, text)));
    }
    let mut drawn: Vec<Drawn> = plain(lines).collect();
    if !finding.runbook.is_empty() {
        let says = "    page: standfast runbook ";
        let at = width(says)..(width(says) + width(&finding.runbook)).min(scene.columns);
        let text = format!("{says}{}   {} shows it", finding.runbook, scene.keys.of(Action::Open));
        let line = Line::from(scene.look.paint(Tone::Label, cut(&text, scene.columns)));
        let link = (at.start < at.end).then(|| Link { at, runbook: finding.runbook.clone() });
        drawn.push(Drawn { link, ..line.into() });
    }
    for line in &mut drawn {
        line.about = Some(finding.about());
    }
    drawn.push(Drawn::default());
    drawn
}

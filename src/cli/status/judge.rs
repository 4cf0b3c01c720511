//! What is wrong with a cluster: the console's judgements on what a survey found.

use standfast_proto::v1::Severity;
pub(super) use standfast_tui::verdict;
use standfast_tui::{Found, Sighting, found, seem_to_differ};

use super::super::exit::Exit;
use super::super::text::wrap;
use super::Survey;

/// 3 when nobody answered, 1 when anything is wrong.
pub(super) fn exit(survey: &Survey, problems: &[Found]) -> Exit {
    if survey.answered().next().is_none() {
        Exit::Unreachable
    } else if problems.is_empty() {
        Exit::Ok
    } else {
        Exit::Bad
    }
}

/// Everything that is wrong with what answered, the worst first. `before` is an earlier survey of the same nodes.
pub(super) fn problems(survey: &Survey, before: Option<&Survey>) -> Vec<Found> {
    let before = before.map(sightings);
    let all = found(&sightings(survey), before.as_deref());
    all.into_iter().filter(|problem| problem.severity > Severity::Info).collect()
}

/// Whether two copies differ by this one survey.
pub(super) fn differ(survey: &Survey) -> bool {
    seem_to_differ(&sightings(survey))
}

/// A problem for people.
pub(super) fn lines(problem: &Found) -> Vec<String> {
    let mut lines = wrap(&format!("  ! {}", problem.sentence()), 4);
    if !problem.cure.is_empty() {
        lines.extend(wrap(&format!("    next: {}", problem.cure), 6));
    }
    lines
}

fn sightings(survey: &Survey) -> Vec<Sighting> {
    survey.nodes.iter().map(super::Seen::sighting).collect()
}

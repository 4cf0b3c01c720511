//! The dialog of an act: what would happen, the name to type, what came of it.

use ratatui::text::{Line, Span};
use standfast_proto::v1::{Reason, Role};

use super::Scene;
use super::parts::heading;
use crate::act::{Act, Forecast, Stage};
use crate::bindings::Action;
use crate::deed::{Deed, Fault};
use crate::format::{bytes, millis, number, seconds, wrap};
use crate::frame::Node;
use crate::judge::{answers, automation};
use crate::look::Tone;
use crate::msg::Outcome;

pub(super) fn lines(scene: &Scene<'_>, act: &Act) -> Vec<Line<'static>> {
    let mut lines = vec![heading(scene, &act.deed.title(&act.target)), Line::default()];
    let say = |tone, text: &str| paragraph(scene, tone, text);
    match &act.stage {
        Stage::Choosing { names, at } => {
            lines.extend(say(Tone::Plain, "Which one? Up and Down choose, Enter takes it."));
            for (nr, name) in names.iter().enumerate() {
                let tone = if nr == *at { Tone::Focus } else { Tone::Plain };
                lines.push(Line::from(scene.look.paint(tone, format!("  {name}  "))));
            }
        }
        Stage::Asking => {
            lines.extend(say(Tone::Label, "Dry run: the nodes are asked what would happen ..."));
        }
        Stage::Confirm { forecast, typed, wrong } => {
            lines.extend(forecast_lines(scene, act, forecast.as_deref()));
            lines.push(Line::default());
            lines.extend(confirm(scene, act, typed, *wrong));
        }
        Stage::Acting => {
            lines.extend(say(Tone::Warn, "Under way. The answer comes when the node is done ..."));
        }
        Stage::Ended(outcome) => lines.extend(ended(scene, act, outcome)),
    }
    lines
}

fn paragraph(scene: &Scene<'_>, tone: Tone, text: &str) -> Vec<Line<'static>> {
    wrap(text, scene.columns).into_iter().map(|text| Line::from(scene.look.paint(tone, text))).collect()
}

/// What would happen: by the dry run, else by what is known.
fn forecast_lines(scene: &Scene<'_>, act: &Act, forecast: Option<&Forecast>) -> Vec<Line<'static>> {
    match act.deed {
        Deed::Failover => plan_lines(scene, act, forecast),
        Deed::Switchover => switchover_lines(scene, act, forecast),
        Deed::Drill(fault) => drill_lines(scene, act, fault, forecast),
        Deed::Detach => detach_lines(scene, act),
        Deed::Repair => repair_lines(scene, act),
        Deed::Pause | Deed::Resume => automation_lines(scene, act),
        Deed::Corrupt => corrupt_lines(scene, act),
    }
}

const LABEL: usize = 22;

fn row(scene: &Scene<'_>, label: &str, value: String, tone: Tone) -> Line<'static> {
    Line::from(vec![
        scene.look.paint(Tone::Label, format!("  {label:<LABEL$}")),
        scene.look.paint(tone, value),
    ])
}

fn would_lose(scene: &Scene<'_>, keys: Option<u64>) -> Line<'static> {
    let tone = if keys == Some(0) { Tone::Ok } else { Tone::Warn };
    row(scene, "WOULD LOSE", format!("{} keys", number(keys)), tone)
}

fn accepted(scene: &Scene<'_>) -> Vec<Line<'static>> {
    paragraph(scene, Tone::Ok, "DRY RUN accepted: nothing was changed.")
}

/// What the dry run of a promotion said, and what would be lost.
fn promotion(scene: &Scene<'_>, name: &str, forecast: Option<&Forecast>) -> Vec<Line<'static>> {
    let plan = forecast.and_then(|forecast| forecast.plan).unwrap_or_default();
    let loss = plan.loss.unwrap_or_default();
    let answers = answers(scene.frame);
    // Of that which was acknowledged, by the same judgement as on the first screen.
    let about = answers.target.as_deref() == Some(name);
    let keys = loss.keys.or(answers.lose_keys.filter(|_| about));
    let mut lines = accepted(scene);
    let serve =
        format!("{} keys in {} segments, {}", number(plan.keys), number(plan.segments), bytes(plan.bytes));
    lines.push(row(scene, "would serve", serve, Tone::Plain));
    lines.push(row(scene, "going on from", number(plan.applied), Tone::Plain));
    lines.push(row(scene, "first reply after", millis(plan.serve_in_ms), Tone::Plain));
    lines.push(row(scene, "reuses nothing for", millis(plan.hold_ms), Tone::Plain));
    lines.push(would_lose(scene, keys));
    let lacks = format!("{} entries, {}", number(loss.entries), seconds(loss.age_us));
    lines.push(row(scene, "lacks, as last told", lacks, Tone::Plain));
    lines
}

fn plan_lines(scene: &Scene<'_>, act: &Act, forecast: Option<&Forecast>) -> Vec<Line<'static>> {
    let mut lines = promotion(scene, &act.target, forecast);
    let caveat = match scene.frame.primary() {
        Some(primary) if primary.is_fresh(scene.frame.at) => {
            format!(
                "{} still answers: {} makes it hand over, with a shorter outage.",
                primary.name(),
                scene.keys.of(Action::Deed(Deed::Switchover)),
            )
        }
        Some(_) => format!(
            "The primary does not answer. If {0} was detached, or another node promoted, while {0} could not be reached, \
             it cannot know that: then do not promote it.",
            act.target
        ),
        None => return lines,
    };
    lines.extend(paragraph(scene, Tone::Warn, &caveat));
    lines
}

fn switchover_lines(scene: &Scene<'_>, act: &Act, forecast: Option<&Forecast>) -> Vec<Line<'static>> {
    let to = forecast.and_then(|forecast| forecast.to.as_deref()).unwrap_or(&act.target);
    let from = scene.frame.primary().map_or("?", Node::name);
    let store = scene.frame.find(to).and_then(Node::status).and_then(|status| status.store.as_ref());
    let mut lines = accepted(scene);
    lines.push(row(scene, "hands over", format!("{from} {} {to}", scene.look.arrow()), Tone::Plain));
    lines.push(row(scene, "would serve", format!("{} keys", number(store.map(|s| s.objects))), Tone::Plain));
    // It waits until the target holds everything, in async mode too.
    lines.push(would_lose(scene, Some(0)));
    lines.extend(paragraph(
        scene,
        Tone::Plain,
        "No write is let in until the target holds everything; if that takes too long, nothing changes.",
    ));
    lines
}

fn drill_lines(
    scene: &Scene<'_>,
    act: &Act,
    fault: Fault,
    forecast: Option<&Forecast>,
) -> Vec<Line<'static>> {
    let does = match fault {
        Fault::Kill => "is killed with SIGKILL; this drill does not start it again",
        Fault::Stop => "is stopped for 5 s, then goes on",
        Fault::Partition => "is cut off from everybody for 5 s",
    };
    let leads = scene.frame.find(&act.target).is_some_and(|node| node.role() == Role::Primary);
    let answers = answers(scene.frame);
    let mut lines = match (&answers.target, forecast) {
        (Some(to), Some(_)) => {
            let mut lines = promotion(scene, to, forecast);
            lines.push(row(scene, "takes over", to.clone(), Tone::Plain));
            lines
        }
        _ => Vec::new(),
    };
    let role = if leads { "The primary" } else { "The standby" };
    lines.extend(paragraph(
        scene,
        Tone::Warn,
        &format!(
            "{role} {} {does}. A client measures the outage, and the history says that it was a drill.",
            act.target
        ),
    ));
    lines
}

/// What is known to differ on the node.
fn repair_lines(scene: &Scene<'_>, act: &Act) -> Vec<Line<'static>> {
    let status = scene.frame.find(&act.target).and_then(Node::status);
    let known = status.and_then(|status| status.verification.as_ref());
    let count = |value: Option<u64>| {
        let tone = if value.is_some_and(|n| n > 0) { Tone::Crit } else { Tone::Plain };
        (number(value), tone)
    };
    let mut lines = Vec::new();
    for (label, value) in [
        ("keys that differ", known.and_then(|v| v.mismatched_keys)),
        ("homes that differ", known.and_then(|v| v.homes_unequal)),
    ] {
        let (text, tone) = count(value);
        lines.push(row(scene, label, text, tone));
    }
    lines.push(would_lose(scene, Some(0)));
    let text =
        format!("What differs on {} is overwritten from the primary, which is not changed.", act.target);
    lines.extend(paragraph(scene, Tone::Plain, &text));
    lines
}

/// What a pause means, and how automatic failover stands now.
fn automation_lines(scene: &Scene<'_>, act: &Act) -> Vec<Line<'static>> {
    let now = automation(scene.frame);
    let (text, tone) = match now {
        None => ("?".to_owned(), Tone::Unknown),
        Some(now) if now.suspended => (format!("suspended: {}", now.reason), Tone::Warn),
        Some(_) => ("on".to_owned(), Tone::Ok),
    };
    let mut lines = vec![row(scene, "automatic failover", text, tone)];
    if let Some(now) = now {
        let limit = if now.limit == 0 { "no limit".to_owned() } else { format!("a limit of {}", now.limit) };
        lines.push(row(scene, "not acknowledged", format!("{}, {limit}", now.recent), Tone::Plain));
    }
    let (text, tone) = match act.deed {
        Deed::Pause => (
            "No standby takes over by itself for an hour: if the primary dies, nobody serves until you act.",
            Tone::Warn,
        ),
        _ => (
            "Standbys take over by themselves again; the automatic failovers so far are acknowledged.",
            Tone::Plain,
        ),
    };
    lines.extend(paragraph(scene, tone, text));
    lines
}

fn corrupt_lines(scene: &Scene<'_>, act: &Act) -> Vec<Line<'static>> {
    let text = format!(
        "A bit of one object flips in {}'s memory, behind the back of its digest. Verification finds it when it counts \
         anew: the standby is then not promotable until {} repairs it.",
        act.target,
        scene.keys.of(Action::Deed(Deed::Repair)),
    );
    paragraph(scene, Tone::Warn, &text)
}

fn detach_lines(scene: &Scene<'_>, act: &Act) -> Vec<Line<'static>> {
    let in_sync = scene.frame.primary().and_then(|node| node.status()?.in_sync.as_ref());
    let rest: Vec<&str> = in_sync
        .into_iter()
        .flat_map(|set| &set.members)
        .map(|member| &*member.node)
        .filter(|name| *name != act.target)
        .collect();
    let known = in_sync.is_some();
    let mut lines = paragraph(
        scene,
        Tone::Plain,
        &format!("Writes no longer wait for {0}. You state that {0} will not be promoted.", act.target),
    );
    let left = if known { rest.join(", ") } else { "?".to_owned() };
    lines.extend(paragraph(scene, Tone::Plain, &format!("In-sync set afterwards: {left}.")));
    if known && rest.len() <= 1 {
        let text = "No other copy is in sync then: a crash of the primary would lose everything.";
        lines.extend(paragraph(scene, Tone::Crit, text));
    }
    lines
}

fn confirm(scene: &Scene<'_>, act: &Act, typed: &str, wrong: bool) -> Vec<Line<'static>> {
    let ask = format!("Type the cluster's name ({}) and Enter to go on, Esc to leave:", act.cluster);
    let mut lines = paragraph(scene, Tone::Title, &ask);
    lines.push(Line::from(vec![Span::raw("  > "), scene.look.paint(Tone::Focus, format!("{typed}_"))]));
    if wrong {
        let text = format!("`{typed}` is not the name: expected `{}`. Nothing was changed.", act.cluster);
        lines.extend(paragraph(scene, Tone::Crit, &text));
    }
    lines
}

fn ended(scene: &Scene<'_>, act: &Act, outcome: &Outcome) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    match outcome {
        Outcome::Done(said) => {
            for (nr, text) in said.iter().enumerate() {
                lines.extend(paragraph(scene, if nr == 0 { Tone::Ok } else { Tone::Plain }, text));
            }
        }
        Outcome::Refused(reasons) => {
            lines.extend(paragraph(
                scene,
                Tone::Crit,
                &format!("{} REFUSED: nothing was changed.", act.deed.word()),
            ));
            for Reason { code, text, cure } in reasons {
                lines.extend(paragraph(scene, Tone::Plain, &format!("{code}: {text}")));
                if !cure.is_empty() {
                    lines.extend(paragraph(scene, Tone::Focus, &format!("next: {cure}")));
                }
            }
        }
        Outcome::Unknown { why, cure } => {
            lines.extend(paragraph(scene, Tone::Crit, &format!("UNKNOWN whether it took effect: {why}")));
            lines.extend(paragraph(scene, Tone::Focus, &format!("next: {cure}")));
        }
    }
    lines.push(Line::default());
    lines.extend(paragraph(scene, Tone::Label, &format!("reason given: {}", act.reason)));
    lines.extend(paragraph(scene, Tone::Label, "Enter or Esc closes this."));
    lines
}

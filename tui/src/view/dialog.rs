//! The dialog of an act: what would happen, the name to type, what came of it.

use ratatui::text::{Line, Span};
use standfast_proto::v1::{PromotionPlan, Reason};

use super::Scene;
use super::parts::heading;
use crate::act::{Act, Deed, Stage};
use crate::format::{bytes, millis, number, seconds, wrap};
use crate::judge::answers;
use crate::look::Tone;
use crate::msg::Outcome;

pub(super) fn lines(scene: &Scene<'_>, act: &Act) -> Vec<Line<'static>> {
    let title = match act.deed {
        Deed::Failover => format!("FAIL OVER to {}", act.target),
        Deed::Detach => format!("DETACH {}", act.target),
    };
    let mut lines = vec![heading(scene, &title), Line::default()];
    let say = |tone, text: &str| paragraph(scene, tone, text);
    match &act.stage {
        Stage::Choosing { names, at } => {
            lines.extend(say(Tone::Plain, "Which standby? Up and Down choose, Enter takes it."));
            for (nr, name) in names.iter().enumerate() {
                let tone = if nr == *at { Tone::Focus } else { Tone::Plain };
                lines.push(Line::from(scene.look.paint(tone, format!("  {name}  "))));
            }
        }
        Stage::Asking => {
            lines.extend(say(Tone::Label, "Dry run: the node is asked what a promotion would do ..."));
        }
        Stage::Confirm { plan, typed, wrong } => {
            match act.deed {
                Deed::Failover => lines.extend(plan_lines(scene, act, plan.as_ref())),
                Deed::Detach => lines.extend(detach_lines(scene, act)),
            }
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

/// What the dry run said, and what would be lost.
fn plan_lines(scene: &Scene<'_>, act: &Act, plan: Option<&PromotionPlan>) -> Vec<Line<'static>> {
    let plan = plan.copied().unwrap_or_default();
    let loss = plan.loss.unwrap_or_default();
    let answers = answers(scene.frame);
    // Of that which was acknowledged, by the same judgement as on the first screen.
    let about = answers.target.as_deref() == Some(&*act.target);
    let keys = loss.keys.or(answers.lose_keys.filter(|_| about));
    let mut lines = paragraph(scene, Tone::Ok, "DRY RUN accepted: nothing was changed.");
    let row = |label: &str, value: String, tone| {
        Line::from(vec![
            scene.look.paint(Tone::Label, format!("  {label:<22}")),
            scene.look.paint(tone, value),
        ])
    };
    lines.push(row(
        "would serve",
        format!("{} keys in {} segments, {}", number(plan.keys), number(plan.segments), bytes(plan.bytes)),
        Tone::Plain,
    ));
    lines.push(row("going on from", number(plan.applied), Tone::Plain));
    lines.push(row("first reply after", millis(plan.serve_in_ms), Tone::Plain));
    lines.push(row("reuses nothing for", millis(plan.hold_ms), Tone::Plain));
    let tone = if keys == Some(0) { Tone::Ok } else { Tone::Warn };
    lines.push(row("WOULD LOSE", format!("{} keys", number(keys)), tone));
    lines.push(row(
        "lacks, as last told",
        format!("{} entries, {}", number(loss.entries), seconds(loss.age_us)),
        Tone::Plain,
    ));
    if scene.frame.primary().is_some_and(|primary| !primary.is_fresh(scene.frame.at)) {
        let caveat = format!(
            "The primary does not answer. If {0} was detached, or another node promoted, while {0} could not be reached, \
             it cannot know that: then do not promote it.",
            act.target
        );
        lines.extend(paragraph(scene, Tone::Warn, &caveat));
    }
    lines
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
        Outcome::Promoted(reply) => {
            let text = format!("{} is the primary of epoch {}.", act.target, number(reply.epoch));
            lines.extend(paragraph(scene, Tone::Ok, &text));
            lines.extend(paragraph(scene, Tone::Plain, "View 5 has its row: phases, outage, loss."));
        }
        Outcome::Detached(reply) => {
            let members = reply.in_sync.iter().flat_map(|set| &set.members);
            let names: Vec<&str> = members.map(|member| &*member.node).collect();
            let told = if reply.told { "has been told" } else { "could not be told" };
            let text = format!("{} is detached and {told}. In sync: {}.", act.target, names.join(", "));
            lines.extend(paragraph(scene, Tone::Ok, &text));
        }
        Outcome::Refused(reasons) => {
            lines.extend(paragraph(
                scene,
                Tone::Crit,
                &format!("REFUSED: nothing was changed. {}", act.deed.word()),
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

//! What is wrong with a cluster, and what would cure it.

use standfast_proto::v1::{LinkState, NodeStatus, Peer, Rehearsal, Role, Severity, StreamState, Verdict};

use super::super::exit::Exit;
use super::super::text::{number, wrap};
use super::{Seen, Survey};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Problem {
    pub(in crate::cli) text: String,
    /// The next command to type. Empty = none is known.
    pub(in crate::cli) cure: String,
}

impl Problem {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), cure: String::new() }
    }

    fn cure(self, cure: impl Into<String>) -> Self {
        Self { cure: cure.into(), ..self }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = wrap(&format!("  ! {}", self.text), 4);
        if !self.cure.is_empty() {
            lines.extend(wrap(&format!("    next: {}", self.cure), 6));
        }
        lines
    }
}

/// 3 when nobody answered, 1 when anything is wrong.
pub(super) fn exit(survey: &Survey, problems: &[Problem]) -> Exit {
    if survey.answered().next().is_none() {
        Exit::Unreachable
    } else if problems.is_empty() {
        Exit::Ok
    } else {
        Exit::Bad
    }
}

/// Everything that is wrong with what answered, the worst first. `before` is an earlier survey of the same nodes.
pub(super) fn problems(survey: &Survey, before: Option<&Survey>) -> Vec<Problem> {
    let mut problems = leadership(survey);
    for (seen, status) in survey.answered() {
        match seen.role() {
            Role::Primary => primary(seen, status, &mut problems),
            Role::Standby | Role::Candidate => standby(seen, status, &mut problems),
            Role::Offline | Role::Unspecified => {
                problems.push(Problem::new(format!("{} neither leads nor follows", seen.name())));
            }
        }
        common(seen, status, &mut problems);
    }
    digests(survey, before, &mut problems);
    for seen in &survey.nodes {
        if let Err(why) = &seen.answer {
            problems.push(Problem::new(format!("{} does not answer: {why}", seen.addr)));
        }
    }
    problems
}

fn leadership(survey: &Survey) -> Vec<Problem> {
    let primaries: Vec<&Seen> = survey.nodes.iter().filter(|seen| seen.role() == Role::Primary).collect();
    match primaries[..] {
        [_] => Vec::new(),
        [] if survey.answered().next().is_none() => Vec::new(),
        [] => {
            // A copy of an earlier epoch lacks what later primaries acknowledged.
            let epoch =
                |status: &NodeStatus| status.leadership.as_ref().and_then(|l| l.max_epoch.max(l.epoch));
            let newest = survey.answered().filter_map(|(_, s)| epoch(s)).max();
            let ready = survey.answered().find(|(_, s)| verdict(s) == Verdict::Yes && epoch(s) >= newest);
            let problem = Problem::new("no primary answers: nobody serves");
            vec![match ready {
                Some((seen, _)) => {
                    let name = seen.name();
                    problem.cure(format!(
                        "standfast failover --to {name} --connect {} (unless {name} was detached, or another node \
                         promoted, while it could not be reached: that it cannot know)",
                        seen.addr
                    ))
                }
                None => problem,
            }]
        }
        _ => {
            let epoch = |seen: &Seen| number(seen.status().and_then(|s| s.leadership.as_ref()?.epoch));
            let names: Vec<String> =
                primaries.iter().map(|seen| format!("{} (epoch {})", seen.name(), epoch(seen))).collect();
            vec![Problem::new(format!(
                "{} primaries answer: {}; the highest epoch rules, stop the others",
                names.len(),
                names.join(", ")
            ))]
        }
    }
}

fn primary(seen: &Seen, status: &NodeStatus, problems: &mut Vec<Problem>) {
    for peer in &status.standbys {
        if let Some(text) = not_following(peer) {
            problems.push(Problem::new(text));
        }
    }
    if status.leadership.as_ref().and_then(|l| l.crash_loses_all) == Some(true) {
        let text = format!("no other copy is in sync: a crash of {} now loses everything", seen.name());
        let identity = status.identity.as_ref();
        let cluster = identity.map_or("CLUSTER", |identity| &identity.cluster);
        let cure = format!(
            "standfast serve --node NAME --cluster {cluster} --role standby --peer {} --grpc HOST:PORT",
            seen.addr
        );
        problems.push(Problem::new(text).cure(cure));
    }
    if let Some(rights) = status.rights.as_ref().filter(|rights| !rights.may_answer) {
        problems.push(Problem::new(format!("{} may not answer now: {}", seen.name(), rights.reason)));
    }
}

/// Why a standby does not count, as its primary sees it.
fn not_following(peer: &Peer) -> Option<String> {
    let because = peer.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let problem = if peer.link() != LinkState::Up {
        format!("is not connected{because}")
    } else if peer.stream() != StreamState::Streaming {
        format!("is connected but does not stream{because}")
    } else if peer.silent {
        format!("is on record but silent{because}")
    } else if !peer.in_sync {
        format!("streams but is not in sync{because}")
    } else {
        return None;
    };
    Some(format!("standby {} {problem}", peer.node))
}

fn standby(seen: &Seen, status: &NodeStatus, problems: &mut Vec<Problem>) {
    if verdict(status) == Verdict::Yes {
        return;
    }
    let reasons = status.rehearsal.as_ref().map(|r| &r.reasons[..]).unwrap_or_default();
    if reasons.is_empty() {
        let word = if verdict(status) == Verdict::No {
            "is not promotable"
        } else {
            "may not be promotable: unknown"
        };
        problems.push(Problem::new(format!("{} {word}", seen.name())));
    }
    for reason in reasons {
        let text = format!("{} is not promotable: {}", seen.name(), reason.text);
        problems.push(Problem::new(text).cure(&*reason.cure));
    }
}

fn common(seen: &Seen, status: &NodeStatus, problems: &mut Vec<Problem>) {
    if let Some(quarantine) = status.quarantine.as_ref().filter(|q| q.count > 0) {
        let first =
            quarantine.entries.first().map_or(String::new(), |e| format!(": entry {}, {}", e.seq, e.text));
        problems.push(Problem::new(format!(
            "{} has set aside {} entries{first}",
            seen.name(),
            quarantine.count
        )));
    }
    for finding in status.findings.iter().filter(|finding| finding.severity() > Severity::Info) {
        problems.push(Problem::new(format!("{}: {}", seen.name(), finding.text)).cure(&*finding.cure));
    }
}

/// Digests are comparable at equal positions only; elsewhere nothing is known. While entries are applied a node reads
/// its homes one after the other, so a difference counts only between copies that have stood still since `before`.
fn digests(survey: &Survey, before: Option<&Survey>, problems: &mut Vec<Problem>) {
    for (a, b, at) in differing(survey) {
        let stood_still = |seen: &Seen| {
            let was = before.and_then(|before| before.nodes.iter().find(|was| was.addr == seen.addr));
            was.and_then(reading).is_some_and(|was| Some(was) == reading(seen))
        };
        if stood_still(a) && stood_still(b) {
            let text = format!("{} and {} differ at position {at}", a.name(), b.name());
            problems.push(Problem::new(text));
        }
    }
}

/// Position, digest, and whether that was computed from scratch.
fn reading(seen: &Seen) -> Option<(u64, &str, bool)> {
    let store = seen.status()?.store.as_ref()?;
    let digest = store.recount.as_ref().or(store.digest.as_ref())?;
    Some((store.digest_at?, digest, store.recount.is_some()))
}

/// Pairs of copies whose digests differ at one position, by one reading.
pub(super) fn differing(survey: &Survey) -> Vec<(&Seen, &Seen, u64)> {
    let all: Vec<_> = survey.nodes.iter().filter_map(|seen| Some((seen, reading(seen)?))).collect();
    let mut pairs = Vec::new();
    for (i, (a, (at, digest, scratch))) in all.iter().enumerate() {
        for (b, (other_at, other, other_scratch)) in &all[i + 1..] {
            if at == other_at && scratch == other_scratch && digest != other {
                pairs.push((*a, *b, *at));
            }
        }
    }
    pairs
}

/// Whether the node could be promoted.
pub(super) fn verdict(status: &NodeStatus) -> Verdict {
    status.rehearsal.as_ref().map_or(Verdict::Unknown, Rehearsal::verdict)
}

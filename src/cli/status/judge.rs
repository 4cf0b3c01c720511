//! What is wrong with a cluster, and what would cure it.

use standfast_proto::v1::{LinkState, NodeStatus, Peer, Role, Severity, StreamState, Verdict};

use super::super::exit::Exit;
use super::super::text::{number, wrap};
use super::{Seen, Survey};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) text: String,
    /// The next command to type. Empty = none is known.
    pub(super) cure: String,
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

/// Everything that is wrong with what answered, the worst first.
pub(super) fn problems(survey: &Survey) -> Vec<Problem> {
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
    digests(survey, &mut problems);
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
            let ready = survey.answered().find(|(_, s)| verdict(s) == Verdict::Yes);
            let problem = Problem::new("no primary answers: nobody serves");
            vec![match ready {
                Some((seen, _)) => {
                    problem.cure(format!("standfast failover --to {} --connect {}", seen.name(), seen.addr))
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
        problems.push(Problem::new(text).cure("standfast serve --role standby --help"));
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
        let word = if verdict(status) == Verdict::No { "is not promotable" } else { "may not be promotable: unknown" };
        problems.push(Problem::new(format!("{} {word}", seen.name())));
    }
    for reason in reasons {
        let text = format!("{} is not promotable: {}", seen.name(), reason.text);
        problems.push(Problem::new(text).cure(&*reason.cure));
    }
}

fn common(seen: &Seen, status: &NodeStatus, problems: &mut Vec<Problem>) {
    if let Some(quarantine) = status.quarantine.as_ref().filter(|q| q.count > 0) {
        let first = quarantine.entries.first().map_or(String::new(), |e| format!(": entry {}, {}", e.seq, e.text));
        problems.push(Problem::new(format!("{} has set aside {} entries{first}", seen.name(), quarantine.count)));
    }
    if let Some(store) = &status.store
        && let (Some(digest), Some(recount)) = (&store.digest, &store.recount)
        && digest != recount
    {
        let text = format!("{}'s digest {digest} is not what a recount gives, {recount}", seen.name());
        problems.push(Problem::new(text));
    }
    for finding in status.findings.iter().filter(|finding| finding.severity() > Severity::Info) {
        problems.push(Problem::new(format!("{}: {}", seen.name(), finding.text)).cure(&*finding.cure));
    }
}

/// Digests are comparable at equal positions only; elsewhere nothing is known.
fn digests(survey: &Survey, problems: &mut Vec<Problem>) {
    let known = |status: &NodeStatus| {
        let store = status.store.as_ref()?;
        let digest = store.recount.as_ref().or(store.digest.as_ref())?;
        Some((store.digest_at?, digest.clone(), store.recount.is_some()))
    };
    let all: Vec<_> = survey.answered().filter_map(|(seen, status)| Some((seen, known(status)?))).collect();
    for (i, (a, (at, digest, recounted))) in all.iter().enumerate() {
        for (b, (other_at, other, other_recounted)) in &all[i + 1..] {
            if at == other_at && recounted == other_recounted && digest != other {
                let text = format!("{} and {} differ at position {at}", a.name(), b.name());
                problems.push(Problem::new(text));
            }
        }
    }
}

/// Whether the node could be promoted.
pub(super) fn verdict(status: &NodeStatus) -> Verdict {
    status.rehearsal.as_ref().map_or(Verdict::Unknown, |rehearsal| rehearsal.verdict())
}

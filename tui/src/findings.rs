//! What is wrong: what nodes report of themselves, and what only somebody sees who looks at all of them.

use std::collections::BTreeMap;

use standfast_proto::v1::{LinkState, NodeStatus, Peer, Role, Severity, StreamState, Verdict};

use crate::format::{millis, number};
use crate::frame::{Frame, Link, Node};
use crate::judge::{newest_epoch, verdict};
use crate::look::Tone;
use crate::page::About;
use crate::time::Time;

/// Pages of the runbook, by the code of a finding that does not name one itself.
pub const PAGES: &[(&str, &str)] = &[
    ("certificate_ended", "CertificateExpires"),
    ("certificate_ends", "CertificateExpires"),
    ("coordinator", "ArbiterDown"),
    ("crash_loses_all", "InSyncSetSmall"),
    ("digests_differ", "VerifyMismatch"),
    ("flapping", "FailoverStopped"),
    ("items_differ", "VerifyMismatch"),
    ("may_not_answer", "PrimaryMayNotAnswer"),
    ("no_answer", "TargetDown"),
    ("no_primary", "NoPrimary"),
    ("not_connected", "StandbyNotPromotable"),
    ("not_in_sync", "StandbyNotPromotable"),
    ("not_promotable", "StandbyNotPromotable"),
    ("not_streaming", "ReplicationStalled"),
    ("paused", "PausedTooLong"),
    ("quarantine", "QuarantinedEntries"),
    ("segments_differ", "VerifyMismatch"),
    ("silent", "StandbyNotPromotable"),
    ("stale_proof", "VerifyStale"),
    ("two_primaries", "TwoPrimaries"),
    ("version", "VersionSkew"),
];

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The node that it is about; empty when it is about all.
    pub node: String,
    /// A stable word.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What: goes on after the node's name.
    pub text: String,
    /// By the node's wall clock. Absent = see `Since`.
    pub since_unix_us: Option<i64>,
    /// The next command to type. Empty = none is known.
    pub cure: String,
    /// Name of a page. Empty = none.
    pub runbook: String,
}

impl Found {
    fn new(node: &str, code: &str, severity: Severity, text: impl Into<String>) -> Self {
        Self {
            node: node.to_owned(),
            code: code.to_owned(),
            severity,
            text: text.into(),
            since_unix_us: None,
            cure: String::new(),
            runbook: page(code),
        }
    }

    fn cure(self, cure: impl Into<String>) -> Self {
        Self { cure: cure.into(), ..self }
    }

    /// The whole sentence, with the node that it is about.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.node.is_empty() { self.text.clone() } else { format!("{}: {}", self.node, self.text) }
    }

    /// What can be selected of it.
    pub(crate) fn about(&self) -> About {
        let Self { node, code, runbook, .. } = self.clone();
        About::Finding { node, code, runbook }
    }

    pub(crate) fn tone(&self) -> Tone {
        tone(self.severity)
    }
}

fn page(code: &str) -> String {
    PAGES.iter().find(|(of, _)| *of == code).map_or(String::new(), |(_, page)| (*page).to_owned())
}

/// How a severity looks.
pub(crate) fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical => Tone::Crit,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Plain,
        Severity::Unspecified => Tone::Unknown,
    }
}

/// Since when the console has seen each finding that is there now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Since(BTreeMap<(String, String), Time>);

impl Since {
    /// Takes in what is wrong now; what has gone is forgotten.
    pub(crate) fn note(&mut self, found: &[Found], now: Time) {
        let known = std::mem::take(&mut self.0);
        for finding in found {
            let key = (finding.node.clone(), finding.code.clone());
            let at = known.get(&key).copied().unwrap_or(now);
            self.0.insert(key, at);
        }
    }

    /// When the console first saw it, unless that is after `now`.
    pub(crate) fn of(&self, found: &Found, now: Time) -> Option<Time> {
        self.0.get(&(found.node.clone(), found.code.clone())).copied().filter(|at| *at <= now)
    }
}

/// Everything that is wrong in `frame`, the worst first. `before` is an earlier frame.
pub(crate) fn findings(frame: &Frame, before: Option<&Frame>) -> Vec<Found> {
    let mut found = leadership(frame);
    for node in &frame.nodes {
        match (node.status(), node.is_fresh(frame.at)) {
            (Some(status), true) => of_node(node, status, &mut found),
            _ => found.extend(silent(node, frame.at)),
        }
    }
    found.extend(before.into_iter().flat_map(|before| differing(frame, before)));
    let mut all: Vec<Found> = Vec::new();
    for finding in found {
        let known = |other: &Found| other.node == finding.node && other.code == finding.code;
        if !all.iter().any(known) {
            all.push(finding);
        }
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

fn leadership(frame: &Frame) -> Vec<Found> {
    let fresh = || frame.nodes.iter().filter(|node| node.is_fresh(frame.at));
    let primaries: Vec<&Node> = fresh().filter(|node| node.role() == Role::Primary).collect();
    if primaries.len() > 1 {
        let said: Vec<String> = primaries
            .iter()
            .map(|node| format!("{} (epoch {})", node.name(), number(node.epoch())))
            .collect();
        let text = format!("{} primaries answer: {}; the highest epoch rules", said.len(), said.join(", "));
        return vec![Found::new("", "two_primaries", Severity::Critical, text).cure("stop the others")];
    }
    if !primaries.is_empty() || fresh().next().is_none() {
        return Vec::new();
    }
    let newest = newest_epoch(frame);
    let is_ready =
        |node: &&Node| node.status().map(verdict) == Some(Verdict::Yes) && node.max_epoch() >= newest;
    let finding = Found::new("", "no_primary", Severity::Critical, "no primary answers: nobody serves");
    vec![match fresh().find(is_ready) {
        Some(node) => finding.cure(format!(
            "standfast failover --to {0} --connect {1} (unless {0} was detached, or another node promoted, \
             while it could not be reached: that it cannot know)",
            node.name(),
            node.addr
        )),
        None => finding,
    }]
}

fn silent(node: &Node, now: Time) -> Option<Found> {
    let why = match &node.link {
        Link::Lost { why, .. } => format!(": {why}"),
        Link::Connecting if node.reading.is_none() => return None,
        Link::Connecting | Link::Up => String::new(),
    };
    let (name, age) = (node.name(), node.age_ms(now));
    let text = match age {
        Some(ms) => format!("has not answered for {}{why}", millis(Some(ms))),
        None => format!("gives no answer{why}"),
    };
    Some(Found::new(name, "no_answer", Severity::Critical, text))
}

fn of_node(node: &Node, status: &NodeStatus, found: &mut Vec<Found>) {
    let name = node.name();
    found.extend(status.findings.iter().map(|finding| Found {
        node: name.to_owned(),
        code: finding.code.clone(),
        severity: finding.severity(),
        text: finding.text.clone(),
        since_unix_us: (finding.since_unix_us > 0).then_some(finding.since_unix_us),
        cure: finding.cure.clone(),
        runbook: if finding.runbook.is_empty() { page(&finding.code) } else { finding.runbook.clone() },
    }));
    // Before what its rehearsal says of the same, which is less.
    found.extend(set_aside(name, status));
    match node.role() {
        Role::Primary => of_primary(node, status, found),
        Role::Standby => not_promotable(name, status, found),
        // It says itself that it is on its way.
        Role::Candidate => {}
        Role::Offline | Role::Unspecified => {
            found.push(Found::new(name, "no_role", Severity::Warning, "neither leads nor follows"));
        }
    }
}

/// What it has set aside, with the cure that its rehearsal knows.
fn set_aside(name: &str, status: &NodeStatus) -> Option<Found> {
    let quarantine = status.quarantine.as_ref().filter(|q| q.count > 0)?;
    let first =
        quarantine.entries.first().map_or(String::new(), |e| format!(": entry {}, {}", e.seq, e.text));
    let text = format!("has set aside entries ({}){first}", quarantine.count);
    let mut reasons = status.rehearsal.iter().flat_map(|r| &r.reasons);
    let cure = reasons.find(|r| r.code == "quarantine").map_or("", |r| &*r.cure);
    Some(Found::new(name, "quarantine", Severity::Critical, text).cure(cure))
}

fn of_primary(node: &Node, status: &NodeStatus, found: &mut Vec<Found>) {
    for peer in &status.standbys {
        if let Some((code, text)) = not_following(peer) {
            found.push(Found::new(&peer.node, code, Severity::Warning, text));
        }
    }
    if status.leadership.as_ref().and_then(|l| l.crash_loses_all) == Some(true) {
        let text = "no other copy is in sync: a crash now loses everything";
        let cluster = node.cluster().unwrap_or("CLUSTER");
        let cure = format!(
            "standfast serve --node NAME --cluster {cluster} --role standby --peer {} --grpc HOST:PORT",
            node.addr
        );
        found.push(Found::new(node.name(), "crash_loses_all", Severity::Critical, text).cure(cure));
    }
    if let Some(rights) = status.rights.as_ref().filter(|rights| !rights.may_answer) {
        let text = format!("may not answer now: {}", rights.reason);
        found.push(Found::new(node.name(), "may_not_answer", Severity::Critical, text));
    }
}

/// Why a standby does not count, as its primary sees it.
fn not_following(peer: &Peer) -> Option<(&'static str, String)> {
    let because = peer.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    Some(if peer.link() != LinkState::Up {
        ("not_connected", format!("is not connected{because}"))
    } else if peer.stream() != StreamState::Streaming {
        ("not_streaming", format!("is connected but does not stream{because}"))
    } else if peer.silent {
        ("silent", format!("is on record but silent{because}"))
    } else if !peer.in_sync {
        ("not_in_sync", format!("streams but is not in sync{because}"))
    } else {
        return None;
    })
}

fn not_promotable(name: &str, status: &NodeStatus, found: &mut Vec<Found>) {
    let verdict = verdict(status);
    let reasons = status.rehearsal.as_ref().map(|r| &r.reasons[..]).unwrap_or_default();
    if verdict == Verdict::Yes {
        return;
    }
    if reasons.is_empty() {
        let text =
            if verdict == Verdict::No { "is not promotable" } else { "may not be promotable: unknown" };
        found.push(Found::new(name, "not_promotable", Severity::Warning, text));
    }
    for reason in reasons {
        let text = format!("is not promotable: {}", reason.text);
        let finding = Found::new(name, &reason.code, Severity::Warning, text).cure(&*reason.cure);
        // Whatever the reason is, that page says how to go on.
        let runbook = if finding.runbook.is_empty() { page("not_promotable") } else { finding.runbook };
        found.push(Found { runbook, ..finding });
    }
}

/// Copies whose digests differ. A node reads its homes one after the other, so a difference counts only between two
/// that stood still at one position since the frame before.
fn differing(frame: &Frame, before: &Frame) -> Vec<Found> {
    let still = |node: &Node| before.at_addr(&node.addr).is_some_and(|was| reading(was) == reading(node));
    let pairs = unequal(frame).into_iter().filter(|(a, b, _)| still(a) && still(b));
    pairs
        .map(|(a, b, at)| {
            let text = format!("differs from {} at position {at}", b.name());
            Found::new(a.name(), "digests_differ", Severity::Critical, text)
        })
        .collect()
}

/// Position, digest, and whether that was computed from scratch.
fn reading(node: &Node) -> Option<(u64, &str, bool)> {
    let store = node.status()?.store.as_ref()?;
    let digest = store.recount.as_ref().or(store.digest.as_ref())?;
    Some((store.digest_at?, digest, store.recount.is_some()))
}

/// Pairs of nodes whose digests differ at one position, by one reading of each.
pub(crate) fn unequal(frame: &Frame) -> Vec<(&Node, &Node, u64)> {
    let fresh = frame.nodes.iter().filter(|node| node.is_fresh(frame.at));
    let all: Vec<_> = fresh.filter_map(|node| Some((node, reading(node)?))).collect();
    let mut pairs = Vec::new();
    for (i, (a, (at, digest, scratch))) in all.iter().enumerate() {
        for (b, (other_at, other, other_scratch)) in &all[i + 1..] {
            if (at, scratch) == (other_at, other_scratch) && digest != other {
                pairs.push((*a, *b, *at));
            }
        }
    }
    pairs
}

//! The five answers of the first screen: who leads, may one fail over, how far behind, how much would be lost, and
//! through where are the copies known to be equal.

use standfast_proto::v1::{
    AckMode, Automation, Lag, Leadership, LinkState, NodeStatus, Rehearsal, Role, StreamState, Verdict,
};

use crate::format::{micros, millis, number};
use crate::frame::{Frame, Node};
use crate::look::Tone;

/// Lag in time from which it is worth a look, and from which it is worth a hand.
const LAG_WARN_US: u64 = 1_000_000;
const LAG_CRIT_US: u64 = 10_000_000;

/// What can be said of a frame. Absent = unknown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    /// Name of the primary of the highest epoch heard of.
    pub(crate) primary: Option<String>,
    pub(crate) epoch: Option<u64>,
    /// Since the primary last answered, when that is too long ago.
    pub(crate) primary_stale_ms: Option<u64>,
    /// Whether a promotion now would keep every acknowledged write, as far as that is known.
    pub(crate) safe: Option<bool>,
    /// Why, in a sentence.
    pub(crate) reason: String,
    /// The standby that all further answers are about.
    pub(crate) target: Option<String>,
    pub(crate) lag: Lag,
    /// Acknowledged keys that a promotion would lose.
    pub(crate) lose_keys: Option<u64>,
    /// Entries that the standby was told of and lacks.
    pub(crate) lose_entries: Option<u64>,
    /// The copies were compared and found equal through here.
    pub(crate) verified: Option<u64>,
    /// Something on that standby is known to differ all the same.
    pub(crate) differs: bool,
}

/// Judges `frame` as of its own time.
pub(crate) fn answers(frame: &Frame) -> Answers {
    let primary = frame.primary();
    let (safe, reason, target) = safety(frame);
    let fresh_target = target.filter(|node| node.is_fresh(frame.at));
    let rehearsal = fresh_target.and_then(Node::status).and_then(|status| status.rehearsal.as_ref());
    let loss = rehearsal.and_then(|r| r.plan.as_ref()).and_then(|plan| plan.loss);
    // In sync mode a copy that may be promoted holds everything that was acknowledged.
    let keeps_all = safe == Some(true) && ack_mode(frame, target) == AckMode::Sync;
    Answers {
        primary: primary.map(|node| node.name().to_owned()),
        epoch: primary.and_then(Node::epoch),
        primary_stale_ms: primary.filter(|p| !p.is_fresh(frame.at)).and_then(|p| p.age_ms(frame.at)),
        safe,
        reason,
        target: target.map(|node| node.name().to_owned()),
        lag: target.map_or_else(Lag::default, |node| lag(frame, node)),
        lose_keys: loss.and_then(|loss| loss.keys).or(keeps_all.then_some(0)),
        lose_entries: loss.and_then(|loss| loss.entries),
        verified: fresh_target.and_then(|node| verified(frame, node)),
        differs: fresh_target.and_then(Node::status).is_some_and(differs),
    }
}

impl Answers {
    pub(crate) fn safe_tone(&self) -> Tone {
        match self.safe {
            // With the primary silent, the standby's word is all there is.
            Some(true) if self.primary.is_none() || self.primary_stale_ms.is_some() => Tone::Warn,
            Some(true) => Tone::Ok,
            Some(false) => Tone::Crit,
            None => Tone::Unknown,
        }
    }

    pub(crate) fn safe_word(&self) -> &'static str {
        match self.safe {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        }
    }

    pub(crate) fn lag_tone(&self) -> Tone {
        lag_tone(&self.lag)
    }
}

/// How bad a lag is. Time counts, not entries: a busy primary is many entries ahead in a millisecond.
pub(crate) fn lag_tone(lag: &Lag) -> Tone {
    match (lag.age_us, lag.entries) {
        (None, _) => Tone::Unknown,
        (Some(LAG_CRIT_US..), _) => Tone::Crit,
        (Some(LAG_WARN_US..), _) => Tone::Warn,
        (Some(_), None) => Tone::Unknown,
        (Some(_), Some(_)) => Tone::Ok,
    }
}

/// Whether the node could be promoted, by its own rehearsal.
#[must_use]
pub fn verdict(status: &NodeStatus) -> Verdict {
    status.rehearsal.as_ref().map_or(Verdict::Unknown, Rehearsal::verdict)
}

/// The highest epoch that anybody has seen.
pub(crate) fn newest_epoch(frame: &Frame) -> Option<u64> {
    frame.nodes.iter().filter_map(Node::max_epoch).max()
}

fn ack_mode(frame: &Frame, target: Option<&Node>) -> AckMode {
    let fresh = frame.primary().filter(|node| node.is_fresh(frame.at)).or(target);
    fresh.and_then(Node::leadership).map_or(AckMode::Unspecified, Leadership::ack_mode)
}

fn safety(frame: &Frame) -> (Option<bool>, String, Option<&Node>) {
    let newest = newest_epoch(frame);
    let says = |node: &Node| node.status().map_or(Verdict::Unknown, verdict);
    let fresh: Vec<&Node> = frame.standbys().filter(|node| node.is_fresh(frame.at)).collect();
    let heard = frame.primary().is_some_and(|primary| primary.is_fresh(frame.at));
    // A primary that does not name a standby does not wait for it: it was detached.
    let counted = |node: &Node| !heard || frame.peer(node.name()).is_some_and(|peer| peer.in_sync);
    let is_ready = |node: &&&Node| says(node) == Verdict::Yes && node.max_epoch() >= newest && counted(node);
    let ready = fresh.iter().filter(is_ready);
    if let Some(best) = ready.min_by_key(|node| lag(frame, node).entries.unwrap_or(u64::MAX)) {
        let name = best.name();
        let mut reason = if ack_mode(frame, Some(best)) == AckMode::Sync {
            format!("{name} holds every acknowledged write")
        } else {
            format!("{name} is in sync; in async mode the newest writes may be lost")
        };
        if !heard {
            // A standby that was detached while it could not be reached does not know it.
            reason.push_str(", unless it was detached while out of reach");
        }
        return (Some(true), reason, Some(best));
    }
    if let Some(node) = fresh.first() {
        let name = node.name();
        let behind = says(node) == Verdict::Yes && node.max_epoch() < newest;
        let first = node.status().and_then(|s| s.rehearsal.as_ref()).and_then(|r| r.reasons.first());
        let (safe, why) = match (says(node), first) {
            _ if behind => {
                let epoch = number(node.max_epoch());
                (Some(false), format!("knows of no epoch above {epoch}, but epoch {} exists", number(newest)))
            }
            (Verdict::Yes, _) => (Some(false), "its primary does not count it as in sync".to_owned()),
            (Verdict::No, Some(reason)) => (Some(false), reason.text.clone()),
            (Verdict::No, None) => (Some(false), "refuses without a reason".to_owned()),
            (_, Some(reason)) => (None, reason.text.clone()),
            (_, None) => (None, "has not rehearsed a promotion".to_owned()),
        };
        return (safe, format!("{name}: {why}"), Some(node));
    }
    without_standby(frame)
}

/// No standby answers now.
fn without_standby(frame: &Frame) -> (Option<bool>, String, Option<&Node>) {
    if let Some(node) = frame.standbys().next() {
        let why = format!("{} has not answered for {}", node.name(), millis(node.age_ms(frame.at)));
        return (None, why, Some(node));
    }
    let Some(primary) = frame.primary() else {
        return (None, "no node has said what it is".to_owned(), None);
    };
    if !primary.is_fresh(frame.at) {
        return (
            None,
            format!("{} has not answered for {}", primary.name(), millis(primary.age_ms(frame.at))),
            None,
        );
    }
    let absent = primary.status().and_then(|status| status.standbys.first());
    let why = match absent {
        Some(peer) if peer.link() == LinkState::Up && peer.stream() == StreamState::Streaming => {
            format!("standby {} cannot be asked from here", peer.node)
        }
        Some(peer) if peer.link() == LinkState::Up => {
            format!("standby {} is back, but has not caught up", peer.node)
        }
        Some(peer) => {
            let age = peer.contact_age_ms.map_or(String::new(), |ms| format!(" for {}", millis(Some(ms))));
            format!("standby {} is not connected{age}", peer.node)
        }
        None => "there is no standby".to_owned(),
    };
    (Some(false), why, None)
}

/// How far `node` is behind: by the primary's word while that is fresh, else by its own.
pub(crate) fn lag(frame: &Frame, node: &Node) -> Lag {
    let seen = frame.peer(node.name()).and_then(|peer| peer.lag);
    let own = || {
        let status = node.status().filter(|_| node.is_fresh(frame.at))?;
        status.upstream.as_ref()?.lag
    };
    seen.or_else(own).unwrap_or_default()
}

/// Through where `node` was compared.
pub(crate) fn verified(frame: &Frame, node: &Node) -> Option<u64> {
    let status = node.status()?;
    let position = status.positions.as_ref().and_then(|p| p.verified);
    let own = position.or_else(|| status.verification.as_ref().and_then(|v| v.verified));
    own.or_else(|| frame.peer(node.name()).and_then(|peer| peer.verified))
}

/// `12 / 0.034 s`.
pub(crate) fn lag_text(lag: &Lag) -> String {
    format!("{} / {}", number(lag.entries), crate::format::seconds(lag.age_us))
}

/// `12 in 34 ms`, for tables.
pub(crate) fn lag_short(lag: &Lag) -> String {
    format!("{} / {}", number(lag.entries), micros(lag.age_us))
}

/// What the newest answer says of automatic failovers. Absent = no coordinator, or no node answers.
pub(crate) fn automation(frame: &Frame) -> Option<&Automation> {
    let all = frame.primary().into_iter().chain(frame.nodes.iter());
    let fresh = all.filter(|node| node.is_fresh(frame.at)).filter_map(Node::status);
    fresh.filter_map(|status| status.automation.as_ref()).next()
}

/// Whether no node takes over by itself now.
pub(crate) fn paused(frame: &Frame) -> bool {
    automation(frame).is_some_and(|automation| automation.suspended)
}

/// Whether the copy of this node is known to differ from what it should be.
pub(crate) fn differs(status: &NodeStatus) -> bool {
    status.verification.as_ref().is_some_and(|v| {
        v.mismatched_keys.is_some_and(|n| n > 0)
            || v.homes_unequal.is_some_and(|n| n > 0)
            || v.recount_equal == Some(false)
    })
}

/// Why a standby must not be promoted, whatever it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// Address of the primary that speaks against it.
    pub leader: String,
    /// A sentence.
    pub text: String,
}

/// Whether one of `nodes` leads an epoch of the target's cluster that the target has never heard of.
pub(crate) fn objection(target: &Node, nodes: &[Node]) -> Option<Objection> {
    let known = target.max_epoch();
    let later = |node: &&Node| {
        node.role() == Role::Primary && node.cluster() == target.cluster() && node.epoch() > known
    };
    let leader = nodes.iter().filter(later).max_by_key(|node| node.epoch())?;
    let text = format!(
        "{0} leads epoch {1}, but {2} knows of no epoch above {3}: promoting it would throw away what {0} has \
         acknowledged",
        leader.name(),
        number(leader.epoch()),
        target.name(),
        number(known)
    );
    Some(Objection { leader: leader.addr.to_string(), text })
}

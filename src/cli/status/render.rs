//! The status for people: a table, the pipeline of each standby, and what is wrong.

use std::time::Duration;

use standfast_proto::v1::{Lag, NodeStatus, Peer, Role, Verdict};
use standfast_tui::Found;
use tokio::time::Instant;

use super::super::duration;
use super::super::text::{self, UNKNOWN, cut, micros, narrow, number, wrap};
use super::judge;
use super::{STALE_AFTER, Seen, Survey};

/// Everything, in lines of at most 80 columns.
pub(super) fn block(survey: &Survey, problems: &[Found], now: Instant) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((_, status)) = survey.answered().next() {
        lines.push(headline(status));
        lines.push(row(["NODE", "ROLE", "EPOCH", "TAIL", "APPLIED", "LAG", "ISR", "PROMO", "CONTACT"]));
    }
    for seen in &survey.nodes {
        lines.push(match seen.status() {
            Some(status) => node_row(survey, seen, status),
            None => cut(&format!("{}  unreachable", seen.addr), 80),
        });
        lines.extend(staleness(seen, now));
    }
    for (seen, status) in survey.answered().filter(|(seen, _)| seen.lost.is_none()) {
        for peer in &status.standbys {
            lines.extend(pipeline(seen, status, peer));
        }
    }
    lines.push(verdict_line(survey, problems));
    lines.extend(problems.iter().flat_map(judge::lines));
    lines
}

fn headline(status: &NodeStatus) -> String {
    let cluster = status.identity.as_ref().map_or(UNKNOWN, |identity| &identity.cluster);
    let ack = status.leadership.as_ref().map_or(UNKNOWN, |l| match l.ack_mode() {
        standfast_proto::v1::AckMode::Sync => "sync",
        standfast_proto::v1::AckMode::Async => "async",
        standfast_proto::v1::AckMode::Unspecified => UNKNOWN,
    });
    let store = status.store.as_ref();
    let objects = number(store.map(|store| store.objects));
    let segments = number(store.map(|store| store.segments));
    cut(&format!("cluster {cluster}   ack {ack}   {objects} objects in {segments} segments"), 80)
}

fn row(cells: [&str; 9]) -> String {
    let [node, role, epoch, tail, applied, lag, isr, promo, contact] = cells;
    let line = format!(
        "{node:<9} {role:<9} {epoch:>5} {tail:>10} {applied:>10} {lag:>14} {isr:>3} {promo:>5} {contact:>7}"
    );
    line.trim_end().to_owned()
}

fn node_row(survey: &Survey, seen: &Seen, status: &NodeStatus) -> String {
    let positions = status.positions.as_ref();
    // Nobody knows what a node is that does not answer now.
    let word = text::role(seen.role());
    let role = if seen.lost.is_some() { cut(&format!("({word})"), 9) } else { word.to_owned() };
    let epoch = status.leadership.as_ref().and_then(|l| l.epoch);
    let (lag, contact, promo) = match seen.role() {
        // A primary is behind nobody and asks nobody.
        Role::Primary => ("-".to_owned(), "-".to_owned(), "-"),
        _ => {
            let upstream = status.upstream.as_ref();
            let age = upstream.and_then(|upstream| upstream.contact_age_ms).map(|ms| ms.saturating_mul(1000));
            (lag(upstream.and_then(|upstream| upstream.lag.as_ref())), micros(age), promotable(status))
        }
    };
    row([
        &cut(seen.name(), 9),
        &role,
        &narrow(epoch, 5),
        &narrow(positions.map(|p| p.tail), 10),
        &narrow(positions.map(|p| p.applied), 10),
        &lag,
        in_sync(survey, seen, status),
        promo,
        &contact,
    ])
}

fn promotable(status: &NodeStatus) -> &'static str {
    match judge::verdict(status) {
        Verdict::Yes => "yes",
        Verdict::No => "no",
        Verdict::Unknown | Verdict::Unspecified => UNKNOWN,
    }
}

/// Whether the node's copy is in the set on record, by the primary's word where it answers.
fn in_sync(survey: &Survey, seen: &Seen, status: &NodeStatus) -> &'static str {
    let holder = survey.primary().and_then(Seen::status).unwrap_or(status);
    let copy = status.identity.as_ref().map(|identity| &identity.copy);
    match (&holder.in_sync, copy) {
        _ if std::ptr::eq(holder, status) && seen.role() != Role::Primary => UNKNOWN,
        (Some(set), Some(copy)) if set.members.iter().any(|member| &member.copy == copy) => "yes",
        (Some(_), Some(_)) => "no",
        _ => UNKNOWN,
    }
}

fn lag(lag: Option<&Lag>) -> String {
    let entries = narrow(lag.and_then(|lag| lag.entries), 5);
    format!("{entries} / {}", micros(lag.and_then(|lag| lag.age_us)))
}

/// How old a row is, once it is no longer fresh.
fn staleness(seen: &Seen, now: Instant) -> Option<String> {
    let age = now.saturating_duration_since(seen.at);
    let why = seen.lost.as_deref();
    if seen.status().is_none() || (age <= STALE_AFTER && why.is_none()) {
        return None;
    }
    let word = if age > STALE_AFTER { "stale" } else { "old" };
    let line = format!(
        "  ^ {word}: {} ago{}",
        duration::short(age),
        why.map_or(String::new(), |w| format!("; {w}"))
    );
    Some(cut(&line, 80))
}

/// The positions of one standby, in the order in which an entry passes them.
fn pipeline(seen: &Seen, status: &NodeStatus, peer: &Peer) -> Vec<String> {
    let positions = status.positions.as_ref();
    let contact = peer.contact_age_ms.map(Duration::from_millis).map_or(UNKNOWN.to_owned(), duration::short);
    let line = format!(
        "{} > {}  tail {}  sent {}  received {}  applied {}  verified {}  commit {}  contact {}",
        cut(seen.name(), 16),
        cut(&peer.node, 16),
        number(positions.map(|p| p.tail)),
        number(peer.sent),
        number(peer.received),
        number(peer.applied),
        number(peer.verified),
        number(positions.and_then(|p| p.commit)),
        contact,
    );
    wrap(&line, 4)
}

fn verdict_line(survey: &Survey, problems: &[Found]) -> String {
    if survey.answered().next().is_none() {
        return "UNREACHABLE: no node answers".to_owned();
    }
    match problems.len() {
        0 => "OK: nothing is known to be wrong".to_owned(),
        1 => "DEGRADED: 1 problem".to_owned(),
        n => format!("DEGRADED: {n} problems"),
    }
}

//! 2 Replication: for each standby, where an entry is on its way.

use ratatui::text::Line;
use standfast_proto::v1::{LinkState, Peer, Progress, StreamState};

use super::parts::{self, flow, heading, pair};
use super::{Drawn, Page, Scene};
use crate::format::{bytes, millis, number, seconds};
use crate::frame::Node;
use crate::judge::{lag, lag_tone, verified};
use crate::look::Tone;
use crate::page::About;
use crate::table::{Column, Row, lay, left, right};

pub(super) fn page(scene: &Scene<'_>) -> Page {
    let mut rows = standbys(scene);
    if rows.is_empty() {
        let text = "no standby is known to the nodes that answer";
        rows.push(Line::from(scene.look.paint(Tone::Unknown, text)).into());
    }
    Page { head: Vec::new(), rows }
}

/// A block for each standby that anybody knows.
pub(super) fn standbys(scene: &Scene<'_>) -> Vec<Drawn> {
    let primary = scene.frame.primary();
    let peers = primary.and_then(Node::status).map(|status| &status.standbys[..]).unwrap_or_default();
    let mut names: Vec<&str> = peers.iter().map(|peer| &*peer.node).collect();
    names.extend(scene.frame.standbys().map(Node::name));
    names.sort_unstable();
    names.dedup();
    let mut rows = Vec::new();
    for name in names.into_iter().filter(|name| scene.filter.shows(name)) {
        let peer = peers.iter().find(|peer| peer.node == name);
        let mut block = standby(scene, primary, peer, name).into_iter();
        rows.extend(block.next().map(|title| Drawn::about(title, About::Node(name.to_owned()))));
        rows.extend(block.map(Drawn::from));
        rows.push(Drawn::default());
    }
    rows
}

fn standby(scene: &Scene<'_>, primary: Option<&Node>, peer: Option<&Peer>, name: &str) -> Vec<Line<'static>> {
    let from = primary.map_or("?", Node::name);
    let fresh = primary.is_some_and(|node| node.is_fresh(scene.frame.at));
    let mut lines = vec![heading(scene, &format!("{from} {} {name}", scene.look.arrow()))];
    if let Some(primary) = primary.filter(|_| !fresh) {
        let text = format!(
            "{from} last answered {} ago; its side of the pipeline is of then",
            millis(primary.age_ms(scene.frame.at))
        );
        lines.push(Line::from(scene.look.paint(Tone::Stale, text)));
    }
    let told = peer.filter(|_| fresh);
    lines.extend(link(scene, told, scene.frame.find(name)));
    lines.extend(pipeline(scene, primary, peer, name, fresh));
    let behind = scene
        .frame
        .find(name)
        .map(|node| lag(scene.frame, node))
        .or(told.and_then(|p| p.lag))
        .unwrap_or_default();
    let tone = lag_tone(&behind);
    let bytes_tone = if behind.bytes.is_some() { tone } else { Tone::Unknown };
    let figures = vec![
        pair(scene.look, "lag", format!("{} entries", number(behind.entries)), tone),
        pair(scene.look, "bytes", bytes(behind.bytes), bytes_tone),
        pair(scene.look, "time", seconds(behind.age_us), tone),
    ];
    lines.extend(flow(figures, scene.columns));
    lines.push(parts::spark(scene, "entries", "behind", |_, frame| parts::lag_entries(frame, name)));
    lines.push(parts::spark(scene, "time", "ms behind", |_, frame| parts::lag_ms(frame, name)));
    if let Some(progress) = told.and_then(|peer| peer.progress.as_ref()) {
        lines.push(progress_bar(scene, progress));
    }
    lines
}

/// The connection, by both sides' words.
fn link(scene: &Scene<'_>, peer: Option<&Peer>, node: Option<&Node>) -> Vec<Line<'static>> {
    let status = node.filter(|node| node.is_fresh(scene.frame.at)).and_then(Node::status);
    let upstream = status.and_then(|status| status.upstream.as_ref());
    let (state, stream, reason) = match (peer, upstream) {
        (Some(peer), _) => (peer.link(), peer.stream(), peer.reason.as_deref()),
        (None, Some(up)) => (up.link(), up.stream(), up.reason.as_deref()),
        (None, None) => (LinkState::Unspecified, StreamState::Unspecified, None),
    };
    let (word, tone) = match (state, stream) {
        (LinkState::Up, StreamState::Streaming) => ("streaming", Tone::Ok),
        (LinkState::Up, StreamState::CatchingUp) => ("catching up", Tone::Warn),
        (LinkState::Up, StreamState::FullSync) => ("full sync", Tone::Warn),
        (LinkState::Up, StreamState::Handshake | StreamState::Unspecified) => ("connected", Tone::Warn),
        (LinkState::Connecting, _) => ("connecting", Tone::Warn),
        (LinkState::Backoff, _) => ("waits for the next attempt", Tone::Crit),
        (LinkState::Refused, _) => ("refused", Tone::Crit),
        (LinkState::Down, _) => ("not connected", Tone::Crit),
        (LinkState::Unspecified, _) => ("?", Tone::Unknown),
    };
    let mut pieces = vec![pair(scene.look, "", word, tone)];
    if let Some(peer) = peer {
        let (word, tone) = if peer.in_sync { ("in sync", Tone::Ok) } else { ("not in sync", Tone::Crit) };
        pieces.push(pair(scene.look, "", word, tone));
        pieces.push(pair(scene.look, "contact", millis(peer.contact_age_ms), Tone::Plain));
        pieces.push(pair(scene.look, "promise", millis(peer.grant_remaining_ms), Tone::Plain));
    } else if let Some(up) = upstream {
        pieces.push(pair(scene.look, "contact", millis(up.contact_age_ms), Tone::Plain));
        pieces.push(pair(scene.look, "attempts", up.attempts.to_string(), Tone::Plain));
    }
    if let Some(reason) = reason {
        pieces.push(pair(scene.look, "", reason, tone));
    }
    flow(pieces, scene.columns)
}

const COLUMNS: &[Column] = &[
    left("", 0, 6),
    right("assigned", 0, 8),
    right("sent", 2, 8),
    right("received", 3, 8),
    right("applied", 0, 8),
    right("acked", 1, 8),
    right("verified", 0, 8),
];

/// The stages that an entry passes, and how far each is behind the tail.
fn pipeline(
    scene: &Scene<'_>,
    primary: Option<&Node>,
    peer: Option<&Peer>,
    name: &str,
    fresh: bool,
) -> Vec<Line<'static>> {
    let tail = primary.and_then(Node::status).and_then(|s| s.positions.as_ref()).map(|p| p.tail);
    let own = scene.frame.find(name);
    let own_positions = own.and_then(Node::status).and_then(|s| s.positions.as_ref());
    let stages = [
        tail,
        peer.and_then(|p| p.sent),
        peer.and_then(|p| p.received).or(own_positions.and_then(|p| p.received)),
        peer.and_then(|p| p.applied).or(own_positions.map(|p| p.applied)),
        peer.and_then(|p| p.matched),
        own.and_then(|node| verified(scene.frame, node)).or(peer.and_then(|p| p.verified)),
    ];
    let label = |text: &str| (text.to_owned(), Tone::Label);
    let tone = |value: Option<u64>| if value.is_some() { Tone::Plain } else { Tone::Unknown };
    let mut seq = vec![label("seq")];
    seq.extend(stages.iter().map(|at| (number(*at), tone(*at))));
    let mut behind = vec![label("behind")];
    behind.extend(stages.iter().map(|at| {
        let by = tail.zip(*at).map(|(tail, at)| tail.saturating_sub(at));
        (number(by), tone(by))
    }));
    let whole = (!fresh).then_some(Tone::Stale);
    let rows = [seq, behind].map(|cells| Row { whole, ..Row::new(cells) });
    let (header, rows) = lay(scene.look, COLUMNS, &rows, scene.columns);
    let bar = bar(scene, tail, stages[4].or(stages[3]), whole);
    std::iter::once(header).chain(rows).chain([bar]).collect()
}

/// How much of what is held of the log the standby has acknowledged.
fn bar(scene: &Scene<'_>, tail: Option<u64>, acked: Option<u64>, whole: Option<Tone>) -> Line<'static> {
    let columns = scene.columns.saturating_sub(18).max(8);
    let (Some(tail), Some(acked)) = (tail, acked) else {
        return Line::from(scene.look.paint(Tone::Unknown, "pipeline  ?"));
    };
    // Positions begin at 1: an empty log is wholly acknowledged.
    let share = acked.saturating_sub(1) as f64 / tail.saturating_sub(1).max(1) as f64;
    let share = if tail <= 1 { 1.0 } else { share.min(1.0) };
    let full = (share * columns as f64).floor() as usize;
    Line::from(vec![
        scene.look.paint(Tone::Label, "pipeline  "),
        scene.look.paint(whole.unwrap_or(Tone::Ok), scene.look.full().repeat(full)),
        scene.look.paint(whole.unwrap_or(Tone::Warn), scene.look.empty().repeat(columns - full)),
        scene.look.paint(Tone::Label, format!(" {:.1} %", share * 100.0)),
    ])
}

fn progress_bar(scene: &Scene<'_>, progress: &Progress) -> Line<'static> {
    let columns = 20;
    let share = progress.total.filter(|total| *total > 0).map(|total| progress.done as f64 / total as f64);
    let full = share.map_or(0, |share| (share.min(1.0) * columns as f64) as usize);
    let bar = scene.look.full().repeat(full) + &scene.look.empty().repeat(columns - full);
    let text = format!(
        "catch-up  {bar} {} of {} {}, {} so far, {} to go",
        progress.done,
        number(progress.total),
        progress.unit,
        millis(Some(progress.elapsed_ms)),
        millis(progress.eta_ms),
    );
    Line::from(scene.look.paint(Tone::Warn, text))
}

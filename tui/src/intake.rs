//! What nodes say enters the model here, live or from a recording.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message;
use standfast_proto::v1::{NodeStatus, StatusUpdate};

use crate::findings::findings;
use crate::frame::{Frame, Link, Node, Reading};
use crate::model::{Model, NODES_MAX};
use crate::msg::Effect;
use crate::time::Time;

/// A status has arrived. Says whom else to ask, and whom no more.
pub(crate) fn said(model: &mut Model, addr: &str, update: StatusUpdate) -> Vec<Effect> {
    let now = model.now;
    let Some(mut status) = update.status else { return Vec::new() };
    let hints = hints(&status);
    let events = std::mem::take(&mut status.events);
    let bytes = status.encoded_len();
    let mut node = Node {
        addr: addr.into(),
        link: Link::Up,
        interval_ms: u64::from(update.interval_ms).max(1),
        reading: Some(Reading { at: now, status: Arc::new(status), bytes }),
    };
    if let Some(known) = model.live.at_addr(addr) {
        node.addr = Arc::clone(&known.addr);
    }
    let is_alias = |other: &Node| {
        other.addr != node.addr && other.is_fresh(now) && node.copy().is_some() && other.copy() == node.copy()
    };
    if model.live.nodes.iter().any(is_alias) {
        model.live.nodes.retain(|known| known.addr != node.addr);
        model.aliases.insert(addr.to_owned());
        return vec![Effect::Forget(addr.to_owned())];
    }
    if let (Some(copy), name) = (node.copy(), node.name()) {
        model.journal.add(now, name, copy, events);
    }
    let mut effects = Vec::new();
    // The same node, come back at another address.
    let moved = |old: &Node| {
        old.addr != node.addr
            && old.reading.is_some()
            && !old.is_fresh(now)
            && (old.name(), old.cluster()) == (node.name(), node.cluster())
    };
    model.live.nodes.retain(|old| {
        if moved(old) {
            effects.push(Effect::Forget(old.addr.to_string()));
        }
        !moved(old) && old.addr != node.addr
    });
    model.live.nodes.push(node);
    effects.extend(follow(model, hints));
    model.live.sort();
    effects
}

/// A connection has failed or ended; what was known stays, and ages.
pub(crate) fn lost(model: &mut Model, addr: &str, why: &str, attempts: u32, retry_in_ms: u64) {
    if model.aliases.contains(addr) {
        return;
    }
    let retry_at = model.now.plus(retry_in_ms);
    let link = Link::Lost { why: why.into(), attempts, retry_at };
    match model.live.nodes.iter_mut().find(|node| &*node.addr == addr) {
        Some(node) => node.link = link,
        // A recording may begin with it.
        None => {
            let node = Node { link, ..Node::new(addr.into(), model.rate_ms) };
            model.live.nodes.push(node);
            model.live.sort();
        }
    }
}

/// Watches those whom an answer names.
fn follow(model: &mut Model, hints: BTreeSet<String>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for addr in hints {
        let known = model.live.at_addr(&addr).is_some() || model.aliases.contains(&addr);
        if !known && model.live.nodes.len() < NODES_MAX && model.replay.is_none() {
            model.live.nodes.push(Node::new(addr.as_str().into(), model.rate_ms));
            effects.push(Effect::Watch(addr));
        }
    }
    effects
}

/// Where this node says that others are.
fn hints(status: &NodeStatus) -> BTreeSet<String> {
    let holder = status.leadership.iter().filter_map(|l| l.holder.as_ref()).map(|h| h.grpc_addr.clone());
    let upstream = status.upstream.iter().filter_map(|u| u.addr.clone());
    let standbys = status.standbys.iter().filter_map(|peer| peer.grpc_addr.clone());
    holder.chain(upstream).chain(standbys).filter(|addr| !addr.is_empty()).collect()
}

/// The present becomes a frame of the past, once an interval.
pub(crate) fn sample(model: &mut Model) {
    let due = model.history.newest().is_none_or(|at| model.now.since(at) >= model.rate_ms);
    if due && model.live.nodes.iter().any(|node| node.reading.is_some()) {
        let found = findings(&model.live, model.history.before(model.now));
        model.since.note(&found, model.now);
        model.history.push(model.live.clone());
    }
}

/// Forgets everything that was learned: a replay has jumped.
pub(crate) fn forget(model: &mut Model, at: Time) {
    model.now = at;
    model.live = Frame { at, nodes: Vec::new() };
    model.hold = None;
    model.history = crate::history::History::default();
    model.journal = crate::journal::Journal::default();
    model.since = crate::findings::Since::default();
}

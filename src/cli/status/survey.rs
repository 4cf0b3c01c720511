//! Asks the nodes that were named and those that they name.

use std::collections::BTreeSet;
use std::sync::Arc;

use standfast_proto::v1::{Leadership, NodeStatus, Role};
use standfast_tui::Sighting;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::client;

/// Nodes asked at most: a hint that lies must not send us around for ever.
const NODES_MAX: usize = 32;

/// One address and what it said.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) addr: String,
    /// The newest answer, or why there has never been one.
    pub(crate) answer: Result<Box<NodeStatus>, String>,
    /// When the answer arrived.
    pub(crate) at: Instant,
    /// Why the newest attempt failed although there is an older answer.
    pub(crate) lost: Option<String>,
}

impl Seen {
    pub(crate) fn status(&self) -> Option<&NodeStatus> {
        self.answer.as_deref().ok()
    }

    pub(crate) fn name(&self) -> &str {
        let name = self.status().and_then(|s| s.identity.as_ref()).map_or("", |identity| &identity.node);
        if name.is_empty() { &self.addr } else { name }
    }

    pub(crate) fn role(&self) -> Role {
        self.status().and_then(|s| s.leadership.as_ref()).map_or(Role::Unspecified, Leadership::role)
    }

    /// For the console's judgements.
    pub(crate) fn sighting(&self) -> Sighting {
        let answer = self.answer.as_ref().map(|status| Arc::new((**status).clone())).map_err(Clone::clone);
        Sighting { addr: self.addr.clone(), answer }
    }

    fn copy(&self) -> Option<&str> {
        let copy = &self.status()?.identity.as_ref()?.copy;
        (!copy.is_empty()).then_some(copy)
    }
}

/// All that was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    pub(crate) nodes: Vec<Seen>,
}

impl Survey {
    /// The nodes that answered, primary first.
    pub(crate) fn answered(&self) -> impl Iterator<Item = (&Seen, &NodeStatus)> {
        self.nodes.iter().filter_map(|seen| Some((seen, seen.status()?)))
    }

    /// The node of that name or at that address.
    pub(crate) fn find(&self, name_or_addr: &str) -> Option<&Seen> {
        let by_name = self.nodes.iter().find(|seen| seen.status().is_some() && seen.name() == name_or_addr);
        by_name.or_else(|| self.nodes.iter().find(|seen| seen.addr == name_or_addr))
    }

    /// The primary of the highest epoch.
    pub(crate) fn primary(&self) -> Option<&Seen> {
        let primaries = self.nodes.iter().filter(|seen| seen.role() == Role::Primary);
        primaries.max_by_key(|seen| seen.status().and_then(|s| s.leadership.as_ref()).and_then(|l| l.epoch))
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        self.nodes.iter().map(|seen| seen.addr.clone())
    }

    /// Takes in a newer survey; what it could not reach keeps its last answer.
    pub(crate) fn refresh(&mut self, newer: Self) {
        let older = std::mem::take(&mut self.nodes);
        self.nodes = newer.nodes;
        for was in older {
            // One that was not asked again is known under another address.
            if let Some(seen) = self.nodes.iter_mut().find(|seen| seen.addr == was.addr)
                && let (Err(why), Ok(_)) = (&seen.answer, &was.answer)
            {
                *seen = Seen { lost: Some(why.clone()), ..was };
            }
        }
        self.sort();
    }

    fn sort(&mut self) {
        let rank = |seen: &Seen| match (seen.role(), seen.status()) {
            (Role::Primary, _) => 0,
            (_, Some(_)) => 1,
            (_, None) => 2,
        };
        self.nodes.sort_by(|a, b| (rank(a), a.name()).cmp(&(rank(b), b.name())));
    }
}

/// Asks `connect` and then, round by round, whoever is named in an answer.
pub(crate) async fn survey(connect: &[String], recount: bool) -> Survey {
    let mut asked = BTreeSet::new();
    let mut next: BTreeSet<String> = connect.iter().map(|addr| addr.trim().to_owned()).collect();
    let mut survey = Survey::default();
    while !next.is_empty() && asked.len() < NODES_MAX {
        let mut calls = JoinSet::new();
        for addr in std::mem::take(&mut next).into_iter().take(NODES_MAX - asked.len()) {
            asked.insert(addr.clone());
            calls.spawn(async move {
                let answer = client::status(&addr, recount).await.map(Box::new);
                Seen { addr, answer, at: Instant::now(), lost: None }
            });
        }
        for seen in calls.join_all().await {
            next.extend(seen.status().map(hints).unwrap_or_default());
            if !survey.nodes.iter().any(|known| known.copy().is_some() && known.copy() == seen.copy()) {
                survey.nodes.push(seen);
            }
        }
        next.retain(|addr| !asked.contains(addr));
    }
    survey.sort();
    survey
}

/// Where this node says that others are.
fn hints(status: &NodeStatus) -> BTreeSet<String> {
    let holder = status.leadership.iter().filter_map(|l| l.holder.as_ref()).map(|h| h.grpc_addr.clone());
    let upstream = status.upstream.iter().filter_map(|u| u.addr.clone());
    let standbys = status.standbys.iter().filter_map(|peer| peer.grpc_addr.clone());
    holder.chain(upstream).chain(standbys).filter(|addr| !addr.is_empty()).collect()
}

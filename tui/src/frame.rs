//! What is known of the cluster at one moment. Views are functions of this.

use std::sync::Arc;

use standfast_proto::v1::{Leadership, NodeStatus, Peer, Role};

use crate::time::Time;

/// A value that is older than so many intervals is stale.
const FRESH_INTERVALS: u64 = 2;

/// The connection to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// The first attempt is under way.
    Connecting,
    /// Updates arrive.
    Up,
    /// The last attempt failed.
    Lost {
        /// Why.
        why: Arc<str>,
        /// Failed attempts in a row.
        attempts: u32,
        /// When the next attempt begins.
        retry_at: Time,
    },
}

/// One status, and when it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// On the console's clock.
    pub(crate) at: Time,
    /// Without its events: those are kept in the journal.
    pub(crate) status: Arc<NodeStatus>,
    /// Its size on the wire, as a measure of its size in memory.
    pub(crate) bytes: usize,
}

/// One address and what it said last.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// `host:port` that was asked.
    pub(crate) addr: Arc<str>,
    /// State of the connection.
    pub(crate) link: Link,
    /// Time between updates, as the node was asked for or as it answered.
    pub(crate) interval_ms: u64,
    /// The newest status. Absent = it has never answered.
    pub(crate) reading: Option<Reading>,
}

impl Node {
    /// A node that has not answered yet.
    pub(crate) fn new(addr: Arc<str>, interval_ms: u64) -> Self {
        Self { addr, link: Link::Connecting, interval_ms, reading: None }
    }

    /// The newest status, however old.
    pub(crate) fn status(&self) -> Option<&NodeStatus> {
        self.reading.as_ref().map(|reading| &*reading.status)
    }

    /// Its name; the address as long as it has not said.
    pub(crate) fn name(&self) -> &str {
        let name = self.status().and_then(|s| s.identity.as_ref()).map_or("", |identity| &identity.node);
        if name.is_empty() { &self.addr } else { name }
    }

    /// The cluster it says that it belongs to.
    pub(crate) fn cluster(&self) -> Option<&str> {
        let identity = self.status()?.identity.as_ref()?;
        (!identity.cluster.is_empty()).then_some(&*identity.cluster)
    }

    /// Names its copy of the state; new with each process.
    pub(crate) fn copy(&self) -> Option<&str> {
        let identity = self.status()?.identity.as_ref()?;
        (!identity.copy.is_empty()).then_some(&*identity.copy)
    }

    /// Its last known role.
    pub(crate) fn role(&self) -> Role {
        self.leadership().map_or(Role::Unspecified, Leadership::role)
    }

    /// Its last known part in leadership.
    pub(crate) fn leadership(&self) -> Option<&Leadership> {
        self.status()?.leadership.as_ref()
    }

    /// The epoch under which it decides or follows.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.leadership()?.epoch
    }

    /// The highest epoch that it has seen.
    pub(crate) fn max_epoch(&self) -> Option<u64> {
        let leadership = self.leadership()?;
        leadership.max_epoch.max(leadership.epoch)
    }

    /// Milliseconds since its newest status arrived.
    pub(crate) fn age_ms(&self, now: Time) -> Option<u64> {
        self.reading.as_ref().map(|reading| now.since(reading.at))
    }

    /// Whether the newest status may be shown as the present one.
    pub(crate) fn is_fresh(&self, now: Time) -> bool {
        self.age_ms(now).is_some_and(|age| age <= self.interval_ms.saturating_mul(FRESH_INTERVALS))
    }
}

/// All nodes at one moment, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// When it was put together.
    pub(crate) at: Time,
    /// Sorted by name, then address.
    pub(crate) nodes: Vec<Node>,
}

impl Frame {
    /// The node at that address.
    pub(crate) fn at_addr(&self, addr: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| &*node.addr == addr)
    }

    /// The node of that name, or at that address.
    pub(crate) fn find(&self, name_or_addr: &str) -> Option<&Node> {
        let named = self.nodes.iter().find(|node| node.status().is_some() && node.name() == name_or_addr);
        named.or_else(|| self.at_addr(name_or_addr))
    }

    /// The primary of the highest epoch that was heard of, fresh or not.
    pub(crate) fn primary(&self) -> Option<&Node> {
        self.nodes.iter().filter(|node| node.role() == Role::Primary).max_by_key(|node| node.epoch())
    }

    /// Standbys and candidates, fresh or not.
    pub(crate) fn standbys(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| matches!(node.role(), Role::Standby | Role::Candidate))
    }

    /// What the primary says of the standby `name`, while that is fresh.
    pub(crate) fn peer(&self, name: &str) -> Option<&Peer> {
        let primary = self.primary().filter(|node| node.is_fresh(self.at))?;
        primary.status()?.standbys.iter().find(|peer| peer.node == name)
    }

    /// The first cluster that a node named.
    pub(crate) fn cluster(&self) -> Option<&str> {
        self.primary().and_then(Node::cluster).or_else(|| self.nodes.iter().find_map(Node::cluster))
    }

    /// For how long what its slowest node said is fresh.
    pub(crate) fn fresh_ms(&self) -> u64 {
        let slowest = self.nodes.iter().map(|node| node.interval_ms).max();
        slowest.unwrap_or(0).saturating_mul(FRESH_INTERVALS)
    }

    /// How many nodes are fresh.
    pub(crate) fn fresh(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_fresh(self.at)).count()
    }

    pub(crate) fn sort(&mut self) {
        self.nodes.sort_by(|a, b| (a.name(), &a.addr).cmp(&(b.name(), &b.addr)));
    }
}

//! The copyings of the state that a primary has begun and not seen through:
//! each pins the log where its replay begins (PROTOCOL S5, S7).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dump::CopyProgress;
use super::view::CopyingView;
use crate::store::CopySession;
use crate::types::{ConnId, CopyId, Epoch, Instant, LogPos, NodeId, Seq, limits};

/// One copying.
#[derive(Debug)]
pub(super) struct Copying {
    pub(super) copy: CopyId,
    pub(super) address: String,
    pub(super) session: CopySession,
    /// Last entry before it began.
    pub(super) resume: LogPos,
    pub(super) progress: Arc<CopyProgress>,
    /// The connection on which homes are sent or entries replayed.
    pub(super) conn: Option<ConnId>,
    begun: Instant,
    /// When its connection ended.
    idle_since: Instant,
    /// Replayed up to here, once it is streamed to.
    replayed: Option<Seq>,
}

/// All of them, one a node at most.
#[derive(Debug, Default)]
pub(super) struct Copies {
    by_node: BTreeMap<NodeId, Copying>,
    /// Number of the last one begun.
    number: u64,
}

impl Copies {
    /// Begins one, in place of any earlier one of that node.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        epoch: Epoch,
        node: &NodeId,
        (copy, address): (CopyId, String),
        resume: LogPos,
    ) -> &mut Copying {
        self.number += 1;
        let session = CopySession { epoch, number: self.number };
        let copying = Copying {
            copy,
            address,
            session,
            resume,
            progress: Arc::default(),
            conn: None,
            begun: now,
            idle_since: now,
            replayed: None,
        };
        self.by_node.remove(node);
        self.by_node.entry(node.clone()).or_insert(copying)
    }

    /// The one that this node's copy speaks of, if it is not over.
    pub(super) fn find(&mut self, node: &NodeId, copy: CopyId, session: CopySession) -> Option<&mut Copying> {
        self.by_node.get_mut(node).filter(|c| c.copy == copy && c.session == session)
    }

    /// This copy is streamed to, on this connection.
    pub(super) fn connected(&mut self, node: &NodeId, copy: CopyId, conn: ConnId) {
        if let Some(copying) = self.by_node.get_mut(node).filter(|c| c.copy == copy) {
            copying.conn = Some(conn);
        }
    }

    /// The copy of this node has replayed so much.
    pub(super) fn replayed(&mut self, node: &NodeId, copy: CopyId, upto: Seq) {
        if let Some(copying) = self.by_node.get_mut(node).filter(|c| c.copy == copy) {
            copying.replayed = copying.replayed.max(Some(upto));
        }
    }

    /// That node needs none any more.
    pub(super) fn finish(&mut self, node: &NodeId) {
        self.by_node.remove(node);
    }

    /// A connection ended: the copying waits a while for its standby.
    pub(super) fn closed(&mut self, now: Instant, conn: ConnId) {
        for copying in self.by_node.values_mut().filter(|c| c.conn == Some(conn)) {
            copying.conn = None;
            copying.idle_since = now;
        }
    }

    /// Gives up those whose standby did not come back.
    pub(super) fn expire(&mut self, now: Instant) {
        self.by_node.retain(|_, c| c.conn.is_some() || now < c.idle_since.plus(limits::COPY_PATIENCE));
    }

    /// Gives up all of them; their connections.
    pub(super) fn abort(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.by_node).into_values().filter_map(|c| c.conn).collect()
    }

    /// When the next one is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let idle = self.by_node.values().filter(|c| c.conn.is_none());
        idle.map(|c| c.idle_since.plus(limits::COPY_PATIENCE)).min()
    }

    /// Nothing from here on may be trimmed.
    pub(super) fn pin(&self) -> Option<Seq> {
        self.by_node.values().map(|c| c.replayed.unwrap_or_else(|| c.resume.end())).min()
    }

    /// Connections on which homes are sent.
    pub(super) fn connections(&self) -> impl Iterator<Item = ConnId> {
        self.by_node.values().filter_map(|c| c.conn)
    }

    /// What operators see.
    pub(super) fn view(&self, now: Instant) -> Vec<CopyingView> {
        let view = |(node, c): (&NodeId, &Copying)| CopyingView {
            node: node.clone(),
            copy: c.copy,
            address: c.address.clone(),
            connected: c.conn.is_some(),
            homes: c.progress.homes(),
            bytes: c.progress.bytes(),
            hold_max: c.progress.hold_max(),
            elapsed: now.since(c.begun),
            idle_for: c.conn.is_none().then(|| now.since(c.idle_since)),
            replayed: c.replayed,
        };
        self.by_node.iter().map(view).collect()
    }
}

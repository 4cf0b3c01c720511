//! Replication: the primary ships batches and counts acknowledgements
//! ([`Primary`]), the standby applies and acknowledges ([`Standby`]), and the
//! [`Gate`] says which answers may leave.

mod applier;
mod frames;
mod gate;
mod pending;
mod primary;
mod standby;
mod view;

pub use applier::{OpLogApplier, Quarantined};
pub use frames::{
    Ack, BatchFrame, Hello, InSyncRecord, PrimaryFrame, StandbyFrame, Start, StreamRefusal, Welcome,
};
pub use gate::Gate;
pub use pending::PendingReplies;
pub use primary::{Keeping, Primary, PrimaryAction, PrimaryEvent, PrimaryStart, RecordStart};
pub use standby::{Standby, StandbyAction, StandbyEvent, StandbyStart};
pub use view::{AbsentView, LinkView, PeerState, PeerView, PrimaryView, StandbyView};

use std::time::Duration;

use crate::types::{AckMode, ClusterId, CopyId, NodeId};

/// Version of the stream between nodes.
pub const PROTOCOL_VERSION: u32 = 1;

/// Periods of replication (PROTOCOL T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicationTimes {
    /// HB: a frame at least this often.
    pub heartbeat: Duration,
    /// G: an acknowledgement promises for this long not to let another primary speak.
    pub grant: Duration,
    /// T_shrink: an in-sync standby that is silent for longer leaves the record.
    pub shrink: Duration,
}

impl Default for ReplicationTimes {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            grant: Duration::from_millis(500),
            shrink: Duration::from_millis(250),
        }
    }
}

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's name.
    pub node: NodeId,
    /// This copy of the state.
    pub copy: CopyId,
    /// Where other nodes and operators reach it.
    pub address: String,
}

/// What both machines are told once.
#[derive(Debug, Clone)]
pub struct ReplicationConfig {
    /// Periods.
    pub times: ReplicationTimes,
    /// When replies may go out.
    pub ack: AckMode,
    /// Longest read lease that a primary of this configuration grants.
    pub read_ttl_max: Duration,
}

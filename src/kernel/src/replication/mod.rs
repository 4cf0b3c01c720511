//! Replication: the primary ships batches and counts acknowledgements
//! ([`Primary`]), the standby applies and acknowledges ([`Standby`]), and the
//! [`Gate`] says which answers may leave.

mod ages;
mod applier;
mod catch_up;
mod copies;
mod dump;
mod frames;
mod gate;
mod pending;
mod primary;
mod receive;
mod standby;
mod verify;
mod view;

pub use applier::{OpLogApplier, Quarantined};
pub use catch_up::CatchUpView;
pub use dump::{CopyProgress, Dump, HomeSet};
pub use frames::{
    Ack, BatchFrame, CopyEnd, CopyFrame, CopyRequest, FullSyncReason, Hello, InSyncRecord, PrimaryFrame,
    StandbyFrame, Start, StreamRefusal, Welcome,
};
pub use gate::{Admission, Gate};
pub use pending::PendingReplies;
pub use primary::{
    Closing, Detached, Keeping, Primary, PrimaryAction, PrimaryEvent, PrimaryStart, RecordStart,
};
pub use standby::{Standby, StandbyAction, StandbyEvent, StandbyStart};
pub use verify::{
    Beacon, BeaconFrame, MismatchEntry, MismatchNote, RecountView, Recounter, Soundness, Standing,
    VerificationAsk, VerificationClient, VerificationEntry, VerificationHandler, VerificationOutcome,
    VerificationRequest, VerificationResponse, VerifyConfig, VerifyNote, VerifyView,
};
pub use view::{AbsentView, CopyView, CopyingView, LinkView, PeerState, PeerView, PrimaryView, StandbyView};

use std::time::Duration;

use crate::types::{AckMode, ClusterId, CopyId, NodeId, limits};

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
    /// How copies are compared.
    pub verify: VerifyConfig,
    /// How entries are gathered and sent.
    pub ship: ShipConfig,
    /// In async mode: how much a failover may lose.
    pub loss: LossBound,
    /// What happens when too few standbys are in sync.
    pub degrade: Degrade,
}

/// What a primary with a coordinator does when a standby is lost. Without one it
/// always waits: nobody but an operator takes a standby off the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Degrade {
    /// The standby leaves the record, and writes go on without it (PROTOCOL I7).
    #[default]
    Available,
    /// Writes are refused while fewer standbys than this are in sync and grant; the
    /// last ones stay on record, silent (PROTOCOL I8).
    Strict {
        /// At least 1, at most [`limits::STANDBYS_MAX`].
        min_insync: u32,
    },
}

impl Degrade {
    /// Standbys that must be in sync and grant for a write to be let in.
    #[must_use]
    pub fn demanded(self) -> u32 {
        match self {
            Self::Available => 0,
            Self::Strict { min_insync } => min_insync,
        }
    }
}

/// How entries are gathered into batches and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShipConfig {
    /// Most entries of one batch.
    pub batch_entries: usize,
    /// Most entries sent to one standby and not yet acknowledged.
    pub window_entries: u64,
    /// A batch that is not full waits for so long for more. 0 sends at once.
    pub linger: Duration,
}

impl Default for ShipConfig {
    fn default() -> Self {
        Self {
            batch_entries: limits::SHIP_ENTRIES_MAX,
            window_entries: limits::SHIP_WINDOW_ENTRIES,
            linger: Duration::ZERO,
        }
    }
}

/// How much of what was acknowledged an in-sync standby may lack in async mode.
/// Beyond it writes are refused until it has caught up (PROTOCOL A6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossBound {
    /// Entries.
    pub entries: u64,
    /// Age of the oldest of them.
    pub age: Duration,
}

impl Default for LossBound {
    fn default() -> Self {
        Self { entries: limits::LOSS_ENTRIES_MAX, age: limits::LOSS_AGE_MAX }
    }
}

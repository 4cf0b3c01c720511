//! The tokio drivers around the kernel's machines, under the plan's names. The
//! shell carries out what the machines say and decides nothing itself.

mod convert;
mod driver;
mod full_sync_service;
mod health;
mod history;
mod hot_standby_service;
mod journal;
mod master_service;
mod replication_service;
mod serving;
mod status;
mod supervisor;
mod trace;
mod traffic;
mod verification;

/// What operators order, and what came of it.
pub use standfast_kernel::node::{Operated, Order};

pub use driver::{Command, Driver, DriverParts, NodeHandle, StoppedNode};
pub use full_sync_service::{CopyStream, FullSyncService};
pub use health::{Judgement, MaxLag};
pub use history::{History, exchange_history};
pub use hot_standby_service::HotStandbyService;
pub use journal::Journal;
pub use master_service::{Fault, Line, MasterService, call_timeout};
pub use replication_service::{ConnIds, PeerStream, ReplicationService};
pub use serving::ServingCell;
pub use status::{SecurityFacts, StatusBoard, StatusFacts};
pub use supervisor::MasterServiceSupervisor;
pub use trace::WriteTraces;
pub use traffic::{Door, Traffic};
pub use verification::VerifyCommand;

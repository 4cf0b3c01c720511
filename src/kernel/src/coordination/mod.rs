//! What the coordinator keeps, and how it is changed: records, guarded
//! transactions (PROTOCOL 4) and a model of the coordinator itself.
//!
//! The coordinator is etcd, a witness, or the simulation's; all of them behave
//! as [`RecordStore`] does, and a conformance suite holds them to it. The
//! witness stores bytes in it, the simulation typed records.

mod automation;
mod publish;
mod records;
mod store;
mod transactions;
mod txn;
mod view;

pub use automation::{AutomaticChange, AutomationRecord, remember, set_automation};
pub use publish::{Publish, publish};
pub use records::{
    EpochCause, EpochRecord, HistoryId, HistoryLoss, HistoryRecord, IsrMember, IsrRecord, Key,
    RehearsalRecord, Value, prefix,
};
pub use store::{Change, Compacted, RecordStore};
pub use transactions::{
    Base, HandOver, bootstrap, change_isr, create_view, forced, hand_over, rehearse, renew, retire_view,
    takeover, update_history,
};
pub use txn::{Compare, DuplicateKey, Outcome, Put, Reading, Revision, Txn, Versioned};
pub use view::{Known, RecordView};

/// A transaction on the records.
pub type Transaction = Txn<Key, Value>;
/// What came of one.
pub type TransactionOutcome = Outcome<Key, Value>;
/// Some records at one revision.
pub type Records = Reading<Key, Value>;

//! What operators have said about automatic changes of the holder, and which
//! there were lately. Kept so that all nodes see it and restarts forget nothing.

use super::records::{Key, Value};
use super::transactions::guarded;
use super::txn::{Compare, Put, Revision, Txn};
use crate::types::{Epoch, WallTime};

/// Automatic changes that are remembered; the newest.
const CHANGES_KEPT: usize = 16;

/// The last word of an operator. Wall times: they are for people, may be off by
/// the clocks' differences, and no promise rests on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutomationRecord {
    /// Until then no node takes over by itself. `None`: an operator let it go on.
    pub paused_until: Option<WallTime>,
    /// Automatic changes that ended an earlier epoch than this are acknowledged.
    pub acknowledged: Epoch,
    /// Who said it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: WallTime,
}

/// A change of the holder that no operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutomaticChange {
    /// The epoch that it ended.
    pub previous: Epoch,
    /// When, by the clock of the node that took over.
    pub at: WallTime,
}

/// Those before, and one more.
#[must_use]
pub fn remember(mut changes: Vec<AutomaticChange>, change: AutomaticChange) -> Vec<AutomaticChange> {
    changes.push(change);
    let surplus = changes.len().saturating_sub(CHANGES_KEPT);
    changes.drain(..surplus);
    changes
}

/// An operator's word, unless another one was quicker.
#[must_use]
pub fn set_automation(seen: Revision, record: AutomationRecord) -> Txn<Key, Value> {
    let compares = vec![Compare::Modified(Key::Automation, seen)];
    guarded(compares, vec![Put::Set(Key::Automation, Value::Automation(record))])
}

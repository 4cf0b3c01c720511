//! Every transaction of PROTOCOL 4, one function each. All of them read the
//! truth when a compare fails.

use super::records::{EpochRecord, HistoryId, HistoryRecord, IsrRecord, Key, RehearsalRecord, Value};
use super::txn::{Compare, Put, Revision, Txn};
use crate::types::NodeId;

type Transaction = Txn<Key, Value>;

/// The records that a decision stands on, by the revision of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// Of `epoch`: E itself.
    pub epoch: Revision,
    /// Of `isr`.
    pub isr: Revision,
}

/// What a hand-over writes (PROTOCOL T7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    /// The target's record, `quiet`.
    pub target: EpochRecord,
    /// What people read about it.
    pub history: HistoryRecord,
}

pub(super) fn guarded(compares: Vec<Compare<Key>>, then: Vec<Put<Key, Value>>) -> Transaction {
    Txn { compares, then, or_else: vec![Key::Epoch, Key::Isr, Key::Alive, Key::Automation] }
}

fn on(base: Base) -> Vec<Compare<Key>> {
    let mut compares = vec![Compare::Modified(Key::Epoch, base.epoch)];
    if !mutant!(TakeNoIsrCmp) {
        compares.push(Compare::Modified(Key::Isr, base.isr));
    }
    compares
}

/// What every new epoch writes: the holder, a fresh counter, and its history.
fn begin(holder: EpochRecord, history: HistoryRecord) -> Vec<Put<Key, Value>> {
    let id = HistoryId { previous: holder.previous, nonce: holder.nonce };
    vec![
        Put::Set(Key::Epoch, Value::Epoch(holder)),
        Put::Set(Key::Alive, Value::Alive(0)),
        Put::Set(Key::History(id), Value::History(history)),
    ]
}

/// The first epoch of a cluster, with this copy alone in its in-sync set.
#[must_use]
pub fn bootstrap(me: EpochRecord, isr: IsrRecord, history: HistoryRecord) -> Transaction {
    let mut then = begin(me, history);
    then.push(Put::Set(Key::Isr, Value::Isr(isr)));
    guarded(vec![Compare::Created(Key::Epoch, Revision::NONE)], then)
}

/// A member of the in-sync set takes over; membership stays as it is. A silent
/// member also names the revision of `alive` that it saw unchanged for `up(L)`,
/// one that nobody asked the word of operators that it knows: a pause counts
/// from when it is on record.
#[must_use]
pub fn takeover(
    base: Base,
    unchanged_alive: Option<Revision>,
    automation: Option<Revision>,
    me: EpochRecord,
    history: HistoryRecord,
) -> Transaction {
    let mut compares = on(base);
    compares.extend(unchanged_alive.map(|alive| Compare::Modified(Key::Alive, alive)));
    compares.extend(automation.map(|seen| Compare::Modified(Key::Automation, seen)));
    guarded(compares, begin(me, history))
}

/// An empty copy takes the place of all others (PROTOCOL T4).
#[must_use]
pub fn forced(
    base: Base,
    unchanged_alive: Revision,
    automation: Option<Revision>,
    me: EpochRecord,
    isr: IsrRecord,
    history: HistoryRecord,
) -> Transaction {
    let mut then = begin(me, history);
    then.push(Put::Set(Key::Isr, Value::Isr(isr)));
    let mut compares = on(base);
    compares.push(Compare::Modified(Key::Alive, unchanged_alive));
    compares.extend(automation.map(|seen| Compare::Modified(Key::Automation, seen)));
    guarded(compares, then)
}

/// The holder changes the in-sync set (PROTOCOL I4).
#[must_use]
pub fn change_isr(base: Base, isr: IsrRecord) -> Transaction {
    let mut compares = vec![Compare::Modified(Key::Epoch, base.epoch)];
    if !mutant!(ProposeBlind) {
        compares.push(Compare::Modified(Key::Isr, base.isr));
    }
    guarded(compares, vec![Put::Set(Key::Isr, Value::Isr(isr))])
}

/// The holder renews its solo lease.
#[must_use]
pub fn renew(epoch: Revision, counter: u64) -> Transaction {
    let then = vec![Put::Set(Key::Alive, Value::Alive(counter))];
    guarded(vec![Compare::Modified(Key::Epoch, epoch)], then)
}

/// The holder makes another member the holder.
#[must_use]
pub fn hand_over(base: Base, to: HandOver) -> Transaction {
    guarded(on(base), begin(to.target, to.history))
}

/// Publish, first half: removes the address of a former holder, created at `view`.
#[must_use]
pub fn retire_view(epoch: Revision, view: Revision) -> Transaction {
    let mut compares = Vec::new();
    if !mutant!(PublishNoEpoch) {
        compares.push(Compare::Modified(Key::Epoch, epoch));
    }
    if !mutant!(RetireAnyView) {
        compares.push(Compare::Created(Key::MasterView, view));
    }
    publishing(compares, Put::Delete(Key::MasterView))
}

/// Publish, second half: creates the key anew, because clients go by its
/// create revision (PROTOCOL C5).
#[must_use]
pub fn create_view(epoch: Revision, address: String) -> Transaction {
    let mut compares = Vec::new();
    if !mutant!(PublishNoEpoch) {
        compares.push(Compare::Modified(Key::Epoch, epoch));
    }
    if !mutant!(PutOverView) {
        compares.push(Compare::Created(Key::MasterView, Revision::NONE));
    }
    publishing(compares, Put::Set(Key::MasterView, Value::MasterView(address)))
}

fn publishing(compares: Vec<Compare<Key>>, put: Put<Key, Value>) -> Transaction {
    let mut txn = guarded(compares, vec![put]);
    txn.or_else.push(Key::MasterView);
    txn
}

/// The holder completes the history of its epoch, and drops the oldest one.
#[must_use]
pub fn update_history(
    epoch: Revision,
    id: HistoryId,
    history: HistoryRecord,
    oldest: Option<HistoryId>,
) -> Transaction {
    let mut then = vec![Put::Set(Key::History(id), Value::History(history))];
    then.extend(oldest.filter(|old| *old != id).map(|old| Put::Delete(Key::History(old))));
    guarded(vec![Compare::Modified(Key::Epoch, epoch)], then)
}

/// The compares of a takeover, with no effect on anybody (PROTOCOL 12).
#[must_use]
pub fn rehearse(
    base: Base,
    unchanged_alive: Option<Revision>,
    node: NodeId,
    found: RehearsalRecord,
) -> Transaction {
    let mut compares = on(base);
    compares.extend(unchanged_alive.map(|alive| Compare::Modified(Key::Alive, alive)));
    guarded(compares, vec![Put::Set(Key::Rehearsal(node), Value::Rehearsal(found))])
}

#[cfg(test)]
#[path = "transactions_tests.rs"]
mod tests;

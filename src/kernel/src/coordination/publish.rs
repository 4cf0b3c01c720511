//! Moving Mooncake's clients: retire the former holder's address, then create
//! ours (PROTOCOL C5).

use super::records::{Key, Value};
use super::transactions::{create_view, retire_view};
use super::txn::{Revision, Txn};
use super::view::RecordView;

/// What the holder has to do about the client key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// The key was never read: read it first.
    NotKnown,
    /// It names the holder's address since this revision, which is what clients
    /// go by: `Ping.view_version_id`.
    Done(Revision),
    /// Do this, then look again, whatever came of it.
    Do(Txn<Key, Value>),
}

/// The next step of the holder of `epoch`, whose clients' port listens at `address`.
#[must_use]
pub fn publish(view: &RecordView, epoch: Revision, address: &str) -> Publish {
    match &view.master_view.record {
        _ if view.master_view.at == Revision::NONE => Publish::NotKnown,
        Some(record) if record.value == address => Publish::Done(record.created),
        Some(record) => Publish::Do(retire_view(epoch, record.created)),
        None => Publish::Do(create_view(epoch, address.to_owned())),
    }
}

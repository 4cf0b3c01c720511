//! What the shell needs from the world, as traits: production adapters are in
//! `outbound`, tests bring their own.

use std::future::Future;

use standfast_kernel::coordination::{Records, Revision, Transaction, TransactionOutcome};
use standfast_kernel::types::{Instant, WallTime};
use standfast_proto::v1;
use tokio::sync::mpsc;

/// Time of this node.
pub trait Clock: Send + Sync + 'static {
    /// Local time that never jumps and counts while the machine sleeps.
    fn now(&self) -> Instant;
    /// Wall time, for people.
    fn wall(&self) -> WallTime;
}

/// Randomness.
pub trait Entropy: Send + Sync + 'static {
    /// 128 random bits.
    fn random(&self) -> u128;
}

/// Why a link to a peer ended or could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{peer}: {what}")]
pub struct LinkFault {
    /// The address dialled.
    pub peer: String,
    /// What went wrong.
    pub what: String,
}

impl LinkFault {
    /// What is wrong when nobody listens at the address.
    pub const REFUSED: &str = "connection refused";

    /// True when nobody listens at the address: its process is gone.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.what == Self::REFUSED
    }
}

/// A stream to the node that this one follows.
pub trait PeerLink: Send + Sync + 'static {
    /// Opens a stream that sends `frames`; returns what comes back. Dropping
    /// either end closes it.
    fn open(
        &self,
        frames: mpsc::Receiver<v1::StandbyFrame>,
    ) -> impl Future<Output = Result<mpsc::Receiver<Result<v1::PrimaryFrame, LinkFault>>, LinkFault>> + Send;

    /// Asks for a copy of the state; returns what comes back. Dropping it ends it.
    fn full_sync(
        &self,
        request: v1::FullSyncRequest,
    ) -> impl Future<Output = Result<mpsc::Receiver<Result<v1::FullSyncFrame, LinkFault>>, LinkFault>> + Send;

    /// Tells what is known here of the history; returns what is known there.
    fn exchange_history(
        &self,
        exchange: v1::HistoryExchange,
    ) -> impl Future<Output = Result<v1::HistoryExchange, LinkFault>> + Send;

    /// The address that it dials.
    fn address(&self) -> &str;
}

/// Why the coordinator could not be asked, or its answer not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorFault {
    /// No answer; another attempt may have one.
    #[error("coordinator {endpoint}: {what}")]
    NoAnswer {
        /// Whom it was asked.
        endpoint: String,
        /// What went wrong.
        what: String,
    },
    /// It does not let us.
    #[error("coordinator {endpoint} refuses: {what}")]
    Refused {
        /// Whom it was asked.
        endpoint: String,
        /// What it said.
        what: String,
    },
    /// A record is not what this program writes: somebody else did.
    #[error("the coordinator's key `{key}` holds `{value}`: expected {expected}")]
    BadRecord {
        /// The key.
        key: String,
        /// What it holds, shortened if long.
        value: String,
        /// What would have been understood, and why this was not.
        expected: String,
    },
    /// Its revisions went back: it was restored from a backup, or replaced. No
    /// epoch is safe until they have passed the former ones (PROTOCOL C4).
    #[error("the coordinator was at revision {had} and is at {now}: it lost what was written since")]
    MovedBack {
        /// The highest revision seen.
        had: Revision,
        /// The revision now.
        now: Revision,
    },
}

/// What a watch tells. A hint, never a ground for a decision (PROTOCOL C3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// These records are, or were, so at that revision. The first news, and the
    /// first after each loss, names every record that leadership rests on.
    Seen(Records),
    /// The watch broke; it is begun anew by itself.
    Lost(CoordinatorFault),
}

/// Records that are read as a whole, by people and for the display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Changes of the holder, oldest first.
    History,
    /// What each standby's rehearsal found.
    Rehearsals,
}

/// Keeps the records of one cluster; linearizable, and may be slow or away.
pub trait Coordinator: Send + Sync + 'static {
    /// The records that leadership rests on, linearizably and at one revision.
    fn read(&self) -> impl Future<Output = Result<Records, CoordinatorFault>> + Send;

    /// All records of one kind. What cannot be understood is left out and logged:
    /// nothing is decided by these.
    fn list(&self, shelf: Shelf) -> impl Future<Output = Result<Records, CoordinatorFault>> + Send;

    /// Carries out a transaction, once, within the call deadline. Without an
    /// answer the outcome is unknown and may still come (PROTOCOL C1).
    fn transact(&self, transaction: &Transaction) -> impl Future<Output = TransactionOutcome> + Send;

    /// Watches the records until the receiver is dropped. A slow receiver slows
    /// the watch.
    fn follow(&self) -> mpsc::Receiver<News>;

    /// Where it is, for people.
    fn location(&self) -> &str;
}

/// Keeps rows of the history over restarts.
pub trait Archive: Send + Sync + 'static {
    /// Leaves a row, new or known better than before; never waits.
    fn keep(&self, row: v1::RoleChange);
}

/// Somebody who is told about role changes.
pub trait Notifier: Send + Sync + 'static {
    /// Leaves a message, one line of JSON; never waits.
    fn tell(&self, message: String);

    /// Messages that arrived, and those that did not.
    fn counts(&self) -> (u64, u64);
}

//! Copies and moves that clients carry out, and the tasks that ask for them.

use std::fmt;

use super::{Epoch, LogPos, Uuid};

/// What a client does with a replica (Mooncake's `TaskType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TransferKind {
    /// More replicas, the source stays.
    Copy = 0,
    /// The source goes when the target is complete.
    Move = 1,
}

/// Names a task for ever: the position of the op that created it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub LogPos);

impl TaskId {
    /// As clients know it: (epoch, seq).
    #[must_use]
    pub fn uuid(self) -> Uuid {
        Uuid { first: self.0.epoch.0, second: self.0.seq }
    }
}

impl From<Uuid> for TaskId {
    fn from(id: Uuid) -> Self {
        Self(LogPos { epoch: Epoch(id.first), seq: id.second })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid().fmt(f)
    }
}

/// Life of a task on the wire (SEMANTICS 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TaskStatus {
    /// Waits for its client to fetch it.
    Pending = 0,
    /// Fetched.
    Processing = 1,
    /// Ended without success, or in time by neither.
    Failed = 2,
    /// Done.
    Success = 3,
}

impl TaskStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Processing, Self::Failed, Self::Success];

    /// The status with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|s| *s as u8 == code)
    }

    /// True when nothing can happen to the task any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Failed | Self::Success)
    }
}

//! Positions in the op log.

use std::fmt;

/// Leadership generation and fencing token. 0 means that none was seen yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// Dense position in the log, from 1. Marks such as tail, applied and commit
/// are exclusive: they name the next position, so equal marks mean lag 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// The position of the first entry; as a mark, "nothing yet".
    pub const FIRST: Self = Self(1);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// How many entries lie in `earlier..self`; 0 when `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Default for Seq {
    fn default() -> Self {
        Self::FIRST
    }
}

/// Identifies one entry for ever: the epoch in which it was appended, and its
/// seq. [`LogPos::NONE`] stands before the first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogPos {
    /// Epoch of the primary that appended the entry.
    pub epoch: Epoch,
    /// The entry's own seq; 0 in [`LogPos::NONE`] only.
    pub seq: u64,
}

impl LogPos {
    /// Before the first entry.
    pub const NONE: Self = Self { epoch: Epoch(0), seq: 0 };

    /// The position of the entry `seq` appended in `epoch`.
    #[must_use]
    pub fn new(epoch: Epoch, seq: Seq) -> Self {
        Self { epoch, seq: seq.0 }
    }

    /// The exclusive mark after this entry.
    #[must_use]
    pub fn end(self) -> Seq {
        Seq(self.seq.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LogPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.epoch, self.seq)
    }
}

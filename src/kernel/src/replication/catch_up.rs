//! How far a copy that was behind has come, and how long the rest takes.

use std::time::Duration;

use crate::types::{Instant, Seq};

/// Begun when a stream begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct CatchUp {
    since: Instant,
    from: Seq,
    /// What it lacked then.
    lacked: u64,
}

impl CatchUp {
    pub(super) fn begin(now: Instant, from: Seq, tail: Seq) -> Self {
        Self { since: now, from, lacked: tail.since(from) }
    }

    /// `None` for a copy that lacks nothing.
    pub(super) fn view(&self, now: Instant, applied: Seq, tail: Seq) -> Option<CatchUpView> {
        let view = CatchUpView {
            done: applied.since(self.from),
            lacks: tail.since(applied),
            lacked: self.lacked,
            elapsed: now.since(self.since),
        };
        (view.lacks > 0).then_some(view)
    }
}

/// What operators see of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUpView {
    /// Entries applied since the stream began.
    pub done: u64,
    /// Entries that it lacks now.
    pub lacks: u64,
    /// Entries that it lacked when the stream began.
    pub lacked: u64,
    /// Since the stream began.
    pub elapsed: Duration,
}

impl CatchUpView {
    /// How long the rest takes if the gap goes on closing as it has; `None` while it
    /// does not close: writes may come as fast as they are applied.
    #[must_use]
    pub fn eta(&self) -> Option<Duration> {
        let closed = self.lacked.checked_sub(self.lacks).filter(|n| *n > 0)?;
        let nanos = self.elapsed.as_nanos() * u128::from(self.lacks) / u128::from(closed);
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_gap_closes() {
        let begun = CatchUp::begin(Instant(0), Seq(101), Seq(1_101));
        let second = Instant(1_000_000_000);
        let view = |applied, tail| begun.view(second, Seq(applied), Seq(tail));
        assert_eq!(view(1_101, 1_101), None, "it lacks nothing");
        let half = view(1_101, 1_601).expect("behind");
        assert_eq!((half.done, half.lacks, half.eta()), (1_000, 500, Some(Duration::from_secs(1))));
        let never = view(1_101, 2_101).expect("behind");
        assert_eq!(never.eta(), None, "writes come as fast as they are applied");
    }
}

//! Time as values. The kernel never asks what time it is.

use std::fmt;
use std::time::Duration;

/// Local time of one node, in nanoseconds since an origin of its own. Values
/// of two nodes are never compared (PROTOCOL 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// Later than every instant that occurs.
    pub const MAX: Self = Self(u64::MAX);

    /// This instant plus `d`, saturating.
    #[must_use]
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(nanos(d)))
    }

    /// Time from `earlier` to this instant; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Wall time in microseconds since 1970 UTC. Written into entries for people;
/// no decision depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct WallTime(pub u64);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

/// A local wait that certainly covers another node's count of `d`, when clock
/// rates stay within 1 % of true time (PROTOCOL 1: `up(X)`, rho = 1 %).
#[must_use]
pub fn up(d: Duration) -> Duration {
    if mutant!(Drift0) {
        return d;
    }
    d.mul_f64(1.01 / 0.99) + Duration::from_millis(5)
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_covers_the_worst_pair_of_clocks() {
        // My clock runs 1 % fast, the other's 1 % slow: while it counts 1 s I count 1.01/0.99 s.
        let mine = Duration::from_secs_f64(1.01 / 0.99);
        assert!(up(Duration::from_secs(1)) > mine);
    }

    #[test]
    fn instants_saturate() {
        assert_eq!(Instant::MAX.plus(Duration::from_secs(1)), Instant::MAX);
        assert_eq!(Instant(5).since(Instant(9)), Duration::ZERO);
    }
}

//! Clocks with their own origin and rate. True time exists only here, in
//! nanoseconds; machines and clients see their local time.

use std::time::Duration;

use standfast_kernel::types::Instant;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// Rates stay within 1 % of true time (PROTOCOL, failure model).
pub(crate) const DRIFT_PPM_MAX: i64 = 10_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    since: u64,
    local: u64,
    ppm: i64,
}

impl Clock {
    pub(crate) fn new(origin: u64, ppm: i64) -> Self {
        Self { since: 0, local: origin, ppm }
    }

    pub(crate) fn at(&self, t: u64) -> Instant {
        let passed = t.saturating_sub(self.since);
        let drift = i128::from(passed) * i128::from(self.ppm) / 1_000_000;
        Instant((i128::from(self.local) + i128::from(passed) + drift) as u64)
    }

    /// The first true time at which the clock shows `local` or more.
    pub(crate) fn reaches(&self, local: Instant) -> u64 {
        let ahead = u128::from(local.0.saturating_sub(self.local));
        let rate = (1_000_000 + self.ppm) as u128;
        let t = u128::from(self.since) + (ahead * 1_000_000).div_ceil(rate);
        // Rounding of `at` may be a nanosecond short.
        u64::try_from(t).unwrap_or(u64::MAX - 1) + 1
    }

    /// Goes on at another rate from `t` on.
    pub(crate) fn drift(&mut self, t: u64, ppm: i64) {
        *self = Self { since: t, local: self.at(t).0, ppm };
    }

    /// True time after which `d` has passed here.
    pub(crate) fn after(&self, t: u64, d: Duration) -> u64 {
        self.reaches(self.at(t).plus(d))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_reaches_what_it_is_asked_for_and_never_jumps() {
        let mut clock = Clock::new(77, -DRIFT_PPM_MAX);
        for (t, ppm) in [(0, 9_999), (5 * SECOND, -10_000), (9 * SECOND, 0)] {
            let before = clock.at(t);
            clock.drift(t, ppm);
            assert_eq!(clock.at(t), before);
            let due = clock.after(t, Duration::from_millis(500));
            assert!(clock.at(due) >= before.plus(Duration::from_millis(500)));
            assert!(clock.at(due - 3) < before.plus(Duration::from_millis(500)));
        }
    }
}

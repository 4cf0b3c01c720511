//! The console's own clock, as values. Reading it is `run.rs`'s business; everything else is given the time.

use std::fmt;

use jiff::Timestamp;

/// Milliseconds since 1970 UTC on the console's clock: the wall clock at its start, advanced by monotonic time. In a
/// replay it is the time of the recording. Never compared with the clock of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// Milliseconds since `earlier`; 0 when that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This many milliseconds later.
    #[must_use]
    pub fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This many milliseconds earlier, but not before 1970.
    #[must_use]
    pub fn minus(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// `12:00:01`, UTC.
    #[must_use]
    pub fn clock(self) -> String {
        let s = self.0 / 1000;
        format!("{:02}:{:02}:{:02}", s / 3600 % 24, s / 60 % 60, s % 60)
    }

    /// `2026-11-23T12:00:01Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        rfc3339_us(self.0.saturating_mul(1000).try_into().unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.clock())
    }
}

/// A node's wall clock in microseconds since 1970, as RFC 3339 UTC; `?` when it is no date.
pub(crate) fn rfc3339_us(us: i64) -> String {
    Timestamp::from_microsecond(us).map_or_else(|_| "?".to_owned(), |at| at.to_string())
}

/// The time of day of a node's wall clock.
pub(crate) fn clock_us(us: i64) -> String {
    u64::try_from(us).map_or_else(|_| "?".to_owned(), |us| Time(us / 1000).clock())
}

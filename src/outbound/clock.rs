//! The clocks of the machine: the only place that reads them.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use standfast_kernel::types::{Instant, WallTime};

use crate::ports::Clock;

/// `CLOCK_BOOTTIME` for decisions, the wall clock for people (PROTOCOL 1).
#[derive(Debug, Clone, Copy, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Instant {
        // Cannot fail on Linux for this clock; 0 would only make leases end late.
        let t = clock_gettime(ClockId::CLOCK_BOOTTIME)
            .map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64);
        Instant(t)
    }

    #[expect(clippy::disallowed_methods, reason = "the clock adapter is where wall time is read")]
    fn wall(&self) -> WallTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(since_epoch.as_micros() as u64)
    }
}

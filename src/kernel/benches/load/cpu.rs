//! Processor time of this thread: what a busy neighbour takes is not in it,
//! though what the neighbour does to the caches is.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// So far.
pub(crate) fn spent() -> Duration {
    let Ok(time) = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID) else { panic!("no clock of this thread") };
    Duration::new(time.tv_sec() as u64, time.tv_nsec() as u32)
}

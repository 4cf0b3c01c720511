//! Has this machine stopped without its clock? A virtual machine that was paused, or
//! restored from a snapshot, goes on counting where it was; the wall clock is set
//! right some time later, and leaps ahead of that count (PROTOCOL 1).

use super::{Happening, Node, NodeAction};
use crate::replication::PrimaryEvent;
use crate::types::{Instant, WallTime};

/// Of the time between two looks, so much may lie between the clocks because they
/// run at different rates: far more than any clock's does.
const RATE_SHARE: u32 = 10;

impl Node {
    /// Where the wall clock has leapt ahead, no right counts and no silence is held
    /// against anybody before it is seen anew. An operator who sets the clock looks
    /// the same. A leap back is none: nothing that is promised hangs on that clock.
    pub(super) fn compare_clocks(&mut self, now: Instant, wall: WallTime, out: &mut Vec<NodeAction>) {
        let Some((then, wall_then)) = self.clocks.replace((now, wall)) else { return };
        let counted = now.since(then);
        let shown = std::time::Duration::from_micros(wall.0.saturating_sub(wall_then.0));
        let leap = shown.saturating_sub(counted);
        let usual = self.config.replication.times.heartbeat + counted / RATE_SHARE;
        if leap <= usual || mutant!(ClockLeapIgnored) {
            return;
        }
        let text = format!(
            "the wall clock has leapt {} ms ahead of this machine's own count of time: it was set, or the machine \
             had stopped. No answer leaves before every promise is confirmed anew, and nobody is taken for gone \
             before a whole wait",
            leap.as_millis()
        );
        out.push(NodeAction::Happened(Happening::warning("clock_leapt", text)));
        if let Some(leadership) = &mut self.leadership {
            leadership.doubt(now);
        }
        self.primary_event(now, PrimaryEvent::Doubt, out);
    }
}

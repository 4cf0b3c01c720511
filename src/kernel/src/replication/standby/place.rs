//! What a standby learns of its place in the in-sync set.

use super::{Standby, StandbyAction};
use crate::replication::BatchFrame;
use crate::types::{Instant, Seq};

impl Standby {
    /// Takes what the primary says of the set. A copy that is streamed to and has lost its place says so, with what
    /// is known here of how far it is behind: whoever reads only this node's log learns it too.
    pub(super) fn heed_record(&mut self, now: Instant, frame: &BatchFrame, out: &mut Vec<StandbyAction>) {
        let Some(record) = &frame.record else { return };
        let had = self.record.as_ref().is_some_and(|r| r.holds(self.me.copy));
        if had && !record.holds(self.me.copy) {
            out.push(StandbyAction::LostPlace(self.how_far_behind(now, frame.tail)));
        }
        self.record = Some(record.clone());
    }

    /// The primary judges by its own count (PROTOCOL I7); entries that are on their way are not seen from here.
    fn how_far_behind(&self, now: Instant, tail: Seq) -> String {
        let applied = self.applier.applied();
        let lag = self.config.times.lag.as_millis();
        let behind = match self.behind_for(now) {
            Some(behind) => format!("{} ms", behind.as_millis()),
            None => "an unknown time".to_owned(),
        };
        format!(
            "the primary has taken this standby off the in-sync set: it has applied up to {applied} of {tail} and is \
             behind for {behind}, where --shrink-lag-ms allows {lag} ms; the primary's events say more"
        )
    }
}

//! How long a node's own doings take, counted where they happen, for the status and the metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use standfast_proto::v1;

use super::Times;

/// Standbys whose acknowledgements are timed. A cluster has fewer; a name is only what somebody said.
const STANDBYS_MAX: usize = 16;

/// All of them.
#[derive(Debug, Default)]
pub struct Durations {
    /// How late the loop's timer fired.
    pub loop_delay: Times,
    /// On a standby: between two frames of the primary.
    pub heartbeat_gap: Times,
    /// On a primary: for how long a home was locked to encode it for a full sync.
    pub lock_hold: Times,
    /// From asking the coordinator until its answer.
    pub coordinator_call: Times,
    acks: Mutex<BTreeMap<String, Times>>,
}

impl Durations {
    /// A batch has made its way to that standby, and its acknowledgement the way back.
    pub fn acked(&self, standby: &str, took: Duration) {
        let mut acks = self.acks.lock();
        if let Some(times) = acks.get(standby) {
            times.note(took);
        } else if acks.len() < STANDBYS_MAX {
            acks.entry(standby.to_owned()).or_default().note(took);
        }
    }

    /// How long that standby took; `None` before its first acknowledgement.
    #[must_use]
    pub fn acks_of(&self, standby: &str) -> Option<v1::Histogram> {
        self.acks.lock().get(standby).map(Times::reading)
    }
}

#[test]
fn acknowledgements_are_told_apart_and_invented_names_end_somewhere() {
    let durations = Durations::default();
    for i in 0..100 {
        durations.acked(&format!("n{i}"), Duration::from_millis(i));
        durations.acked("n1", Duration::from_millis(1));
    }
    let counted = |name: &str| durations.acks_of(name).map(|h| h.counts.iter().sum::<u64>());
    assert_eq!((counted("n0"), counted("n1"), counted("n99")), (Some(1), Some(101), None));
}

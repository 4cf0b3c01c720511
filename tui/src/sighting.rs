//! For commands that ask once: the judgements of the console on what was seen.

use std::sync::Arc;

use standfast_proto::v1::NodeStatus;

use crate::findings::{Found, findings, unequal};
use crate::frame::{Frame, Link, Node, Reading};
use crate::judge::{self, Objection};
use crate::time::Time;

/// One address and what it answered.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// `host:port` that was asked.
    pub addr: String,
    /// Its status; an error says why there is none.
    pub answer: Result<Arc<NodeStatus>, String>,
}

/// Everything that is wrong with what was seen at one moment, the worst first. `before` is an earlier look at the same
/// nodes: only with it can a difference of copies be told from entries that were applied meanwhile.
#[must_use]
pub fn found(now: &[Sighting], before: Option<&[Sighting]>) -> Vec<Found> {
    findings(&frame(now), before.map(frame).as_ref())
}

/// Why `target` must not be promoted, whatever it says itself: a primary of its cluster that was seen `around` leads an
/// epoch of which it has never heard.
#[must_use]
pub fn objection(target: &Sighting, around: &[Sighting]) -> Option<Objection> {
    let target = frame(std::slice::from_ref(target));
    target.nodes.first().and_then(|target| judge::objection(target, &frame(around).nodes))
}

/// Whether two copies differ by this one look, which proves nothing: look again.
#[must_use]
pub fn seem_to_differ(now: &[Sighting]) -> bool {
    !unequal(&frame(now)).is_empty()
}

fn frame(seen: &[Sighting]) -> Frame {
    let at = Time::default();
    let node = |seen: &Sighting| {
        let (link, reading) = match &seen.answer {
            Ok(status) => (Link::Up, Some(Reading { at, status: Arc::clone(status), bytes: 0 })),
            Err(why) => (Link::Lost { why: why.as_str().into(), attempts: 1, retry_at: at }, None),
        };
        Node { addr: seen.addr.as_str().into(), link, interval_ms: 1, reading }
    };
    let mut frame = Frame { at, nodes: seen.iter().map(node).collect() };
    frame.sort();
    frame
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::Role;

    use super::*;
    use crate::testing::node;

    fn seen(cluster: &str, role: Role, epoch: u64) -> Sighting {
        let mut status = node(&format!("n{epoch}"), role, epoch, 1, 0);
        status.identity.as_mut().expect("has one").cluster = cluster.into();
        Sighting { addr: format!("h:{epoch}"), answer: Ok(Arc::new(status)) }
    }

    #[test]
    fn a_primary_of_a_later_epoch_speaks_against_the_target() {
        let against = |around: Sighting| objection(&seen("kv", Role::Standby, 3), &[around]);
        let objection = against(seen("kv", Role::Primary, 4)).expect("it leads a later epoch");
        assert_eq!(objection.leader, "h:4");
        assert!(objection.text.starts_with("n4 leads epoch 4, but n3 knows of no epoch above 3"));
        assert_eq!(against(seen("kv", Role::Primary, 3)), None, "the one that it follows");
        assert_eq!(against(seen("kv", Role::Standby, 4)), None);
        assert_eq!(against(seen("other", Role::Primary, 4)), None);
        let silent = Sighting { addr: "h:4".into(), answer: Err("reset".into()) };
        assert_eq!(against(silent), None);
    }
}

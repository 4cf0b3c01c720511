//! For commands that ask once: the judgements of the console on what was seen.

use std::sync::Arc;

use standfast_proto::v1::NodeStatus;

use crate::findings::{Found, findings, unequal};
use crate::frame::{Frame, Link, Node, Reading};
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

//! Lends memory that nobody has, and says every second that it is there.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::door::{Door, Replica, Segment};
use super::target::Protocol;

/// Segments, so that placement has a choice.
const SEGMENTS: u64 = 4;
/// Bytes of each.
const SEGMENT_BYTES: u64 = 64 << 30;
/// As Mooncake's clients do; a lender that is silent for 10 s loses its segments.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Before the number of the run in a segment's name.
const NAME: &str = "bench-";
/// Of that number, in hexadecimal.
const RUN_DIGITS: usize = 8;

/// All that is lent by one run.
pub(super) const LENT_BYTES: u64 = SEGMENTS * SEGMENT_BYTES;

/// The segments of a run. No other run has their names.
fn segments(run: u32) -> Vec<Segment> {
    let segment = |i: u64| Segment {
        id: u64::from(run) << 8 | i,
        name: format!("{NAME}{run:0RUN_DIGITS$x}-{i}.invalid:1"),
        base: (i + 1) << 44,
        bytes: SEGMENT_BYTES,
    };
    (0..SEGMENTS).map(segment).collect()
}

/// Where objects may be.
#[derive(Debug, Clone)]
pub(super) struct Lent {
    segments: Arc<[Segment]>,
    /// Other runs lend to the same master, too.
    shared: bool,
}

impl Lent {
    /// What this run lends.
    pub(super) fn by(run: u32, shared: bool) -> Self {
        Self { segments: segments(run).into(), shared }
    }

    /// Whether so many bytes at that address lie in one of the segments.
    pub(super) fn holds(&self, replica: &Replica<'_>) -> bool {
        let (from, end) = (replica.address, replica.address.checked_add(replica.bytes));
        self.segments.iter().any(|s| {
            self.is_named(s, replica.endpoint)
                && from >= s.base
                && end.is_some_and(|end| end <= s.base + s.bytes)
        })
    }

    /// Segments of all runs have the same places; only their names differ, by the run's number.
    fn is_named(&self, segment: &Segment, endpoint: &[u8]) -> bool {
        let name = segment.name.as_bytes();
        name == endpoint || self.shared && without_run(name) == without_run(endpoint)
    }
}

/// The rest of a segment's name after the number of its run.
fn without_run(name: &[u8]) -> Option<&[u8]> {
    let (run, rest) = name.strip_prefix(NAME.as_bytes())?.split_at_checked(RUN_DIGITS)?;
    run.iter().all(u8::is_ascii_hexdigit).then_some(rest)
}

/// A lender that lives until it leaves.
pub(super) struct Lender {
    stop: CancellationToken,
    pings: JoinHandle<Result<(), String>>,
}

impl Lender {
    /// Lends the segments of this run.
    pub(super) async fn start(protocol: Protocol, addr: &str, run: u32) -> Result<Self, String> {
        let mut door = Door::open(protocol, addr, u64::from(run)).await?;
        let segments = segments(run);
        for segment in &segments {
            let mounted = door.mount(segment).await.map_err(|fault| fault.to_string())?;
            mounted.map_err(|refused| format!("a segment is refused: {refused}"))?;
        }
        // A client lives from its first ReMountSegment on (SEMANTICS 0.11).
        ping(&mut door, &segments).await?;
        let stop = CancellationToken::new();
        let pings = tokio::spawn(live(door, segments, stop.clone()));
        Ok(Self { stop, pings })
    }

    /// Takes the segments back; what went wrong since they were lent.
    pub(super) async fn leave(self) -> Result<(), String> {
        self.stop.cancel();
        self.pings.await.unwrap_or_else(|_| Err("the lender's task was lost".to_owned()))
    }
}

async fn ping(door: &mut Door, segments: &[Segment]) -> Result<(), String> {
    if door.ping().await.map_err(|fault| fault.to_string())? {
        let again = door.remount(segments).await.map_err(|fault| fault.to_string())?;
        again.map_err(|refused| format!("the segments are refused: {refused}"))?;
    }
    Ok(())
}

async fn live(mut door: Door, segments: Vec<Segment>, stop: CancellationToken) -> Result<(), String> {
    while stop.run_until_cancelled(sleep(PING_EVERY)).await.is_some() {
        ping(&mut door, &segments).await?;
    }
    for segment in &segments {
        let gone = door.unmount(segment).await.map_err(|fault| fault.to_string())?;
        gone.map_err(|refused| format!("a segment is not taken back: {refused}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_lent_is_good() {
        let (segments, lent, shared) = (segments(7), Lent::by(7, false), Lent::by(8, true));
        let replica = |endpoint, address, bytes| Replica { endpoint, address, bytes, is_complete: false };
        let (name, base) = (segments[1].name.as_bytes(), segments[1].base);
        assert!(lent.holds(&replica(name, base, 100)));
        assert!(lent.holds(&replica(name, base + SEGMENT_BYTES - 100, 100)));
        assert!(!lent.holds(&replica(name, base + SEGMENT_BYTES - 99, 100)));
        assert!(!lent.holds(&replica(name, segments[0].base, 100)), "another segment's");
        assert!(!lent.holds(&replica(b"elsewhere:1", base, 100)));
        assert!(!lent.holds(&replica(name, u64::MAX, 100)));
        assert!(!Lent::by(8, false).holds(&replica(name, base, 100)), "another run's");
        assert!(shared.holds(&replica(name, base, 100)));
        assert!(!shared.holds(&replica(name, segments[0].base, 100)), "another segment's");
        assert!(!shared.holds(&replica(b"bench-0000000g-1.invalid:1", base, 100)), "nobody's");
    }
}

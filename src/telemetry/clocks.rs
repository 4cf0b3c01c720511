//! How far a standby's clock is from ours, from the batches and acknowledgements
//! that go back and forth anyway.

use std::collections::{BTreeMap, VecDeque};

use standfast_kernel::types::{ConnId, Instant};

/// Exchanges that the best is chosen from: a few seconds of heartbeats, in
/// which clocks drift less than networks jitter.
const EXCHANGES_MAX: usize = 64;
/// Ended connections that are remembered: their batches are still told.
const CONNS_MAX: usize = 64;

/// A batch and its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Our clock when the batch left.
    pub sent: Instant,
    /// The standby's clock when it came in.
    pub received: Instant,
    /// The standby's clock when the acknowledgement left.
    pub answered: Instant,
    /// Our clock when that came in.
    pub heard: Instant,
}

impl Exchange {
    /// The standby's clock minus ours, and by how much that may be wrong: half
    /// of the time on the way, because nobody knows how it was divided.
    #[must_use]
    pub fn offset(&self) -> Option<(i64, u64)> {
        let there = self.heard.0.checked_sub(self.sent.0)?;
        let on_the_way = there.checked_sub(self.answered.0.checked_sub(self.received.0)?)?;
        let near = i128::from(self.received.0) - i128::from(self.sent.0);
        let far = i128::from(self.answered.0) - i128::from(self.heard.0);
        Some((i64::try_from((near + far) / 2).ok()?, on_the_way.div_ceil(2)))
    }
}

/// The best of the newest exchanges with one standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockEstimate {
    /// The standby.
    pub standby: String,
    /// Its clock minus ours, in nanoseconds.
    pub offset_ns: i64,
    /// By how much that may be wrong.
    pub error_ns: u64,
    /// When the exchange took place.
    pub at: Instant,
    /// Exchanges that it was chosen from.
    pub samples: u32,
}

#[derive(Debug, Default)]
pub(super) struct Clocks {
    names: BTreeMap<ConnId, String>,
    /// Ended ones, the oldest first.
    closed: VecDeque<ConnId>,
    /// Offset, error and time of the newest exchanges.
    samples: BTreeMap<String, VecDeque<(i64, u64, Instant)>>,
}

impl Clocks {
    pub(super) fn name(&mut self, conn: ConnId, node: &str) {
        self.names.insert(conn, node.to_owned());
        // A standby that comes anew may be on another machine.
        self.samples.remove(node);
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        if self.names.contains_key(&conn) {
            self.closed.push_back(conn);
        }
        if self.closed.len() > CONNS_MAX {
            self.closed.pop_front().and_then(|oldest| self.names.remove(&oldest));
        }
    }

    pub(super) fn name_of(&self, conn: ConnId) -> Option<String> {
        self.names.get(&conn).cloned()
    }

    pub(super) fn exchange(&mut self, conn: ConnId, exchange: &Exchange) {
        let (Some(node), Some((offset, error))) = (self.names.get(&conn), exchange.offset()) else { return };
        let samples = self.samples.entry(node.clone()).or_default();
        if samples.len() == EXCHANGES_MAX {
            samples.pop_front();
        }
        samples.push_back((offset, error, exchange.heard));
    }

    pub(super) fn estimates(&self) -> Vec<ClockEstimate> {
        let best = |(node, samples): (&String, &VecDeque<(i64, u64, Instant)>)| {
            let (offset_ns, error_ns, at) = *samples.iter().min_by_key(|(_, error, _)| *error)?;
            Some(ClockEstimate {
                standby: node.clone(),
                offset_ns,
                error_ns,
                at,
                samples: samples.len() as u32,
            })
        };
        self.samples.iter().filter_map(best).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standby's clock is 1000 ahead; 30 there, 10 at work, 50 back.
    const EXCHANGE: Exchange = Exchange {
        sent: Instant(100),
        received: Instant(1130),
        answered: Instant(1140),
        heard: Instant(190),
    };

    #[test]
    fn the_true_offset_is_within_the_error() {
        let (offset, error) = EXCHANGE.offset().expect("a sound exchange");
        assert_eq!((offset, error), (990, 40));
        assert!((1000 - offset).unsigned_abs() <= error);
        let behind = Exchange { received: Instant(30), answered: Instant(40), ..EXCHANGE };
        assert_eq!(behind.offset(), Some((-110, 40)));
    }

    #[test]
    fn clocks_that_run_backwards_give_no_estimate() {
        assert_eq!(Exchange { heard: Instant(99), ..EXCHANGE }.offset(), None);
        assert_eq!(Exchange { answered: Instant(1129), ..EXCHANGE }.offset(), None);
        // Longer at work than the whole exchange took.
        assert_eq!(Exchange { answered: Instant(1230), ..EXCHANGE }.offset(), None);
    }

    #[test]
    fn an_open_connection_is_never_forgotten_and_ended_ones_in_their_order() {
        let mut clocks = Clocks::default();
        clocks.name(ConnId(1), "stays");
        for i in 2..=500 {
            clocks.name(ConnId(i), "comes and goes");
            clocks.closed(ConnId(i));
        }
        clocks.closed(ConnId(9_999));
        assert_eq!(clocks.name_of(ConnId(1)).as_deref(), Some("stays"));
        assert_eq!((clocks.name_of(ConnId(436)), clocks.names.len()), (None, CONNS_MAX + 1));
        assert!(clocks.name_of(ConnId(437)).is_some(), "its batches may still be asked for");
    }

    #[test]
    fn the_best_exchange_counts_and_a_new_stream_forgets() {
        let mut clocks = Clocks::default();
        clocks.exchange(ConnId(1), &EXCHANGE);
        assert_eq!(clocks.estimates(), [], "nobody knows whose clock that is");
        clocks.name(ConnId(1), "b");
        clocks.exchange(ConnId(1), &EXCHANGE);
        clocks.exchange(ConnId(1), &Exchange { heard: Instant(900), ..EXCHANGE });
        let best = clocks.estimates().remove(0);
        assert_eq!((best.offset_ns, best.error_ns, best.samples), (990, 40, 2));
        for _ in 0..EXCHANGES_MAX {
            clocks.exchange(ConnId(1), &Exchange { heard: Instant(200), ..EXCHANGE });
        }
        assert_eq!(clocks.estimates()[0].error_ns, 45, "the oldest are forgotten");
        clocks.name(ConnId(2), "b");
        assert_eq!(clocks.estimates(), []);
    }
}

//! The frames of the past: bounded, and coarser the older they are.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::frame::{Frame, Node};
use crate::time::Time;

/// Frames kept at most.
pub(crate) const FRAMES_MAX: usize = 2000;
/// Size on the wire of the statuses kept at most.
pub(crate) const BYTES_MAX: usize = 64 << 20;
/// Frames stay apart by this part of their age: at one a second, the last 200 s are whole, and a day takes about 1,400.
const PER_AGE: u64 = 200;

/// Frames, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl History {
    /// Appends a frame. When a limit is reached, the past is thinned: it stays, but coarser.
    pub(crate) fn push(&mut self, frame: Frame) {
        if self.frames.back().is_some_and(|last| last.at >= frame.at) {
            return;
        }
        self.bytes += added(self.frames.back(), &frame);
        self.frames.push_back(frame);
        if self.frames.len() > FRAMES_MAX || self.bytes > BYTES_MAX {
            self.thin();
        }
    }

    /// Keeps a frame only if it lies far enough from the next one, for its age; then what is still too much, from the
    /// oldest on.
    fn thin(&mut self) {
        let Some(newest) = self.newest() else { return };
        let mut next = newest.plus(u64::MAX);
        let mut kept: VecDeque<Frame> = VecDeque::with_capacity(FRAMES_MAX);
        for frame in std::mem::take(&mut self.frames).into_iter().rev() {
            if next.since(frame.at) >= newest.since(frame.at) / PER_AGE {
                next = frame.at;
                kept.push_front(frame);
            }
        }
        self.frames = kept;
        self.recount();
        while self.frames.len() > FRAMES_MAX / 8 * 7 || self.bytes > BYTES_MAX / 8 * 7 {
            let eighth = (self.frames.len() / 8).max(1);
            self.frames.drain(..eighth);
            self.recount();
        }
    }

    fn recount(&mut self) {
        let mut before = None;
        self.bytes = 0;
        for frame in &self.frames {
            self.bytes += added(before, frame);
            before = Some(frame);
        }
    }

    /// Frames kept.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Size on the wire of the statuses kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The newest frame's time.
    pub(crate) fn newest(&self) -> Option<Time> {
        self.frames.back().map(|frame| frame.at)
    }

    /// The last frame before `time`.
    pub(crate) fn before(&self, time: Time) -> Option<&Frame> {
        let index = self.frames.partition_point(|frame| frame.at < time);
        self.frames.get(index.checked_sub(1)?)
    }

    /// The first frame after `time`.
    pub(crate) fn after(&self, time: Time) -> Option<&Frame> {
        self.frames.get(self.frames.partition_point(|frame| frame.at <= time))
    }

    /// The frame nearest to `time` that is not later, else the oldest.
    pub(crate) fn at(&self, time: Time) -> Option<&Frame> {
        self.before(time.plus(1)).or_else(|| self.frames.front())
    }

    /// `columns` values over the `range_ms` before `until`, the newest last: the largest of what `value` says of each
    /// frame and the one before it. A column without a known value is `None`: gaps stay visible.
    pub(crate) fn series(
        &self,
        until: Time,
        range_ms: u64,
        columns: usize,
        value: impl Fn(Option<&Frame>, &Frame) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let mut out = vec![None; columns];
        let step = (range_ms / columns.max(1) as u64).max(1);
        let mut before: Option<&Frame> = None;
        for frame in self.frames.iter().take_while(|frame| frame.at <= until) {
            let back = (until.since(frame.at) / step) as usize;
            if back < columns
                && let Some(v) = value(before, frame)
            {
                let slot = &mut out[columns - 1 - back];
                *slot = Some(slot.map_or(v, |was: f64| was.max(v)));
            }
            before = Some(frame);
        }
        out
    }

    /// The newest value at `until`, unless that is no longer fresh. A rate is known
    /// only of frames in which its node had answered anew.
    pub(crate) fn latest(
        &self,
        until: Time,
        value: impl Fn(Option<&Frame>, &Frame) -> Option<f64>,
    ) -> Option<f64> {
        let seen = self.frames.partition_point(|frame| frame.at <= until);
        let is_fresh = |frame: &Frame| until.since(frame.at) <= frame.fresh_ms();
        let mut fresh = (0..seen).rev().take_while(|nr| is_fresh(&self.frames[*nr]));
        let before = |nr: usize| nr.checked_sub(1).map(|before| &self.frames[before]);
        fresh.find_map(|nr| value(before(nr), &self.frames[nr]))
    }
}

/// Bytes of the statuses in `frame` that the frame before it does not share.
fn added(before: Option<&Frame>, frame: &Frame) -> usize {
    let shares = |node: &Node| {
        let was = before.and_then(|before| before.at_addr(&node.addr)).and_then(|node| node.reading.as_ref());
        matches!((was, &node.reading), (Some(was), Some(now)) if Arc::ptr_eq(&was.status, &now.status))
    };
    frame
        .nodes
        .iter()
        .filter(|node| !shares(node))
        .filter_map(|node| node.reading.as_ref())
        .map(|r| r.bytes)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(at: u64) -> Frame {
        Frame { at: Time(at), nodes: Vec::new() }
    }

    #[test]
    fn the_far_past_stays_but_coarser() {
        let mut history = History::default();
        for at in 1..=86_400 {
            history.push(frame(at * 1000));
            assert!(history.len() <= FRAMES_MAX);
        }
        assert!(history.len() >= FRAMES_MAX / 2, "{}", history.len());
        for (ago, off) in [(3_600, 36), (36_000, 360), (80_000, 800)] {
            let wanted = Time((86_400 - ago) * 1000);
            let found = history.at(wanted).expect("kept").at;
            assert!(wanted.since(found) <= off * 1000, "{ago} s ago is shown by {found:?}");
        }
        let last_ten: Vec<_> =
            (86_391..=86_400).map(|s| history.at(Time(s * 1000)).expect("kept").at.0).collect();
        assert_eq!(last_ten, (86_391..=86_400).map(|s| s * 1000).collect::<Vec<_>>(), "the newest is whole");
    }

    #[test]
    fn one_steps_through_frames_and_never_past_the_ends() {
        let mut history = History::default();
        for at in [10, 20, 30] {
            history.push(frame(at));
        }
        history.push(frame(30));
        assert_eq!(history.len(), 3, "time does not stand still");
        let at = |frame: Option<&Frame>| frame.map(|frame| frame.at.0);
        assert_eq!(at(history.before(Time(20))), Some(10));
        assert_eq!(at(history.before(Time(10))), None);
        assert_eq!(at(history.after(Time(20))), Some(30));
        assert_eq!(at(history.after(Time(30))), None);
        assert_eq!(at(history.at(Time(25))), Some(20));
        assert_eq!(at(history.at(Time(5))), Some(10));
    }

    #[test]
    fn a_series_keeps_its_peaks_and_its_gaps() {
        let mut history = History::default();
        for at in [2100, 2900, 4000] {
            history.push(frame(at));
        }
        let value = |_: Option<&Frame>, frame: &Frame| (frame.at.0 != 4000).then_some(frame.at.0 as f64);
        assert_eq!(
            history.series(Time(4000), 4000, 4, value),
            [None, None, Some(2900.0), None],
            "the larger of two; an unknown value is a gap"
        );
    }
}

//! The place in a recording: time that runs at a speed, stands still, or jumps.

use std::sync::Arc;

use crate::record::{Mark, Record, Recording};
use crate::time::Time;

/// Before a moment that one jumps to, so much is read for graphs and time travel.
const RUN_UP_MS: u64 = 15 * 60 * 1000;
/// Quarters of real time: from a quarter to 64 times.
const SPEEDS: std::ops::RangeInclusive<u64> = 1..=256;

/// A recording that is being shown.
#[derive(Debug, Clone)]
pub struct Replay {
    recording: Arc<Recording>,
    next: usize,
    at: Time,
    /// In quarters of real time.
    quarters: u64,
    pub(crate) playing: bool,
    wall: Option<Time>,
}

impl Replay {
    /// From its first moment, at real time.
    #[must_use]
    pub fn new(recording: Arc<Recording>) -> Self {
        let at = recording.begin();
        Self { recording, next: 0, at, quarters: 4, playing: true, wall: None }
    }

    /// The moment shown.
    #[must_use]
    pub fn at(&self) -> Time {
        self.at
    }

    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    pub(crate) fn is_over(&self) -> bool {
        self.at >= self.recording.end()
    }

    /// `4x`, `0.25x`.
    pub(crate) fn speed(&self) -> String {
        format!("{}x", self.quarters as f64 / 4.0)
    }

    pub(crate) fn faster(&mut self) {
        self.quarters = (self.quarters * 2).min(*SPEEDS.end());
    }

    pub(crate) fn slower(&mut self) {
        self.quarters = (self.quarters / 2).max(*SPEEDS.start());
    }

    /// # Errors
    /// When that is no speed.
    pub(crate) fn set_speed(&mut self, text: &str) -> Result<(), String> {
        let speed = text.trim_end_matches('x').parse::<f64>().ok().map(|speed| (speed * 4.0).round());
        let quarters = speed.filter(|q| (*SPEEDS.start() as f64..=*SPEEDS.end() as f64).contains(q));
        self.quarters = quarters.ok_or_else(|| format!("`{text}` is no speed: expected 0.25 to 64"))? as u64;
        Ok(())
    }

    /// The wall clock says `now`: time in the recording goes on.
    pub(crate) fn tick(&mut self, now: Time) {
        let elapsed = self.wall.map_or(0, |wall| now.since(wall));
        self.wall = Some(now);
        if self.playing {
            self.at = self.at.plus(elapsed.saturating_mul(self.quarters) / 4).min(self.recording.end());
        }
    }

    /// What has arrived by now and was not taken yet.
    pub(crate) fn due(&mut self) -> Vec<Record> {
        let end = self.recording.records.partition_point(|record| record.at_ms <= self.at.0);
        let due = self.recording.records[self.next.min(end)..end].to_vec();
        self.next = end;
        due
    }

    /// Jumps. All that was known must be forgotten; what is `due` then fills the time before that moment.
    pub(crate) fn seek(&mut self, to: Time) {
        self.at = to.clamp(self.recording.begin(), self.recording.end());
        let from = self.at.minus(RUN_UP_MS);
        self.next = self.recording.records.partition_point(|record| record.at_ms < from.0);
    }

    pub(crate) fn mark_after(&self) -> Option<&Mark> {
        self.recording.marks.iter().find(|mark| mark.at > self.at)
    }

    pub(crate) fn mark_before(&self) -> Option<&Mark> {
        self.recording.marks.iter().rev().find(|mark| mark.at < self.at)
    }

    /// The whole recording as a line of `columns`: where we are, and where failovers are.
    pub(crate) fn scrub_bar(&self, columns: usize, ascii: bool) -> String {
        let (begin, end) = (self.recording.begin(), self.recording.end());
        let span = end.since(begin).max(1);
        let column = |at: Time| (at.since(begin) as usize * (columns - 1) / span as usize).min(columns - 1);
        let (rule, mark, here) = if ascii { ('-', '!', '#') } else { ('─', '▲', '█') };
        let mut bar = vec![rule; columns];
        for failover in &self.recording.marks {
            bar[column(failover.at)] = mark;
        }
        bar[column(self.at)] = here;
        bar.into_iter().collect()
    }
}

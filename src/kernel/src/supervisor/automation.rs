//! May nodes change the holder by themselves now? Not while an operator has
//! paused that, and not after too many changes in a short time: what makes
//! primaries fail one after the other is not cured by the next one.
//!
//! Pure, over the records. Wall times decide here, and only here: a clock that
//! is off makes this stop or go on too early or too late; nothing rests on it.

use std::time::Duration;

use crate::coordination::{AutomaticChange, RecordView};
use crate::types::WallTime;

/// So many automatic changes of the holder within a window, and then none before
/// an operator has acknowledged them or the window is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlapLimit {
    /// Changes; 0 is no limit.
    pub changes: u32,
    /// Length of the window.
    pub window: Duration,
}

impl FlapLimit {
    /// None at all.
    pub const OFF: Self = Self { changes: 0, window: Duration::ZERO };
}

/// An operator's pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: WallTime,
    /// It ends by itself then.
    pub until: WallTime,
}

/// What speaks against automatic changes of the holder, taken at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automation {
    /// The pause in force.
    pub pause: Option<Pause>,
    /// Automatic changes within the window that nobody has acknowledged.
    pub recent: u32,
    /// The limit that they are held against.
    pub limit: FlapLimit,
    /// They are too many: none before then.
    pub stopped_until: Option<WallTime>,
    /// This moment.
    pub now: WallTime,
}

impl Automation {
    /// Judges the records.
    #[must_use]
    pub fn of(view: &RecordView, limit: FlapLimit, now: WallTime) -> Self {
        let recent = recent(view, limit, now);
        let (changes, count) = (limit.changes as usize, recent.len());
        // The window is over for enough of them when the oldest that is one too many leaves it.
        let stopped = changes > 0 && count >= changes && !mutant!(FlapsIgnored);
        let stopped_until = stopped.then(|| after(recent[count - changes].at, limit.window));
        Self { pause: pause(view, now), recent: count as u32, limit, stopped_until, now }
    }

    /// Why no node may take over by itself: a stable word, and a sentence.
    #[must_use]
    pub fn suspended(&self) -> Option<(&'static str, String)> {
        if let Some(p) = self.pause.as_ref().filter(|_| !mutant!(PauseIgnored)) {
            let left = left(p.until, self.now);
            let text = format!(
                "automatic failover is paused by {} for another {left}: {}; `standfast resume` lets it go on",
                p.actor, p.reason
            );
            return Some(("paused", text));
        }
        self.too_many().map(|why| ("flapping", why))
    }

    /// Why there are too many changes of late, if so.
    #[must_use]
    pub fn too_many(&self) -> Option<String> {
        let until = self.stopped_until?;
        Some(format!(
            "{} automatic failovers within {} s are too many, the next is in {} at the earliest; \
             `standfast resume` acknowledges them",
            self.recent,
            self.limit.window.as_secs(),
            left(until, self.now)
        ))
    }
}

/// The pause in force.
fn pause(view: &RecordView, now: WallTime) -> Option<Pause> {
    let record = &view.automation.record.as_ref()?.value;
    let until = record.paused_until.filter(|until| *until > now)?;
    Some(Pause { actor: record.actor.clone(), reason: record.reason.clone(), since: record.at, until })
}

/// Changes in the window that nobody has acknowledged, the oldest first.
fn recent(view: &RecordView, limit: FlapLimit, now: WallTime) -> Vec<AutomaticChange> {
    let acknowledged = view.automation.record.as_ref().map(|r| r.value.acknowledged).unwrap_or_default();
    let changes = view.holder().map(|h| h.automatic.as_slice()).unwrap_or_default();
    let counts = |c: &&AutomaticChange| c.previous >= acknowledged && after(c.at, limit.window) > now;
    changes.iter().filter(counts).copied().collect()
}

/// So much later.
pub(super) fn after(at: WallTime, length: Duration) -> WallTime {
    WallTime(at.0.saturating_add(u64::try_from(length.as_micros()).unwrap_or(u64::MAX)))
}

fn left(until: WallTime, now: WallTime) -> String {
    let seconds = until.0.saturating_sub(now.0).div_ceil(1_000_000);
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) }
}

#[cfg(test)]
#[path = "automation_tests.rs"]
mod tests;

//! The shape of every state machine in the kernel.

use crate::types::Instant;

/// A total, synchronous state machine: events in, actions out, no I/O, no clock.
///
/// All actions of one event are carried out, or queued in order, before the
/// next event is handed in.
pub trait Machine {
    /// What can happen to it.
    type Event;
    /// What it wants done.
    type Action;

    /// Handles one event at local time `now`, pushing what is to be done.
    fn on(&mut self, now: Instant, event: Self::Event, out: &mut Vec<Self::Action>);

    /// When it must be woken with its tick event, if nothing happens before.
    fn deadline(&self) -> Option<Instant>;
}

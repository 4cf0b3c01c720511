//! What few objects have: a soft pin, a group, several replicas. And whether an object is pinned.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use super::{Object, Replica, Transfer};
use crate::types::{Instant, Traits};

/// What few objects have, kept out of the others' way.
#[derive(Debug, Default)]
pub struct Extras {
    /// TTL of the committed soft pin, in milliseconds; 0 is none.
    pub(super) soft_pin: u64,
    /// What the first end makes of it, as in [`Traits::pending_pin`].
    pub(super) pending_pin: Option<u64>,
    /// The object's group.
    pub(super) group: Option<Arc<[u8]>>,
    /// The copy or move that runs.
    pub(super) transfer: Option<Transfer>,
    /// Its replicas, when they are more than one or not as the start made them.
    pub(super) replicas: Vec<Replica>,
    /// As [`Object::begun`] says. Neither replicated nor digested.
    pub(super) begun: AtomicU64,
    /// End of the soft pin, as this node committed it, in its own time; 0 when
    /// another node did. Neither replicated nor digested.
    pinned_until: AtomicU64,
}

/// A copy without what is this node's own.
impl Clone for Extras {
    fn clone(&self) -> Self {
        let (group, transfer, replicas) = (self.group.clone(), self.transfer.clone(), self.replicas.clone());
        let (soft_pin, pending_pin) = (self.soft_pin, self.pending_pin);
        Self { soft_pin, pending_pin, group, transfer, replicas, ..Self::default() }
    }
}

/// How strongly an object resists eviction (SEMANTICS 4.2, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PinState {
    /// Not at all.
    None,
    /// Until nothing else helps.
    Soft,
    /// Always.
    Hard,
}

impl Extras {
    /// Of these traits; `None` for those of most objects.
    pub(super) fn of(traits: &Traits<'_>, group: Option<Arc<[u8]>>) -> Option<Box<Self>> {
        let Traits { soft_pin, pending_pin, .. } = *traits;
        let any = soft_pin != 0 || pending_pin.is_some() || group.is_some();
        any.then(|| Box::new(Self { soft_pin, pending_pin, group, ..Self::default() }))
    }

    pub(super) fn begun_at(at: Instant) -> Self {
        Self { begun: AtomicU64::new(at.0), ..Self::default() }
    }
}

impl<K: ?Sized> Object<K> {
    /// TTL of the committed soft pin, in milliseconds, expired or not; 0 is none.
    #[must_use]
    pub fn soft_pin(&self) -> u64 {
        self.extras().map_or(0, |e| e.soft_pin)
    }

    /// What the end of the write makes of the soft pin.
    #[must_use]
    pub fn pending_pin(&self) -> Option<u64> {
        self.extras().and_then(|e| e.pending_pin)
    }

    /// The group that it is in.
    #[must_use]
    pub fn group(&self) -> Option<&Arc<[u8]>> {
        self.extras()?.group.as_ref()
    }

    /// End of the soft pin, if it has one. A pin that this node did not commit
    /// runs its full TTL from `since`, when this node began to decide.
    #[must_use]
    pub fn pinned_until(&self, since: Instant) -> Option<Instant> {
        let extras = self.extras().filter(|e| e.soft_pin != 0)?;
        let own = extras.pinned_until.load(Ordering::Relaxed);
        Some(if own == 0 { since.plus(Duration::from_millis(extras.soft_pin)) } else { Instant(own) })
    }

    /// Notes the end of its soft pin, in this node's time.
    pub fn pin_until(&self, until: Instant) {
        if let Some(extras) = self.extras() {
            extras.pinned_until.store(until.0, Ordering::Relaxed);
        }
    }

    /// How strongly it resists eviction; an expired soft pin does not. `since` is
    /// when this node began to decide.
    #[must_use]
    pub fn pin_state(&self, now: Instant, since: Instant) -> PinState {
        if self.hard_pin() {
            return PinState::Hard;
        }
        match self.pinned_until(since) {
            Some(until) if now < until => PinState::Soft,
            Some(_) | None => PinState::None,
        }
    }

    /// Makes the pending soft pin the committed one; its time starts anew.
    pub(super) fn commit_pin(&mut self) {
        if self.pending_pin().is_some()
            && let extras = self.extras_mut()
            && let Some(ttl) = extras.pending_pin.take()
        {
            extras.soft_pin = ttl;
            *extras.pinned_until.get_mut() = 0;
        }
    }

    /// Sets what the end of the write makes of the soft pin.
    pub(super) fn set_pending_pin(&mut self, pending: Option<u64>) {
        if pending != self.pending_pin() {
            self.extras_mut().pending_pin = pending;
        }
    }
}

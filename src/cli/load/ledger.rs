//! What the demo knows of each key: what was acknowledged, what is unknown, and what turned out wrong.
//!
//! Each key has one writer, so its state is exact; readers look at it before and after they ask.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Complaints kept word for word; all are counted.
const COMPLAINTS_MAX: usize = 5;

/// What is known of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Never put, or its removal was acknowledged. The attempt is the last one used.
    Absent,
    /// A put is on its way.
    Writing,
    /// Nobody knows whether the put began; it was not ended.
    StartUnknown,
    /// Its bytes are written; whether the put was ended is not known.
    EndUnknown,
    /// The put was acknowledged.
    Acked,
    /// A removal is on its way.
    Removing,
    /// Nobody knows whether it was removed.
    RemoveUnknown,
    /// Something contradicts the ledger; it is left alone until the end.
    SetAside,
}

const STATES: [State; 8] = [
    State::Absent,
    State::Writing,
    State::StartUnknown,
    State::EndUnknown,
    State::Acked,
    State::Removing,
    State::RemoveUnknown,
    State::SetAside,
];

/// A key's state and the attempt that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) state: State,
    pub(crate) attempt: u32,
}

#[derive(Default)]
struct Key {
    /// `attempt << 8 | state`.
    entry: AtomicU64,
    /// When its put or its removal was acknowledged, in microseconds of the ledger's time.
    settled_us: AtomicU64,
    /// The last acknowledged attempt that was not found, plus one.
    missing: AtomicU32,
    /// Whether a put of it was ever acknowledged.
    was_acked: AtomicBool,
}

/// Counters that the verdict uses.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) puts_acked: AtomicU64,
    pub(crate) removes_acked: AtomicU64,
    pub(crate) reads_checked: AtomicU64,
    pub(crate) exists_checked: AtomicU64,
    /// Elements of calls that ended with nobody knowing their outcome.
    pub(crate) unknown: AtomicU64,
    /// Puts that found no space.
    pub(crate) no_space: AtomicU64,
    pub(crate) acked_missing: AtomicU64,
    /// Those of them that no stated bound excuses.
    pub(crate) missing_beyond: AtomicU64,
    /// Keys that are there although their removal was acknowledged, and no stated bound excuses it.
    pub(crate) returned: AtomicU64,
    pub(crate) wrong_bytes: AtomicU64,
    /// Answers that no rule of the protocol explains.
    pub(crate) unexpected: AtomicU64,
}

/// All keys.
pub(crate) struct Ledger {
    keys: Vec<Key>,
    began: Instant,
    /// What was acknowledged later than this may be lost. Set in async mode by a failover.
    may_lose_from_us: OnceLock<u64>,
    pub(crate) counts: Counts,
    complaints: Mutex<Vec<String>>,
}

impl Ledger {
    pub(crate) fn new(keys: u32) -> Self {
        let keys = (0..keys).map(|_| Key::default()).collect();
        Self {
            keys,
            began: Instant::now(),
            may_lose_from_us: OnceLock::new(),
            counts: Counts::default(),
            complaints: Mutex::default(),
        }
    }

    /// From now on what was acknowledged at `from` or later may turn out to be lost.
    pub(crate) fn may_lose_from(&self, from: Instant) {
        let from = from.saturating_duration_since(self.began).as_micros() as u64;
        let _ = self.may_lose_from_us.set(from);
    }

    /// Whether the loss of what this key's last acknowledgement said is within the stated bound.
    pub(crate) fn may_be_lost(&self, key: u32) -> bool {
        let settled = self.keys[key as usize].settled_us.load(Ordering::Acquire);
        self.may_lose_from_us.get().is_some_and(|from| settled >= *from)
    }

    fn settle(&self, key: u32) {
        let now = self.began.elapsed().as_micros() as u64;
        self.keys[key as usize].settled_us.store(now, Ordering::Release);
    }

    pub(crate) fn len(&self) -> u32 {
        self.keys.len() as u32
    }

    pub(crate) fn get(&self, key: u32) -> Entry {
        let packed = self.keys[key as usize].entry.load(Ordering::Acquire);
        Entry { state: STATES[(packed & 0xff) as usize % STATES.len()], attempt: (packed >> 8) as u32 }
    }

    fn put(&self, key: u32, entry: Entry) {
        let packed = u64::from(entry.attempt) << 8 | entry.state as u64;
        self.keys[key as usize].entry.store(packed, Ordering::Release);
    }

    /// Only the key's own writer calls this.
    pub(crate) fn set(&self, key: u32, state: State) {
        let Entry { state: was, attempt } = self.get(key);
        let is_put = state == State::Acked && !matches!(was, State::Acked | State::Removing);
        let is_removed = state == State::Absent && matches!(was, State::Removing | State::RemoveUnknown);
        if is_put || is_removed {
            self.settle(key);
        }
        self.put(key, Entry { state, attempt });
        if is_put {
            self.keys[key as usize].was_acked.store(true, Ordering::Relaxed);
            add(&self.counts.puts_acked);
        } else if is_removed {
            add(&self.counts.removes_acked);
        } else if matches!(state, State::StartUnknown | State::EndUnknown | State::RemoveUnknown)
            && was != state
        {
            add(&self.counts.unknown);
        }
    }

    /// A new attempt at a key; returns its number, from 1.
    pub(crate) fn begin(&self, key: u32) -> u32 {
        let attempt = self.get(key).attempt + 1;
        self.put(key, Entry { state: State::Writing, attempt });
        attempt
    }

    /// An acknowledged put is not there. Counted once for each attempt.
    pub(crate) fn missing(&self, key: u32, attempt: u32, how: &str) {
        let told = self.keys[key as usize].missing.swap(attempt + 1, Ordering::AcqRel);
        if told != attempt + 1 {
            add(&self.counts.acked_missing);
            if self.may_be_lost(key) {
                return;
            }
            add(&self.counts.missing_beyond);
            self.complain(format!("key {key}, attempt {attempt}, was acknowledged: {how}"));
        }
    }

    /// A key is there although its removal was acknowledged.
    pub(crate) fn returned(&self, key: u32) {
        if self.may_be_lost(key) {
            return;
        }
        add(&self.counts.returned);
        self.complain(format!("key {key} was removed and is there again"));
    }

    /// Bytes are not what they should be.
    pub(crate) fn wrong(&self, what: String) {
        add(&self.counts.wrong_bytes);
        self.complain(what);
    }

    /// An answer that no rule explains.
    pub(crate) fn unexpected(&self, what: String) {
        add(&self.counts.unexpected);
        self.complain(what);
    }

    fn complain(&self, what: String) {
        let mut complaints = self.complaints.lock();
        if complaints.len() < COMPLAINTS_MAX {
            complaints.push(what);
        }
    }

    /// The first complaints, word for word.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().clone()
    }

    /// How many keys are acknowledged now.
    pub(crate) fn acked_now(&self) -> u64 {
        (0..self.len()).filter(|&key| self.get(key).state == State::Acked).count() as u64
    }

    /// How many keys were put and acknowledged at least once.
    pub(crate) fn ever_acked(&self) -> u64 {
        self.keys.iter().filter(|key| key.was_acked.load(Ordering::Relaxed)).count() as u64
    }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_through_its_life() {
        let ledger = Ledger::new(2);
        assert_eq!(ledger.get(1), Entry { state: State::Absent, attempt: 0 });
        assert_eq!((ledger.begin(1), ledger.ever_acked()), (1, 0), "an attempt is no put");
        ledger.set(1, State::EndUnknown);
        ledger.set(1, State::Acked);
        ledger.set(1, State::Removing);
        ledger.set(1, State::Acked);
        ledger.set(1, State::Removing);
        ledger.set(1, State::Absent);
        assert_eq!(ledger.begin(1), 2);
        assert_eq!(ledger.get(1), Entry { state: State::Writing, attempt: 2 });
        let counts = &ledger.counts;
        let counted = [&counts.puts_acked, &counts.removes_acked, &counts.unknown].map(read);
        assert_eq!(counted, [1, 1, 1], "a refused removal is no second put");
        assert_eq!((ledger.ever_acked(), ledger.acked_now()), (1, 0));
    }

    #[test]
    fn a_missing_attempt_counts_once() {
        let ledger = Ledger::new(1);
        ledger.missing(0, 1, "not found");
        ledger.missing(0, 1, "not found");
        ledger.missing(0, 2, "not found");
        assert_eq!(read(&ledger.counts.acked_missing), 2);
        assert_eq!(ledger.complaints().len(), 2);
    }

    #[test]
    fn only_what_was_acknowledged_lately_may_be_lost() {
        let ledger = Ledger::new(3);
        let put = |key| {
            ledger.begin(key);
            ledger.set(key, State::Acked);
        };
        put(0);
        ledger.set(0, State::Removing);
        put(1);
        assert!(!ledger.may_be_lost(1), "nothing may be lost before a failover");
        let later = ledger.began.elapsed() + std::time::Duration::from_micros(1);
        while ledger.began.elapsed() <= later {}
        ledger.may_lose_from(ledger.began + later);
        ledger.set(0, State::Acked);
        put(2);
        let lost: Vec<bool> = (0..3).map(|key| ledger.may_be_lost(key)).collect();
        assert_eq!(lost, [false, false, true], "a refused removal makes a put no younger");
        (0..3).for_each(|key| ledger.missing(key, 1, "not there"));
        (0..3).for_each(|key| ledger.returned(key));
        let counts = &ledger.counts;
        let counted = [&counts.acked_missing, &counts.missing_beyond, &counts.returned].map(read);
        assert_eq!(counted, [3, 2, 2]);
    }

    #[test]
    fn complaints_are_counted_beyond_those_that_are_kept() {
        let ledger = Ledger::new(1);
        for _ in 0..100 {
            ledger.wrong("bytes".into());
        }
        assert_eq!((ledger.complaints().len(), read(&ledger.counts.wrong_bytes)), (COMPLAINTS_MAX, 100));
    }

    #[test]
    fn all_states_survive_packing() {
        let ledger = Ledger::new(1);
        for state in STATES {
            ledger.put(0, Entry { state, attempt: u32::MAX });
            assert_eq!(ledger.get(0), Entry { state, attempt: u32::MAX });
        }
    }
}

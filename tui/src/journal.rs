//! Events of all nodes, in the order of their clocks; bounded.

use std::collections::{BTreeMap, VecDeque};

use standfast_proto::v1::Event;

use crate::time::Time;

/// Events kept at most.
pub(crate) const EVENTS_MAX: usize = 2000;

/// Where events stand that are the operator's own acts.
pub(crate) const CONSOLE: &str = "console";

/// An event, and when the console heard of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) heard: Time,
    pub(crate) node: String,
    pub(crate) event: Event,
}

/// The newest events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    /// By node: its copy, and the number of the newest event of that copy.
    newest: BTreeMap<String, (String, u64)>,
}

impl Journal {
    /// Takes in what `node` reports; what is known already changes nothing.
    pub(crate) fn add(&mut self, heard: Time, node: &str, copy: &str, events: Vec<Event>) {
        let newest = self.newest.entry(node.to_owned()).or_default();
        if newest.0 != copy {
            // A new process counts from 1 again.
            *newest = (copy.to_owned(), 0);
        }
        let mut fresh = Vec::new();
        for event in events {
            if event.number > newest.1 {
                newest.1 = event.number;
                fresh.push(Entry { heard, node: node.to_owned(), event });
            }
        }
        for entry in fresh {
            self.keep(entry);
        }
    }

    /// What was done here, by the operator.
    pub(crate) fn own(&mut self, heard: Time, event: Event) {
        self.keep(Entry { heard, node: CONSOLE.to_owned(), event });
    }

    fn keep(&mut self, entry: Entry) {
        let at = self.entries.partition_point(|e| e.event.at_unix_us <= entry.event.at_unix_us);
        self.entries.insert(at, entry);
        while self.entries.len() > EVENTS_MAX {
            self.entries.pop_front();
        }
    }

    /// What the console had heard of by `now`, oldest first.
    pub(crate) fn heard_by(&self, now: Time) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.heard <= now)
    }

    /// Events kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64, at: i64) -> Event {
        Event { number, at_unix_us: at, ..Event::default() }
    }

    #[test]
    fn each_event_is_kept_once_in_the_order_of_the_clocks() {
        let mut journal = Journal::default();
        journal.add(Time(1), "a", "c1", vec![event(1, 10), event(2, 30)]);
        journal.add(Time(2), "b", "c2", vec![event(1, 20)]);
        journal.add(Time(3), "a", "c1", vec![event(1, 10), event(2, 30), event(3, 40)]);
        let at = |journal: &Journal, now| {
            journal.heard_by(Time(now)).map(|e| e.event.at_unix_us).collect::<Vec<_>>()
        };
        assert_eq!(at(&journal, 9), [10, 20, 30, 40]);
        assert_eq!(at(&journal, 1), [10, 30], "not heard of yet");
        journal.add(Time(4), "a", "c9", vec![event(1, 50)]);
        assert_eq!(at(&journal, 9).len(), 5, "a new process counts from 1 again");
    }

    #[test]
    fn the_journal_is_bounded() {
        let mut journal = Journal::default();
        for number in 1..=3 * EVENTS_MAX as u64 {
            journal.add(Time(number), "a", "c", vec![event(number, number as i64)]);
        }
        assert_eq!(journal.len(), EVENTS_MAX);
    }
}

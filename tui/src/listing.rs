//! Many writes at once: what each node's flight recorder lists, put together by seq.

use std::collections::BTreeMap;

use standfast_proto::v1::{TraceOrder, WriteTrace};

use crate::time::Time;
use crate::trace::Lookup;

/// Writes that are asked for at once.
pub(crate) const LISTED: u32 = 100;

/// A list that is asked for again and again while somebody looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) order: TraceOrder,
    /// When it was last asked for.
    pub(crate) asked_at: Option<Time>,
    /// By address; an error says why nobody knows.
    answers: BTreeMap<String, Result<Vec<WriteTrace>, String>>,
}

impl Listing {
    pub(crate) fn new(order: TraceOrder) -> Self {
        Self { order, asked_at: None, answers: BTreeMap::new() }
    }

    /// Begins a new round: what is no longer asked is forgotten, the other answers stay until newer ones come.
    pub(crate) fn ask(&mut self, at: Time, addrs: &[String]) {
        self.asked_at = Some(at);
        self.answers.retain(|addr, _| addrs.contains(addr));
    }

    pub(crate) fn answered(&mut self, addr: String, answer: Result<Vec<WriteTrace>, String>) {
        // A refusal does not wipe what is on the screen, but a node that never told is named.
        if answer.is_ok() || !matches!(self.answers.get(&addr), Some(Ok(_))) {
            self.answers.insert(addr, answer);
        }
    }

    /// Why nodes do not tell.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let failed = |(addr, answer): (&String, &Result<_, String>)| {
            answer.as_ref().err().map(|why| format!("{addr}: {why}"))
        };
        self.answers.iter().filter_map(failed).collect()
    }

    /// Whether any node has told anything.
    pub(crate) fn is_known(&self) -> bool {
        self.answers.values().any(Result::is_ok)
    }

    /// A write each, in the order of the list.
    pub(crate) fn writes(&self) -> Vec<Lookup> {
        let mut by_seq: BTreeMap<u64, Lookup> = BTreeMap::new();
        for (addr, traces) in &self.answers {
            for trace in traces.iter().flatten() {
                let write = by_seq.entry(trace.seq).or_insert_with(|| Lookup::new(trace.seq, Vec::new()));
                write.asked.push(addr.clone());
                write.answers.insert(addr.clone(), Ok(trace.clone()));
            }
        }
        let mut writes: Vec<Lookup> = by_seq.into_values().rev().collect();
        if self.order == TraceOrder::Slowest {
            writes.sort_by_key(|write| std::cmp::Reverse(write.stages().in_all));
        }
        writes.truncate(LISTED as usize);
        writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::lookup;

    fn told(seqs: &[u64]) -> Vec<WriteTrace> {
        seqs.iter().map(|seq| WriteTrace { seq: *seq, ..WriteTrace::default() }).collect()
    }

    #[test]
    fn answers_of_several_nodes_about_one_write_are_one_row() {
        let mut listing = Listing::new(TraceOrder::Newest);
        listing.ask(Time(1), &["h:1".to_owned(), "h:2".to_owned()]);
        listing.answered("h:1".into(), Ok(told(&[9, 8, 7])));
        listing.answered("h:2".into(), Ok(told(&[8, 7])));
        let writes = listing.writes();
        let seen: Vec<(u64, usize)> = writes.iter().map(|write| (write.seq, write.answers.len())).collect();
        assert_eq!(seen, [(9, 1), (8, 2), (7, 2)], "the newest first");
        listing.answered("h:2".into(), Err("reset".into()));
        assert_eq!(listing.writes().len(), 3, "what was told stays");
        listing.ask(Time(2), &["h:1".to_owned()]);
        assert!(listing.writes().iter().all(|write| write.answers.len() == 1), "h:2 is not asked any more");
        listing.answered("h:3".into(), Err("no".into()));
        assert_eq!(listing.complaints(), ["h:3: no"]);
    }

    #[test]
    fn the_slowest_write_is_first_whatever_its_seq() {
        let mut listing = Listing::new(TraceOrder::Slowest);
        let slow = lookup().answers["h:1"].clone().expect("told");
        let mut fast = WriteTrace { seq: 99, ..slow.clone() };
        fast.request.as_mut().expect("has one").replied_ns = Some(1_050_000);
        listing.answered("h:1".into(), Ok(vec![fast, slow]));
        let seqs: Vec<u64> = listing.writes().iter().map(|write| write.seq).collect();
        assert_eq!(seqs, [8, 99]);
    }
}

//! StrictKept: what a strict primary commits is held by as many others as it demands.

use std::collections::BTreeMap;

use standfast_kernel::replication::Degrade;
use standfast_kernel::types::{CopyId, LogPos};

use super::{Invariant, Outcome};

/// How far each copy came, those that are gone included.
#[derive(Debug)]
pub(crate) struct Held {
    demanded: usize,
    last: BTreeMap<CopyId, LogPos>,
}

impl Held {
    pub(crate) fn new(degrade: Degrade) -> Self {
        Self { demanded: degrade.demanded() as usize, last: BTreeMap::new() }
    }

    /// This copy has applied everything up to here.
    pub(crate) fn note(&mut self, copy: CopyId, last: LogPos) {
        let held = self.last.entry(copy).or_insert(last);
        *held = (*held).max(last);
    }

    /// The primary of this copy considers the entry at `pos` committed.
    pub(crate) fn committed(&self, copy: CopyId, pos: LogPos, node: usize) -> Outcome {
        let others = self.last.iter().filter(|(c, last)| **c != copy && **last >= pos).count();
        Invariant::StrictKept.check(others >= self.demanded, || {
            format!("n{node} commits {pos}, which {others} others hold: {} are demanded", self.demanded)
        })
    }
}

#[cfg(test)]
mod tests {
    use standfast_kernel::types::Epoch;

    use super::*;

    #[test]
    fn what_too_few_hold_is_noticed() {
        let pos = |seq| LogPos { epoch: Epoch(1), seq };
        let mut held = Held::new(Degrade::Strict { min_insync: 1 });
        held.note(CopyId(1), pos(5));
        assert!(held.committed(CopyId(1), pos(5), 0).is_err());
        held.note(CopyId(2), pos(4));
        assert!(held.committed(CopyId(1), pos(4), 0).is_ok());
        assert!(held.committed(CopyId(1), pos(5), 0).is_err());
        assert!(Held::new(Degrade::Available).committed(CopyId(1), pos(5), 0).is_ok());
    }
}

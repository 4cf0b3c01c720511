//! Who may speak: SinglePrimary, NoAnswerAfterFence, EpochMonotonic.

use std::collections::BTreeSet;

use standfast_kernel::types::{CopyId, Epoch};

use super::{Invariant, Outcome};

/// Highest epoch in which anybody answered, and who did.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    spoke: Option<(Epoch, CopyId)>,
    led: BTreeSet<Epoch>,
}

impl Fence {
    /// An answer of `epoch` leaves the process that holds `copy`.
    pub(crate) fn answered(&mut self, epoch: Epoch, copy: CopyId, node: usize) -> Outcome {
        if let Some((highest, speaker)) = self.spoke {
            Invariant::NoAnswerAfterFence.check(epoch >= highest, || {
                format!("n{node} answered in epoch {epoch} after an answer of epoch {highest}")
            })?;
            Invariant::SinglePrimary.check(epoch > highest || copy == speaker, || {
                format!("copies {speaker} and {copy} (n{node}) both answered in epoch {epoch}")
            })?;
        }
        self.spoke = Some((epoch, copy));
        Ok(())
    }

    /// A node begins to lead; whether in the highest epoch so far. With a
    /// coordinator a node may learn late that it leads, but never twice of one epoch.
    pub(crate) fn leads(&mut self, epoch: Epoch, node: usize, may_be_late: bool) -> Outcome<bool> {
        let before = self.led.last().copied().unwrap_or_default();
        let fresh = self.led.insert(epoch);
        Invariant::EpochMonotonic.check(fresh && (epoch > before || may_be_late), || {
            format!("n{node} leads in epoch {epoch}, but {before} was led before")
        })?;
        Ok(epoch > before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_red() {
        let mut fence = Fence::default();
        assert!(fence.answered(Epoch(1), CopyId(1), 0).is_ok());
        assert!(fence.answered(Epoch(1), CopyId(2), 1).is_err());
        assert!(fence.answered(Epoch(2), CopyId(2), 1).is_ok());
        assert!(fence.answered(Epoch(1), CopyId(1), 0).is_err());
        assert_eq!(fence.leads(Epoch(3), 1, false).ok(), Some(true));
        assert!(fence.leads(Epoch(3), 2, true).is_err());
        assert!(fence.leads(Epoch(2), 2, false).is_err());
        assert_eq!(fence.leads(Epoch(1), 2, true).ok(), Some(false));
    }
}

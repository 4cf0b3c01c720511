//! Who may speak: SinglePrimary, NoAnswerAfterFence, EpochMonotonic.

use standfast_kernel::types::{CopyId, Epoch};

use super::{Invariant, Outcome};

/// Highest epoch in which anybody answered, and who did.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    spoke: Option<(Epoch, CopyId)>,
    led: Epoch,
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

    /// A node begins to lead.
    pub(crate) fn leads(&mut self, epoch: Epoch, node: usize) -> Outcome {
        let before = std::mem::replace(&mut self.led, epoch);
        Invariant::EpochMonotonic
            .check(epoch > before, || format!("n{node} leads in epoch {epoch}, but {before} was led before"))
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
        assert!(fence.leads(Epoch(2), 1).is_ok());
        assert!(fence.leads(Epoch(2), 2).is_err());
    }
}

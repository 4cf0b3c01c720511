//! What is counted, and what operators see.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::RecountView;
use super::{VerificationClient, VerifyNote};
use crate::store::{Difference, DifferenceKind};
use crate::types::{HomeId, Instant, LogPos, Seq, limits};

/// One difference, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MismatchNote {
    /// The home.
    pub home: HomeId,
    /// The position at which both sides were compared.
    pub at: LogPos,
    /// What differs, and how.
    pub difference: Difference,
    /// When it was found, in the node's own time.
    pub found: Instant,
    /// When it was overwritten from the primary.
    pub repaired: Option<Instant>,
}

/// Counts since the process started.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) equal: u64,
    pub(super) unequal: u64,
    pub(super) inconclusive: u64,
    pub(super) homes_unequal: u64,
    pub(super) sampled: u64,
    pub(super) samples_equal: u64,
    pub(super) samples_unequal: u64,
    pub(super) digests_reset: u64,
    pub(super) overwrites: u64,
    repaired: u64,
    kinds: [u64; 3],
    recent: VecDeque<MismatchNote>,
}

impl Tally {
    pub(super) fn found(
        &mut self,
        now: Instant,
        home: HomeId,
        at: LogPos,
        found: &[Difference],
        notes: &mut Vec<VerifyNote>,
    ) {
        for (i, difference) in found.iter().enumerate() {
            self.kinds[difference.kind as usize] += 1;
            if i < limits::MISMATCHES_KEPT {
                if self.recent.len() == limits::MISMATCHES_KEPT {
                    self.recent.pop_front();
                }
                let note =
                    MismatchNote { home, at, difference: difference.clone(), found: now, repaired: None };
                self.recent.push_back(note.clone());
                notes.push(VerifyNote::Mismatch(note));
            }
        }
    }

    pub(super) fn repaired(&mut self, now: Instant, home: HomeId, keys: u64) {
        self.repaired += keys;
        for note in self.recent.iter_mut().filter(|n| n.home == home && n.repaired.is_none()) {
            note.repaired = Some(now);
        }
    }
}

/// A standby's verification at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyView {
    /// Exclusive: digests of all homes were compared and equal through here.
    pub verified: Option<Seq>,
    /// Why nothing is verified now.
    pub paused: Option<&'static str>,
    /// Comparisons of digests, and how they ended.
    pub equal: u64,
    /// The same.
    pub unequal: u64,
    /// The same: the home had moved on. Not a mismatch.
    pub inconclusive: u64,
    /// Homes that are being looked at more closely, or are known to differ.
    pub looking_at: u64,
    /// Homes known to differ now.
    pub homes_unequal: u64,
    /// Items known to differ now.
    pub mismatched_keys: u64,
    /// Differences found, by kind.
    pub kinds: Vec<(&'static str, u64)>,
    /// Items overwritten from the primary.
    pub repaired: u64,
    /// Digests that were off while the content was right, counted anew.
    pub digests_reset: u64,
    /// How often all homes were overwritten, because too many keys differed.
    pub overwrites: u64,
    /// Keys sampled.
    pub sampled: u64,
    /// Samples that were equal, and those that were not.
    pub samples: (u64, u64),
    /// The newest differences, oldest first.
    pub recent: Vec<MismatchNote>,
    /// The recount of this node's own memory.
    pub recount: RecountView,
    /// Homes whose memory is damaged on the primary.
    pub primary_damaged: Vec<HomeId>,
    /// What joins the homes waits to be built anew: not promotable until then.
    pub is_raw: bool,
    /// How long the last round of comparisons took.
    pub cycle: Option<Duration>,
    /// Since the home that was found equal longest ago; `None` while some home never was.
    pub last_success: Option<Duration>,
    /// Homes that were found equal.
    pub homes_equal: u64,
}

/// What a rehearsal of a promotion wants to know (PROTOCOL 12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soundness {
    /// Items known to differ from the primary's.
    pub items_differ: u64,
    /// The segment table is known to differ.
    pub segments_differ: bool,
    /// What does not fit the homes that it joins.
    pub misfit: Option<String>,
    /// Age of the last walk over all homes, and the age beyond which it proves
    /// nothing; `None` where nothing is verified.
    pub proof: Option<(Duration, Duration)>,
}

impl VerificationClient {
    /// What speaks for and against this copy.
    #[must_use]
    pub fn soundness(&self, now: Instant) -> Soundness {
        Soundness {
            items_differ: self.suspects.keys(),
            segments_differ: self.suspects.get(HomeId::SEGMENTS).is_some_and(|s| s.differ != 0),
            misfit: self.recount.misfit().map(|(home, bad)| format!("{home}: {bad}")),
            proof: self.config.enabled.then(|| self.recount.proof(now, &self.config)),
        }
    }

    /// What operators see.
    #[must_use]
    pub fn view(&self, now: Instant) -> VerifyView {
        let t = &self.tally;
        VerifyView {
            verified: self.through,
            paused: self.paused,
            equal: t.equal,
            unequal: t.unequal,
            inconclusive: t.inconclusive,
            looking_at: self.suspects.looked_at(),
            homes_unequal: self.suspects.unequal(),
            mismatched_keys: self.suspects.keys(),
            kinds: DifferenceKind::ALL.iter().map(|k| (k.name(), t.kinds[*k as usize])).collect(),
            repaired: t.repaired,
            digests_reset: t.digests_reset,
            overwrites: t.overwrites,
            sampled: t.sampled,
            samples: (t.samples_equal, t.samples_unequal),
            recent: t.recent.iter().cloned().collect(),
            recount: self.recount.view(now),
            primary_damaged: self.suspects.of_primary().collect(),
            is_raw: self.raw,
            cycle: self.cycle,
            last_success: self.equal_at.iter().copied().min().flatten().map(|at| now.since(at)),
            homes_equal: self.equal_at.iter().flatten().count() as u64,
        }
    }
}

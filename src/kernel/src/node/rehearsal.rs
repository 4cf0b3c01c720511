//! What a rehearsal of this node's promotion rests on.

use super::Node;
use crate::replication::Standby;
use crate::supervisor::{
    Facts, Leadership, Proof, Rehearsal, RehearsalFacts, Verdict, may_promote, rehearse,
};
use crate::types::{Instant, Seq};

impl Node {
    /// Whether it could be promoted now, by an operator who knows what he does.
    #[must_use]
    pub fn verdict(&self, now: Instant) -> Verdict {
        may_promote(&self.promotion_facts(now))
    }

    /// Whether a takeover by this node would succeed now, and how well that is proved.
    #[must_use]
    pub fn rehearsal(&self, now: Instant) -> Rehearsal {
        let standby = self.state.standby();
        let sound = standby.map(|s| s.soundness(now));
        let proof = sound.as_ref().and_then(|s| s.proof);
        let leadership = self.leadership.as_ref();
        rehearse(&RehearsalFacts {
            promotion: self.promotion_facts(now),
            applied: self.log.tail(),
            committed: standby.map(Standby::commit_known).filter(|c| *c > Seq::FIRST),
            structure: sound.as_ref().and_then(|s| s.misfit.clone()),
            items_differ: sound.as_ref().map_or(0, |s| s.items_differ),
            segments_differ: sound.as_ref().is_some_and(|s| s.segments_differ),
            follows: standby.and_then(Standby::followed_epoch),
            seen: self.max_epoch,
            version_refused: standby.is_some_and(Standby::is_version_refused),
            suspended: leadership.and_then(|l| l.automation(self.wall).suspended()),
            proof: proof.map(|(age, age_max)| Proof { age, age_max }),
            coordinator: leadership.map(|l: &Leadership| l.rehearsal(now)),
        })
    }

    fn promotion_facts(&self, now: Instant) -> Facts {
        let standby = self.state.standby();
        Facts {
            role: self.role(),
            ever_streamed: self.ever_streamed,
            in_sync: self.counted_in_sync(),
            quarantined: standby.map_or(0, |s| s.quarantine().len()),
            unsealed: standby.and_then(|s| s.unsealed(now)),
        }
    }

    /// The record's word, where there is one; else the primary's last one.
    fn counted_in_sync(&self) -> bool {
        let here = self.state.standby().is_some_and(Standby::in_sync);
        match &self.leadership {
            Some(l) => l.view().in_sync().is_some_and(|isr| isr.holds(self.config.me.copy)),
            None => here,
        }
    }
}

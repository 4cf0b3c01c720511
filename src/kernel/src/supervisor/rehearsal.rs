//! Would a takeover by this standby succeed, now and by itself? Asked all the
//! time, so that the answer is known before it is needed (PROTOCOL 12).
//!
//! What a promotion itself insists on is [`may_promote`](super::may_promote); a
//! rehearsal adds what an operator may overrule, and what is only as good as
//! the proof behind it.

use std::time::Duration;

use super::{Facts, Reason, Role, may_promote};
use crate::types::{Epoch, Seq};

/// What a rehearsal rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehearsalFacts {
    /// What a promotion insists on.
    pub promotion: Facts,
    /// Exclusive: everything before it is applied here.
    pub applied: Seq,
    /// Exclusive: what the primary was last known to have acknowledged.
    pub committed: Option<Seq>,
    /// What the structural walk found: two owners of one region, an index that is off.
    pub structure: Option<String>,
    /// Items that verification knows to differ from the primary's.
    pub items_differ: u64,
    /// The segment table is known to differ: mounts or clients are missing here.
    pub segments_differ: bool,
    /// Epoch that it follows; `None` before it followed one.
    pub follows: Option<Epoch>,
    /// Highest epoch seen anywhere.
    pub seen: Epoch,
    /// The primary speaks another version of the protocol.
    pub version_refused: bool,
    /// No node takes over by itself: a code, and why.
    pub suspended: Option<(&'static str, String)>,
    /// Age of the last walk over all homes; `None` where nothing is verified.
    pub proof: Option<Proof>,
    /// The rehearsed transaction; `None` without a coordinator.
    pub coordinator: Option<CoordinatorProof>,
}

/// How old the proof of the structure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Since every home was last looked at.
    pub age: Duration,
    /// Beyond this it proves nothing any more.
    pub age_max: Duration,
}

/// What the coordinator said to the compares of a takeover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinatorProof {
    /// They hold, and this node may write: since then.
    Accepted(Proof),
    /// It has not been asked yet, or did not answer.
    Unknown(String),
}

/// Whether a takeover would succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing speaks against it.
    Yes,
    /// Something does.
    No,
    /// It cannot be told.
    Unknown,
}

/// What a rehearsal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// The verdict.
    pub answer: Answer,
    /// Why it is not yes.
    pub reasons: Vec<Reason>,
    /// Age of the oldest proof that the verdict rests on; `None` without any.
    pub age: Option<Duration>,
}

/// Judges the facts. Order of the reasons: what weighs most first.
#[must_use]
pub fn rehearse(facts: &RehearsalFacts) -> Rehearsal {
    let mut reasons = may_promote(&facts.promotion).reasons;
    let is_standby = facts.promotion.role == Role::Standby;
    if is_standby {
        reasons.extend(state(facts));
        reasons.extend(surroundings(facts));
    }
    let unknown = if is_standby { unproved(facts) } else { None };
    let answer = match (reasons.is_empty(), &unknown) {
        (false, _) => Answer::No,
        (true, Some(_)) => Answer::Unknown,
        (true, None) => Answer::Yes,
    };
    reasons.extend(unknown);
    Rehearsal { answer, reasons, age: age(facts) }
}

fn reason(code: &'static str, text: String) -> Reason {
    Reason { code, text }
}

/// What is wrong with the copy itself.
fn state(facts: &RehearsalFacts) -> Vec<Reason> {
    let mut found = Vec::new();
    if let Some(committed) = facts.committed.filter(|c| *c > facts.applied) {
        let n = committed.since(facts.applied);
        let text = format!("{n} acknowledged entries from {} on are missing here", facts.applied);
        found.push(reason("gap", text));
    }
    if let Some(what) = &facts.structure {
        found.push(reason("structure", format!("what joins the homes does not fit them: {what}")));
    }
    if facts.segments_differ {
        let text = "the segment table differs from the primary's: memory may be missing here";
        found.push(reason("segments_differ", text.to_owned()));
    }
    if facts.items_differ > 0 {
        let text = format!("{} items differ from the primary's, or are missing here", facts.items_differ);
        found.push(reason("items_differ", text));
    }
    found
}

/// What is wrong around it.
fn surroundings(facts: &RehearsalFacts) -> Vec<Reason> {
    let mut found = Vec::new();
    if let Some(epoch) = facts.follows.filter(|epoch| *epoch < facts.seen) {
        let text = format!("it follows epoch {epoch}, but epoch {} was seen", facts.seen);
        found.push(reason("old_epoch", text));
    }
    if facts.version_refused {
        let text = "the primary speaks another version of the replication protocol";
        found.push(reason("version", text.to_owned()));
    }
    if let Some((code, why)) = &facts.suspended {
        found.push(reason(code, why.clone()));
    }
    let stale = |p: &&Proof| p.age > p.age_max;
    if let Some(p) = facts.proof.as_ref().filter(stale) {
        let (age, max) = (p.age.as_secs(), p.age_max.as_secs());
        let text = format!("the last walk over all homes was {age} s ago, more than {max} s");
        found.push(reason("stale_proof", text));
    }
    found
}

/// What nobody can tell at this moment.
fn unproved(facts: &RehearsalFacts) -> Option<Reason> {
    match facts.coordinator.as_ref()? {
        CoordinatorProof::Accepted(p) if p.age <= p.age_max => None,
        CoordinatorProof::Accepted(p) => {
            let text = format!("the coordinator last accepted a rehearsal {} s ago", p.age.as_secs());
            Some(reason("coordinator", text))
        }
        CoordinatorProof::Unknown(why) => Some(reason("coordinator", why.clone())),
    }
}

fn age(facts: &RehearsalFacts) -> Option<Duration> {
    let accepted = match &facts.coordinator {
        Some(CoordinatorProof::Accepted(p)) => Some(p.age),
        Some(CoordinatorProof::Unknown(_)) | None => None,
    };
    accepted.max(facts.proof.map(|p| p.age))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fresh() -> Proof {
        Proof { age: SECOND, age_max: 30 * SECOND }
    }

    fn good() -> RehearsalFacts {
        RehearsalFacts {
            promotion: Facts {
                role: Role::Standby,
                ever_streamed: true,
                in_sync: true,
                quarantined: 0,
                unsealed: None,
            },
            applied: Seq(9),
            committed: Some(Seq(9)),
            structure: None,
            items_differ: 0,
            segments_differ: false,
            follows: Some(Epoch(3)),
            seen: Epoch(3),
            version_refused: false,
            suspended: None,
            proof: Some(fresh()),
            coordinator: Some(CoordinatorProof::Accepted(fresh())),
        }
    }

    fn verdict(break_it: impl Fn(&mut RehearsalFacts)) -> (Answer, Vec<&'static str>) {
        let mut facts = good();
        break_it(&mut facts);
        let found = rehearse(&facts);
        (found.answer, found.reasons.iter().map(|r| r.code).collect())
    }

    #[test]
    fn ten_planted_defects_flip_it_to_no_each_with_its_own_code() {
        assert_eq!(verdict(|_| ()), (Answer::Yes, vec![]));
        type Defect = fn(&mut RehearsalFacts);
        let defects: [(Defect, &str); 10] = [
            (|f| f.committed = Some(Seq(12)), "gap"),
            (|f| f.promotion.quarantined = 1, "quarantine"),
            (|f| f.structure = Some("region 64+64 of mount 1/1".into()), "structure"),
            (|f| f.segments_differ = true, "segments_differ"),
            (|f| f.seen = Epoch(4), "old_epoch"),
            (|f| f.promotion.unsealed = Some("7 homes".into()), "full_sync"),
            (|f| f.suspended = Some(("paused", "maintenance".into())), "paused"),
            (|f| f.version_refused = true, "version"),
            (|f| f.proof = Some(Proof { age: 31 * SECOND, ..fresh() }), "stale_proof"),
            (|f| f.items_differ = 4, "items_differ"),
        ];
        for (defect, code) in defects {
            assert_eq!(verdict(defect), (Answer::No, vec![code]), "{code}");
        }
    }

    #[test]
    fn what_the_coordinator_has_not_said_is_unknown_and_no_is_no_all_the_same() {
        let silent = || Some(CoordinatorProof::Unknown("no answer".into()));
        assert_eq!(verdict(|f| f.coordinator = silent()), (Answer::Unknown, vec!["coordinator"]));
        let late = || Some(CoordinatorProof::Accepted(Proof { age: 31 * SECOND, ..fresh() }));
        assert_eq!(verdict(|f| f.coordinator = late()), (Answer::Unknown, vec!["coordinator"]));
        let both = verdict(|f| (f.coordinator, f.items_differ) = (silent(), 1));
        assert_eq!(both, (Answer::No, vec!["items_differ", "coordinator"]));
        assert_eq!(verdict(|f| f.coordinator = None), (Answer::Yes, vec![]), "an operator decides");
    }

    #[test]
    fn the_age_is_that_of_the_oldest_proof() {
        let mut facts = good();
        facts.coordinator = Some(CoordinatorProof::Accepted(Proof { age: 5 * SECOND, ..fresh() }));
        assert_eq!(rehearse(&facts).age, Some(5 * SECOND));
        facts.coordinator = None;
        assert_eq!(rehearse(&facts).age, Some(SECOND));
    }

    #[test]
    fn only_a_standby_is_rehearsed() {
        let (answer, codes) = verdict(|f| (f.promotion.role, f.items_differ) = (Role::Primary, 3));
        assert_eq!((answer, codes), (Answer::No, vec!["not_standby"]));
    }
}

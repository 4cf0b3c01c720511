//! Every mutant of the kernel must be caught, and by an invariant that the
//! broken rule protects. The same history without the mutant must be clean, or
//! it was not the mutant that was caught.

use standfast_kernel::mutants::Mutant;

use crate::invariants::Invariant::{self, *};
use crate::scenario::Scenario::{self, *};

/// Where a mutant is hunted, and what may catch it.
struct Hunt {
    scenarios: &'static [Scenario],
    caught_by: &'static [Invariant],
    /// Of each scenario.
    seeds: u64,
}

/// What shows that a copy is not one prefix of the log; verification says so as well.
const COPIES: &[Invariant] = &[
    StateEquality,
    NoQuarantine,
    NoSharedBytes,
    DerivedEqualsRebuild,
    LogMatching,
    ContiguousApply,
    VerifySound,
];

/// And that it lacks what was promised.
const LACKING: &[Invariant] =
    &[StateEquality, NoQuarantine, NoSharedBytes, StaleRead, PromiseKept, VerifySound];

const fn hunt(scenarios: &'static [Scenario], caught_by: &'static [Invariant], seeds: u64) -> Hunt {
    Hunt { scenarios, caught_by, seeds }
}

/// Spelled out: a new mutant does not compile before somebody says what catches it,
/// or which other test does.
fn plan(mutant: Mutant) -> Result<Hunt, &'static str> {
    Ok(match mutant {
        // Nobody publishes here: a model that goes through every order of three epochs does.
        Mutant::PublishNoEpoch | Mutant::RetireAnyView | Mutant::PutOverView => {
            return Err("src/kernel/tests/publish.rs");
        }
        Mutant::StrictAlone => hunt(&[LeaderStrict], &[StrictKept], 100),
        Mutant::SilentNoWait => {
            hunt(&[LeaderStrict], &[NoAnswerAfterFence, StaleRead, NoReuseUnderRight], 300)
        }
        // Too rare by chance: hundreds of histories go by.
        Mutant::SilentUnmatched => return Err("src/kernel/src/replication/primary/shrink_tests.rs"),
        Mutant::SilentForgotLeases => return Err("src/kernel/src/node/lead_tests.rs"),
        // What standbys hear from the primary itself covers for the record.
        Mutant::LeaseAheadOfRecord => return Err("src/kernel/src/node/lead_tests.rs"),
        Mutant::PauseIgnored | Mutant::FlapsIgnored => hunt(&[Restrained], &[Restraint], 50),
        Mutant::LedByOldRecord => {
            hunt(&[HandOver], &[Converges, PromiseKept, NoAnswerAfterFence, Linearizable], 600)
        }
        Mutant::LeaseKeepOnTimeout | Mutant::SoloNoLease | Mutant::ForcedAtOnce => {
            hunt(&[Forced], &[NoAnswerAfterFence], 50)
        }
        Mutant::LeaseFromReply => hunt(&[Forced], &[NoAnswerAfterFence], 400),
        Mutant::StaleForced => hunt(&[Forced], &[Linearizable, NoWrongBytes, NoReuseUnderRight], 50),
        Mutant::UnreadableAtFirst => hunt(&[Leader], &[AnnouncedServed], 20),
        // What the new copy of a node says counts for its lost one, and it is never admitted itself.
        Mutant::AckAnyCopy => {
            hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence, PromoteEligible, Converges], 50)
        }
        // Rare by chance: transcripts hold the rules.
        Mutant::UnroutedUnseen => return Err("src/kernel/src/master/groups_tests.rs"),
        Mutant::OwnLeasesForgot => return Err("src/kernel/src/node/node_tests.rs"),
        Mutant::AdmitNoGrant => return Err("src/kernel/src/replication/primary_tests.rs"),
        Mutant::HoldNoTtl | Mutant::FreeInHold => {
            hunt(&[Leases, Switch], &[NoReuseUnderRight, NoWrongBytes], 100)
        }
        Mutant::HandOverNotQuiet | Mutant::HandOverTimeoutIsNo => {
            hunt(&[HandOver], &[NoAnswerAfterFence, StaleRead, PromiseKept, Linearizable], 200)
        }
        Mutant::ColdStartUnproved => hunt(&[ColdStart], &[EmptyStartProved], 100),
        Mutant::HandOverLagging => hunt(&[HandOver], &[PromiseKept], 100),
        // The fresh process leads an epoch that its node has led before.
        Mutant::LedByNodeName => hunt(&[Leader], &[EpochMonotonic, PromiseKept, NoAnswerAfterFence], 50),
        Mutant::LateElectionIgnored => hunt(&[Leader], &[Converges, Liveness], 50),
        Mutant::OldEpochAccepted => {
            hunt(&[Amnesia], &[PromiseKept, NoAnswerAfterFence, Converges, Liveness], 50)
        }
        // A change must be late by just as long as the coordinator is forgetful; a process that starts
        // meanwhile, and remembers nothing, is beyond what is promised.
        Mutant::AmnesiaBelieved | Mutant::FoundedAgain => {
            return Err("src/kernel/src/supervisor/leadership/leadership_tests.rs");
        }
        Mutant::ProposalForgotten => hunt(&[Leader], &[Converges, Liveness], 50),
        Mutant::ProposeBlind => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 300),
        Mutant::DeposedKeepsServing => hunt(&[Leader], &[NoAnswerAfterFence, PromiseKept], 50),
        // It matters to a set that falls silent before anything else is written: rare.
        Mutant::NoTermRecord => return Err("src/kernel/src/node/node_tests.rs"),
        Mutant::LeaseNotRecorded => hunt(&[Sync], &[NoReuseUnderRight, NoWrongBytes], 50),
        // No machine of the simulation stops without its clock.
        Mutant::ClockLeapIgnored => return Err("src/kernel/src/node/lead_tests.rs"),
        // Evidence is for liveness only, and a copy in sync has a hole only where something is broken.
        Mutant::UnfitTakesOver | Mutant::StallIgnored => {
            return Err("src/kernel/src/supervisor/leadership/leadership_tests.rs");
        }
        Mutant::ForcedByLostRecords => {
            return Err("src/kernel/src/supervisor/leadership/amnesia_tests.rs");
        }
        // Another copying follows, and ends once there is less to do.
        Mutant::TrimmedUnderCopy | Mutant::CopyingWithoutBound => {
            return Err("src/kernel/src/replication/primary_tests.rs");
        }
        // Repairs take place at rest there: nothing is ahead.
        Mutant::RepairAhead => return Err("src/kernel/src/replication/verify/verify_tests.rs"),
        Mutant::TakeNoIsrCmp => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 200),
        Mutant::NonIsrTakeover => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 100),
        Mutant::CasTimeoutIsNo => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 300),
        Mutant::ShrinkEarly => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 300),
        Mutant::GrowLate => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 300),
        // Replicas of a dead mount are shown again: by the log they are gone.
        Mutant::SegidNotUid => hunt(&[Lenders], &[AnswersFollowLog, NoWrongBytes, NoQuarantine], 30),
        Mutant::InheritedHoldsEnd => hunt(&[Lenders, ColdStart], &[NoReuseUnderRight, NoWrongBytes], 100),
        Mutant::ColdNoHold => hunt(&[Lenders], &[NoReuseUnderRight, NoWrongBytes], 50),
        Mutant::InplaceInHold => hunt(&[Leases, Switch], &[NoReuseUnderRight, NoWrongBytes], 100),
        Mutant::AsyncInplace => hunt(&[Async], &[PromiseKept, NoReuseUnderRight, NoWrongBytes], 100),
        Mutant::InplaceUnderLease => hunt(&[Sync], &[NoReuseUnderRight, NoWrongBytes], 50),
        Mutant::AttemptsForgot => hunt(&[Attempts], &[NoWrongBytes, NoReuseUnderRight], 50),
        // Waits that do not cover a slow clock: two speak at once, or bytes are reused under a lease.
        Mutant::Drift0 => hunt(&[Drift], &[NoAnswerAfterFence, NoReuseUnderRight, NoWrongBytes], 200),
        Mutant::BeaconAnyPosition => hunt(&[Trim], &[VerifySound], 20),
        // It leaves all the same, as one that stays far behind, but late.
        Mutant::QuarantinedStays => return Err("src/kernel/src/replication/primary/shrink_tests.rs"),
        Mutant::BeaconIgnored | Mutant::RecountSkipped => hunt(&[Sync], &[VerifyComplete], 20),
        Mutant::AnyOneAck => hunt(&[Sync, Switch], &[PromiseKept], 50),
        Mutant::TailIsCommit => hunt(&[Sync, Switch], &[PromiseKept], 50),
        Mutant::NoGrants => hunt(&[Switch], &[NoAnswerAfterFence], 50),
        Mutant::GrantFromReceipt => hunt(&[Switch, Sync], &[NoAnswerAfterFence], 200),
        Mutant::NoGrantWait => hunt(&[Switch], &[NoAnswerAfterFence], 50),
        Mutant::AckReceived => hunt(&[Switch, Sync], &[PromiseKept], 50),
        Mutant::SameIncRestart => hunt(&[LongLog], &[PromiseKept], 20),
        Mutant::ForgetOnHello => hunt(&[Rejoin], &[PromiseKept, PromoteEligible], 20),
        Mutant::FormerForgotAlways => hunt(&[Rejoin], &[PromiseKept], 20),
        Mutant::NoLogmatch => hunt(&[Switch, Sync], &[LogMatching, NoQuarantine], 50),
        Mutant::AdmitEarly => hunt(&[LongLog], &[PromiseKept], 20),
        Mutant::NoHold => hunt(&[Switch, Leases], &[NoReuseUnderRight, NoWrongBytes], 100),
        Mutant::LimboNow => hunt(&[Switch, Leases], &[NoReuseUnderRight, NoWrongBytes], 100),
        Mutant::LateTail => hunt(&[FullSync], LACKING, 100),
        Mutant::NoSkip => hunt(&[FullSync], COPIES, 100),
        Mutant::UnsealedResume | Mutant::FsSessionsMix => hunt(&[FullSync], COPIES, 1000),
        Mutant::NoSeal => hunt(&[FullSync], COPIES, 200),
        Mutant::IncrementalBeforeSeal => hunt(&[FullSync], COPIES, 100),
        Mutant::WipeSameInc => hunt(&[FullSync], &[ContiguousApply], 50),
        Mutant::IsrKeptOverFullSync => hunt(&[Trim], &[Order, RecordHolds], 20),
        Mutant::StaleRecord => hunt(&[Switch], &[PromoteEligible], 50),
        Mutant::FreeNowAlways => hunt(&[Sync], &[NoReuseUnderRight, NoWrongBytes], 50),
        Mutant::FreeNowPreempt => hunt(&[Sync], &[NoReuseUnderRight, NoWrongBytes], 50),
        Mutant::ReadNoCommit => hunt(&[Sync, Switch], &[PromiseKept, StaleRead], 100),
        Mutant::AsyncPutStartNoCommit => hunt(&[Async], &[PromiseKept, NoReuseUnderRight, NoWrongBytes], 100),
    })
}

/// Rule, mutant, and what catches it where: docs/mutants.md.
pub(crate) fn table() -> String {
    let mut page = String::from(HEAD);
    for mutant in Mutant::ALL {
        let (rule, how) = mutant.rule().split_once(": ").unwrap_or(("", mutant.rule()));
        let (scenarios, caught_by) = match plan(*mutant) {
            Ok(hunt) => (format!("{}; {} seeds", joined(hunt.scenarios), hunt.seeds), joined(hunt.caught_by)),
            Err(test) => (format!("[{test}](../{test})"), "its own test".to_owned()),
        };
        page += &format!("| {rule} | {mutant:?} | {how} | {scenarios} | {caught_by} |\n");
    }
    page + TAIL
}

const HEAD: &str = "\
# Rules, each broken on purpose

Written by `cargo xtask sim --table`. Each mutant breaks one rule by one line of the kernel; `cargo xtask sim --mutants`
hunts it in at most so many seeds of these scenarios until an invariant of the last column catches it, and the same history without it is clean.

| Rule | Mutant | What it does | Hunted in | Caught by one of |
|---|---|---|---|---|
";

/// Rules of PROTOCOL that no line can break so that anything notices.
const TAIL: &str = "
## Rules without one

| Rule | Why |
|---|---|
| PROTOCOL S2 | Hygiene: a lower epoch that is followed grants to a primary that others do not grant to. Broken, it was not noticed in 400 histories, as in the model. |
| PROTOCOL T2 | That a candidate stops acknowledging: what it acknowledges it keeps, and it waits for its last promise when it leads, not when it asks. Broken, it was not noticed in 400 histories. |
| PROTOCOL T1 | The evidence itself: any suspicion is safe. What else T1 asks for is above. |
| PROTOCOL C3 | No decision reads a watch; what could believe late news is LedByOldRecord. |
| PROTOCOL I9 | To read again before the repetition: the repetition reads the truth when its compare fails. |
| PROTOCOL C6 | That the port closes: the order to is DeposedKeepsServing; the door itself is [`a_standby_refuses_connections_and_demotion_closes_them`](../tests/it/mooncake_door.rs). |
| PROTOCOL G8 | It says that nothing need be done. |
| PROTOCOL T8 | It follows from G3, G4, I3 and A7, which are above. |
| PROTOCOL A6, windows | Not built: in async mode what hands out bytes waits for the in-sync set (AsyncPutStartNoCommit). |
";

fn joined<T: std::fmt::Debug>(all: &[T]) -> String {
    all.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>().join(", ")
}

/// Without mutants in the build.
#[cfg(not(feature = "mutants"))]
pub(crate) fn run(_: Option<&str>) -> (u64, u64) {
    println!(
        "FAILED: this build has no mutants; use `cargo xtask sim --mutants`, which switches the feature on"
    );
    (0, 1)
}

/// Switches a mutant on for the rest of the run.
#[cfg(not(feature = "mutants"))]
pub(crate) fn switch_on(_: &str) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub(crate) use hunt::{run, switch_on};

/// DESIGN 7: each invariant has a mutant that it may catch. Of the others, `SinglePrimary` is never the first
/// to see one (who begins an epoch twice, or speaks after a higher one, is seen before), and two are not about
/// rules of the protocol. Each of these has a test in which it goes red, or panics.
#[test]
fn each_invariant_has_a_mutant() {
    let named: Vec<Invariant> =
        Mutant::ALL.iter().filter_map(|m| plan(*m).ok()).flat_map(|hunt| hunt.caught_by.to_vec()).collect();
    let without: Vec<_> = Invariant::ALL.iter().filter(|i| !named.contains(i)).collect();
    assert_eq!(without, [&SinglePrimary, &NoBusyWait, &KernelBug]);
}

#[test]
fn the_page_of_mutants_is_up_to_date() {
    let page = include_str!("../../../docs/mutants.md");
    assert_eq!(page, table(), "cargo xtask sim --table > docs/mutants.md");
}

#[cfg(feature = "mutants")]
mod hunt {
    use std::ops::Range;
    use std::thread;

    use standfast_kernel::mutants::{self, Mutant};

    use super::{Hunt, plan};
    use crate::invariants::{Invariant, Outcome};
    use crate::runner::{cores, history};
    use crate::scenario::Scenario;

    /// Switches a mutant on for the rest of the run; false when there is none of this name.
    pub(crate) fn switch_on(name: &str) -> bool {
        let mutant = Mutant::ALL.iter().find(|m| format!("{m:?}") == name);
        mutants::set(mutant.copied());
        mutant.is_some()
    }

    /// Runs each mutant until it is caught; (caught, not caught or for a wrong reason).
    pub(crate) fn run(only: Option<&str>) -> (u64, u64) {
        let (mut caught, mut missed) = (0, 0);
        for mutant in Mutant::ALL.iter().filter(|m| only.is_none_or(|name| format!("{m:?}") == name)) {
            let hunt = match plan(*mutant) {
                Ok(hunt) => hunt,
                Err(test) => {
                    println!("{mutant:?}: caught by {test}");
                    continue;
                }
            };
            mutants::set(Some(*mutant));
            let found = chase(&hunt);
            mutants::set(None);
            match found.and_then(|catch| control(&catch)) {
                Ok(how) => {
                    println!("{mutant:?}: {how}");
                    caught += 1;
                }
                Err(why) => {
                    println!("FAILED {mutant:?}: {why}");
                    missed += 1;
                }
            }
        }
        (caught, missed)
    }

    /// A history that a mutant was caught in.
    struct Catch {
        scenario: Scenario,
        seed: u64,
        by: Invariant,
    }

    /// Runs the history again with no mutant set.
    fn control(catch: &Catch) -> Result<String, String> {
        let Catch { scenario, seed, by } = catch;
        match history(*scenario, *seed, false).outcome {
            Ok(()) => Ok(format!("caught by {by:?} in {scenario}, seed {seed}; clean without it")),
            Err(violation) => {
                Err(format!("{scenario}, seed {seed}, is not clean without it either: {violation}"))
            }
        }
    }

    fn chase(hunt: &Hunt) -> Result<Catch, String> {
        for scenario in hunt.scenarios {
            eprintln!("{scenario}: at most {} seeds", hunt.seeds);
            let mut next = 0;
            while next < hunt.seeds {
                let some = next..hunt.seeds.min(next + cores() as u64);
                next = some.end;
                for (seed, outcome) in at_once(*scenario, some) {
                    let Err(violation) = outcome else { continue };
                    let by = violation.invariant;
                    if hunt.caught_by.contains(&by) {
                        return Ok(Catch { scenario: *scenario, seed, by });
                    }
                    let expected = hunt.caught_by;
                    let text = violation.text;
                    return Err(format!(
                        "caught by {by:?} in {scenario}, seed {seed}, but expected {expected:?}: {text}"
                    ));
                }
            }
        }
        Err(format!("not caught in {} seeds of {} scenarios", hunt.seeds, hunt.scenarios.len()))
    }

    /// One seed on each core.
    fn at_once(scenario: Scenario, seeds: Range<u64>) -> Vec<(u64, Outcome)> {
        thread::scope(|scope| {
            let run = |seed| scope.spawn(move || (seed, history(scenario, seed, false).outcome));
            let all: Vec<_> = seeds.map(run).collect();
            all.into_iter().map(|one| one.join().expect("a history's panic is caught in it")).collect()
        })
    }
}

//! Every mutant of the kernel must be caught, and by an invariant that the
//! broken rule protects. The same history without the mutant must be clean, or
//! it was not the mutant that was caught.

#[cfg(not(feature = "mutants"))]
pub(crate) fn run(_: Option<&str>) -> (u64, u64) {
    println!(
        "FAILED: this build has no mutants; use `cargo xtask sim --mutants`, which switches the feature on"
    );
    (0, 1)
}

#[cfg(feature = "mutants")]
pub(crate) use hunt::run;

#[cfg(feature = "mutants")]
mod hunt {
    use standfast_kernel::mutants::{self, Mutant};

    use crate::invariants::Invariant::{self, *};
    use crate::runner::history;
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
    /// or that another test does.
    fn plan(mutant: Mutant) -> Option<Hunt> {
        Some(match mutant {
            // Nobody publishes here; `kernel/tests/publish.rs` catches these.
            Mutant::PublishNoEpoch | Mutant::RetireAnyView | Mutant::PutOverView => return None,
            Mutant::StrictAlone => hunt(&[LeaderStrict], &[StrictKept], 100),
            Mutant::SilentNoWait => {
                hunt(&[LeaderStrict], &[NoAnswerAfterFence, StaleRead, NoReuseUnderRight], 300)
            }
            // A primary alone on record has no successor before an operator may start an empty copy (T4):
            // no history can break its lease. Transcripts hold the rule meanwhile.
            Mutant::LeaseFromReply | Mutant::LeaseKeepOnTimeout | Mutant::SoloNoLease => return None,
            // Too rare here: hundreds of histories go by. Transcripts hold these rules (`primary/shrink_tests.rs`,
            // `node/lead_tests.rs`).
            Mutant::SilentUnmatched | Mutant::SilentForgotLeases => return None,
            Mutant::HandOverNotQuiet | Mutant::HandOverTimeoutIsNo => {
                hunt(&[HandOver], &[NoAnswerAfterFence, StaleRead, PromiseKept], 200)
            }
            Mutant::PauseIgnored | Mutant::FlapsIgnored => hunt(&[Restrained], &[Restraint], 50),
            Mutant::ColdStartUnproved => hunt(&[Leader], &[PromiseKept], 100),
            Mutant::LedByOldRecord => hunt(&[HandOver], &[Converges, PromiseKept, NoAnswerAfterFence], 300),
            Mutant::HandOverLagging => hunt(&[HandOver], &[PromiseKept], 100),
            Mutant::TakeNoIsrCmp => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 200),
            Mutant::NonIsrTakeover => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 100),
            Mutant::CasTimeoutIsNo => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 300),
            Mutant::ShrinkEarly => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 300),
            Mutant::GrowLate => hunt(&[Leader], &[PromiseKept, NoAnswerAfterFence], 300),
            // Replicas of a dead mount are shown again: by the log they are gone.
            Mutant::SegidNotUid => hunt(&[Lenders], &[AnswersFollowLog, NoWrongBytes, NoQuarantine], 30),
            Mutant::ColdNoHold => hunt(&[Lenders], &[NoReuseUnderRight, NoWrongBytes], 50),
            Mutant::InplaceInHold => hunt(&[Leases, Switch], &[NoReuseUnderRight, NoWrongBytes], 100),
            Mutant::AsyncInplace => hunt(&[Async], &[PromiseKept, NoReuseUnderRight, NoWrongBytes], 100),
            Mutant::InplaceUnderLease => hunt(&[Sync], &[NoReuseUnderRight, NoWrongBytes], 50),
            Mutant::AttemptsForgot => hunt(&[Attempts], &[NoWrongBytes, NoReuseUnderRight], 50),
            // Waits that do not cover a slow clock: two speak at once, or bytes are reused under a lease.
            Mutant::Drift0 => hunt(&[Drift], &[NoAnswerAfterFence, NoReuseUnderRight, NoWrongBytes], 200),
            Mutant::BeaconAnyPosition => hunt(&[Trim], &[VerifySound], 20),
            Mutant::BeaconIgnored | Mutant::RecountSkipped => hunt(&[Sync], &[VerifyComplete], 20),
            Mutant::AnyOneAck => hunt(&[Sync, Switch], &[PromiseKept], 50),
            Mutant::TailIsCommit => hunt(&[Sync, Switch], &[PromiseKept], 50),
            Mutant::NoGrants => hunt(&[Switch], &[NoAnswerAfterFence], 50),
            Mutant::GrantFromReceipt => hunt(&[Switch, Sync], &[NoAnswerAfterFence], 200),
            Mutant::NoGrantWait => hunt(&[Switch], &[NoAnswerAfterFence], 50),
            Mutant::AckReceived => hunt(&[Switch, Sync], &[PromiseKept], 50),
            Mutant::SameIncRestart => hunt(&[LongLog], &[PromiseKept], 20),
            Mutant::ForgetOnHello => hunt(&[Rejoin], &[PromiseKept, PromoteEligible], 20),
            Mutant::NoLogmatch => hunt(&[Switch, Sync], &[LogMatching, NoQuarantine], 50),
            Mutant::AdmitEarly => hunt(&[LongLog], &[PromiseKept], 20),
            Mutant::NoHold => hunt(&[Switch, Leases], &[NoReuseUnderRight, NoWrongBytes], 100),
            Mutant::LimboNow => hunt(&[Switch, Leases], &[NoReuseUnderRight, NoWrongBytes], 100),
            Mutant::LateTail => hunt(&[FullSync], LACKING, 100),
            Mutant::NoSkip => hunt(&[FullSync], COPIES, 100),
            Mutant::UnsealedResume | Mutant::FsSessionsMix => hunt(&[FullSync], COPIES, 300),
            Mutant::NoSeal => hunt(&[FullSync], COPIES, 200),
            Mutant::IncrementalBeforeSeal => hunt(&[FullSync], COPIES, 100),
            Mutant::WipeSameInc => hunt(&[FullSync], &[ContiguousApply], 50),
            Mutant::IsrKeptOverFullSync => hunt(&[Trim], &[Order, RecordHolds], 20),
            Mutant::StaleRecord => hunt(&[Switch], &[PromoteEligible], 50),
            Mutant::FreeNowAlways => hunt(&[Sync], &[NoReuseUnderRight, NoWrongBytes], 50),
            Mutant::FreeNowPreempt => hunt(&[Sync], &[NoReuseUnderRight, NoWrongBytes], 50),
            Mutant::ReadNoCommit => hunt(&[Sync, Switch], &[PromiseKept, StaleRead], 100),
            Mutant::AsyncPutStartNoCommit => {
                hunt(&[Async], &[PromiseKept, NoReuseUnderRight, NoWrongBytes], 100)
            }
        })
    }

    /// Runs each mutant until it is caught; (caught, not caught or for a wrong reason).
    pub(crate) fn run(only: Option<&str>) -> (u64, u64) {
        let (mut caught, mut missed) = (0, 0);
        for mutant in Mutant::ALL.iter().filter(|m| only.is_none_or(|name| format!("{m:?}") == name)) {
            let Some(hunt) = plan(*mutant) else {
                println!("{mutant:?}: caught by a test of the kernel, not hunted here");
                continue;
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
            for seed in 0..hunt.seeds {
                let Err(violation) = history(*scenario, seed, false).outcome else { continue };
                let how = format!("{:?} in {scenario}, seed {seed}", violation.invariant);
                if hunt.caught_by.contains(&violation.invariant) {
                    return Ok(Catch { scenario: *scenario, seed, by: violation.invariant });
                }
                return Err(format!(
                    "caught by {how}, but expected {:?}: {}",
                    hunt.caught_by, violation.text
                ));
            }
        }
        Err(format!("not caught in {} seeds of {} scenarios", hunt.seeds, hunt.scenarios.len()))
    }
}

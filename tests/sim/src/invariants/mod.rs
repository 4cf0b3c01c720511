//! What must hold, one file a subject. Each violation names the invariant
//! (DESIGN 7) and the rule that it comes from.

mod answers;
mod fence;
mod linear;
mod log;
mod promise;
mod state;
mod strict;

use std::fmt;

pub(crate) use fence::Fence;
pub(crate) use linear::{Ask, Op, Told, check as linearizable};
pub(crate) use log::{Ledger, Shadow};
pub(crate) use promise::Promises;
pub(crate) use state::{States, audit};
pub(crate) use strict::Held;

/// A broken invariant.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) text: String,
}

pub(crate) type Outcome<T = ()> = Result<T, Violation>;

macro_rules! invariants {
    ($($name:ident: $rule:literal),+ $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Invariant { $($name),+ }

        impl Invariant {
            /// All of them.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Where the rule stands.
            pub(crate) fn rule(self) -> &'static str {
                match self { $(Self::$name => $rule),+ }
            }
        }
    };
}

invariants! {
    SinglePrimary: "PROTOCOL 5: answers of one epoch come from one copy",
    NoAnswerAfterFence: "PROTOCOL 5, G1-G4: no answer of an epoch after an answer of a higher one",
    EpochMonotonic: "PROTOCOL C4, S2: a node's highest epoch never falls, each primary's is new",
    LogMatching: "PROTOCOL 1, S1, S3: (epoch, seq) names at most one entry, with one predecessor",
    ContiguousApply: "PROTOCOL S3, K7: entries are appended without gap, in whole log order",
    Order: "DESIGN 7: trim <= commit <= tail, commit never falls within an epoch, applied <= received",
    StateEquality: "DESIGN 1, K9: the same home position means the same digest, and a recount agrees",
    DerivedEqualsRebuild: "DESIGN 1, K1: what is derived equals a rebuild",
    NoSharedBytes: "PROTOCOL A1: a byte has at most one owner",
    PromiseKept: "PROTOCOL I1, I2, I5, 13: what was acknowledged or shown is in the next primary's log",
    AnnouncedServed: "PROTOCOL 12, T3: after a rehearsal's yes, a failover serves exactly what was announced",
    EmptyStartProved: "DESIGN 3, T4: the cluster starts empty by itself only when every copy on record is gone",
    PromoteEligible: "PROTOCOL 8 T1, 11: who is promoted is in the in-sync set on record",
    StaleRead: "PROTOCOL 13, G7: an answer sees what was acknowledged on its key before it was asked",
    Linearizable: "DESIGN 7: one order of the calls on a key explains every answer; only what is logged or stated is lost",
    AnswersFollowLog: "DESIGN 1: an answer is what the log says, at the position that it was decided on",
    NoReuseUnderRight: "PROTOCOL A1-A4: no region is handed out while a read or write right is left on it",
    NoWrongBytes: "PROTOCOL 14: a read within its lease returns the bytes of the object's own write",
    NoQuarantine: "PROTOCOL I10, K7: what an honest primary sends fits the state that it is sent to",
    NoBusyWait: "machine: after a tick the next deadline lies ahead",
    StrictKept: "PROTOCOL I8: in strict mode nothing is committed that fewer standbys hold than are demanded",
    Liveness: "DESIGN 7: with the faults off, calls are answered",
    Converges: "DESIGN 7: with the faults off, one primary, all others streaming and equal",
    Restraint: "operators: nobody takes over by itself while that is paused, or after too many of late",
    RecordHolds: "PROTOCOL I6: a copy on record is not discarded",
    VerifySound: "DESIGN 7, K9: verification reports nothing that is not so",
    VerifyComplete: "DESIGN 7, R19: damage to a copy is found, named and repaired",
    KernelBug: "invariant!: the kernel found a bug in itself",
}

impl Invariant {
    pub(crate) fn broken(self, text: impl Into<String>) -> Violation {
        Violation { invariant: self, text: text.into() }
    }

    /// Fails with `text` unless `holds`.
    pub(crate) fn check(self, holds: bool, text: impl FnOnce() -> String) -> Outcome {
        if holds { Ok(()) } else { Err(self.broken(text())) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}\n    rule: {}", self.invariant, self.text, self.invariant.rule())
    }
}

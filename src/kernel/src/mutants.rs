//! One-line breaks of one rule each, which the simulation must catch.
//!
//! Without the feature `mutants` every switch is a constant `false` and the
//! compiler removes the broken branch.

macro_rules! mutants {
    ($($(#[doc = $rule:literal])+ $name:ident),+ $(,)?) => {
        /// A rule that can be broken on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant { $($(#[doc = $rule])+ $name),+ }

        impl Mutant {
            /// All of them, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The rule that it breaks, and how.
            #[must_use]
            pub fn rule(self) -> &'static str {
                match self { $(Self::$name => concat!($($rule),+).trim_ascii_start()),+ }
            }
        }
    };
}

mutants! {
    /// Operators: a standby takes over although automatic failover is paused.
    PauseIgnored,
    /// Operators: a standby takes over after too many automatic failovers.
    FlapsIgnored,
    /// PROTOCOL 1: `up(X)` is X, so a slow clock's promise is not covered.
    Drift0,
    /// PROTOCOL I1: one acknowledgement of any in-sync copy is enough.
    AnyOneAck,
    /// PROTOCOL S9: in sync mode a reply waits for the append only.
    TailIsCommit,
    /// PROTOCOL G: the primary replies without live grants.
    NoGrants,
    /// PROTOCOL G1: a grant counts from the receipt of the acknowledgement.
    GrantFromReceipt,
    /// PROTOCOL G4: a new primary does not wait for its own last grant.
    NoGrantWait,
    /// PROTOCOL G6: an acknowledgement counts for the node, whichever copy it is of.
    AckAnyCopy,
    /// PROTOCOL G3: a deposed primary forgets that it granted read leases itself.
    OwnLeasesForgot,
    /// PROTOCOL G2: a standby acknowledges what it received before it applied it.
    AckReceived,
    /// PROTOCOL I5: a restarted process keeps the copy id of the one before.
    SameIncRestart,
    /// PROTOCOL I8b: a copy leaves the in-sync set on a Hello of another one, though that may be late.
    ForgetOnHello,
    /// PROTOCOL 11: without a record, a copy that is gone leaves the set although another node may follow it.
    FormerForgotAlways,
    /// PROTOCOL S1: a standby is streamed to from its seq, whatever the epoch of its last entry.
    NoLogmatch,
    /// PROTOCOL I3: a standby is admitted to the in-sync set before it holds the committed prefix.
    AdmitEarly,
    /// PROTOCOL I3: a standby is admitted although its grant is over.
    AdmitNoGrant,
    /// PROTOCOL A3: the hold of a new primary ends with the former one's right to answer.
    HoldNoTtl,
    /// PROTOCOL A3: what the hold protects is free as soon as it is removed.
    FreeInHold,
    /// PROTOCOL 12: inherited objects are announced, and not readable until their lender is back.
    UnreadableAtFirst,
    /// PROTOCOL T4: a forced start does not wait for the lease of the former holder.
    ForcedAtOnce,
    /// PROTOCOL T4: a forced start keeps what the copy holds.
    StaleForced,
    /// PROTOCOL A3: a new primary frees and reuses at once.
    NoHold,
    /// PROTOCOL A4: what an earlier primary left in write limbo is free at once.
    LimboNow,
    /// PROTOCOL 8 T1: a standby that heard of a higher epoch still believes the record of a lower one.
    StaleRecord,
    /// PROTOCOL A1: a removed region is free at once although a reader may hold a lease.
    FreeNowAlways,
    /// PROTOCOL A1: a preempted writer's region is free at once.
    FreeNowPreempt,
    /// PROTOCOL G7: reads do not wait for the state that they saw to be committed.
    ReadNoCommit,
    /// PROTOCOL G7: not to find a key does not wait for the removal that took it out of its group.
    UnroutedUnseen,
    /// PROTOCOL A3: an inherited object is overwritten in place during the hold.
    InplaceInHold,
    /// PROTOCOL A6: in async mode an in-place upsert is answered before it is committed.
    AsyncInplace,
    /// SEMANTICS R6: an object is overwritten in place although a read lease is live.
    InplaceUnderLease,
    /// SEMANTICS R21: an end is never charged to a preempted attempt of its client.
    AttemptsForgot,
    /// PROTOCOL A6: in async mode an address is handed out before it is committed.
    AsyncPutStartNoCommit,
    /// PROTOCOL K2: a replica is readable while its segment *id* is mounted.
    SegidNotUid,
    /// PROTOCOL S5: where replay begins is read after the homes were copied.
    LateTail,
    /// PROTOCOL S4: an entry that its copied home holds already is applied again.
    NoSkip,
    /// PROTOCOL S6: an unsealed copy is continued by another primary than the one it is from.
    UnsealedResume,
    /// PROTOCOL S5: homes of an earlier copying are kept in the next one.
    FsSessionsMix,
    /// PROTOCOL S6: a copy counts as sealed as soon as all homes have come.
    NoSeal,
    /// PROTOCOL K6: what joins homes is derived before they form one prefix.
    IncrementalBeforeSeal,
    /// PROTOCOL I6: a copy that was discarded keeps its id.
    WipeSameInc,
    /// PROTOCOL I6, S7: the log is trimmed past an in-sync standby, which then discards its copy.
    IsrKeptOverFullSync,
    /// PROTOCOL A7, SEMANTICS R13: returned memory is used at once.
    ColdNoHold,
    /// PROTOCOL A7: a hold that an earlier primary began ends with it.
    InheritedHoldsEnd,
    /// PROTOCOL T1, T2: a copy outside of the in-sync set takes over.
    NonIsrTakeover,
    /// PROTOCOL 4: a silent member takes over without waiting for the lease.
    SilentNoWait,
    /// PROTOCOL C1: a transaction without an answer is taken for one that was not done.
    CasTimeoutIsNo,
    /// PROTOCOL G5: the solo lease counts from the reply.
    LeaseFromReply,
    /// PROTOCOL G5: a renewal without an answer extends the solo lease.
    LeaseKeepOnTimeout,
    /// PROTOCOL 5: a primary that nobody grants needs no lease.
    SoloNoLease,
    /// PROTOCOL I2: what a standby lacks counts as committed before it is off the record.
    ShrinkEarly,
    /// PROTOCOL I10: a standby that set an entry aside keeps its place in the in-sync set.
    QuarantinedStays,
    /// PROTOCOL I8: a strict primary commits what fewer standbys hold than are demanded.
    StrictAlone,
    /// PROTOCOL I8a: a copy that has not acknowledged the term record falls silent instead of leaving.
    SilentUnmatched,
    /// PROTOCOL G4, A3: who took over as a silent member holds nothing back for what was said until its lease was over.
    SilentForgotLeases,
    /// PROTOCOL A3: a primary grants longer read leases than are on record.
    LeaseAheadOfRecord,
    /// PROTOCOL I3: a standby counts only once it is on record.
    GrowLate,
    /// PROTOCOL C3, I1: who is handed the lead takes the in-sync set for what it last knew of it.
    LedByOldRecord,
    /// PROTOCOL C2: a process leads by a record that names a former copy of its node.
    LedByNodeName,
    /// PROTOCOL C2: who learns late that the record names it does not lead.
    LateElectionIgnored,
    /// PROTOCOL C4: a record of an older epoch than one that was seen is acted on.
    OldEpochAccepted,
    /// PROTOCOL C1, C4: a refusal counts although the coordinator has gone back behind what it answered before.
    AmnesiaBelieved,
    /// PROTOCOL C4, 11: a node that knows an epoch founds the cluster again when the records are gone.
    FoundedAgain,
    /// PROTOCOL I9: a change of the in-sync set without an answer is not asked for again.
    ProposalForgotten,
    /// PROTOCOL I4, I9: a change of the in-sync set does not compare the one that it changes.
    ProposeBlind,
    /// PROTOCOL T5, C6: who is deposed keeps its door open, and the replies that wait.
    DeposedKeepsServing,
    /// PROTOCOL T1: a copy with a hole, or in the middle of a full sync, takes over.
    UnfitTakesOver,
    /// PROTOCOL 1: rights count that were given before this machine may have stopped without its clock.
    ClockLeapIgnored,
    /// PROTOCOL C4, T4: a node is started empty by records that have gone back.
    ForcedByLostRecords,
    /// PROTOCOL T1: silence counts that lies in a stall of this node itself.
    StallIgnored,
    /// PROTOCOL S7: the log is trimmed past the point where the replay of a running copying begins.
    TrimmedUnderCopy,
    /// PROTOCOL S7: a copying is not given up when the log reaches its bound.
    CopyingWithoutBound,
    /// PROTOCOL S10: a repair takes what is ahead of the own log.
    RepairAhead,
    /// PROTOCOL S8: a new epoch begins without an entry of its own.
    NoTermRecord,
    /// PROTOCOL A2: the lease of a read is told and not recorded.
    LeaseNotRecorded,
    /// PROTOCOL I4: transactions of a new epoch do not compare the in-sync set.
    TakeNoIsrCmp,
    /// DESIGN 3: a new process starts the cluster empty although copies on record may live.
    ColdStartUnproved,
    /// PROTOCOL T7: a primary goes on answering while its hand-over is under way.
    HandOverNotQuiet,
    /// PROTOCOL T7: it hands over to a standby that lacks entries.
    HandOverLagging,
    /// PROTOCOL T7, C1: a hand-over without an answer is taken for one that was not done.
    HandOverTimeoutIsNo,
    /// PROTOCOL C5: the client key is written without comparing the epoch.
    PublishNoEpoch,
    /// PROTOCOL C5: the client key is deleted without comparing which one it is.
    RetireAnyView,
    /// PROTOCOL C5: the client key is written over the former one.
    PutOverView,
    /// PROTOCOL K9: digests are compared whatever the positions are.
    BeaconAnyPosition,
    /// DESIGN 1: unequal digests at equal positions are not noticed.
    BeaconIgnored,
    /// R19: what changes in memory under the digest is not noticed.
    RecountSkipped,
}

#[cfg(feature = "mutants")]
mod switch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Index of the active mutant plus one; 0 is none.
    static ACTIVE: AtomicUsize = AtomicUsize::new(0);

    /// Switches one mutant on, or all off.
    pub fn set(mutant: Option<super::Mutant>) {
        ACTIVE.store(mutant.map_or(0, |m| m as usize + 1), Ordering::SeqCst);
    }

    /// True when this mutant is on.
    #[must_use]
    pub fn active(mutant: super::Mutant) -> bool {
        ACTIVE.load(Ordering::Relaxed) == mutant as usize + 1
    }
}

#[cfg(feature = "mutants")]
pub use switch::{active, set};

/// True when this mutant is on: never, in this build.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn active(_: Mutant) -> bool {
    false
}

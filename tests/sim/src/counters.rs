//! How often each fault and each kind of event took place. One that stays at 0
//! over a run of many seeds means that the simulation does not test it.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Count { $($(#[$doc])* $name),+ }

        const NAMES: &[&str] = &[$(stringify!($name)),+];
    };
}

counters! {
    // Faults.
    Crash, CrashOfPrimary, CrashOfStandby, Restart, Freeze, FreezeOfPrimary, Thaw,
    PartitionBothWays, PartitionOneWay, IsolateNode, ClientCutOff, Heal,
    StreamBroken, FramesLostWithStream, FramesLateAfterClose, LinkStalled, DelaySpike, DriftChanged,
    CopyCut, CrashInFullSync, FrameTwice, WrongRedirect, DetachAlive, DetachThenCrash, DetachAbsent,
    PromoteWhilePrimaryLives, PromoteWhilePrimaryFrozen, PromoteAfterCrash, PromoteIneligible,
    // What nodes did.
    BecamePrimary, BecameCandidate, SteppedDown, OldPrimaryReturned, JoinedIsr, LeftIsr,
    Silenced, GrantsAgain,
    PromotionRefused, Redirected, Discarded, CopyAsked, CopyResumed, CopySent, CopySealed, CopyReplayed,
    LogTrimmed, DialRefused, DialTimedOut, LinkUp, PeerClosed, LinkDown,
    EntriesAppended, EntriesApplied, PreemptLogged, FreeLogged, InPlaceLogged, AbandonLogged, ResolveLogged,
    EvictLogged, DiscardLogged, SegmentGoneLogged, PurgeLogged, HoldEndLogged,
    // What the coordinator went through, and what came of it.
    AllLost, LeftAlone, EmptyStart, CoordinatorForgot,
    CoordinatorCut, CoordinatorAway, CoordinatorSlow, CoordinatorTimeout, CommittedLate,
    TakeoverByRecord, NotElected,
    PausedByOperator, ResumedByOperator, TakeoverWithinLimit,
    HandOverAsked, HandOverDone, HandOverRefused, LedByHandOver,
    // What clients did and were told.
    RequestSent, WriteRefused, AnswerDelivered, NotPrimary, Unavailable, OutcomeUnknown, ConnectionClosed, ReplyNeverSent,
    MountAcked, ReMountAcked, UnmountAcked, PutStartAcked, UpsertStartAcked, PutStartOnTwoSegments, PutExists, PutNoSpace, PutEndAcked, PutEndOfLostWrite,
    PutEndRetried, WriterGaveUp, RevokeAcked, RevokeRefused,
    CopyStarted, MoveStarted, TransferRefused, TransferEnded, TransferBroken, TransferRevoked,
    GetAcked, GetNotFound, GetNotReady, ReadFinished, ReadCutByLease,
    ExistTrue, ExistFalse, RemoveAcked, RemoveForced, RemoveLeased, RemoveNotFound,
    // What was checked.
    DamageReported, DamageMet, PlantedInDigest, PlantedInMemory, PromotionChecked, AnnouncedServed, StateCompared, AuditDone, MemoryReused, CallsLinearized,
}

/// What only directed scenarios bring about: their own count.
const OF_DIRECTED: &[Count] = &[
    Count::AllLost,
    Count::LeftAlone,
    Count::EmptyStart,
    Count::CoordinatorForgot,
    Count::PausedByOperator,
    Count::ResumedByOperator,
    Count::TakeoverWithinLimit,
];

#[derive(Debug, Clone)]
pub(crate) struct Counters([u64; NAMES.len()]);

impl Counters {
    pub(crate) fn new() -> Self {
        Self([0; NAMES.len()])
    }

    pub(crate) fn hit(&mut self, count: Count) {
        self.add(count, 1);
    }

    pub(crate) fn add(&mut self, count: Count, n: u64) {
        self.0[count as usize] += n;
    }

    pub(crate) fn get(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, n) in self.0.iter_mut().zip(&other.0) {
            *sum += n;
        }
    }

    /// Of a directed history: of all else it may not make up for what the mixed ones never do.
    pub(crate) fn merge_directed(&mut self, other: &Self) {
        for count in OF_DIRECTED {
            self.add(*count, other.get(*count));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        NAMES.iter().copied().zip(self.0.iter().copied())
    }

    pub(crate) fn never(&self) -> Vec<&'static str> {
        self.iter().filter(|(_, n)| *n == 0).map(|(name, _)| name).collect()
    }
}

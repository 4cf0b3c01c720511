//! What the nodes of a cluster promise, as their flags say it, and what a failover may lose by it.

/// In async mode: entries that a standby in sync may lack before writes wait, and hence be lost by one failover.
const MAX_LOSS_ENTRIES: u64 = 2_000;

/// When a write is acknowledged, and what becomes of one that too few copies would hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Acknowledged once each standby in sync has it. One that is lost leaves, and writes go on.
    Sync,
    /// Acknowledged at once; a failover may lose what a standby lacks, within a bound.
    Async,
    /// As [`Sync`](Self::Sync), but what fewer than one standby would hold is refused.
    Strict,
}

impl Mode {
    /// Of the nodes.
    pub(crate) fn flags(self) -> String {
        match self {
            Self::Sync => "--ack sync".to_owned(),
            Self::Async => format!("--ack async --max-loss-entries {MAX_LOSS_ENTRIES}"),
            Self::Strict => "--ack sync --degrade strict".to_owned(),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
            Self::Strict => "strict",
        }
    }

    /// Acknowledged entries that so many failovers may lose; `None` where nothing may be.
    pub(crate) fn may_lose(self, failovers: u64) -> Option<u64> {
        (self == Self::Async).then_some(failovers * MAX_LOSS_ENTRIES)
    }
}

#[test]
fn only_async_may_lose_and_no_more_than_its_flag_says() {
    assert_eq!([Mode::Sync, Mode::Strict].map(|mode| mode.may_lose(3)), [None, None]);
    assert_eq!(Mode::Async.may_lose(3), Some(3 * MAX_LOSS_ENTRIES));
    assert!(Mode::Async.flags().ends_with(&format!("--max-loss-entries {MAX_LOSS_ENTRIES}")));
}

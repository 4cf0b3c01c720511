//! How long each kind of fault may be felt. Generous against a machine that stalls, but far from a minute: the figures
//! that are promised are measured by `report failover`.

use super::faults::Fault;

/// In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Without a good write.
    pub(super) outage: u64,
    /// From the end of the fault until one node leads and the other is in sync.
    pub(super) recovery: u64,
}

/// Somebody dies or hands over: the next one leads within a second on a quiet machine.
const SWIFT: Limits = Limits { outage: 5_000, recovery: 15_000 };
/// Somebody is silent: a promise has to run out first.
const SILENT: Limits = Limits { outage: 8_000, recovery: 15_000 };
/// Packets are late or lost for as long as the trouble lasts, 6 s at most.
const IMPAIRED: Limits = Limits { outage: 12_000, recovery: 20_000 };
/// Nothing can be put on record while etcd is away, 6 s at most.
const NO_RECORD: Limits = Limits { outage: 15_000, recovery: 20_000 };

impl Fault {
    /// What it may cost.
    pub(super) fn limits(self) -> Limits {
        match self {
            Self::Kill
            | Self::KillStandby
            | Self::CleanStop
            | Self::Rolling
            | Self::Switchover
            | Self::LenderRestart
            | Self::KillWithLender
            | Self::KillAlone
            | Self::KillInTurn
            | Self::WallClock
            | Self::Drill => SWIFT,
            Self::Freeze
            | Self::FreezeStandby
            | Self::Partition
            | Self::PartitionStandby
            | Self::OneWay
            | Self::OneWayFromStandby
            | Self::CutFromEtcd
            | Self::StandbyCutFromEtcd
            | Self::EtcdStopped
            | Self::EtcdFrozen
            | Self::EtcdLeaderFrozen
            | Self::EtcdLeaderKilled
            | Self::KillUnderFrozen => SILENT,
            Self::PacketLoss | Self::Slow | Self::KillWhileSlow | Self::FreezeUnderLoss => IMPAIRED,
            Self::EtcdStoppedStandbyKilled | Self::WitnessRestored | Self::Pair(..) => NO_RECORD,
        }
    }
}

#[test]
fn every_limit_is_far_from_a_minute() {
    for limits in [SWIFT, SILENT, IMPAIRED, NO_RECORD] {
        assert!(limits.outage <= 15_000 && limits.recovery <= 20_000, "{limits:?}");
    }
}

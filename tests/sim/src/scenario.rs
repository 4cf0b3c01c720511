//! What a history is made of: how long, how fast, which faults how often.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use standfast_kernel::master::MasterTimes;
use standfast_kernel::oplog::LogLimits;
use standfast_kernel::replication::{Degrade, LossBound, ShipConfig, VerifyConfig};
use standfast_kernel::supervisor::FlapLimit;
use standfast_kernel::types::AckMode;

use crate::clock::{DRIFT_PPM_MAX, MS, SECOND};
use crate::nemesis::Fault;
use crate::net::{Delay, NODES};

/// A mix of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Sync replies, every fault.
    Sync,
    /// Async replies, every fault.
    Async,
    /// Sync replies; an operator promotes all the time, mostly wrongly.
    Switch,
    /// Sync replies; a coordinator in place of the operator, every fault of both.
    Leader,
    /// The same in async mode.
    LeaderAsync,
    /// The same; writes wait while no standby is in sync, and the last one stays on record, silent.
    LeaderStrict,
    /// Directed: the primary hands over all the time, on slow links and under faults; async replies.
    HandOver,
    /// Directed: as leader, with an operator who pauses takeovers, and few of them in a window.
    Restrained,
    /// Directed: every copy of the state is lost, and nodes come back in any order.
    ColdStart,
    /// Directed: a primary alone on record is cut off while an operator starts another node empty.
    Forced,
    /// Directed: the coordinator forgets what it answered, and is restored later.
    Amnesia,
    /// Directed: clocks at the ends of their range, promotions while the old primary lives.
    Drift,
    /// Directed: a standby catches up on a log longer than its window, and is promoted
    /// the moment it says that it may be.
    LongLog,
    /// Directed: lossless switches while readers hold leases on memory that is reused at once.
    Leases,
    /// Directed: primaries fail while each process grants read leases of another length.
    LeaseLengths,
    /// Directed: standbys die and return at once on links whose streams overtake each other.
    Rejoin,
    /// Short logs, so that standbys are trimmed past all the time and are given copies,
    /// which are cut, and whose ends die.
    FullSync,
    /// Directed: in-sync standbys lag behind a log of a few entries.
    Trim,
    /// Directed: the threads of one client write the same keys at once, slowly (SEMANTICS R21).
    Attempts,
    /// Directed: lenders take memory back and lend it again while it is used.
    Lenders,
}

/// Those that a plain run consists of.
pub(crate) const STANDARD: &[Scenario] = &[
    Scenario::Sync,
    Scenario::Async,
    Scenario::Switch,
    Scenario::Leader,
    Scenario::LeaderAsync,
    Scenario::LeaderStrict,
    Scenario::FullSync,
];
/// Those that aim at one rule. A plain run has a few seeds of each: a mutant that only they catch proves
/// something only if they are clean without it.
pub(crate) const DIRECTED: &[Scenario] = &[
    Scenario::Drift,
    Scenario::LongLog,
    Scenario::Leases,
    Scenario::LeaseLengths,
    Scenario::Rejoin,
    Scenario::Attempts,
    Scenario::Lenders,
    Scenario::Trim,
    Scenario::HandOver,
    Scenario::Restrained,
    Scenario::ColdStart,
    Scenario::Forced,
    Scenario::Amnesia,
];
const ALL: &[Scenario] = &[
    Scenario::Sync,
    Scenario::Async,
    Scenario::Switch,
    Scenario::Leader,
    Scenario::LeaderAsync,
    Scenario::LeaderStrict,
    Scenario::Drift,
    Scenario::LongLog,
    Scenario::Leases,
    Scenario::LeaseLengths,
    Scenario::Rejoin,
    Scenario::FullSync,
    Scenario::Trim,
    Scenario::Attempts,
    Scenario::Lenders,
    Scenario::HandOver,
    Scenario::Restrained,
    Scenario::ColdStart,
    Scenario::Forced,
    Scenario::Amnesia,
];

/// Short enough that memory is reused hard (SEMANTICS 1.8 has the real ones).
pub(crate) const TIMES: MasterTimes = MasterTimes {
    read_ttl: Duration::from_millis(300),
    put_discard: Duration::from_secs(1),
    put_release: Duration::from_secs(3),
    revoke_quarantine: Duration::from_millis(500),
    soft_pin_ttl: Duration::from_secs(5),
    soft_pin_ttl_max: Duration::from_secs(60),
    ..MasterTimes::DEFAULT
};
/// Often enough that what is planted is found within a history.
pub(crate) const VERIFY: VerifyConfig = VerifyConfig {
    enabled: true,
    cycle: Duration::from_secs(2),
    recount_period: Duration::from_secs(5),
    recount_items_per_s: 1_000_000,
    sample_interval: Duration::from_secs(10),
    sample_shards_per_mille: 100,
    sample_keys: 100,
    repair: true,
    repair_keys_max: 1000,
    pause_lag: 65_536,
};
/// A client gives a call up after this long, on its own clock.
pub(crate) const RPC_TIMEOUT: Duration = Duration::from_millis(400);
/// A writer stops this long after it sent its PutStart. `put_release` is longer (PROTOCOL T6).
pub(crate) const TRANSFER_MAX: Duration = Duration::from_millis(1900);

/// A stalled link exceeds it before the grants end.
const SMALL_LOSS: LossBound = LossBound { entries: 30, age: Duration::from_millis(150) };
/// Holds the last second or so.
const SHORT_LOG: LogLimits = LogLimits { entries: 150, bytes: 1 << 20, chunk_bytes: 4096 };

const _: () = assert!(TRANSFER_MAX.as_millis() * 102 / 98 < TIMES.put_release.as_millis());
const _: () = assert!(TRANSFER_MAX.as_millis() > TIMES.put_discard.as_millis() + 500);

#[derive(Debug, Clone)]
pub(crate) struct Params {
    pub(crate) ack: AckMode,
    /// With faults; calm follows.
    pub(crate) faulty_ns: u64,
    pub(crate) fault_gap: (u64, u64),
    pub(crate) faults: Vec<(Fault, u64)>,
    pub(crate) delay: Delay,
    /// Pause of a client between two calls.
    pub(crate) think: (u64, u64),
    /// Fixed rates of the nodes' clocks, in parts per million.
    pub(crate) rates: Option<[i64; NODES]>,
    /// Weights of put, get, exist, remove, forced remove, upsert, copy or move, unmount.
    pub(crate) workload: [u64; 8],
    /// Per thousand: writers that take so long that they may be preempted.
    pub(crate) slow_permille: u64,
    /// All writers speak under one client id, as the threads of one process do.
    pub(crate) shared_writer: bool,
    pub(crate) keys: u64,
    /// Clients ask any node instead of the one that answered last.
    pub(crate) roam: bool,
    /// Entries that the first primary logs before anything else.
    pub(crate) prefill: u64,
    /// The operator promotes a standby the moment it may be promoted.
    pub(crate) eager: bool,
    /// A crashed node stays away for up to this long.
    pub(crate) away_max: u64,
    /// A coordinator keeps the record; the operator only restarts what needs a full sync.
    pub(crate) coordinated: bool,
    /// Read leases last longer in some processes than in others.
    pub(crate) ttls_differ: bool,
    /// An operator starts a node empty when nothing else helps.
    pub(crate) forces: bool,
    /// L, with a coordinator.
    pub(crate) lease: Duration,
    /// Automatic failovers that are too many, with a coordinator.
    pub(crate) flaps: FlapLimit,
    /// So many transactions and news in a thousand are held back for long.
    pub(crate) late_permille: u64,
    /// How primaries gather and send entries.
    pub(crate) ship: ShipConfig,
    /// Async only: what a failover may lose.
    pub(crate) loss: LossBound,
    /// With a coordinator: what happens when a standby is lost.
    pub(crate) degrade: Degrade,
    /// Bounds of the nodes' logs.
    pub(crate) log: LogLimits,
    /// Longest pause between a few homes of a copy and the next.
    pub(crate) copy_pause_max: u64,
    /// So many frames in a thousand are sent twice.
    pub(crate) twice_permille: u64,
    /// Least number of requests, or the history proves too little.
    pub(crate) requests_min: u64,
}

impl Params {
    pub(crate) fn of(scenario: Scenario) -> Self {
        let mixed = Self {
            ack: AckMode::Sync,
            faulty_ns: 58 * SECOND,
            fault_gap: (100 * MS, 1_200 * MS),
            faults: Fault::MIXED.to_vec(),
            delay: Delay { min: 100_000, max: 900_000, tail_permille: 0, tail_max: 0 },
            think: (2 * MS, 30 * MS),
            rates: None,
            workload: [300, 250, 100, 100, 120, 100, 150, 3],
            slow_permille: 60,
            shared_writer: false,
            keys: 10,
            roam: false,
            prefill: 0,
            eager: false,
            away_max: 2 * SECOND,
            coordinated: false,
            ttls_differ: false,
            forces: false,
            lease: Duration::from_millis(2_000),
            flaps: FlapLimit::OFF,
            late_permille: 20,
            ship: ShipConfig::default(),
            loss: LossBound::default(),
            degrade: Degrade::Available,
            log: LogLimits::default(),
            copy_pause_max: 5 * MS,
            twice_permille: 0,
            requests_min: 3_000,
        };
        match scenario {
            Scenario::Sync => mixed,
            Scenario::FullSync => Self {
                faults: Fault::COPYING.to_vec(),
                fault_gap: (50 * MS, 900 * MS),
                log: SHORT_LOG,
                copy_pause_max: 100 * MS,
                twice_permille: 1,
                away_max: SECOND,
                think: (MS, 15 * MS),
                ..mixed
            },
            Scenario::Async => Self { ack: AckMode::Async, log: SHORT_LOG, loss: SMALL_LOSS, ..mixed },
            Scenario::Switch => {
                Self { faults: Fault::SWITCHING.to_vec(), fault_gap: (100 * MS, 800 * MS), ..mixed }
            }
            Scenario::Leader | Scenario::LeaderAsync => Self {
                ack: if scenario == Scenario::Leader { AckMode::Sync } else { AckMode::Async },
                faults: Fault::COORDINATED.to_vec(),
                coordinated: true,
                ..mixed
            },
            Scenario::LeaderStrict => Self {
                degrade: Degrade::Strict { min_insync: 1 },
                faults: Fault::COORDINATED.to_vec(),
                coordinated: true,
                ..mixed
            },
            Scenario::ColdStart => Self {
                faulty_ns: 40 * SECOND,
                faults: Fault::LOSING.to_vec(),
                fault_gap: (500 * MS, 2_500 * MS),
                coordinated: true,
                lease: Duration::from_millis(1_500),
                think: (MS, 12 * MS),
                requests_min: 500,
                ..mixed
            },
            Scenario::Forced => Self {
                faulty_ns: 40 * SECOND,
                faults: Fault::FORCING.to_vec(),
                fault_gap: (2_000 * MS, 5_000 * MS),
                coordinated: true,
                forces: true,
                roam: true,
                lease: Duration::from_millis(1_500),
                think: (MS, 6 * MS),
                requests_min: 500,
                ..mixed
            },
            Scenario::Amnesia => Self {
                faulty_ns: 40 * SECOND,
                faults: Fault::FORGETTING.to_vec(),
                fault_gap: (300 * MS, 2_000 * MS),
                coordinated: true,
                lease: Duration::from_millis(1_500),
                late_permille: 60,
                requests_min: 500,
                ..mixed
            },
            Scenario::HandOver => Self {
                ack: AckMode::Async,
                faulty_ns: 30 * SECOND,
                faults: Fault::HANDING.to_vec(),
                fault_gap: (50 * MS, 500 * MS),
                delay: Delay { min: MS / 10, max: 2 * MS, tail_permille: 60, tail_max: 60 * MS },
                think: (MS, 10 * MS),
                coordinated: true,
                late_permille: 60,
                requests_min: 1_000,
                ..mixed
            },
            // Nobody leads while it is paused: what clients get done is less.
            Scenario::Restrained => Self {
                faulty_ns: 40 * SECOND,
                faults: Fault::COORDINATED.to_vec(),
                coordinated: true,
                flaps: FlapLimit { changes: 2, window: Duration::from_secs(8) },
                requests_min: 500,
                ..mixed
            },
            // The windows are a few milliseconds: short hops, and clients that ask everybody all the time.
            Scenario::Drift => Self {
                faulty_ns: 12 * SECOND,
                fault_gap: (300 * MS, 1_000 * MS),
                faults: vec![(Fault::FalsePromotion, 1)],
                rates: Some([-DRIFT_PPM_MAX, DRIFT_PPM_MAX, DRIFT_PPM_MAX]),
                delay: Delay { min: MS / 20, max: MS / 4, tail_permille: 0, tail_max: 0 },
                think: (MS / 4, MS),
                workload: [1, 0, 99, 0, 0, 0, 0, 0],
                roam: true,
                ..mixed
            },
            Scenario::LongLog => Self {
                faulty_ns: 6 * SECOND,
                fault_gap: (700 * MS, 1_500 * MS),
                faults: vec![(Fault::CrashStandby, 1)],
                delay: Delay { min: 60 * MS, max: 90 * MS, tail_permille: 0, tail_max: 0 },
                prefill: 80_000,
                eager: true,
                requests_min: 50,
                ..mixed
            },
            Scenario::Leases => Self {
                faulty_ns: 30 * SECOND,
                fault_gap: (300 * MS, 900 * MS),
                faults: vec![(Fault::FalsePromotion, 1)],
                think: (MS / 2, 3 * MS),
                workload: [30, 40, 0, 10, 10, 10, 0, 0],
                keys: 6,
                // Discard gives room back, so most calls are writes, and those take their time.
                requests_min: 1_000,
                ..mixed
            },
            Scenario::LeaseLengths => Self {
                faulty_ns: 30 * SECOND,
                fault_gap: (300 * MS, 900 * MS),
                faults: Fault::COORDINATED.to_vec(),
                think: (MS / 2, 3 * MS),
                workload: [30, 40, 0, 10, 10, 10, 0, 0],
                keys: 6,
                coordinated: true,
                ttls_differ: true,
                requests_min: 500,
                ..mixed
            },
            Scenario::Trim => Self {
                ack: AckMode::Async,
                faulty_ns: 20 * SECOND,
                fault_gap: (20 * MS, 300 * MS),
                faults: vec![(Fault::Stall, 6), (Fault::Slow, 3), (Fault::Break, 1)],
                log: LogLimits { entries: 4, bytes: 1 << 20, chunk_bytes: 128 },
                loss: LossBound { entries: 12, age: Duration::from_millis(80) },
                ship: ShipConfig { batch_entries: 3, window_entries: 5, linger: Duration::from_millis(2) },
                think: (MS / 2, 3 * MS),
                requests_min: 1_000,
                ..mixed
            },
            Scenario::Rejoin => Self {
                faulty_ns: 40 * SECOND,
                fault_gap: (5 * MS, 200 * MS),
                faults: vec![(Fault::CrashStandby, 3), (Fault::FalsePromotion, 2)],
                delay: Delay { min: MS / 10, max: MS, tail_permille: 150, tail_max: 250 * MS },
                away_max: 12 * MS,
                requests_min: 500,
                ..mixed
            },
            // No outcome is unknown here: an end that is repeated would be charged to the next attempt.
            Scenario::Attempts => Self {
                faulty_ns: 30 * SECOND,
                faults: vec![(Fault::Drift, 1)],
                workload: [20, 40, 0, 0, 5, 35, 0, 1],
                slow_permille: 500,
                shared_writer: true,
                keys: 3,
                requests_min: 300,
                ..mixed
            },
            Scenario::Lenders => Self {
                faulty_ns: 30 * SECOND,
                faults: vec![(Fault::FalsePromotion, 1)],
                workload: [400, 400, 0, 20, 20, 60, 100, 12],
                slow_permille: 200,
                requests_min: 500,
                ..mixed
            },
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "sync",
            Self::Async => "async",
            Self::Switch => "switch",
            Self::Leader => "leader",
            Self::LeaderAsync => "leader-async",
            Self::LeaderStrict => "leader-strict",
            Self::Drift => "drift",
            Self::LongLog => "long-log",
            Self::Leases => "leases",
            Self::LeaseLengths => "lease-lengths",
            Self::Rejoin => "rejoin",
            Self::FullSync => "full-sync",
            Self::Trim => "trim",
            Self::Attempts => "attempts",
            Self::Lenders => "lenders",
            Self::HandOver => "hand-over",
            Self::Restrained => "restrained",
            Self::ColdStart => "cold-start",
            Self::Forced => "forced",
            Self::Amnesia => "amnesia",
        })
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        ALL.iter().copied().find(|x| x.to_string() == s).ok_or_else(|| {
            let names: Vec<String> = ALL.iter().map(ToString::to_string).collect();
            format!("scenario `{s}` does not exist: expected one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "No key lost": in a test that wrote 200 keys and never under load.
    #[test]
    fn trap_06_histories_are_long_and_busy() {
        for scenario in STANDARD {
            let params = Params::of(*scenario);
            assert!(params.requests_min >= 3_000 && params.faulty_ns >= 58 * SECOND, "{scenario}");
            let writes = params.workload[0] + params.workload[5];
            assert!(writes * 4 >= params.workload.iter().sum(), "{scenario}: a quarter of the calls write");
        }
    }

    /// "Failover tested": with kill -9 only.
    #[test]
    fn trap_07_a_crash_is_the_least_of_the_faults() {
        for scenario in STANDARD {
            let faults = Params::of(*scenario).faults;
            let weight = |wanted: &[Fault]| -> u64 {
                faults.iter().filter(|(fault, _)| wanted.contains(fault)).map(|(_, weight)| weight).sum()
            };
            let crashes = weight(&[Fault::CrashPrimary, Fault::CrashStandby]);
            let silent =
                weight(&[Fault::FreezePrimary, Fault::Partition, Fault::OneWay, Fault::Stall, Fault::Drift]);
            assert!(
                crashes > 0 && silent > crashes,
                "{scenario}: {crashes} of crashes, {silent} of the others"
            );
        }
    }
}

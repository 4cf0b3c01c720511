//! Which faults are made of which cluster, how often, and what a client may see of them.

use super::faults::Fault;
use super::mode::Mode;

/// What a client may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// An outage, which is measured.
    Outage,
    /// No call fails.
    NoFailedCall,
    /// No write is acknowledged for a while, and no read fails.
    ReadsGoOn,
    /// A slow primary or another one; only safety is judged.
    Safety,
    /// Everything is lost, as the status said beforehand; no byte is wrong.
    AllLost,
}

/// A fault, and how it is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    pub(crate) expect: Expect,
    pub(crate) mode: Mode,
    /// Needs links that can be cut.
    pub(crate) net: bool,
    /// Members of etcd; 0 for a witness in their place.
    pub(crate) members: usize,
    /// Part of the quick selection.
    pub(crate) quick: bool,
    /// It is not run more often.
    pub(super) runs_max: u32,
}

/// Runs of what shows that something holds, and is no stated figure.
const FEW: u32 = 5;
/// Runs of a distribution that nothing is promised of.
const SOME: u32 = 10;

impl Case {
    /// How often it is run.
    pub(crate) fn runs(&self, wanted: u32) -> u32 {
        wanted.min(self.runs_max)
    }
}

const fn case(name: &'static str, fault: Fault, expect: Expect, net: bool, quick: bool) -> Case {
    let runs_max = match expect {
        Expect::Outage => u32::MAX,
        Expect::Safety | Expect::ReadsGoOn => FEW,
        // There is no distribution of what nobody notices.
        Expect::NoFailedCall | Expect::AllLost => 2,
    };
    Case { name, fault, expect, mode: Mode::Sync, net, members: 1, quick, runs_max }
}

/// Less often than asked for.
const fn at_most(runs: u32, case: Case) -> Case {
    Case { runs_max: if case.runs_max > runs { runs } else { case.runs_max }, ..case }
}

/// In another mode than the default one.
const fn under(mode: Mode, case: Case) -> Case {
    Case { mode, ..at_most(FEW, case) }
}

/// With a witness in place of etcd.
const fn witness(case: Case) -> Case {
    Case { members: 0, ..at_most(FEW, case) }
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("kill -9", Fault::Kill, Expect::Outage, false, true),
    at_most(SOME, case("clean stop", Fault::CleanStop, Expect::Outage, false, false)),
    case("freeze", Fault::Freeze, Expect::Outage, false, true),
    case("standby killed", Fault::KillStandby, Expect::Safety, false, false),
    case("standby frozen", Fault::FreezeStandby, Expect::Safety, false, false),
    case("partition", Fault::Partition, Expect::Outage, true, true),
    case("one-way partition", Fault::OneWay, Expect::Safety, true, false),
    case("packet loss", Fault::PacketLoss, Expect::Safety, true, false),
    case("primary cut from etcd", Fault::CutFromEtcd, Expect::NoFailedCall, true, false),
    case("etcd stopped", Fault::EtcdStopped, Expect::NoFailedCall, false, true),
    Case {
        members: 3,
        ..case("etcd leader frozen", Fault::EtcdLeaderFrozen, Expect::NoFailedCall, false, false)
    },
    case("lender restart", Fault::LenderRestart, Expect::NoFailedCall, false, false),
    case("rolling restart", Fault::Rolling, Expect::Outage, false, false),
    case("wall clock", Fault::WallClock, Expect::NoFailedCall, false, false),
    case("switchover", Fault::Switchover, Expect::Outage, false, true),
    at_most(FEW, case("drill partition", Fault::Drill, Expect::Outage, true, false)),
    at_most(FEW, case("kill -9 with the lender", Fault::KillWithLender, Expect::Outage, false, false)),
    case("kill -9 of a primary alone", Fault::KillAlone, Expect::AllLost, false, false),
    case("slow link", Fault::Slow, Expect::Safety, true, false),
    case("kill -9 on a slow link", Fault::KillWhileSlow, Expect::Safety, true, false),
    case("freeze under packet loss", Fault::FreezeUnderLoss, Expect::Safety, true, false),
    case("etcd frozen", Fault::EtcdFrozen, Expect::NoFailedCall, false, false),
    case("standby killed while etcd is away", Fault::EtcdStoppedStandbyKilled, Expect::Safety, false, false),
    under(Mode::Async, case("async, kill -9", Fault::Kill, Expect::Outage, false, false)),
    under(Mode::Async, case("async, partition", Fault::Partition, Expect::Outage, true, false)),
    under(Mode::Strict, case("strict, standby killed", Fault::KillStandby, Expect::ReadsGoOn, false, false)),
    under(Mode::Strict, case("strict, both killed in turn", Fault::KillInTurn, Expect::Outage, false, false)),
    under(
        Mode::Strict,
        case(
            "strict, kill -9 while the standby is frozen",
            Fault::KillUnderFrozen,
            Expect::Outage,
            false,
            true,
        ),
    ),
    witness(case("witness, kill -9", Fault::Kill, Expect::Outage, false, false)),
    witness(case("witness killed", Fault::EtcdLeaderKilled, Expect::NoFailedCall, false, false)),
    at_most(
        2,
        witness(case("witness restored from a backup", Fault::WitnessRestored, Expect::Safety, false, false)),
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_some_cases_are_quick() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        assert!(CASES.iter().any(|case| case.quick && case.net) && CASES.iter().any(|case| !case.quick));
    }

    /// The figures that are promised are distributions; what only has to hold is run a few times.
    #[test]
    fn only_what_is_promised_in_figures_is_run_often() {
        let often: Vec<&str> =
            CASES.iter().filter(|case| case.runs(30) == 30).map(|case| case.name).collect();
        assert_eq!(often, ["kill -9", "freeze", "partition", "rolling restart", "switchover"]);
        for case in CASES {
            assert_eq!((case.runs(1), case.runs(2)), (1, 2), "{}", case.name);
        }
    }
}

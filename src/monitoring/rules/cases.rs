//! More that an alert must bear than one case in which it is silent and one in which it fires.

use super::replication::{aside, lag, promotable};
use super::serving::{changes, lost};
use super::{Series, on};
use crate::monitoring::settings::Settings;

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The alert's name.
    pub alert: &'static str,
    /// What is tested.
    pub what: &'static str,
    /// What there is.
    pub series: Vec<Series>,
    /// Whether it fires then.
    pub fires: bool,
}

/// When promtool looks, in seconds.
const NOW: f64 = 1800.0;

/// All of them.
#[must_use]
pub fn all(s: &Settings) -> Vec<Case> {
    let case =
        |alert, what, fires, series: Vec<Vec<Series>>| Case { alert, what, series: series.concat(), fires };
    let began = |ago: f64| vec![on("b", "process_start_time_seconds", "", format!("{}x60", NOW - ago))];
    let forced = || changes("forced", "1x60", "0x60");
    let paused = |n: u32| vec![on("b", "standfast_verify_paused", "", format!("{n}x60"))];
    vec![
        case(
            "FailoverHappened",
            "takes a drill away from role changes before it",
            false,
            vec![changes("failover", "2x27 3x32", "0x28 1x32")],
        ),
        case(
            "FailoverHappened",
            "fires on a role change beside a drill that is extrapolated",
            true,
            vec![changes("failover", "0x27 2x32", "1x27 2x32")],
        ),
        case("QuarantinedEntries", "fires while they are set aside", true, vec![aside("1x60", "1x60")]),
        case("QuarantinedEntries", "is over when it was long ago", false, vec![aside("0x60", "0x15 1x45")]),
        case("AcknowledgedWritesLost", "fires on entries that are missing", true, vec![lost(7)]),
        case(
            "AcknowledgedWritesLost",
            "fires on a node that led before it was scraped",
            true,
            vec![forced(), began(10.0)],
        ),
        case(
            "AcknowledgedWritesLost",
            "is over when it was long ago",
            false,
            vec![forced(), began(s.loss_window.number() + 60.0)],
        ),
        case(
            "ReplicationStalled",
            "fires when the standby is gone",
            true,
            vec![lag(s.stalled.number() + 1.0)],
        ),
        case("ReplicationStalled", "waits", false, vec![lag(s.stalled.number())]),
        case(
            "StandbyNotPromotable",
            "leaves the silence of a coordinator to another",
            false,
            vec![promotable("1x10 0x50"), reasons("0x60")],
        ),
        case(
            "StandbyNotPromotable",
            "does so, too, where unknown is absent",
            false,
            vec![vec![on("a", "standfast_promotable", "", "0x60")], reasons("0x60")],
        ),
        case(
            "StandbyNotPromotable",
            "fires when something else is wrong as well",
            true,
            vec![promotable("1x10 0x50"), reasons("0x10 1x50")],
        ),
        case("VerifyStale", "fires where nothing is compared", true, vec![paused(1)]),
        case("VerifyStale", "fires where nothing was ever proved", true, vec![paused(0)]),
        case(
            "ErrorBudgetBurnsFast",
            "counts refusals while there is no primary",
            true,
            vec![vec![
                on("b", "standfast_node_role", "role=\"primary\"", "0x60"),
                on("b", "standfast_calls_total", "op=\"put_end\"", "0+100x60"),
                on("b", "standfast_unknown_outcomes_total", "", "0x60"),
                on("b", "standfast_refused_calls_total", "", "0+100x60"),
            ]],
        ),
    ]
}

/// Why the standby is not promotable: the coordinator is silent, and this.
fn reasons(quarantine: &str) -> Vec<Series> {
    vec![
        on("a", "standfast_promotable_reason", "code=\"not_standby\"", "1x60"),
        on("a", "standfast_promotable_reason", "code=\"coordinator\"", "0x60"),
        on("b", "standfast_promotable_reason", "code=\"coordinator\"", "0x10 1x50"),
        on("b", "standfast_promotable_reason", "code=\"quarantine\"", quarantine),
    ]
}

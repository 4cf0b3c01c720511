//! Recording rules: `level:metric:operation`; the window is a label, so that no name carries a number.

use crate::monitoring::settings::Settings;

/// One recording rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What it records.
    pub name: &'static str,
    /// From what.
    pub expr: String,
    /// Value of its label `window`; empty = it has none.
    pub window: &'static str,
}

/// Windows of the burn rates: a long one that matters and a short one that shows that it still goes on.
const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

/// All of them.
#[must_use]
pub fn all(_: &Settings) -> Vec<Recording> {
    let mut rules = vec![Recording {
        name: "cluster:standfast_promotable:max",
        expr: "max by (cluster) (standfast_promotable)".to_owned(),
        window: "",
    }];
    rules.extend(WINDOWS.map(|w| Recording {
        name: "cluster:standfast_calls:error_ratio",
        expr: errors(w),
        window: w,
    }));
    rules.extend(WINDOWS.map(|w| Recording {
        name: "cluster:standfast_promotable:missing_ratio",
        expr: format!("1 - avg_over_time(cluster:standfast_promotable:max[{w}])"),
        window: w,
    }));
    rules
}

/// Calls with an unknown outcome, and those that were refused. A standby refuses clients that look for the primary;
/// that is no error as long as there is one. Whom no node hears at all is in no count: `ClusterDown` tells of that.
fn errors(w: &str) -> String {
    format!(
        "(\n  sum by (cluster) (rate(standfast_unknown_outcomes_total[{w}]))\n  + (\n    \
         sum by (cluster) (rate(standfast_refused_calls_total[{w}])\n      \
         unless on (cluster, instance) (standfast_node_role{{role=\"primary\"}} == 0\n      \
         and on (cluster) standfast_node_role{{role=\"primary\"}} == 1))\n    \
         or 0 * sum by (cluster) (rate(standfast_unknown_outcomes_total[{w}]))\n  )\n)\n\
         / (sum by (cluster) (rate(standfast_calls_total[{w}])) > 0)"
    )
}

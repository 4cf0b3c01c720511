//! One screen: who leads, may I fail over now, how far behind, how much would I lose, what is wrong.

use crate::monitoring::board::{Board, row};
use crate::monitoring::panel::{BAD, Kind, OK, PLAIN, Panel, WARN};
use crate::monitoring::settings::Settings;

pub(super) fn board(s: &Settings) -> Board {
    Board {
        name: "overview",
        title: "Standfast / Overview",
        about: "Is the cluster served, could it be failed over now, and what is wrong?",
        rows: vec![row("Now", now(s)), row("Traffic", traffic(s)), row("What is wrong", state())],
    }
}

fn now(s: &Settings) -> Vec<Panel> {
    vec![
        Panel::new(Kind::Stat, "Primaries", "Is there exactly one primary in each cluster?")
            .healthy("one", "NoPrimary")
            .ask(r#"sum by (cluster) (standfast_node_role{@cluster, role="primary"})"#, "{{cluster}}")
            .word(0, "NONE", BAD)
            .word(1, "one", OK)
            .word(2, "TWO", BAD),
        Panel::new(Kind::Stat, "May fail over", "Would a promotion of some standby be accepted at this moment?")
            .healthy("yes", "StandbyNotPromotable")
            .ask("max by (cluster) (standfast_promotable{@cluster})", "{{cluster}}")
            .word(0, "NO", BAD)
            .word(1, "yes", OK),
        Panel::new(Kind::Stat, "Behind", "For how long has the slowest standby been behind? Rises while a link is cut.")
            .unit("s")
            .healthy("below 1 s", "ReplicationLagHigh")
            .below(1.0, s.lag.number())
            .ask("max by (cluster) (standfast_replication_lag_seconds{@cluster})", "{{cluster}}"),
        Panel::new(Kind::Stat, "Verified", "How long ago was the home proved equal that has waited longest?")
            .unit("s")
            .healthy("below 10 s", "VerifyStale")
            .below(10.0, s.verify_age.number())
            .ask("max by (cluster) (standfast_verify_age_seconds{@cluster})", "{{cluster}}"),
        Panel::new(
            Kind::Stat,
            "Copies in sync",
            "How many copies hold every acknowledged write, the primary's included? With one, a crash loses everything.",
        )
        .healthy("2 or more", "InSyncSetSmall")
        .at_least(2.0)
        .ask(
            r#"max by (cluster) (standfast_in_sync_copies{@cluster} and on (cluster, instance) standfast_node_role{role="primary"} == 1)"#,
            "{{cluster}}",
        ),
        Panel::new(Kind::Stat, "Last role change lost", "How many acknowledged entries did the last role change lose? Absent when nobody knows (async).")
            .healthy("0, or unknown where there was none", "AcknowledgedWritesLost")
            .below(1.0, 1.0)
            .ask("max by (cluster) (standfast_failover_rpo_entries{@cluster})", "{{cluster}}"),
    ]
}

fn traffic(s: &Settings) -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(6, 7);
    vec![
        graph("Keys per second", "How much is written and read?")
            .unit("ops")
            .healthy("what this cluster usually does", "")
            .ask(r#"sum by (cluster) (rate(standfast_writes_total{@cluster}[$__rate_interval]))"#, "{{cluster}} written")
            .ask(r#"sum by (cluster) (rate(standfast_reads_total{@cluster}[$__rate_interval]))"#, "{{cluster}} read"),
        graph(
            "Calls that did not succeed",
            "How many calls were refused as a whole, have an unknown outcome, or found no memory? A standby refuses clients that look for the primary.",
        )
        .unit("ops")
        .healthy("0 outside of role changes", "ErrorBudgetBurnsFast")
        .ask("sum by (cluster) (rate(standfast_refused_calls_total{@cluster}[$__rate_interval]))", "{{cluster}} refused")
        .ask("sum by (cluster) (rate(standfast_unknown_outcomes_total{@cluster}[$__rate_interval]))", "{{cluster}} unknown")
        .ask("sum by (cluster) (rate(standfast_allocation_failures_total{@cluster}[$__rate_interval]))", "{{cluster}} no memory"),
        graph("Latency, 99 %", "How long do calls take, from the door's handing over until the answer?")
            .unit("s")
            .healthy("below 5 ms on a LAN", "LatencyHigh")
            .below(0.1, s.latency.number())
            .to_traces()
            .ask(
                "histogram_quantile(0.99, sum by (cluster, class, le) (rate(standfast_call_duration_seconds_bucket{@cluster}[$__rate_interval])))",
                "{{cluster}} {{class}}",
            ),
        graph("Lag", "How far behind is each standby, over time?")
            .unit("s")
            .healthy("below 1 s", "ReplicationLagHigh")
            .below(1.0, s.lag.number())
            .ask("max by (cluster, standby) (standfast_replication_lag_seconds{@cluster})", "{{cluster}} {{standby}}"),
    ]
}

fn state() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Alerts, "Alerts", "Which alerts of this cluster fire or are about to?")
            .healthy("none", ""),
        Panel::new(Kind::Timeline, "Roles", "Which node was the primary when?")
            .healthy("one primary at each time", "NoPrimary")
            .ask(
                r#"max by (cluster, instance) (standfast_node_role{@node, role="primary"})"#,
                "{{cluster}} {{instance}}",
            )
            .word(0, "standby", PLAIN)
            .word(1, "primary", OK)
            .word(2, "other", WARN),
    ]
}

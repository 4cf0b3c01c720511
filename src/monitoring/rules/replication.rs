//! Could a standby take over, and how far behind is it.

use super::{Alert, Series, Severity, on, with};
use crate::monitoring::settings::Settings;

pub(super) fn alerts(s: &Settings) -> Vec<Alert> {
    let paused = vec![
        on("b", "standfast_paused", "", "0x10 1x50"),
        on("b", "standfast_automatic_failover_stopped", "", "0x60"),
    ];
    let copies = |n: u32| with(vec![on("a", "standfast_in_sync_copies", "", format!("{n}x60"))]);
    let rehearsed =
        |seconds: f64| vec![on("b", "standfast_rehearsal_age_seconds", "", format!("{seconds}x60"))];
    vec![
        Alert {
            name: "StandbyNotPromotable",
            severity: Severity::Page,
            // Where nobody may take over by himself, or only the coordinator's word is missing, another alert says
            // so, and nothing is wrong with the standby.
            expr: "cluster:standfast_promotable:max == 0\n  unless on (cluster) \
                   max by (cluster) (standfast_paused + standfast_automatic_failover_stopped) > 0\n  unless on (cluster) \
                   (standfast_promotable_reason{code=\"coordinator\"} == 1\n    unless on (cluster, instance) \
                   standfast_promotable_reason{code!=\"coordinator\"} == 1)"
                .to_owned(),
            hold: s.not_promotable.clone(),
            summary: "No standby could take over now.",
            text: "In cluster {{ $labels.cluster }} no node would accept a promotion.",
            board: "failover",
            settings: &["not_promotable"],
            silent: [promotable("1x10 0x50"), paused].concat(),
            firing: promotable("1x10 0x50"),
        },
        Alert {
            name: "RehearsalStale",
            severity: Severity::Ticket,
            expr: format!("standfast_rehearsal_age_seconds > {}", s.rehearsal.number()),
            hold: s.rehearsal_for.clone(),
            summary: "The proof that a promotion would work is old.",
            text: "A promotion of {{ $labels.instance }} of cluster {{ $labels.cluster }} was last rehearsed {{ $value | humanizeDuration }} ago.",
            board: "failover",
            settings: &["rehearsal", "rehearsal_for"],
            silent: rehearsed(s.rehearsal.number()),
            firing: rehearsed(s.rehearsal.number() + 1.0),
        },
        Alert {
            name: "PromotableBudgetBurns",
            severity: Severity::Ticket,
            expr: super::serving::burns(
                "cluster:standfast_promotable:missing_ratio",
                s.promotable_budget.number(),
                [("1d", "2h", 3.0), ("3d", "6h", 1.0)],
            ),
            hold: s.latency_for.clone(),
            summary: "The cluster is without a promotable standby for longer than its budget of 30 days allows.",
            text: "Cluster {{ $labels.cluster }} had no promotable standby for {{ $value | humanizePercentage }} of the time.",
            board: "failover",
            settings: &["promotable_budget"],
            silent: promotable("1x60"),
            firing: promotable("1x10 0x10 1x40"),
        },
        Alert {
            name: "InSyncSetSmall",
            severity: Severity::Page,
            expr: "standfast_in_sync_copies < 2\n  and on (cluster, instance) standfast_node_role{role=\"primary\"} == 1"
                .to_owned(),
            hold: s.alone.clone(),
            summary: "The primary is alone: a crash now loses everything.",
            text: "Only {{ $value }} copy of cluster {{ $labels.cluster }} holds every acknowledged write.",
            board: "replication",
            settings: &["alone"],
            silent: copies(2),
            firing: copies(1),
        },
        Alert {
            name: "ReplicationLagHigh",
            severity: Severity::Ticket,
            expr: format!("max by (cluster, standby) (standfast_replication_lag_seconds) > {}", s.lag.number()),
            hold: s.lag_for.clone(),
            summary: "A standby is behind.",
            text: "Standby {{ $labels.standby }} of cluster {{ $labels.cluster }} has been behind for {{ $value | humanizeDuration }}.",
            board: "replication",
            settings: &["lag", "lag_for"],
            silent: lag(s.lag.number()),
            firing: lag(s.lag.number() + 1.0),
        },
        Alert {
            name: "ReplicationStalled",
            severity: Severity::Page,
            // A standby names itself in its own lag, so its position is found without knowing how targets are called.
            expr: format!(
                "max by (cluster, standby) (standfast_replication_lag_seconds) > {}\n  unless on (cluster, standby) \
                 (standfast_replication_lag_seconds\n    and on (cluster, instance) changes(standfast_seq{{stage=\"applied\"}}[{}]) > 0\n    \
                 and on (cluster, instance) standfast_node_role{{role=\"standby\"}} == 1)",
                s.stalled.number(),
                s.flat
            ),
            hold: s.alone.clone(),
            summary: "A standby is behind and applies nothing.",
            text: "Standby {{ $labels.standby }} of cluster {{ $labels.cluster }} has been behind for {{ $value | humanizeDuration }}, and its position does not move.",
            board: "replication",
            settings: &["stalled", "flat", "alone"],
            silent: [lag(s.stalled.number() + 1.0), follows(s.stalled.number() + 1.0, "0+10x60")].concat(),
            firing: [lag(s.stalled.number() + 1.0), follows(s.stalled.number() + 1.0, "10x60")].concat(),
        },
        Alert {
            name: "QuarantinedEntries",
            severity: Severity::Page,
            // With a coordinator the standby has another copy before anybody has seen the gauge: the counter keeps it.
            expr: format!(
                "standfast_quarantined_entries > 0\n  or increase(standfast_quarantined_entries_total[{}]) > 0",
                s.mismatch_window
            ),
            hold: s.no_primary.clone(),
            summary: "A standby has set entries aside that it could not apply.",
            text: "Standby {{ $labels.instance }} of cluster {{ $labels.cluster }} could not apply what the primary did: its copy may not be promoted, or was thrown away for that.",
            board: "replication",
            settings: &["no_primary", "mismatch_window"],
            silent: aside("0x60", "1x60"),
            firing: aside("0x60", "0x25 1x35"),
        },
    ]
}

/// What the standby has set aside now, and what since it started.
pub(super) fn aside(now: &str, ever: &str) -> Vec<Series> {
    vec![
        on("b", "standfast_quarantined_entries", "", now),
        on("b", "standfast_quarantined_entries_total", "", ever),
    ]
}

/// Whether the primary and the standby say that a promotion would be accepted.
pub(super) fn promotable(values: &str) -> Vec<Series> {
    vec![on("a", "standfast_promotable", "", "0x60"), on("b", "standfast_promotable", "", values)]
}

/// The lag as the primary sees it.
pub(super) fn lag(seconds: f64) -> Vec<Series> {
    vec![on("a", "standfast_replication_lag_seconds", "standby=\"b\"", format!("{seconds}x60"))]
}

/// What the standby says of itself.
fn follows(seconds: f64, applied: &str) -> Vec<Series> {
    vec![
        on("b", "standfast_replication_lag_seconds", "standby=\"b\"", format!("{seconds}x60")),
        on("b", "standfast_node_role", "role=\"standby\"", "1x60"),
        on("b", "standfast_seq", "stage=\"applied\"", applied),
        // The primary's own position moves on.
        on("a", "standfast_node_role", "role=\"standby\"", "0x60"),
        on("a", "standfast_seq", "stage=\"applied\"", "0+10x60"),
    ]
}

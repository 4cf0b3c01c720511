//! Clients and the memory that they lend.

use super::{Alert, Series, Severity, on, with};
use crate::monitoring::settings::Settings;

/// Of the primary only: a standby's copy says the same a moment later.
const PRIMARY: &str = "and on (cluster, instance) standfast_node_role{role=\"primary\"} == 1";

fn clients(ok: &str, needing: &str) -> Vec<Series> {
    with(vec![
        on("a", "standfast_clients", "state=\"ok\"", ok),
        on("a", "standfast_clients", "state=\"needing_remount\"", needing),
    ])
}

pub(super) fn alerts(s: &Settings) -> Vec<Alert> {
    let used = |bytes: f64| {
        with(vec![
            on("a", "standfast_allocated_bytes", "", format!("{}x60", bytes.round())),
            on("a", "standfast_capacity_bytes", "", "100000x60"),
        ])
    };
    let without_room = |values: &str| vec![on("a", "standfast_allocation_failures_total", "", values)];
    vec![
        Alert {
            name: "ClientsNotReattached",
            severity: Severity::Page,
            expr: format!(
                "sum by (cluster) (standfast_clients{{state=\"needing_remount\"}} {PRIMARY})\n  \
                 / sum by (cluster) (standfast_clients {PRIMARY}) > {}",
                s.reattach_share
            ),
            hold: s.reattach_for.clone(),
            summary: "Clients have not come back: what they lend is not usable.",
            text: "Of the clients of cluster {{ $labels.cluster }}, {{ $value | humanizePercentage }} have not mounted their memory again.",
            board: "clients",
            settings: &["reattach_share", "reattach_for"],
            silent: clients("100x60", "0x60"),
            firing: clients("50x60", "50x60"),
        },
        Alert {
            name: "ClientsExpired",
            severity: Severity::Page,
            expr: format!(
                "sum by (cluster) (standfast_clients{{state=\"ok\"}} {PRIMARY})\n  \
                 < {} * max by (cluster) (max_over_time(standfast_clients{{state=\"ok\"}}[{}]))",
                s.expiry_share, s.expiry_window
            ),
            hold: s.reattach_for.clone(),
            summary: "Most clients have gone at once, and what they lent with them.",
            text: "Cluster {{ $labels.cluster }} has {{ $value }} clients left.",
            board: "clients",
            settings: &["expiry_share", "expiry_window", "reattach_for"],
            silent: clients("100x60", "0x60"),
            firing: clients("100x25 10x35", "0x60"),
        },
        Alert {
            name: "CapacityHigh",
            severity: Severity::Ticket,
            expr: format!(
                "sum by (cluster) (standfast_allocated_bytes {PRIMARY})\n  \
                 / sum by (cluster) (standfast_capacity_bytes {PRIMARY}) > {}",
                s.capacity
            ),
            hold: s.capacity_for.clone(),
            summary: "Memory is fuller than eviction should let it become.",
            text: "Of the memory lent to cluster {{ $labels.cluster }}, {{ $value | humanizePercentage }} is used.",
            board: "clients",
            settings: &["capacity", "capacity_for"],
            silent: used(90_000.0 * s.capacity.number()),
            firing: used(101_000.0 * s.capacity.number()),
        },
        Alert {
            name: "AllocationFailures",
            severity: Severity::Page,
            expr: "sum by (cluster) (rate(standfast_allocation_failures_total[5m])) > 0".to_owned(),
            hold: s.allocation_for.clone(),
            summary: "Writes find no memory.",
            text: "In cluster {{ $labels.cluster }} {{ $value | humanize }} writes a second find no room.",
            board: "clients",
            settings: &["allocation_for"],
            silent: without_room("7x60"),
            firing: without_room("0+10x60"),
        },
    ]
}

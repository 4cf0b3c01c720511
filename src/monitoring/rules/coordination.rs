//! Can anybody take over by himself, and may he.

use super::{Alert, Severity, on};
use crate::monitoring::settings::Settings;

pub(super) fn alerts(s: &Settings) -> Vec<Alert> {
    vec![arbiter_down(s), paused(s), stopped(s)]
}

fn arbiter_down(s: &Settings) -> Alert {
    let up = |values: &str| vec![on("a", "standfast_arbiter_up", "", values)];
    Alert {
        name: "ArbiterDown",
        severity: Severity::Ticket,
        expr: "min by (cluster) (standfast_arbiter_up) == 0".to_owned(),
        hold: s.arbiter_for.clone(),
        summary: "A node does not reach the coordinator: nobody can take over by itself.",
        text: "In cluster {{ $labels.cluster }} a node has no answer of the coordinator. What is served goes on.",
        board: "failover",
        settings: &["arbiter_for"],
        silent: up("1x60"),
        firing: up("1x10 0x50"),
    }
}

fn paused(s: &Settings) -> Alert {
    let paused = |values: &str| vec![on("a", "standfast_paused", "", values)];
    Alert {
        name: "PausedTooLong",
        severity: Severity::Ticket,
        expr: "max by (cluster) (standfast_paused) == 1".to_owned(),
        hold: s.paused_for.clone(),
        summary: "Automatic failover is still paused: if the primary dies, nobody takes over.",
        text: "Automatic failover of cluster {{ $labels.cluster }} has been paused for longer than planned work takes.",
        board: "failover",
        settings: &["paused_for"],
        silent: paused("0x60"),
        firing: paused("1x60"),
    }
}

fn stopped(s: &Settings) -> Alert {
    let stopped = |values: &str| vec![on("a", "standfast_automatic_failover_stopped", "", values)];
    Alert {
        name: "FailoverStopped",
        severity: Severity::Page,
        expr: "max by (cluster) (standfast_automatic_failover_stopped) == 1".to_owned(),
        hold: s.stopped_for.clone(),
        summary: "The primary has moved too often: the next automatic failover waits for somebody.",
        text: "Cluster {{ $labels.cluster }} has had so many automatic failovers that no other follows by itself.",
        board: "failover",
        settings: &["stopped_for"],
        silent: stopped("0x60"),
        firing: stopped("0x5 1x60"),
    }
}

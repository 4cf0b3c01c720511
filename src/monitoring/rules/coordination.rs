//! Can anybody take over by himself.

use super::{Alert, Severity, on};
use crate::monitoring::settings::Settings;

pub(super) fn alerts(s: &Settings) -> Vec<Alert> {
    let up = |values: &str| vec![on("a", "standfast_arbiter_up", "", values)];
    vec![Alert {
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
    }]
}

//! Are the copies equal.

use super::{Alert, Severity, Value, on};
use crate::monitoring::settings::Settings;

pub(super) fn alerts(s: &Settings) -> Vec<Alert> {
    let found = |values: &str| vec![on("b", "standfast_verify_mismatches_total", "kind=\"field\"", values)];
    let age = |seconds: f64| vec![on("b", "standfast_verify_age_seconds", "", format!("{seconds}x60"))];
    let intact = |n: u32| vec![on("a", "standfast_memory_intact", "", format!("{n}x60"))];
    vec![
        Alert {
            name: "VerifyMismatch",
            severity: Severity::Page,
            expr: format!(
                "sum by (cluster, instance) (increase(standfast_verify_mismatches_total[{}])) > 0",
                s.mismatch_window
            ),
            hold: Value::Seconds(0),
            summary: "A standby differed from its primary.",
            text: "On {{ $labels.instance }} of cluster {{ $labels.cluster }} {{ $value | humanize }} items differed from the primary's.",
            board: "verification",
            settings: &["mismatch_window"],
            silent: found("3x60"),
            firing: found("0x25 1x35"),
        },
        Alert {
            name: "MemoryDamaged",
            severity: Severity::Page,
            expr: "standfast_memory_intact == 0".to_owned(),
            hold: Value::Seconds(0),
            summary: "A node's memory contradicts its digests.",
            text: "What {{ $labels.instance }} of cluster {{ $labels.cluster }} stores has changed without an entry of the log.",
            board: "verification",
            settings: &[],
            silent: intact(1),
            firing: intact(0),
        },
        Alert {
            name: "VerifyStale",
            severity: Severity::Ticket,
            // Without an age nothing was ever proved: it is told by what else a standby exports.
            expr: format!(
                "standfast_verify_age_seconds > {}\n  or on (cluster, instance) standfast_verify_paused == 1\n  or on (cluster, \
                 instance) (standfast_verify_paused unless on (cluster, instance) standfast_verify_age_seconds)",
                s.verify_age.number()
            ),
            hold: s.verify_for.clone(),
            summary: "A standby is not being compared with its primary.",
            text: "Standby {{ $labels.instance }} of cluster {{ $labels.cluster }} is not compared, or some home of it has not been found equal for too long.",
            board: "verification",
            settings: &["verify_age", "verify_for"],
            silent: [age(s.verify_age.number()), vec![on("b", "standfast_verify_paused", "", "0x60")]]
                .concat(),
            firing: age(s.verify_age.number() + 1.0),
        },
    ]
}

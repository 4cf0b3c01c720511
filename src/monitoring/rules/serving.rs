//! Is the cluster served, and does anybody see it.

use super::{Alert, Series, Severity, on, pair, with};
use crate::monitoring::settings::Settings;

pub(super) fn alerts(s: &Settings) -> Vec<Alert> {
    vec![
        no_primary(s),
        cluster_down(s),
        two_primaries(s),
        may_not_answer(s),
        errors_fast(s),
        errors_slow(s),
        latency(s),
        failover(s),
        drill(s),
        loss(s),
        target_down(s),
        telemetry(s),
    ]
}

fn no_primary(s: &Settings) -> Alert {
    Alert {
        name: "NoPrimary",
        severity: Severity::Page,
        expr: "sum by (cluster) (standfast_node_role{role=\"primary\"}) < 1".to_owned(),
        hold: s.no_primary.clone(),
        summary: "No node is primary: nothing is served.",
        text: "Cluster {{ $labels.cluster }} has {{ $value }} primaries.",
        board: "overview",
        settings: &["no_primary"],
        silent: pair(),
        firing: vec![on("b", "standfast_node_role", "role=\"primary\"", "0x60")],
    }
}

/// Whether Prometheus reaches this node of this cluster.
fn up(s: &Settings, cluster: &str, node: &str, values: &str) -> Series {
    Series(format!("up{{cluster=\"{cluster}\",job=\"{}\",instance=\"{node}\"}}", s.job), values.to_owned())
}

/// A cluster that is gone as a whole has no series left but this one, and other clusters have theirs.
fn cluster_down(s: &Settings) -> Alert {
    let other = |node| up(s, "other", node, "1x60");
    Alert {
        name: "ClusterDown",
        severity: Severity::Page,
        expr: format!("sum by (cluster) (up{{job=\"{}\"}}) == 0", s.job),
        hold: s.target_down.clone(),
        summary: "No node of a cluster can be scraped: most likely nothing is served.",
        text: "Prometheus reaches no node of cluster {{ $labels.cluster }}.",
        board: "overview",
        settings: &["target_down", "job"],
        silent: vec![up(s, "kv", "a", "1x10 0x50"), up(s, "kv", "b", "1x60"), other("c"), other("d")],
        firing: vec![up(s, "kv", "a", "1x10 0x50"), up(s, "kv", "b", "1x12 0x48"), other("c"), other("d")],
    }
}

fn two_primaries(s: &Settings) -> Alert {
    Alert {
        name: "TwoPrimaries",
        severity: Severity::Page,
        expr: "sum by (cluster) (standfast_node_role{role=\"primary\"}) > 1".to_owned(),
        hold: s.no_primary.clone(),
        summary: "More than one node says that it is primary.",
        text: "Cluster {{ $labels.cluster }} has {{ $value }} primaries.",
        board: "failover",
        settings: &["no_primary"],
        silent: pair(),
        firing: with(vec![on("c", "standfast_node_role", "role=\"primary\"", "1x60")]),
    }
}

fn may_not_answer(s: &Settings) -> Alert {
    Alert {
        name: "PrimaryMayNotAnswer",
        severity: Severity::Page,
        expr: "standfast_may_answer == 0".to_owned(),
        hold: s.no_primary.clone(),
        summary: "The primary has lost the right to answer: every call waits or is refused.",
        text: "Primary {{ $labels.instance }} of cluster {{ $labels.cluster }} waits for an in-sync standby that is silent.",
        board: "replication",
        settings: &["no_primary"],
        silent: vec![on("a", "standfast_may_answer", "", "1x60")],
        firing: vec![on("a", "standfast_may_answer", "", "1x10 0x50")],
    }
}

/// Of 100 calls a minute so many fail.
fn failing(per_minute: u32) -> Vec<Series> {
    with(vec![
        on("a", "standfast_calls_total", "op=\"put_end\"", "0+100x60"),
        on("a", "standfast_unknown_outcomes_total", "", format!("0+{per_minute}x60")),
        on("a", "standfast_refused_calls_total", "", "0x60"),
        // A standby refuses those that look for the primary.
        on("b", "standfast_calls_total", "op=\"put_end\"", "0+100x60"),
        on("b", "standfast_unknown_outcomes_total", "", "0x60"),
        on("b", "standfast_refused_calls_total", "", "0+100x60"),
    ])
}

/// Burns the budget `factor` times as fast as it lasts, in both windows of a pair.
pub(super) fn burns(ratio: &str, budget: f64, pairs: [(&str, &str, f64); 2]) -> String {
    let pair = |(long, short, factor): (&str, &str, f64)| {
        let above = |window: &str| format!("{ratio}{{window=\"{window}\"}} > {}", factor * budget);
        format!("({}) and on (cluster) ({})", above(long), above(short))
    };
    format!("max by (cluster) (\n  ({})\n  or\n  ({})\n)", pair(pairs[0]), pair(pairs[1]))
}

const ERRORS: &str = "cluster:standfast_calls:error_ratio";

fn errors_fast(s: &Settings) -> Alert {
    Alert {
        name: "ErrorBudgetBurnsFast",
        severity: Severity::Page,
        expr: burns(ERRORS, s.call_budget.number(), [("1h", "5m", 14.4), ("6h", "30m", 6.0)]),
        hold: super::Value::Seconds(0),
        summary: "Calls fail so often that the error budget of 30 days is gone within days.",
        text: "Of the calls to cluster {{ $labels.cluster }}, {{ $value | humanizePercentage }} are refused or end unknown.",
        board: "overview",
        settings: &["call_budget"],
        silent: failing(0),
        firing: failing(50),
    }
}

fn errors_slow(s: &Settings) -> Alert {
    Alert {
        name: "ErrorBudgetBurnsSlowly",
        severity: Severity::Ticket,
        expr: burns(ERRORS, s.call_budget.number(), [("1d", "2h", 3.0), ("3d", "6h", 1.0)]),
        hold: s.latency_for.clone(),
        summary: "Calls fail more often than the error budget of 30 days allows.",
        text: "Of the calls to cluster {{ $labels.cluster }}, {{ $value | humanizePercentage }} are refused or end unknown.",
        board: "overview",
        settings: &["call_budget"],
        silent: failing(0),
        firing: failing(50),
    }
}

fn latency(s: &Settings) -> Alert {
    let buckets = |slow: &str| {
        vec![
            on("a", "standfast_call_duration_seconds_bucket", "class=\"write\",le=\"0.001\"", slow),
            on("a", "standfast_call_duration_seconds_bucket", "class=\"write\",le=\"100\"", "0+100x60"),
            on("a", "standfast_call_duration_seconds_bucket", "class=\"write\",le=\"+Inf\"", "0+100x60"),
        ]
    };
    Alert {
        name: "LatencyHigh",
        severity: Severity::Ticket,
        expr: format!(
            "histogram_quantile(0.99, sum by (cluster, class, le) (rate(standfast_call_duration_seconds_bucket[5m]))) > {}",
            s.latency.number()
        ),
        hold: s.latency_for.clone(),
        summary: "One call in a hundred takes far too long.",
        text: "99 % of the {{ $labels.class }} calls of cluster {{ $labels.cluster }} take up to {{ $value | humanizeDuration }}.",
        board: "replication",
        settings: &["latency", "latency_for"],
        silent: buckets("0+100x60"),
        firing: buckets("0x60"),
    }
}

/// Role changes of one node, as it counts them: all of them, and of these the drills, which it learns of later.
pub(super) fn changes(kind: &str, all: &str, drills: &str) -> Vec<Series> {
    let count = |drill, values| {
        let labels = format!("kind=\"{kind}\",result=\"ok\",drill=\"{drill}\"");
        on("b", "standfast_failovers_total", &labels, values)
    };
    vec![count("no", all), count("yes", drills)]
}

fn happened(s: &Settings, drill: &str) -> String {
    let window = &s.failover_window;
    format!(
        "sum by (cluster, kind) (increase(standfast_failovers_total{{kind!=\"bootstrap\", result=\"ok\", drill=\"{drill}\"}}[{window}]))"
    )
}

fn failover(s: &Settings) -> Alert {
    Alert {
        name: "FailoverHappened",
        severity: Severity::Info,
        // A drill counts twice, so it is taken away; half, because an increase is extrapolated.
        expr: format!("{}\n  - {} > 0.5", happened(s, "no"), happened(s, "yes")),
        hold: super::Value::Seconds(0),
        summary: "Another node has become primary.",
        text: "Cluster {{ $labels.cluster }} had a {{ $labels.kind }}.",
        board: "failover",
        settings: &["failover_window"],
        silent: changes("failover", "0x27 1x33", "0x28 1x32"),
        firing: changes("failover", "0x28 1x32", "0x60"),
    }
}

fn drill(s: &Settings) -> Alert {
    Alert {
        name: "DrillRan",
        severity: Severity::Info,
        expr: format!("{} > 0", happened(s, "yes")),
        hold: super::Value::Seconds(0),
        summary: "A drill has moved the primary: what follows from it does not page.",
        text: "Cluster {{ $labels.cluster }} had a drill ({{ $labels.kind }}).",
        board: "failover",
        settings: &["failover_window"],
        silent: changes("failover", "0x28 1x32", "0x60"),
        firing: changes("failover", "0x27 1x33", "0x28 1x32"),
    }
}

/// So many entries lost ten minutes before the test looks.
pub(super) fn lost(entries: u32) -> Vec<Series> {
    vec![
        on("b", "standfast_failover_rpo_entries", "", format!("{entries}x60")),
        on("b", "standfast_failover_last_timestamp_seconds", "", "1200x60"),
    ]
}

/// A start that gives all copies up loses everything, whoever ordered it; a node may do that before it is first
/// scraped, so its counter never rises. A broken promise is counted in entries.
fn loss(s: &Settings) -> Alert {
    let window = &s.loss_window;
    let recent = |since: &str| format!("and on (cluster, instance) time() - {since} < {}", window.number());
    let forced = "standfast_failovers_total{kind=\"forced\", result=\"ok\", drill=\"no\"}";
    Alert {
        name: "AcknowledgedWritesLost",
        severity: Severity::Page,
        expr: format!(
            "max by (cluster, instance) (\n  (standfast_failover_rpo_entries > 0 {})\n  \
             or on (cluster, instance) (increase({forced}[{window}]) > 0)\n  \
             or on (cluster, instance) ({forced} > 0 {})\n)",
            recent("standfast_failover_last_timestamp_seconds"),
            recent("process_start_time_seconds"),
        ),
        hold: super::Value::Seconds(0),
        summary: "A role change has lost writes that were acknowledged, or all that was stored.",
        text: "Node {{ $labels.instance }} leads cluster {{ $labels.cluster }} without what an earlier primary acknowledged.",
        board: "failover",
        settings: &["loss_window"],
        silent: [lost(0), changes("failover", "0x28 1x32", "0x60"), changes("forced", "0x60", "0x60")]
            .concat(),
        firing: changes("forced", "0x28 1x32", "0x60"),
    }
}

fn target_down(s: &Settings) -> Alert {
    Alert {
        name: "TargetDown",
        severity: Severity::Ticket,
        expr: format!("up{{job=\"{}\"}} == 0", s.job),
        hold: s.target_down.clone(),
        summary: "A node cannot be scraped.",
        text: "Prometheus does not reach {{ $labels.instance }} of cluster {{ $labels.cluster }}.",
        board: "overview",
        settings: &["target_down", "job"],
        silent: vec![up(s, "kv", "b", "1x60")],
        firing: vec![up(s, "kv", "b", "1x10 0x50")],
    }
}

fn telemetry(s: &Settings) -> Alert {
    Alert {
        name: "TelemetryDead",
        severity: Severity::Page,
        expr: "absent(standfast_build_info)".to_owned(),
        hold: s.silence.clone(),
        summary: "Prometheus sees no node at all: no other alert can fire.",
        text: "There is no series of any node. Either all are down, or none is scraped.",
        board: "overview",
        settings: &["silence"],
        silent: vec![on("a", "standfast_build_info", "version=\"x\",profile=\"release\"", "1x60")],
        firing: Vec::new(),
    }
}

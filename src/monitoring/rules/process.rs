//! What each process uses, whether it is on time, and whether its observers hear of it.

use super::{Alert, Series, Severity, on};
use crate::monitoring::settings::Settings;

pub(super) fn alerts(s: &Settings) -> Vec<Alert> {
    vec![
        memory(s),
        files(s),
        loop_delay(s),
        loop_stuck(s),
        restarts(s),
        versions(s),
        clocks(s),
        notifications(s),
        spans(s),
    ]
}

fn info(node: &str, version: &str) -> Series {
    on(node, "standfast_build_info", &format!("version=\"{version}\",profile=\"release\""), "1x60")
}

fn memory(s: &Settings) -> Alert {
    let uses = |share: f64| {
        vec![
            on("a", "process_resident_memory_bytes", "", format!("{}x60", (100_000.0 * share).round())),
            on("a", "standfast_memory_limit_bytes", "", "100000x60"),
        ]
    };
    Alert {
        name: "MemoryHigh",
        severity: Severity::Page,
        expr: format!(
            "process_resident_memory_bytes / on (job, instance, cluster) standfast_memory_limit_bytes > {}",
            s.memory
        ),
        hold: s.memory_for.clone(),
        summary: "A node is about to be killed for its memory.",
        text: "{{ $labels.instance }} of cluster {{ $labels.cluster }} uses {{ $value | humanizePercentage }} of the memory that it may use.",
        board: "process",
        settings: &["memory", "memory_for"],
        silent: uses(s.memory.number() * 0.9),
        firing: uses(s.memory.number() * 1.1),
    }
}

fn files(s: &Settings) -> Alert {
    let opens = |share: f64| {
        vec![
            info("a", "x"),
            on("a", "process_open_fds", "", format!("{}x60", (1000.0 * share).round())),
            on("a", "process_max_fds", "", "1000x60"),
        ]
    };
    Alert {
        name: "FilesHigh",
        severity: Severity::Ticket,
        expr: format!(
            "process_open_fds / process_max_fds > {}\n  and on (job, instance, cluster) standfast_build_info",
            s.files
        ),
        hold: s.files_for.clone(),
        summary: "A node runs out of file descriptors: soon no client can connect.",
        text: "{{ $labels.instance }} of cluster {{ $labels.cluster }} uses {{ $value | humanizePercentage }} of its file descriptors.",
        board: "process",
        settings: &["files", "files_for"],
        silent: opens(s.files.number() * 0.9),
        firing: opens(s.files.number() * 1.1),
    }
}

fn loop_delay(s: &Settings) -> Alert {
    let late = |slow: &str| {
        vec![
            on("a", "standfast_loop_delay_seconds_bucket", "le=\"0.01\"", slow),
            on("a", "standfast_loop_delay_seconds_bucket", "le=\"100\"", "0+600x60"),
            on("a", "standfast_loop_delay_seconds_bucket", "le=\"+Inf\"", "0+600x60"),
        ]
    };
    Alert {
        name: "LoopDelayHigh",
        severity: Severity::Page,
        expr: format!(
            "histogram_quantile(0.99, sum by (cluster, instance, le) (rate(standfast_loop_delay_seconds_bucket[1m]))) > {}",
            s.loop_delay.number()
        ),
        hold: s.loop_for.clone(),
        summary: "A node's loop is late: it is about to miss its promises.",
        text: "Timers of {{ $labels.instance }} of cluster {{ $labels.cluster }} fire up to {{ $value | humanizeDuration }} late.",
        board: "process",
        settings: &["loop_delay", "loop_for"],
        silent: late("0+600x60"),
        firing: late("0x60"),
    }
}

/// A loop that hangs is late once, at its end: meanwhile only the count of its turns tells.
fn loop_stuck(s: &Settings) -> Alert {
    let turns = |values: &str| vec![on("a", "standfast_loop_delay_seconds_count", "", values)];
    Alert {
        name: "LoopStuck",
        severity: Severity::Page,
        expr: format!("rate(standfast_loop_delay_seconds_count[{}]) == 0", s.flat),
        hold: s.stuck_for.clone(),
        summary: "A node's loop hangs: it answers to Prometheus and does nothing else.",
        text: "The loop of {{ $labels.instance }} of cluster {{ $labels.cluster }} has not turned for minutes.",
        board: "process",
        settings: &["flat", "stuck_for"],
        silent: turns("0+600x60"),
        firing: turns("600x60"),
    }
}

fn restarts(s: &Settings) -> Alert {
    let started = |values: &str| vec![info("a", "x"), on("a", "process_start_time_seconds", "", values)];
    Alert {
        name: "NodeRestarts",
        severity: Severity::Ticket,
        expr: format!(
            "changes(process_start_time_seconds[{}]) >= {}\n  and on (job, instance, cluster) standfast_build_info",
            s.restart_window, s.restarts
        ),
        hold: super::Value::Seconds(0),
        summary: "A node restarts again and again.",
        text: "{{ $labels.instance }} of cluster {{ $labels.cluster }} has restarted {{ $value }} times.",
        board: "process",
        settings: &["restarts", "restart_window"],
        silent: started("0x20 100x40"),
        firing: started("0+100x60"),
    }
}

fn versions(s: &Settings) -> Alert {
    Alert {
        name: "VersionSkew",
        severity: Severity::Ticket,
        expr: "count by (cluster) (count by (cluster, version, profile) (standfast_build_info)) > 1"
            .to_owned(),
        hold: s.skew_for.clone(),
        summary: "The nodes do not run the same version.",
        text: "Cluster {{ $labels.cluster }} runs {{ $value }} versions.",
        board: "process",
        settings: &["skew_for"],
        silent: vec![info("a", "x"), info("b", "x")],
        firing: vec![info("a", "x"), info("b", "y")],
    }
}

fn clocks(s: &Settings) -> Alert {
    // Samples are a minute apart, and so are the instants that they carry.
    let clock =
        |node: &str, ahead: f64| on(node, "standfast_clock_timestamp_seconds", "", format!("{ahead}+60x60"));
    let offset = "standfast_clock_timestamp_seconds - timestamp(standfast_clock_timestamp_seconds)";
    Alert {
        name: "ClockSkew",
        severity: Severity::Ticket,
        expr: format!("max by (cluster) ({offset})\n  - min by (cluster) ({offset}) > {}", s.clock.number()),
        hold: s.clock_for.clone(),
        summary: "The nodes' clocks differ: histories and traces of two nodes cannot be laid side by side.",
        text: "Clocks of cluster {{ $labels.cluster }} are {{ $value | humanizeDuration }} apart.",
        board: "process",
        settings: &["clock", "clock_for"],
        silent: vec![clock("a", 0.0), clock("b", s.clock.number() * 0.9)],
        firing: vec![clock("a", 0.0), clock("b", s.clock.number() * 1.1)],
    }
}

fn notifications(s: &Settings) -> Alert {
    let failed = |values: &str| vec![on("b", "standfast_notifications_total", "result=\"failed\"", values)];
    Alert {
        name: "NotificationsFail",
        severity: Severity::Ticket,
        expr: format!("increase(standfast_notifications_total{{result=\"failed\"}}[{}]) > 0", s.tell_window),
        hold: super::Value::Seconds(0),
        summary: "The webhook does not take the messages about role changes.",
        text: "{{ $labels.instance }} of cluster {{ $labels.cluster }} has given up on {{ $value | humanize }} messages.",
        board: "process",
        settings: &["tell_window"],
        silent: failed("2x60"),
        firing: failed("0x25 1x35"),
    }
}

fn spans(s: &Settings) -> Alert {
    let lost = |values: &str| vec![on("a", "standfast_spans_dropped_total", "why=\"refused\"", values)];
    Alert {
        name: "SpansLost",
        severity: Severity::Ticket,
        expr: format!(
            "sum by (cluster, instance) (increase(standfast_spans_dropped_total[{}])) > 0",
            s.tell_window
        ),
        hold: s.tell_for.clone(),
        summary: "Spans are lost: traces have holes. Writes are not affected.",
        text: "{{ $labels.instance }} of cluster {{ $labels.cluster }} has lost {{ $value | humanize }} spans.",
        board: "process",
        settings: &["tell_window", "tell_for"],
        silent: lost("5x60"),
        firing: lost("0+5x60"),
    }
}

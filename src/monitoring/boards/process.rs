//! What each process uses, and whether it can keep its own time.

use crate::monitoring::board::{Board, row};
use crate::monitoring::panel::{Kind, OK, Panel, WARN};
use crate::monitoring::settings::Settings;

pub(super) fn board(s: &Settings) -> Board {
    Board {
        name: "process",
        title: "Standfast / Process",
        about: "What does each process use, is its loop on time, and is anything lost on the way to its observers?",
        rows: vec![
            row("Resources", resources(s)),
            row("Time", time(s)),
            row("Observers", observers()),
            row("Security", security(s)),
        ],
    }
}

/// `process_*` of our nodes, not of others that the same Prometheus scrapes.
const OURS: &str = "and on (cluster, job, instance) standfast_build_info{@node}";

fn resources(s: &Settings) -> Vec<Panel> {
    vec![
        Panel::new(Kind::Graph, "Processor", "How many cores does each process use?")
            .healthy("below the cores that it may use", "LoopDelayHigh")
            .ask(format!("rate(process_cpu_seconds_total[$__rate_interval]) {OURS}"), "{{instance}}"),
        Panel::new(Kind::Graph, "Memory, of its limit", "How much of the memory that it may use does each process use?")
            .unit("percentunit")
            .healthy("below 70 %", "MemoryHigh")
            .below(0.7, s.memory.number())
            .ask(
                "process_resident_memory_bytes / on (cluster, job, instance) group_left () standfast_memory_limit_bytes{@node}",
                "{{instance}}",
            ),
        Panel::new(Kind::Graph, "Memory", "How much memory does each process use, and for what, as far as it counts that?")
            .unit("bytes")
            .healthy("flat once the log is full", "MemoryHigh")
            .ask(format!("process_resident_memory_bytes {OURS}"), "{{instance}} all")
            .ask("standfast_memory_bytes{@node}", "{{instance}} {{subsystem}}"),
        Panel::new(Kind::Graph, "Files, of their limit", "How many of its file descriptors are open? Each client is one.")
            .unit("percentunit")
            .healthy("below 50 %", "FilesHigh")
            .below(0.5, s.files.number())
            .ask(format!("process_open_fds / process_max_fds {OURS}"), "{{instance}}"),
        Panel::new(Kind::Graph, "Threads", "How many threads does each process have?")
            .healthy("flat", "")
            .ask(format!("process_threads {OURS}"), "{{instance}}"),
        Panel::new(Kind::Table, "Versions", "Which version and build does each node run?")
            .healthy("the same on all nodes", "VersionSkew")
            .size(12, 8)
            .ask("standfast_build_info{@node}", ""),
    ]
}

fn time(s: &Settings) -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(8, 8);
    vec![
        graph("Loop delay, 99 %", "How late do the timers of the node's loop fire? At a whole grant the primary loses the right to answer.")
            .unit("s")
            .healthy("below 0.1 s", "LoopDelayHigh")
            .below(0.1, s.loop_delay.number())
            .ask(
                "histogram_quantile(0.99, sum by (cluster, instance, le) (rate(standfast_loop_delay_seconds_bucket{@node}[$__rate_interval])))",
                "{{instance}}",
            ),
        graph("Clocks", "How far is each node's clock from that of Prometheus? What counts is how far the lines are apart.")
            .unit("s")
            .healthy("within 0.1 s of each other", "ClockSkew")
            .signed()
            .ask("standfast_clock_timestamp_seconds{@node} - timestamp(standfast_clock_timestamp_seconds{@node})", "{{instance}}"),
        graph("Age", "For how long has each process been running?")
            .unit("s")
            .healthy("any; a saw tooth is a crash loop", "NodeRestarts")
            .ask(format!("time() - process_start_time_seconds {OURS}"), "{{instance}}"),
    ]
}

fn observers() -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(8, 8);
    vec![
        graph(
            "Happenings",
            "How many happenings a second does each node note? `standfast status` shows the newest.",
        )
        .unit("ops")
        .healthy("next to none", "")
        .ask("rate(standfast_events_total{@node}[$__rate_interval])", "{{instance}}"),
        graph(
            "Notifications",
            "Does the webhook take the messages about role changes? Absent where none is configured.",
        )
        .healthy("none failed", "NotificationsFail")
        .ask("increase(standfast_notifications_total{@node}[$__rate_interval])", "{{instance}} {{result}}"),
        graph("Spans", "Are spans exported, or lost? Absent where no collector is configured.")
            .unit("ops")
            .healthy("none lost", "SpansLost")
            .ask("rate(standfast_spans_exported_total{@node}[$__rate_interval])", "{{instance}} exported")
            .ask(
                "rate(standfast_spans_dropped_total{@node}[$__rate_interval])",
                "{{instance}} lost: {{why}}",
            ),
    ]
}

fn security(s: &Settings) -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Graph,
            "Certificate",
            "How long is the certificate of each gRPC port still good? Absent where the port speaks no TLS.",
        )
        .unit("s")
        .signed()
        .healthy("more than 14 days", "CertificateExpires")
        .at_least(s.certificate.number())
        .ask("standfast_tls_certificate_not_after_timestamp_seconds{@node} - time()", "{{instance}}"),
        Panel::new(
            Kind::Timeline,
            "Orders",
            "Does each node ask for a token or a certificate before it takes orders of another machine?",
        )
        .healthy("yes", "PortOpen")
        .ask("standfast_port_open{@node}", "{{instance}}")
        .word(0, "yes", OK)
        .word(1, "no: open to all", WARN),
    ]
}

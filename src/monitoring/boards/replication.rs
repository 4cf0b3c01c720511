//! Where entries are on their way from the primary to the standbys, and what waits for them.

use crate::monitoring::board::{Board, row};
use crate::monitoring::panel::{BAD, Kind, OK, Panel};
use crate::monitoring::settings::Settings;

pub(super) fn board(s: &Settings) -> Board {
    Board {
        name: "replication",
        title: "Standfast / Replication",
        about: "How far is each standby, where does an entry wait, and does the log still reach back far enough?",
        rows: vec![
            row("Lag", lag(s)),
            row("Pipeline", pipeline()),
            row("Waiting for acknowledgements", waiting()),
            row("Log", log()),
        ],
    }
}

fn lag(s: &Settings) -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(8, 8);
    vec![
        graph(
            "Lag in time",
            "For how long has each standby been behind? Rises while the two are not in contact.",
        )
        .unit("s")
        .healthy("below 1 s", "ReplicationLagHigh")
        .below(1.0, s.lag.number())
        .ask("standfast_replication_lag_seconds{@node}", "{{standby}} seen by {{instance}}"),
        graph("Lag in entries", "How many entries is each standby behind? A gap means that nobody knows.")
            .healthy("below 1000", "ReplicationLagHigh")
            .below(1_000.0, 100_000.0)
            .ask("standfast_replication_lag_entries{@node}", "{{standby}} seen by {{instance}}"),
        graph("Lag in bytes", "How many bytes of log is each standby behind, as the primary sees it?")
            .unit("bytes")
            .healthy("below what the link carries in a second", "ReplicationLagHigh")
            .ask("standfast_replication_lag_bytes{@node}", "{{standby}}"),
        Panel::new(Kind::Timeline, "Links", "Do frames flow between the primary and each standby?")
            .healthy("up", "ReplicationStalled")
            .ask("standfast_replication_link_up{@node}", "{{standby}} seen by {{instance}}")
            .word(0, "down", BAD)
            .word(1, "up", OK),
        Panel::new(Kind::Graph, "Last contact", "How long ago was the other side last heard?")
            .unit("s")
            .size(12, 6)
            .healthy("below 1 s", "ReplicationStalled")
            .below(1.0, s.lag.number())
            .ask(
                "time() - standfast_replication_last_contact_timestamp_seconds{@node}",
                "{{standby}} seen by {{instance}}",
            ),
        Panel::new(Kind::Graph, "Gap between heartbeats, 99 %", "How far apart do frames of the primary come in at each standby?")
            .unit("s")
            .size(12, 6)
            .healthy("below 0.5 s, the default grant", "PrimaryMayNotAnswer")
            .below(0.25, 0.5)
            .ask(
                "histogram_quantile(0.99, sum by (cluster, instance, le) (rate(standfast_heartbeat_gap_seconds_bucket{@node}[$__rate_interval])))",
                "{{instance}}",
            ),
    ]
}

fn pipeline() -> Vec<Panel> {
    vec![
        Panel::new(
            Kind::Graph,
            "Stages",
            "How fast do entries pass each stage? Lines that part show where they wait: assigned, sent, received, applied, committed, verified.",
        )
        .unit("ops")
        .healthy("all lines together", "ReplicationStalled")
        .ask("deriv(standfast_seq{@node}[$__rate_interval])", "{{stage}} at {{instance}}"),
        Panel::new(Kind::Graph, "Positions", "Which position has each stage reached?")
            .healthy("all within a batch of each other", "ReplicationStalled")
            .ask("standfast_seq{@node}", "{{stage}} at {{instance}}"),
    ]
}

fn waiting() -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(8, 8);
    vec![
        graph(
            "Where a write spends its time, 99 %",
            "Does a write wait before its decision (queue), in it until appended (log), or for the standbys (ack)?",
        )
        .unit("s")
        .healthy("each below 5 ms", "LatencyHigh")
        .below(0.1, 1.0)
        .to_traces()
        .ask(
            "histogram_quantile(0.99, sum by (cluster, stage, le) (rate(standfast_write_duration_seconds_bucket{@node}[$__rate_interval])))",
            "{{cluster}} {{stage}}",
        ),
        graph(
            "Deciding a write, 99 %, by call",
            "Which kind of write takes long from its decision until it is appended?",
        )
        .unit("s")
        .healthy("each below 1 ms", "LatencyHigh")
        .below(0.1, 1.0)
        .to_traces()
        .ask(
            "histogram_quantile(0.99, sum by (cluster, op, le) (rate(standfast_write_duration_seconds_bucket{@node, stage=\"log\"}[$__rate_interval])))",
            "{{cluster}} {{op}}",
        ),
        graph("Acknowledgement of a batch, 99 %", "How long does each standby take to acknowledge a batch?")
            .unit("s")
            .healthy("below 5 ms", "LatencyHigh")
            .below(0.1, 1.0)
            .to_traces()
            .ask(
                "histogram_quantile(0.99, sum by (cluster, standby, le) (rate(standfast_replication_ack_seconds_bucket{@node}[$__rate_interval])))",
                "{{standby}}",
            ),
        graph("Replies that wait", "How many replies wait for the in-sync standbys?")
            .healthy("below 1000, and it comes and goes", "PrimaryMayNotAnswer")
            .below(1_000.0, 10_000.0)
            .ask("standfast_pending_replies{@node}", "{{instance}}"),
        Panel::new(Kind::Timeline, "Right to answer", "May the primary answer? Without it every call waits or is refused.")
            .size(8, 8)
            .healthy("yes", "PrimaryMayNotAnswer")
            .ask("standfast_may_answer{@node}", "{{instance}}")
            .word(0, "NO", BAD)
            .word(1, "yes", OK),
        Panel::new(Kind::Graph, "Copies in sync", "How many copies hold every acknowledged write?")
            .healthy("2 or more", "InSyncSetSmall")
            .at_least(2.0)
            .ask("standfast_in_sync_copies{@node}", "{{instance}}"),
        Panel::new(Kind::Graph, "Entries set aside", "Has a copy set an entry aside that it could not apply?")
            .healthy("0", "QuarantinedEntries")
            .below(1.0, 1.0)
            .ask("standfast_quarantined_entries{@node}", "{{instance}}"),
    ]
}

fn log() -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(8, 8);
    vec![
        graph("Log, of its bound", "How full is the log? It is a ring: full is normal, its oldest entries go.")
            .unit("percentunit")
            .healthy("any", "")
            .ask("standfast_log_entries{@node} / standfast_log_entries_limit{@node}", "{{instance}} entries")
            .ask("standfast_log_bytes{@node} / standfast_log_limit_bytes{@node}", "{{instance}} bytes"),
        graph(
            "Reach of the log",
            "How many entries back does the log reach? A standby that was away for longer needs a full sync.",
        )
        .healthy("more than the entries of a restart", "ReplicationStalled")
        .ask(
            r#"standfast_seq{@node, stage="applied"} - on (cluster, instance) group_left () standfast_log_oldest_seq{@node}"#,
            "{{instance}}",
        ),
        graph("Appended", "How many entries a second are appended?")
            .unit("ops")
            .healthy("what this cluster usually does", "")
            .ask("rate(standfast_log_appended_entries_total{@node}[$__rate_interval])", "{{instance}}"),
        graph("Full syncs", "Which standbys had to be given a copy of the whole state?")
            .healthy("one when a standby joins, then none", "procedures/rebuild-standby")
            .ask("increase(standfast_full_syncs_total{@node}[$__rate_interval])", "{{instance}}"),
        graph("Longest locks, 99 %", "For how long is a part of the state locked while a full sync encodes it? Writes to that part wait.")
            .unit("s")
            .healthy("below 5 ms", "LatencyHigh")
            .below(0.005, 0.1)
            .ask(
                "histogram_quantile(0.99, sum by (cluster, instance, le) (rate(standfast_lock_hold_seconds_bucket{@node}[$__rate_interval])))",
                "{{instance}}",
            ),
    ]
}

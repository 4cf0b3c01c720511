//! Could a standby take over, how long did it take, and what was lost.

use crate::monitoring::board::{Board, row};
use crate::monitoring::panel::{BAD, Kind, OK, PLAIN, Panel, WARN};
use crate::monitoring::settings::Settings;

pub(super) fn board(s: &Settings) -> Board {
    Board {
        name: "failover",
        title: "Standfast / Failover, RTO and RPO",
        about: "Could a standby take over now, and how did the last role change go?",
        rows: vec![
            row("Readiness", readiness(s)),
            row("Automatic failover", automatic()),
            row("The last role change", last()),
            row("Roles over time", roles()),
        ],
    }
}

fn readiness(s: &Settings) -> Vec<Panel> {
    vec![
        Panel::new(Kind::Timeline, "May be promoted", "Would a promotion of this node be accepted? The primary says no: it is no standby.")
            .healthy("yes on at least one standby", "StandbyNotPromotable")
            .ask("standfast_promotable{@node}", "{{instance}}")
            .word(0, "no", PLAIN)
            .word(1, "yes", OK),
        Panel::new(Kind::Timeline, "As the primary sees it", "Does the primary see the standby connected, in sync and without a hole?")
            .healthy("yes for at least one standby", "StandbyNotPromotable")
            .ask("standfast_standby_promotable{@node}", "{{standby}}")
            .word(0, "no", BAD)
            .word(1, "yes", OK),
        Panel::new(Kind::Table, "Why not", "What speaks against a promotion of each node now?")
            .healthy("only `not_standby`, on the primary", "StandbyNotPromotable")
            .ask("standfast_promotable_reason{@node} == 1", ""),
        Panel::new(Kind::Graph, "Age of the rehearsal", "How long ago was the proof made that a promotion would work?")
            .unit("s")
            .healthy("below 30 s: it rises until all memory is counted anew, every 8 s by default", "RehearsalStale")
            .below(s.rehearsal.number(), s.rehearsal.number() * 2.0)
            .ask("standfast_rehearsal_age_seconds{@node}", "{{instance}}"),
        Panel::new(
            Kind::Graph,
            "Time without a promotable standby",
            "Which share of the last hour and day had no standby that could take over? The goal is in the settings.",
        )
        .unit("percentunit")
        .healthy("below 0.1 %", "PromotableBudgetBurns")
        .below(s.promotable_budget.number(), s.promotable_budget.number() * 10.0)
        .ask(r#"cluster:standfast_promotable:missing_ratio{@cluster, window=~"1h|1d"}"#, "{{cluster}} {{window}}"),
    ]
}

fn automatic() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Timeline, "Coordinator", "Does each node reach the coordinator? Without it nobody takes over by itself; what is served goes on.")
            .healthy("up; a cluster without a coordinator has no line", "ArbiterDown")
            .ask("standfast_arbiter_up{@node}", "{{instance}}")
            .word(0, "down", BAD)
            .word(1, "up", OK),
        Panel::new(Kind::Timeline, "Automatic failover", "Has somebody paused it, or has it stopped because the primary moved too often?")
            .healthy("on; a cluster without a coordinator has no line", "FailoverStopped")
            .ask("standfast_paused{@node} + 2 * standfast_automatic_failover_stopped{@node}", "{{instance}}")
            .word(0, "on", OK)
            .word(1, "paused", WARN)
            .word(2, "stopped", BAD)
            .word(3, "paused and stopped", BAD),
        Panel::new(Kind::Graph, "Time left of the pause", "For how long will it stay paused? It ends by itself.")
            .unit("s")
            .size(12, 6)
            .healthy("absent", "PausedTooLong")
            .ask("standfast_pause_remaining_seconds{@node}", "{{instance}}"),
        Panel::new(Kind::Graph, "Answers of the coordinator, 99 %", "How long does the coordinator take to answer each node?")
            .unit("s")
            .size(12, 6)
            .healthy("below 0.1 s", "ArbiterDown")
            .below(0.1, 1.0)
            .ask(
                "histogram_quantile(0.99, sum by (cluster, instance, le) (rate(standfast_arbiter_latency_seconds_bucket{@node}[$__rate_interval])))",
                "{{instance}}",
            ),
    ]
}

fn last() -> Vec<Panel> {
    let stat = |title, about| Panel::new(Kind::Stat, title, about).size(6, 5);
    vec![
        stat("Recovery time (RTO)", "How long was there no answer at the last role change: from the former primary's last sign of life to the new one's first answer to a client?")
            .unit("s")
            .healthy("below 5 s; a planned one below 1 s", "FailoverHappened")
            .below(5.0, 30.0)
            .to_traces()
            .ask("standfast_failover_rto_seconds{@node}", "{{instance}}"),
        stat("Lost (RPO)", "How many acknowledged entries were lost? Unknown in async mode: what died with the old primary, nobody counted.")
            .healthy("0", "AcknowledgedWritesLost")
            .below(1.0, 1.0)
            .ask("standfast_failover_rpo_entries{@node}", "{{instance}}"),
        stat("When", "When did the last role change of each node begin?")
            .unit("dateTimeFromNow")
            .healthy("any", "FailoverHappened")
            .ask("1000 * standfast_failover_last_timestamp_seconds{@node}", "{{instance}}"),
        stat("Role changes", "How many role changes were there in the time on display, drills apart?")
            .healthy("only those that somebody ordered", "FailoverHappened")
            .ask(
                concat!(
                    r#"clamp_min(sum by (cluster, kind) (increase(standfast_failovers_total{@cluster, result="ok", drill="no"}[$__range]))"#,
                    r#" - sum by (cluster, kind) (increase(standfast_failovers_total{@cluster, result="ok", drill="yes"}[$__range])), 0)"#,
                ),
                "{{cluster}} {{kind}}",
            ),
        Panel::new(Kind::Graph, "Phases", "Where did the time of the last role change go?")
            .unit("s")
            .healthy("`fence` is at most the grant, 500 ms by default", "FailoverHappened")
            .below(5.0, 30.0)
            .to_traces()
            .ask("standfast_failover_phase_seconds{@node}", "{{phase}} at {{instance}}"),
        Panel::new(Kind::Graph, "Drills", "How many drills were there?")
            .healthy("as many as planned", "procedures/drill")
            .ask(r#"sum by (cluster) (increase(standfast_failovers_total{@cluster, drill="yes"}[$__rate_interval]))"#, "{{cluster}}"),
    ]
}

fn roles() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Timeline, "Primary", "Which node was the primary when?")
            .healthy("one at each time", "TwoPrimaries")
            .ask(r#"standfast_node_role{@node, role="primary"}"#, "{{instance}}")
            .word(0, "standby", PLAIN)
            .word(1, "primary", OK),
        Panel::new(
            Kind::Graph,
            "Epoch",
            "Which epoch does each node know? Each role change makes a higher one.",
        )
        .size(12, 6)
        .healthy("equal on all nodes", "TwoPrimaries")
        .ask("standfast_epoch{@node}", "{{instance}}"),
    ]
}

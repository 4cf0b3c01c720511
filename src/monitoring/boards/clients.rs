//! Clients, the memory that they lend, and what is stored in it.

use crate::monitoring::board::{Board, row};
use crate::monitoring::panel::{Kind, Panel};
use crate::monitoring::settings::Settings;

pub(super) fn board(s: &Settings) -> Board {
    Board {
        name: "clients",
        title: "Standfast / Clients and segments",
        about: "Who lends memory, how full is it, and what do clients ask for?",
        rows: vec![
            row("Clients", clients()),
            row("Memory", memory(s)),
            row("Eviction", eviction()),
            row("Calls", calls()),
        ],
    }
}

/// Of the primary only: a standby's copy says the same a moment later.
const PRIMARY: &str = r#"and on (cluster, instance) standfast_node_role{role="primary"} == 1"#;

fn clients() -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(8, 8);
    vec![
        graph("Clients", "How many clients are on record, and how many have to mount again? After a role change all come back within seconds.")
            .healthy("none needs to remount for long", "ClientsNotReattached")
            .ask(format!("sum by (cluster, state) (standfast_clients{{@cluster}} {PRIMARY})"), "{{cluster}} {{state}}"),
        graph("Segments", "How many segments are mounted? `held` ones wait until old rights on their bytes are over.")
            .healthy("all `ok`, `held` only after a role change", "ClientsExpired")
            .ask(format!("sum by (cluster, state) (standfast_segments{{@cluster}} {PRIMARY})"), "{{cluster}} {{state}}"),
        graph("Objects", "How many objects does each copy hold?")
            .healthy("equal on all nodes", "VerifyMismatch")
            .ask("standfast_objects{@node}", "{{instance}}"),
    ]
}

fn memory(s: &Settings) -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(8, 8);
    vec![
        graph("Lent and used", "How much memory is lent, and how much of it do objects occupy?")
            .unit("bytes")
            .healthy("lent does not fall", "ClientsExpired")
            .ask(format!("sum by (cluster) (standfast_capacity_bytes{{@cluster}} {PRIMARY})"), "{{cluster}} lent")
            .ask(format!("sum by (cluster) (standfast_allocated_bytes{{@cluster}} {PRIMARY})"), "{{cluster}} used"),
        graph("Used share", "How full is it? A cache is meant to be full up to the watermark of eviction.")
            .unit("percentunit")
            .healthy("below the watermark", "CapacityHigh")
            .below(0.9, s.capacity.number())
            .ask(
                format!(
                    "sum by (cluster) (standfast_allocated_bytes{{@cluster}} {PRIMARY}) / sum by (cluster) (standfast_capacity_bytes{{@cluster}} {PRIMARY})"
                ),
                "{{cluster}}",
            ),
        graph("Writes without room", "How many writes a second found no room in any segment?")
            .unit("ops")
            .healthy("0", "AllocationFailures")
            .below(0.01, 1.0)
            .ask("sum by (cluster) (rate(standfast_allocation_failures_total{@cluster}[$__rate_interval]))", "{{cluster}}"),
        Panel::new(Kind::Graph, "Fullest segments", "Are segments filled evenly? The ten fullest.")
            .unit("percentunit")
            .size(24, 8)
            .healthy("close together", "CapacityHigh")
            .ask(
                "topk(10, max by (cluster, segment) (segment_allocated_bytes{@cluster} / segment_total_capacity_bytes{@cluster}))",
                "{{cluster}} {{segment}}",
            ),
    ]
}

fn eviction() -> Vec<Panel> {
    let graph = |title, about| Panel::new(Kind::Graph, title, about).size(8, 8);
    vec![
        graph("Passes of eviction", "How often does eviction run, and does it free something?")
            .unit("ops")
            .healthy("every pass frees something", "AllocationFailures")
            .ask("rate(master_attempted_evictions_total{@node}[$__rate_interval])", "{{instance}} begun")
            .ask("rate(master_successful_evictions_total{@node}[$__rate_interval])", "{{instance}} freed something"),
        graph("Evicted", "How much is evicted a second?")
            .unit("Bps")
            .healthy("below what is written", "CapacityHigh")
            .ask("rate(master_evicted_size_bytes{@node}[$__rate_interval])", "{{instance}}"),
        graph("Evicted and given up", "How many objects a second are evicted, and how many unfinished writes are given up because of their age?")
            .unit("ops")
            .healthy("next to no write is given up", "AllocationFailures")
            .ask("rate(master_evicted_key_count{@node}[$__rate_interval])", "{{instance}} evicted")
            .ask("rate(master_put_start_discard_cnt{@node}[$__rate_interval])", "{{instance}} given up"),
    ]
}

fn calls() -> Vec<Panel> {
    vec![
        Panel::new(Kind::Graph, "Calls", "Which calls come in?")
            .unit("ops")
            .healthy("what this cluster usually does", "")
            .ask("sum by (op) (rate(standfast_calls_total{@node}[$__rate_interval])) > 0", "{{op}}"),
        Panel::new(
            Kind::Graph,
            "Elements answered with an error",
            "Which calls are answered with errors? A key that is not there is one, and normal in a cache.",
        )
        .unit("ops")
        .healthy("misses only", "AllocationFailures")
        .ask(r#"sum by (op) (rate(standfast_writes_total{@node, result="error"}[$__rate_interval]))"#, "{{op}}")
        .ask(r#"sum by (op) (rate(standfast_reads_total{@node, result="error"}[$__rate_interval]))"#, "{{op}}"),
        Panel::new(Kind::Graph, "Hits", "Which share of the keys whose replicas are asked for is there?")
            .unit("percentunit")
            .healthy("what this cluster usually has", "")
            .ask(
                "sum by (cluster) (rate(valid_get_nums_{@cluster}[$__rate_interval])) / sum by (cluster) (rate(total_get_nums_{@cluster}[$__rate_interval]))",
                "{{cluster}}",
            ),
        Panel::new(Kind::Graph, "Latency", "How long do reads and writes take: half of them, and 99 %?")
            .unit("s")
            .healthy("99 % below 5 ms on a LAN", "LatencyHigh")
            .below(0.1, 1.0)
            .to_traces()
            .ask(
                "histogram_quantile(0.5, sum by (class, le) (rate(standfast_call_duration_seconds_bucket{@node}[$__rate_interval])))",
                "{{class}} half",
            )
            .ask(
                "histogram_quantile(0.99, sum by (class, le) (rate(standfast_call_duration_seconds_bucket{@node}[$__rate_interval])))",
                "{{class}} 99 %",
            ),
    ]
}

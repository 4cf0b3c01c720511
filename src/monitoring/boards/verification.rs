//! Are the copies equal, and what was done where they were not.

use crate::monitoring::board::{Board, row};
use crate::monitoring::panel::{BAD, Kind, OK, Panel, WARN};
use crate::monitoring::settings::Settings;

pub(super) fn board(s: &Settings) -> Board {
    Board {
        name: "verification",
        title: "Standfast / Verification",
        about: "Is every copy proved equal to the primary, how recently, and what was found?",
        rows: vec![row("How far", far(s)), row("What was found", found())],
    }
}

fn far(s: &Settings) -> Vec<Panel> {
    vec![
        Panel::new(Kind::Graph, "Age of the proof", "How long ago was the home proved equal that has waited longest?")
            .unit("s")
            .healthy("below 10 s", "VerifyStale")
            .below(10.0, s.verify_age.number())
            .ask("standfast_verify_age_seconds{@node}", "{{instance}}"),
        Panel::new(Kind::Graph, "Entries without proof", "How many entries were applied after the position through which all homes are proved equal?")
            .healthy("the entries of a few seconds", "VerifyStale")
            .ask("standfast_verify_lag_entries{@node}", "{{instance}}"),
        Panel::new(
            Kind::Graph,
            "Comparisons",
            "How many homes a second are compared, and with which result? `inconclusive` is a comparison at unequal positions, no mismatch.",
        )
        .unit("ops")
        .healthy("only `equal` increases", "VerifyMismatch")
        .ask("sum by (cluster, result) (rate(standfast_verify_ranges_total{@node}[$__rate_interval]))", "{{cluster}} {{result}}"),
        Panel::new(Kind::Timeline, "Comparing", "Is anything being compared?")
            .healthy("yes", "VerifyStale")
            .ask("standfast_verify_paused{@node}", "{{instance}}")
            .word(0, "yes", OK)
            .word(1, "paused", WARN),
    ]
}

fn found() -> Vec<Panel> {
    let stat = |title, about| Panel::new(Kind::Stat, title, about).size(6, 5);
    vec![
        stat("Differ now", "How many items are known to differ from the primary's now?")
            .healthy("0", "VerifyMismatch")
            .below(1.0, 1.0)
            .ask("standfast_verify_mismatched_keys{@node}", "{{instance}}"),
        stat("Memory", "Did the last count from scratch agree with the digests? If not, memory has changed under them.")
            .healthy("intact", "MemoryDamaged")
            .ask("standfast_memory_intact{@node}", "{{instance}}")
            .word(0, "DAMAGED", BAD)
            .word(1, "intact", OK),
        stat("Found in this time", "How many items were found to differ in the time on display?")
            .healthy("0", "VerifyMismatch")
            .below(1.0, 1.0)
            .ask("sum by (cluster) (increase(standfast_verify_mismatches_total{@node}[$__range]))", "{{cluster}}"),
        stat("Repaired in this time", "How many items were overwritten from the primary in the time on display?")
            .healthy("0", "VerifyMismatch")
            .below(1.0, 1.0)
            .ask(r#"sum by (cluster) (increase(standfast_repairs_total{@node, result="repaired"}[$__range]))"#, "{{cluster}}"),
        Panel::new(Kind::Graph, "Mismatches", "When were differences found, and of which kind?")
            .healthy("none", "VerifyMismatch")
            .below(1.0, 1.0)
            .ask("sum by (cluster, kind) (increase(standfast_verify_mismatches_total{@node}[$__rate_interval]))", "{{cluster}} {{kind}}"),
        Panel::new(Kind::Graph, "Repairs", "What was done about them?")
            .healthy("none", "VerifyMismatch")
            .below(1.0, 1.0)
            .ask("sum by (cluster, result) (increase(standfast_repairs_total{@node}[$__rate_interval]))", "{{cluster}} {{result}}"),
    ]
}

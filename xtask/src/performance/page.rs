//! From figures to a page: both sides of each ratio, the goal, and whether it was met.

use std::fmt::Write as _;

use serde_json::Value;

const UNKNOWN: &str = "?";

/// The page of what [`measure`](super::measure()) found.
pub(crate) fn page(document: &Value) -> String {
    let (figures, machine) = (&document["figures"], &document["machine"]);
    let mut page = format!(
        "# Performance\n\nMade by `cargo xtask report performance` at commit {}. {}, {} cores, load {} before. Medians of {} \
         rounds; each table is one run that drives its sides in turns. Counted where the standby has applied the writes.\n",
        shown(&document["commit"]),
        shown(&machine["processor"]),
        machine["cores"],
        document["load_before"],
        document["scale"]["rounds"],
    );
    replication(&mut page, figures);
    pipeline(&mut page, figures);
    verification(&mut page, figures);
    tracing(&mut page, figures);
    others(&mut page, figures);
    stock(&mut page, figures);
    not_measured(&mut page, figures);
    page += KNOBS;
    page
}

const KNOBS: &str = "
## Which knob buys what

| Knob | Costs | Buys |
|---|---|---|
| `--ack async` | a failover may lose what `--max-loss-entries`, `--max-loss-ms` bound | a put waits for no standby |
| `--grant-ms` lower | more heartbeats; a pause of the machine longer than it stops writes | a shorter outage: it is most of it |
| `--batch-entries`, `--linger-ms` higher | latency of a put | fewer, larger frames |
| `--verify-recount-items` higher | CPU, about 2 % of a core for each 100,000 a second | changed memory is found sooner |
| `--trace-sample` with less | fewer traces | CPU, a little |
| `--verify-cycle-ms` higher | later news of a difference | less CPU |
| batches in the client | - | a key of 128 costs a fraction of a key alone |
";

/// Runs that came to nothing, and why: their figures are question marks above.
fn not_measured(page: &mut String, figures: &Value) {
    let runs = figures.as_object().into_iter().flatten();
    let mut failed = runs.filter_map(|(name, run)| Some((name, run["error"].as_str()?))).peekable();
    if failed.peek().is_some() {
        *page += "\n## Not measured\n\n";
    }
    for (name, why) in failed {
        let _ = writeln!(page, "- `{name}`: {why}");
    }
}

fn replication(page: &mut String, figures: &Value) {
    *page += "\n## Writes with and without a standby\n";
    for (name, title) in [
        ("replicated_puts_1", "Batches of 128, one connection"),
        ("replicated_puts_2", "Batches of 128, two connections (goal: 200,000 puts/s in sync and async)"),
        ("replicated_puts_4", "Batches of 128, four connections (goal: 200,000 puts/s in sync and async)"),
        ("one_writer", "One writer, one key a call (goal: sync at most 250 us over async)"),
        ("writers_64", "64 writers, one key a call (goal: sync at least 60 % of async)"),
    ] {
        table(page, title, &figures[name]);
    }
}

/// The median of a figure of one side of a run.
fn of_side(run: &Value, side: &str, name: &str) -> Option<f64> {
    let mut targets = run["targets"].as_array().into_iter().flatten();
    targets.find(|target| target["name"] == side)?[name]["median"].as_f64()
}

fn pipeline(page: &mut String, figures: &Value) {
    *page += "\n## The pipeline\n\nFrom an entry's append on the primary to its apply on the standby, at 50,000 puts a second:\n\n";
    *page += "| Keys of a request | samples | p50, ms | p99, ms | goal, ms | clocks, +- ms |\n|---|---|---|---|---|---|\n";
    for (batch, goal) in [(32, "0.5"), (128, "1")] {
        let run = &figures[format!("delay_{batch}")];
        let (p50, p99, error) =
            (number(&run["p50_ms"], 3), number(&run["p99_ms"], 3), number(&run["clock_error_ms"], 3));
        let _ =
            writeln!(page, "| {batch} | {} | {p50} | {p99} | {goal} | {error} |", number(&run["samples"], 0));
    }
    let run = &figures["replicated_puts_4"];
    let cpu = |side| of_side(run, side, "server_cpu_us_per_key");
    let ratio = cpu("async").zip(cpu("alone")).map(|(with, without)| with / without);
    let catch_up = &figures["catch_up"];
    // A put is two entries.
    let peak = of_side(run, "alone", "keys_per_s").map(|puts| puts * 2.0);
    let against_peak = catch_up["entries_per_s"].as_f64().zip(peak).map(|(rate, peak)| rate / peak);
    let told = |value: Option<f64>| value.map_or(UNKNOWN.into(), |v| format!("{v:.2}"));
    let _ = writeln!(
        page,
        "\nA standby that lacks {} entries applies {} a second (goal: 1,000,000), {} times as many as a primary alone takes at its \
         peak (goal: 2). With an async standby a put costs the primary {} times the CPU of one alone, saturated at four \
         connections (goal: at most 1.35).",
        number(&catch_up["entries"], 0),
        number(&catch_up["entries_per_s"], 0),
        told(against_peak),
        told(ratio),
    );
    let sync = &figures["full_sync"];
    let _ = writeln!(
        page,
        "\nWhile a standby is given a million objects, a put of one key beside 50,000 others takes {} ms at p99, before that {} ms \
         (goal: at most twice). A home was locked for at most {} us (goal: 2,000).",
        number(&sync["put_p99_during_ms"], 3),
        number(&sync["put_p99_before_ms"], 3),
        number(&sync["lock_hold_max_us"], 0),
    );
}

fn verification(page: &mut String, figures: &Value) {
    *page += "\n## Verification\n";
    let run = &figures["verification"];
    table(page, "The same pace beside the same objects, verification on and off (goal: p99 within 2 %)", run);
    let share = run["core_share"].as_f64().map_or(UNKNOWN.into(), |share| format!("{:.1} %", share * 100.0));
    let _ = writeln!(
        page,
        "\nCPU that it takes of primary and standby together: {share} of a core (goal: 1 % of one on each).\n"
    );
    *page += "| Damaged objects of the standby | goal, s | found, s | proved equal again, s |\n|---|---|---|---|\n";
    for (name, goal) in [("repair_of_one_key", 15), ("repair_of_one_percent", 30)] {
        let run = &figures[name];
        let seconds = |name: &str| run[name].as_f64().map_or(UNKNOWN.into(), |s| format!("{s:.1}"));
        let _ = writeln!(
            page,
            "| {} | {goal} | {} | {} |",
            run["damaged"],
            seconds("found_s"),
            seconds("proved_equal_s")
        );
    }
}

fn tracing(page: &mut String, figures: &Value) {
    *page += "\n## Spans\n\nBatches of 128, two connections; a call is one trace, whatever its batch. The flight recorder is on in both.\n";
    for (name, title) in [
        ("tracing_by_default", "Sampled by default (goal: at least 0.97 times the keys/s)"),
        ("tracing_of_everything", "Every call sampled"),
    ] {
        table(page, title, &figures[name]);
    }
}

fn others(page: &mut String, figures: &Value) {
    let (sync, scrape) = (&figures["full_sync"], &figures["scrape"]);
    let _ = writeln!(
        page,
        "\n## Beside a million objects and 50,000 writes a second\n\n\
         A standby with nothing is in sync {} s after its process was started. A scrape takes {} ms (median of 20, max {}; \
         goal: 20) and brings {} series.",
        number(&sync["in_sync_s"], 2),
        number(&scrape["median_ms"], 1),
        number(&scrape["max_ms"], 1),
        scrape["series"],
    );
}

fn stock(page: &mut String, figures: &Value) {
    *page += "\n## Beside the stock master\n\nThrough Mooncake's protocol, batches of 128: ours with an async standby, the wheel's \
              own `mooncake_master` without any. Goals: puts 2.5 times at one connection, 1.8 times at two and four, at most 40 % of \
              the CPU; exists 3 times, at most 25 % of the CPU.\n";
    for (op, goal) in [("put", "puts"), ("exist", "exists")] {
        for connections in [1, 2, 4] {
            let title = format!("{goal}, {connections} connection(s)");
            table(page, &title, &figures[format!("stock_{op}_{connections}")]);
        }
    }
}

/// All sides of one run, and the first in units of each other.
fn table(page: &mut String, title: &str, run: &Value) {
    let _ = write!(
        page,
        "\n{title}:\n\n| Side | keys/s | spread | CPU us/key | standby us/key | p50 ms | p99 ms | B/key |\n|---|---|---|---|---|---|---|---|\n"
    );
    for side in run["targets"].as_array().into_iter().flatten() {
        let median = |name: &str, digits: usize| number(&side[name]["median"], digits);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            shown(&side["name"]),
            median("keys_per_s", 0),
            spread(&side["keys_per_s"]),
            median("server_cpu_us_per_key", 2),
            if side["standbys"].as_u64().unwrap_or(0) == 0 {
                "-".into()
            } else {
                median("standby_cpu_us_per_key", 2)
            },
            median("batch_p50_ms", 3),
            median("batch_p99_ms", 3),
            number(&side["rss_bytes_per_key"], 0),
        );
    }
    for ratio in run["ratios"].as_array().into_iter().flatten() {
        let first = shown(&run["targets"][0]["name"]);
        let _ = writeln!(
            page,
            "\n{first} against {}: {} times the keys/s, {} times the CPU a key, p50 {}, p99 {} times.",
            shown(&ratio["against"]),
            number(&ratio["keys_per_s"], 2),
            number(&ratio["server_cpu"], 2),
            number(&ratio["p50"], 2),
            number(&ratio["p99"], 2),
        );
    }
    let others = &run["machine"]["others_cores"];
    if run["machine"]["busy"] != false {
        let _ = writeln!(
            page,
            "\nThe machine was busy with something else ({} cores): these figures prove little.",
            number(others, 2)
        );
    }
}

fn spread(value: &Value) -> String {
    let of = |name: &str| value[name].as_f64();
    match (of("median"), of("min"), of("max")) {
        (Some(median), Some(min), Some(max)) if median > 0.0 => {
            format!("{:.0} %", (max - min) / median * 100.0)
        }
        _ => UNKNOWN.into(),
    }
}

fn number(value: &Value, digits: usize) -> String {
    value.as_f64().map_or(UNKNOWN.into(), |n| format!("{n:.digits$}"))
}

fn shown(value: &Value) -> &str {
    value.as_str().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;

    #[test]
    fn what_a_standby_costs_is_told_against_a_primary_alone() {
        let side = |name: &str, cpu: f64| json!({"name": name, "keys_per_s": {"median": 100.0}, "server_cpu_us_per_key": {"median": cpu}});
        let run = json!({"targets": [side("sync", 3.0), side("async", 2.5), side("alone", 2.0)]});
        let catch_up = json!({"entries": 2_000, "entries_per_s": 500.0});
        let figures = json!({"replicated_puts_4": run, "catch_up": catch_up});
        let page = page(&json!({"figures": figures, "scale": {"rounds": 5}}));
        assert!(page.contains("applies 500 a second (goal: 1,000,000), 2.50 times as many"), "{page}");
        assert!(page.contains("costs the primary 1.25 times the CPU"), "{page}");
        assert!(page.contains("takes ? ms at p99, before that ? ms"), "{page}");
    }

    #[test]
    fn both_sides_of_a_ratio_are_shown_and_what_is_unknown_is_said_to_be() {
        let side = |name: &str, rate: f64| json!({"name": name, "keys_per_s": {"median": rate, "min": rate, "max": rate * 1.1}, "standbys": 1});
        let run = json!({
            "targets": [side("on", 100.0), side("off", 200.0)],
            "ratios": [{"against": "off", "keys_per_s": 0.5, "p99": 1.01}],
            "machine": {"busy": false},
        });
        let page = page(&json!({"figures": {"verification": run}, "scale": {"rounds": 5}}));
        assert!(page.contains("| on | 100 | 10 % | ? | ? | ? | ? | ? |"), "{page}");
        assert!(page.contains(
            "on against off: 0.50 times the keys/s, ? times the CPU a key, p50 ?, p99 1.01 times."
        ));
    }
}

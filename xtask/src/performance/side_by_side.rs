//! The README's table beside the stock master: what it is made of, and the table. The figures are those of the report on
//! performance, kept in a file of their own, so that a test sees when the table has drifted from them.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::run::root;

const FIGURES: &str = "docs/reports/side_by_side.json";
const README: &str = "README.md";
/// What the table stands between.
const BEGIN: &str = "<!-- side by side: made by `cargo xtask report performance` -->\n";
const END: &str = "<!-- side by side: end -->\n";
const UNKNOWN: &str = "?";

/// A goal of puts and exists: at least so many times the keys a second, at most this share of the CPU.
const GOALS: [(&str, &str, u32, f64, f64); 6] = [
    ("put", "puts", 1, 2.5, 0.40),
    ("put", "puts", 2, 1.8, 0.40),
    ("put", "puts", 4, 1.8, 0.40),
    ("exist", "exists", 1, 3.0, 0.25),
    ("exist", "exists", 2, 3.0, 0.25),
    ("exist", "exists", 4, 3.0, 0.25),
];
const MEMORY_GOAL: f64 = 0.30;

/// Keeps what the table needs of a measured document, and writes the table into the README.
pub(crate) fn write(document: &Value) -> Result<()> {
    let figures = document["figures"].as_object().into_iter().flatten();
    let figures: Map<String, Value> = figures
        .filter(|(name, _)| name.starts_with("stock_") || *name == "wheel_single")
        .map(|(name, run)| (name.clone(), run.clone()))
        .collect();
    let kept = json!({
        "schema": 1, "commit": document["commit"], "machine": document["machine"],
        "load_before": document["load_before"], "rounds": document["scale"]["rounds"], "figures": figures,
    });
    let text = serde_json::to_string_pretty(&kept)? + "\n";
    fs::write(root().join(FIGURES), text).with_context(|| format!("cannot write {FIGURES}"))?;
    let path = root().join(README);
    let readme = fs::read_to_string(&path).with_context(|| format!("cannot read {README}"))?;
    let fresh =
        with_block(&readme, &block(&kept)).with_context(|| format!("{README} has no place for it"))?;
    fs::write(path, fresh).with_context(|| format!("cannot write {README}"))
}

/// The text with the block in its place; `None` without a place.
fn with_block(text: &str, block: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{block}{END}{after}"))
}

/// The table and what it was measured on.
fn block(kept: &Value) -> String {
    let mut text = format!(
        "\nThrough Mooncake's protocol, keys in batches of 128; ours with an async standby, the wheel's own\n\
         `mooncake_master` without any; both in one run, in turns. {}, {} cores, load {} before,\n\
         medians of {} rounds, commit {}. `cargo xtask report performance` measures it.\n\n\
         | | ours | stock | ratio | goal |\n|---|---|---|---|---|\n",
        kept["machine"]["processor"].as_str().unwrap_or(UNKNOWN),
        kept["machine"]["cores"],
        kept["load_before"],
        kept["rounds"],
        kept["commit"].as_str().unwrap_or(UNKNOWN),
    );
    for (op, word, connections, rate, cpu) in GOALS {
        let sides = Sides::of(&kept["figures"][format!("stock_{op}_{connections}")]["targets"]);
        let [ours, stock] = sides.median("keys_per_s");
        let what =
            format!("{word} a second, {connections} connection{}", if connections == 1 { "" } else { "s" });
        row(&mut text, &what, [ours, stock], 0, &format!("at least {rate} times"));
        let what = format!("- CPU, us {}", if op == "put" { "a put" } else { "an exist" });
        row(&mut text, &what, sides.median("server_cpu_us_per_key"), 2, &format!("at most {cpu:.2}"));
    }
    let puts = Sides::of(&kept["figures"]["stock_put_4"]["targets"]);
    row(
        &mut text,
        "memory, bytes a key",
        puts.plain("rss_bytes_per_key"),
        0,
        &format!("at most {MEMORY_GOAL:.2}"),
    );
    let wheel = &kept["figures"]["wheel_single"];
    for (name, what) in
        [("put_us", "the wheel's single put of 4 KiB, us"), ("get_us", "the wheel's single get, us")]
    {
        let of = |side: &str| wheel[side][name].as_f64();
        row(&mut text, what, [of("async"), of("stock")], 0, "at most 1.00");
        row(&mut text, &format!("- ours in sync mode, {}", &name[..3]), [of("sync"), of("stock")], 0, "-");
    }
    let runs = kept["figures"].as_object().into_iter().flatten().map(|(_, run)| run);
    let busy = runs.filter(|run| run["machine"]["busy"] == true).count();
    if busy > 0 {
        let _ = writeln!(
            text,
            "\nThe machine did something else during {busy} of the runs: those figures prove little."
        );
    }
    text.push('\n');
    text
}

/// Ours and the stock master, in the order of a run.
struct Sides<'a>([&'a Value; 2]);

impl<'a> Sides<'a> {
    fn of(targets: &'a Value) -> Self {
        Self([&targets[0], &targets[1]])
    }

    fn median(&self, name: &str) -> [Option<f64>; 2] {
        self.0.map(|side| side[name]["median"].as_f64())
    }

    fn plain(&self, name: &str) -> [Option<f64>; 2] {
        self.0.map(|side| side[name].as_f64())
    }
}

fn row(text: &mut String, what: &str, [ours, stock]: [Option<f64>; 2], digits: usize, goal: &str) {
    let number =
        |value: Option<f64>, digits: usize| value.map_or(UNKNOWN.to_owned(), |n| format!("{n:.digits$}"));
    let ratio = ours.zip(stock).filter(|(_, stock)| *stock > 0.0).map(|(ours, stock)| ours / stock);
    let _ = writeln!(
        text,
        "| {what} | {} | {} | {} | {goal} |",
        number(ours, digits),
        number(stock, digits),
        number(ratio, 2)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_shows_the_figures_that_are_kept() {
        let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
        let kept: Value = serde_json::from_str(&read(FIGURES)).expect("JSON");
        let readme = read(README);
        let fresh = with_block(&readme, &block(&kept)).expect("a place for the table");
        assert!(
            fresh == readme,
            "the table has drifted from {FIGURES}; cure: cargo xtask report performance"
        );
    }

    #[test]
    fn a_row_has_both_sides_their_ratio_and_the_goal() {
        let side = |rate: f64| json!({"keys_per_s": {"median": rate}, "rss_bytes_per_key": rate});
        let run = json!({"targets": [side(300.0), side(100.0)], "machine": {"busy": true}});
        let block = block(&json!({"figures": {"stock_put_1": run, "stock_put_4": run}}));
        assert!(
            block.contains("| puts a second, 1 connection | 300 | 100 | 3.00 | at least 2.5 times |"),
            "{block}"
        );
        assert!(
            block.contains("| - CPU, us a put | ? | ? | ? | at most 0.40 |"),
            "unknown is said to be: {block}"
        );
        assert!(block.contains("| memory, bytes a key | 300 | 100 | 3.00 | at most 0.30 |"), "{block}");
        assert!(block.contains("during 2 of the runs"), "{block}");
        assert_eq!(with_block("no place", "x"), None);
        assert_eq!(
            with_block(&format!("a\n{BEGIN}old{END}b"), "new").expect("a place"),
            format!("a\n{BEGIN}new{END}b")
        );
    }
}

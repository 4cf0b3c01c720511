//! The figures of replication by name, with their goals, out of whole runs: what docs/figures.json has of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What is taken of a run, and from which of its sides.
enum What {
    /// A number of one side, as the median of the rounds.
    Side(&'static str, &'static str),
    /// A number of one side in units of the same number of another one.
    Ratio(&'static str, &'static str, &'static str),
    /// How much more a number of one side is than that of another, times so much.
    More(&'static str, &'static str, &'static str, f64),
    /// A number of the run itself.
    Run(&'static str),
}

use What::{More, Ratio, Run, Side};

/// Name, run, what of it, unit, goal, and whether the goal is the least (or the most).
const FIGURES: &[(&str, &str, What, &str, f64, Bound)] = &[
    ("replicated_puts_2", "replicated_puts_2", Side("sync", "keys_per_s"), "puts/s", 200_000.0, Bound::Least),
    ("replicated_puts_4", "replicated_puts_4", Side("sync", "keys_per_s"), "puts/s", 200_000.0, Bound::Least),
    (
        "replicated_puts_2_async",
        "replicated_puts_2",
        Side("async", "keys_per_s"),
        "puts/s",
        200_000.0,
        Bound::Least,
    ),
    (
        "replicated_puts_4_async",
        "replicated_puts_4",
        Side("async", "keys_per_s"),
        "puts/s",
        200_000.0,
        Bound::Least,
    ),
    (
        "async_cpu_of_alone",
        "replicated_puts_4",
        Ratio("async", "alone", "server_cpu_us_per_key"),
        "times",
        1.35,
        Bound::Most,
    ),
    (
        "sync_of_async_64_writers",
        "writers_64",
        Ratio("sync", "async", "keys_per_s"),
        "times",
        0.6,
        Bound::Least,
    ),
    (
        "sync_over_async_one_writer",
        "one_writer",
        More("sync", "async", "batch_p50_ms", 1e3),
        "us",
        250.0,
        Bound::Most,
    ),
    ("full_sync_in_sync", "full_sync", Run("in_sync_s"), "s", 1.0, Bound::Most),
];

/// Which side of its goal a figure should be on.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Least,
    Most,
}

/// All of them; one that was not measured has no value.
pub(crate) fn figures(runs: &Map<String, Value>) -> BTreeMap<&'static str, Value> {
    let figure = |(name, run, what, unit, goal, bound): &(&'static str, &str, What, &str, f64, Bound)| {
        let run = runs.get(*run).unwrap_or(&Value::Null);
        let mut figure = json!({"unit": unit, "value": what.of(run), "goal": goal});
        figure["goal_is"] = match bound {
            Bound::Least => "least",
            Bound::Most => "most",
        }
        .into();
        if let Side(side, number) = what {
            let spread = &target(run, side)[*number];
            figure["spread"] = json!([spread["min"], spread["max"]]);
        }
        (*name, figure)
    };
    FIGURES.iter().map(figure).collect()
}

impl What {
    fn of(&self, run: &Value) -> Option<f64> {
        let median = |side: &str, number: &str| target(run, side)[number]["median"].as_f64();
        match self {
            Side(side, number) => median(side, number),
            Ratio(side, other, number) => Some(median(side, number)? / median(other, number)?),
            More(side, other, number, times) => {
                Some((median(side, number)? - median(other, number)?) * times)
            }
            Run(number) => run[*number].as_f64(),
        }
        .filter(|value| value.is_finite())
    }
}

/// The side of a run with this name.
fn target<'a>(run: &'a Value, side: &str) -> &'a Value {
    let mut targets = run["targets"].as_array().into_iter().flatten();
    targets.find(|target| target["name"] == side).unwrap_or(&Value::Null)
}

#[test]
fn figures_are_taken_from_their_sides_and_what_was_not_measured_is_null() {
    let side = |name: &str, rate: f64, p50: f64| {
        let of = |median: f64| json!({"median": median, "min": median - 1.0, "max": median + 1.0});
        json!({"name": name, "keys_per_s": of(rate), "batch_p50_ms": of(p50), "server_cpu_us_per_key": of(p50)})
    };
    let run =
        json!({"targets": [side("sync", 300.0, 0.5), side("async", 400.0, 0.25), side("alone", 500.0, 0.2)]});
    let runs: Map<String, Value> = [
        ("one_writer".to_owned(), run.clone()),
        ("writers_64".to_owned(), run.clone()),
        ("replicated_puts_4".to_owned(), run),
        ("full_sync".to_owned(), json!({"in_sync_s": 0.75})),
    ]
    .into_iter()
    .collect();
    let figures = figures(&runs);
    let value = |name: &str| figures[name]["value"].as_f64();
    assert_eq!(value("replicated_puts_4"), Some(300.0));
    assert_eq!(figures["replicated_puts_4"]["spread"], json!([299.0, 301.0]));
    assert_eq!(value("sync_of_async_64_writers"), Some(0.75));
    assert_eq!(value("sync_over_async_one_writer"), Some(250.0));
    assert_eq!(value("async_cpu_of_alone"), Some(1.25));
    assert_eq!((value("full_sync_in_sync"), value("replicated_puts_2")), (Some(0.75), None));
    assert_eq!(figures["full_sync_in_sync"]["goal_is"], "most");
}

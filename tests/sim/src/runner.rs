//! Runs histories and says how they went. stdout carries the result, stderr the progress.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::{iter, thread};

use crate::cli::Command;
use crate::counters::Counters;
use crate::invariants::{Invariant, Outcome};
use crate::mutation;
use crate::scenario::{STANDARD, Scenario};
use crate::world::World;

/// Over so many seeds every counter must have moved.
const SEEDS_FOR_COUNTERS: u64 = 50;
const SEEDS_FOR_DETERMINISM: u64 = 3;
/// Results that wait for an earlier seed to end.
const IN_FLIGHT: usize = 64;

/// One history, ended.
pub(crate) struct History {
    pub(crate) outcome: Outcome,
    pub(crate) counters: Counters,
    pub(crate) trace: String,
    /// How long it was, in the world's time.
    pub(crate) virtual_ns: u64,
}

pub(crate) fn history(scenario: Scenario, seed: u64, traced: bool) -> History {
    let mut world = World::new(scenario, seed, traced);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(Invariant::KernelBug.broken(text.unwrap_or_default()))
    });
    let outcome = outcome.map_err(|mut v| {
        v.text = format!("at {:.6} s: {}", world.t as f64 / 1e9, v.text);
        v
    });
    History { outcome, counters: world.counters.clone(), trace: world.trace.take(), virtual_ns: world.t }
}

pub(crate) fn run(command: &Command) -> ExitCode {
    if let Command::Table = command {
        print!("{}", mutation::table());
        return ExitCode::SUCCESS;
    }
    // A panic is a violation and is reported as one.
    std::panic::set_hook(Box::new(|_| ()));
    let (passed, failed) = match command {
        Command::Seeds { scenarios, from } => seeds_of(scenarios, *from),
        Command::One { mutant: Some(name), .. } if !mutation::switch_on(name) => {
            println!("FAILED: this build has no mutant {name}");
            (0, 1)
        }
        Command::One { scenarios, seed, trace, .. } => one(scenarios, *seed, *trace),
        Command::Determinism => determinism(),
        Command::Table => (1, 0),
        Command::Mutants(only) => mutation::run(only.as_deref()),
    };
    // The form that `cargo xtask verify` reads.
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seeds_of(scenarios: &[(Scenario, u64)], from: u64) -> (u64, u64) {
    let (mut passed, mut failed) = (0, 0);
    let mut total = Counters::new();
    let mut virtual_ns = 0;
    for (scenario, seeds) in scenarios {
        eprintln!("{scenario}: {seeds} seeds from {from}");
        in_order(
            from..from.saturating_add(*seeds),
            |seed| history(*scenario, seed, false),
            |seed, ended| {
                virtual_ns += ended.virtual_ns;
                if STANDARD.contains(scenario) || scenarios.len() == 1 {
                    total.merge(&ended.counters);
                } else {
                    total.merge_directed(&ended.counters);
                }
                if report(*scenario, seed, &ended) { passed += 1 } else { failed += 1 }
            },
        );
    }
    for (name, n) in total.iter() {
        println!("{n:>12}  {name}");
    }
    println!("{:>12.2}  virtual hours", virtual_ns as f64 / 3.6e12);
    let enough =
        |standard: &Scenario| scenarios.iter().any(|(s, n)| s == standard && *n >= SEEDS_FOR_COUNTERS);
    if STANDARD.iter().all(enough) {
        let never = total.never();
        if !never.is_empty() {
            println!("FAILED counters: {} took place in no history", never.join(", "));
            failed += 1;
        }
    }
    (passed, failed)
}

/// Runs `work` for each seed on all cores; `take` sees the results in the order of the seeds.
fn in_order<T: Send>(seeds: Range<u64>, work: impl Fn(u64) -> T + Sync, mut take: impl FnMut(u64, T)) {
    let next = AtomicU64::new(seeds.start);
    let (done, results) = mpsc::sync_channel(IN_FLIGHT);
    thread::scope(|scope| {
        for _ in 0..cores() {
            let (done, next, work, end) = (done.clone(), &next, &work, seeds.end);
            scope.spawn(move || {
                let seeds = iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                for seed in seeds.take_while(|seed| *seed < end) {
                    let _ = done.send((seed, work(seed)));
                }
            });
        }
        drop(done);
        let (mut due, mut early) = (seeds.start, BTreeMap::new());
        for (seed, result) in results {
            early.insert(seed, result);
            while let Some(result) = early.remove(&due) {
                take(due, result);
                due += 1;
            }
        }
    });
}

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Prints a failure with the command that shows it again; true when there is none.
fn report(scenario: Scenario, seed: u64, ended: &History) -> bool {
    if let Err(violation) = &ended.outcome {
        println!("FAILED {scenario} seed {seed}\n  {violation}");
        println!("  reproduce: cargo xtask sim --scenario {scenario} --seed {seed} --trace");
        return false;
    }
    true
}

fn one(scenarios: &[Scenario], seed: u64, trace: bool) -> (u64, u64) {
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios {
        let ended = history(*scenario, seed, trace);
        print!("{}", ended.trace);
        if report(*scenario, seed, &ended) { passed += 1 } else { failed += 1 }
    }
    (passed, failed)
}

/// An irreproducible seed is worthless: the same seed twice, byte for byte.
fn determinism() -> (u64, u64) {
    let (mut passed, mut failed) = (0, 0);
    for scenario in STANDARD {
        for seed in 0..SEEDS_FOR_DETERMINISM {
            let (a, b) = (history(*scenario, seed, true).trace, history(*scenario, seed, true).trace);
            if a == b && !a.is_empty() {
                passed += 1;
                continue;
            }
            failed += 1;
            let at = a.lines().zip(b.lines()).position(|(x, y)| x != y);
            println!("FAILED {scenario} seed {seed}: two runs differ at row {at:?}");
        }
    }
    (passed, failed)
}

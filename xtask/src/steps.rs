//! What `cargo xtask verify` runs, as data and in order: cheap steps first.

use std::process::Command;

use crate::{e2e, run, sim};

/// How much of each open-ended step is run.
pub(crate) struct Scale {
    /// Simulated histories for each scenario.
    pub(crate) seeds: u32,
    /// Runs of each end-to-end case.
    pub(crate) e2e_runs: u32,
    /// Whether every fault is made, at full length, or a few short ones.
    pub(crate) whole_failover: bool,
    /// Whether the wheel does all that it can, or a smoke test.
    pub(crate) whole_wheel: bool,
    /// Objects of the replication cases.
    pub(crate) objects: u64,
    /// Hostile frames for the wire tests; `None` leaves it to the tests' own default.
    pub(crate) wire_mutations: Option<u32>,
    /// Whether the lines that tests run are counted: it builds everything once more.
    pub(crate) coverage: bool,
}

/// `cargo xtask verify`.
pub(crate) const QUICK: Scale = Scale {
    seeds: 200,
    e2e_runs: 1,
    whole_failover: false,
    whole_wheel: false,
    objects: 50_000,
    wire_mutations: None,
    coverage: false,
};
/// `cargo xtask verify --full`.
pub(crate) const FULL: Scale = Scale {
    seeds: 2_000,
    e2e_runs: 5,
    whole_failover: true,
    whole_wheel: true,
    objects: 1_000_000,
    wire_mutations: Some(1_000_000),
    coverage: true,
};

/// One line of the final table.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
}

/// What a step does.
pub(crate) enum Work {
    /// Runs a program and counts its cases.
    Program { command: Box<Command>, count: Count, needs: Option<Component> },
    /// Compares the generated code with what would be generated now.
    CodegenCheck,
    /// Runs the end-to-end demo cases.
    Demo { runs: u32 },
    /// Runs the faults of failover: a few short ones, or all.
    Failover { runs: u32, quick: bool },
    /// Plays the console in a terminal; skipped where tmux is not installed.
    Console { runs: u32 },
    /// Installs etcd unless it is there; skipped where it cannot be had.
    Etcd,
    /// Installs Prometheus unless it is there; skipped where it cannot be had.
    Prometheus,
    /// Reads the dashboards with Grafana's published types; skipped where they cannot be had.
    GrafanaTypes,
    /// Runs the released Mooncake client; skipped where its wheel cannot be had.
    Wheel { full: bool },
    /// Counts the lines that tests run; skipped where the tool is not installed.
    Coverage,
}

/// Where the number of cases comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// The program is one case: its exit code.
    ExitCode,
    /// Every `test result:` line of cargo test. No case at all is a failure.
    TestResults,
    /// The same, where there may be none: not every workspace has doc tests.
    DocTestResults,
    /// The closing line `N passed, N failed`.
    ClosingLine,
}

/// A part of the Rust toolchain that a minimal installation lacks. Without it the step is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// cargo's subcommand that must answer `--version`.
    pub(crate) subcommand: &'static str,
    /// What rustup calls it.
    pub(crate) name: &'static str,
}

const RUSTFMT: Component = Component { subcommand: "fmt", name: "rustfmt" };
const CLIPPY: Component = Component { subcommand: "clippy", name: "clippy" };

/// The list. Nothing here writes the tree: `--locked` keeps Cargo.lock as it is.
pub(crate) fn steps(scale: &Scale) -> Vec<Step> {
    let seeds = scale.seeds.to_string();
    let mut tests = cargo("test --workspace --all-targets --no-fail-fast --locked");
    if let Some(mutations) = scale.wire_mutations {
        tests.env("STANDFAST_WIRE_MUTATIONS", mutations.to_string());
    }
    let mut docs = cargo("doc --workspace --no-deps --locked");
    docs.env("RUSTDOCFLAGS", "-D warnings");

    let mut steps = vec![
        component("fmt", cargo("fmt --all --check"), RUSTFMT),
        component("clippy", cargo("clippy --workspace --all-targets --locked -- -D warnings"), CLIPPY),
        Step { name: "codegen", work: Work::CodegenCheck },
        program("docs", docs, Count::ExitCode),
        // Without them the tests leave out the cases of a real one.
        Step { name: "etcd", work: Work::Etcd },
        Step { name: "prometheus", work: Work::Prometheus },
        Step { name: "grafana types", work: Work::GrafanaTypes },
        // The house rules (tests/tidy.rs) are among these.
        program("tests", tests, Count::TestResults),
        program("doc tests", cargo("test --workspace --doc --no-fail-fast --locked"), Count::DocTestResults),
        // Locks and atomics are others under this feature, so it is a build of its own.
        program(
            "threads",
            cargo("test -p standfast-kernel --features shuttle --test threads --locked"),
            Count::TestResults,
        ),
        // The same seed twice comes first: without it a failing seed could not be run again.
        program("sim determinism", sim::command(&["--check-determinism"]), Count::ClosingLine),
        program("sim seeds", sim::command(&["--seeds", &seeds]), Count::ClosingLine),
        program("sim mutants", sim::command(&["--mutants"]), Count::ClosingLine),
        Step { name: "e2e demo", work: Work::Demo { runs: scale.e2e_runs } },
        Step {
            name: "e2e failover",
            work: Work::Failover { runs: scale.e2e_runs, quick: !scale.whole_failover },
        },
        Step { name: "e2e console", work: Work::Console { runs: scale.e2e_runs } },
        program(
            "e2e replication",
            e2e::replication_command(scale.e2e_runs, scale.objects),
            Count::TestResults,
        ),
        program("monitoring", e2e::monitoring_command(), Count::TestResults),
        Step { name: "e2e wheel", work: Work::Wheel { full: scale.whole_wheel } },
    ];
    if scale.coverage {
        steps.push(Step { name: "coverage", work: Work::Coverage });
    }
    steps
}

fn cargo(words: &str) -> Command {
    let mut command = run::cargo();
    command.args(words.split(' '));
    command
}

fn program(name: &'static str, command: Command, count: Count) -> Step {
    Step { name, work: Work::Program { command: Box::new(command), count, needs: None } }
}

fn component(name: &'static str, command: Command, needs: Component) -> Step {
    let work = Work::Program { command: Box::new(command), count: Count::ExitCode, needs: Some(needs) };
    Step { name, work }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FULL, QUICK, Work, steps};
    use crate::run::show;

    #[test]
    fn names_are_distinct_and_full_changes_only_the_scale_and_adds_coverage() {
        let names = |scale| steps(scale).iter().map(|step| step.name).collect::<Vec<_>>();
        let mut quick = names(&QUICK);
        quick.push("coverage");
        assert_eq!(quick, names(&FULL));
        assert_eq!(quick.iter().collect::<BTreeSet<_>>().len(), quick.len());
    }

    #[test]
    fn one_profile_and_no_step_that_writes_the_lock_file() {
        for step in steps(&FULL) {
            if let Work::Program { command, .. } = step.work {
                let shown = show(&command);
                assert!(!shown.contains("--release"), "{shown}");
                assert!(shown.contains("--locked") || shown.contains("fmt --all --check"), "{shown}");
            }
        }
    }
}

//! `cargo xtask`: the commands that build, check and exercise the workspace.
//!
//! Progress goes to stderr. stdout carries the result: a table, a closing line, or one line of JSON.

mod bench;
mod codegen;
mod console;
mod console_demo;
mod console_figures;
mod coverage;
mod dashboards;
mod duration;
mod e2e;
mod etcd;
mod failover;
mod fix;
mod machine;
mod performance;
mod process;
mod report;
mod run;
mod sim;
mod steps;
mod tally;
mod tmux;
mod verdict;
mod verify;
mod wheel;
mod wheel_cases;
mod wheel_outage;
mod wheel_pair;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failover::Selection;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Standfast's own commands", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check; never writes the tree
    Verify {
        /// More seeds, more runs, longer fuzzing: before an issue is called resolved
        #[arg(long)]
        full: bool,
    },
    /// Install what tests need besides Rust: the Mooncake wheel into target/venv,
    /// the Debian packages that it loads, etcd, Prometheus, tmux, and cargo-tarpaulin
    Setup,
    /// Generate code, apply clippy's suggestions, format
    Fix,
    /// Generate proto/src/generated from the .proto files
    Codegen {
        /// Write nothing; fail when the tree differs from what would be generated
        #[arg(long)]
        check: bool,
    },
    /// Write dashboards/: dashboards, alerts, recording rules and their tests
    Dashboards {
        /// Change a threshold or an address: lag=10s
        #[arg(long, value_name = "NAME=VALUE")]
        set: Vec<String>,
    },
    /// Run the deterministic simulation; all arguments go to it (try `sim --help`)
    #[command(disable_help_flag = true)]
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Count the lines of the kernel and the wire protocol that tests run
    Coverage {
        /// Print one line of JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Measure the figures of the kernel and of replication and write docs/figures.json
    Bench {
        /// Print one line of JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Make one fault after the other, at random, under load, and check every byte
    Chaos {
        /// For how long: 2h, 10m, 90s
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
        duration: std::time::Duration,
        /// Gives the schedule
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// When writes are acknowledged
        #[arg(long, value_enum, default_value_t = failover::chaos::Ack::Sync)]
        ack: failover::chaos::Ack,
    },
    /// Bring very many objects through a full sync and a failover, with very many clients that come back at once
    Scale {
        #[arg(long, default_value_t = 10_000_000)]
        objects: u64,
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        clients: u32,
    },
    /// Remove a segment of very many objects while puts go on to others: first unmounted, then expired with its client
    Avalanche {
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        objects: u64,
    },
    /// Measure at length and write a page of docs/reports
    Report {
        page: report::Page,
        /// How often each fault is made, 30 unless given, a few of them less often;
        /// rounds of each comparison of performance, 5 unless given
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        runs: Option<u32>,
        /// Write the page of what was measured before: a line of JSON, the last one of the file; of chaos, scale and
        /// avalanche the last lines of any number of runs, in one file or several
        #[arg(long, value_name = "FILE")]
        from: Vec<std::path::PathBuf>,
    },
    /// Run one suite of end-to-end cases against real processes
    E2e {
        suite: e2e::Suite,
        /// How often each case is run
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        runs: u32,
        /// Of the failover suite: few faults, and short ones
        #[arg(long)]
        quick: bool,
        /// Of the failover suite: only the fault of this name; of the wheel suite: only cases with this in their name
        #[arg(long, value_name = "NAME")]
        case: Option<String>,
        /// Print one line of JSON instead of text
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Verify { full } => verify::run(full),
        Command::Setup => setup(),
        Command::Fix => fix::run(),
        Command::Codegen { check } => codegen::run(check).map(|()| ExitCode::SUCCESS),
        Command::Dashboards { set } => dashboards::run(&set),
        Command::Sim { args } => sim::run(&args),
        Command::Coverage { json } => coverage::run(json),
        Command::Bench { json } => bench::run(json),
        Command::Chaos { duration, seed, ack } => failover::chaos::run(duration, seed, ack),
        Command::Scale { objects, clients } => {
            failover::scale::run(failover::scale::Scale { objects, clients })
        }
        Command::Avalanche { objects } => failover::avalanche::run(objects),
        Command::Report { page, runs, from } => report::run(page, runs, &from),
        Command::E2e { suite: e2e::Suite::Failover, runs, quick, case, json } => {
            failover::named(case.as_deref())
                .and_then(|only| failover::suite::run(Selection { runs, quick, only }, json))
        }
        Command::E2e { suite, runs, case, json, .. } => {
            e2e::run(suite, runs, &case.unwrap_or_default(), json)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Tries everything, also after something could not be had.
fn setup() -> anyhow::Result<ExitCode> {
    let etcd = etcd::install();
    let prometheus = dashboards::install();
    let tmux = tmux::install();
    let links = failover::net::install().and_then(|()| failover::wall::install());
    wheel::python()?;
    tmux?;
    prometheus?;
    links?;
    coverage::setup()?;
    etcd.map(|()| ExitCode::SUCCESS)
}

//! The deterministic simulation: production machines and entry bytes, a
//! simulated world around them. One seed is one history.

mod amnesia;
mod announced;
mod automation;
mod calls;
mod cli;
mod client;
mod clock;
mod coordinator;
mod copying;
mod corrupt;
mod counters;
mod empty;
mod host;
mod invariants;
mod lender;
mod links;
mod memory;
mod mutation;
mod nemesis;
mod net;
mod operator;
mod prefill;
mod rng;
mod runner;
mod scenario;
mod settle;
mod shell;
mod trace;
mod transfer;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match cli::parse(&args) {
        Ok(command) => runner::run(&command),
        Err(why) => {
            eprintln!("error: {why}\n\n{}", cli::USAGE);
            ExitCode::from(2)
        }
    }
}

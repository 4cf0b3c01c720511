//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ServeArgs;

#[derive(Debug, Parser)]
#[command(name = "standfast", version, about = "Metadata master of a Mooncake Store cluster")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(ServeArgs),
}

/// Runs the command that was typed.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => crate::app::serve(&args),
    }
}

//! `cargo xtask sim`: builds and runs the deterministic simulation.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::run;

/// The simulation with `args`.
///
/// The switches that break a rule each are compiled in only when asked for, so that every other run
/// simulates exactly the code that ships.
pub(crate) fn command<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = run::cargo();
    command.args(["run", "--locked", "--quiet", "--package", "standfast-sim"]);
    if args.iter().any(|arg| matches!(arg.as_ref(), "--mutants" | "--mutant")) {
        command.args(["--features", "mutants"]);
    }
    command.arg("--").args(args.iter().map(AsRef::as_ref));
    command
}

/// Runs the simulation and passes its exit code on.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let status = run::status(command(args))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

#[cfg(test)]
mod tests {
    use super::command;
    use crate::run::show;

    #[test]
    fn mutants_are_compiled_in_only_when_asked_for() {
        assert!(!show(&command(&["--seeds", "3"])).contains("--features"));
        assert!(show(&command(&["--mutants"])).contains("--features mutants -- --mutants"));
    }
}

//! `cargo xtask fix`: everything a machine can put right.

use std::process::ExitCode;

use anyhow::Result;

use crate::{codegen, run};

/// Generates code, applies clippy's suggestions and formats, in this order: each may undo the style
/// of the one before.
pub(crate) fn run() -> Result<ExitCode> {
    codegen::run(false)?;
    let clippy = ["clippy", "--fix", "--allow-dirty", "--allow-staged", "--workspace", "--all-targets"];
    for args in [&clippy[..], &["fmt", "--all"]] {
        let mut command = run::cargo();
        command.args(args);
        if !run::status(command)?.success() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

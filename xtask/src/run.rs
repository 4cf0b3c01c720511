//! Starting cargo and other programs from the repository's root.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The repository's root: the parent of this crate's folder.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// cargo at the repository's root, reading no stdin.
///
/// The cargo that started us is used again, so that one toolchain does everything.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs `command`, passing its stdout line by line to our stderr and to `on_line`.
pub(crate) fn stream(mut command: Command, mut on_line: impl FnMut(&str)) -> Result<ExitStatus> {
    let shown = show(&command);
    eprintln!("$ {shown}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.with_context(|| format!("cannot read the output of `{shown}`"))?;
            let line = String::from_utf8_lossy(&line);
            eprintln!("{line}");
            on_line(&line);
        }
    }
    child.wait().with_context(|| format!("cannot wait for `{shown}`"))
}

/// Runs `command` with our own stdout and stderr.
pub(crate) fn status(mut command: Command) -> Result<ExitStatus> {
    let shown = show(&command);
    eprintln!("$ {shown}");
    command.status().with_context(|| format!("cannot start `{shown}`"))
}

/// Builds the `standfast` binary with the dev profile and says where cargo put it.
pub(crate) fn build_binary() -> Result<PathBuf> {
    build(&[])
}

/// The same as it is shipped: for figures.
pub(crate) fn release_binary() -> Result<PathBuf> {
    build(&["--release"])
}

fn build(flags: &[&str]) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--locked", "--package", "standfast", "--bin", "standfast"]).args(flags);
    build.arg("--message-format=json-render-diagnostics");
    eprintln!("$ {}", show(&build));
    let output = build.stderr(Stdio::inherit()).output().context("cannot start cargo build")?;
    if !output.status.success() {
        bail!("cargo build of the standfast binary failed: {}", output.status);
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo build named no executable for the binary `standfast`")
}

/// The line of JSON that `command` prints, whatever its exit code.
pub(crate) fn output_json(mut command: Command) -> Result<serde_json::Value> {
    let shown = show(&command);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{shown}`"))?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{shown}` ended with {} and printed no JSON", output.status))
}

/// The command as one would type it, with the variables set for it in front.
pub(crate) fn show(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={:?}", name.to_string_lossy(), value.to_string_lossy()))
    });
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    set.chain([program]).chain(args).collect::<Vec<_>>().join(" ")
}

/// Time since it was started; the one place in xtask that reads a clock.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "xtask times other programs; it has no state to replay")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "as above")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Sleeps between two looks at something that has no event to wait for.
#[expect(clippy::disallowed_methods, reason = "xtask has no runtime whose worker this could block")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Installs Debian packages.
///
/// # Errors
/// When that is not allowed, or not possible; says what to type.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    let cure = format!("cure: apt-get install {}", packages.join(" "));
    for arguments in
        [&["update", "--quiet=2"][..], &["install", "--yes", "--no-install-recommends", "--quiet=2"]]
    {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).stdin(Stdio::null()).env("DEBIAN_FRONTEND", "noninteractive");
        if arguments[0] == "install" {
            apt.args(packages);
        }
        ensure!(status(apt).with_context(|| cure.clone())?.success(), "{cure}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{root, show, stream};

    #[test]
    fn root_is_where_the_workspace_is() {
        assert!(root().join("xtask/Cargo.toml").is_file());
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(show(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
    }

    #[test]
    fn stream_passes_lines_on_and_keeps_the_exit_code() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two; exit 3"]);
        let mut lines = Vec::new();
        let status = stream(command, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!((lines, status.code()), (vec!["one".to_owned(), "two".to_owned()], Some(3)));
    }
}

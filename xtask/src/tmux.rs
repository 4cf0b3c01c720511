//! tmux: a terminal of a known size that a test can type into and read.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::console_demo::{Word, shows};
use crate::run::{self, Stopwatch, pause};

const PACKAGE: &str = "tmux";
/// A safety limit for a loaded machine, not a figure.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether tmux could run; else how to cure that.
pub(crate) fn present() -> Result<()> {
    let mut probe = Command::new("tmux");
    probe.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let there = probe.status().is_ok_and(|status| status.success());
    ensure!(there, "tmux is not installed; cure: cargo xtask setup, or apt-get install {PACKAGE}");
    Ok(())
}

/// Installs it unless it is there already.
pub(crate) fn install() -> Result<()> {
    if present().is_ok() {
        return Ok(());
    }
    run::apt_install(&[PACKAGE]).context("the tests of the console need tmux")?;
    present()
}

/// One program in a terminal, on a tmux server of its own. Dropping it ends both.
pub(crate) struct Terminal {
    socket: String,
}

impl Terminal {
    /// Runs `program` with `variables` set, in so many columns and rows.
    pub(crate) fn start(
        name: &str,
        (columns, rows): (u16, u16),
        variables: &[(&str, &str)],
        program: &[&str],
    ) -> Result<Self> {
        let terminal = Self { socket: format!("standfast-{name}-{}", std::process::id()) };
        let mut tmux = terminal.tmux(&["new-session", "-d"]);
        tmux.args(["-x", &columns.to_string(), "-y", &rows.to_string()]);
        // The terminal's habits are the case's alone.
        tmux.args(["env", "-u", "NO_COLOR", "-u", "LC_ALL", "-u", "LC_CTYPE", "-u", "LANG"]);
        tmux.args(variables.iter().map(|(name, value)| format!("{name}={value}"))).args(program);
        ensure!(run::status(tmux)?.success(), "tmux cannot start `{}`", program.join(" "));
        Ok(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        // No configuration of whoever runs the test, and UTF-8 whatever the locale.
        tmux.args(["-u", "-L", &self.socket, "-f", "/dev/null"]).args(arguments).stdin(Stdio::null());
        tmux
    }

    /// The screen as text.
    pub(crate) fn screen(&self) -> String {
        self.capture(&["capture-pane", "-p"])
    }

    /// The screen with the sequences that make its colours.
    pub(crate) fn painted(&self) -> String {
        self.capture(&["capture-pane", "-p", "-e"])
    }

    fn capture(&self, arguments: &[&str]) -> String {
        let output = self.tmux(arguments).stderr(Stdio::null()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// Presses keys by tmux's names for them.
    pub(crate) fn press(&self, keys: &[&str]) -> Result<()> {
        ensure!(self.tmux(&["send-keys"]).args(keys).status()?.success(), "tmux takes no keys: {keys:?}");
        Ok(())
    }

    /// Types characters, whatever they would mean to tmux.
    pub(crate) fn type_text(&self, text: &str) -> Result<()> {
        ensure!(self.tmux(&["send-keys", "-l", text]).status()?.success(), "tmux takes no text: {text}");
        Ok(())
    }

    /// Presses and lets go of the mouse on `text`, as a terminal tells it (SGR, from 1).
    pub(crate) fn click(&self, screen: &str, text: &str) -> Result<()> {
        let found = screen.lines().enumerate().find_map(|(row, line)| Some((row, line.split_once(text)?.0)));
        let (row, before) = found.with_context(|| format!("`{text}` is not on the screen\n{screen}"))?;
        let place = format!("{};{}", before.chars().count() + 1, row + 1);
        self.type_text(&format!("\x1b[<0;{place}M\x1b[<0;{place}m"))
    }

    /// Looks until the screen has one of `wanted`.
    pub(crate) fn until_any(&self, wanted: &[&str]) -> Result<String> {
        let watch = Stopwatch::start();
        loop {
            let screen = self.screen();
            if wanted.iter().any(|text| screen.contains(text)) {
                return Ok(screen);
            }
            ensure!(watch.elapsed() < PATIENCE, "none is on the screen: {wanted:?}; it shows\n{screen}");
            pause(LOOK_EVERY);
        }
    }

    /// Looks until the screen has all of `wanted`.
    pub(crate) fn until(&self, wanted: &[&str]) -> Result<String> {
        let watch = Stopwatch::start();
        loop {
            let screen = self.screen();
            if wanted.iter().all(|text| screen.contains(text)) {
                return Ok(screen);
            }
            ensure!(watch.elapsed() < PATIENCE, "never on the screen: {wanted:?}; it shows\n{screen}");
            pause(LOOK_EVERY);
        }
    }

    /// Looks until each line that begins so goes on so.
    pub(crate) fn until_lines(&self, wanted: &[(&str, &[Word])]) -> Result<String> {
        let watch = Stopwatch::start();
        loop {
            let screen = self.screen();
            let missing = wanted.iter().find(|(start, words)| !shows(&screen, start, words));
            let Some((start, _)) = missing else { return Ok(screen) };
            ensure!(watch.elapsed() < PATIENCE, "the line `{start}` is never as wanted; it shows\n{screen}");
            pause(LOOK_EVERY);
        }
    }

    /// Waits until the program has ended: tmux goes with it.
    pub(crate) fn ended(&self) -> Result<()> {
        let watch = Stopwatch::start();
        while self.tmux(&["has-session"]).stderr(Stdio::null()).status()?.success() {
            ensure!(watch.elapsed() < PATIENCE, "the program has not ended; it shows\n{}", self.screen());
            pause(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self.tmux(&["kill-server"]).stderr(Stdio::null()).status();
    }
}

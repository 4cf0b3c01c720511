//! `cargo xtask e2e console`: a person at a terminal of 80 by 24 watches two nodes, sees the primary die, and fails
//! over by keyboard.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::console_demo;
use crate::process::{self, MARK};
use crate::run;
use crate::tmux::Terminal;

/// One kind of terminal.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    flags: &'static [&'static str],
    check: fn(&Terminal) -> Result<()>,
    /// Everything that a newcomer may do in the demo, not only its first screen.
    whole: bool,
}

pub(crate) const CASES: &[Case] = &[
    Case { name: "colour", variables: &[("LANG", "C.UTF-8")], flags: &[], check: has_colour, whole: true },
    Case {
        name: "no-colour",
        variables: &[("LANG", "C.UTF-8"), ("NO_COLOR", "1")],
        flags: &[],
        check: has_no_colour,
        whole: false,
    },
    Case {
        name: "ascii",
        variables: &[("LANG", "C.UTF-8")],
        flags: &["--ascii"],
        check: is_ascii,
        whole: false,
    },
    Case { name: "plain-locale", variables: &[("LC_ALL", "C")], flags: &[], check: is_ascii, whole: false },
];

const CLUSTER: &str = "e2e";

/// Plays the case once; returns what was wrong.
pub(crate) fn play(binary: &Path, case: &Case) -> Result<Vec<String>> {
    let mark = format!("console-{}-{}", case.name, std::process::id());
    let variables = [case.variables, &[(MARK, &*mark)]].concat();
    let demo = || {
        // The demo knows no flag for it: the locale says it.
        if case.flags.is_empty() {
            console_demo::play(binary, case.name, &variables, case.check, case.whole)
        } else {
            Ok(())
        }
    };
    let played = fail_over(binary, case, &mark).and_then(|()| demo());
    let mut reasons: Vec<String> = played.err().map(|error| format!("{error:#}")).into_iter().collect();
    for pid in process::survivors(&mark, &[]) {
        reasons.push(format!("process {pid} outlived the case"));
    }
    process::kill_marked(&mark);
    Ok(reasons)
}

fn fail_over(binary: &Path, case: &Case, mark: &str) -> Result<()> {
    let mut a = Node::start(binary, mark, &["--node", "a", "--role", "primary"])?;
    let b = Node::start(binary, mark, &["--node", "b", "--role", "standby", "--peer", &a.address])?;
    let program = binary.to_str().context("the binary's path is no text")?;
    // A file of its own: whoever runs the test may have one, too.
    let mut config = tempfile::NamedTempFile::new().context("no file can be made")?;
    config.write_all(b"mouse = true\n[keys]\nhelp = [\"?\", \"h\"]\nsort = \"o\"\nopen = \"Enter\"\n")?;
    let config = config.path().to_str().context("the file's path is no text")?;
    let mut console =
        vec![program, "console", "--connect", &a.address, "--allow-actions", "--config", config];
    console.extend(case.flags);
    let variables = [case.variables, &[(MARK, mark)]].concat();
    let terminal = Terminal::start(case.name, (80, 24), &variables, &console)?;

    // The first screen answers the five questions.
    terminal.until(&[
        "PRIMARY a",
        "FAILOVER SAFE yes: b holds every acknowledged write",
        "LAG 0 / 0.000 s",
        "WOULD LOSE 0 keys",
        "VERIFIED ",
        "2/2",
    ])?;
    (case.check)(&terminal)?;
    for (key, shown) in [
        ("2", "assigned"),
        ("3", "NEWEST WRITES"),
        ("4", "COPIES"),
        ("5", "MAY BE PROMOTED"),
        ("6", "SEGMENTS"),
        ("7", "SLOWEST WRITES"),
        ("9", "TIME"),
        ("?", "KEYS"),
    ] {
        terminal.press(&[key])?;
        terminal.until(&[shown])?;
        (case.check)(&terminal)?;
    }
    terminal.press(&["Escape", "1"])?;
    move_about(&terminal)?;
    (case.check)(&terminal)?;

    terminal.type_text(":trace 1")?;
    terminal.press(&["Enter"])?;
    terminal.until(&["WRITE 1", "a (primary)", "b (standby)"])?;
    (case.check)(&terminal)?;
    terminal.press(&["1"])?;

    a.kill()?;
    terminal.until(&["last heard", "no primary answers", "1/2"])?;
    terminal.press(&["F"])?;
    terminal.until(&["DRY RUN accepted", "WOULD LOSE            0 keys", "Type the cluster's name (e2e)"])?;
    terminal.type_text("wrong")?;
    terminal.press(&["Enter"])?;
    terminal.until(&["`wrong` is not the name"])?;
    terminal.press(&["BSpace", "BSpace", "BSpace", "BSpace", "BSpace"])?;
    terminal.type_text(CLUSTER)?;
    terminal.press(&["Enter"])?;
    terminal.until(&["b is the primary of epoch 2."])?;
    terminal.press(&["Enter"])?;
    terminal.until(&["PRIMARY b   epoch 2"])?;
    terminal.press(&["5"])?;
    terminal.until(&["epoch 2 failover", "because asked in the console", "fence"])?;
    (case.check)(&terminal)?;
    terminal.press(&["q"])?;
    terminal.ended()?;
    drop((a, b));
    Ok(())
}

/// Keys and the mouse as the file says: a click on a view, on a table's title, and on a row.
fn move_about(terminal: &Terminal) -> Result<()> {
    terminal.press(&["h"])?;
    terminal.until(&["What every key does"])?;
    terminal.press(&["Escape", "o"])?;
    terminal.until(&["sorted by NODE, the smallest first"])?;
    let screen = terminal.until(&["NODE", "TAIL"])?;
    terminal.click(&screen, "TAIL")?;
    let screen = terminal.until_any(&["TAIL↑", "TAIL^"])?;
    terminal.click(&screen, "b     standby")?;
    terminal.press(&["Enter"])?;
    // The pipeline of the node that was clicked.
    let screen = terminal.until(&["assigned", "verified"])?;
    terminal.click(&screen, "1 Main")?;
    terminal.until(&["FAILOVER SAFE"])?;
    Ok(())
}

/// Whether a sequence of `painted` sets a colour; bold, dim and reverse are none.
fn sets_colour(painted: &str) -> bool {
    let sequences = painted.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m'));
    sequences.flat_map(|(codes, _)| codes.split(';')).filter_map(|code| code.parse::<u16>().ok()).any(
        |code| {
            // 39 and 49 give the terminal's own colours back.
            matches!(code, 30..=38 | 40..=48 | 90..=97 | 100..=107)
        },
    )
}

fn has_colour(terminal: &Terminal) -> Result<()> {
    ensure!(sets_colour(&terminal.painted()), "there is no colour on the screen\n{}", terminal.screen());
    Ok(())
}

fn has_no_colour(terminal: &Terminal) -> Result<()> {
    ensure!(
        !sets_colour(&terminal.painted()),
        "NO_COLOR is set, but there is colour\n{}",
        terminal.painted()
    );
    Ok(())
}

fn is_ascii(terminal: &Terminal) -> Result<()> {
    let screen = terminal.screen();
    ensure!(screen.is_ascii(), "not every terminal has these characters\n{screen}");
    Ok(())
}

/// A node as a process; it ends with this value.
pub(crate) struct Node {
    process: Child,
    pub(crate) address: String,
}

impl Node {
    pub(crate) fn start(binary: &Path, mark: &str, flags: &[&str]) -> Result<Self> {
        let mut serve = Command::new(binary);
        serve.args(["serve", "--cluster", CLUSTER, "--grpc", "127.0.0.1:0"]).args(flags).env(MARK, mark);
        serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        eprintln!("$ {}", run::show(&serve));
        let process = serve.spawn().context("cannot start a node")?;
        let mut node = Self { process, address: String::new() };
        let mut line = String::new();
        let stdout = node.process.stdout.take().context("piped")?;
        BufReader::new(stdout).read_line(&mut line).context("cannot read the node's ready line")?;
        let ready: Value = serde_json::from_str(&line).context("the ready line is no JSON")?;
        node.address = ready["grpc"].as_str().context("the ready line names no address")?.to_owned();
        Ok(node)
    }

    fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::sets_colour;

    #[test]
    fn colours_are_told_from_other_attributes() {
        for colour in ["\x1b[31mx", "a\x1b[1;92mx", "\x1b[0;48;5;7mx"] {
            assert!(sets_colour(colour), "{colour:?}");
        }
        for plain in ["x", "\x1b[1mx\x1b[0m", "\x1b[7m\x1b[39;49mx", "31m"] {
            assert!(!sets_colour(plain), "{plain:?}");
        }
    }
}

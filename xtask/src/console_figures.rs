//! What the console costs: the time to the first frame, from a key to its frame, and the share of a core beside four
//! nodes. On a terminal of its own, so that nothing lies between the console and the clock.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::pty::{Winsize, openpty};
use serde_json::{Value, json};

use crate::console::Node;
use crate::process::{MARK, Owned};
use crate::run::{self, Stopwatch, pause};
use crate::{bench, machine};

/// Nodes that the console watches.
const NODES: usize = 4;
/// Letters typed, one after the other; they fit the line.
const LETTERS: usize = 60;
/// How long the console is left alone while its processor time is counted.
const WATCHED: Duration = Duration::from_secs(60);
/// Pieces of what the console writes that may wait: more than it writes while it is left alone.
const WRITTEN_MAX: usize = 65_536;
/// The longest that is waited for a frame: a safety limit.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Goals: milliseconds, milliseconds, per cent of a core.
const GOALS: [f64; 3] = [200.0, 50.0, 2.0];

/// Measures `runs` times.
pub(crate) fn measure(runs: u32) -> Result<Value> {
    let load_before = machine::load();
    let binary = run::release_binary()?;
    let mark = format!("console-figures-{}", std::process::id());
    let nodes = nodes(&binary, &mark)?;
    let mut figures = Vec::new();
    for round in 1..=runs {
        let figure = once(&binary, &mark, &nodes[0].address)?;
        eprintln!("console ({round} of {runs}): {figure}");
        figures.push(figure);
    }
    Ok(json!({
        "schema": 1, "commit": machine::head(), "machine": bench::facts(), "load_before": load_before,
        "nodes": NODES, "letters": LETTERS, "watched_s": WATCHED.as_secs(), "failed": 0, "runs": figures,
    }))
}

/// A primary and its standbys.
fn nodes(binary: &Path, mark: &str) -> Result<Vec<Node>> {
    let primary = Node::start(binary, mark, &["--node", "n0", "--role", "primary"])?;
    let mut nodes = vec![primary];
    for nr in 1..NODES {
        let flags = ["--node", &format!("n{nr}"), "--role", "standby", "--peer", &nodes[0].address];
        nodes.push(Node::start(binary, mark, &flags)?);
    }
    let watch = Stopwatch::start();
    while !all_answer(binary, &nodes[0].address) {
        ensure!(watch.elapsed() < PATIENCE, "the nodes never know of each other");
        pause(LOOK_EVERY);
    }
    Ok(nodes)
}

/// Whether a console finds all nodes from here.
fn all_answer(binary: &Path, connect: &str) -> bool {
    let mut once = Command::new(binary);
    once.args(["console", "--once", "--json", "--connect", connect]).stderr(Stdio::null());
    let line: Value =
        once.output().ok().and_then(|o| serde_json::from_slice(&o.stdout).ok()).unwrap_or_default();
    let nodes = line["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    nodes.len() == NODES && nodes.iter().all(|node| node["fresh"] == true)
}

/// A console in a terminal of 80 by 24 columns, and what it writes.
struct Screen {
    child: Owned,
    keys: File,
    written: Receiver<Vec<u8>>,
}

impl Screen {
    fn open(binary: &Path, mark: &str, connect: &str) -> Result<Self> {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).context("no terminal can be made")?;
        let mut console = Command::new(binary);
        console.args(["console", "--connect", connect]).env("LANG", "C.UTF-8").env(MARK, mark);
        console
            .stdin(Stdio::from(pty.slave.try_clone()?))
            .stdout(Stdio::from(pty.slave))
            .stderr(Stdio::null());
        let child = Owned(console.spawn().context("cannot start the console")?);
        // The command holds the other end; without it the reader sees the console's end.
        drop(console);
        let keys = File::from(pty.master);
        let mut reader = keys.try_clone()?;
        let (send, written) = sync_channel(WRITTEN_MAX);
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            // Ends with the console: then the terminal has no other end.
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if send.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, keys, written })
    }

    /// Milliseconds until `wanted` is drawn.
    fn until(&self, wanted: &str, watch: &Stopwatch) -> Result<f64> {
        let mut seen = Vec::new();
        loop {
            let left = PATIENCE.saturating_sub(watch.elapsed());
            let more =
                self.written.recv_timeout(left).with_context(|| format!("`{wanted}` is never drawn"))?;
            seen.extend(more);
            if String::from_utf8_lossy(&seen).contains(wanted) {
                return Ok(watch.elapsed().as_secs_f64() * 1e3);
            }
        }
    }

    /// Types a character and waits for its frame.
    fn press(&mut self, key: char, drawn: &str) -> Result<f64> {
        let watch = Stopwatch::start();
        write!(self.keys, "{key}")?;
        self.until(drawn, &watch)
    }

    /// Processor time used so far, in clock ticks: a hundredth of a second each.
    fn ticks(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.0.id()))?;
        let (_, rest) = stat.rsplit_once(") ").context("/proc/PID/stat is not as expected")?;
        let used = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        Ok(used.sum::<Result<u64, _>>()?)
    }
}

fn once(binary: &Path, mark: &str, connect: &str) -> Result<Value> {
    let watch = Stopwatch::start();
    let mut screen = Screen::open(binary, mark, connect)?;
    let first_frame_ms = screen.until("PRIMARY", &watch)?;
    screen.press(':', ":_")?;
    let letters = (b'a'..=b'z').cycle().take(LETTERS).map(char::from);
    let mut keys: Vec<f64> = letters.map(|c| screen.press(c, &format!("{c}_"))).collect::<Result<_>>()?;
    keys.sort_by(f64::total_cmp);
    write!(screen.keys, "\x1b")?;
    let (before, watch) = (screen.ticks()?, Stopwatch::start());
    pause(WATCHED);
    let (used, took) = (screen.ticks()? - before, watch.elapsed().as_secs_f64());
    // What was drawn meanwhile: it must have been alive.
    ensure!(screen.written.try_iter().count() > 0, "the console drew nothing for {took:.0} s");
    Ok(json!({
        "first_frame_ms": first_frame_ms, "key_to_frame_p50_ms": keys[keys.len() / 2],
        "key_to_frame_max_ms": keys[keys.len() - 1], "core_percent": used as f64 / took,
    }))
}

/// The page of what was measured.
pub(crate) fn page(line: &Value) -> String {
    let runs = line["runs"].as_array().map_or(0, Vec::len);
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!(
        "# The console\n\nMade by `cargo xtask report console` at commit {}. {}, {} cores, load {} before. Medians of {} runs: a \
         console of 80 by 24 in front of {} nodes, an update a second, {} letters typed, then {} s left alone.\n\n{}",
        text(&line["commit"]),
        text(&line["machine"]["processor"]),
        line["machine"]["cores"],
        line["load_before"],
        runs,
        line["nodes"],
        line["letters"],
        line["watched_s"],
        table(line),
    )
}

/// Puts the table into the manual, too.
pub(crate) fn write_manual(line: &Value) -> Result<()> {
    let path = run::root().join("docs/console.md");
    let manual = fs::read_to_string(&path).context("the manual of the console cannot be read")?;
    fs::write(&path, filled(&manual, &table(line))?).context("the manual of the console cannot be written")
}

const PLACE: &str = "<!-- measured: cargo xtask report console -->\n";

fn filled(manual: &str, table: &str) -> Result<String> {
    let (before, rest) = manual.split_once(PLACE).context("docs/console.md has no place for the figures")?;
    let (_, after) = rest.split_once("<!-- end -->").context("the place for the figures has no end")?;
    Ok(format!("{before}{PLACE}{table}<!-- end -->{after}"))
}

fn table(line: &Value) -> String {
    let runs = line["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let median = |name: &str| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run[name].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let row = |what: &str, name: &str, unit: &str, goal: f64| {
        let value = median(name);
        let met = value.map_or("?", |value| if value <= goal { "yes" } else { "NO" });
        format!(
            "| {what} | {} {unit} | {goal} {unit} | {met} |\n",
            value.map_or("?".to_owned(), |v| format!("{v:.2}"))
        )
    };
    format!(
        "| What | Measured | Goal | Met |\n|---|---|---|---|\n{}{}{}{}",
        row("First frame after the start", "first_frame_ms", "ms", GOALS[0]),
        row("A key to its frame, median", "key_to_frame_p50_ms", "ms", GOALS[1]),
        row("A key to its frame, longest", "key_to_frame_max_ms", "ms", GOALS[1]),
        row("Share of a core", "core_percent", "%", GOALS[2]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_which_goal_was_met_and_unknown_is_no_figure() {
        let run = |ms: f64| json!({"first_frame_ms": ms, "key_to_frame_p50_ms": 60.0, "core_percent": 1.5});
        let page = page(&json!({"runs": [run(10.0), run(30.0), run(20.0)], "machine": {}}));
        assert!(page.contains("| First frame after the start | 20.00 ms | 200 ms | yes |"), "{page}");
        assert!(page.contains("| A key to its frame, median | 60.00 ms | 50 ms | NO |"), "{page}");
        assert!(page.contains("| A key to its frame, longest | ? ms | 50 ms | ? |"), "{page}");
        assert!(page.contains("| Share of a core | 1.50 % | 2 % | yes |"), "{page}");
    }

    #[test]
    fn the_manual_has_a_place_for_the_figures() {
        let manual = include_str!("../../docs/console.md");
        let unknown = table(&json!({"runs": []}));
        let written = filled(manual, &unknown).expect("a place");
        assert!(written.contains("| Share of a core | ? % | 2 % | ? |\n<!-- end -->"), "{written}");
        assert!(filled("# The console", &unknown).is_err());
    }
}

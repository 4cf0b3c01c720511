//! Somebody who has never seen it starts `standfast demo` at a terminal of 80 by 24: the first screen answers the five
//! questions, and from there on the keyboard corrupts, repairs, hands over and kills.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::run::Stopwatch;
use crate::tmux::Terminal;

/// The name that is typed before anything is done.
const CLUSTER: &str = "demo";

/// Who starts the demo sees how the cluster is within this.
const FIRST_SCREEN: Duration = Duration::from_secs(2);

/// Plays the demo in a terminal with `variables` set and `flags` of the shell's environment.
pub(crate) fn play(
    binary: &Path,
    name: &str,
    variables: &[(&str, &str)],
    check: fn(&Terminal) -> Result<()>,
    whole: bool,
) -> Result<()> {
    let program = binary.to_str().context("the binary's path is no text")?;
    // The verdict stays on the screen until it has been read.
    let script = "\"$0\" demo; echo \"ended with $?\"; read wait";
    let watch = Stopwatch::start();
    let terminal =
        Terminal::start(&format!("demo-{name}"), (80, 24), variables, &["sh", "-c", script, program])?;
    let first = terminal.until_lines(&FIRST)?;
    let waited = watch.elapsed();
    eprintln!("demo {name}: the first screen after {:.2} s", waited.as_secs_f64());
    ensure!(waited <= FIRST_SCREEN, "the first screen came after {waited:?}, not within {FIRST_SCREEN:?}");
    let footer = first.lines().last().unwrap_or_default();
    for key in ["K kill", "W switch", "F failover", "C corrupt", "R repair"] {
        ensure!(footer.contains(key), "the key `{key}` is not named\n{first}");
    }
    check(&terminal)?;
    if whole {
        corrupt_and_repair(&terminal)?;
        hand_over(&terminal)?;
        kill(&terminal)?;
        fail_over(&terminal)?;
        check(&terminal)?;
    }
    terminal.press(&["q"])?;
    terminal.until(&["VERDICT: OK", "ended with 0"])?;
    terminal.press(&["Enter"])?;
    terminal.ended()
}

/// How the lines of the first screen begin, and what each of them says.
const FIRST: [(&str, &[Word]); 5] = [
    ("PRIMARY ", &[Word::Is("a")]),
    ("FAILOVER SAFE ", &[Word::Is("yes:")]),
    ("LAG ", &[Word::Number, Word::Is("/"), Word::Number, Word::Is("s")]),
    ("WOULD LOSE ", &[Word::Number, Word::Is("keys")]),
    ("VERIFIED ", &[Word::Number]),
];

/// A word of a line.
pub(crate) enum Word {
    Is(&'static str),
    Number,
}

impl Word {
    fn fits(&self, word: &str) -> bool {
        match self {
            Self::Is(wanted) => word == *wanted,
            Self::Number => word.parse::<f64>().is_ok(),
        }
    }
}

/// Whether a line of the screen begins so, and goes on with these words.
pub(crate) fn shows(screen: &str, start: &str, words: &[Word]) -> bool {
    let rest = screen.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_default();
    let mut said = rest.split_whitespace();
    words.iter().all(|word| said.next().is_some_and(|said| word.fits(said)))
}

/// Presses the key, reads what would happen, types the cluster's name, and waits until it is done.
fn act(terminal: &Terminal, key: &str, forecast: &[&str], done: &[&str]) -> Result<()> {
    terminal.press(&[key])?;
    terminal.until(forecast)?;
    terminal.until(&["Type the cluster's name (demo)"])?;
    terminal.type_text(CLUSTER)?;
    terminal.press(&["Enter"])?;
    terminal.until(done)?;
    terminal.press(&["Enter"])
}

fn corrupt_and_repair(terminal: &Terminal) -> Result<()> {
    act(terminal, "C", &["CORRUPT b"], &["A bit is flipped in b's memory"])?;
    terminal.until(&["FAILOVER SAFE no: b:"])?;
    terminal.press(&["4"])?;
    // The load may have rewritten the object before anybody looked: then its home still differs.
    terminal.until(&["DIFFERENCES", "WRONG"])?;
    act(terminal, "R", &["REPAIR b", "keys that differ"], &["b overwrites"])?;
    // The copy is equal again: one may fail over to it.
    terminal.press(&["1"])?;
    terminal.until(&["FAILOVER SAFE yes: b"])?;
    Ok(())
}

fn hand_over(terminal: &Terminal) -> Result<()> {
    act(
        terminal,
        "W",
        &["SWITCH OVER to b", "WOULD LOSE            0 keys"],
        &["b is the primary of epoch"],
    )?;
    terminal.until_lines(&[("PRIMARY ", &[Word::Is("b")])])?;
    terminal.press(&["5"])?;
    terminal.until(&["switchover a", "because asked in the console", "first_answer"])?;
    terminal.press(&["1"])?;
    terminal.until(&["FAILOVER SAFE yes: a"])?;
    Ok(())
}

fn kill(terminal: &Terminal) -> Result<()> {
    act(terminal, "K", &["DRILL: kill b", "takes over            a"], &["kill of b:", "leads, in epoch"])?;
    terminal.until_lines(&[("PRIMARY ", &[Word::Is("a")])])?;
    terminal.press(&["5"])?;
    terminal.until(&["failover drill b", "a client saw"])?;
    terminal.press(&["9"])?;
    terminal.until(&["console", "drill kill b: done."])?;
    terminal.press(&["1"])?;
    // The demo starts it again, and it joins.
    terminal.until(&["FAILOVER SAFE yes: b"])?;
    Ok(())
}

/// Promotes the standby although the primary answers: the console says what would be gentler.
fn fail_over(terminal: &Terminal) -> Result<()> {
    act(terminal, "F", &["FAIL OVER to b", "W makes it hand over"], &["b is the primary of epoch"])?;
    terminal.until_lines(&[("PRIMARY ", &[Word::Is("b")])])?;
    terminal.until(&["FAILOVER SAFE yes: a"])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_its_words_and_an_unknown_value_is_no_number() {
        let screen = "PRIMARY a   epoch 2\nLAG 0 / 0.001 s   b\nVERIFIED ?\n";
        assert!(shows(screen, FIRST[0].0, FIRST[0].1) && shows(screen, FIRST[2].0, FIRST[2].1));
        assert!(!shows(screen, FIRST[4].0, FIRST[4].1), "nothing was verified yet");
        assert!(!shows(screen, FIRST[3].0, FIRST[3].1), "there is no such line");
    }
}

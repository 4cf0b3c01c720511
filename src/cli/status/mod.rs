//! `standfast status`: one reading of every node that can be found, or one a second.

mod json;
mod judge;
mod render;
#[cfg(test)]
mod status_tests;
mod survey;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use crossterm::{cursor, queue, terminal};
use standfast_tui::Found;
use tokio::time::Instant;

use super::ClientArgs;
use super::exit::{Exit, Failure};
use super::text;
pub(super) use survey::{Seen, Survey, survey};

/// Time between two readings of `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two readings of digests that seem to differ.
const SECOND_LOOK: Duration = Duration::from_millis(200);
/// A value older than this is shown as stale, with its age.
const STALE_AFTER: Duration = Duration::from_secs(2);

const AFTER_HELP: &str = "\
Examples:
  standfast status
  standfast status --connect 10.0.0.1:50052,10.0.0.2:50052 --json
  standfast status --watch
  standfast status --recount       compare all copies, computed from scratch

A `?` is a value that nobody knows; it is never shown as 0.
Exit code 1 when anything is wrong, 3 when no node answers.";

/// Flags of `standfast status`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct StatusArgs {
    /// Refresh every second until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Compute the digests from scratch and compare them; costs time per object
    #[arg(long)]
    recount: bool,
}

/// Asks, judges and prints.
pub(crate) async fn run(client: &ClientArgs, args: &StatusArgs) -> Result<Exit, Failure> {
    if args.watch {
        return watch(client, args.recount).await;
    }
    let (survey, problems) = examine(client, args.recount).await;
    let shown = if client.json {
        text::print(&[json::line(&survey, &problems).to_string()])
    } else {
        text::print(&render::block(&survey, &problems, Instant::now()))
    };
    // Whoever closed stdout still gets the exit code.
    drop(shown);
    Ok(judge::exit(&survey, &problems))
}

/// Looks once, and again where one look is not enough to judge.
async fn examine(client: &ClientArgs, recount: bool) -> (Survey, Vec<Found>) {
    let found = survey(&client.connect, recount).await;
    if !judge::differ(&found) {
        let problems = judge::problems(&found, None);
        return (found, problems);
    }
    // One reading cannot tell a difference from entries that were applied meanwhile.
    tokio::time::sleep(SECOND_LOOK).await;
    let again = survey(&client.connect, recount).await;
    let problems = judge::problems(&again, Some(&found));
    (again, problems)
}

/// What was seen, what is wrong with it, the worst first, and how a command that says so ends.
pub(super) async fn diagnose(client: &ClientArgs) -> (Survey, Vec<Found>, Exit) {
    let (found, problems) = examine(client, false).await;
    let exit = judge::exit(&found, &problems);
    (found, problems, exit)
}

/// Draws again and again. Ends with Ctrl-C, or when nobody reads any more.
async fn watch(client: &ClientArgs, recount: bool) -> Result<Exit, Failure> {
    let in_place = std::io::stdout().is_terminal() && !client.json;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known = Survey::default();
    let mut drawn = 0;
    loop {
        ticks.tick().await;
        let mut connect = client.connect.clone();
        connect.extend(known.addresses());
        let fresh = survey(&connect, recount).await;
        let problems = judge::problems(&fresh, Some(&known));
        known.refresh(fresh);
        let lines = if client.json {
            vec![json::line(&known, &problems).to_string()]
        } else {
            render::block(&known, &problems, Instant::now())
        };
        let shown = if in_place { redraw(&lines, &mut drawn) } else { text::print(&lines) };
        if shown.is_err() {
            return Ok(Exit::Ok);
        }
    }
}

/// Writes over what was drawn before.
fn redraw(lines: &[String], drawn: &mut u16) -> std::io::Result<()> {
    let rows = terminal::size().map_or(24, |(_, rows)| rows).saturating_sub(1);
    let mut out = std::io::stdout().lock();
    if *drawn > 0 {
        queue!(out, cursor::MoveToPreviousLine(*drawn))?;
    }
    queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
    *drawn = 0;
    for line in lines.iter().take(usize::from(rows)) {
        writeln!(out, "{line}")?;
        *drawn += 1;
    }
    out.flush()
}

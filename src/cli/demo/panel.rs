//! What a person sees while the demo runs: a panel redrawn in place, or a line per happening.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use crossterm::style::{Color, ResetColor, SetForegroundColor};
use crossterm::{cursor, queue, terminal};
use parking_lot::Mutex;
use standfast_proto::v1::{Leadership, LinkState, NodeStatus, Role};
use tokio::time::Instant;

use super::super::duration::short;
use super::super::load::ledger::{Counts, read};
use super::super::load::workload::World;
use super::super::text::{self, UNKNOWN, cut, micros, narrow};
use super::monitor::{Board, Reading};

const REDRAW_EVERY: Duration = Duration::from_millis(200);
/// Over this age a value is no longer shown as the present one.
const STALE_AFTER: Duration = Duration::from_millis(500);
const HAPPENINGS_SHOWN: usize = 8;
const BAR: usize = 40;
/// Width of the panel; one less than the terminal's, so that no line ever wraps.
const WIDTH: usize = 79;

/// Where the demo says what it does. Progress goes to stderr.
pub(super) struct Stage {
    began: Instant,
    duration: Duration,
    live: bool,
    said: Mutex<Vec<(Duration, String)>>,
}

impl Stage {
    /// `live` asks for the panel; it takes a terminal.
    pub(super) fn new(duration: Duration, live: bool) -> Self {
        let live = live && io::stderr().is_terminal();
        Self { began: Instant::now(), duration, live, said: Mutex::default() }
    }

    /// Something happened.
    pub(super) fn say(&self, text: impl Into<String>) {
        let (at, text) = (self.began.elapsed(), text.into());
        if !self.live {
            // Nobody may read it; that changes nothing.
            let _ = writeln!(io::stderr(), "{:6.1} s  {text}", at.as_secs_f64());
        }
        self.said.lock().push((at, text));
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }
}

/// The panel on the terminal. Dropping it gives the cursor back, on whatever way out.
pub(super) struct Panel {
    drawn: u16,
    colour: bool,
}

impl Panel {
    fn new() -> Self {
        let _ = queue!(io::stderr(), cursor::Hide);
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { drawn: 0, colour }
    }

    fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let rows = terminal::size().map_or(24, |(_, rows)| rows).saturating_sub(1);
        let mut out = io::stderr().lock();
        if self.drawn > 0 {
            queue!(out, cursor::MoveToPreviousLine(self.drawn))?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        self.drawn = 0;
        for line in lines.iter().take(usize::from(rows)) {
            match colour_of(line).filter(|_| self.colour) {
                Some(colour) => {
                    queue!(out, SetForegroundColor(colour))?;
                    write!(out, "{line}")?;
                    queue!(out, ResetColor)?;
                    writeln!(out)?;
                }
                None => writeln!(out, "{line}")?,
            }
            self.drawn += 1;
        }
        out.flush()
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        let mut out = io::stderr();
        let _ = queue!(out, ResetColor, cursor::Show);
        let _ = out.flush();
    }
}

/// Colour only repeats what a word on the line says.
fn colour_of(line: &str) -> Option<Color> {
    // Where the rows of the table have the role.
    let role = line.get(5..14).map_or("", str::trim);
    if line.contains("KILLED") || line.contains("DOES NOT ANSWER") || line.contains("WRONG") {
        Some(Color::Red)
    } else if role == "primary" || line.contains("TOOK OVER") {
        Some(Color::Green)
    } else if role == "standby" || role == "candidate" {
        Some(Color::Cyan)
    } else {
        None
    }
}

/// Redraws until the task is dropped.
pub(super) async fn show(stage: Arc<Stage>, board: Arc<Board>, world: Arc<World>, names: Vec<&'static str>) {
    let mut panel = Panel::new();
    let mut rate = Rate::default();
    loop {
        let now = Instant::now();
        let readings: Vec<(&str, Option<Reading>)> =
            names.iter().enumerate().map(|(i, name)| (*name, board.reading(i))).collect();
        let said = stage.said.lock().clone();
        let per_s = rate.of(now, read(&world.ledger.counts.puts_acked));
        let view = View {
            elapsed: stage.began.elapsed(),
            duration: stage.duration,
            readings: &readings,
            counts: &world.ledger.counts,
            per_s,
            said: &said,
            now,
        };
        if panel.draw(&render(&view)).is_err() {
            return;
        }
        tokio::time::sleep(REDRAW_EVERY).await;
    }
}

/// Growth per second over about the last second.
#[derive(Default)]
struct Rate {
    samples: std::collections::VecDeque<(Instant, u64)>,
}

impl Rate {
    fn of(&mut self, now: Instant, count: u64) -> Option<u64> {
        self.samples.push_back((now, count));
        if self.samples.len() > 6 {
            self.samples.pop_front();
        }
        let (since, was) = *self.samples.front()?;
        let took = now.saturating_duration_since(since).as_secs_f64();
        (took > 0.0).then(|| ((count - was) as f64 / took) as u64)
    }
}

/// All that the panel shows.
struct View<'a> {
    elapsed: Duration,
    duration: Duration,
    readings: &'a [(&'a str, Option<Reading>)],
    counts: &'a Counts,
    per_s: Option<u64>,
    said: &'a [(Duration, String)],
    now: Instant,
}

fn render(view: &View<'_>) -> Vec<String> {
    let mut lines = vec![
        headline(view),
        String::new(),
        "NODE ROLE      EPOCH       TAIL    APPLIED  LAG entries    time IN-SYNC OBJECTS".to_owned(),
    ];
    for (name, reading) in view.readings {
        lines.push(match reading {
            Some(reading) if view.now.saturating_duration_since(reading.at) <= STALE_AFTER => {
                row(name, &reading.status)
            }
            Some(reading) => {
                let age = short(view.now.saturating_duration_since(reading.at));
                format!("{name:<4} DOES NOT ANSWER since {age}")
            }
            None => format!("{name:<4} starting"),
        });
    }
    let counts = view.counts;
    let number = |counter| narrow(Some(read(counter)), 10);
    lines.push(String::new());
    lines.push(format!(
        "puts {} ({} per second)   removes {}   reads checked {}",
        number(&counts.puts_acked),
        narrow(view.per_s, 7),
        number(&counts.removes_acked),
        number(&counts.reads_checked),
    ));
    let wrong = read(&counts.wrong_bytes) + read(&counts.returned) + read(&counts.unexpected);
    let mark = if wrong + read(&counts.acked_missing) > 0 { "   <- WRONG" } else { "" };
    lines.push(format!(
        "acknowledged and missing {}   wrong answers {wrong}   outcome unknown {}{mark}",
        number(&counts.acked_missing),
        number(&counts.unknown),
    ));
    lines.push(String::new());
    let newest = view.said.len().saturating_sub(HAPPENINGS_SHOWN);
    for (at, text) in &view.said[newest..] {
        lines.push(format!("{:6.1} s  {text}", at.as_secs_f64()));
    }
    lines.into_iter().map(|line| cut(&line, WIDTH)).collect()
}

fn headline(view: &View<'_>) -> String {
    let (elapsed, duration) = (view.elapsed.as_secs_f64(), view.duration.as_secs_f64());
    let done = ((elapsed / duration * BAR as f64) as usize).min(BAR);
    format!(
        "standfast demo  [{}{}]  {elapsed:.0} of {duration:.0} s",
        "#".repeat(done),
        ".".repeat(BAR - done)
    )
}

fn row(name: &str, status: &NodeStatus) -> String {
    let leadership = status.leadership.as_ref();
    let role = leadership.map_or(Role::Unspecified, Leadership::role);
    let word = text::role(role);
    let positions = status.positions.as_ref();
    let (entries, age) = match role {
        Role::Primary => ("-".to_owned(), "-".to_owned()),
        _ => {
            let lag = status.upstream.as_ref().and_then(|upstream| upstream.lag.as_ref());
            (narrow(lag.and_then(|lag| lag.entries), 9), micros(lag.and_then(|lag| lag.age_us)))
        }
    };
    format!(
        "{name:<4} {word:<9} {:>5} {:>10} {:>10} {entries:>12} {age:>7} {:>7} {:>7}",
        narrow(leadership.and_then(|l| l.epoch), 5),
        narrow(positions.map(|p| p.tail), 10),
        narrow(positions.map(|p| p.applied), 10),
        in_sync(status),
        narrow(status.store.as_ref().map(|store| store.objects), 7),
    )
}

/// Whether the node's own copy is on record, as far as it knows itself.
fn in_sync(status: &NodeStatus) -> &'static str {
    let up = status.upstream.as_ref().is_none_or(|upstream| upstream.link() == LinkState::Up);
    match (&status.in_sync, &status.identity) {
        (Some(set), Some(identity)) if up => {
            if set.members.iter().any(|member| member.copy == identity.copy) { "yes" } else { "no" }
        }
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::{Identity, InSyncCopy, InSyncSet, Lag, Positions, Store, Upstream};

    use super::*;

    fn status(role: Role) -> Box<NodeStatus> {
        let upstream = Upstream {
            link: LinkState::Up.into(),
            lag: Some(Lag { entries: Some(u64::MAX), bytes: None, age_us: None }),
            ..Upstream::default()
        };
        let member = InSyncCopy { copy: "c1".into(), node: "b".into(), silent: false };
        Box::new(NodeStatus {
            identity: Some(Identity { node: "b".into(), copy: "c1".into(), ..Identity::default() }),
            leadership: Some(Leadership {
                role: role.into(),
                epoch: Some(u64::MAX),
                ..Leadership::default()
            }),
            positions: Some(Positions { tail: u64::MAX, applied: u64::MAX, ..Positions::default() }),
            in_sync: Some(InSyncSet { members: vec![member], ..InSyncSet::default() }),
            upstream: (role == Role::Standby).then_some(upstream),
            store: Some(Store { objects: u64::MAX, ..Store::default() }),
            ..NodeStatus::default()
        })
    }

    fn view_of(at: Instant, now: Instant) -> Vec<String> {
        let readings = [
            ("a", Some(Reading { status: status(Role::Primary), at })),
            ("b", Some(Reading { status: status(Role::Standby), at: now })),
            ("c", None),
        ];
        let said: Vec<(Duration, String)> =
            (0..40).map(|i| (Duration::from_secs(i), "word ".repeat(40))).collect();
        let counts = Counts::default();
        counts.puts_acked.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        render(&View {
            elapsed: Duration::from_secs(900),
            duration: Duration::from_secs(12),
            readings: &readings,
            counts: &counts,
            per_s: Some(u64::MAX),
            said: &said,
            now,
        })
    }

    #[test]
    fn the_largest_values_fit_80_by_24_in_ascii() {
        let now = Instant::now();
        let lines = view_of(now, now);
        assert!(lines.len() < 24, "{}", lines.len());
        for line in &lines {
            assert!(line.len() < 80 && line.is_ascii(), "{line}");
        }
        assert!(lines.iter().all(|line| !line.ends_with('~') || line.contains("word")), "{lines:?}");
        assert!(lines[3].contains("primary") && lines[3].contains("yes"), "{}", lines[3]);
        assert!(lines[4].contains('?'), "an unknown lag is no 0: {}", lines[4]);
    }

    #[test]
    fn an_old_value_is_not_shown_as_the_present_one() {
        let then = Instant::now();
        let lines = view_of(then, then + Duration::from_secs(3));
        assert_eq!(lines[3], "a    DOES NOT ANSWER since 3.0 s");
    }

    #[test]
    fn a_rate_is_unknown_at_first() {
        let (mut rate, now) = (Rate::default(), Instant::now());
        assert_eq!(rate.of(now, 0), None);
        assert_eq!(rate.of(now + Duration::from_secs(1), 500), Some(500));
    }
}

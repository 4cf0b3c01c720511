//! The verdict of a run, its line of JSON and its table.

use serde_json::{Value, json};

use super::super::exit::Exit;
use super::super::text::{UNKNOWN, cut, wrap};
use super::figures::{Figures, Round, Spread, ratio};
use super::machine;
use super::side::{Closed, Plan};

/// Share of the machine that others may use before figures mean nothing. Beside a compiler the same work takes
/// up to twice as long on either side.
const OTHERS_SHARE_MAX: f64 = 0.05;

/// How a run is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    /// Answers were wrong, or connections were lost.
    Bad,
    /// The machine was busy, or it is not known whether it was.
    Refused,
}

/// All that a run came to. The first master is compared with each other one.
pub(super) struct Report<'a> {
    plan: &'a Plan,
    sides: &'a [Closed],
    figures: Vec<Figures>,
    cores: usize,
    /// The most that others used in any round. `None` = it could not be measured.
    others_cores: Option<f64>,
    /// Why figures mean nothing, if they do not; a verdict that accepts that says so.
    busy: Option<String>,
    pub(super) verdict: Verdict,
    reasons: Vec<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(plan: &'a Plan, sides: &'a [Closed], allow_busy: bool) -> Self {
        let cores = machine::cores();
        let rounds = || sides.iter().flat_map(|side| &side.rounds);
        // A server that is not on record looks like somebody else's load.
        let all_known = sides.iter().all(|side| side.pid.is_some());
        let others_cores = Spread::of(rounds().map(|r| r.others.cores)).map(|all| all.max);
        let others_cores = others_cores.filter(|_| all_known);
        let mut reasons = wrongs(sides);
        let mut verdict = if reasons.is_empty() { Verdict::Ok } else { Verdict::Bad };
        let busy = busy(others_cores, cores);
        if let (Some(busy), Verdict::Ok, false) = (&busy, verdict, allow_busy) {
            verdict = Verdict::Refused;
            reasons.push(format!("{busy}; --allow-busy accepts that"));
        }
        let figures = sides.iter().map(|side| Figures::of(&side.rounds)).collect();
        Self { plan, sides, figures, cores, others_cores, busy, verdict, reasons }
    }

    pub(super) fn exit(&self) -> Exit {
        if self.verdict == Verdict::Ok { Exit::Ok } else { Exit::Bad }
    }

    /// The line for programs.
    pub(super) fn line(&self) -> Value {
        let plan = self.plan;
        let sides = self.sides.iter().zip(&self.figures);
        json!({
            "schema": 1,
            "verdict": match self.verdict {
                Verdict::Ok => "ok",
                Verdict::Bad => "bad",
                Verdict::Refused => "refused",
            },
            "reasons": self.reasons,
            "op": plan.op.word(), "protocol": plan.protocol.word(), "batch": plan.batch,
            "connections": plan.connections, "keys": plan.keys, "rate": plan.rate, "key_bytes": plan.key_len,
            "value_bytes": plan.value_bytes,
            "machine": {
                "cores": self.cores, "others_cores": self.others_cores, "others": self.named_others(),
                "busy": self.others_cores.map(|_| self.busy.is_some()),
            },
            "targets": sides.map(|(side, figures)| target(side, figures)).collect::<Vec<_>>(),
            "ratios": self.ratios().collect::<Vec<_>>(),
        })
    }

    /// The first master in units of each other one; none where there is no verdict.
    fn ratios(&self) -> impl Iterator<Item = Value> {
        let ours = self.figures.first().filter(|_| self.verdict == Verdict::Ok);
        let names = self.sides.iter().map(|side| side.target.name.as_str());
        let others = names.zip(&self.figures).skip(1);
        others.filter_map(move |(name, theirs)| {
            let ours = ours?;
            let memory = |i: usize| self.sides.get(i)?.rss_bytes_per_key;
            let at = self.sides.iter().position(|side| side.target.name == name)?;
            let memory = memory(0).zip(memory(at)).filter(|(_, b)| *b > 0.0).map(|(a, b)| a / b);
            Some(json!({
                "against": name,
                "keys_per_s": ratio(ours.keys_per_s, theirs.keys_per_s),
                "server_cpu": ratio(ours.server_cpu_us, theirs.server_cpu_us),
                "p50": ratio(ours.p50_ms, theirs.p50_ms),
                "p99": ratio(ours.p99_ms, theirs.p99_ms),
                "rss": memory,
            }))
        })
    }

    /// The largest of others in any round: name, process, cores.
    fn named_others(&self) -> Vec<Value> {
        let rounds = self.sides.iter().flat_map(|side| &side.rounds);
        let busiest =
            rounds.max_by(|a, b| a.others.cores.unwrap_or(0.0).total_cmp(&b.others.cores.unwrap_or(0.0)));
        let others = busiest.map_or(&[][..], |round| &round.others.processes);
        others.iter().map(|(name, pid, cores)| json!({"name": name, "pid": pid, "cores": cores})).collect()
    }

    /// The table for people.
    pub(super) fn table(&self) -> Vec<String> {
        let plan = self.plan;
        let mut lines = vec![
            format!(
                "{} over {}, batches of {}, {} connection(s), keys of {} bytes",
                plan.op.word(),
                plan.protocol.word(),
                plan.batch,
                plan.connections,
                plan.key_len
            ),
            String::new(),
            row(["", "keys/s", "spread", "server", "standby", "bench", "p50", "p99", "memory"]),
            row(["", "median", "", "us/key", "us/key", "us/key", "ms", "ms", "B/key"]),
        ];
        for (side, figures) in self.sides.iter().zip(&self.figures) {
            lines.push(row_of(side, figures));
        }
        lines.push(String::new());
        for ratio in self.ratios() {
            let shown = |what: &str| ratio[what].as_f64().map_or(UNKNOWN.to_owned(), |r| format!("{r:.2}"));
            let text = format!(
                "against {}: {} times the keys/s, {} times the CPU a key, {} times the memory a key",
                ratio["against"].as_str().unwrap_or(UNKNOWN),
                shown("keys_per_s"),
                shown("server_cpu"),
                shown("rss")
            );
            lines.extend(wrap(&text, 2));
        }
        for (side, round) in self.sides.iter().filter_map(|side| Some((side, side.standbys?))) {
            let how = format!(
                "{}: counted at {round} standby(s), drain included; acknowledged in mode {}",
                side.target.name,
                side.ack.unwrap_or(UNKNOWN)
            );
            lines.extend(wrap(&how, 2));
        }
        lines.extend(wrap(&self.others_text(), 2));
        let word = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Bad => "bad",
            Verdict::Refused => "refused",
        };
        match (&self.busy, self.verdict) {
            (Some(busy), Verdict::Ok) => lines.extend(wrap(&format!("verdict ok, although {busy}"), 2)),
            _ => lines.push(format!("verdict {word}")),
        }
        for reason in &self.reasons {
            lines.extend(wrap(&format!("  - {reason}"), 4));
        }
        lines
    }

    fn others_text(&self) -> String {
        let cores = self.others_cores.map_or(UNKNOWN.to_owned(), |cores| format!("{cores:.2}"));
        let named: Vec<String> = self.named_others().iter().map(named).collect();
        let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
        format!("others used up to {cores} of {} cores{named}", self.cores)
    }
}

fn named(other: &Value) -> String {
    let name = other["name"].as_str().unwrap_or(UNKNOWN);
    format!("{} {:.2}", cut(name, 20), other["cores"].as_f64().unwrap_or(0.0))
}

/// What makes a run bad, as sentences.
fn wrongs(sides: &[Closed]) -> Vec<String> {
    let mut reasons = Vec::new();
    for side in sides {
        let name = &side.target.name;
        if side.tally.wrong > 0 {
            let examples = side.tally.complaints.join("; ");
            reasons.push(format!("{name}: {} wrong answers: {examples}", side.tally.wrong));
        }
        reasons.extend(side.faults.iter().map(|fault| format!("{name}: {fault}")));
        if side.rounds.iter().all(|round: &Round| round.keys == 0) {
            reasons.push(format!("{name}: no key was answered"));
        }
    }
    reasons
}

/// Why figures from this machine mean nothing, if they do not.
fn busy(others_cores: Option<f64>, cores: usize) -> Option<String> {
    match others_cores {
        None => Some(
            "it is not known what else the machine was doing: name the process of each master with pid=N"
                .to_owned(),
        ),
        Some(others) if others > OTHERS_SHARE_MAX * cores as f64 => {
            Some(format!("the machine was busy: others used up to {others:.2} of {cores} cores"))
        }
        Some(_) => None,
    }
}

fn target(side: &Closed, figures: &Figures) -> Value {
    let spread = |spread: Option<Spread>| {
        spread.map(|s| json!({"median": s.median, "min": s.min, "max": s.max})).unwrap_or_default()
    };
    json!({
        "name": side.target.name, "addr": side.target.addr, "pid": side.pid, "standbys": side.standbys,
        "ack": side.ack, "rounds": side.rounds.len(),
        "keys_per_s": spread(figures.keys_per_s), "server_cpu_us_per_key": spread(figures.server_cpu_us),
        "standby_cpu_us_per_key": spread(figures.standby_cpu_us),
        "generator_cpu_us_per_key": spread(figures.generator_cpu_us),
        "drain_ms": spread(figures.drain_ms), "batch_p50_ms": spread(figures.p50_ms),
        "batch_p99_ms": spread(figures.p99_ms), "rss_bytes_per_key": side.rss_bytes_per_key,
        "keys_per_s_by_round": side.rounds.iter().map(Round::keys_per_s).collect::<Vec<_>>(),
        "wrong": side.tally.wrong,
    })
}

fn row(cells: [&str; 9]) -> String {
    let [name, rest @ ..] = cells;
    let rest: Vec<String> = rest.iter().map(|cell| format!("{cell:>7}")).collect();
    format!("{:<16}{}", cut(name, 16), rest.join(" ")).trim_end().to_owned()
}

fn row_of(side: &Closed, figures: &Figures) -> String {
    let median = |spread: Option<Spread>, digits: usize| {
        spread.map_or(UNKNOWN.to_owned(), |spread| format!("{:.digits$}", spread.median))
    };
    let apart = figures.keys_per_s.map_or(UNKNOWN.to_owned(), |spread| format!("{:.0} %", spread.percent()));
    // Where there is no standby there is nothing to know.
    let standby =
        if side.standbys.unwrap_or(0) == 0 { "-".to_owned() } else { median(figures.standby_cpu_us, 2) };
    row([
        &side.target.name,
        &median(figures.keys_per_s, 0),
        &apart,
        &median(figures.server_cpu_us, 2),
        &standby,
        &median(figures.generator_cpu_us, 2),
        &median(figures.p50_ms, 2),
        &median(figures.p99_ms, 2),
        &side.rss_bytes_per_key.map_or(UNKNOWN.to_owned(), |bytes| format!("{bytes:.0}")),
    ])
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;

//! `cargo xtask e2e failover`: real nodes, a real etcd, real bytes and a real fault; how long a client gets no good
//! answer, and that nothing that was acknowledged is lost.

pub(crate) mod avalanche;
mod cases;
pub(crate) mod chaos;
mod child;
mod cluster;
mod distribution;
mod faults;
mod finish;
mod judge;
mod limits;
mod mode;
pub(crate) mod net;
pub(crate) mod scale;
mod stage;
pub(crate) mod suite;
pub(crate) mod wall;
mod witness;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::machine;
use crate::run::{Stopwatch, build_binary, pause};
use cases::{CASES, Case, Expect};
use cluster::{Cluster, Shape};
pub(crate) use distribution::Distribution;
use faults::{LONG, Lengths, SHORT, StruckAlone};
use judge::Sum;
use mode::Mode;

/// So often may a primary be found alone, on a machine that stalls, before the case has failed.
const STRUCK_ALONE_MAX: u32 = 5;
/// The cluster runs undisturbed before each fault.
const CALM: Duration = Duration::from_millis(500);
/// A safety limit for an outage on a loaded machine, not a figure: figures go into the report.
const OUTAGE_MS_MAX: f64 = 20_000.0;

/// Which cases, how often, for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection {
    pub(crate) runs: u32,
    /// Only those of the quick selection, with short faults.
    pub(crate) quick: bool,
    /// Only this one.
    pub(crate) only: Option<&'static str>,
}

/// The name under which the released client's outages are measured alone.
const WHEEL: &str = "wheel";

/// The name of a case, if one was asked for.
///
/// # Errors
/// There is no such case; the message names all.
pub(crate) fn named(case: Option<&str>) -> Result<Option<&'static str>> {
    let Some(case) = case else { return Ok(None) };
    let names: Vec<&str> = CASES.iter().map(|c| c.name).chain([WHEEL]).collect();
    let found = names.iter().copied().find(|name| *name == case);
    found.map(Some).with_context(|| format!("`{case}` is no fault: expected one of {}", names.join(", ")))
}

impl Selection {
    /// Whether the released client is asked, too, how long it waits.
    pub(crate) fn takes_wheel(&self) -> bool {
        self.only.map_or(!self.quick, |only| only == WHEEL)
    }

    fn takes(&self, case: &Case) -> bool {
        self.only.map_or(case.quick || !self.quick, |only| only == case.name)
    }
}

/// What came of all runs of one case.
pub(crate) struct CaseReport {
    pub(crate) name: &'static str,
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
    pub(crate) reasons: Vec<String>,
    pub(crate) seconds: f64,
    outages: Vec<f64>,
    failed_calls: u64,
    failed_reads: u64,
    /// Faults that proved nothing, because the primary stood alone.
    struck_alone: u32,
    /// Keys that were lost with a primary that stood alone, as its status had said that they would be.
    lost_alone: u64,
    /// Milliseconds of each phase, as the nodes' history tells them.
    phases: Vec<(String, Vec<f64>)>,
    mode: Mode,
    /// The fault takes everything with it.
    all_lost: bool,
    /// What the failovers together might have lost, where the mode allows any.
    loss_bound: Option<u64>,
    load: Sum,
}

/// Runs the selected cases.
pub(crate) fn run(selection: Selection) -> Result<Vec<CaseReport>> {
    let (_folder, binary) = kept_binary()?;
    let mut reports = Vec::new();
    run_each(&binary, selection, |report| {
        reports.push(report);
        Ok(())
    })?;
    Ok(reports)
}

/// The same; hands in what came of a case as soon as it is over.
fn run_each(
    binary: &Path,
    selection: Selection,
    mut over: impl FnMut(CaseReport) -> Result<()>,
) -> Result<()> {
    let selected: Vec<&Case> = CASES.iter().filter(|case| selection.takes(case)).collect();
    for (nr, case) in (1..).zip(&selected) {
        eprintln!("failover {nr} of {}: {}, {} runs", selected.len(), case.name, case.runs(selection.runs));
        let watch = Stopwatch::start();
        let mut report = CaseReport::new(case);
        let missing = wall::missing().filter(|_| case.fault == faults::Fault::WallClock);
        report.skipped = missing.or_else(|| net::missing().filter(|_| case.net));
        if report.skipped.is_none()
            && let Err(error) = play(binary, case, "", selection, &mut report)
        {
            report.reasons.push(format!("{error:#}"));
        }
        report.seconds = watch.elapsed().as_secs_f64();
        eprintln!("failover {}", report.sentence());
        over(report)?;
    }
    Ok(())
}

/// Heartbeats and grants in milliseconds, down to what a small machine bears; each the least that its heartbeat allows,
/// with room.
const CURVE: [[u64; 2]; 4] = [[100, 500], [50, 300], [25, 200], [10, 150]];
/// Runs of each of them.
const CURVE_RUNS_MAX: u32 = 10;

/// kill -9 with shorter and shorter timers; hands in each point as soon as it is measured.
fn curve(binary: &Path, runs: u32, mut over: impl FnMut(Value) -> Result<()>) -> Result<()> {
    for [heartbeat, grant] in CURVE {
        let case = &CASES[0];
        let mut report = CaseReport::new(case);
        let flags = format!(
            "--heartbeat-ms {heartbeat} --grant-ms {grant} --shrink-ms {} --takeover-ms {}",
            2 * heartbeat,
            4 * heartbeat
        );
        let selection = Selection { runs: runs.min(CURVE_RUNS_MAX), quick: false, only: None };
        if let Err(error) = play(binary, case, &flags, selection, &mut report) {
            report.reasons.push(format!("{error:#}"));
        }
        eprintln!("heartbeat {heartbeat} ms, grant {grant} ms: {}", report.sentence());
        let mut point = report.to_json();
        (point["heartbeat_ms"], point["grant_ms"]) = (json!(heartbeat), json!(grant));
        over(point)?;
    }
    Ok(())
}

/// The binary under test, as it is now: a build while a long run goes on must not change what is measured.
fn kept_binary() -> Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let kept = folder.path().join("standfast");
    std::fs::copy(build_binary()?, &kept).context("cannot keep the binary")?;
    Ok((folder, kept))
}

fn play(
    binary: &Path,
    case: &Case,
    flags: &str,
    selection: Selection,
    report: &mut CaseReport,
) -> Result<()> {
    let lengths = if selection.quick { SHORT } else { LONG };
    // Where nothing may fail, a slow answer on a loaded machine is no failure; where writes wait, it is the waiting
    // that is measured.
    let patient =
        matches!(case.expect, Expect::NoFailedCall | Expect::ReadsGoOn) || case.mode == Mode::Strict;
    let canary_timeout = if patient { "2s" } else { "100ms" };
    let shape = Shape {
        members: case.members,
        net: case.net,
        wall: case.fault == faults::Fault::WallClock,
        load: true,
        canary_timeout,
        seed: 1,
        may_lose: case.mode.may_lose(1).is_some(),
        flags: format!("{} {flags}", case.mode.flags()),
    };
    let wanted = case.runs(selection.runs) as usize;
    while report.outages.len() < wanted && report.struck_alone <= STRUCK_ALONE_MAX {
        let mut cluster = Cluster::start(binary, &shape)?;
        let left = wanted - report.outages.len();
        match (0..if case.expect == Expect::AllLost { 1 } else { left })
            .try_for_each(|_| strike(&mut cluster, case, (lengths, wanted), report))
        {
            Ok(()) => {}
            // That cluster is gone; another goes on.
            Err(error) if error.is::<StruckAlone>() => {
                report.struck_alone += 1;
                note_loss(cluster.finish_after_loss(), report);
                continue;
            }
            Err(error) => {
                let words = cluster::NODES.map(|name| format!("{name} logged: {}", cluster.words(name)));
                let run = report.outages.len() + 1;
                let finished = cluster.finish(true);
                report.load.add(&finished.load);
                let found = finished.reasons.join("; ");
                return Err(error.context(format!("run {run}; {}; {found}", words.join("; "))));
            }
        }
        let history = cluster.history()?;
        note_phases(&history, report);
        if case.expect == Expect::AllLost {
            note_loss(cluster.finish_after_loss(), report);
            continue;
        }
        let finished = cluster.finish(false);
        report.reasons.extend(finished.reasons);
        if let Some(bound) = case.mode.may_lose(judge::failovers(&history)) {
            report.reasons.extend(judge::lost_too_much(&finished.load, bound));
            *report.loss_bound.get_or_insert(0) += bound;
        }
        report.load.add(&finished.load);
    }
    judge(case, report);
    Ok(())
}

/// A cluster was lost with its primary, as its status had said beforehand. What is missing for that is told apart from
/// what may not be lost.
fn note_loss(mut finished: finish::Finished, report: &mut CaseReport) {
    report.reasons.extend(finished.reasons);
    report.lost_alone += finished.load["acked_missing"].as_u64().unwrap_or(0);
    if let Some(counts) = finished.load.as_object_mut() {
        counts.retain(|field, _| !EXCUSED.contains(&field.as_str()));
    }
    report.load.add(&finished.load);
}

/// What everything being lost accounts for.
const EXCUSED: [&str; 3] = ["acked_missing", "missing_beyond", "unexpected"];

/// One fault: from a pair in sync to a pair in sync.
fn strike(
    cluster: &mut Cluster,
    case: &Case,
    (lengths, wanted): (Lengths, usize),
    report: &mut CaseReport,
) -> Result<()> {
    pause(CALM);
    // A fault proves nothing if nothing was written before it.
    cluster.progress(&cluster.counts()?)?;
    cluster.filled()?;
    // At the last moment: a primary that has just lost its standby would take everything with it, as it says itself.
    let leading = cluster.settle()?;
    let said = |cluster: &Cluster| cluster.canary.as_ref().map(child::Process::said).unwrap_or_default();
    // What it saw before is not of this fault.
    drop(said(cluster));
    case.fault.play(cluster, leading, lengths)?;
    cluster.settle()?;
    pause(CALM);
    let seen = said(cluster);
    let (outage, failed) = chaos::outage(&seen);
    report.outages.push(outage);
    report.failed_calls += failed;
    report.failed_reads += failed_reads(&seen);
    let (name, run) = (case.name, report.outages.len());
    eprintln!("failover {name}: run {run} of {wanted}, {outage:.0} ms, {failed} calls failed");
    Ok(())
}

/// Reads in vain, one after the other. A single one may have met the address of a node that is gone: a write without an
/// answer makes the client look elsewhere first.
fn failed_reads(lines: &[Value]) -> u64 {
    let reads = lines.iter().filter(|line| line["event"] == "outage" && line["kind"] == "read");
    reads.filter_map(|line| line["failed_calls"].as_u64()).filter(|failed| *failed > 1).sum()
}

fn note_phases(history: &[Value], report: &mut CaseReport) {
    for row in history.iter().filter(|row| row["kind"] == "failover" || row["kind"] == "switchover") {
        for phase in row["phases"].as_array().into_iter().flatten() {
            let (Some(name), Some(took)) = (phase["name"].as_str(), phase["took_ms"].as_f64()) else {
                continue;
            };
            match report.phases.iter_mut().find(|(known, _)| known == name) {
                Some((_, times)) => times.push(took),
                None => report.phases.push((name.to_owned(), vec![took])),
            }
        }
    }
}

fn judge(case: &Case, report: &mut CaseReport) {
    if report.struck_alone > STRUCK_ALONE_MAX {
        report
            .reasons
            .push(format!("{} times the primary stood alone when it was struck", report.struck_alone));
    }
    if case.expect == Expect::NoFailedCall && report.failed_calls > 0 {
        report.reasons.push(format!("{} calls failed, expected none", report.failed_calls));
    }
    if case.expect == Expect::ReadsGoOn && report.failed_reads > 0 {
        report.reasons.push(format!("{} reads failed, expected none", report.failed_reads));
    }
    if matches!(case.expect, Expect::Outage | Expect::ReadsGoOn) {
        let unseen = report.outages.iter().filter(|ms| **ms == 0.0).count();
        // A hand-over may fit between two calls.
        if unseen > 0 && case.fault != faults::Fault::Switchover {
            report.reasons.push(format!("{unseen} faults were not noticed by the canary"));
        }
    }
    let long = report.outages.iter().copied().fold(0.0, f64::max);
    if long > OUTAGE_MS_MAX {
        report.reasons.push(format!("an outage of {long:.0} ms, expected at most {OUTAGE_MS_MAX:.0}"));
    }
}

impl CaseReport {
    fn new(case: &Case) -> Self {
        Self {
            name: case.name,
            skipped: None,
            reasons: Vec::new(),
            seconds: 0.0,
            outages: Vec::new(),
            failed_calls: 0,
            failed_reads: 0,
            struck_alone: 0,
            lost_alone: 0,
            phases: Vec::new(),
            mode: case.mode,
            all_lost: case.expect == Expect::AllLost,
            loss_bound: None,
            load: Sum::default(),
        }
    }

    fn sentence(&self) -> String {
        let Self { name, seconds, .. } = self;
        match (&self.skipped, self.reasons.is_empty(), Distribution::of(&self.outages)) {
            (Some(why), ..) => format!("{name}: skipped: {why}"),
            (None, false, _) => format!("{name} FAILED in {seconds:.1} s: {}", self.reasons.join("; ")),
            (None, true, None) => format!("{name} ok in {seconds:.1} s"),
            (None, true, Some(d)) => format!(
                "{name} ok in {seconds:.1} s: outage p50 {:.0} ms, max {:.0} ms, {} calls failed",
                d.p50, d.max, self.failed_calls
            ),
        }
    }

    /// The case as the line of the suite has it.
    pub(crate) fn to_json(&self) -> Value {
        let phases: serde_json::Map<String, Value> = self
            .phases
            .iter()
            .map(|(name, times)| (name.clone(), json!(Distribution::of(times).map(Distribution::to_json))))
            .collect();
        json!({
            "name": self.name, "ok": self.skipped.is_none() && self.reasons.is_empty(), "skipped": self.skipped,
            "reasons": self.reasons, "runs": self.outages.len(), "seconds": self.seconds,
            "outage_ms": Distribution::of(&self.outages).map(Distribution::to_json), "outages_ms": self.outages,
            "failed_calls": self.failed_calls, "struck_alone": self.struck_alone, "lost_alone": self.lost_alone,
            "mode": self.mode.word(), "all_lost": self.all_lost, "loss_bound": self.loss_bound, "phases_ms": phases, "load": self.load.to_json(),
        })
    }
}

/// The machine that figures were measured on.
pub(crate) fn facts() -> Value {
    json!({"cores": machine::cores(), "cpu": machine::processor(), "kernel": machine::kernel()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outages: &[f64], failed_calls: u64) -> CaseReport {
        CaseReport { outages: outages.to_vec(), failed_calls, ..CaseReport::new(&CASES[0]) }
    }

    fn judged(expect: Expect, outages: &[f64], failed_calls: u64) -> usize {
        judged_as(expect, report(outages, failed_calls))
    }

    fn judged_as(expect: Expect, mut report: CaseReport) -> usize {
        judge(&Case { expect, ..CASES[0] }, &mut report);
        report.reasons.len()
    }

    #[test]
    fn what_must_not_be_noticed_is_not_and_what_must_be_is() {
        assert_eq!(judged(Expect::NoFailedCall, &[0.0], 0), 0);
        assert_eq!(judged(Expect::NoFailedCall, &[30.0], 1), 1);
        assert_eq!(judged(Expect::Outage, &[500.0], 9), 0);
        assert_eq!(judged(Expect::Outage, &[500.0, 0.0], 9), 1, "a fault that nobody noticed was none");
        assert_eq!(judged(Expect::Safety, &[0.0, 90.0], 2), 0);
        assert_eq!(judged(Expect::Safety, &[25_000.0], 2), 1);
    }

    #[test]
    fn where_writes_wait_reads_go_on() {
        let line = |kind: &str, n: u64| json!({"event": "outage", "kind": kind, "failed_calls": n});
        let failed =
            |lines: &[Value]| CaseReport { failed_reads: failed_reads(lines), ..report(&[900.0], 7) };
        assert_eq!(judged_as(Expect::ReadsGoOn, failed(&[line("write", 7)])), 0);
        assert_eq!(judged_as(Expect::ReadsGoOn, failed(&[line("write", 7), line("read", 3)])), 1);
        assert_eq!(judged_as(Expect::ReadsGoOn, failed(&[line("write", 7), line("read", 1)])), 0);
        assert_eq!(judged(Expect::ReadsGoOn, &[0.0], 0), 1, "writes were to wait");
    }

    #[test]
    fn what_is_lost_with_a_primary_alone_is_told_apart() {
        let load = json!({"event": "end", "acked_missing": 40, "missing_beyond": 40, "unexpected": 3, "wrong_bytes": 0, "returned": 0});
        let mut of = report(&[], 0);
        note_loss(finish::Finished { reasons: Vec::new(), load, canary: Value::Null }, &mut of);
        let line = of.to_json();
        assert_eq!((of.lost_alone, &line["load"]["wrong_bytes"]), (40, &json!(0)));
        assert!(EXCUSED.iter().all(|field| line["load"][field].is_null()), "{line}");
    }

    #[test]
    fn phases_come_from_failovers_only() {
        let row = |kind: &str| json!({"kind": kind, "phases": [{"name": "fence", "took_ms": 400.0}]});
        let mut of = report(&[], 0);
        note_phases(&[row("bootstrap"), row("failover"), row("failover")], &mut of);
        assert_eq!(of.phases, [("fence".to_owned(), vec![400.0, 400.0])]);
        assert_eq!(of.to_json()["phases_ms"]["fence"]["p50"], json!(400.0));
        assert!(of.to_json()["outage_ms"].is_null(), "unknown is null");
    }
}

//! `standfast trace`: one write on its way through both nodes.

use clap::Args;
use serde_json::{Value, json};
use standfast_proto::v1::recorder_client::RecorderClient;
use standfast_proto::v1::{BatchStages, GetTraceRequest, Role, WriteTrace};

use super::ClientArgs;
use super::client;
use super::exit::{Exit, Failure};
use super::status::survey;
use super::text;

const AFTER_HELP: &str = "\
Examples:
  standfast trace 4711
  standfast trace 4711 --json

Times are in milliseconds from when the primary took the request over. Those of
a standby are on the primary's clock: the offset between the two is estimated
from batches and their acknowledgements, and `+-` is how wrong it may be.
Exit code 1 when no node remembers the write, 3 when no node answers.";

/// Flags of `standfast trace`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TraceArgs {
    /// Position of the write in the log
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
}

/// Asks every node that is found and prints the path.
pub(crate) async fn run(client: &ClientArgs, args: &TraceArgs) -> Result<Exit, Failure> {
    let nodes = survey(&client.connect, false).await;
    let mut parts = Vec::new();
    for addr in nodes.answered().map(|(seen, _)| seen.addr.clone()).collect::<Vec<_>>() {
        parts.extend(ask(&addr, args.seq).await.ok());
    }
    if parts.is_empty() {
        let asked = client.connect.join(", ");
        return Err(Failure::new(Exit::Unreachable, format!("no node answers at {asked}")));
    }
    let path = Path::of(args.seq, &parts);
    if path.steps.is_empty() {
        let tail = parts.iter().map(|p| p.tail).max().unwrap_or(0);
        let known = if args.seq >= tail {
            format!("seq {} is not assigned yet: the next one is {tail}", args.seq)
        } else {
            format!("no node remembers seq {}: the recorder keeps the newest writes only", args.seq)
        };
        return Err(Failure::new(Exit::Bad, known).cure("standfast status shows the newest position"));
    }
    let shown =
        if client.json { text::print(&[path.json().to_string()]) } else { text::print(&path.lines()) };
    // Whoever closed stdout still gets the exit code.
    drop(shown);
    Ok(Exit::Ok)
}

async fn ask(addr: &str, seq: u64) -> Result<WriteTrace, String> {
    let channel = client::open(addr, client::CONNECT_LIMIT).await?;
    let call = RecorderClient::new(channel);
    let answer = client::within(client::STATUS_LIMIT, { call }.get_trace(GetTraceRequest { seq })).await;
    answer.map_err(|status| status.message().to_owned())
}

/// One stage, at a time in nanoseconds from the path's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    stage: &'static str,
    node: String,
    at_ns: i64,
    /// By how much it may be wrong because the clocks are two.
    error_ns: u64,
}

/// A write's way, put together from what each node told.
#[derive(Debug, Clone)]
struct Path {
    seq: u64,
    about: WriteTrace,
    steps: Vec<Step>,
    /// Standbys whose own times cannot be placed: their clock is not known.
    unplaced: Vec<String>,
}

impl Path {
    fn of(seq: u64, parts: &[WriteTrace]) -> Self {
        // Whoever decided it tells most; after a failover that may be nobody.
        let is_origin =
            |p: &&WriteTrace| p.request.is_some() || p.batches.iter().any(|b| b.sent_ns.is_some());
        let origin = parts.iter().find(is_origin).or_else(|| parts.iter().find(|p| !p.batches.is_empty()));
        let Some(origin) = origin else {
            return Self { seq, about: WriteTrace::default(), steps: Vec::new(), unplaced: Vec::new() };
        };
        let mut path = Self { seq, about: origin.clone(), steps: Vec::new(), unplaced: Vec::new() };
        path.own(origin);
        for part in parts.iter().filter(|p| p.node != origin.node) {
            path.standby(origin, part);
        }
        path.steps.sort_by_key(|step| step.at_ns);
        let begin = path.steps.first().map_or(0, |step| step.at_ns);
        path.steps.iter_mut().for_each(|step| step.at_ns -= begin);
        path
    }

    fn step(&mut self, stage: &'static str, node: &str, at_ns: Option<i64>, error_ns: u64) {
        if let Some(at_ns) = at_ns {
            self.steps.push(Step { stage, node: node.to_owned(), at_ns, error_ns });
        }
    }

    /// What a node saw, on its own clock.
    fn own(&mut self, part: &WriteTrace) {
        let node = &part.node;
        if let Some(r) = &part.request {
            self.step("received", node, Some(r.received_ns as i64), 0);
            self.step("decided", node, Some(r.decided_ns as i64), 0);
            self.step("appended", node, Some(r.appended_ns as i64), 0);
            self.step("replied", node, r.replied_ns.map(|ns| ns as i64), 0);
        }
        for b in &part.batches {
            let to = format!("{node} -> {}", b.standby);
            self.step("sent", &to, b.sent_ns.map(|ns| ns as i64), 0);
            self.step("acked", &format!("{node} <- {}", b.standby), b.acked_ns.map(|ns| ns as i64), 0);
            self.step("committed", node, b.committed_ns.map(|ns| ns as i64), 0);
            self.received(b, 0, 0);
        }
    }

    /// What a standby saw, on the clock of whoever sent it.
    fn standby(&mut self, origin: &WriteTrace, part: &WriteTrace) {
        let clock = origin.clocks.iter().find(|c| c.standby == part.node);
        let received = part.batches.iter().filter(|b| b.received_ns.is_some());
        for b in received {
            match clock {
                Some(clock) => self.received(b, clock.offset_ns, clock.error_ns),
                None => self.unplaced.push(part.node.clone()),
            }
        }
    }

    fn received(&mut self, b: &BatchStages, offset_ns: i64, error_ns: u64) {
        let here = |ns: Option<u64>| ns.map(|ns| ns as i64 - offset_ns);
        self.step("standby_received", &b.standby, here(b.received_ns), error_ns);
        self.step("standby_applied", &b.standby, here(b.applied_ns), error_ns);
    }

    fn key(&self) -> Option<String> {
        self.about.key.as_ref().map(|key| key.escape_ascii().to_string())
    }

    fn lines(&self) -> Vec<String> {
        let a = &self.about;
        let word = |text: Option<String>| text.unwrap_or_else(|| text::UNKNOWN.to_owned());
        let mut lines = vec![text::cut(
            &format!(
                "seq {}  epoch {}  {}  key {}",
                self.seq,
                text::number(a.epoch),
                word(a.op.clone()),
                word(self.key())
            ),
            text::COLUMNS,
        )];
        if let Some(r) = &a.request {
            let trace = r.trace_id.clone().unwrap_or_else(|| "not sampled".to_owned());
            lines.push(format!("by {} over {}  trace {trace}", r.call, r.door));
        }
        lines.push(String::new());
        for s in &self.steps {
            let error =
                if s.error_ns == 0 { String::new() } else { format!("  +- {}", millis(s.error_ns as i64)) };
            lines.push(format!(
                "  {:<18}{:<24}{:>12} ms{error}",
                s.stage,
                text::cut(&s.node, 23),
                millis(s.at_ns)
            ));
        }
        lines.push(String::new());
        for c in &a.clocks {
            lines.push(format!(
                "clock of {}: {} ms from {}'s, +- {} ms (best of {}, {} ms old)",
                c.standby,
                millis(c.offset_ns),
                a.node,
                millis(c.error_ns as i64),
                c.samples,
                c.age_ms
            ));
        }
        for node in &self.unplaced {
            lines.push(format!("{node} has it, too, but its clock is not known: it is not connected"));
        }
        if a.role() == Role::Standby {
            lines.push(format!("only {} remembers it: times are from its own clock", a.node));
        }
        lines
    }

    fn json(&self) -> Value {
        let a = &self.about;
        let request = a.request.as_ref();
        let step = |s: &Step| {
            json!({
                "stage": s.stage, "node": s.node, "at_ms": s.at_ns as f64 / 1e6, "error_ms": s.error_ns as f64 / 1e6,
            })
        };
        let clock = |c: &standfast_proto::v1::ClockOffset| {
            json!({
                "standby": c.standby, "offset_ms": c.offset_ns as f64 / 1e6, "error_ms": c.error_ns as f64 / 1e6,
                "samples": c.samples, "age_ms": c.age_ms,
            })
        };
        json!({
            "schema": 1, "seq": self.seq, "epoch": a.epoch, "op": a.op, "key": self.key(),
            "call": request.map(|r| &r.call), "door": request.map(|r| &r.door),
            "trace_id": request.and_then(|r| r.trace_id.as_ref()), "node": a.node,
            "path": self.steps.iter().map(step).collect::<Vec<_>>(),
            "clocks": a.clocks.iter().map(clock).collect::<Vec<_>>(),
            "unplaced": self.unplaced,
        })
    }
}

fn millis(ns: i64) -> String {
    format!("{:.3}", ns as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::{ClockOffset, RequestStages};

    use super::*;

    fn primary() -> WriteTrace {
        let request = RequestStages {
            received_ns: 1_000_000,
            decided_ns: 1_100_000,
            appended_ns: 1_200_000,
            replied_ns: Some(3_000_000),
            ..RequestStages::default()
        };
        let sent = BatchStages {
            standby: "b".into(),
            sent_ns: Some(1_300_000),
            acked_ns: Some(2_800_000),
            committed_ns: Some(2_900_000),
            ..BatchStages::default()
        };
        let clock =
            ClockOffset { standby: "b".into(), offset_ns: -900_000, error_ns: 50_000, samples: 3, age_ms: 1 };
        WriteTrace {
            node: "a".into(),
            request: Some(request),
            batches: vec![sent],
            clocks: vec![clock],
            tail: 9,
            ..WriteTrace::default()
        }
    }

    fn standby() -> WriteTrace {
        let batch = BatchStages {
            standby: "b".into(),
            received_ns: Some(900_000),
            applied_ns: Some(1_000_000),
            ..BatchStages::default()
        };
        WriteTrace {
            node: "b".into(),
            role: Role::Standby.into(),
            batches: vec![batch],
            ..WriteTrace::default()
        }
    }

    #[test]
    fn the_path_is_in_order_on_the_primarys_clock() {
        let path = Path::of(7, &[standby(), primary()]);
        let stages: Vec<(&str, i64)> = path.steps.iter().map(|s| (s.stage, s.at_ns)).collect();
        let expected = [
            ("received", 0),
            ("decided", 100_000),
            ("appended", 200_000),
            ("sent", 300_000),
            ("standby_received", 800_000),
            ("standby_applied", 900_000),
            ("acked", 1_800_000),
            ("committed", 1_900_000),
            ("replied", 2_000_000),
        ];
        assert_eq!(stages, expected);
        let json = path.json();
        assert_eq!((&json["path"][4]["at_ms"], &json["path"][4]["error_ms"]), (&0.8.into(), &0.05.into()));
        assert!(json["key"].is_null() && json["trace_id"].is_null(), "unknown is null: {json}");
        assert!(path.lines().iter().all(|line| line.chars().count() <= text::COLUMNS), "{:?}", path.lines());
    }

    #[test]
    fn a_standby_whose_clock_is_not_known_is_named_and_not_placed() {
        let path = Path::of(7, &[WriteTrace { clocks: Vec::new(), ..primary() }, standby()]);
        assert_eq!(path.unplaced, ["b"]);
        assert!(path.steps.iter().all(|s| !s.stage.starts_with("standby")));
        let alone = Path::of(7, &[standby()]);
        assert_eq!(alone.steps.iter().map(|s| s.at_ns).collect::<Vec<_>>(), [0, 100_000]);
        assert!(Path::of(7, &[]).steps.is_empty());
    }
}

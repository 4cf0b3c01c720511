//! `standfast canary`: one small client in a process of its own, which writes and reads all the time and says how
//! long it got no good answer. What it sees is what clients see.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use standfast_proto::v1::{
    ErrorCode, GetReplicaListRequest, PutEndItem, PutEndRequest, PutStartItem, PutStartRequest,
    RemoveRequest, ReplicateConfig, Uuid,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::exit::{Exit, Failure};
use super::load::route::{Answer, Caller, Route};
use super::load::workload::code;
use super::{ClientArgs, duration, text};
use crate::outbound::BootClock;
use crate::ports::Clock as _;

const AFTER_HELP: &str = "\
One line of JSON for each outage, and one at the end. An outage lasts from the
last good answer before failed calls to the first good one after them. A write
is good when it was begun and ended; a lack of space is an answer, too.

Example: standfast canary --connect h1:50052,h2:50052 --for 60s";

/// A key is removed when so many others were written after it.
const KEYS_KEPT: u64 = 64;
/// At most so many of those that wait for it.
const REMOVED_AT_ONCE: usize = 64;
const VALUE_BYTES: u64 = 64;

/// Flags of `standfast canary`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CanaryArgs {
    /// How long; without, until SIGINT or SIGTERM
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    period: Option<Duration>,
    /// Pause between two calls
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = duration::parse)]
    pause: Duration,
    /// A call that takes longer has failed
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration::parse)]
    timeout: Duration,
    /// Stop when stdin ends: whoever started this is gone then, however it went
    #[arg(long, hide = true)]
    pub(crate) exit_with_stdin: bool,
}

/// Writes and reads until it is told to stop, or its time is over.
pub(crate) async fn run(client: &ClientArgs, args: &CanaryArgs) -> Result<Exit, Failure> {
    let ends =
        |kind| signal(kind).map_err(|e| Failure::new(Exit::Bad, format!("cannot listen for signals: {e}")));
    let (mut interrupt, mut terminate) = (ends(SignalKind::interrupt())?, ends(SignalKind::terminate())?);
    let mut canary = Canary::new(client.connect.clone(), args.timeout);
    let over = async {
        match args.period {
            Some(period) => sleep(period).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        never = canary.sing(args.pause, say) => never,
        () = over => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    let (line, good) = (canary.summary(), canary.is_good());
    say(&line);
    Ok(if good { Exit::Ok } else { Exit::Bad })
}

fn say(line: &Value) {
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&[line.to_string()]));
    let _ = std::io::stdout().flush();
}

/// Whether an old key needs no other removal. One that was never ended is given up by the master.
fn is_gone(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Ok | ErrorCode::ObjectNotFound | ErrorCode::ReplicaIsNotReady)
}

/// The client.
pub(crate) struct Canary {
    caller: Caller,
    id: Uuid,
    written: u64,
    /// Keys that are to be removed.
    old: Vec<u64>,
    writes: Watch,
    reads: Watch,
}

impl Canary {
    /// One that has not called yet.
    pub(crate) fn new(addrs: Vec<String>, timeout: Duration) -> Self {
        let route = Arc::new(Route::new(addrs));
        Self {
            caller: Caller::with_limit(route, timeout),
            id: Uuid { first: rand::random(), second: rand::random() },
            written: 0,
            old: Vec::new(),
            writes: Watch::new("write"),
            reads: Watch::new("read"),
        }
    }

    /// Goes on for ever, and tells of each outage when it is over.
    pub(crate) async fn sing(&mut self, pause: Duration, tell: impl Fn(&Value)) -> ! {
        loop {
            let began = Instant::now();
            let good = self.write().await;
            self.writes.saw(good, began, Instant::now()).iter().for_each(&tell);
            sleep(pause).await;
            let began = Instant::now();
            let good = self.read().await;
            self.reads.saw(good, began, Instant::now()).iter().for_each(&tell);
            sleep(pause).await;
        }
    }

    fn key(&self, nr: u64) -> bytes::Bytes {
        format!("canary/{:016x}/{nr}", self.id.first).into_bytes().into()
    }

    /// One key, begun and ended. A key whose end failed is not tried again.
    async fn write(&mut self) -> bool {
        self.written += 1;
        self.old.extend(self.written.checked_sub(KEYS_KEPT).filter(|old| *old > 0));
        let (key, client) = (self.key(self.written), Some(self.id));
        let items = vec![PutStartItem { key: key.clone(), size: VALUE_BYTES }];
        let config = Some(ReplicateConfig { replica_num: 1, ..ReplicateConfig::default() });
        let start = PutStartRequest { client, config, items, tenant: String::new() };
        let Answer::Reply(begun) = self.caller.call(|mut m| async move { m.put_start(start).await }).await
        else {
            return false;
        };
        if begun.results.first().is_none_or(|result| code(result.error.as_ref()) != ErrorCode::Ok) {
            self.tidy().await;
            return true;
        }
        let items = vec![PutEndItem { key, checksum: None }];
        let end = PutEndRequest { client, items, tenant: String::new() };
        let Answer::Reply(ended) = self.caller.call(|mut m| async move { m.put_end(end).await }).await else {
            return false;
        };
        self.tidy().await;
        ended.results.first().is_some_and(|result| code(result.error.as_ref()) == ErrorCode::Ok)
    }

    /// Removes old keys, by force: it reads each of them itself, and a lease would make it leave one behind with every
    /// write. What was not answered, or is not good yet, is tried again with the next write.
    async fn tidy(&mut self) {
        let asked: Vec<u64> = self.old.iter().copied().take(REMOVED_AT_ONCE).collect();
        if asked.is_empty() {
            return;
        }
        let keys = asked.iter().map(|&nr| self.key(nr)).collect();
        let remove = RemoveRequest { keys, force: true, tenant: String::new() };
        let answer = self.caller.call(|mut m| async move { m.remove(remove).await }).await;
        let Answer::Reply(reply) = answer else { return };
        let gone = |nr: u64| {
            let at = asked.iter().position(|asked| *asked == nr);
            let result = at.and_then(|at| reply.results.get(at));
            result.is_some_and(|result| is_gone(code(result.error.as_ref())))
        };
        self.old.retain(|&nr| !gone(nr));
    }

    /// The newest key; that it is not there is an answer, too.
    async fn read(&mut self) -> bool {
        let get = GetReplicaListRequest { keys: vec![self.key(self.written)], tenant: String::new() };
        matches!(
            self.caller.call(|mut m| async move { m.get_replica_list(get).await }).await,
            Answer::Reply(_)
        )
    }

    /// The longest time without a good write; `None` where none was ever good.
    pub(crate) fn write_outage(&self) -> Option<Duration> {
        (self.writes.good > 0).then_some(self.writes.longest)
    }

    /// It was answered, and is still.
    pub(crate) fn is_good(&self) -> bool {
        [&self.writes, &self.reads].iter().all(|watch| watch.good > 0 && watch.failing_since.is_none())
    }

    fn summary(&self) -> Value {
        json!({"schema": 1, "event": "end", "write": self.writes.summary(), "read": self.reads.summary(),
            "unremoved": self.old.len()})
    }
}

/// What became of calls of one kind.
struct Watch {
    kind: &'static str,
    good: u64,
    failed: u64,
    outages: u64,
    longest: Duration,
    /// When the last good answer came.
    last_good: Option<Instant>,
    /// Calls that have failed since then, and when the first of them was sent.
    failing: u64,
    failing_since: Option<Instant>,
    /// Of good calls, in microseconds; the newest.
    took_us: Vec<u64>,
}

/// Latencies kept.
const TIMES_MAX: usize = 200_000;

impl Watch {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            good: 0,
            failed: 0,
            outages: 0,
            longest: Duration::ZERO,
            last_good: None,
            failing: 0,
            failing_since: None,
            took_us: Vec::new(),
        }
    }

    /// A call of this kind has ended. Returns the outage that is over with it.
    fn saw(&mut self, good: bool, began: Instant, ended: Instant) -> Option<Value> {
        if !good {
            self.failed += 1;
            self.failing += 1;
            self.failing_since.get_or_insert(began);
            return None;
        }
        self.good += 1;
        if self.took_us.len() < TIMES_MAX {
            self.took_us.push((ended - began).as_micros() as u64);
        }
        let since = self.last_good.replace(ended);
        let outage = self.failing_since.take().map(|failing| ended - since.unwrap_or(failing));
        let failed = std::mem::take(&mut self.failing);
        outage.map(|outage| {
            self.outages += 1;
            self.longest = self.longest.max(outage);
            let now = BootClock.wall().0 as i64;
            json!({
                "schema": 1, "event": "outage", "kind": self.kind, "ms": ms(outage), "failed_calls": failed,
                "began": text::rfc3339(now - outage.as_micros() as i64), "ended": text::rfc3339(now),
            })
        })
    }

    fn summary(&self) -> Value {
        let mut sorted = self.took_us.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let rank = (sorted.len() as f64 * share).ceil() as usize;
            sorted.get(rank.checked_sub(1)?).map(|us| *us as f64 / 1e3)
        };
        json!({
            "good": self.good, "failed": self.failed, "outages": self.outages,
            "longest_ms": (self.good > 0).then(|| ms(self.longest)), "failing_now": self.failing_since.is_some(),
            "took_ms": {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)},
        })
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_good_answer_to_good_answer() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new("write");
        assert_eq!(watch.saw(true, at(0), at(2)), None);
        assert_eq!(watch.saw(false, at(3), at(103)), None);
        assert_eq!(watch.saw(false, at(104), at(204)), None);
        let outage = watch.saw(true, at(500), at(502)).expect("it is over");
        assert_eq!((&outage["ms"], &outage["failed_calls"]), (&json!(500.0), &json!(2)));
        assert_eq!(watch.saw(true, at(900), at(901)), None, "a slow client is no outage");
        let summary = watch.summary();
        assert_eq!((&summary["outages"], &summary["longest_ms"]), (&json!(1), &json!(500.0)));
        assert_eq!(summary["took_ms"]["p50"], json!(2.0));
    }

    #[test]
    fn nothing_seen_is_null() {
        let mut watch = Watch::new("read");
        assert!(watch.summary()["longest_ms"].is_null());
        let now = Instant::now();
        watch.saw(false, now, now);
        assert_eq!(watch.summary()["failing_now"], json!(true));
    }

    #[tokio::test]
    async fn a_canary_that_reaches_nobody_says_so() {
        let mut canary = Canary::new(vec!["127.0.0.1:1".into()], Duration::from_millis(100));
        assert!(!canary.write().await && !canary.read().await);
        assert!(!canary.is_good());
        canary.written = KEYS_KEPT;
        assert!(!canary.write().await);
        canary.tidy().await;
        assert_eq!(canary.old, [1], "what was not removed is tried again");
    }
}

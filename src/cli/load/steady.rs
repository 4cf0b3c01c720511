//! `standfast lab steady`: puts of one key at a steady pace into a crowd's first segment, each timed. SIGUSR1 asks how
//! many there were, SIGUSR2 also how long they took since it came last. In the end it looks whether all that was
//! acknowledged is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::signal::unix::SignalKind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::super::ClientArgs;
use super::super::exit::{Exit, Failure};
use super::count::{Counted, count};
use super::crowd::{CHANGE_LIMIT, filler, key, percentiles, put, segment_name};
use super::process::{asked_to_end, listen, say};
use super::route::{Caller, Route};

/// Each with a connection of its own.
const WRITERS: u64 = 4;
/// Timings kept between two SIGUSR2.
const TIMES_MAX: usize = 2_000_000;
/// Puts whose numbers are kept because they were not acknowledged; after as many, the run shows nothing.
const LOST_MAX: usize = 100_000;

/// Flags of `standfast lab steady`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SteadyArgs {
    /// Which crowd this is: it names clients and keys
    #[arg(long, value_name = "N")]
    crowd: u16,
    /// The crowd that lends the memory
    #[arg(long, value_name = "N")]
    into: u16,
    /// Puts a second
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
}

/// What all writers share.
struct Steady {
    args: SteadyArgs,
    began: Instant,
    stop: AtomicBool,
    begun: AtomicU64,
    acked: AtomicU64,
    window: Mutex<Window>,
    lost: Mutex<Lost>,
}

/// What was acknowledged since SIGUSR2 came last.
struct Window {
    since: Instant,
    puts: u64,
    took_us: Vec<u64>,
}

impl Window {
    fn new() -> Self {
        Self { since: Instant::now(), puts: 0, took_us: Vec::new() }
    }
}

/// Puts that were not acknowledged.
#[derive(Default)]
struct Lost {
    count: u64,
    numbers: Vec<u64>,
    why: Option<String>,
}

impl Steady {
    fn new(args: SteadyArgs) -> Self {
        Self {
            args,
            began: Instant::now(),
            stop: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            window: Mutex::new(Window::new()),
            lost: Mutex::default(),
        }
    }

    /// When a put is to begin.
    fn due(&self, nr: u64) -> Instant {
        self.began + Duration::from_secs_f64(nr as f64 / f64::from(self.args.rate))
    }

    fn acked(&self, took: Duration) {
        self.acked.fetch_add(1, Ordering::Relaxed);
        let mut window = self.window.lock();
        window.puts += 1;
        if window.took_us.len() < TIMES_MAX {
            window.took_us.push(took.as_micros() as u64);
        }
    }

    fn lost(&self, nr: u64, why: String) {
        let mut lost = self.lost.lock();
        lost.count += 1;
        if lost.numbers.len() < LOST_MAX {
            lost.numbers.push(nr);
        }
        lost.why.get_or_insert(why);
    }

    /// One writer: every so-many-th put, one after the other. Returns how many it began.
    async fn write(&self, mut caller: Caller, writer: u64) -> u64 {
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let nr = turn * WRITERS + writer;
            let since = ring(self.due(nr)).await;
            self.begun.fetch_add(1, Ordering::Relaxed);
            let (client, segment) = (filler(self.args.crowd, writer), segment_name(self.args.into, 0));
            match put(&mut caller, client, segment, vec![key(self.args.crowd, nr)]).await {
                Ok(()) => self.acked(since.elapsed()),
                Err(why) => self.lost(nr, why),
            }
            turn += 1;
        }
        turn
    }

    fn told(&self, event: &str) -> Value {
        let lost = self.lost.lock();
        json!({
            "schema": 1, "event": event, "begun": self.begun.load(Ordering::Relaxed),
            "acked": self.acked.load(Ordering::Relaxed), "not_acked": lost.count, "why": lost.why,
        })
    }

    /// The same with what was timed; timing begins anew.
    fn turn(&self) -> Value {
        // Sorted without the lock, which every put needs.
        let window = std::mem::replace(&mut *self.window.lock(), Window::new());
        let mut told = self.told("window");
        told["window"] = json!({
            "puts": window.puts, "seconds": window.since.elapsed().as_secs_f64(),
            "put_ms": percentiles(&window.took_us),
        });
        told
    }

    /// Answers signals, for ever.
    async fn answer(&self) -> Result<(), Failure> {
        let (mut asked, mut turned) =
            (listen(SignalKind::user_defined1())?, listen(SignalKind::user_defined2())?);
        say(&json!({"schema": 1, "event": "putting", "pid": std::process::id()}));
        loop {
            tokio::select! {
                _ = asked.recv() => say(&self.told("puts")),
                _ = turned.recv() => say(&self.turn()),
            }
        }
    }

    /// Numbers of all puts that were acknowledged; each writer began so many.
    fn all_acked(&self, turns: &[(u64, u64)]) -> Vec<u64> {
        let begun = turns.iter().flat_map(|(writer, turns)| (0..*turns).map(move |t| t * WRITERS + writer));
        let mut lost = self.lost.lock().numbers.clone();
        lost.sort_unstable();
        begun.filter(|nr| lost.binary_search(nr).is_err()).collect()
    }
}

/// Waits until then; returns from when on a put counts. A timer that rings late is no fault of the master's, a put that
/// waits for the one before it is.
async fn ring(due: Instant) -> Instant {
    if Instant::now() >= due {
        return due;
    }
    sleep_until(due).await;
    Instant::now()
}

/// Puts until it is asked to end.
pub(crate) async fn run(client: &ClientArgs, args: &SteadyArgs) -> Result<Exit, Failure> {
    let route = Arc::new(Route::new(client.connect.clone()));
    let steady = Arc::new(Steady::new(args.clone()));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (steady, caller) = (Arc::clone(&steady), Caller::with_limit(Arc::clone(&route), CHANGE_LIMIT));
        writers.spawn(async move { (writer, steady.write(caller, writer).await) });
    }
    tokio::select! {
        asked = asked_to_end() => asked?,
        answered = steady.answer() => answered?,
    }
    steady.stop.store(true, Ordering::Relaxed);
    // Each call has its limit.
    let turns = writers.join_all().await;
    let keys = steady.all_acked(&turns).into_iter().map(|nr| key(args.crowd, nr));
    let Counted { present, unanswered, .. } = count(&mut Caller::new(route), keys).await;
    let mut end = steady.told("end");
    (end["present"], end["unanswered"]) = (json!(present), json!(unanswered));
    say(&end);
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady() -> Steady {
        Steady::new(SteadyArgs { crowd: 1, into: 0, rate: 1_000 })
    }

    #[test]
    fn what_was_not_acknowledged_is_counted_and_not_looked_for() {
        let steady = steady();
        steady.lost(WRITERS, "no answer".to_owned());
        steady.acked(Duration::from_millis(2));
        let told = steady.told("puts");
        assert_eq!(
            (&told["acked"], &told["not_acked"], &told["why"]),
            (&json!(1), &json!(1), &json!("no answer"))
        );
        assert_eq!(steady.turn()["window"]["put_ms"]["p99"], json!(2.0));
        assert_eq!(steady.turn()["window"]["puts"], json!(0), "it begins anew");
        assert_eq!(steady.all_acked(&[(0, 2), (1, 1)]), [0, 1], "the second turn of writer 0 was lost");
    }

    #[test]
    fn a_window_without_puts_has_no_percentiles() {
        assert!(steady().turn()["window"]["put_ms"]["p50"].is_null());
    }

    #[tokio::test]
    async fn a_put_counts_from_when_it_was_due_if_another_one_was_in_its_way() {
        let past = Instant::now();
        assert_eq!(ring(past).await, past);
        let due = Instant::now() + Duration::from_millis(5);
        assert!(ring(due).await >= due);
    }
}

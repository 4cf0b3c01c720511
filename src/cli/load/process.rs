//! The load and its lender as processes of their own: `standfast lab lend` and `standfast lab load`. Lent memory is
//! files in a folder, so that its bytes outlive whoever lends or writes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::exit::{Exit, Failure};
use super::super::{ClientArgs, text};
use super::ledger::{Ledger, State, read};
use super::lender::{SEGMENT_BYTES, mount, stay_alive};
use super::memory::Memory;
use super::readback::{self, Reader};
use super::route::{Caller, Route};
use super::workload::{World, Writer};

const WRITERS: u32 = 4;
const READERS: u64 = 2;
/// Of all keys that were begun, so many may be in an unknown state at the end.
const OPEN_SHARE_MAX: f64 = 0.2;
/// Shares of puts and removals; faults follow each other, so that more stays unknown than in a demo.
const UNKNOWN_SHARE_MAX: f64 = 0.4;
const NO_SPACE_SHARE_MAX: f64 = 0.5;
/// However short the run: a fault leaves each writer with one batch.
const ONE_FAULT: f64 = WRITERS as f64 * 256.0;
/// For clients to end their turns.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Flags of `standfast lab lend`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LendArgs {
    /// Where the lent memory is, a file a segment
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// How many segments of 8 MiB
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    segments: u32,
}

/// Flags of `standfast lab load`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Where a lender keeps its memory
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// How many keys are written
    #[arg(long, value_name = "N", default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    keys: u32,
    /// Any failover may lose what was acknowledged: that is counted, not judged
    #[arg(long)]
    may_lose: bool,
    /// Chooses what is written when
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// From now on that signal does not end the process.
pub(super) fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|e| Failure::new(Exit::Bad, format!("cannot listen for signals: {e}")))
}

/// Resolves when the process is asked to end.
pub(super) async fn asked_to_end() -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

pub(super) fn say(line: &Value) {
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&[line.to_string()]));
}

/// Lends memory until it is asked to end. A lender that is started again over the same folder is the same one: it
/// says again what it lends, with the bytes as they are.
pub(crate) async fn lend(client: &ClientArgs, args: &LendArgs) -> Result<Exit, Failure> {
    let memory = Memory::in_folder(args.folder.clone());
    let world = Arc::new(World::with_memory(1, client.connect.clone(), memory));
    let mut lender = Caller::new(Arc::clone(&world.route));
    let lending = async {
        for _ in 0..args.segments {
            mount(&mut lender, &world).await?;
        }
        say(&json!({"schema": 1, "event": "lent", "segments": args.segments, "pid": std::process::id()}));
        stay_alive(world).await;
        Ok(())
    };
    tokio::select! {
        lent = lending => lent?,
        asked = asked_to_end() => asked?,
    }
    Ok(Exit::Ok)
}

/// Says what was counted each time that SIGUSR1 comes.
async fn tell_counts(world: &World) -> Result<(), Failure> {
    let mut asked = listen(SignalKind::user_defined1())?;
    while asked.recv().await.is_some() {
        say(&counts_of(&world.ledger, "counts"));
    }
    Ok(())
}

/// Writes and reads until it is asked to end; then reads every key back and says what it found.
pub(crate) async fn load(client: &ClientArgs, args: &LoadArgs) -> Result<Exit, Failure> {
    let memory = Memory::in_folder(args.folder.clone());
    memory.attach(SEGMENT_BYTES).map_err(|wrong| Failure::new(Exit::Bad, wrong.0))?;
    let world = Arc::new(World::with_memory(args.keys, client.connect.clone(), memory));
    // Primaries die at any time: a write whose start was lost may be refused its end.
    let _ = world.outage.began.set(Instant::now());
    if args.may_lose {
        world.ledger.may_lose_from(Instant::now());
    }
    let mut clients = start(&world, client, args.seed);
    say(&json!({"schema": 1, "event": "loading", "pid": std::process::id()}));
    tokio::select! {
        asked = asked_to_end() => asked?,
        told = tell_counts(&world) => told?,
    }
    world.stop.store(true, Ordering::Relaxed);
    let stopped =
        tokio::time::timeout(STOP_LIMIT, async { while clients.join_next().await.is_some() {} }).await;
    clients.shutdown().await;
    let unread = readback::read_all(&world).await;
    let (line, good) = verdict(&world, unread, stopped.is_ok());
    say(&line);
    Ok(if good { Exit::Ok } else { Exit::Bad })
}

/// Writers, readers that go where the primary is, and one reader for each node, which asks that node whatever its role:
/// a node that was deposed must not answer with what it knew.
fn start(world: &Arc<World>, client: &ClientArgs, seed: u64) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let share = world.ledger.len() / WRITERS;
    for nr in 0..WRITERS {
        let writer = Writer::new(world, nr, nr * share..(nr + 1) * share, seed);
        clients.spawn(writer.run());
    }
    for nr in 0..READERS {
        clients.spawn(Reader::new(world, seed ^ (nr + 1)).run());
    }
    for (nr, addr) in client.connect.iter().enumerate() {
        let route = Arc::new(Route::new(vec![addr.clone()]));
        clients.spawn(Reader::by_way_of(world, route, seed ^ (nr as u64 + 101)).run());
    }
    clients
}

/// Keys that were ever begun, by what is known of them at the end.
struct Known {
    begun: u64,
    /// Acknowledged as put or as removed: the final reading judges them.
    judged: u64,
}

fn known(ledger: &Ledger) -> Known {
    let begun = (0..ledger.len()).map(|key| ledger.get(key)).filter(|entry| entry.attempt > 0);
    begun.fold(Known { begun: 0, judged: 0 }, |sum, entry| Known {
        begun: sum.begun + 1,
        judged: sum.judged + u64::from(matches!(entry.state, State::Acked | State::Absent)),
    })
}

/// What was counted until now; also asked for by SIGUSR1.
fn counts_of(ledger: &Ledger, event: &str) -> Value {
    let counts = &ledger.counts;
    json!({
        "schema": 1, "event": event, "puts_acked": read(&counts.puts_acked),
        "removes_acked": read(&counts.removes_acked), "unknown": read(&counts.unknown),
        "no_space": read(&counts.no_space), "reads_checked": read(&counts.reads_checked),
        "acked_missing": read(&counts.acked_missing), "missing_beyond": read(&counts.missing_beyond),
        "returned": read(&counts.returned), "wrong_bytes": read(&counts.wrong_bytes),
        "unexpected": read(&counts.unexpected), "complaints": ledger.complaints(),
    })
}

/// Why the run is not good: what is wrong, and what it did not show.
fn verdict(world: &World, unread: u64, stopped: bool) -> (Value, bool) {
    let ledger = &world.ledger;
    let Known { begun, judged } = known(ledger);
    let asked = ledger.acked_now().saturating_sub(unread);
    let mut line = counts_of(ledger, "end");
    let count = |field: &str| line[field].as_u64().unwrap_or(0);
    let mut wrong = Vec::new();
    for field in ["missing_beyond", "returned", "wrong_bytes", "unexpected"] {
        wrong.extend((count(field) > 0).then(|| format!("{field} is {}, expected 0", count(field))));
    }
    let mut gaps = Vec::new();
    let mut need = |ok: bool, text: String| gaps.extend((!ok).then_some(text));
    need(stopped, "clients did not end their turns".to_owned());
    need(unread == 0, format!("{unread} acknowledged keys could not be read back"));
    for (field, what) in [("puts_acked", "put"), ("removes_acked", "removal"), ("reads_checked", "read")] {
        need(count(field) > 0, format!("no {what} was good"));
    }
    need(asked > 0, "no acknowledged key was read back".to_owned());
    let all = count("puts_acked") + count("removes_acked") + count("unknown") + count("no_space");
    for (few, of, share, what) in [
        (begun - judged, begun, OPEN_SHARE_MAX, "keys did not end in a known state"),
        (count("unknown"), all, UNKNOWN_SHARE_MAX, "puts and removals have an unknown outcome"),
        (count("no_space"), all, NO_SPACE_SHARE_MAX, "puts and removals found no space"),
    ] {
        let max = (share * of as f64).max(ONE_FAULT);
        need(few as f64 <= max, format!("{few} of {of} {what}, expected at most {max:.0}"));
    }
    let word = if !wrong.is_empty() {
        "bad"
    } else if !gaps.is_empty() {
        "incomplete"
    } else {
        "ok"
    };
    wrong.append(&mut gaps);
    line["verdict"] = json!(word);
    line["good"] = json!(word == "ok");
    line["reasons"] = json!(wrong);
    line["stopped"] = json!(stopped);
    (line["read_back"], line["unread"]) = (json!(asked), json!(unread));
    (line["keys_begun"], line["keys_judged"]) = (json!(begun), json!(judged));
    (line, word == "ok")
}

#[cfg(test)]
mod tests {
    use super::super::ledger::add;
    use super::*;

    /// All but the last are there.
    const KEYS: u32 = 6_000;

    fn all_keys() -> World {
        let world = World::new(KEYS, vec!["127.0.0.1:1".into()]);
        for key in 0..KEYS {
            world.ledger.begin(key);
            world.ledger.set(key, State::Acked);
        }
        remove(&world, KEYS - 1);
        add(&world.ledger.counts.reads_checked);
        world
    }

    fn remove(world: &World, key: u32) {
        world.ledger.set(key, State::Removing);
        world.ledger.set(key, State::Absent);
    }

    fn word(change: impl FnOnce(&World), unread: u64, stopped: bool) -> String {
        let world = all_keys();
        change(&world);
        let (line, good) = verdict(&world, unread, stopped);
        let reasons = line["reasons"].as_array().map_or(0, Vec::len);
        assert_eq!((line["good"] == true, reasons == 0), (good, good), "{line}");
        line["verdict"].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn each_fault_alone_is_bad() {
        assert_eq!(word(|_| {}, 0, true), "ok");
        let faults: [fn(&World); 4] = [
            |w| w.ledger.missing(0, 1, "not there"),
            |w| w.ledger.returned(0),
            |w| w.ledger.wrong("torn".into()),
            |w| w.ledger.unexpected("what".into()),
        ];
        for fault in faults {
            assert_eq!(word(fault, 0, true), "bad");
            assert_eq!(word(fault, 1, true), "bad", "what is wrong beats what is missing");
        }
    }

    #[test]
    fn each_gap_alone_is_incomplete() {
        let unsettle = |w: &World, keys: u32| (0..keys).for_each(|key| w.ledger.set(key, State::Writing));
        let many = |counter: &std::sync::atomic::AtomicU64, n| counter.store(n, Ordering::Relaxed);
        assert_eq!(word(|_| {}, 1, true), "incomplete", "a key that could not be read proves nothing");
        assert_eq!(word(|_| {}, 0, false), "incomplete");
        assert_eq!(word(|w| unsettle(w, 1_200), 0, true), "ok");
        assert_eq!(
            word(|w| unsettle(w, 1_201), 0, true),
            "incomplete",
            "more than a fifth of the keys is open"
        );
        assert_eq!(word(|w| many(&w.ledger.counts.unknown, 4_000), 0, true), "ok");
        assert_eq!(word(|w| many(&w.ledger.counts.unknown, 4_001), 0, true), "incomplete");
        assert_eq!(word(|w| many(&w.ledger.counts.no_space, 6_002), 0, true), "incomplete");
        for counter in [
            |w: &World| w.ledger.counts.puts_acked.store(0, Ordering::Relaxed),
            |w: &World| w.ledger.counts.removes_acked.store(0, Ordering::Relaxed),
            |w: &World| w.ledger.counts.reads_checked.store(0, Ordering::Relaxed),
        ] {
            assert_eq!(word(counter, 0, true), "incomplete");
        }
        assert_eq!(
            verdict(&World::new(4, Vec::new()), 0, true).0["verdict"],
            "incomplete",
            "nothing was written"
        );
        let nothing_back = |w: &World| (0..KEYS - 1).for_each(|key| remove(w, key));
        assert_eq!(word(nothing_back, 0, true), "incomplete", "nothing was read back");
    }
}

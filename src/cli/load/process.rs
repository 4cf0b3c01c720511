//! The load and its lender as processes of their own: `standfast lab lend` and `standfast lab load`. Lent memory is
//! files in a folder, so that its bytes outlive whoever lends or writes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::exit::{Exit, Failure};
use super::super::{ClientArgs, text};
use super::ledger::read;
use super::lender::{SEGMENT_BYTES, mount, stay_alive};
use super::memory::Memory;
use super::readback::{self, Reader};
use super::route::{Caller, Route};
use super::workload::{World, Writer};

const WRITERS: u32 = 4;
const READERS: u64 = 2;
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
    /// Chooses what is written when
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Resolves when the process is asked to end.
async fn asked_to_end() -> Result<(), Failure> {
    let ends =
        |kind| signal(kind).map_err(|e| Failure::new(Exit::Bad, format!("cannot listen for signals: {e}")));
    let (mut interrupt, mut terminate) = (ends(SignalKind::interrupt())?, ends(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn say(line: &Value) {
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

/// Writes and reads until it is asked to end; then reads every key back and says what it found.
pub(crate) async fn load(client: &ClientArgs, args: &LoadArgs) -> Result<Exit, Failure> {
    let memory = Memory::in_folder(args.folder.clone());
    memory.attach(SEGMENT_BYTES).map_err(|wrong| Failure::new(Exit::Bad, wrong.0))?;
    let world = Arc::new(World::with_memory(args.keys, client.connect.clone(), memory));
    // Primaries die at any time: a write whose start was lost may be refused its end.
    let _ = world.outage.began.set(Instant::now());
    let mut clients = start(&world, client, args.seed);
    say(&json!({"schema": 1, "event": "loading", "pid": std::process::id()}));
    asked_to_end().await?;
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

fn verdict(world: &World, unread: u64, stopped: bool) -> (Value, bool) {
    let ledger = &world.ledger;
    let counts = &ledger.counts;
    let asked = ledger.acked_now().saturating_sub(unread);
    let (puts, missing) = (read(&counts.puts_acked), read(&counts.acked_missing));
    let (wrong, returned, unexpected) =
        (read(&counts.wrong_bytes), read(&counts.returned), read(&counts.unexpected));
    let good = stopped && puts > 0 && unread == 0 && missing + wrong + returned + unexpected == 0;
    let line = json!({
        "schema": 1, "event": "end", "good": good, "puts_acked": puts,
        "removes_acked": read(&counts.removes_acked), "unknown": read(&counts.unknown),
        "no_space": read(&counts.no_space), "reads_checked": read(&counts.reads_checked),
        "acked_missing": missing, "returned": returned, "wrong_bytes": wrong, "unexpected": unexpected,
        "read_back": asked, "unread": unread, "stopped": stopped, "complaints": ledger.complaints(),
    });
    (line, good)
}

#[cfg(test)]
mod tests {
    use super::super::ledger::State;
    use super::*;

    fn world() -> World {
        let world = World::new(4, vec!["127.0.0.1:1".into()]);
        world.ledger.begin(0);
        world.ledger.set(0, State::Acked);
        world
    }

    #[test]
    fn each_fault_alone_is_bad() {
        assert!(verdict(&world(), 0, true).1);
        assert!(!verdict(&world(), 1, true).1, "a key that could not be read proves nothing");
        assert!(!verdict(&world(), 0, false).1);
        assert!(!verdict(&World::new(4, Vec::new()), 0, true).1, "nothing was written");
        let faults: [fn(&World); 4] = [
            |w| w.ledger.missing(0, 1, "not there"),
            |w| w.ledger.returned(0),
            |w| w.ledger.wrong("torn".into()),
            |w| w.ledger.unexpected("what".into()),
        ];
        for fault in faults {
            let world = world();
            fault(&world);
            let (line, good) = verdict(&world, 0, true);
            assert!(!good && line["complaints"].as_array().is_some_and(|c| c.len() == 1), "{line}");
        }
    }
}

//! `standfast bench`: drives masters side by side, checks every answer, and says what else the machine was doing.

mod door;
mod figures;
mod grpc;
mod keys;
mod lender;
mod load;
mod machine;
mod report;
mod side;
mod standby;
mod target;
mod wire;

use std::time::Duration;

use clap::Args;

use super::exit::{Exit, Failure};
use super::{ClientArgs, duration, text};
use load::{Op, Until};
use report::Report;
use side::{Plan, Side};
use target::{Protocol, Target};

const BATCH_MAX: u64 = 10_000;
const CONNECTIONS_MAX: u64 = 1000;
const ROUNDS_MAX: u64 = 999;
const RATE_MAX: u64 = 100_000_000;
/// Objects that a load reads, unless told otherwise.
const KEYS: u64 = 100_000;
/// Where a Mooncake master listens unless it was told otherwise.
const MOONCAKE_ADDR: &str = "127.0.0.1:50051";

const AFTER_HELP: &str = "\
A target is HOST:PORT[,name=TEXT][,pid=N][,status=HOST:PORT]. With the status
address of a Standfast primary, writes count once every standby has applied
them. No value is transferred: the memory that is lent does not exist. Memory
a key is that of a master that has just been started.

Examples:
  standfast bench --connect 127.0.0.1:50052 --connections 2
  standfast bench --protocol mooncake --op exist --target 127.0.0.1:50051
  standfast bench --protocol mooncake --rounds 5 \\
      --target 127.0.0.1:50051,name=ours,status=127.0.0.1:50052 \\
      --against 127.0.0.1:50151,name=stock

Exit code 0 when every answer was right and the machine was quiet, else 1.";

/// Flags of `standfast bench`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BenchArgs {
    /// What to speak
    #[arg(long, value_enum, default_value = "grpc")]
    protocol: Protocol,
    /// What to ask
    #[arg(long, value_enum, default_value = "put")]
    op: Op,
    /// Keys of one call
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: u64,
    /// Connections, each with one call outstanding
    #[arg(long, value_name = "N", default_value_t = 2)]
    connections: u64,
    /// Objects that are there before the first round [default: 100000 where
    /// the load reads, else 0]
    #[arg(long, value_name = "N")]
    keys: Option<u64>,
    /// Keys of a round [default: 400000]
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    count: Option<u64>,
    /// Duration of a round, in place of --count
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Keys a second of all connections together, evenly spread, in place of
    /// as many as the master takes
    #[arg(long, value_name = "N")]
    rate: Option<u64>,
    /// Bytes of a key
    #[arg(long, value_name = "BYTES", default_value_t = 60)]
    key_len: u64,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    value_bytes: u64,
    /// The master to drive; unless given the first of --connect, or with
    /// mooncake 127.0.0.1:50051
    #[arg(long, value_name = "TARGET")]
    target: Option<Target>,
    /// Another master to compare it with, round by round; may be repeated
    #[arg(long, value_name = "TARGET")]
    against: Vec<Target>,
    /// Rounds on each master
    #[arg(long, value_name = "N", default_value_t = 1)]
    rounds: u64,
    /// Take objects in memory that other runs of `bench` lend to the same
    /// master for well placed, too
    #[arg(long)]
    shared: bool,
    /// Give a verdict even if others were using the machine
    #[arg(long)]
    allow_busy: bool,
}

impl BenchArgs {
    fn plan(&self) -> Result<Plan, Failure> {
        let keys = self.keys.unwrap_or(if self.op.reads() { KEYS } else { 0 });
        let keys_min = if self.op.reads() { self.connections } else { 0 };
        let (len_min, len_max) = (keys::LEN_MIN as u64, keys::LEN_MAX as u64);
        for (flag, value, min, max) in [
            ("--batch", self.batch, 1, BATCH_MAX),
            ("--connections", self.connections, 1, CONNECTIONS_MAX),
            ("--rounds", self.rounds, 1, ROUNDS_MAX),
            ("--key-len", self.key_len, len_min, len_max),
            ("--keys", keys, keys_min, u64::from(u32::MAX)),
            ("--rate", self.rate.unwrap_or(1), 1, RATE_MAX),
            ("--count", self.count.unwrap_or(1), 1, u64::from(u32::MAX)),
            ("--value-bytes", self.value_bytes, 1, 1 << 30),
        ] {
            if !(min..=max).contains(&value) {
                return Err(Failure::new(Exit::Usage, format!("{flag} is {value}: expected {min} to {max}")));
            }
        }
        let until = match self.duration {
            Some(time) => Until::Time(time),
            None => Until::Keys(self.count.unwrap_or(400_000)),
        };
        let at_once = keys + if let Until::Keys(count) = until { count } else { 0 };
        // Half of it, because regions are rounded up and not used again at once.
        if at_once.saturating_mul(self.value_bytes) > lender::LENT_BYTES / 2 {
            let text = format!("{at_once} values of {} bytes are too much", self.value_bytes);
            return Err(Failure::new(Exit::Usage, text).cure("use a smaller --value-bytes"));
        }
        Ok(Plan {
            protocol: self.protocol,
            op: self.op,
            batch: self.batch as usize,
            connections: self.connections as u32,
            keys,
            rate: self.rate,
            key_len: self.key_len as usize,
            value_bytes: self.value_bytes,
            until,
            shared: self.shared,
            run: rand::random(),
        })
    }

    fn targets(&self, client: &ClientArgs) -> Result<Vec<Target>, Failure> {
        let addr = match self.protocol {
            Protocol::Grpc => client.connect.first().map_or("", String::as_str),
            Protocol::Mooncake => MOONCAKE_ADDR,
        };
        let first = self.target.clone().map_or_else(|| addr.parse(), Ok);
        let mut targets = vec![first.map_err(|why: String| Failure::new(Exit::Usage, why))?];
        targets.extend(self.against.iter().cloned());
        for (i, target) in targets.iter().enumerate() {
            if targets[..i].iter().any(|other| other.name == target.name) {
                let text = format!("two targets are called `{}`", target.name);
                return Err(Failure::new(Exit::Usage, text).cure("give them names: HOST:PORT,name=TEXT"));
            }
        }
        Ok(targets)
    }
}

/// Runs the rounds, each on every master in turn, and prints what they came to.
pub(crate) async fn run(client: &ClientArgs, args: &BenchArgs) -> Result<Exit, Failure> {
    let (plan, targets) = (args.plan()?, args.targets(client)?);
    let mut sides = Vec::new();
    for target in targets {
        sides.push(Side::open(&plan, target).await?);
    }
    if plan.keys > 0 {
        for side in &mut sides {
            text::tell(&[format!("{}: putting {} objects", side.target.name, plan.keys)]);
            side.fill(&plan).await;
        }
    }
    for round in 1..=args.rounds as u32 {
        // Whoever comes second in one round comes first in the next.
        let mut order: Vec<&mut Side> = sides.iter_mut().collect();
        if round % 2 == 0 {
            order.reverse();
        }
        for side in order {
            side.round(&plan, round).await;
            let rate = side.rounds.last().map_or(0.0, figures::Round::keys_per_s);
            let name = &side.target.name;
            text::tell(&[format!("{name}: round {round} of {}: {rate:.0} keys/s", args.rounds)]);
        }
        if sides.iter().any(|side| !side.faults.is_empty()) {
            break;
        }
    }
    let mut closed = Vec::new();
    for side in sides {
        closed.push(side.close().await);
    }
    let report = Report::new(&plan, &closed, args.allow_busy);
    let lines = if client.json { vec![report.line().to_string()] } else { report.table() };
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&lines));
    Ok(report.exit())
}

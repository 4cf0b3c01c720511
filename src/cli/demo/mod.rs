//! `standfast demo`: two real processes, a load that checks every byte, a kill -9, and a verdict from what was
//! measured. On a terminal a person does the killing, in the console; else a script does.

mod cluster;
mod compare;
mod corrupt;
mod hands_on;
mod monitor;
mod mooncake;
mod script;
mod stage;
mod takeover;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{Exit, Failure};
use super::{ClientArgs, duration, text};
use crate::telemetry::otel::Collector;
use script::Run;
use stage::Stage;
use verdict::Measured;

/// What has to happen in a run does not fit into less.
const DURATION_MIN: Duration = Duration::from_secs(4);
const DURATION_MAX: Duration = Duration::from_secs(3600);

/// Of the script, unless said otherwise.
const DURATION: Duration = Duration::from_secs(20);

const AFTER_HELP: &str = "\
On a terminal, without flags, it opens the console: kill, switch over, corrupt
and repair by keyboard; `q` ends it. Else a script kills the primary.

Examples:
  standfast demo
  standfast demo --headless --duration 20s --json
  standfast demo --corrupt                    bits flip in memory, and are found
  standfast demo --mooncake                   with the real Mooncake client
  standfast demo --sabotage lose-ack          must end `bad`, with exit code 1

Both nodes end with the demo, however it ends, unless --keep is given.
Exit code 0 when the verdict is `ok`, else 1.";

/// Flags of `standfast demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DemoArgs {
    /// The script, with a load of this length; 20s unless given
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    duration: Option<Duration>,
    /// The script, also on a terminal
    #[arg(long)]
    headless: bool,
    /// When replies go out: after the standby has it, or at once
    #[arg(long, value_enum, default_value = "sync")]
    ack: Ack,
    /// Do not kill the primary
    #[arg(long)]
    no_failover: bool,
    /// Plant a fault, to see that the demo notices
    #[arg(long, value_enum)]
    sabotage: Option<Sabotage>,
    /// Flip bits in the standby's memory, to see that they are found and repaired
    #[arg(long, conflicts_with = "sabotage")]
    corrupt: bool,
    /// Run the released Mooncake client beside it, where Python and its wheel are found
    #[arg(long)]
    mooncake: bool,
    /// Leave the nodes running at the end, and say how to reach them
    #[arg(long)]
    keep: bool,
    /// Collector that both nodes send the spans of a part of all writes to
    #[arg(long, value_name = "URL")]
    otlp: Option<Collector>,
}

/// When replies go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ack {
    /// After the standby has applied it
    Sync,
    /// At once; the loss is bounded
    Async,
}

impl Ack {
    fn word(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
        }
    }
}

/// A fault that a node plants in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sabotage {
    /// The standby acknowledges an entry that it does not apply
    DropEntry,
    /// The standby's digest changes without its state
    FlipDigest,
    /// The primary acknowledges writes that it does not log
    LoseAck,
}

impl Sabotage {
    fn word(self) -> &'static str {
        match self {
            Self::DropEntry => "drop-entry",
            Self::FlipDigest => "flip-digest",
            Self::LoseAck => "lose-ack",
        }
    }

    fn strikes_the_primary(self) -> bool {
        self == Self::LoseAck
    }
}

impl DemoArgs {
    /// How long the script's load runs.
    fn duration(&self) -> Duration {
        self.duration.unwrap_or(DURATION)
    }

    /// Whether nothing asks for the script.
    fn is_plain(&self) -> bool {
        let asked =
            self.duration.is_some() || self.headless || self.no_failover || self.corrupt || self.mooncake;
        !asked && self.sabotage.is_none()
    }
}

/// Runs the demo and prints its verdict.
pub(crate) async fn run(client: &ClientArgs, args: DemoArgs) -> Result<Exit, Failure> {
    if !(DURATION_MIN..=DURATION_MAX).contains(&args.duration()) {
        let text = format!("--duration is {} s: expected 4s to 60m", args.duration().as_secs_f64());
        return Err(Failure::new(Exit::Usage, text));
    }
    let hands_on = args.is_plain() && !client.json && hands_on::has_terminal();
    let measured = Measured {
        is_async: args.ack == Ack::Async,
        // Programs read it back as a double.
        seed: rand::random::<u64>() >> 11,
        failover_wanted: !args.no_failover && !hands_on,
        hands_on,
        duration_s: args.duration().as_secs_f64(),
        ..Measured::default()
    };
    let mut run = Run::new(args, Arc::new(Stage::new()), measured);
    // Whichever ends first: dropping the play ends its nodes.
    let signal = tokio::select! {
        played = async { if hands_on { Box::pin(run.let_play()).await } else { Box::pin(run.play()).await } } => {
            run.ended(played);
            None
        }
        signal = interrupted() => Some(signal?),
    };
    if let Some(signal) = signal {
        run.ended(Err(Failure::new(Exit::Bad, format!("interrupted by {signal}"))));
    }
    let measured = run.measured();
    let verdict = verdict::judge(&measured);
    let lines = if client.json {
        vec![verdict::line(&measured, &verdict).to_string()]
    } else {
        verdict::summary(&measured, &verdict)
    };
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&lines));
    Ok(verdict.exit())
}

/// Waits for a signal that asks to end.
async fn interrupted() -> Result<&'static str, Failure> {
    let listen =
        |kind| signal(kind).map_err(|e| Failure::new(Exit::Bad, format!("cannot listen for signals: {e}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    })
}

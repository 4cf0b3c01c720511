//! The command line: what can be typed, and how each command ends.
//!
//! stdout carries only the result, progress goes to stderr. Exit codes are those of `exit::Exit`.

mod bench;
mod bundle;
mod canary;
mod client;
mod configuration;
#[cfg(test)]
mod configuration_tests;
mod console;
mod dashboards;
mod demo;
mod doctor;
mod drill;
mod duration;
mod exit;
mod health;
mod history;
mod load;
mod mooncake_master;
mod operate;
mod pause;
mod runbook;
mod status;
mod switchover;
mod text;
mod topology;
mod trace;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use standfast_proto::access::{self, Access, AccessFiles};

use crate::app;
use crate::config::{self, ServeArgs, WitnessArgs};
use exit::{Exit, Failure};

const AFTER_HELP: &str = "\
Examples:
  standfast demo                    watch two nodes survive a kill -9
  standfast serve --node a --cluster kv --role primary
  standfast serve --node b --cluster kv --role standby \\
      --peer 127.0.0.1:50052 --grpc 127.0.0.1:50053
  standfast config check --node a --coordinator etcd://e1:2379
                                    would a node start with these flags
  standfast status --watch          who leads, how far behind is the other
  standfast failover --to b --dry-run
                                    what would a promotion do

Exit codes:
  0 ok    1 bad, degraded or refused    2 usage    3 no node reachable
  4 outcome unknown";

/// Metadata master of a Mooncake Store cluster, with hot standbys.
#[derive(Debug, Parser)]
#[command(name = "standfast", version, max_term_width = 80, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command that asks nodes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClientArgs {
    /// Nodes to ask, separated by commas; one suffices, the others are found
    #[arg(
        long,
        global = true,
        value_name = "A,B",
        value_delimiter = ',',
        value_parser = host_port,
        env = "STANDFAST_CONNECT",
        default_value = "127.0.0.1:50052",
        hide_env_values = true
    )]
    pub(crate) connect: Vec<String>,
    /// File with the operators' token
    #[arg(long, global = true, value_name = "FILE", env = "STANDFAST_TOKEN_FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates of the authority that nodes are believed by; speaks TLS
    #[arg(long, global = true, value_name = "FILE", env = "STANDFAST_CA", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,
    /// Own certificate to show, in place of the token
    #[arg(long, global = true, value_name = "FILE", env = "STANDFAST_CERT", hide_env_values = true)]
    pub(crate) cert: Option<PathBuf>,
    /// Its key
    #[arg(long, global = true, value_name = "FILE", env = "STANDFAST_KEY", hide_env_values = true)]
    pub(crate) key: Option<PathBuf>,
    /// Print one line of JSON on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl ClientArgs {
    /// How commands dial nodes.
    fn access(&self) -> Result<Access, Failure> {
        let wrong = |text: String| Failure::new(Exit::Usage, text);
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(wrong("--cert and --key go together: a certificate and its key".to_owned())),
        };
        if identity.is_some() && self.ca.is_none() {
            return Err(wrong(
                "--cert is given, but not --ca: a certificate is shown over TLS only".to_owned(),
            ));
        }
        let files =
            AccessFiles { token: self.token_file.clone(), ca: self.ca.clone(), system: false, identity };
        Access::load(&files).map_err(wrong)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(Box<ServeArgs>),
    /// Run a node with the flags of a stock mooncake_master
    #[command(name = "mooncake-master", disable_help_flag = true)]
    MooncakeMaster {
        /// As a stock master takes them; --help lists what becomes of each
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "STOCK FLAGS")]
        words: Vec<String>,
    },
    /// Run a small coordinator: one process, one file, a single point
    Witness(WitnessArgs),
    /// Check a node's configuration, or show it, without starting the node
    Config(configuration::ConfigArgs),
    /// Who leads, how far behind the standbys are, what is wrong
    Status(status::StatusArgs),
    /// One sentence, a verdict, and the next command to type
    Doctor(doctor::DoctorArgs),
    /// Role changes and drills: when, why, how long, what was lost
    History(history::HistoryArgs),
    /// Which nodes there are, who leads, who is in sync
    Topology(topology::TopologyArgs),
    /// Let a standby take the primary's place, without loss
    Switchover(switchover::SwitchoverArgs),
    /// Give a switchover up that is under way
    Abort(switchover::AbortArgs),
    /// Let no node take over by itself for a while
    Pause(pause::PauseArgs),
    /// Let nodes take over by themselves again
    #[command(visible_alias = "acknowledge")]
    Resume(pause::ResumeArgs),
    /// Make a standby the primary
    Failover(operate::FailoverArgs),
    /// The path of one write through all nodes, stage by stage
    Trace(trace::TraceArgs),
    /// Ask one node's probe: is it alive, ready, the primary
    Health(health::HealthArgs),
    /// Gather what every node tells into one archive
    SupportBundle(bundle::BundleArgs),
    /// Take a standby out of the in-sync set, so that writes go on without it
    Detach(operate::DetachArgs),
    /// Whether the copies are equal, and what to do where they are not
    Verify(verify::VerifyArgs),
    /// Damage a node on purpose, to see that it is found
    Lab(verify::LabArgs),
    /// Strike a node on purpose, measure what clients see, and note it
    Drill(drill::DrillArgs),
    /// Write and read all the time, and say how long there was no good answer
    Canary(canary::CanaryArgs),
    /// What to do about an alert, and how to do what has to be planned
    Runbook(runbook::RunbookArgs),
    /// Dashboards and alerts: write them as files, push them to Grafana
    Dashboards(dashboards::DashboardsArgs),
    /// Watch a cluster in the terminal, and fail over by keyboard
    Console(console::ConsoleArgs),
    /// Start two nodes, kill the primary under load and see that nothing is lost
    Demo(demo::DemoArgs),
    /// Drive masters side by side: keys a second, CPU a key
    Bench(Box<bench::BenchArgs>),
}

fn host_port(text: &str) -> Result<String, String> {
    let text = text.trim();
    if config::is_host_port(text) { Ok(text.to_owned()) } else { Err("expected host:port".to_owned()) }
}

/// Reads the command line, does what it says and tells how that ended.
#[must_use]
pub fn run() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    // Before anything else: a stock command line follows other rules.
    if let Some(words) = mooncake_master::words(&args) {
        match mooncake_master::translate(&words) {
            Ok(Ok(words)) => {
                args = ["standfast", "serve"].map(OsString::from).into();
                args.extend(words.into_iter().map(OsString::from));
            }
            Ok(Err(exit)) => return exit.into(),
            Err(failure) => return refuse(&failure),
        }
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout, a complaint to stderr; a closed one of either changes nothing here.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            return exit.into();
        }
    };
    let Cli { client, command } = cli;
    // A node dials as its own flags say; what a configuration would be dials nobody.
    if !matches!(command, Command::Serve(_) | Command::Config(_)) {
        match client.access() {
            Ok(access) => access::set_own(access.into()),
            Err(failure) => return refuse(&failure),
        }
    }
    let ended = match command {
        Command::Serve(args) => {
            if args.exit_with_stdin {
                std::thread::spawn(stop_with_stdin);
            }
            return app::serve(&args);
        }
        Command::Witness(args) => {
            if args.exit_with_stdin {
                std::thread::spawn(stop_with_stdin);
            }
            return app::witness(&args);
        }
        // Only a global flag before the command's name leads here.
        Command::MooncakeMaster { .. } => {
            Err(Failure::new(Exit::Usage, "mooncake-master takes no flags before its name"))
        }
        Command::Status(args) => block_on(status::run(&client, &args)),
        Command::Doctor(args) => block_on(doctor::run(&client, &args)),
        Command::History(args) => block_on(history::run(&client, &args)),
        Command::Failover(args) => block_on(operate::failover(&client, &args)),
        Command::Topology(args) => block_on(topology::run(&client, &args)),
        Command::Switchover(args) => block_on(switchover::switchover(&client, &args)),
        Command::Abort(args) => block_on(switchover::abort(&client, &args)),
        Command::Health(args) => block_on(health::run(client.json, &args)),
        Command::Pause(args) => block_on(pause::pause(&client, &args)),
        Command::Resume(args) => block_on(pause::resume(&client, &args)),
        Command::SupportBundle(args) => block_on(bundle::run(&client, &args)),
        Command::Trace(args) => block_on(trace::run(&client, &args)),
        Command::Detach(args) => block_on(operate::detach(&client, &args)),
        Command::Verify(args) => block_on(verify::verify(&client, &args)),
        Command::Lab(args) => block_on(verify::lab(&client, &args)),
        Command::Config(args) => configuration::run(client.json, &args),
        Command::Runbook(args) => runbook::run(client.json, &args),
        Command::Dashboards(args) => block_on(dashboards::run(client.json, &args)),
        Command::Console(args) => block_on(console::run(&client, &args)),
        Command::Drill(args) => block_on(drill::run(&client, &args)),
        Command::Canary(args) => {
            if args.exit_with_stdin {
                std::thread::spawn(stop_with_stdin);
            }
            block_on(canary::run(&client, &args))
        }
        Command::Demo(args) => block_on(demo::run(&client, args)),
        Command::Bench(args) => block_on(bench::run(&client, &args)),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => refuse(&failure),
    }
}

fn refuse(failure: &Failure) -> ExitCode {
    text::tell(&[format!("standfast: {failure}")]);
    failure.exit.into()
}

/// Asks this process to stop once stdin is closed, as SIGTERM does. The other end closes also when its process is
/// killed with SIGKILL, which leaves that process no chance to end its children.
fn stop_with_stdin() {
    // What is written to it means nothing; an error ends it too.
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    if let Err(error) = kill(Pid::this(), Signal::SIGTERM) {
        text::tell(&[format!("standfast: stdin has ended, but this node cannot be stopped: {error}")]);
    }
}

fn block_on(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Bad, format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(Box::pin(command));
    // A thread that waits for a line of a child must not delay the end.
    runtime.shutdown_background();
    ended
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["standfast"], args].concat())
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_80_columns() {
        let mut commands = Cli::command();
        commands.build();
        let names: Vec<String> = commands.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        let mut pages = vec![commands.render_help().to_string(), commands.render_long_help().to_string()];
        for name in &names {
            let sub = commands.find_subcommand_mut(name).expect("just listed");
            pages.push(sub.render_help().to_string());
        }
        assert!(pages.len() > 6, "{names:?}");
        for line in pages.iter().flat_map(|page| page.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn one_flag_names_several_nodes_before_or_after_the_command() {
        for args in [["--connect", "a:1,b:2", "status"], ["status", "--connect", "a:1,b:2"]] {
            let cli = parse(&args).expect("valid");
            assert_eq!(cli.client.connect, ["a:1", "b:2"]);
        }
    }

    #[test]
    fn a_usage_error_is_told_from_help() {
        let error = parse(&["demo", "--sabotage", "fire"]).expect_err("no such sabotage");
        assert!(error.use_stderr());
        assert_eq!(
            parse(&["demo", "--duration", "12"]).expect_err("no unit").kind(),
            ErrorKind::ValueValidation
        );
        assert!(parse(&["detach"]).is_err());
        for bad in ["here", ":1", "h:0", "h:99999", "a:1,,b:2"] {
            assert!(parse(&["status", "--connect", bad]).is_err(), "{bad}");
        }
        assert!(!parse(&["--help"]).expect_err("help").use_stderr());
    }
}

//! `standfast drill`: a fault on purpose, on a running cluster, measured by a client and written into the history.

use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Args, Subcommand};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::{LinkState, NodeStatus, NoteDrillRequest, Peer, Role};
use tokio::time::{Instant, sleep, timeout};

use super::canary::Canary;
use super::client::{self, ADMIN_LIMIT, CONNECT_LIMIT, within};
use super::exit::{Exit, Failure};
use super::operate::{actor, cluster_of, confirm};
use super::status::{Survey, survey};
use super::{ClientArgs, duration, text};

const AFTER_HELP: &str = "\
The node is a process of this machine; `kill` does not start it again. `partition`
takes root and a node with a network namespace of its own, as containers have.
A primary is struck only while a standby in sync could take over.

Example: standfast drill kill --reason \"drill day\"";

/// For another node to lead.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(30);
/// The client runs undisturbed for so long before and after.
const CALM: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const CALL_LIMIT: Duration = Duration::from_millis(100);
const CALL_PAUSE: Duration = Duration::from_millis(1);

/// Flags of `standfast drill`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// SIGKILL to the node
    Kill(Target),
    /// SIGSTOP to the node, and SIGCONT after a while
    Stop(Lasting),
    /// Cut the node off from everybody for a while
    Partition(Lasting),
}

#[derive(Debug, Clone, Args)]
struct Target {
    /// The node: its name, or its address; the primary unless given
    #[arg(long, value_name = "NODE|ADDR")]
    node: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "a drill")]
    reason: String,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Args)]
struct Lasting {
    #[command(flatten)]
    target: Target,
    /// How long
    #[arg(long = "for", value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    period: Duration,
}

impl What {
    fn parts(&self) -> (&'static str, &Target, Duration) {
        match self {
            Self::Kill(target) => ("kill", target, Duration::ZERO),
            Self::Stop(lasting) => ("stop", &lasting.target, lasting.period),
            Self::Partition(lasting) => ("partition", &lasting.target, lasting.period),
        }
    }
}

/// Strikes a node, waits for what comes of it, and writes it into the history.
pub(crate) async fn run(client: &ClientArgs, args: &DrillArgs) -> Result<Exit, Failure> {
    let (kind, target, period) = args.what.parts();
    let found = survey(&client.connect, false).await;
    let victim = victim(&found, target)?;
    if let Some(why) = unsafe_to_strike(&found, &victim) {
        return Err(Failure::new(Exit::Bad, format!("not struck: {why}"))
            .cure(format!("standfast status --connect {}", client.connect.join(","))));
    }
    check_process(&victim)?;
    if kind == "partition" {
        check_namespace(&victim)?;
    }
    let statement = format!("This is a {kind} of {}, pid {}.", victim.name, victim.pid);
    confirm(target.yes, &victim.cluster, &statement)?;
    let outcome = Box::pin(drill(&found, &victim, kind, period)).await?;
    let noted = Box::pin(note(&victim, kind, &target.reason, &outcome)).await;
    let lines = if client.json {
        vec![line(kind, &victim, &outcome, noted.as_ref().ok()).to_string()]
    } else {
        told(kind, &victim, &outcome, &noted)
    };
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&lines));
    Ok(if outcome.succeeded && noted.is_ok() { Exit::Ok } else { Exit::Bad })
}

/// The node that is struck.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Victim {
    name: String,
    addr: String,
    cluster: String,
    pid: u32,
    leads: bool,
}

/// What came of it.
struct Outcome {
    /// The node that leads afterwards, and its epoch where the drill brought it about.
    leader: Option<(String, Option<u64>)>,
    outage: Option<Duration>,
    succeeded: bool,
}

fn victim(found: &Survey, target: &Target) -> Result<Victim, Failure> {
    let seen = match &target.node {
        Some(node) => found.find(node),
        None => found.primary(),
    };
    let missing = || {
        let what = target.node.as_deref().unwrap_or("a primary");
        Failure::new(Exit::Unreachable, format!("{what} does not answer")).cure("standfast status")
    };
    let seen = seen.ok_or_else(missing)?;
    let status = seen.status().ok_or_else(missing)?;
    let identity = status.identity.clone().ok_or_else(missing)?;
    Ok(Victim {
        name: identity.node,
        addr: seen.addr.clone(),
        cluster: cluster_of(Some(status)),
        pid: identity.pid,
        leads: seen.role() == Role::Primary,
    })
}

/// A primary without a standby in sync would take everything with it.
fn unsafe_to_strike(found: &Survey, victim: &Victim) -> Option<String> {
    if !victim.leads {
        return None;
    }
    let status = found.find(&victim.name).and_then(|seen| seen.status());
    if let Some(automation) = status.and_then(|s| s.automation.as_ref()).filter(|a| a.suspended) {
        return Some(format!("no node would take over: {}", automation.reason));
    }
    let mut standbys = status.into_iter().flat_map(|status| &status.standbys);
    let whole = |peer: &Peer| peer.quarantined.unwrap_or(0) == 0;
    let takes_over =
        |peer: &Peer| peer.in_sync && !peer.silent && peer.link() == LinkState::Up && whole(peer);
    let safe = standbys.any(takes_over);
    (!safe).then(|| format!("no standby of {} is in sync: everything would be lost", victim.name))
}

/// The process is on this machine, and is that node.
fn check_process(victim: &Victim) -> Result<(), Failure> {
    let words = std::fs::read(format!("/proc/{}/cmdline", victim.pid)).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    let is_node = words.contains("serve") || words.contains("mooncake");
    if is_node && words.contains(&victim.name) {
        return Ok(());
    }
    let text = format!("{} (pid {}) is no process of this machine", victim.name, victim.pid);
    Err(Failure::new(Exit::Bad, text).cure("the same command on the machine that it runs on"))
}

fn check_namespace(victim: &Victim) -> Result<(), Failure> {
    let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let theirs = of(&victim.pid.to_string());
    if theirs.is_some() && theirs != of("self") {
        return Ok(());
    }
    let text = format!("{} shares the network of this machine: a cut would strike others, too", victim.name);
    Err(Failure::new(Exit::Bad, text).cure(format!("standfast drill stop --node {}", victim.name)))
}

async fn drill(found: &Survey, victim: &Victim, kind: &str, period: Duration) -> Result<Outcome, Failure> {
    let addrs: Vec<String> = found.answered().map(|(seen, _)| seen.addr.clone()).collect();
    let mut canary = Canary::new(addrs.clone(), CALL_LIMIT);
    let acts = async {
        sleep(CALM).await;
        strike(victim, kind)?;
        let since = Instant::now();
        let leader = leader(&addrs, victim, since).await;
        sleep((since + period).saturating_duration_since(Instant::now())).await;
        relieve(victim, kind)?;
        sleep(CALM).await;
        Ok::<_, Failure>(leader)
    };
    let leader = tokio::select! {
        never = canary.sing(CALL_PAUSE, |_| {}) => never,
        leader = acts => leader?,
    };
    let outage = canary.write_outage();
    Ok(Outcome { succeeded: leader.is_some() && canary.is_good(), outage, leader })
}

/// Who leads once the victim is struck: another node, or, where a standby was struck, still the same.
async fn leader(addrs: &[String], victim: &Victim, since: Instant) -> Option<(String, Option<u64>)> {
    let looking = async {
        loop {
            for addr in addrs.iter().filter(|addr| **addr != victim.addr) {
                if let Ok(Ok(status)) = timeout(CONNECT_LIMIT, client::status(addr, false)).await
                    && let Some(epoch) = leading_epoch(&status)
                {
                    return (addr.clone(), victim.leads.then_some(epoch));
                }
            }
            sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout_at(since + TAKEOVER_LIMIT, looking).await.ok()
}

fn leading_epoch(status: &NodeStatus) -> Option<u64> {
    status.leadership.as_ref().filter(|l| l.role() == Role::Primary)?.epoch
}

/// Its table of rules; dropped as a whole afterwards.
const CUT: &str = "table inet standfast_drill {
 chain in { type filter hook input priority 0; policy accept; iifname != \"lo\" drop; }
 chain out { type filter hook output priority 0; policy accept; oifname != \"lo\" drop; }
}";

fn strike(victim: &Victim, kind: &str) -> Result<(), Failure> {
    match kind {
        "kill" => signal(victim, Signal::SIGKILL),
        "stop" => signal(victim, Signal::SIGSTOP),
        _ => rules(victim, CUT),
    }
}

fn relieve(victim: &Victim, kind: &str) -> Result<(), Failure> {
    match kind {
        "kill" => Ok(()),
        "stop" => signal(victim, Signal::SIGCONT),
        _ => rules(victim, "delete table inet standfast_drill"),
    }
}

fn signal(victim: &Victim, signal: Signal) -> Result<(), Failure> {
    let sent = kill(Pid::from_raw(victim.pid.cast_signed()), signal);
    sent.map_err(|e| Failure::new(Exit::Bad, format!("{signal} to pid {}: {e}", victim.pid)))
}

/// Changes packet rules where the victim's process is.
fn rules(victim: &Victim, rules: &str) -> Result<(), Failure> {
    let mut nft = Command::new("nsenter");
    nft.args(["--net", "--target", &victim.pid.to_string(), "nft", rules]);
    let output = nft.stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(Failure::new(Exit::Bad, format!("the packet rules were not taken: {said}")))
        }
        Err(e) => {
            Err(Failure::new(Exit::Bad, format!("nsenter: {e}")).cure("apt-get install util-linux nftables"))
        }
    }
}

/// Writes it into the history of whoever leads now. Returns the row's id.
async fn note(victim: &Victim, kind: &str, reason: &str, outcome: &Outcome) -> Result<String, String> {
    let (addr, epoch) = outcome.leader.clone().ok_or("no node leads that could note it")?;
    let request = NoteDrillRequest {
        epoch,
        kind: kind.to_owned(),
        actor: actor(),
        reason: reason.to_owned(),
        outage_us: outcome.outage.map(|outage| outage.as_micros() as u64),
        node: victim.name.clone(),
        succeeded: outcome.succeeded,
    };
    let channel = client::open(&addr, CONNECT_LIMIT).await?;
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel).note_drill(request)).await;
    reply.map(|reply| reply.id).map_err(|status| status.message().to_owned())
}

fn outage_ms(outcome: &Outcome) -> Option<f64> {
    outcome.outage.map(|outage| outage.as_secs_f64() * 1e3)
}

fn line(kind: &str, victim: &Victim, outcome: &Outcome, id: Option<&String>) -> Value {
    json!({
        "schema": 1, "drill": kind, "node": victim.name, "pid": victim.pid, "was_primary": victim.leads,
        "leader": outcome.leader.as_ref().map(|(addr, _)| addr),
        "epoch": outcome.leader.as_ref().and_then(|(_, epoch)| *epoch),
        "outage_ms": outage_ms(outcome), "succeeded": outcome.succeeded, "history_id": id,
    })
}

fn told(kind: &str, victim: &Victim, outcome: &Outcome, noted: &Result<String, String>) -> Vec<String> {
    let outage = outage_ms(outcome).map_or("unknown".to_owned(), |ms| format!("{ms:.0} ms"));
    let leader = match &outcome.leader {
        Some((addr, Some(epoch))) => format!("{addr} leads, in epoch {epoch}"),
        Some((addr, None)) => format!("{addr} still leads"),
        None => format!("NOBODY LEADS after {} s", TAKEOVER_LIMIT.as_secs()),
    };
    let history = match noted {
        Ok(id) => format!("In the history as {id}."),
        Err(why) => format!("NOT in the history: {why}."),
    };
    text::wrap(
        &format!("{kind} of {}: {leader}; a client got no good answer for {outage}. {history}", victim.name),
        0,
    )
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::Identity;

    use super::super::status::Seen;
    use super::*;

    fn victim() -> Victim {
        let (name, addr) = ("a".to_owned(), "h:1".to_owned());
        Victim { name, addr, cluster: "kv".into(), pid: std::process::id(), leads: true }
    }

    #[test]
    fn only_a_node_of_this_machine_is_struck() {
        let failure = check_process(&victim()).expect_err("this is a test, no node");
        assert_eq!(failure.exit, Exit::Bad);
        let failure = check_namespace(&victim()).expect_err("it shares our network");
        assert!(failure.cure.is_some_and(|cure| cure.contains("drill stop")), "{:?}", failure.text);
    }

    #[test]
    fn a_primary_is_struck_only_while_another_could_take_over() {
        let refused = |peer: Peer| {
            let identity = Identity { node: "a".into(), ..Identity::default() };
            let status =
                NodeStatus { identity: Some(identity), standbys: vec![peer], ..NodeStatus::default() };
            let seen =
                Seen { addr: "h:1".into(), answer: Ok(Box::new(status)), at: Instant::now(), lost: None };
            unsafe_to_strike(&Survey { nodes: vec![seen] }, &victim()).is_some()
        };
        let good = || Peer { in_sync: true, link: LinkState::Up.into(), ..Peer::default() };
        assert!(!refused(good()));
        assert!(refused(Peer { in_sync: false, ..good() }));
        assert!(refused(Peer { link: LinkState::Down.into(), ..good() }));
        assert!(refused(Peer { quarantined: Some(1), ..good() }));
        assert!(refused(Peer { silent: true, ..good() }));
        assert!(unsafe_to_strike(&Survey::default(), &victim()).is_some(), "nothing is known of it");
        assert!(unsafe_to_strike(&Survey::default(), &Victim { leads: false, ..victim() }).is_none());
    }

    #[test]
    fn what_nobody_saw_is_null() {
        let outcome = Outcome { leader: None, outage: None, succeeded: false };
        let line = line("kill", &victim(), &outcome, None);
        assert!(line["outage_ms"].is_null() && line["epoch"].is_null() && line["history_id"].is_null());
        let told = told("kill", &victim(), &outcome, &Err("no node leads".into()));
        assert!(
            told.concat().contains("NOBODY LEADS") && told.iter().all(|line| line.len() <= 80),
            "{told:?}"
        );
    }
}

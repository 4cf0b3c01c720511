//! `standfast verify`: are the copies equal, and what is done where they are not.
//! `standfast lab corrupt`: damage on purpose, to see that it is found.

mod judge;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::{
    Counter, LabCorruptRequest, Mismatch, NodeStatus, Role, Verification, VerifyAction, VerifyNowRequest,
};
use tokio::time::Instant;

use super::ClientArgs;
use super::client::{self, ADMIN_LIMIT, CONNECT_LIMIT, within};
use super::exit::{Exit, Failure};
use super::load::count::{self, CountArgs};
use super::load::crowd::{self, CrowdArgs};
use super::load::process::{self, LendArgs, LoadArgs};
use super::load::steady::{self, SteadyArgs};
use super::status::{Seen, Survey, survey};
use super::text::{self, number};
use judge::{Judged, is_bad, judge, why_paused};

/// Longest wait for a whole comparison.
const RUN_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// Flags of `standfast verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// How far each standby is proved equal to the primary
    Status,
    /// Count and compare everything now, and say what came of it
    Run,
    /// What differs, with both sides' values
    Diff,
    /// Overwrite what differs on the standbys from the primary
    Repair {
        /// The primary's memory is damaged, and its values are right all the same
        #[arg(long)]
        accept_primary: bool,
    },
}

/// Flags of `standfast lab`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabArgs {
    #[command(subcommand)]
    what: Lab,
}

#[derive(Debug, Clone, Subcommand)]
enum Lab {
    /// Change what a node stores, not its digests; it runs with --enable-lab
    Corrupt {
        /// The node: its name, or its address
        #[arg(long, value_name = "NODE|ADDR")]
        node: String,
        /// What becomes wrong
        #[arg(long, value_enum, default_value = "field")]
        kind: DamageKind,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1)]
        count: u32,
        /// Chooses which
        #[arg(long, value_name = "N", default_value_t = 0)]
        pick: u64,
    },
    /// Lend memory that is files in a folder
    #[command(hide = true)]
    Lend(LendArgs),
    /// Write and read all the time, and check every byte
    #[command(hide = true)]
    Load(LoadArgs),
    /// Be very many clients, each of which lends a little
    #[command(hide = true)]
    Crowd(CrowdArgs),
    /// Put one key after the other at a steady pace, and time it
    #[command(hide = true)]
    Steady(SteadyArgs),
    /// Count the keys of a crowd that are there
    #[command(hide = true)]
    Count(CountArgs),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DamageKind {
    Missing,
    Extra,
    Field,
    Segment,
    Client,
    InFlight,
    Order,
    FlippedBit,
}

/// Runs `standfast verify`.
pub(crate) async fn verify(client: &ClientArgs, args: &VerifyArgs) -> Result<Exit, Failure> {
    match args.what {
        What::Status | What::Diff => {}
        What::Run => run_all(client).await?,
        What::Repair { accept_primary } => repair(client, accept_primary).await?,
    }
    let found = look(client).await?;
    let judged = judge(&found);
    let lines = if client.json {
        vec![line(&found, &judged).to_string()]
    } else {
        let nodes = found.answered().flat_map(|(seen, s)| describe(seen, s, matches!(args.what, What::Diff)));
        // What is bad the nodes say themselves.
        let unknown = judged.reasons.iter().filter(|_| judged.exit == Exit::Unknown);
        nodes.chain(unknown.map(|why| format!("unknown: {why}"))).collect()
    };
    show(&lines);
    Ok(judged.exit)
}

/// Runs `standfast lab`.
pub(crate) async fn lab(client: &ClientArgs, args: &LabArgs) -> Result<Exit, Failure> {
    let (node, kind, count, pick) = match &args.what {
        Lab::Corrupt { node, kind, count, pick } => (node, kind, count, pick),
        Lab::Lend(args) => return process::lend(client, args).await,
        Lab::Load(args) => return process::load(client, args).await,
        Lab::Crowd(args) => return crowd::run(client, args).await,
        Lab::Steady(args) => return steady::run(client, args).await,
        Lab::Count(args) => return count::run(client, args).await,
    };
    let found = look(client).await?;
    let seen = found.find(node).ok_or_else(|| {
        Failure::new(Exit::Bad, format!("no node `{node}` answers")).cure("standfast status")
    })?;
    let kind = kind.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
    let request = LabCorruptRequest { kind, pick: *pick, count: *count };
    let channel = open(&seen.addr).await?;
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel).lab_corrupt(request)).await;
    let reply = reply.map_err(|status| Failure::of_change("lab corrupt", &status))?;
    let names: Vec<String> = reply.names.iter().map(|n| n.escape_ascii().to_string()).collect();
    if client.json {
        show(&[json!({"schema": 1, "node": seen.name(), "damaged": names}).to_string()]);
    } else {
        show(&names.iter().map(|n| format!("damaged {n}")).collect::<Vec<_>>());
    }
    Ok(if names.is_empty() { Exit::Bad } else { Exit::Ok })
}

async fn run_all(client: &ClientArgs) -> Result<(), Failure> {
    let found = look(client).await?;
    let mut any = false;
    for seen in standbys(&found) {
        order(&seen.addr, VerifyAction::Run).await?;
        any = true;
    }
    if !any {
        return Err(Failure::new(Exit::Bad, "there is no standby to compare").cure("standfast status"));
    }
    let until = Instant::now() + RUN_LIMIT;
    loop {
        tokio::time::sleep(POLL).await;
        let now = look(client).await?;
        let busy = |v: &Verification| {
            let begins = !v.paused && v.last_success_age_ms.is_none();
            begins || v.homes_inconclusive.is_some_and(|n| n > 0)
        };
        if !standbys(&now).filter_map(|seen| seen.status()?.verification.as_ref()).any(busy) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(Failure::new(Exit::Unknown, "the comparison has not ended within 120 s")
                .cure("standfast verify status"));
        }
    }
}

async fn repair(client: &ClientArgs, accept_primary: bool) -> Result<(), Failure> {
    let found = look(client).await?;
    if accept_primary {
        let primary = found
            .primary()
            .ok_or_else(|| Failure::new(Exit::Bad, "no primary answers").cure("standfast status"))?;
        order(&primary.addr, VerifyAction::AcceptPrimary).await?;
    }
    for seen in standbys(&found) {
        order(&seen.addr, VerifyAction::Repair).await?;
    }
    let until = Instant::now() + ADMIN_LIMIT;
    while Instant::now() < until {
        tokio::time::sleep(POLL).await;
        let now = look(client).await?;
        if !now.answered().filter_map(|(_, s)| s.verification.as_ref()).any(is_bad) {
            break;
        }
    }
    Ok(())
}

fn standbys(found: &Survey) -> impl Iterator<Item = &Seen> {
    found.nodes.iter().filter(|seen| seen.role() == Role::Standby)
}

async fn order(addr: &str, action: VerifyAction) -> Result<(), Failure> {
    let channel = open(addr).await?;
    let request = VerifyNowRequest { action: action.into(), actor: "the command line".into() };
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel).verify_now(request)).await;
    let reply = reply.map_err(|status| Failure::of_change("verify", &status))?;
    match reply.reasons.first() {
        Some(reason) if !reply.accepted => {
            Err(Failure::new(Exit::Bad, format!("{addr}: {}", reason.text)).cure(reason.cure.clone()))
        }
        _ => Ok(()),
    }
}

async fn open(addr: &str) -> Result<standfast_proto::access::Channel, Failure> {
    let opened = client::open(addr, CONNECT_LIMIT).await;
    opened.map_err(|why| Failure::new(Exit::Unreachable, format!("{addr} cannot be reached: {why}")))
}

async fn look(client: &ClientArgs) -> Result<Survey, Failure> {
    let found = survey(&client.connect, false).await;
    if found.answered().next().is_some() {
        return Ok(found);
    }
    Err(Failure::new(Exit::Unreachable, format!("no node answers at {}", client.connect.join(", "))))
}

fn line(found: &Survey, judged: &Judged) -> Value {
    let node = |(seen, status): (&Seen, &NodeStatus)| {
        let v = status.verification.as_ref();
        json!({
            "node": seen.name(), "role": text::role(seen.role()),
            "verified": v.and_then(|v| v.verified), "lag_entries": v.and_then(|v| v.lag_entries),
            "last_success_age_ms": v.and_then(|v| v.last_success_age_ms),
            "cycle_ms": v.and_then(|v| v.last_run_duration_ms), "paused": v.map(|v| v.paused),
            "paused_reason": v.and_then(|v| v.paused_reason.as_ref()),
            "homes_equal": v.and_then(|v| v.homes_equal), "homes_unequal": v.and_then(|v| v.homes_unequal),
            "homes_inconclusive": v.and_then(|v| v.homes_inconclusive),
            "mismatched_keys": v.and_then(|v| v.mismatched_keys),
            "mismatches": v.map(|v| counts(&v.mismatches)), "repairs": v.map(|v| counts(&v.repairs)),
            "recount_age_ms": v.and_then(|v| v.recount_age_ms),
            "recount_equal": v.and_then(|v| v.recount_equal),
            "recent": v.map(|v| v.recent.iter().map(mismatch).collect::<Vec<_>>()),
        })
    };
    let nodes: Vec<Value> = found.answered().map(node).collect();
    json!({"schema": 1, "verdict": judged.word(), "reasons": judged.reasons, "nodes": nodes})
}

fn counts(all: &[Counter]) -> Value {
    all.iter().map(|c| (c.label.clone(), json!(c.value))).collect::<serde_json::Map<_, _>>().into()
}

fn mismatch(m: &Mismatch) -> Value {
    json!({
        "home": m.home, "key": m.key.as_ref().map(|k| k.escape_ascii().to_string()), "kind": m.kind,
        "text": m.text, "seq": m.seq, "repaired": m.repaired_unix_us.is_some(),
    })
}

fn describe(seen: &Seen, status: &NodeStatus, with_recent: bool) -> Vec<String> {
    let Some(v) = &status.verification else { return Vec::new() };
    let recount = match v.recount_equal {
        None => "not counted yet".to_owned(),
        Some(true) => format!("memory is as its digests say, {} ms ago", number(v.recount_age_ms)),
        Some(false) => "MEMORY IS NOT WHAT ITS DIGESTS SAY".to_owned(),
    };
    let mut lines = vec![format!("{} ({}): {recount}", seen.name(), text::role(seen.role()))];
    if seen.role() == Role::Standby {
        lines.push(format!(
            "  verified through {} ({} behind), every home within {} ms{}",
            number(v.verified),
            number(v.lag_entries),
            number(v.last_success_age_ms),
            if v.paused { format!("; PAUSED: {}", why_paused(v)) } else { String::new() }
        ));
        lines.push(format!(
            "  homes: {} equal, {} unequal, {} being looked at; {} keys differ",
            number(v.homes_equal),
            number(v.homes_unequal),
            number(v.homes_inconclusive),
            number(v.mismatched_keys)
        ));
    }
    if with_recent {
        lines.extend(v.recent.iter().map(|m| {
            let repaired = if m.repaired_unix_us.is_some() { "repaired" } else { "NOT REPAIRED" };
            format!("  home {} at {}: {} [{repaired}]", m.home, number(m.seq), m.text)
        }));
    }
    lines
}

fn show(lines: &[String]) {
    // Whoever closed stdout wants no more of it.
    let _ = text::print(lines);
}

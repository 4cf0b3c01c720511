//! Planned changes of the primary: `switchover` and `abort`.

use clap::Args;
use serde_json::{Map, Value, json};
use standfast_proto::access::Channel;
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::{AbortRequest, Phase, SwitchoverReply, SwitchoverRequest};

use super::ClientArgs;
use super::client::{ADMIN_LIMIT, within};
use super::exit::{Exit, Failure};
use super::operate::{actor, cluster_of, confirm, look, look_around, open, refused, show, told};
use super::text::micros;

const SWITCHOVER_HELP: &str = "\
Examples:
  standfast switchover --dry-run             would it be done, and by whom
  standfast switchover --to b --reason \"kernel update on host a\"

Nothing that was acknowledged is lost: the primary lets no write in, waits
until the standby holds everything, falls silent, and makes it the holder.
Exit code 4: the outcome is unknown; look with `standfast status`.";

/// Flags of `standfast switchover`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SWITCHOVER_HELP)]
pub(crate) struct SwitchoverArgs {
    /// The standby that is to lead; the one that is furthest, if left out
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "asked on the command line")]
    reason: String,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Judge everything and ask the coordinator, but change nothing
    #[arg(long)]
    dry_run: bool,
}

const ABORT_HELP: &str = "\
Works until the primary has fallen silent: then the coordinator is being asked,
and what it says stands. The primary goes on, as if nobody had asked.";

/// Flags of `standfast abort`.
#[derive(Debug, Clone, Args)]
#[command(after_help = ABORT_HELP)]
pub(crate) struct AbortArgs {
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "asked on the command line")]
    reason: String,
}

/// Hands over: finds the primary, judges, asks, acts, tells what came of it.
pub(crate) async fn switchover(client: &ClientArgs, args: &SwitchoverArgs) -> Result<Exit, Failure> {
    let blank = json!({"dry_run": args.dry_run, "to": null, "epoch": null, "phases": null});
    told(client, blank, switch_over(client, args).await)
}

async fn switch_over(client: &ClientArgs, args: &SwitchoverArgs) -> Result<Exit, Failure> {
    let (addr, channel, cluster) = primary(client, "hand over").await?;
    let judged = ask(&channel, args, true).await.map_err(|failure| look(failure, &addr))?;
    if !judged.accepted {
        return refused("switchover", &judged.reasons, client, &addr, true);
    }
    let to = judged.to.clone().unwrap_or_default();
    if args.dry_run {
        show(&[if client.json {
            line(true, &judged).to_string()
        } else {
            format!("{to} would lead; the coordinator accepts it. Dry run: nothing was changed.")
        }]);
        return Ok(Exit::Ok);
    }
    confirm(args.yes, &cluster, &format!("This makes {to} the primary of cluster {cluster}."))?;
    let done = ask(&channel, args, false).await.map_err(|failure| look(failure, &addr))?;
    if !done.accepted {
        return refused("switchover", &done.reasons, client, &addr, false);
    }
    show(&[if client.json { line(false, &done).to_string() } else { told_people(&done) }]);
    Ok(Exit::Ok)
}

/// Gives a switchover up that is under way.
pub(crate) async fn abort(client: &ClientArgs, args: &AbortArgs) -> Result<Exit, Failure> {
    told(client, json!({}), give_up(client, args).await)
}

async fn give_up(client: &ClientArgs, args: &AbortArgs) -> Result<Exit, Failure> {
    let (addr, channel, _) = primary(client, "give a switchover up").await?;
    let request = AbortRequest { actor: actor(), reason: args.reason.clone() };
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel).abort(request)).await;
    let reply = reply.map_err(|status| look(Failure::of_change("abort", &status), &addr))?;
    if !reply.accepted {
        return refused("abort", &reply.reasons, client, &addr, false);
    }
    let done = || "The switchover is given up; the primary goes on.".to_owned();
    let as_json = || json!({"schema": 1, "accepted": true, "reasons": []}).to_string();
    show(&[if client.json { as_json() } else { done() }]);
    Ok(Exit::Ok)
}

/// The primary's address, a connection to it, and the name of its cluster.
async fn primary(client: &ClientArgs, what: &str) -> Result<(String, Channel, String), Failure> {
    let found = look_around(client).await?;
    let seen = found.primary().ok_or_else(|| {
        Failure::new(Exit::Bad, format!("no primary answers, and only a primary can {what}"))
            .cure(format!("standfast status --connect {}", client.connect.join(",")))
    })?;
    Ok((seen.addr.clone(), open(&seen.addr).await?, cluster_of(seen.status())))
}

async fn ask(channel: &Channel, args: &SwitchoverArgs, dry_run: bool) -> Result<SwitchoverReply, Failure> {
    let to = args.to.clone().unwrap_or_default();
    let request = SwitchoverRequest { to, actor: actor(), reason: args.reason.clone(), dry_run };
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel.clone()).switchover(request)).await;
    reply.map_err(|status| {
        let failure = Failure::of_change("switchover", &status);
        // A dry run changes nothing, whatever became of it.
        let exit = if dry_run && failure.exit == Exit::Unknown { Exit::Bad } else { failure.exit };
        Failure { exit, ..failure }
    })
}

fn line(dry_run: bool, reply: &SwitchoverReply) -> Value {
    let ms = |p: &Phase| (p.name.clone(), json!(p.duration_us as f64 / 1e3));
    let phases = (!dry_run).then(|| reply.phases.iter().map(ms).collect::<Map<_, _>>());
    json!({
        "schema": 1, "accepted": true, "dry_run": dry_run, "to": reply.to, "epoch": reply.epoch,
        "reasons": [], "phases": phases,
    })
}

fn told_people(reply: &SwitchoverReply) -> String {
    let to = reply.to.as_deref().unwrap_or("another node");
    let epoch = reply.epoch.map_or_else(String::new, |epoch| format!(" in epoch {epoch}"));
    let phases: Vec<String> =
        reply.phases.iter().map(|p| format!("{} {}", p.name, micros(Some(p.duration_us)))).collect();
    format!("{to} leads{epoch}. On the former primary: {}.", phases.join(", "))
}

//! What operators do: `failover` and `detach`.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;
use serde_json::{Map, Value, json};
use standfast_proto::access::Channel;
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::{
    DetachReply, DetachRequest, Loss, NodeStatus, PromoteReply, PromoteRequest, PromotionPlan, Reason,
    RoleChange,
};
use standfast_tui::{Objection, Sighting, objection};

use super::client::{self, ADMIN_LIMIT, CONNECT_LIMIT, within};
use super::exit::{Exit, Failure};
use super::status::{Seen, Survey, survey};
use super::text::{self, UNKNOWN, micros, number, wrap};
use super::{ClientArgs, duration};

const FAILOVER_HELP: &str = "\
Examples:
  standfast failover --to b --dry-run        what would happen, what would be lost
  standfast failover --to b --reason \"rack 3 is down\"
  standfast failover --to 10.0.0.2:50052 --yes

  standfast failover --to b --force --accept-loss 500 --dry-run

The standby refuses unless its copy is complete, in sync and known to be so.
With --force it refuses when more may be lost than you accept, or when nobody
knows how much; only `all` accepts that.
Exit code 4: the outcome is unknown; look with `standfast status`.";

/// Flags of `standfast failover`.
#[derive(Debug, Clone, Args)]
#[command(after_help = FAILOVER_HELP)]
pub(crate) struct FailoverArgs {
    /// The standby to promote: its name, or its address
    #[arg(long, value_name = "NODE|ADDR")]
    to: String,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "asked on the command line")]
    reason: String,
    /// Fail over although something is lost. A node that is not in sync starts
    /// empty: you thereby state that the former primary and all in-sync standbys
    /// are stopped
    #[arg(long, requires = "accept_loss")]
    force: bool,
    /// The loss that you accept: so many entries, or all
    #[arg(long, value_name = "N|all", requires = "force", value_parser = accepted_loss)]
    accept_loss: Option<AcceptedLoss>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What an operator is ready to lose; `None`: everything.
type AcceptedLoss = Option<u64>;

fn accepted_loss(text: &str) -> Result<AcceptedLoss, String> {
    match text {
        "all" => Ok(None),
        number => number.parse().map(Some).map_err(|_| "expected a number of entries, or all".to_owned()),
    }
}

/// Flags of `standfast detach`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DetachArgs {
    /// Name of the standby; you thereby state that it will not be promoted
    #[arg(value_name = "NODE")]
    node: String,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "asked on the command line")]
    reason: String,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

/// Promotes a standby: rehearses, asks, acts, and tells what came of it.
pub(crate) async fn failover(client: &ClientArgs, args: &FailoverArgs) -> Result<Exit, Failure> {
    let ended = fail_over(client, args).await;
    let blank = json!({"dry_run": args.dry_run, "addr": null, "epoch": null, "lost": null, "phases": null});
    told(client, blank, ended)
}

async fn fail_over(client: &ClientArgs, args: &FailoverArgs) -> Result<Exit, Failure> {
    if args.force {
        return force(client, args).await;
    }
    let (addr, channel, cluster) = find_standby(client, &args.to).await?;
    let rehearsed = promote(&channel, args, true).await?;
    if !rehearsed.accepted {
        return refused("promotion", &rehearsed.reasons, client, &addr, true);
    }
    if !client.json || !args.dry_run {
        report_plan(&args.to, &addr, rehearsed.plan.as_ref());
    }
    if args.dry_run {
        if client.json {
            let line = json!({
                "schema": 1, "accepted": true, "dry_run": true, "addr": addr, "epoch": null, "reasons": [],
                "lost": loss_json(rehearsed.plan.as_ref().and_then(|plan| plan.loss.as_ref())), "phases": null,
            });
            show(&[line.to_string()]);
        } else {
            show(&["Dry run: nothing was changed. Leave --dry-run out to do it.".to_owned()]);
        }
        return Ok(Exit::Ok);
    }
    confirm(args.yes, &cluster, &format!("This makes {} the primary of cluster {cluster}.", args.to))?;
    let done = promote(&channel, args, false).await.map_err(|failure| look(failure, &addr))?;
    if !done.accepted {
        return refused("promotion", &done.reasons, client, &addr, false);
    }
    let change = history_row(&channel, done.epoch).await;
    if client.json {
        let lost = change.as_ref().and_then(|change| change.lost.as_ref());
        let line = json!({
            "schema": 1, "accepted": true, "dry_run": false, "addr": addr, "epoch": done.epoch, "reasons": [],
            "lost": loss_json(lost), "phases": change.as_ref().map(phases_ms),
        });
        show(&[line.to_string()]);
    } else {
        show(&outcome(&args.to, done.epoch, change.as_ref()));
    }
    Ok(Exit::Ok)
}

/// Makes a node the primary at a loss, after saying what that costs.
async fn force(client: &ClientArgs, args: &FailoverArgs) -> Result<Exit, Failure> {
    let (addr, channel, cluster) = find_standby(client, &args.to).await?;
    let judged = promote(&channel, args, true).await?;
    if !judged.accepted {
        return refused("forced failover", &judged.reasons, client, &addr, true);
    }
    let forced = |done: &PromoteReply| {
        // An empty node has lost what nobody counted.
        let lost = loss_json(done.plan.as_ref().and_then(|plan| plan.loss.as_ref()));
        let line = json!({
            "schema": 1, "accepted": true, "dry_run": args.dry_run, "addr": addr, "epoch": done.epoch,
            "reasons": [], "keeps_state": done.plan.is_some(), "lost": lost, "phases": null,
        });
        line.to_string()
    };
    let costs = if judged.plan.is_some() {
        report_plan(&args.to, &addr, judged.plan.as_ref());
        format!("{} leads cluster {cluster} with what it has.", args.to)
    } else {
        format!(
            "{} starts empty: every object of cluster {cluster} is lost. You state that its former primary and all \
         in-sync standbys are stopped.",
            args.to
        )
    };
    if args.dry_run {
        show(&[if client.json { forced(&judged) } else { format!("{costs} Dry run: nothing was changed.") }]);
        return Ok(Exit::Ok);
    }
    confirm(args.yes, &cluster, &costs)?;
    let done = promote(&channel, args, false).await.map_err(|failure| look(failure, &addr))?;
    if !done.accepted {
        return refused("forced failover", &done.reasons, client, &addr, false);
    }
    let how = if done.plan.is_some() { "with what it has" } else { "empty" };
    let people = || format!("{} leads, {how}, in epoch {}.", args.to, number(done.epoch));
    show(&[if client.json { forced(&done) } else { people() }]);
    Ok(Exit::Ok)
}

/// Takes a standby out of the in-sync set.
pub(crate) async fn detach(client: &ClientArgs, args: &DetachArgs) -> Result<Exit, Failure> {
    let ended = take_out(client, args).await;
    told(client, json!({"told": null, "in_sync": null}), ended)
}

/// Programs get a line on stdout in any case: of a failure, the keys of a success without their values.
pub(super) fn told(client: &ClientArgs, blank: Value, ended: Result<Exit, Failure>) -> Result<Exit, Failure> {
    if let (true, Err(failure)) = (client.json, &ended) {
        show(&[failed(blank, failure).to_string()]);
    }
    ended
}

fn failed(mut line: Value, failure: &Failure) -> Value {
    let (code, accepted) = match failure.exit {
        Exit::Unknown => ("outcome_unknown", None),
        Exit::Unreachable => ("unreachable", Some(false)),
        Exit::Usage => ("usage", Some(false)),
        Exit::Ok | Exit::Bad => ("refused", Some(false)),
    };
    line["schema"] = json!(1);
    line["accepted"] = json!(accepted);
    line["reasons"] = json!([{"code": code, "text": failure.text, "cure": failure.cure}]);
    line
}

async fn take_out(client: &ClientArgs, args: &DetachArgs) -> Result<Exit, Failure> {
    let found = look_around(client).await?;
    let connect = client.connect.join(",");
    let primary = found.primary().ok_or_else(|| {
        Failure::new(Exit::Bad, "no primary answers, and only a primary can detach a standby")
            .cure(format!("standfast status --connect {connect}"))
    })?;
    let cluster = cluster_of(primary.status());
    let statement =
        format!("You state that {} will not be promoted; writes no longer wait for it.", args.node);
    confirm(args.yes, &cluster, &statement)?;
    let channel = open(&primary.addr).await?;
    let request = DetachRequest { node: args.node.clone(), actor: actor(), reason: args.reason.clone() };
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel).detach(request)).await;
    let reply = reply.map_err(|status| look(Failure::of_change("detach", &status), &primary.addr))?;
    if !reply.accepted {
        return refused("detach", &reply.reasons, client, &primary.addr, false);
    }
    show(&detached(&args.node, &reply, client.json));
    Ok(Exit::Ok)
}

fn detached(node: &str, reply: &DetachReply, as_json: bool) -> Vec<String> {
    let members: Option<Vec<&str>> =
        reply.in_sync.as_ref().map(|set| set.members.iter().map(|member| &*member.node).collect());
    if as_json {
        let line =
            json!({"schema": 1, "accepted": true, "reasons": [], "told": reply.told, "in_sync": members});
        return vec![line.to_string()];
    }
    let members = members.map_or(UNKNOWN.to_owned(), |members| members.join(", "));
    let told = if reply.told { "it has been told" } else { "it could not be told" };
    vec![format!("{node} is detached; {told}. In sync now: {members}.")]
}

pub(super) async fn look_around(client: &ClientArgs) -> Result<Survey, Failure> {
    let found = survey(&client.connect, false).await;
    if found.answered().next().is_some() {
        return Ok(found);
    }
    let tried: Vec<String> = found
        .nodes
        .iter()
        .map(|seen| format!("{} ({})", seen.addr, seen.answer.as_ref().err().map_or("", |why| why)))
        .collect();
    Err(Failure::new(Exit::Unreachable, format!("no node answers: {}", tried.join(", "))))
}

async fn find_standby(client: &ClientArgs, to: &str) -> Result<(String, Channel, String), Failure> {
    let target = [to.to_owned()];
    let (found, around) = if to.contains(':') {
        // `--connect` may name the same node otherwise: the two views are kept apart.
        tokio::join!(survey(&target, false), survey(&client.connect, false))
    } else {
        (look_around(client).await?, Survey::default())
    };
    let seen = found.find(to).filter(|seen| seen.status().is_some()).ok_or_else(|| {
        let known: Vec<&str> = found.answered().map(|(seen, _)| seen.name()).collect();
        if known.is_empty() {
            return Failure::new(Exit::Unreachable, format!("{to} does not answer"));
        }
        Failure::new(Exit::Bad, format!("no node `{to}` answers; those that do: {}", known.join(", ")))
            .cure(format!("standfast failover --to HOST:PORT --connect {}", client.connect.join(",")))
    })?;
    let around: Vec<Sighting> = found.nodes.iter().chain(&around.nodes).map(Seen::sighting).collect();
    if let Some(Objection { leader, text }) = objection(&seen.sighting(), &around) {
        return Err(Failure::new(Exit::Bad, text).cure(format!("standfast status --connect {leader}")));
    }
    Ok((seen.addr.clone(), open(&seen.addr).await?, cluster_of(seen.status())))
}

pub(super) async fn open(addr: &str) -> Result<Channel, Failure> {
    let opened = client::open(addr, CONNECT_LIMIT).await;
    opened.map_err(|why| Failure::new(Exit::Unreachable, format!("{addr} cannot be reached: {why}")))
}

pub(crate) fn cluster_of(status: Option<&NodeStatus>) -> String {
    status.and_then(|s| s.identity.as_ref()).map_or_else(String::new, |identity| identity.cluster.clone())
}

async fn promote(channel: &Channel, args: &FailoverArgs, dry_run: bool) -> Result<PromoteReply, Failure> {
    let request = PromoteRequest {
        actor: actor(),
        reason: args.reason.clone(),
        dry_run,
        start_empty: args.force,
        accept_loss_entries: args.accept_loss.flatten(),
    };
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel.clone()).promote(request)).await;
    reply.map_err(|status| {
        let failure = Failure::of_change("promotion", &status);
        // A dry run changes nothing, whatever became of it.
        let exit = if dry_run && failure.exit == Exit::Unknown { Exit::Bad } else { failure.exit };
        Failure { exit, ..failure }
    })
}

pub(super) fn look(failure: Failure, addr: &str) -> Failure {
    if failure.cure.is_some() { failure } else { failure.cure(format!("standfast status --connect {addr}")) }
}

/// Prints why not, and the command that would cure it.
pub(super) fn refused(
    what: &str,
    reasons: &[Reason],
    client: &ClientArgs,
    addr: &str,
    dry_run: bool,
) -> Result<Exit, Failure> {
    if client.json {
        let list: Vec<Value> = reasons
            .iter()
            .map(|reason| json!({"code": reason.code, "text": reason.text, "cure": reason.cure}))
            .collect();
        show(&[json!({"schema": 1, "accepted": false, "dry_run": dry_run, "addr": addr, "epoch": null,
            "reasons": list})
        .to_string()]);
        return Ok(Exit::Bad);
    }
    let texts: Vec<&str> = reasons.iter().map(|reason| &*reason.text).collect();
    let why = if texts.is_empty() { "it gives no reason".to_owned() } else { texts.join("; ") };
    let cure = reasons.iter().map(|reason| &*reason.cure).find(|cure| !cure.is_empty());
    let failure = Failure::new(Exit::Bad, format!("{addr} refuses the {what}: {why}"));
    Err(match cure {
        Some(cure) => failure.cure(cure),
        None => look(failure, addr),
    })
}

fn report_plan(to: &str, addr: &str, plan: Option<&PromotionPlan>) {
    let plan = plan.copied().unwrap_or_default();
    let ms = |value: Option<u64>| micros(value.map(|ms| ms.saturating_mul(1000)));
    let says = format!(
        "{to} ({addr}) is ready: it would serve {} keys in {} segments, going on from position {}. \
         First reply after {}; for {} it would reuse nothing that it inherits.",
        number(plan.keys),
        number(plan.segments),
        number(plan.applied),
        ms(plan.serve_in_ms),
        ms(plan.hold_ms),
    );
    text::tell(&[wrap(&says, 0), wrap(&loss_text("Would be lost", plan.loss.as_ref()), 0)].concat());
}

fn loss_text(lead: &str, loss: Option<&Loss>) -> String {
    let loss = loss.copied().unwrap_or_default();
    format!(
        "{lead}: {} entries, {} keys, {} of work that was acknowledged.",
        number(loss.entries),
        number(loss.keys),
        micros(loss.age_us)
    )
}

fn outcome(to: &str, epoch: Option<u64>, change: Option<&RoleChange>) -> Vec<String> {
    let mut lines = vec![format!("{to} is the primary of epoch {}.", number(epoch))];
    if let Some(change) = change {
        lines.push(loss_text("Lost", change.lost.as_ref()));
        for phase in &change.phases {
            let took = duration::short(std::time::Duration::from_micros(phase.duration_us));
            lines.push(format!("  {:<12} {took:>7}", text::cut(&phase.name, 12)));
        }
    }
    lines
}

/// The history's row of `epoch`, once the node has written it.
pub(crate) async fn history_row(channel: &Channel, epoch: Option<u64>) -> Option<RoleChange> {
    let status = client::status_over(channel.clone(), false).await.ok()?;
    status.history.into_iter().find(|change| Some(change.epoch) == epoch)
}

/// Phases by name, in milliseconds.
pub(crate) fn phases_ms(change: &RoleChange) -> Value {
    let phases = change.phases.iter();
    Value::Object(phases.map(|p| (p.name.clone(), json!(p.duration_us as f64 / 1e3))).collect::<Map<_, _>>())
}

fn loss_json(loss: Option<&Loss>) -> Value {
    json!({
        "entries": loss.and_then(|loss| loss.entries), "keys": loss.and_then(|loss| loss.keys),
        "age_seconds": loss.and_then(|loss| loss.age_us).map(|us| us as f64 / 1e6),
    })
}

/// Lets a person type the cluster's name. Scripts say `--yes`.
pub(crate) fn confirm(yes: bool, cluster: &str, statement: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "not confirmed: there is no terminal to ask")
            .cure("the same command with --yes"));
    }
    text::tell(&[statement.to_owned()]);
    let mut typed = String::new();
    let asked = write!(std::io::stderr(), "Type the cluster's name ({cluster}) to go on: ");
    let read = asked.and_then(|()| std::io::stdin().lock().read_line(&mut typed));
    if read.is_ok() && typed.trim() == cluster {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, format!("not confirmed: expected `{cluster}`; nothing was changed")))
}

/// Who types this, for audit and history.
pub(crate) fn actor() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok().flatten().map(|user| user.name);
    let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok());
    let user = user.unwrap_or_else(|| nix::unistd::Uid::current().to_string());
    format!("{user}@{}", host.unwrap_or_else(|| "localhost".to_owned()))
}

pub(super) fn show(lines: &[String]) {
    // Whoever closed stdout still gets the exit code.
    drop(text::print(lines));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(json: bool) -> ClientArgs {
        ClientArgs { connect: vec!["127.0.0.1:1".into()], json, ..ClientArgs::default() }
    }

    #[test]
    fn a_refusal_ends_with_a_command() {
        let reason = |cure: &str| Reason { code: "x".into(), text: "not in sync".into(), cure: cure.into() };
        let failure = refused("promotion", &[reason("standfast detach b")], &client(false), "h:1", false);
        let shown = failure.expect_err("refused").to_string();
        assert!(shown.contains("not in sync") && shown.ends_with("standfast detach b"), "{shown}");
        let failure = refused("promotion", &[reason("")], &client(false), "h:1", false).expect_err("refused");
        assert_eq!(
            (failure.exit, failure.cure.as_deref()),
            (Exit::Bad, Some("standfast status --connect h:1"))
        );
    }

    #[test]
    fn what_is_not_known_to_be_lost_is_not_called_zero() {
        assert!(loss_text("Lost", None).starts_with("Lost: ? entries, ? keys, ? of work"));
        assert_eq!(loss_json(None)["entries"], Value::Null);
    }

    #[test]
    fn a_failure_is_a_line_too_and_an_unknown_outcome_is_no_refusal() {
        let line = |exit| failed(json!({"epoch": null}), &Failure::new(exit, "why"));
        let unknown = line(Exit::Unknown);
        assert!(unknown["accepted"].is_null() && unknown.get("epoch").is_some_and(Value::is_null));
        assert_eq!(
            (&unknown["schema"], &unknown["reasons"][0]["code"]),
            (&json!(1), &json!("outcome_unknown"))
        );
        assert_eq!(line(Exit::Unreachable)["accepted"], json!(false));
    }

    #[test]
    fn the_actor_has_two_parts() {
        let actor = actor();
        let (user, host) = actor.split_once('@').expect("user@host");
        assert!(!user.is_empty() && !host.is_empty());
    }

    #[tokio::test]
    async fn nobody_there_is_exit_3() {
        let args = DetachArgs { node: "b".into(), reason: "x".into(), yes: true };
        let failure = detach(&client(false), &args).await.expect_err("port 1 is closed");
        assert_eq!(failure.exit, Exit::Unreachable, "{failure}");
    }
}

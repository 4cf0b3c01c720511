//! Automatic failover on hold, and on again: `pause` and `resume`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use standfast_proto::access::Channel;
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::{Automation, AutomationReply, NodeStatus, PauseRequest, ResumeRequest};
use tonic::Status;

use super::client::{ADMIN_LIMIT, within};
use super::exit::{Exit, Failure};
use super::operate::{actor, look, look_around, open, refused, show, told};
use super::text::{rfc3339, wrap};
use super::{ClientArgs, duration};

const PAUSE_HELP: &str = "\
Examples:
  standfast pause --for 30m --reason \"switch firmware in rack 3\"

While it is paused no node takes over by itself, whatever happens to the
primary. `standfast switchover` and `standfast failover` work. Nodes that are
restarted keep to it, and it ends by itself at its time.
Exit code 4: the outcome is unknown; look with `standfast topology`.";

const RESUME_HELP: &str = "\
Ends a pause. After too many automatic failovers in a short time it says that
you have seen them, and that the next may happen (`serve --failover-limit`).
After the coordinator's records went back (`coordinator_moved_back`) it says to
each node that noticed that the records are right now, or that nobody else leads.

Example: standfast resume --reason \"firmware is done\"";

/// Flags of `standfast pause`.
#[derive(Debug, Clone, Args)]
#[command(after_help = PAUSE_HELP)]
pub(crate) struct PauseArgs {
    /// How long, at most seven days: 90s, 30m, 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    length: Duration,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Flags of `standfast resume`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RESUME_HELP)]
pub(crate) struct ResumeArgs {
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "asked on the command line")]
    reason: String,
}

/// No node takes over by itself for a while.
pub(crate) async fn pause(client: &ClientArgs, args: &PauseArgs) -> Result<Exit, Failure> {
    let length_ms = u64::try_from(args.length.as_millis()).unwrap_or(u64::MAX);
    let request = PauseRequest { length_ms, actor: actor(), reason: args.reason.clone() };
    let ask = async |channel| within(ADMIN_LIMIT, AdminClient::new(channel).pause(request.clone())).await;
    told(client, json!({"automation": null}), order(client, "pause", |_| false, ask).await)
}

/// It goes on.
pub(crate) async fn resume(client: &ClientArgs, args: &ResumeArgs) -> Result<Exit, Failure> {
    let request = ResumeRequest { actor: actor(), reason: args.reason.clone() };
    let ask = async |channel| within(ADMIN_LIMIT, AdminClient::new(channel).resume(request.clone())).await;
    told(client, json!({"automation": null}), order(client, "resume", disbelieves, ask).await)
}

/// The coordinator's records have gone back behind what this node knows: the word is to it alone.
fn disbelieves(status: &NodeStatus) -> bool {
    status.findings.iter().any(|finding| finding.code == "coordinator_moved_back")
}

/// Any node will do, because the word goes on record; but for those it has to be said to each.
async fn order(
    client: &ClientArgs,
    what: &str,
    each: fn(&NodeStatus) -> bool,
    ask: impl AsyncFn(Channel) -> Result<AutomationReply, Status>,
) -> Result<Exit, Failure> {
    let found = look_around(client).await?;
    let any = found.answered().next().map(|(seen, _)| seen);
    let seen = found.primary().or(any).ok_or_else(|| Failure::new(Exit::Unreachable, "no node answers"))?;
    // Whoever leads is first: it has to be done there before anybody else may act on it.
    let others = found.answered().filter(|(other, status)| each(status) && other.addr != seen.addr);
    let targets: Vec<&str> =
        std::iter::once(&*seen.addr).chain(others.map(|(other, _)| &*other.addr)).collect();
    let mut reply = AutomationReply::default();
    for addr in targets {
        let said = ask(open(addr).await?).await;
        reply = said.map_err(|status| look(Failure::of_change(what, &status), addr))?;
        if !reply.accepted {
            return refused(what, &reply.reasons, client, addr, false);
        }
    }
    let automation = reply.automation.as_ref();
    if client.json {
        let line = json!({"schema": 1, "accepted": true, "reasons": [], "automation": automation.map(line)});
        show(&[line.to_string()]);
    } else {
        show(&automation.map(lines).unwrap_or_default());
    }
    Ok(Exit::Ok)
}

/// As programs read it.
pub(crate) fn line(a: &Automation) -> Value {
    let pause = a.pause.as_ref().map(|p| {
        json!({
            "actor": p.actor, "reason": p.reason, "since": rfc3339(p.since_unix_us),
            "until": rfc3339(p.until_unix_us), "remaining_seconds": p.remaining_ms as f64 / 1e3,
        })
    });
    json!({
        "suspended": a.suspended, "reason": Some(&a.reason).filter(|r| !r.is_empty()), "pause": pause,
        "recent": a.recent, "limit": Some(a.limit).filter(|limit| *limit > 0),
        "window_seconds": a.window_ms as f64 / 1e3,
        "stopped_remaining_seconds": a.stopped_remaining_ms.map(|ms| ms as f64 / 1e3),
    })
}

/// As people read it.
pub(super) fn lines(a: &Automation) -> Vec<String> {
    if a.suspended {
        return wrap(&format!("No node takes over by itself: {}.", a.reason), 2);
    }
    let recent = match (a.recent, a.limit) {
        (0, _) | (_, 0) => String::new(),
        (n, limit) => format!(" {n} of {limit} within {} s so far.", a.window_ms / 1000),
    };
    wrap(&format!("Automatic failover is on.{recent}"), 2)
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::Pause;

    use super::*;

    #[test]
    fn what_stops_it_is_said_and_unknown_is_null() {
        let on = Automation { recent: 1, limit: 3, window_ms: 600_000, ..Automation::default() };
        assert_eq!(lines(&on), ["Automatic failover is on. 1 of 3 within 600 s so far."]);
        assert!(line(&on)["pause"].is_null() && line(&on)["reason"].is_null());
        let pause = Pause { actor: "op".into(), remaining_ms: 1500, ..Pause::default() };
        let off = Automation {
            suspended: true,
            reason: "because".into(),
            pause: Some(pause),
            ..Automation::default()
        };
        assert_eq!(lines(&off), ["No node takes over by itself: because."]);
        assert_eq!(line(&off)["pause"]["remaining_seconds"], json!(1.5));
        assert!(line(&off)["limit"].is_null(), "there is none");
    }
}

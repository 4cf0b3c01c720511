//! `standfast history`: every role change and drill, with its phases and what it cost.

use clap::Args;
use serde_json::{Value, json};
use standfast_proto::v1::status_client::StatusClient;
use standfast_proto::v1::{GetHistoryRequest, HistoryReply, Loss, RoleChange, RoleChangeKind};

use super::client::{self, CONNECT_LIMIT, STATUS_LIMIT, within};
use super::exit::{Exit, Failure};
use super::status::survey;
use super::text::{self, UNKNOWN, number, wrap};
use super::{ClientArgs, duration};

const AFTER_HELP: &str = "\
Each phase lasts until what it is named after was done; those up to
`first_answer` add up to the outage. Unknown is `?`, in JSON null.";

/// Flags of `standfast history`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct HistoryArgs {
    /// Only so many of the newest; 0 shows all that are kept
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

/// Prints what all nodes that answer know, each row once.
pub(crate) async fn run(client: &ClientArgs, args: &HistoryArgs) -> Result<Exit, Failure> {
    let found = survey(&client.connect, false).await;
    let mut replies = Vec::new();
    for (seen, _) in found.answered() {
        replies.extend(ask(&seen.addr).await.ok());
    }
    if replies.is_empty() {
        let text = format!("no node answers: {}", client.connect.join(", "));
        return Err(Failure::new(Exit::Unreachable, text));
    }
    let durable = replies.iter().all(|reply| reply.durable);
    let rows = newest(replies, args.limit as usize);
    let lines = if client.json {
        let rows: Vec<Value> = rows.iter().map(row_json).collect();
        vec![json!({"schema": 1, "durable": durable, "rows": rows}).to_string()]
    } else {
        shown(&rows, durable)
    };
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&lines));
    Ok(Exit::Ok)
}

/// All rows that a node knows.
pub(crate) async fn ask(addr: &str) -> Result<HistoryReply, String> {
    let mut status = StatusClient::new(client::open(addr, CONNECT_LIMIT).await?);
    let reply = within(STATUS_LIMIT, status.get_history(GetHistoryRequest { limit: 0 })).await;
    reply.map_err(|status| status.message().to_owned())
}

/// Each row as the node knows it that knows most of it, by start.
fn newest(replies: Vec<HistoryReply>, limit: usize) -> Vec<RoleChange> {
    let mut rows: Vec<RoleChange> = Vec::new();
    for row in replies.into_iter().flat_map(|reply| reply.rows) {
        match rows.iter_mut().find(|known| known.id == row.id) {
            Some(known) if known.revision >= row.revision => {}
            Some(known) => *known = row,
            None => rows.push(row),
        }
    }
    rows.sort_by_key(|row| row.started_unix_us);
    if limit > 0 {
        rows.drain(..rows.len().saturating_sub(limit));
    }
    rows
}

fn kind(row: &RoleChange) -> &'static str {
    match row.kind() {
        RoleChangeKind::Bootstrap => "bootstrap",
        RoleChangeKind::Switchover => "switchover",
        RoleChangeKind::Failover => "failover",
        RoleChangeKind::Forced => "forced failover",
        RoleChangeKind::Unspecified => match &*row.cause {
            "pause" => "automatic failover paused",
            "resume" => "automatic failover resumed",
            "pause_over" => "pause over",
            _ => "no role change",
        },
    }
}

fn ms(us: Option<u64>) -> Option<f64> {
    us.map(|us| us as f64 / 1e3)
}

fn loss_json(loss: Option<&Loss>) -> Value {
    json!({
        "entries": loss.and_then(|l| l.entries), "bytes": loss.and_then(|l| l.bytes),
        "keys": loss.and_then(|l| l.keys), "seconds": loss.and_then(|l| l.age_us).map(|us| us as f64 / 1e6),
    })
}

fn row_json(row: &RoleChange) -> Value {
    let phases: Vec<Value> = row
        .phases
        .iter()
        .map(
            |p| json!({"name": p.name, "start_ms": ms(Some(p.start_us)), "took_ms": ms(Some(p.duration_us))}),
        )
        .collect();
    json!({
        "id": row.id, "epoch": Some(row.epoch).filter(|epoch| *epoch > 0), "previous_epoch": row.previous_epoch,
        "kind": kind(row), "drill": row.drill, "cause": row.cause, "reason": row.reason, "actor": row.actor,
        "from": row.from_node, "to": row.to_node, "at": text::rfc3339(row.started_unix_us), "phases": phases,
        "outage_ms": ms(row.outage_us), "client_outage_ms": ms(row.client_outage_us), "rejoin_ms": ms(row.rejoin_us),
        "at_risk": loss_json(row.at_risk.as_ref()), "lost": loss_json(row.lost.as_ref()),
        "succeeded": row.succeeded, "trace_id": row.trace_id,
    })
}

fn shown(rows: &[RoleChange], durable: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let drill = if row.drill { ", a drill" } else { "" };
        let from = row.from_node.as_deref().map_or(String::new(), |from| format!("{from} -> "));
        let head = format!(
            "{}  epoch {}  {from}{}  {}{drill}",
            text::rfc3339(row.started_unix_us),
            number(Some(row.epoch).filter(|epoch| *epoch > 0)),
            row.to_node,
            kind(row)
        );
        lines.push(head);
        lines.extend(wrap(&format!("  {}: {} ({})", row.cause, row.reason, row.actor), 4));
        if row.phases.is_empty() || row.kind() == RoleChangeKind::Bootstrap {
            continue;
        }
        let took = |us: Option<u64>| {
            us.map_or(UNKNOWN.to_owned(), |us| duration::short(std::time::Duration::from_micros(us)))
        };
        let phases: Vec<String> =
            row.phases.iter().map(|p| format!("{} {}", p.name, took(Some(p.duration_us)))).collect();
        lines.extend(wrap(&format!("  outage {}: {}", took(row.outage_us), phases.join(", ")), 4));
        let lost = row.lost.unwrap_or_default();
        let (entries, keys) = (number(lost.entries), number(lost.keys));
        let rejoin = took(row.rejoin_us);
        lines.push(format!("  lost {entries} entries, {keys} keys; the other in sync again after {rejoin}"));
    }
    if rows.is_empty() {
        lines.push("There was no role change.".to_owned());
    }
    if !durable {
        lines.extend(wrap("A node keeps no file of it: give it --history FILE.", 0));
    }
    lines
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::Phase;

    use super::*;

    fn row(id: &str, revision: u64, started_unix_us: i64) -> RoleChange {
        RoleChange {
            id: id.into(),
            revision,
            started_unix_us,
            epoch: 4,
            to_node: "b".into(),
            ..Default::default()
        }
    }

    #[test]
    fn each_row_is_shown_once_as_known_best() {
        let reply = |rows| HistoryReply { rows, durable: true };
        let replies =
            vec![reply(vec![row("x", 1, 5), row("y", 1, 9)]), reply(vec![row("x", 2, 5), row("w", 1, 1)])];
        let rows = newest(replies, 2);
        let shown: Vec<_> = rows.iter().map(|row| (&*row.id, row.revision)).collect();
        assert_eq!(shown, [("x", 2), ("y", 1)]);
    }

    #[test]
    fn unknown_is_null_and_lines_fit() {
        let mut full = row("x", 1, 1_700_000_000_000_000);
        full.reason = "a very long reason ".repeat(9);
        full.phases = vec![Phase { name: "detect".into(), start_us: 0, duration_us: 410_000 }];
        let json = row_json(&full);
        assert!(json["outage_ms"].is_null() && json["lost"]["entries"].is_null(), "{json}");
        assert_eq!(json["phases"][0]["took_ms"], json!(410.0));
        let lines = shown(&[full], false);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("outage ?: detect 410 ms")), "{lines:?}");
    }
}

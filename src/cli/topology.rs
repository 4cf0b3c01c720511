//! `standfast topology`: which nodes there are, who leads in which epoch, and
//! who holds every acknowledged write.

use clap::Args;
use serde_json::{Value, json};
use standfast_proto::v1::{Coordinator, InSyncSet, NodeStatus, Role};

use super::exit::{Exit, Failure};
use super::operate::{look_around, show};
use super::status::{Seen, Survey};
use super::text::{self, UNKNOWN, cut, number, wrap};
use super::{ClientArgs, pause};

const TOPOLOGY_HELP: &str = "\
Exit code 1 when no primary answers, 3 when no node does.";

/// Flags of `standfast topology`.
#[derive(Debug, Clone, Args)]
#[command(after_help = TOPOLOGY_HELP)]
pub(crate) struct TopologyArgs {}

/// Asks every node that can be found, and prints what they are to each other.
pub(crate) async fn run(client: &ClientArgs, _: &TopologyArgs) -> Result<Exit, Failure> {
    let found = look_around(client).await?;
    show(&if client.json { vec![line(&found).to_string()] } else { table(&found) });
    Ok(if found.primary().is_some() { Exit::Ok } else { Exit::Bad })
}

/// The status that knows the cluster best: the primary's, else any.
fn knows(found: &Survey) -> Option<&NodeStatus> {
    found.primary().and_then(Seen::status).or_else(|| found.answered().next().map(|(_, status)| status))
}

fn epoch(status: Option<&NodeStatus>) -> Option<u64> {
    status.and_then(|s| s.leadership.as_ref()).and_then(|l| l.epoch)
}

fn copy(status: &NodeStatus) -> Option<&str> {
    status.identity.as_ref().map(|identity| &*identity.copy)
}

/// Whether this copy is in the in-sync set; `None` where nobody knows the set.
fn in_sync(set: Option<&InSyncSet>, status: Option<&NodeStatus>) -> Option<bool> {
    let copy = copy(status?)?;
    Some(set?.members.iter().any(|member| member.copy == copy))
}

fn line(found: &Survey) -> Value {
    let known = knows(found);
    let set = known.and_then(|s| s.in_sync.as_ref());
    let members = set.map(|set| {
        let member =
            |m: &standfast_proto::v1::InSyncCopy| json!({"node": m.node, "copy": m.copy, "silent": m.silent});
        set.members.iter().map(member).collect::<Vec<_>>()
    });
    let nodes = found.nodes.iter().map(|seen| {
        let status = seen.status();
        let role = (seen.role() != Role::Unspecified).then(|| text::role(seen.role()));
        json!({
            "node": status.map(|_| seen.name()), "addr": seen.addr, "role": role, "epoch": epoch(status),
            "copy": status.and_then(copy), "in_sync": in_sync(set, status),
            "reason": status.and_then(|s| s.leadership.as_ref()).map(|l| &l.reason),
        })
    });
    let coordinator = known.and_then(|s| s.coordinator.as_ref()).map(
        |c: &Coordinator| json!({"kind": c.kind, "endpoints": c.endpoints, "up": c.up, "reason": c.reason}),
    );
    json!({
        "schema": 1, "cluster": known.and_then(|s| s.identity.as_ref()).map(|identity| &identity.cluster),
        "primary": found.primary().map(Seen::name), "epoch": epoch(found.primary().and_then(Seen::status)),
        "in_sync": members, "coordinator": coordinator,
        "automation": known.and_then(|s| s.automation.as_ref()).map(pause::line), "nodes": nodes.collect::<Vec<_>>(),
    })
}

fn table(found: &Survey) -> Vec<String> {
    let known = knows(found);
    let set = known.and_then(|s| s.in_sync.as_ref());
    let mut lines = vec![format!("{:<16} {:<22} {:<10} {:>8} IN SYNC", "NODE", "ADDRESS", "ROLE", "EPOCH")];
    for seen in &found.nodes {
        let status = seen.status();
        let (name, addr) = (cut(seen.name(), 16), cut(&seen.addr, 22));
        let word = in_sync(set, status).map_or(UNKNOWN, |yes| if yes { "yes" } else { "no" });
        let role = text::role(seen.role());
        lines.push(format!("{name:<16} {addr:<22} {role:<10} {:>8} {word}", number(epoch(status))));
    }
    if let Some(c) = known.and_then(|s| s.coordinator.as_ref()) {
        let up = match c.up {
            Some(true) => ", answers".to_owned(),
            Some(false) => format!(", does not answer: {}", c.reason.as_deref().unwrap_or(UNKNOWN)),
            None => String::new(),
        };
        let at =
            if c.endpoints.is_empty() { String::new() } else { format!(" at {}", c.endpoints.join(", ")) };
        lines.extend(wrap(&format!("Coordinator: {}{at}{up}.", c.kind), 2));
    }
    lines.extend(known.and_then(|s| s.automation.as_ref()).map(pause::lines).unwrap_or_default());
    lines
}

//! The kill and what follows: the standby takes over by itself, the killed node returns and is in sync again.

use std::time::Duration;

use standfast_proto::v1::{NodeStatus, Reason, Role, RoleChange, StreamState, Verdict};
use tokio::time::{Instant, sleep};

use super::super::client;
use super::super::exit::{Exit, Failure};
use super::cluster::{Node, Plan};

/// For a standby to be in sync, at the start and when it returns; a safety limit for a loaded machine.
const IN_SYNC_LIMIT: Duration = Duration::from_secs(20);
/// For the standby to lead once the primary is dead.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(10);
/// Between the kill and the start of the killed node.
pub(super) const AWAY: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Reads a node's status until it is as wanted. A node that does not answer is asked again.
async fn until(node: &Node, limit: Duration, wanted: impl Fn(&NodeStatus) -> bool) -> Option<NodeStatus> {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        match client::status(&node.addr, false).await {
            Ok(status) if wanted(&status) => return Some(status),
            Ok(_) | Err(_) => sleep(LOOK_EVERY).await,
        }
    }
    None
}

fn leads(status: &NodeStatus) -> bool {
    status.leadership.as_ref().is_some_and(|l| l.role() == Role::Primary)
}

/// The primary counts on that standby, and streams to it.
fn counts_on(status: &NodeStatus, standby: &str) -> bool {
    let mut peers = status.standbys.iter();
    peers.any(|peer| peer.node == standby && peer.in_sync && peer.stream() == StreamState::Streaming)
}

/// What may speak against a takeover a moment after the start, because its proof takes its time; the record decides.
const STILL_TO_COME: [&str; 2] = ["stale_proof", "coordinator"];

/// Nothing but the age of a proof speaks against a takeover.
fn is_ready(status: &NodeStatus) -> bool {
    let Some(rehearsal) = &status.rehearsal else { return false };
    let to_come = |reason: &Reason| STILL_TO_COME.contains(&&*reason.code);
    match rehearsal.verdict() {
        Verdict::Yes => true,
        Verdict::No | Verdict::Unknown => {
            !rehearsal.reasons.is_empty() && rehearsal.reasons.iter().all(to_come)
        }
        Verdict::Unspecified => false,
    }
}

/// Starts the node that founds the cluster, and waits until it leads.
pub(super) async fn found(plan: &Plan) -> Result<Node, Failure> {
    let node = Node::start(plan).await?;
    if until(&node, IN_SYNC_LIMIT, leads).await.is_some() {
        return Ok(node);
    }
    let text = format!("{} did not begin to lead; it logged: {}", node.name, node.last_words());
    Err(Failure::new(Exit::Bad, text))
}

/// Waits until the primary counts on the standby and the standby could take over.
pub(super) async fn in_sync(primary: &Node, standby: &Node) -> Result<(), Failure> {
    let both = async {
        let counted = until(primary, IN_SYNC_LIMIT, |s| counts_on(s, standby.name)).await.is_some();
        counted && until(standby, IN_SYNC_LIMIT, is_ready).await.is_some()
    };
    if both.await {
        return Ok(());
    }
    let (a, b) = (primary.last_words(), standby.last_words());
    let text = format!(
        "{} was not in sync within {} s; {} logged: {a}; {} logged: {b}",
        standby.name,
        IN_SYNC_LIMIT.as_secs(),
        primary.name,
        standby.name
    );
    Err(Failure::new(Exit::Bad, text))
}

/// Why the standby would not take over. Killing the primary then would lose everything, as the standby says itself.
pub(super) async fn why_not(standby: &Node) -> Option<String> {
    let status = match client::status(&standby.addr, false).await {
        Ok(status) => status,
        Err(why) => return Some(format!("the standby cannot be reached: {why}")),
    };
    if is_ready(&status) {
        return None;
    }
    let reasons = status.rehearsal.map(|rehearsal| rehearsal.reasons).unwrap_or_default();
    let reasons: Vec<&str> = reasons.iter().map(|reason| &*reason.text).collect();
    Some(format!("the standby would not take over: {}", reasons.join("; ")))
}

/// Waits until the standby leads, by its own decision, and answers clients. Returns what its history says of it.
pub(super) async fn taken_over(standby: &Node) -> Result<RoleChange, String> {
    let own = |row: &RoleChange| row.to_node == standby.name;
    let answers = |row: &RoleChange| own(row) && row.outage_us.is_some();
    let led =
        until(standby, TAKEOVER_LIMIT, |status| leads(status) && status.history.iter().any(answers)).await;
    led.and_then(|status| status.history.into_iter().rfind(own)).ok_or_else(|| {
        let limit = TAKEOVER_LIMIT.as_secs();
        format!("the standby did not take over within {limit} s; it logged: {}", standby.last_words())
    })
}

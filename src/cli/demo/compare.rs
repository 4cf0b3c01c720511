//! Compares both copies at one position, digests computed from scratch included.

use std::time::Duration;

use standfast_proto::v1::{Leadership, NodeStatus, Role};
use tokio::time::{Instant, sleep};

use super::super::{client, text};
use super::cluster::Node;
use super::verdict::NodeFacts;

/// For both copies to stand at one position once the load is paused.
const LIMIT: Duration = Duration::from_secs(6);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the comparison showed.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// As last read; at one position if `equal` is known.
    pub(super) nodes: Vec<NodeFacts>,
    /// All digests and all recounts. `None` = the copies never stood at one position.
    pub(super) equal: Option<bool>,
    /// What is wrong besides: sentences.
    pub(super) faults: Vec<String>,
}

/// Reads both nodes until they stand at one position. The load must be paused.
pub(super) async fn compare(primary: &Node, standby: &Node) -> Compared {
    let until = Instant::now() + LIMIT;
    let mut compared = Compared::default();
    while Instant::now() < until {
        let (a, b) = tokio::join!(client::status(&primary.addr, true), client::status(&standby.addr, true));
        if let (Ok(a), Ok(b)) = (a, b) {
            compared.nodes = vec![facts(primary, &a), facts(standby, &b)];
            if let Some(fault) = set_aside(&b) {
                compared.faults.push(fault);
                break;
            }
            if place(&a).is_some() && place(&a) == place(&b) {
                compared.equal = all_equal(&compared.nodes);
                compared.faults = compared.nodes.iter().filter_map(own_recount).collect();
                break;
            }
        }
        sleep(LOOK_EVERY).await;
    }
    compared
}

/// The position of the whole copy, where nothing was on its way while it was read.
fn place(status: &NodeStatus) -> Option<u64> {
    let positions = status.positions.as_ref()?;
    let at = status.store.as_ref()?.digest_at?;
    (positions.tail == at && positions.applied == at).then_some(at)
}

fn all_equal(nodes: &[NodeFacts]) -> Option<bool> {
    let of = |value: fn(&NodeFacts) -> Option<&String>| {
        let values: Option<Vec<&String>> = nodes.iter().map(value).collect();
        values.map(|values| values.windows(2).all(|pair| pair[0] == pair[1]))
    };
    Some(of(|node| node.digest.as_ref())? && of(|node| node.recount.as_ref())?)
}

/// The digest that a node keeps must be the one that it computes from scratch.
fn own_recount(node: &NodeFacts) -> Option<String> {
    let (digest, recount) = (node.digest.as_ref()?, node.recount.as_ref()?);
    (digest != recount).then(|| format!("{}: the digest is {digest}, a recount gives {recount}", node.id))
}

/// Entries that the standby could not apply, as a sentence.
fn set_aside(status: &NodeStatus) -> Option<String> {
    let quarantine = status.quarantine.as_ref().filter(|quarantine| quarantine.count > 0)?;
    let first = quarantine.entries.first();
    let first = first.map_or(String::new(), |entry| format!(": entry {}, {}", entry.seq, entry.text));
    Some(format!("the standby has set aside {} entries{first}", quarantine.count))
}

fn facts(node: &Node, status: &NodeStatus) -> NodeFacts {
    let (positions, store) = (status.positions.as_ref(), status.store.as_ref());
    let leadership = status.leadership.as_ref();
    NodeFacts {
        id: node.name.to_owned(),
        pid: node.pid,
        role: text::role(leadership.map_or(Role::Unspecified, Leadership::role)),
        epoch: leadership.and_then(|l| l.epoch),
        tail: positions.map(|p| p.tail),
        applied: positions.map(|p| p.applied),
        objects: store.map(|s| s.objects),
        digest: store.and_then(|s| s.digest.clone()),
        recount: store.and_then(|s| s.recount.clone()),
    }
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::{Positions, Quarantine, Store};

    use super::*;

    fn node(digest: &str, recount: &str) -> NodeFacts {
        NodeFacts { digest: Some(digest.into()), recount: Some(recount.into()), ..NodeFacts::default() }
    }

    #[test]
    fn digests_and_recounts_must_both_be_equal() {
        assert_eq!(all_equal(&[node("1", "1"), node("1", "1")]), Some(true));
        assert_eq!(all_equal(&[node("1", "1"), node("2", "1")]), Some(false));
        assert_eq!(all_equal(&[node("1", "1"), node("1", "2")]), Some(false));
        assert_eq!(all_equal(&[node("1", "1"), NodeFacts::default()]), None, "unknown is not equal");
        assert!(own_recount(&node("1", "2")).is_some_and(|fault| fault.contains("a recount gives 2")));
        assert_eq!(own_recount(&node("1", "1")), None);
    }

    #[test]
    fn a_copy_that_moves_has_no_place() {
        let status = |tail, applied, digest_at| NodeStatus {
            positions: Some(Positions { tail, applied, ..Positions::default() }),
            store: Some(Store { digest_at, ..Store::default() }),
            ..NodeStatus::default()
        };
        assert_eq!(place(&status(9, 9, Some(9))), Some(9));
        for moving in
            [status(9, 8, Some(8)), status(9, 9, Some(8)), status(8, 8, Some(9)), status(9, 9, None)]
        {
            assert_eq!(place(&moving), None);
        }
    }

    #[test]
    fn what_was_set_aside_is_said() {
        let mut status = NodeStatus { quarantine: Some(Quarantine::default()), ..NodeStatus::default() };
        assert_eq!(set_aside(&status), None);
        status.quarantine = Some(Quarantine { count: 3, entries: Vec::new() });
        assert_eq!(set_aside(&status).as_deref(), Some("the standby has set aside 3 entries"));
    }
}

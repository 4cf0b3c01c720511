//! When what was written has arrived at every standby, as their own processes tell.

use std::time::Duration;

use standfast_proto::access::Channel;
use standfast_proto::v1::{LinkState, NodeStatus, Role};
use tokio::time::{Instant, sleep};

use super::super::client;

/// For the standbys to apply what the primary has, once the load is over.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A primary's status door and those of its standbys.
pub(super) struct Pipeline {
    primary: Channel,
    standbys: Vec<(String, Channel)>,
    /// Processes on this machine: the primary's, then the standbys'.
    pub(super) pid: Option<u32>,
    pub(super) standby_pids: Vec<Option<u32>>,
    /// How the cluster acknowledges, as operators write it.
    pub(super) ack: &'static str,
}

/// The process behind a status, if it is on this machine.
fn pid(addr: &str, status: &NodeStatus) -> Option<u32> {
    let is_here = addr.parse::<std::net::SocketAddr>().is_ok_and(|addr| addr.ip().is_loopback());
    status.identity.as_ref().map(|identity| identity.pid).filter(|_| is_here)
}

impl Pipeline {
    /// Asks the primary for its standbys and them for themselves.
    pub(super) async fn find(addr: &str) -> Result<Self, String> {
        let primary = client::open(addr, client::CONNECT_LIMIT).await?;
        let status = client::status_over(primary.clone(), false).await?;
        let leads = status.leadership.as_ref().filter(|leads| leads.role() == Role::Primary);
        let leads = leads.ok_or("it is not the primary; `standfast status` names it")?;
        let ack = leads.ack_mode().as_str_name().trim_start_matches("ACK_MODE_");
        let mut found = Self {
            primary,
            standbys: Vec::new(),
            pid: pid(addr, &status),
            standby_pids: Vec::new(),
            ack: if ack == "SYNC" { "sync" } else { "async" },
        };
        for peer in status.standbys.iter().filter(|peer| peer.link() == LinkState::Up) {
            let addr = peer.grpc_addr.as_deref().ok_or("a standby does not say where it is")?;
            let channel = client::open(addr, client::CONNECT_LIMIT).await;
            let channel = channel.map_err(|why| format!("standby {}: {why}", peer.node))?;
            let status = client::status_over(channel.clone(), false).await;
            let status = status.map_err(|why| format!("standby {}: {why}", peer.node))?;
            found.standby_pids.push(pid(addr, &status));
            found.standbys.push((peer.node.clone(), channel));
        }
        Ok(found)
    }

    pub(super) fn standbys(&self) -> usize {
        self.standbys.len()
    }

    /// Waits until every standby has applied what the primary has now.
    pub(super) async fn drain(&self) -> Result<(), String> {
        let tail = positions(&self.primary, |positions| positions.tail).await?;
        let until = Instant::now() + DRAIN_LIMIT;
        for (name, channel) in &self.standbys {
            loop {
                let applied = positions(channel, |positions| positions.applied).await;
                let applied = applied.map_err(|why| format!("standby {name}: {why}"))?;
                if applied >= tail {
                    break;
                }
                if Instant::now() >= until {
                    let limit = DRAIN_LIMIT.as_secs();
                    return Err(format!("standby {name} stands at {applied} of {tail} after {limit} s"));
                }
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }
}

async fn positions(
    channel: &Channel,
    which: fn(standfast_proto::v1::Positions) -> u64,
) -> Result<u64, String> {
    let status = client::status_over(channel.clone(), false).await?;
    status.positions.map(which).ok_or_else(|| "its status has no positions".to_owned())
}

//! How far full syncs are, on either side.

use std::time::Duration;

use standfast_kernel::replication::{CatchUpView, CopyView, CopyingView};
use standfast_kernel::types::{Seq, limits};
use standfast_proto::v1;

use super::{ms, us};

/// A standby that is given a copy of the state and has no stream of entries now.
pub(super) fn copying_peer(c: &CopyingView, tail: Seq) -> v1::Peer {
    let link = if c.connected { v1::LinkState::Up } else { v1::LinkState::Down };
    let reason = match (c.connected, c.replayed) {
        (true, _) => "it is given a copy of the state; writes go on",
        (false, None) => "its full sync was cut; it goes on when the standby returns",
        (false, Some(_)) => "it has a copy of the state and is expected to replay what came since",
    };
    v1::Peer {
        node: c.node.to_string(),
        copy: Some(c.copy.to_string()),
        grpc_addr: Some(c.address.clone()),
        link: link.into(),
        stream: c.connected.then(|| v1::StreamState::FullSync.into()),
        reason: Some(reason.to_owned()),
        lag: Some(v1::Lag {
            entries: c.replayed.filter(|_| c.connected).map(|upto| tail.since(upto)),
            bytes: None,
            age_us: Some(us(c.elapsed)),
        }),
        contact_age_ms: c.idle_for.map(ms),
        progress: Some(v1::Progress {
            lock_hold_max_us: c.hold_max.map(us),
            ..progress(c.homes, limits::HOMES as u64, c.elapsed)
        }),
        ..v1::Peer::default()
    }
}

/// A standby's own full sync.
pub(super) fn own_progress(view: &CopyView) -> v1::Progress {
    progress(view.done, view.total, view.elapsed.unwrap_or_default())
}

/// Entries that a copy lacks, on either side: after its homes, or after an absence.
pub(super) fn catching_up(view: &CatchUpView) -> v1::Progress {
    v1::Progress {
        done: view.done,
        total: Some(view.done + view.lacks),
        unit: "entries".to_owned(),
        elapsed_ms: ms(view.elapsed),
        eta_ms: view.eta().map(ms),
        ..v1::Progress::default()
    }
}

/// All homes hold about as much, so what is left takes as long as what is done, for its number.
fn progress(done: u64, total: u64, elapsed: Duration) -> v1::Progress {
    let eta = elapsed.checked_div(done as u32).map(|each| each * (total - done) as u32);
    v1::Progress {
        done,
        total: Some(total),
        unit: "homes".to_owned(),
        elapsed_ms: ms(elapsed),
        eta_ms: eta.map(ms),
        ..v1::Progress::default()
    }
}

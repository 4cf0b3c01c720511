//! What the shell needs from the world, as traits: production adapters are in
//! `outbound`, tests bring their own.

use std::future::Future;

use standfast_kernel::types::{Instant, WallTime};
use standfast_proto::v1;
use tokio::sync::mpsc;

/// Time of this node.
pub trait Clock: Send + Sync + 'static {
    /// Local time that never jumps and counts while the machine sleeps.
    fn now(&self) -> Instant;
    /// Wall time, for people.
    fn wall(&self) -> WallTime;
}

/// Randomness.
pub trait Entropy: Send + Sync + 'static {
    /// 128 random bits.
    fn random(&self) -> u128;
}

/// Why a link to a peer ended or could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{peer}: {what}")]
pub struct LinkFault {
    /// The address dialled.
    pub peer: String,
    /// What went wrong.
    pub what: String,
}

/// A stream to the node that this one follows.
pub trait PeerLink: Send + Sync + 'static {
    /// Opens a stream that sends `frames`; returns what comes back. Dropping
    /// either end closes it.
    fn open(
        &self,
        frames: mpsc::Receiver<v1::StandbyFrame>,
    ) -> impl Future<Output = Result<mpsc::Receiver<Result<v1::PrimaryFrame, LinkFault>>, LinkFault>> + Send;

    /// Asks for a copy of the state; returns what comes back. Dropping it ends it.
    fn full_sync(
        &self,
        request: v1::FullSyncRequest,
    ) -> impl Future<Output = Result<mpsc::Receiver<Result<v1::FullSyncFrame, LinkFault>>, LinkFault>> + Send;

    /// The address that it dials.
    fn address(&self) -> &str;
}

//! The few calls of a bench, over either protocol.

use std::time::Duration;

use bytes::Bytes;
use standfast_wire::types::ErrorCode;

use super::grpc::Grpc;
use super::target::Protocol;
use super::wire::Wire;

/// For one call; Mooncake's clients give up after as long.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Why a call has no results. What it may have changed is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {why}")]
pub(super) struct Fault {
    pub(super) call: &'static str,
    pub(super) why: String,
}

/// An element that was refused: one of Mooncake's error numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{:?}", ErrorCode(*.0))]
pub(super) struct Refused(pub(super) i32);

/// Memory that is lent, but that nobody has: no byte is ever transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) base: u64,
    pub(super) bytes: u64,
}

/// Where one replica is, or is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replica<'a> {
    pub(super) endpoint: &'a [u8],
    pub(super) address: u64,
    pub(super) bytes: u64,
    pub(super) is_complete: bool,
}

/// The replicas of one object, of which a bench asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replicas<'a> {
    pub(super) count: usize,
    pub(super) first: Option<Replica<'a>>,
}

/// One connection, with at most one call outstanding. A call on keys hands each result to a closure, in the order of
/// the keys.
pub(super) enum Door {
    Grpc(Box<Grpc>),
    Wire(Box<Wire>),
}

/// Makes the same call of whichever it is.
macro_rules! either {
    ($door:expr, $it:ident => $call:expr) => {
        match $door {
            Door::Grpc($it) => $call.await,
            Door::Wire($it) => $call.await,
        }
    };
}

impl Door {
    /// Connects, as the client of that number.
    pub(super) async fn open(protocol: Protocol, addr: &str, client: u64) -> Result<Self, String> {
        Ok(match protocol {
            Protocol::Grpc => Self::Grpc(Box::new(Grpc::open(addr, client).await?)),
            Protocol::Mooncake => Self::Wire(Box::new(Wire::open(addr, client).await?)),
        })
    }

    pub(super) async fn mount(&mut self, segment: &Segment) -> Result<Result<(), Refused>, Fault> {
        either!(self, door => door.mount(segment))
    }

    pub(super) async fn remount(&mut self, segments: &[Segment]) -> Result<Result<(), Refused>, Fault> {
        either!(self, door => door.remount(segments))
    }

    pub(super) async fn unmount(&mut self, segment: &Segment) -> Result<Result<(), Refused>, Fault> {
        either!(self, door => door.unmount(segment))
    }

    /// Says that the client lives; true when all that it lends must be mounted again.
    pub(super) async fn ping(&mut self) -> Result<bool, Fault> {
        either!(self, door => door.ping())
    }

    pub(super) async fn put_start(
        &mut self,
        keys: &[Bytes],
        bytes: u64,
        each: impl FnMut(Result<Replicas<'_>, Refused>) + Send,
    ) -> Result<(), Fault> {
        either!(self, door => door.put_start(keys, bytes, each))
    }

    pub(super) async fn put_end(
        &mut self,
        keys: &[Bytes],
        each: impl FnMut(Result<(), Refused>) + Send,
    ) -> Result<(), Fault> {
        either!(self, door => door.put_end(keys, each))
    }

    pub(super) async fn get(
        &mut self,
        keys: &[Bytes],
        each: impl FnMut(Result<Replicas<'_>, Refused>) + Send,
    ) -> Result<(), Fault> {
        either!(self, door => door.get(keys, each))
    }

    pub(super) async fn exist(
        &mut self,
        keys: &[Bytes],
        each: impl FnMut(Result<bool, Refused>) + Send,
    ) -> Result<(), Fault> {
        either!(self, door => door.exist(keys, each))
    }

    /// Removes, leases or not.
    pub(super) async fn remove(
        &mut self,
        keys: &[Bytes],
        each: impl FnMut(Result<(), Refused>) + Send,
    ) -> Result<(), Fault> {
        either!(self, door => door.remove(keys, each))
    }
}

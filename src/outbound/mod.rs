//! Adapters of the ports to the real world.

mod clock;
mod entropy;
mod peer;

pub use clock::BootClock;
pub use entropy::OsEntropy;
pub use peer::{GrpcPeer, epoch_of};

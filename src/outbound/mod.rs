//! Adapters of the ports to the real world.

mod clock;
mod coordinator;
mod entropy;
mod history_file;
mod peer;
mod security;
mod webhook;

pub use clock::BootClock;
pub use coordinator::{CoordinatorOptions, Credentials, EtcdCoordinator};
pub use entropy::OsEntropy;
pub use history_file::{HistoryFault, HistoryFile};
pub use peer::{GrpcPeer, epoch_of};
pub use security::{Looked, Reloader, Secured, ServerTls, Visitors, over_tls, plain};
pub use standfast_proto::access::root_cause;
pub use webhook::{Webhook, WebhookSender};

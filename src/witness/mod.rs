//! The witness: a coordinator for demos and small sites, in one process with
//! one file. It answers the part of etcd's API that nodes use, so that nodes
//! need no second client, and `etcdctl get` looks into it.
//!
//! It is a single point: while it is away nobody can take over, and when its
//! file is lost, so is the record of who leads. Its place is on neither node's
//! host (PROTOCOL 11).

mod journal;
mod service;
mod state;

use std::io;
use std::path::PathBuf;

use standfast_kernel::coordination::Revision;
use standfast_proto::etcdserverpb::kv_server::KvServer;
use standfast_proto::etcdserverpb::watch_server::WatchServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Connected;

pub use journal::JournalFault;
use service::WitnessDoor;
use state::Witness;

/// Largest request: a history record and its compares, with room.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Calls at work on one connection.
const STREAMS_MAX: u32 = 256;

/// A witness whose file is open.
pub struct OpenWitness {
    witness: Witness,
    stop: CancellationToken,
}

/// Opens the witness's file, or begins a new one at `start`.
///
/// # Errors
/// When the file is damaged, in use, not a witness's, or cannot be read; or when
/// there is one, but `start` asks for a new one.
pub fn open(path: PathBuf, start: Option<Revision>) -> Result<OpenWitness, JournalFault> {
    let stop = CancellationToken::new();
    let witness = Witness::open(path, start, stop.clone())?;
    Ok(OpenWitness { witness, stop })
}

impl OpenWitness {
    /// The revision that it is at.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.witness.revision()
    }

    /// Serves these connections until `stop` resolves, or until the file cannot be written any more.
    ///
    /// # Errors
    /// When the transport or the file fails.
    pub async fn serve<IO>(
        self,
        incoming: impl Stream<Item = io::Result<IO>> + Send,
        stop: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let failed = self.stop.clone();
        let ended = async {
            tokio::select! {
                () = stop => {}
                () = failed.cancelled() => {}
            }
            // Watches end when this is cancelled; the server waits for them.
            self.stop.cancel();
        };
        let door = WitnessDoor { witness: self.witness.clone() };
        Server::builder()
            .max_concurrent_streams(STREAMS_MAX)
            .add_service(KvServer::new(door.clone()).max_decoding_message_size(REQUEST_BYTES_MAX))
            .add_service(WatchServer::new(door))
            .serve_with_incoming_shutdown(incoming, ended)
            .await?;
        match self.witness.failure() {
            Some(what) => Err(anyhow::anyhow!(what)),
            None => Ok(()),
        }
    }
}

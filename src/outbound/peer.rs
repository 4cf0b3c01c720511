//! The stream to the node that this one follows, over gRPC.

use std::time::Duration;

use standfast_proto::access::{self, Channel, root_cause};
use standfast_proto::v1;
use standfast_proto::v1::replication_client::ReplicationClient;
use standfast_proto::v1::status_client::StatusClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::ports::{LinkFault, PeerLink};

/// Time for the connection and for the stream's headers.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// Frames received and not yet handed on: then the transport is slowed down.
const RECEIVED_MAX: usize = 64;
/// Chunks of a full sync received and not yet handed on.
const CHUNKS_RECEIVED_MAX: usize = 2;
/// Largest frame; a batch is at most half a MiB, its framing a few bytes.
const FRAME_BYTES_MAX: usize = 2 << 20;
/// Bytes on their way before the sender must wait.
const WINDOW_BYTES: u32 = 8 << 20;

/// Dials one address.
#[derive(Debug, Clone)]
pub struct GrpcPeer {
    address: String,
}

impl GrpcPeer {
    /// For this `host:port`.
    #[must_use]
    pub fn new(address: String) -> Self {
        Self { address }
    }

    fn fault(&self, what: &dyn ToString) -> LinkFault {
        LinkFault { peer: self.address.clone(), what: what.to_string() }
    }

    /// Hands on what comes, until it ends or nobody wants it.
    fn pump<T: Send + 'static>(
        &self,
        mut incoming: tonic::Streaming<T>,
        received_max: usize,
    ) -> mpsc::Receiver<Result<T, LinkFault>> {
        let (tx, rx) = mpsc::channel(received_max);
        let this = self.clone();
        tokio::spawn(async move {
            loop {
                let item = match incoming.message().await {
                    Ok(Some(frame)) => Ok(frame),
                    Ok(None) => Err(this.fault(&"the stream ended")),
                    Err(status) => Err(this.fault(&status.message())),
                };
                let over = item.is_err();
                if tx.send(item).await.is_err() || over {
                    return;
                }
            }
        });
        rx
    }

    async fn connect(&self) -> Result<Channel, LinkFault> {
        let endpoint = access::own().endpoint(&self.address).map_err(|e| self.fault(&e))?;
        let endpoint = endpoint
            .connect_timeout(OPEN_TIMEOUT)
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        let connected = endpoint.connect().await;
        connected.map(|channel| access::own().sign(channel)).map_err(|e| {
            let what = if is_refusal(&e) { LinkFault::REFUSED.to_owned() } else { root_cause(&e) };
            self.fault(&what)
        })
    }
}

impl PeerLink for GrpcPeer {
    async fn open(
        &self,
        frames: mpsc::Receiver<v1::StandbyFrame>,
    ) -> Result<mpsc::Receiver<Result<v1::PrimaryFrame, LinkFault>>, LinkFault> {
        let channel = self.connect().await?;
        let mut client = ReplicationClient::new(channel).max_decoding_message_size(FRAME_BYTES_MAX);
        let opened =
            tokio::time::timeout(OPEN_TIMEOUT, client.sync_op_log(ReceiverStream::new(frames))).await;
        let reply = opened.map_err(|_| self.fault(&"no answer to the stream's opening within 2 s"))?;
        let incoming = reply.map_err(|s| self.fault(&s.message()))?.into_inner();
        Ok(self.pump(incoming, RECEIVED_MAX))
    }

    async fn full_sync(
        &self,
        request: v1::FullSyncRequest,
    ) -> Result<mpsc::Receiver<Result<v1::FullSyncFrame, LinkFault>>, LinkFault> {
        let channel = self.connect().await?;
        let mut client = ReplicationClient::new(channel).max_decoding_message_size(FRAME_BYTES_MAX);
        let opened = tokio::time::timeout(OPEN_TIMEOUT, client.full_sync(request)).await;
        let reply = opened.map_err(|_| self.fault(&"no answer to the full sync's opening within 2 s"))?;
        let incoming = reply.map_err(|s| self.fault(&s.message()))?.into_inner();
        Ok(self.pump(incoming, CHUNKS_RECEIVED_MAX))
    }

    async fn exchange_history(
        &self,
        exchange: v1::HistoryExchange,
    ) -> Result<v1::HistoryExchange, LinkFault> {
        let mut client = ReplicationClient::new(self.connect().await?);
        let answered = tokio::time::timeout(OPEN_TIMEOUT, client.exchange_history(exchange)).await;
        let reply = answered.map_err(|_| self.fault(&"no answer to the exchange of history within 2 s"))?;
        reply.map(tonic::Response::into_inner).map_err(|s| self.fault(&s.message()))
    }

    fn address(&self) -> &str {
        &self.address
    }
}

/// Highest epoch that the node at this address has seen, or `None` when it has
/// seen none.
///
/// # Errors
/// When it cannot be asked.
pub async fn epoch_of(address: &str) -> Result<Option<u64>, LinkFault> {
    let peer = GrpcPeer::new(address.to_owned());
    let mut client = StatusClient::new(peer.connect().await?);
    let asked = client.get_status(v1::GetStatusRequest { recount: false, events_after: None });
    let answered = tokio::time::timeout(OPEN_TIMEOUT, asked).await;
    let status = answered.map_err(|_| peer.fault(&"no answer within 2 s"))?;
    let status = status.map_err(|s| peer.fault(&s.message()))?.into_inner();
    Ok(status.leadership.and_then(|l| l.max_epoch))
}

/// Whether the system at the other end says that nobody listens.
fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(e) = cause {
        let io = e.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = e.source();
    }
    false
}

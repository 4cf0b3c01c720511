//! For peers.

use standfast_proto::v1;
use standfast_proto::v1::replication_server::Replication;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::shell::ReplicationService;

/// Streams between nodes over gRPC.
pub(super) struct ReplicationDoor {
    pub(super) service: ReplicationService,
}

#[tonic::async_trait]
impl Replication for ReplicationDoor {
    type SyncOpLogStream = ReceiverStream<Result<v1::PrimaryFrame, Status>>;

    async fn sync_op_log(
        &self,
        r: Request<Streaming<v1::StandbyFrame>>,
    ) -> Result<Response<Self::SyncOpLogStream>, Status> {
        Ok(Response::new(ReceiverStream::new(self.service.accept(r.into_inner()))))
    }
}

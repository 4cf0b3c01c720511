//! For peers.

use std::sync::Arc;

use standfast_proto::v1;
use standfast_proto::v1::replication_server::Replication;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::ports::Clock;
use crate::shell::{FullSyncService, History, NodeHandle, ReplicationService};

/// Streams between nodes over gRPC.
pub(super) struct ReplicationDoor<C> {
    pub(super) service: ReplicationService,
    pub(super) copies: FullSyncService<C>,
    pub(super) node: NodeHandle,
    pub(super) history: Arc<History>,
}

#[tonic::async_trait]
impl<C: Clock> Replication for ReplicationDoor<C> {
    type SyncOpLogStream = ReceiverStream<Result<v1::PrimaryFrame, Status>>;

    async fn sync_op_log(
        &self,
        r: Request<Streaming<v1::StandbyFrame>>,
    ) -> Result<Response<Self::SyncOpLogStream>, Status> {
        Ok(Response::new(ReceiverStream::new(self.service.accept(r.into_inner()))))
    }

    async fn verify(
        &self,
        r: Request<v1::VerificationRequest>,
    ) -> Result<Response<v1::VerificationResponse>, Status> {
        let answer = self.node.verify(r.into_inner()).await;
        let answer = answer.map_err(|bad| {
            Status::from(v1::Refusal::new(v1::RefusalCode::InvalidArgument, bad.to_string()))
        })?;
        let refused = || {
            v1::Refusal::new(
                v1::RefusalCode::NotPrimary,
                "only the primary answers questions of verification",
            )
        };
        answer.map(Response::new).ok_or_else(|| refused().into())
    }

    type FullSyncStream = ReceiverStream<Result<v1::FullSyncFrame, Status>>;

    async fn full_sync(
        &self,
        r: Request<v1::FullSyncRequest>,
    ) -> Result<Response<Self::FullSyncStream>, Status> {
        Ok(Response::new(ReceiverStream::new(self.copies.accept(r.into_inner()).await?)))
    }

    async fn exchange_history(
        &self,
        r: Request<v1::HistoryExchange>,
    ) -> Result<Response<v1::HistoryExchange>, Status> {
        let answer = self.history.answer(r.into_inner());
        answer
            .map(Response::new)
            .map_err(|bad| Status::from(v1::Refusal::new(v1::RefusalCode::InvalidArgument, bad.to_string())))
    }
}

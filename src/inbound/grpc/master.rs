//! For clients.

use std::sync::Arc;

use standfast_kernel::api::Request as Call;
use standfast_proto::v1;
use standfast_proto::v1::master_server::Master;
use tonic::{Request, Response, Status};

use super::connection::line;
use super::convert as c;
use crate::ports::Clock;
use crate::shell::{Door, Line, MasterService};
use crate::telemetry::otel::Parent;

/// The client API over gRPC.
pub(super) struct MasterDoor<C> {
    pub(super) hall: Arc<MasterService<C>>,
}

impl<C: Clock> MasterDoor<C> {
    /// `from` is the caller's span, from the request's metadata, and what it came over.
    async fn call<R>(
        &self,
        (parent, line): (Option<Parent>, Line),
        call: Call,
        encode: impl FnOnce(standfast_kernel::api::Response) -> Result<R, Status>,
    ) -> Result<Response<R>, Status> {
        let response = self.hall.call_in(parent, (Door::Grpc, line), call).await.map_err(|f| c::fault(&f))?;
        encode(response).map(Response::new)
    }
}

/// The caller's trace, by W3C's header, and its connection.
fn from<T>(request: &Request<T>) -> (Option<Parent>, Line) {
    let header = request.metadata().get("traceparent").and_then(|header| header.to_str().ok());
    (header.and_then(Parent::from_header), line(request.extensions()))
}

#[tonic::async_trait]
impl<C: Clock> Master for MasterDoor<C> {
    async fn mount_segment(
        &self,
        r: Request<v1::MountSegmentRequest>,
    ) -> Result<Response<v1::MountSegmentReply>, Status> {
        self.call(from(&r), c::mount(r.into_inner())?, c::mount_reply).await
    }

    async fn re_mount_segment(
        &self,
        r: Request<v1::ReMountSegmentRequest>,
    ) -> Result<Response<v1::ReMountSegmentReply>, Status> {
        self.call(from(&r), c::remount(r.into_inner())?, c::remount_reply).await
    }

    async fn unmount_segment(
        &self,
        r: Request<v1::UnmountSegmentRequest>,
    ) -> Result<Response<v1::UnmountSegmentReply>, Status> {
        self.call(from(&r), c::unmount(r.into_inner())?, c::unmount_reply).await
    }

    async fn ping(&self, r: Request<v1::PingRequest>) -> Result<Response<v1::PingReply>, Status> {
        self.call(from(&r), c::ping(r.into_inner())?, |r| c::ping_reply(&r)).await
    }

    async fn put_start(
        &self,
        r: Request<v1::PutStartRequest>,
    ) -> Result<Response<v1::PutStartReply>, Status> {
        self.call(from(&r), c::put_start(r.into_inner())?, c::put_start_reply).await
    }

    async fn put_end(&self, r: Request<v1::PutEndRequest>) -> Result<Response<v1::PutEndReply>, Status> {
        self.call(from(&r), c::put_end(r.into_inner())?, c::put_end_reply).await
    }

    async fn get_replica_list(
        &self,
        r: Request<v1::GetReplicaListRequest>,
    ) -> Result<Response<v1::GetReplicaListReply>, Status> {
        self.call(from(&r), Call::GetReplicaList { keys: r.into_inner().keys }, c::get_reply).await
    }

    async fn exist_key(
        &self,
        r: Request<v1::ExistKeyRequest>,
    ) -> Result<Response<v1::ExistKeyReply>, Status> {
        self.call(from(&r), Call::ExistKey { keys: r.into_inner().keys }, c::exist_reply).await
    }

    async fn remove(&self, r: Request<v1::RemoveRequest>) -> Result<Response<v1::RemoveReply>, Status> {
        let from = from(&r);
        let v1::RemoveRequest { keys, force, .. } = r.into_inner();
        self.call(from, Call::Remove { keys, force }, c::remove_reply).await
    }
}

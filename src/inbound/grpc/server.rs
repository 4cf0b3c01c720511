//! The listening side of the gRPC door.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use standfast_proto::v1::admin_server::AdminServer;
use standfast_proto::v1::master_server::MasterServer;
use standfast_proto::v1::recorder_server::RecorderServer;
use standfast_proto::v1::replication_server::ReplicationServer;
use standfast_proto::v1::status_server::StatusServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::{Stream, StreamExt};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::admin::AdminDoor;
use super::connection::Begun;
use super::health;
use super::master::MasterDoor;
use super::replication::ReplicationDoor;
use super::status::StatusDoor;
use super::trace::TraceDoor;
use crate::inbound::Guard;
use crate::ports::Clock;
use crate::shell::{
    FullSyncService, MasterService, NodeHandle, ReplicationService, StatusBoard, WriteTraces,
};

/// Largest request of a client: 10,000 keys of 400 bytes, or 1,000 of the longest.
const REQUEST_BYTES_MAX: usize = 8 << 20;
/// Bytes on their way before a sender must wait.
const WINDOW_BYTES: u32 = 4 << 20;
/// Calls at work on one connection.
const STREAMS_MAX: u32 = 1024;
/// A connection that does not answer a ping for this long is closed.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// What the door leads to.
pub struct Services<C> {
    /// For clients.
    pub hall: Arc<MasterService<C>>,
    /// For peers.
    pub replication: ReplicationService,
    /// For peers that need a copy of the state.
    pub copies: FullSyncService<C>,
    /// For operators who look.
    pub board: Arc<StatusBoard>,
    /// For operators who look at one write.
    pub traces: WriteTraces,
    /// For operators who act.
    pub node: NodeHandle,
    /// Time.
    pub clock: Arc<C>,
    /// Faults may be planted.
    pub lab: bool,
    /// Who may give orders, and follow.
    pub guard: Guard,
}

/// Serves these connections until `stop` resolves.
///
/// # Errors
/// When the transport fails.
pub async fn serve<C: Clock, IO>(
    incoming: impl Stream<Item = io::Result<IO>> + Send,
    services: Services<C>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let Services { hall, replication, copies, board, traces, node, clock, lab, guard } = services;
    let traces = TraceDoor { traces, clock: Arc::clone(&clock) };
    let (reporter, health) = health::service();
    let keeper = health::keep(reporter, Arc::clone(&board), Arc::clone(&clock));
    let recounting = tokio::sync::Mutex::default();
    let status =
        StatusDoor { board: Arc::clone(&board), node: node.clone(), clock: Arc::clone(&clock), recounting };
    let replication = ReplicationServer::new(ReplicationDoor {
        service: replication,
        copies,
        node: node.clone(),
        history: Arc::clone(board.history()),
    });
    let accepting = Arc::clone(&hall);
    let incoming = incoming.map(move |io| io.map(|io| Begun { io, line: accepting.line() }));
    let server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .add_service(MasterServer::new(MasterDoor { hall }).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(InterceptedService::new(replication, guard.clone()))
        .add_service(StatusServer::new(status))
        .add_service(AdminServer::new(AdminDoor { node, board, clock, guard, lab }))
        .add_service(RecorderServer::new(traces))
        .add_service(health)
        .serve_with_incoming_shutdown(incoming, stop);
    tokio::select! {
        ended = server => ended,
        () = keeper => Ok(()),
    }
}

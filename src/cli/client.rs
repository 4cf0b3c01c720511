//! Calls to nodes, each with its deadline.

use std::time::Duration;

use standfast_proto::access::{self, Channel, root_cause};
use standfast_proto::v1::status_client::StatusClient;
use standfast_proto::v1::{GetStatusRequest, NodeStatus};
use tokio::time::timeout;
use tonic::{Response, Status};

/// To open a connection.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// For a reading of a node's status.
pub(crate) const STATUS_LIMIT: Duration = Duration::from_secs(2);
/// For a reading that computes the digest from scratch.
pub(crate) const RECOUNT_LIMIT: Duration = Duration::from_secs(60);
/// For a promotion: the node waits out its last promise, which is seconds at most.
pub(crate) const ADMIN_LIMIT: Duration = Duration::from_secs(10);

/// Connects now, so that a later failure is known to have happened after the call was sent.
///
/// # Errors
/// A sentence that says why the node cannot be reached.
pub(crate) async fn open(addr: &str, limit: Duration) -> Result<Channel, String> {
    let endpoint = access::own().endpoint(addr)?;
    match timeout(limit, endpoint.tcp_nodelay(true).connect()).await {
        Ok(Ok(channel)) => Ok(access::own().sign(channel)),
        Ok(Err(error)) => Err(root_cause(&error)),
        Err(_) => Err(format!("no connection within {} ms", limit.as_millis())),
    }
}

/// Awaits a call for at most `limit`; a deadline that passes is a status of the transport, not of the node.
///
/// # Errors
/// The call's own status, or `DEADLINE_EXCEEDED`.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// One reading of a node.
///
/// # Errors
/// A sentence that says why there is none.
pub(crate) async fn status(addr: &str, recount: bool) -> Result<NodeStatus, String> {
    let channel = open(addr, CONNECT_LIMIT).await?;
    status_over(channel, recount).await
}

/// One reading over an open connection.
///
/// # Errors
/// A sentence that says why there is none.
pub(crate) async fn status_over(channel: Channel, recount: bool) -> Result<NodeStatus, String> {
    let limit = if recount { RECOUNT_LIMIT } else { STATUS_LIMIT };
    let request = GetStatusRequest { recount, events_after: None };
    let mut client = StatusClient::new(channel);
    // Boxed: a whole status in each step of the call would make every caller's future large.
    let answer = Box::pin(within(limit, client.get_status(request))).await;
    answer.map_err(|status| {
        let text = status.message();
        if text.is_empty() { status.code().description().to_owned() } else { text.to_owned() }
    })
}

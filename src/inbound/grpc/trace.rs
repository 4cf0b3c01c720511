//! For operators who look at one write.

use std::sync::Arc;

use standfast_kernel::types::Seq;
use standfast_proto::v1;
use standfast_proto::v1::recorder_server::Recorder as RecorderApi;
use tonic::{Request, Response, Status};

use crate::ports::Clock;
use crate::shell::WriteTraces;

/// Writes told of in one answer.
const LISTED_MAX: u32 = 200;

/// The flight recorder over gRPC.
pub(super) struct TraceDoor<C> {
    pub(super) traces: WriteTraces,
    pub(super) clock: Arc<C>,
}

#[tonic::async_trait]
impl<C: Clock> RecorderApi for TraceDoor<C> {
    async fn get_trace(&self, r: Request<v1::GetTraceRequest>) -> Result<Response<v1::WriteTrace>, Status> {
        let seq = r.into_inner().seq;
        if seq == 0 {
            let text = "seq is 0: expected a seq, from 1";
            return Err(v1::Refusal::new(v1::RefusalCode::InvalidArgument, text).into());
        }
        Ok(Response::new(self.traces.of(Seq(seq), self.clock.now(), self.clock.wall())))
    }

    async fn list_traces(
        &self,
        r: Request<v1::ListTracesRequest>,
    ) -> Result<Response<v1::ListTracesReply>, Status> {
        let request = r.into_inner();
        let refused = |text: String| v1::Refusal::new(v1::RefusalCode::InvalidArgument, text).into();
        let limit = match request.limit {
            limit @ 1..=LISTED_MAX => limit as usize,
            other => return Err(refused(format!("limit is {other}: expected 1 to {LISTED_MAX}"))),
        };
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let traces = match request.order() {
            v1::TraceOrder::Newest => self.traces.newest(limit, now, wall),
            v1::TraceOrder::Slowest => self.traces.slowest(limit, now, wall),
            v1::TraceOrder::Unspecified => {
                return Err(refused("order is missing: expected newest or slowest".to_owned()));
            }
        };
        Ok(Response::new(v1::ListTracesReply { traces }))
    }
}

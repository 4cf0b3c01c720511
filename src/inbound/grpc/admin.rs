//! For operators who act.

use std::sync::Arc;

use standfast_kernel::types::NodeId;
use standfast_proto::v1;
use standfast_proto::v1::admin_server::Admin;
use tonic::{Request, Response, Status};

use crate::ports::Clock;
use crate::shell::{NodeHandle, Operated, Order, StatusBoard, StoppedNode};

/// Operator calls over gRPC.
pub(super) struct AdminDoor<C> {
    pub(super) node: NodeHandle,
    pub(super) board: Arc<StatusBoard>,
    pub(super) clock: Arc<C>,
    /// Whether faults may be planted.
    pub(super) lab: bool,
}

fn required(value: &str, what: &str) -> Result<(), Status> {
    if value.is_empty() {
        let text = format!("{what} is empty: expected text for the audit and the history");
        return Err(v1::Refusal::new(v1::RefusalCode::InvalidArgument, text).into());
    }
    Ok(())
}

fn node_id(name: &str) -> Result<NodeId, Status> {
    name.parse().map_err(|e: standfast_kernel::types::BadValue| {
        Status::from(v1::Refusal::new(v1::RefusalCode::InvalidArgument, e.to_string()))
    })
}

/// Phases one behind the other.
fn phases(done: &Operated) -> Vec<v1::Phase> {
    let mut start_us = 0;
    let phase = |(name, took): &(&str, std::time::Duration)| {
        let duration_us = took.as_micros() as u64;
        let phase = v1::Phase { name: (*name).to_owned(), start_us, duration_us };
        start_us += duration_us;
        phase
    };
    done.phases.iter().map(phase).collect()
}

impl<C: Clock> AdminDoor<C> {
    async fn operate(&self, order: Order, actor: String, reason: String) -> Result<Operated, Status> {
        required(&actor, "actor")?;
        required(&reason, "reason")?;
        self.node.operate(order, actor, reason).await.map_err(stopped)
    }
}

/// The node stopped while it worked on the call: nobody knows what came of it.
fn stopped(_: StoppedNode) -> Status {
    v1::Refusal::new(v1::RefusalCode::OutcomeUnknown, "the node stopped before it answered").into()
}

#[tonic::async_trait]
impl<C: Clock> Admin for AdminDoor<C> {
    async fn promote(&self, r: Request<v1::PromoteRequest>) -> Result<Response<v1::PromoteReply>, Status> {
        let v1::PromoteRequest { actor, reason, dry_run, start_empty } = r.into_inner();
        if start_empty {
            let done = self.operate(Order::ForceStart { dry_run }, actor, reason).await?;
            return Ok(Response::new(v1::PromoteReply {
                accepted: done.verdict.is_yes(),
                epoch: done.epoch.map(|e| e.0),
                reasons: StatusBoard::reasons(&done.verdict.reasons),
                plan: None,
            }));
        }
        required(&actor, "actor")?;
        required(&reason, "reason")?;
        let before = self.board.promotion_plan();
        let (verdict, change) = self.node.promote(actor, reason, dry_run).await.map_err(stopped)?;
        Ok(Response::new(v1::PromoteReply {
            accepted: verdict.is_yes(),
            epoch: change.map(|c| c.epoch.0),
            reasons: StatusBoard::reasons(&verdict.reasons),
            plan: before,
        }))
    }

    async fn switchover(
        &self,
        r: Request<v1::SwitchoverRequest>,
    ) -> Result<Response<v1::SwitchoverReply>, Status> {
        let v1::SwitchoverRequest { to, actor, reason, dry_run } = r.into_inner();
        let to = if to.is_empty() { None } else { Some(node_id(&to)?) };
        let done = self.operate(Order::Switchover { to, dry_run }, actor, reason).await?;
        Ok(Response::new(v1::SwitchoverReply {
            accepted: done.verdict.is_yes(),
            epoch: done.epoch.map(|e| e.0),
            reasons: StatusBoard::reasons(&done.verdict.reasons),
            to: done.node.as_ref().map(ToString::to_string),
            phases: phases(&done),
        }))
    }

    async fn abort(&self, r: Request<v1::AbortRequest>) -> Result<Response<v1::AbortReply>, Status> {
        let v1::AbortRequest { actor, reason } = r.into_inner();
        let done = self.operate(Order::Abort, actor, reason).await?;
        let reasons = StatusBoard::reasons(&done.verdict.reasons);
        Ok(Response::new(v1::AbortReply { accepted: done.verdict.is_yes(), reasons }))
    }

    async fn detach(&self, r: Request<v1::DetachRequest>) -> Result<Response<v1::DetachReply>, Status> {
        let v1::DetachRequest { node, actor, reason } = r.into_inner();
        required(&actor, "actor")?;
        required(&reason, "reason")?;
        let node = node_id(&node)?;
        let name = node.to_string();
        let done = self.node.detach(node, actor).await.map_err(stopped)?;
        let reasons = match done.map(|d| d.was_member) {
            Some(true) => Vec::new(),
            Some(false) => vec![v1::Reason {
                code: "not_a_member".into(),
                text: format!("{name} is not in the in-sync set: writes do not wait for it"),
                cure: "standfast status".into(),
            }],
            None => vec![v1::Reason {
                code: "not_primary".into(),
                text: "only the primary keeps the in-sync set".into(),
                cure: "standfast status names the primary; ask it".into(),
            }],
        };
        Ok(Response::new(v1::DetachReply {
            accepted: reasons.is_empty(),
            reasons,
            in_sync: self.board.in_sync_set(),
            told: done.is_some_and(|d| d.told),
        }))
    }

    async fn verify_now(
        &self,
        r: Request<v1::VerifyNowRequest>,
    ) -> Result<Response<v1::VerifyNowReply>, Status> {
        let request = r.into_inner();
        required(&request.actor, "actor")?;
        let reply = self.node.verify_now(request.action()).await.map_err(stopped)?;
        let none = || {
            v1::Refusal::new(
                v1::RefusalCode::InvalidArgument,
                "action is empty: expected run, repair or accept",
            )
        };
        reply.map(Response::new).ok_or_else(|| none().into())
    }

    async fn note_drill(
        &self,
        r: Request<v1::NoteDrillRequest>,
    ) -> Result<Response<v1::NoteDrillReply>, Status> {
        let drill = r.into_inner();
        required(&drill.actor, "actor")?;
        required(&drill.reason, "reason")?;
        let v1::NoteDrillRequest { actor, kind, node, .. } = &drill;
        tracing::warn!(code = "drill", actor, kind, node, "{actor} notes a drill: {}", drill.reason);
        let noted = self.board.note_drill(self.clock.wall(), drill);
        let id = noted.map_err(|bad| {
            Status::from(v1::Refusal::new(v1::RefusalCode::InvalidArgument, bad.to_string()))
        })?;
        Ok(Response::new(v1::NoteDrillReply { id }))
    }

    async fn lab_corrupt(
        &self,
        r: Request<v1::LabCorruptRequest>,
    ) -> Result<Response<v1::LabCorruptReply>, Status> {
        let refuse = |text: String| Status::from(v1::Refusal::new(v1::RefusalCode::InvalidArgument, text));
        if !self.lab {
            return Err(refuse("this node plants no faults: start it with --enable-lab".to_owned()));
        }
        let reply = self.node.corrupt(r.into_inner()).await.map_err(stopped)?;
        reply.map(Response::new).map_err(|bad| refuse(bad.to_string()))
    }
}

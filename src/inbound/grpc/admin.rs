//! For operators who act.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use standfast_kernel::types::NodeId;
use standfast_proto::v1;
use standfast_proto::v1::admin_server::Admin;
use tonic::{Request, Response, Status};

use super::audit::Audit;
use crate::inbound::Guard;
use crate::ports::Clock;
use crate::shell::{NodeHandle, Operated, Order, StatusBoard, StoppedNode};

/// Length of a pause, in milliseconds: nobody means less, and more is forgotten.
const PAUSE_MS: RangeInclusive<u64> = 1_000..=7 * 24 * 3_600_000;

/// Operator calls over gRPC.
pub(super) struct AdminDoor<C> {
    pub(super) node: NodeHandle,
    pub(super) board: Arc<StatusBoard>,
    pub(super) clock: Arc<C>,
    /// Who may order.
    pub(super) guard: Guard,
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
    let phase = |(name, took): &(&str, Duration)| {
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
        let done = self.node.operate(order, actor, reason).await.map_err(stopped)?;
        known(done.verdict.reasons.iter().map(|r| (r.code, &r.text)))?;
        Ok(done)
    }

    async fn automation(
        &self,
        order: Order,
        actor: String,
        reason: String,
    ) -> Result<v1::AutomationReply, Status> {
        let done = self.operate(order, actor, reason).await?;
        self.node.refresh().await;
        Ok(v1::AutomationReply {
            accepted: done.verdict.is_yes(),
            reasons: self.board.reasons(&done.verdict.reasons),
            automation: self.board.automation(),
        })
    }
}

/// What became of the order must be known: else it is neither done nor refused.
fn known<'a>(mut reasons: impl Iterator<Item = (&'a str, &'a String)>) -> Result<(), Status> {
    match reasons.find(|(code, _)| *code == Operated::UNKNOWN) {
        Some((_, text)) => Err(v1::Refusal::new(v1::RefusalCode::OutcomeUnknown, text.clone()).into()),
        None => Ok(()),
    }
}

/// The node stopped while it worked on the call: nobody knows what came of it.
fn stopped(_: StoppedNode) -> Status {
    v1::Refusal::new(v1::RefusalCode::OutcomeUnknown, "the node stopped before it answered").into()
}

impl<C: Clock> AdminDoor<C> {
    async fn do_promote(&self, r: v1::PromoteRequest) -> Result<v1::PromoteReply, Status> {
        let v1::PromoteRequest { actor, reason, dry_run, start_empty, accept_loss_entries } = r;
        if start_empty {
            let plan = self.board.promotion_plan();
            let order = Order::ForceStart { dry_run, accept: accept_loss_entries };
            let done = self.operate(order, actor, reason).await?;
            return Ok(v1::PromoteReply {
                accepted: done.verdict.is_yes(),
                epoch: done.epoch.map(|e| e.0),
                reasons: self.board.reasons(&done.verdict.reasons),
                // Of an empty start there is nothing to plan.
                plan: plan.filter(|_| done.keeps_state),
            });
        }
        required(&actor, "actor")?;
        required(&reason, "reason")?;
        let before = self.board.promotion_plan();
        let (verdict, change) = self.node.promote(actor, reason, dry_run).await.map_err(stopped)?;
        known(verdict.reasons.iter().map(|r| (r.code, &r.text)))?;
        Ok(v1::PromoteReply {
            accepted: verdict.is_yes(),
            epoch: change.map(|c| c.epoch.0),
            reasons: self.board.reasons(&verdict.reasons),
            plan: before,
        })
    }

    async fn do_switchover(&self, r: v1::SwitchoverRequest) -> Result<v1::SwitchoverReply, Status> {
        let v1::SwitchoverRequest { to, actor, reason, dry_run } = r;
        let to = if to.is_empty() { None } else { Some(node_id(&to)?) };
        let done = self.operate(Order::Switchover { to, dry_run }, actor, reason).await?;
        Ok(v1::SwitchoverReply {
            accepted: done.verdict.is_yes(),
            epoch: done.epoch.map(|e| e.0),
            reasons: self.board.reasons(&done.verdict.reasons),
            to: done.node.as_ref().map(ToString::to_string),
            phases: phases(&done),
        })
    }

    async fn do_abort(&self, r: v1::AbortRequest) -> Result<v1::AbortReply, Status> {
        let v1::AbortRequest { actor, reason } = r;
        let done = self.operate(Order::Abort, actor, reason).await?;
        let reasons = self.board.reasons(&done.verdict.reasons);
        Ok(v1::AbortReply { accepted: done.verdict.is_yes(), reasons })
    }

    async fn do_pause(&self, r: v1::PauseRequest) -> Result<v1::AutomationReply, Status> {
        let v1::PauseRequest { length_ms, actor, reason } = r;
        if !PAUSE_MS.contains(&length_ms) {
            let (min, max) = (PAUSE_MS.start(), PAUSE_MS.end());
            let text = format!("length_ms is {length_ms}: expected {min} to {max}, a second to seven days");
            return Err(v1::Refusal::new(v1::RefusalCode::InvalidArgument, text).into());
        }
        let length = Duration::from_millis(length_ms);
        self.automation(Order::Pause { length }, actor, reason).await
    }

    async fn do_resume(&self, r: v1::ResumeRequest) -> Result<v1::AutomationReply, Status> {
        let v1::ResumeRequest { actor, reason } = r;
        self.automation(Order::Resume, actor, reason).await
    }

    async fn do_detach(&self, r: v1::DetachRequest) -> Result<v1::DetachReply, Status> {
        let v1::DetachRequest { node, actor, reason } = r;
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
        Ok(v1::DetachReply {
            accepted: reasons.is_empty(),
            reasons,
            in_sync: self.board.in_sync_set(),
            told: done.is_some_and(|d| d.told),
        })
    }

    async fn do_verify_now(&self, r: v1::VerifyNowRequest) -> Result<v1::VerifyNowReply, Status> {
        let request = r;
        required(&request.actor, "actor")?;
        let reply = self.node.verify_now(request.action()).await.map_err(stopped)?;
        let none = || {
            v1::Refusal::new(
                v1::RefusalCode::InvalidArgument,
                "action is empty: expected run, repair or accept",
            )
        };
        reply.ok_or_else(|| none().into())
    }

    async fn do_note_drill(&self, r: v1::NoteDrillRequest) -> Result<v1::NoteDrillReply, Status> {
        let drill = r;
        required(&drill.actor, "actor")?;
        required(&drill.reason, "reason")?;
        let noted = self.board.note_drill(self.clock.wall(), drill);
        let id = noted.map_err(|bad| {
            Status::from(v1::Refusal::new(v1::RefusalCode::InvalidArgument, bad.to_string()))
        })?;
        Ok(v1::NoteDrillReply { id })
    }

    async fn do_lab_corrupt(&self, r: v1::LabCorruptRequest) -> Result<v1::LabCorruptReply, Status> {
        let refuse = |text: String| Status::from(v1::Refusal::new(v1::RefusalCode::InvalidArgument, text));
        if !self.lab {
            return Err(refuse("this node plants no faults: start it with --enable-lab".to_owned()));
        }
        let reply = self.node.corrupt(r).await.map_err(stopped)?;
        reply.map_err(|bad| refuse(bad.to_string()))
    }
}

/// Lets the caller in, does it, and says so in the log.
macro_rules! audited {
    ($($call:ident, $does:ident, $request:ident, $reply:ident;)+) => {
        #[tonic::async_trait]
        impl<C: Clock> Admin for AdminDoor<C> {
            $(async fn $call(
                &self,
                r: Request<v1::$request>,
            ) -> Result<Response<v1::$reply>, Status> {
                let audit = Audit::begin(&self.guard, stringify!($call), &r)?;
                audit.end(self.$does(r.into_inner()).await)
            })+
        }
    };
}

audited! {
    promote, do_promote, PromoteRequest, PromoteReply;
    switchover, do_switchover, SwitchoverRequest, SwitchoverReply;
    abort, do_abort, AbortRequest, AbortReply;
    pause, do_pause, PauseRequest, AutomationReply;
    resume, do_resume, ResumeRequest, AutomationReply;
    detach, do_detach, DetachRequest, DetachReply;
    verify_now, do_verify_now, VerifyNowRequest, VerifyNowReply;
    note_drill, do_note_drill, NoteDrillRequest, NoteDrillReply;
    lab_corrupt, do_lab_corrupt, LabCorruptRequest, LabCorruptReply;
}

//! Verification from outside the stream: the `Verify` call of tools, orders of
//! operators, damage of the lab. What decides is in the kernel.

use standfast_kernel::node::{Node, VerifyOrder, VerifyRefusal};
use standfast_kernel::replication::{VerificationRequest, VerificationResponse};
use standfast_kernel::store::Damage;
use standfast_kernel::types::{BadValue, HomeId, Instant};
use standfast_proto::v1;
use tokio::sync::oneshot;

use super::convert::{answer_to_wire, question_from_wire};
use super::driver::{Command, NodeHandle, StoppedNode};

/// Items damaged by one call.
const DAMAGED_MAX: u32 = 100_000;

/// What is asked of the node, each with where the answer goes.
#[derive(Debug)]
pub enum VerifyCommand {
    /// A question; `None` from a node that is not the primary, or to none.
    Question(VerificationRequest, oneshot::Sender<Option<VerificationResponse>>),
    /// An order of an operator.
    Order(VerifyOrder, oneshot::Sender<Result<u64, VerifyRefusal>>),
    /// Damage on purpose: kind, which, how many. What was damaged, and its home.
    Corrupt(Damage, u64, u32, oneshot::Sender<Vec<(HomeId, Vec<u8>)>>),
}

impl VerifyCommand {
    /// Carries it out. Whoever asked may have gone away.
    pub(super) fn run(self, now: Instant, node: &mut Node) {
        match self {
            Self::Question(request, answer) => {
                let _ = answer.send(node.answer_verification(&request));
            }
            Self::Order(order, answer) => {
                let _ = answer.send(node.verify_now(now, order));
            }
            Self::Corrupt(damage, pick, count, answer) => {
                let _ = answer.send(node.lab_corrupt(damage, pick, count));
            }
        }
    }
}

impl NodeHandle {
    /// Answers a question of verification (plan: RPC `Verify`).
    ///
    /// # Errors
    /// When the question makes no sense.
    pub async fn verify(
        &self,
        request: v1::VerificationRequest,
    ) -> Result<Option<v1::VerificationResponse>, BadValue> {
        let request = question_from_wire(request)?;
        let (tx, rx) = oneshot::channel();
        let asked = self.ask(Command::Verify(VerifyCommand::Question(request, tx))).await;
        let answer = if asked.is_ok() { rx.await.ok().flatten() } else { None };
        Ok(answer.map(answer_to_wire))
    }

    /// Carries out an operator's order; `None` when it is none.
    ///
    /// # Errors
    /// When the node stops first.
    pub async fn verify_now(
        &self,
        action: v1::VerifyAction,
    ) -> Result<Option<v1::VerifyNowReply>, StoppedNode> {
        let order = match action {
            v1::VerifyAction::Run => VerifyOrder::Run,
            v1::VerifyAction::Repair => VerifyOrder::Repair,
            v1::VerifyAction::AcceptPrimary => VerifyOrder::AcceptPrimary,
            v1::VerifyAction::Unspecified => return Ok(None),
        };
        let (tx, rx) = oneshot::channel();
        self.ask(Command::Verify(VerifyCommand::Order(order, tx))).await?;
        Ok(Some(match rx.await.map_err(|_| StoppedNode)? {
            Ok(affected) => {
                v1::VerifyNowReply { accepted: true, reasons: Vec::new(), affected: Some(affected) }
            }
            Err(why) => v1::VerifyNowReply { accepted: false, reasons: vec![refused(&why)], affected: None },
        }))
    }

    /// Damages what the node stores; what was damaged.
    ///
    /// # Errors
    /// When the node stops first.
    pub async fn corrupt(
        &self,
        request: v1::LabCorruptRequest,
    ) -> Result<Result<v1::LabCorruptReply, BadValue>, StoppedNode> {
        let damage: Damage = match request.kind.parse() {
            Ok(damage) => damage,
            Err(bad) => return Ok(Err(bad)),
        };
        let (tx, rx) = oneshot::channel();
        let count = request.count.min(DAMAGED_MAX);
        self.ask(Command::Verify(VerifyCommand::Corrupt(damage, request.pick, count, tx))).await?;
        let damaged = rx.await.map_err(|_| StoppedNode)?.into_iter();
        let (homes, names) = damaged.map(|(home, name)| (home.index() as u32, name.into())).unzip();
        Ok(Ok(v1::LabCorruptReply { names, homes }))
    }
}

fn refused(why: &VerifyRefusal) -> v1::Reason {
    let (code, cure) = match why {
        VerifyRefusal::WrongRole(_) => ("wrong_role", "standfast status"),
        VerifyRefusal::Misfit(_) => (
            "memory_misfit",
            "standfast switchover, to a standby whose copy is right; else standfast runbook MemoryDamaged",
        ),
    };
    v1::Reason { code: code.into(), text: why.to_string(), cure: cure.into() }
}

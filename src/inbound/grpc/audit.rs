//! One line for each order: who, from where, what, and what came of it.

use std::net::SocketAddr;

use standfast_proto::v1;
use tonic::{Request, Response, Status};

use super::connection::address;
use crate::inbound::Guard;

/// An order, from its arrival to its line in the log.
pub(super) struct Audit {
    call: &'static str,
    actor: String,
    peer: Option<SocketAddr>,
    proof: &'static str,
    arguments: String,
    trace_id: String,
    told: bool,
}

/// What a request says about its caller.
pub(super) trait Order: std::fmt::Debug {
    /// Who gives it, by his own word.
    fn actor(&self) -> &str;
}

/// What an answer says about the order.
pub(super) trait Answer {
    /// `accepted`, or why not.
    fn outcome(&self) -> String;
}

macro_rules! orders {
    ($($name:ident),+) => {
        $(impl Order for v1::$name {
            fn actor(&self) -> &str {
                &self.actor
            }
        })+
    };
}
orders!(
    PromoteRequest,
    SwitchoverRequest,
    AbortRequest,
    PauseRequest,
    ResumeRequest,
    DetachRequest,
    VerifyNowRequest,
    NoteDrillRequest
);

impl Order for v1::LabCorruptRequest {
    fn actor(&self) -> &'static str {
        "the lab"
    }
}

macro_rules! answers {
    ($($name:ident),+) => {
        $(impl Answer for v1::$name {
            fn outcome(&self) -> String {
                let codes: Vec<&str> = self.reasons.iter().map(|r| &*r.code).collect();
                if self.accepted { "accepted".to_owned() } else { format!("refused: {}", codes.join(", ")) }
            }
        })+
    };
}
answers!(PromoteReply, SwitchoverReply, AbortReply, AutomationReply, DetachReply, VerifyNowReply);

impl Answer for v1::NoteDrillReply {
    fn outcome(&self) -> String {
        "accepted".to_owned()
    }
}

impl Answer for v1::LabCorruptReply {
    fn outcome(&self) -> String {
        "accepted".to_owned()
    }
}

impl Audit {
    /// Lets the caller in, or says in the log that it did not.
    ///
    /// # Errors
    /// The guard's refusal.
    pub(super) fn begin<T: Order>(
        guard: &Guard,
        call: &'static str,
        request: &Request<T>,
    ) -> Result<Self, Status> {
        let mut audit = Self {
            call,
            actor: request.get_ref().actor().to_owned(),
            peer: address(request.extensions()),
            proof: "refused",
            arguments: format!("{:?}", request.get_ref()),
            trace_id: trace_id(request),
            told: false,
        };
        match guard.admit(request.metadata(), request.extensions()) {
            Ok(proof) => {
                audit.proof = proof;
                Ok(audit)
            }
            Err(refusal) => {
                audit.tell(&format!("refused: {}", refusal.message()));
                Err(refusal)
            }
        }
    }

    /// What came of it.
    pub(super) fn end<R: Answer>(mut self, done: Result<R, Status>) -> Result<Response<R>, Status> {
        match &done {
            Ok(reply) => self.tell(&reply.outcome()),
            Err(status) => self.tell(&format!("failed: {}", status.message())),
        }
        done.map(Response::new)
    }

    fn tell(&mut self, outcome: &str) {
        self.told = true;
        let peer = self.peer.map_or_else(|| "unknown".to_owned(), |a| a.to_string());
        let Self { call, actor, proof, arguments, trace_id, .. } = self;
        tracing::warn!(
            target: "audit", code = "audit", call, actor, peer, proof, arguments, outcome, trace_id,
            "{actor} at {peer} ordered {call}: {outcome}"
        );
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if !self.told {
            self.tell("unknown: the caller went away");
        }
    }
}

/// The caller's trace, or a new one: it names this line.
fn trace_id<T>(request: &Request<T>) -> String {
    let given = request.metadata().get("traceparent").and_then(|v| v.to_str().ok());
    let given = given.and_then(|v| v.split('-').nth(1));
    let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    given.filter(is_id).map_or_else(|| format!("{:032x}", rand::random::<u128>()), str::to_owned)
}

//! What operators and tools ask of verification.

use super::{Node, RoleState};
use crate::replication::{VerificationRequest, VerificationResponse};
use crate::store::{AuditError, Damage};
use crate::types::{HomeId, Instant, KeyHash, limits};

/// An operator's wish about verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyOrder {
    /// Compare all homes now, counted on both sides. Asked of a standby.
    Run,
    /// Overwrite what is known to differ from the primary. Asked of a standby.
    Repair,
    /// What the primary stores is right, where its digest says otherwise.
    AcceptPrimary,
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyRefusal {
    /// The node that was asked has another role.
    #[error("only a {0} can do this")]
    WrongRole(&'static str),
    /// What the primary stores cannot be right.
    #[error("what is stored cannot be right, so it is not accepted: {0}")]
    Misfit(#[from] AuditError),
}

impl Node {
    /// Answers a question of verification; `None` when this node is not the
    /// primary, or the question is none.
    #[must_use]
    pub fn answer_verification(&self, request: &VerificationRequest) -> Option<VerificationResponse> {
        match &self.state {
            RoleState::Primary(primary, _) => primary.answer_verification(request),
            RoleState::Standby(_) | RoleState::Candidate(_) => None,
        }
    }

    /// Carries out an order; how many homes or items it is about.
    ///
    /// # Errors
    /// When the node has another role, or what it would accept cannot be right.
    pub fn verify_now(&mut self, now: Instant, order: VerifyOrder) -> Result<u64, VerifyRefusal> {
        match (order, &mut self.state) {
            (VerifyOrder::Run, RoleState::Standby(standby)) => {
                standby.verify_all(now);
                Ok(limits::HOMES as u64)
            }
            (VerifyOrder::Repair, RoleState::Standby(standby)) => Ok(standby.repair_all(now)),
            (VerifyOrder::AcceptPrimary, RoleState::Primary(primary, _)) => {
                Ok(primary.accept_memory()? as u64)
            }
            (VerifyOrder::Run | VerifyOrder::Repair, _) => Err(VerifyRefusal::WrongRole("standby")),
            (VerifyOrder::AcceptPrimary, _) => Err(VerifyRefusal::WrongRole("primary")),
        }
    }

    /// Damages what is stored (`standfast lab corrupt`); the names of what was damaged, and their homes.
    pub fn lab_corrupt(&self, damage: Damage, pick: u64, count: u32) -> Vec<(HomeId, Vec<u8>)> {
        // Each pick far from the last: shards by the low bits, objects by the high ones.
        let picks =
            (0..u64::from(count.max(1))).map(|i| pick.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let home = |name: &[u8]| match damage {
            Damage::Segment | Damage::Client => HomeId::SEGMENTS,
            Damage::Missing
            | Damage::Extra
            | Damage::Field
            | Damage::InFlight
            | Damage::Order
            | Damage::FlippedBit => self.store.routes().place(KeyHash::of(name), name).home,
        };
        let damaged = picks.filter_map(|pick| self.store.lab_corrupt(damage, pick));
        damaged.map(|name| (home(&name), name)).collect()
    }
}

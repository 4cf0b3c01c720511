//! Roles, and every change between them, as data.

use std::fmt;

/// What a node does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a primary, or waits for one.
    Standby,
    /// Has stopped following and waits until its own last promise is over.
    Candidate,
    /// Decides.
    Primary,
}

/// Why a role changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The node was started as the first primary of its cluster.
    Bootstrap,
    /// An operator asked for it.
    Operator,
    /// The own last promise to the old primary is over (PROTOCOL G4).
    PromiseOver,
    /// The primary is gone; a takeover is sent to the coordinator (PROTOCOL T2).
    Takeover,
    /// The coordinator's record names this copy, however late that is learned (PROTOCOL C2).
    Elected,
    /// The takeover did not succeed, or is not known to have (PROTOCOL T2).
    NotElected,
    /// A higher epoch was seen (PROTOCOL T5).
    HigherEpoch,
}

/// One allowed change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// From this role,
    pub from: Role,
    /// for this cause,
    pub cause: Cause,
    /// to this role.
    pub to: Role,
}

/// All allowed changes; anything else is a bug.
pub const TRANSITIONS: &[Transition] = &[
    Transition { from: Role::Standby, cause: Cause::Bootstrap, to: Role::Primary },
    Transition { from: Role::Standby, cause: Cause::Operator, to: Role::Candidate },
    Transition { from: Role::Candidate, cause: Cause::PromiseOver, to: Role::Primary },
    Transition { from: Role::Standby, cause: Cause::Takeover, to: Role::Candidate },
    Transition { from: Role::Candidate, cause: Cause::Elected, to: Role::Primary },
    Transition { from: Role::Standby, cause: Cause::Elected, to: Role::Primary },
    Transition { from: Role::Candidate, cause: Cause::NotElected, to: Role::Standby },
    Transition { from: Role::Candidate, cause: Cause::HigherEpoch, to: Role::Standby },
    Transition { from: Role::Primary, cause: Cause::HigherEpoch, to: Role::Standby },
];

impl Role {
    /// The role after `cause`, or `None` when the table has no such change.
    #[must_use]
    pub fn after(self, cause: Cause) -> Option<Self> {
        TRANSITIONS.iter().find(|t| t.from == self && t.cause == cause).map(|t| t.to)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standby => "standby",
            Self::Candidate => "candidate",
            Self::Primary => "primary",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bootstrap => "bootstrap",
            Self::Operator => "operator",
            Self::PromiseOver => "promise over",
            Self::Takeover => "takeover",
            Self::Elected => "elected",
            Self::NotElected => "not elected",
            Self::HigherEpoch => "higher epoch",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ARCHITECTURE.md shows this table; it is written from here.
    #[test]
    fn the_table_is_in_the_architecture() {
        let mut table = String::from("| from | cause | to |\n|---|---|---|\n");
        for t in TRANSITIONS {
            table += &format!("| {} | {} | {} |\n", t.from, t.cause, t.to);
        }
        let page = include_str!("../../../../ARCHITECTURE.md");
        assert!(page.contains(&table), "ARCHITECTURE.md must contain:\n{table}");
    }

    #[test]
    fn only_listed_changes_exist() {
        assert_eq!(Role::Standby.after(Cause::Operator), Some(Role::Candidate));
        assert_eq!(Role::Primary.after(Cause::Operator), None);
        assert_eq!(Role::Standby.after(Cause::PromiseOver), None);
    }
}

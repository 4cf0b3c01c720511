//! Roles as people read them.

use crate::v1::Role;

impl Role {
    /// Its word; `None` when the node did not say.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Primary => Some("primary"),
            Self::Standby => Some("standby"),
            Self::Candidate => Some("candidate"),
            Self::Offline => Some("offline"),
            Self::Unspecified => None,
        }
    }
}

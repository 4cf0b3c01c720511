//! May this node take over? One pure function: the rehearsal asks it all the
//! time, and the promotion asks it once more (PROTOCOL 12).

use super::Role;

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The node's role.
    pub role: Role,
    /// It has been streamed to since it started.
    pub ever_streamed: bool,
    /// The primary counted this copy as in sync when it was last heard.
    pub in_sync: bool,
    /// Entries set aside.
    pub quarantined: usize,
    /// How far a full sync is whose homes do not form one prefix of the log yet.
    pub unsealed: Option<String>,
}

/// One reason against a promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable word for scripts and metrics.
    pub code: &'static str,
    /// Sentence for people.
    pub text: String,
}

/// Whether a promotion would succeed, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Empty means yes.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// True when nothing speaks against it.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Judges the facts. With a manual coordinator a standby may be promoted
/// without further words iff it is in the last known in-sync set, has
/// acknowledged in this session and has nothing set aside (PROTOCOL 11).
#[must_use]
pub fn may_promote(facts: &Facts) -> Verdict {
    let mut reasons = Vec::new();
    let mut against = |code, text: String| reasons.push(Reason { code, text });
    if facts.role != Role::Standby {
        against("not_standby", format!("this node is {}, only a standby can be promoted", facts.role));
        return Verdict { reasons };
    }
    if let Some(progress) = &facts.unsealed {
        against("full_sync", format!("a full sync runs, the state is not whole: {progress}"));
        return Verdict { reasons };
    }
    if !facts.ever_streamed {
        against("never_streamed", "no primary has streamed to this copy: it would serve nothing".into());
    } else if !facts.in_sync {
        against(
            "not_in_sync",
            "the primary last counted this copy as not in sync: it may lack writes".into(),
        );
    }
    if facts.quarantined > 0 {
        let n = facts.quarantined;
        against("quarantine", format!("{n} entries are quarantined: this copy has a hole"));
    }
    Verdict { reasons }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(facts: &Facts) -> Vec<&'static str> {
        may_promote(facts).reasons.iter().map(|r| r.code).collect()
    }

    #[test]
    fn each_fact_flips_the_verdict_with_its_own_code() {
        let good = || Facts {
            role: Role::Standby,
            ever_streamed: true,
            in_sync: true,
            quarantined: 0,
            unsealed: None,
        };
        assert!(may_promote(&good()).is_yes());
        assert_eq!(codes(&Facts { role: Role::Primary, ..good() }), ["not_standby"]);
        assert_eq!(codes(&Facts { ever_streamed: false, ..good() }), ["never_streamed"]);
        assert_eq!(codes(&Facts { in_sync: false, ..good() }), ["not_in_sync"]);
        assert_eq!(codes(&Facts { quarantined: 2, ..good() }), ["quarantine"]);
        assert_eq!(codes(&Facts { unsealed: Some("7 homes".into()), ..good() }), ["full_sync"]);
    }
}

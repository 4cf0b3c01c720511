//! What people want to know about, as data and as a sentence.

use std::time::Duration;

use crate::replication::{Quarantined, VerifyNote};
use crate::supervisor::Role;
use crate::types::{ConnId, CopyId, Epoch, HomeId, NodeId, Seq};

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Redundancy or safety is reduced.
    Warning,
    /// Data or service is at stake.
    Critical,
}

/// Something that happened on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// How much it matters.
    pub severity: Severity,
    /// Stable word for scripts and filters.
    pub code: &'static str,
    /// Sentence for people.
    pub text: String,
}

/// How much a failover may have lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Entries that the old primary was heard to have and this node lacks:
    /// at risk, not necessarily acknowledged. `None` when it was never heard.
    pub last_heard: Option<u64>,
    /// Acknowledged entries that this node lacks: in sync mode those that the old
    /// primary was heard to have committed, and anything but 0 is a broken
    /// promise. `None` in async mode: what the old primary acknowledged after
    /// its last frame died with it.
    pub acknowledged: Option<u64>,
}

/// One change of the primary, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleChange {
    /// The epoch that it began.
    pub epoch: Epoch,
    /// `bootstrap`, `failover`, ...
    pub kind: &'static str,
    /// What brought it about.
    pub cause: String,
    /// The sentence that was given or found.
    pub reason: String,
    /// Who wanted it.
    pub actor: String,
    /// Its phases, in order, with how long each took.
    pub phases: Vec<(&'static str, Duration)>,
    /// What may be lost; `None` where there was nothing before.
    pub loss: Option<Loss>,
}

impl RoleChange {
    pub(super) fn bootstrap(epoch: Epoch) -> Self {
        Self {
            epoch,
            kind: "bootstrap",
            cause: "configuration".into(),
            reason: "started as the first primary".into(),
            actor: "configuration".into(),
            phases: Vec::new(),
            loss: None,
        }
    }
}

impl Happening {
    fn new(severity: Severity, code: &'static str, text: String) -> Self {
        Self { severity, code, text }
    }

    pub(super) fn role_changed(to: Role, epoch: Epoch, reason: &str) -> Self {
        Self::new(Severity::Warning, "role_changed", format!("{to} in epoch {epoch}: {reason}"))
    }

    pub(super) fn warning(code: &'static str, text: String) -> Self {
        Self::new(Severity::Warning, code, text)
    }

    pub(super) fn holder(node: &NodeId, epoch: Epoch) -> Self {
        Self::new(Severity::Info, "holder", format!("{node} leads in epoch {epoch}, says the coordinator"))
    }

    pub(super) fn membership(node: &NodeId, copy: CopyId, joined: bool) -> Self {
        if joined {
            return Self::new(
                Severity::Info,
                "isr_joined",
                format!("{node} (copy {copy}) joined the in-sync set"),
            );
        }
        Self::new(Severity::Warning, "isr_left", format!("{node} (copy {copy}) left the in-sync set"))
    }

    pub(super) fn dismissed(node: &NodeId, why: &str) -> Self {
        let text = format!("{node} is to leave the in-sync set: {why}");
        Self::new(Severity::Warning, "isr_dismissed", text)
    }

    pub(super) fn silent(node: &NodeId, copy: CopyId, silent: bool) -> Self {
        if silent {
            let text = format!(
                "{node} (copy {copy}) is silent and stays in the in-sync set: --degrade strict takes no write"
            );
            return Self::new(Severity::Warning, "isr_silent", text);
        }
        Self::new(Severity::Info, "isr_granting", format!("{node} (copy {copy}) acknowledges again"))
    }

    pub(super) fn detach_asked(node: &NodeId, actor: &str) -> Self {
        Self::new(Severity::Warning, "detach", format!("{actor} detaches {node}"))
    }

    pub(super) fn peer_closed(conn: ConnId, why: &str) -> Self {
        Self::new(Severity::Info, "standby_closed", format!("replication connection {} ended: {why}", conn.0))
    }

    pub(super) fn streaming(node: &NodeId, epoch: Epoch, from: Seq) -> Self {
        Self::new(Severity::Info, "streaming", format!("{node} streams from {from} in epoch {epoch}"))
    }

    pub(super) fn not_streamed(why: &str) -> Self {
        Self::new(Severity::Warning, "not_streamed", why.to_owned())
    }

    pub(super) fn lost_place(how: &str) -> Self {
        Self::new(Severity::Warning, "left_in_sync", how.to_owned())
    }

    pub(super) fn copying(node: &NodeId) -> Self {
        let text = format!("{node} is given a copy of the state");
        Self::new(Severity::Info, "full_sync_begun", text)
    }

    pub(super) fn diverged(what: &str) -> Self {
        Self::new(Severity::Warning, "diverged", what.to_owned())
    }

    pub(super) fn discarded(old: CopyId, new: CopyId, why: &str) -> Self {
        let text = format!("copy {old} of the state was discarded, copy {new} begins: {why}");
        Self::new(Severity::Warning, "discarded", text)
    }

    pub(super) fn sealed(upto: Seq) -> Self {
        let text = format!("the full sync is complete: the state is whole up to entry {upto}");
        Self::new(Severity::Info, "full_sync_sealed", text)
    }

    pub(super) fn damaged_here(home: HomeId, damaged: bool) -> Self {
        if damaged {
            let text = format!(
                "{home}: the memory of this primary is not what its digest says; switch over to a standby whose \
                 memory is as its digests say (`standfast runbook MemoryDamaged`)"
            );
            return Self::new(Severity::Critical, "primary_damaged", text);
        }
        Self::new(Severity::Info, "primary_whole", format!("{home}: memory and digest agree again"))
    }

    pub(super) fn verification(note: &VerifyNote) -> Self {
        match note {
            VerifyNote::Mismatch(m) => Self::new(
                Severity::Critical,
                "verify_mismatch",
                format!("{} at {}: {}", m.home, m.at, m.difference),
            ),
            VerifyNote::Repaired(home, keys) => Self::new(
                Severity::Warning,
                "verify_repaired",
                format!("{home}: {keys} items overwritten from the primary"),
            ),
            VerifyNote::Damaged(home) => Self::new(
                Severity::Critical,
                "memory_damaged",
                format!("{home}: the memory of this node is not what its digest says"),
            ),
            VerifyNote::PrimaryDamaged(home) => Self::new(
                Severity::Critical,
                "primary_damaged",
                format!(
                    "{home}: the memory of the primary is not what its digest says; nothing is taken from it"
                ),
            ),
            VerifyNote::DigestReset(home) => Self::new(
                Severity::Warning,
                "digest_reset",
                format!("{home}: the content equals the primary's, only the digest was off: counted anew"),
            ),
            VerifyNote::Overwrite(keys) => Self::new(
                Severity::Critical,
                "verify_full_sync",
                format!("{keys} items differ: every home that differs is overwritten from the primary"),
            ),
            VerifyNote::NeedFullSync(why) => {
                Self::new(Severity::Critical, "verify_needs_full_sync", why.clone())
            }
            VerifyNote::Paused(why) => {
                Self::new(Severity::Info, "verify_paused", format!("verification pauses: {why}"))
            }
            VerifyNote::Resumed => Self::new(Severity::Info, "verify_resumed", "verification goes on".into()),
        }
    }

    pub(super) fn quarantined(bad: &Quarantined) -> Self {
        let key = bad.key.as_deref().map_or("none".into(), |k| k.escape_ascii().to_string());
        let text = format!("entry {} (key {key}) is quarantined: {}", bad.seq, bad.reason);
        Self::new(Severity::Critical, "quarantined", text)
    }
}

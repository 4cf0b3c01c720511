//! The records of a cluster (PROTOCOL 3). None is attached to a lease.

use std::time::Duration;

use super::automation::{AutomaticChange, AutomationRecord};
use crate::types::{AckMode, ClusterId, CopyId, Epoch, NodeId, WallTime};

/// Names one record of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Who leads. Its revision is the epoch.
    Epoch,
    /// Who holds every acknowledged operation.
    Isr,
    /// Counter that a holder writes: a lease, counted by observers.
    Alive,
    /// Whether nodes may take over by themselves; not there until an operator says something.
    Automation,
    /// One change of the holder.
    History(HistoryId),
    /// Whether that node could be promoted.
    Rehearsal(NodeId),
    /// Where Mooncake's clients find the master; outside of our prefix.
    MasterView,
}

/// Names a history record. The new epoch is not known before the transaction
/// commits, so the epoch before it and the transaction's nonce stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HistoryId {
    /// The epoch that ended.
    pub previous: Epoch,
    /// Nonce of the transaction that ended it.
    pub nonce: u64,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of [`Key::Epoch`].
    Epoch(EpochRecord),
    /// Of [`Key::Isr`].
    Isr(IsrRecord),
    /// Of [`Key::Alive`].
    Alive(u64),
    /// Of [`Key::Automation`].
    Automation(AutomationRecord),
    /// Of [`Key::History`].
    History(HistoryRecord),
    /// Of [`Key::Rehearsal`].
    Rehearsal(RehearsalRecord),
    /// Of [`Key::MasterView`]: `host:port`.
    MasterView(String),
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// The node.
    pub holder: NodeId,
    /// Its copy of the state: only this copy leads (PROTOCOL C2).
    pub copy: CopyId,
    /// Where other nodes and operators reach it.
    pub address: String,
    /// Where Mooncake's clients reach it, if anywhere.
    pub mooncake: Option<String>,
    /// What made it the holder.
    pub cause: EpochCause,
    /// Who wanted it.
    pub actor: String,
    /// Why, as a sentence.
    pub reason: String,
    /// Chosen at random by the writer, so that it knows its own record again.
    pub nonce: u64,
    /// The former holder had stopped answering before it wrote this (PROTOCOL G4, T7).
    pub quiet: bool,
    /// The epoch before.
    pub previous: Epoch,
    /// The last automatic changes of the holder, this one included, if it is one.
    pub automatic: Vec<AutomaticChange>,
}

/// What makes a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochCause {
    /// There was none: a new cluster.
    Bootstrap,
    /// A member of the in-sync set took over.
    Failover,
    /// The holder handed over.
    Switchover,
    /// An operator started an empty copy in place of lost ones (PROTOCOL T4).
    Forced,
    /// Every member on record had come back empty (DESIGN 3).
    ColdStart,
}

impl EpochCause {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Bootstrap, Self::Failover, Self::Switchover, Self::Forced, Self::ColdStart];

    /// Stable word for records, scripts and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Failover => "failover",
            Self::Switchover => "switchover",
            Self::Forced => "forced_failover",
            Self::ColdStart => "cold_start",
        }
    }
}

/// The in-sync set on record: each member holds every acknowledged operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrRecord {
    /// The holder's copy included.
    pub members: Vec<IsrMember>,
    /// Members that neither acknowledge nor grant at present (PROTOCOL I8).
    pub silent: Vec<CopyId>,
    /// When replies go out.
    pub ack: AckMode,
    /// Standbys that must grant for mutations to be accepted, in strict mode.
    pub min_insync: u32,
    /// Longest read lease that may have been granted (PROTOCOL A3).
    pub read_ttl_max: Duration,
}

/// A member of the in-sync set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrMember {
    /// The copy; what counts (PROTOCOL I5).
    pub copy: CopyId,
    /// Its node, for people.
    pub node: NodeId,
    /// Where other nodes reach it.
    pub address: String,
}

impl IsrRecord {
    /// True when this copy is a member.
    #[must_use]
    pub fn holds(&self, copy: CopyId) -> bool {
        self.members.iter().any(|m| m.copy == copy)
    }

    /// True when this copy is a member that grants.
    #[must_use]
    pub fn holds_granting(&self, copy: CopyId) -> bool {
        self.holds(copy) && !self.silent.contains(&copy)
    }

    /// Copies other than `holder` whose grants a primary needs (PROTOCOL 5).
    pub fn granting_besides(&self, holder: CopyId) -> impl Iterator<Item = CopyId> + '_ {
        let granting = move |m: &&IsrMember| m.copy != holder && !self.silent.contains(&m.copy);
        self.members.iter().filter(granting).map(|m| m.copy)
    }

    /// True when rights under this record also need the solo lease: a member is
    /// silent, or nobody besides the holder grants (PROTOCOL 5).
    #[must_use]
    pub fn needs_lease(&self, holder: CopyId) -> bool {
        !self.silent.is_empty() || self.granting_besides(holder).next().is_none()
    }
}

/// One change of the holder, kept for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRecord {
    /// The epoch that began; unknown until its holder has filled it in.
    pub epoch: Option<Epoch>,
    /// Who began it.
    pub node: NodeId,
    /// What made it the holder.
    pub cause: EpochCause,
    /// Why, as a sentence.
    pub reason: String,
    /// Who wanted it.
    pub actor: String,
    /// When, for people.
    pub at: WallTime,
    /// Its phases, in order, with how long each took.
    pub phases: Vec<(String, Duration)>,
    /// What was lost; unknown until its holder has filled it in.
    pub loss: Option<HistoryLoss>,
}

/// What a change of the holder lost. `None` is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLoss {
    /// Entries that the former holder was heard to have and this copy lacks.
    pub entries_at_risk: Option<u64>,
    /// Of those, the ones known to be acknowledged.
    pub entries_lost: Option<u64>,
}

/// What a standby's last rehearsal of its promotion found (PROTOCOL 12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehearsalRecord {
    /// The copy that was judged.
    pub copy: CopyId,
    /// Whether a promotion would succeed; `None`: it cannot tell.
    pub verdict: Option<bool>,
    /// Codes of what speaks against it.
    pub reasons: Vec<String>,
    /// Keys that it would serve.
    pub keys: Option<u64>,
    /// When, for people.
    pub at: WallTime,
}

/// Where the records of a cluster begin.
#[must_use]
pub fn prefix(cluster: &ClusterId) -> String {
    format!("standfast/{cluster}/")
}

const HISTORY: &str = "history/";
const REHEARSAL: &str = "rehearsal/";

impl Key {
    /// What every decision rests on.
    pub const GROUND: [Self; 5] = [Self::Epoch, Self::Isr, Self::Alive, Self::Automation, Self::MasterView];

    /// The key as the coordinator stores it.
    #[must_use]
    pub fn path(&self, cluster: &ClusterId) -> String {
        let ours = prefix(cluster);
        match self {
            Self::Epoch => format!("{ours}epoch"),
            Self::Isr => format!("{ours}isr"),
            Self::Alive => format!("{ours}alive"),
            Self::Automation => format!("{ours}automation"),
            // Padded, so that the order of the text is the order of the epochs.
            Self::History(id) => format!("{ours}{HISTORY}{:020}-{:016x}", id.previous.0, id.nonce),
            Self::Rehearsal(node) => format!("{ours}{REHEARSAL}{node}"),
            Self::MasterView => format!("mooncake-store/{cluster}/master_view"),
        }
    }

    /// Where all history records of a cluster begin.
    #[must_use]
    pub fn history_prefix(cluster: &ClusterId) -> String {
        prefix(cluster) + HISTORY
    }

    /// Where all rehearsals of a cluster begin.
    #[must_use]
    pub fn rehearsal_prefix(cluster: &ClusterId) -> String {
        prefix(cluster) + REHEARSAL
    }

    /// Reads [`path`](Self::path) back; `None` for a key that is not ours.
    #[must_use]
    pub fn parse(path: &str, cluster: &ClusterId) -> Option<Self> {
        if path == Self::MasterView.path(cluster) {
            return Some(Self::MasterView);
        }
        let rest = path.strip_prefix(prefix(cluster).as_str())?;
        if let Some(id) = rest.strip_prefix(HISTORY) {
            let (previous, nonce) = id.split_once('-')?;
            let nonce = u64::from_str_radix(nonce, 16).ok()?;
            return Some(Self::History(HistoryId { previous: Epoch(previous.parse().ok()?), nonce }));
        }
        if let Some(node) = rest.strip_prefix(REHEARSAL) {
            return node.parse().ok().map(Self::Rehearsal);
        }
        match rest {
            "epoch" => Some(Self::Epoch),
            "isr" => Some(Self::Isr),
            "alive" => Some(Self::Alive),
            "automation" => Some(Self::Automation),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_as_written_and_history_sorts_by_epoch() {
        let cluster: ClusterId = "kv".parse().expect("valid");
        let id = |previous, nonce| HistoryId { previous: Epoch(previous), nonce };
        let keys = [
            Key::Epoch,
            Key::Isr,
            Key::Alive,
            Key::Automation,
            Key::History(id(9, u64::MAX)),
            Key::History(id(u64::MAX, 0)),
            Key::Rehearsal("node-1".parse().expect("valid")),
            Key::MasterView,
        ];
        for key in keys {
            assert_eq!(Key::parse(&key.path(&cluster), &cluster), Some(key));
        }
        let path = |previous| Key::History(id(previous, 1)).path(&cluster);
        assert!(path(9) < path(10) && path(10) < path(1_000));
        for foreign in ["standfast/kv/", "standfast/kv2/epoch", "standfast/kv/history/x", "epoch"] {
            assert_eq!(Key::parse(foreign, &cluster), None, "{foreign}");
        }
    }

    #[test]
    fn the_lease_is_needed_alone_and_beside_silent_members() {
        let member = |n: u128| IsrMember {
            copy: CopyId(n),
            node: "n".parse().expect("valid"),
            address: String::new(),
        };
        let record = |members: &[u128], silent: &[u128]| IsrRecord {
            members: members.iter().map(|n| member(*n)).collect(),
            silent: silent.iter().map(|n| CopyId(*n)).collect(),
            ack: AckMode::Sync,
            min_insync: 1,
            read_ttl_max: Duration::ZERO,
        };
        let cases = [(record(&[1], &[]), true), (record(&[1, 2], &[]), false), (record(&[1, 2], &[2]), true)];
        for (record, lease) in cases {
            assert_eq!(record.needs_lease(CopyId(1)), lease, "{record:?}");
        }
        assert!(record(&[1, 2, 3], &[3]).needs_lease(CopyId(1)));
        assert!(!record(&[1, 2], &[2]).holds_granting(CopyId(2)));
        assert!(!record(&[1], &[]).holds_granting(CopyId(2)));
    }
}

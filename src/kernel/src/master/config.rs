//! What a master is told once.

use std::str::FromStr;
use std::time::Duration;

use super::{EvictionRules, TaskRules, WindowRules};
use crate::api::StorageConfig;
use crate::types::BadValue;

/// Periods and ratios of the master (SEMANTICS 1.8, PROTOCOL T6).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MasterTimes {
    /// Read lease.
    pub read_ttl: Duration,
    /// After this a new write may take over an unfinished one.
    pub put_discard: Duration,
    /// For this long a preempted writer's regions stay unused.
    pub put_release: Duration,
    /// For this long the regions that a writer gave up stay unused, as well as
    /// the targets of a revoked copy or move: packets of the abandoned transfer
    /// may still land (SEMANTICS R7).
    pub revoke_quarantine: Duration,
    /// Soft pin, where the writer does not say.
    pub soft_pin_ttl: Duration,
    /// Longest soft pin that a writer may ask for.
    pub soft_pin_ttl_max: Duration,
    /// How many tasks are kept, and for how long they may take.
    pub tasks: TaskRules,
    /// When memory is evicted, and how much of it.
    pub eviction: EvictionRules,
}

impl MasterTimes {
    /// Mooncake's defaults.
    pub const DEFAULT: Self = Self {
        read_ttl: Duration::from_secs(10),
        put_discard: Duration::from_secs(30),
        put_release: Duration::from_secs(600),
        revoke_quarantine: Duration::from_secs(2),
        soft_pin_ttl: Duration::from_secs(30 * 60),
        soft_pin_ttl_max: Duration::from_secs(24 * 60 * 60),
        tasks: TaskRules::DEFAULT,
        eviction: EvictionRules::DEFAULT,
    };
}

impl Default for MasterTimes {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl MasterTimes {
    /// Whether the periods fit each other; stock masters refuse to start else.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), BadValue> {
        let bad = |what, value: Duration, expected| {
            Err(BadValue { what, value: format!("{} ms", value.as_millis()), expected })
        };
        if self.put_release <= self.put_discard {
            return bad("put release timeout", self.put_release, "more than the put discard timeout");
        }
        if self.soft_pin_ttl > self.soft_pin_ttl_max {
            return bad("default soft pin TTL", self.soft_pin_ttl, "at most the longest soft pin TTL");
        }
        Ok(())
    }
}

/// When lenders count as dead (SEMANTICS 4.5, R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimes {
    /// A lender that is silent for longer is expired. `None`: never, for where
    /// lenders have no way to say that they live.
    pub ttl: Option<Duration>,
    /// What a lender gets beyond its ttl to find a new primary.
    pub reconnect: Duration,
    /// A pause between two maintenance steps that is longer proves that this
    /// node was itself stalled: it has heard nobody, and expires nobody for a ttl.
    pub own_stall: Duration,
}

impl Default for ClientTimes {
    fn default() -> Self {
        Self {
            ttl: Some(Duration::from_secs(10)),
            reconnect: Duration::from_secs(5),
            own_stall: Duration::from_secs(1),
        }
    }
}

/// How segments are chosen (SEMANTICS 3.1). Preferred names always come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// A walk over names from a random one.
    #[default]
    Random,
    /// The emptiest of some names from a random one, then as random.
    FreeRatioFirst,
    /// A single replica near its writer; then, and for more, as random.
    LocalFirst,
}

impl FromStr for Placement {
    type Err = BadValue;

    fn from_str(s: &str) -> Result<Self, BadValue> {
        match s {
            "random" => Ok(Self::Random),
            "free_ratio_first" => Ok(Self::FreeRatioFirst),
            "local_first" => Ok(Self::LocalFirst),
            _ => Err(BadValue {
                what: "allocation strategy",
                value: s.chars().take(80).collect(),
                expected: "`random`, `free_ratio_first` or `local_first`",
            }),
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MasterConfig {
    /// Periods.
    pub times: MasterTimes,
    /// Liveness of lenders.
    pub clients: ClientTimes,
    /// Choice of segments.
    pub placement: Placement,
    /// What clients are told about storage on a shared file system.
    pub storage: StorageConfig,
    /// Whether the transfer metadata of a lender's segments goes when the lender is expired.
    pub metadata_cleanup: bool,
    /// What writes may be told of before a standby knows of them. `None`: nothing. A node in
    /// sync mode makes it none.
    pub windows: Option<WindowRules>,
}

impl From<MasterTimes> for MasterConfig {
    fn from(times: MasterTimes) -> Self {
        Self { times, ..Self::default() }
    }
}

//! What a write says about its objects and their replicas.

use bytes::Bytes;

use crate::types::DataType;

/// Kinds of replicas (SEMANTICS 1.3). This master makes memory replicas only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum ReplicaType {
    /// A region of a mounted segment.
    Memory = 0,
    /// A file on a shared file system.
    Disk = 1,
    /// A file on one client's disk.
    LocalDisk = 2,
    /// A region of an NVMe-over-Fabric segment.
    NofSsd = 3,
    /// Memory, and what is like it.
    #[default]
    All = 4,
    /// A file of a distributed file system.
    Dfs = 100,
}

impl ReplicaType {
    /// True when it covers the replicas that this master makes.
    #[must_use]
    pub fn is_memory(self) -> bool {
        match self {
            Self::Memory | Self::All => true,
            Self::Disk | Self::LocalDisk | Self::NofSsd | Self::Dfs => false,
        }
    }
}

/// What a write does to the object's soft pin (SEMANTICS 1.3, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SoftPinAction {
    /// Leaves it.
    #[default]
    Preserve,
    /// Sets it at the first end.
    Enable,
    /// Clears it at the first end.
    Disable,
    /// A number that Mooncake does not know: refused.
    Unknown(u8),
}

impl From<u8> for SoftPinAction {
    fn from(n: u8) -> Self {
        match n {
            0 => Self::Preserve,
            1 => Self::Enable,
            2 => Self::Disable,
            n => Self::Unknown(n),
        }
    }
}

/// How replicas are placed (SEMANTICS 1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicateConfig {
    /// Memory replicas wanted; fewer is success as long as there is one.
    pub replica_num: u32,
    /// NVMe-over-Fabric replicas wanted; this master makes none.
    pub nof_replica_num: u32,
    /// Distributed-file-system replicas wanted; this master makes none.
    pub dfs_replica_num: u32,
    /// Segment names to try first, in order.
    pub preferred_segments: Vec<String>,
    /// Deprecated: when not empty, the only name to try first.
    pub preferred_segment: String,
    /// What to do with the soft pin.
    pub soft_pin_action: SoftPinAction,
    /// How long the pin lasts, in milliseconds; only with `Enable`. 0 pins not at all.
    pub soft_pin_ttl_ms: Option<u64>,
    /// Never evict it.
    pub with_hard_pin: bool,
    /// What the values are used for.
    pub data_type: DataType,
    /// One group id for each element, empty for no group. Without it a put is in
    /// no group and an upsert keeps the group.
    pub group_ids: Option<Vec<Bytes>>,
    /// Place the elements of a batch beside the first one.
    pub prefer_alloc_in_same_node: bool,
    /// The writer's host, for placement near it. Empty: the host that it gave
    /// with its segments, if it lends any.
    pub host_id: String,
}

impl Default for ReplicateConfig {
    fn default() -> Self {
        Self {
            replica_num: 1,
            nof_replica_num: 0,
            dfs_replica_num: 0,
            preferred_segments: Vec::new(),
            preferred_segment: String::new(),
            soft_pin_action: SoftPinAction::Preserve,
            soft_pin_ttl_ms: None,
            with_hard_pin: false,
            data_type: DataType::default(),
            group_ids: None,
            prefer_alloc_in_same_node: false,
            host_id: String::new(),
        }
    }
}

impl ReplicateConfig {
    /// Segment names to try first, in order.
    #[must_use]
    pub fn preferred(&self) -> &[String] {
        if self.preferred_segment.is_empty() {
            &self.preferred_segments
        } else {
            std::slice::from_ref(&self.preferred_segment)
        }
    }
}

/// One object to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutItem {
    /// Its key, not empty.
    pub key: Bytes,
    /// Bytes of the value, not 0.
    pub size: u64,
}

/// One write to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndItem {
    /// The key.
    pub key: Bytes,
    /// The writer's checksum of the value, returned to readers.
    pub checksum: Option<u64>,
}

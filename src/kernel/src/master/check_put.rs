//! Whether a start is acceptable, in stock masters' order (SEMANTICS 2.2).

use std::time::Duration;

use super::MasterTimes;
use super::call::invalid;
use crate::api::{PutItem, Refusal, ReplicateConfig, SoftPinAction};
use crate::types::limits;

/// Checks one element of a start of `elements` elements.
pub(super) fn check_put(
    times: &MasterTimes,
    config: &ReplicateConfig,
    elements: usize,
    item: &PutItem,
) -> Result<(), Refusal> {
    if config.replica_num == 0 && config.nof_replica_num == 0 && config.dfs_replica_num == 0 {
        return Err(invalid("replica_num", &0, "1 to 64"));
    }
    if item.key.is_empty() || item.key.len() > limits::KEY_BYTES_MAX {
        return Err(invalid("key length", &item.key.len(), "1 to 4096 bytes"));
    }
    if item.size == 0 {
        return Err(invalid("size", &item.size, "1 byte or more"));
    }
    check_counts(config)?;
    check_soft_pin(times, config)?;
    check_groups(config, elements)
}

fn check_counts(config: &ReplicateConfig) -> Result<(), Refusal> {
    let (memory, nof, dfs) = (config.replica_num, config.nof_replica_num, config.dfs_replica_num);
    if dfs > 1 {
        return Err(invalid("dfs_replica_num", &dfs, "0 or 1"));
    }
    if dfs > 0 && memory == 0 {
        return Err(invalid("replica_num", &memory, "1 or more beside a dfs replica"));
    }
    if dfs > 0 {
        return Err(Refusal::DfsServiceUnavailable);
    }
    if nof > 0 {
        return Err(invalid("nof_replica_num", &nof, "0: this master makes no NoF replicas"));
    }
    if memory as usize > limits::REPLICAS_MAX {
        return Err(invalid("replica_num", &memory, "1 to 64"));
    }
    Ok(())
}

fn check_soft_pin(times: &MasterTimes, config: &ReplicateConfig) -> Result<(), Refusal> {
    match config.soft_pin_action {
        SoftPinAction::Unknown(n) => return Err(invalid("soft_pin_action", &n, "0, 1 or 2")),
        SoftPinAction::Preserve | SoftPinAction::Disable => {
            if let Some(ttl) = config.soft_pin_ttl_ms {
                return Err(invalid("soft_pin_ttl_ms", &ttl, "none, unless the soft pin is enabled"));
            }
        }
        SoftPinAction::Enable => {}
    }
    match config.soft_pin_ttl_ms {
        Some(ttl) if Duration::from_millis(ttl) > times.soft_pin_ttl_max => {
            Err(invalid("soft_pin_ttl_ms", &ttl, "at most the longest soft pin TTL"))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_groups(config: &ReplicateConfig, elements: usize) -> Result<(), Refusal> {
    let Some(groups) = &config.group_ids else { return Ok(()) };
    if groups.len() != elements {
        return Err(invalid("number of group_ids", &groups.len(), "one for each key"));
    }
    match groups.iter().map(bytes::Bytes::len).max() {
        Some(longest) if longest > limits::GROUP_BYTES_MAX => {
            Err(invalid("group id length", &longest, "at most 4096 bytes"))
        }
        Some(_) | None => Ok(()),
    }
}

/// What the first end makes of the soft pin, for a value that replaces one whose
/// soft pin is `carried` (0: none).
pub(super) fn pending_pin(times: &MasterTimes, config: &ReplicateConfig, carried: u64) -> Option<u64> {
    let default = u64::try_from(times.soft_pin_ttl.as_millis()).unwrap_or(u64::MAX);
    let pending = match config.soft_pin_action {
        SoftPinAction::Enable => Some(config.soft_pin_ttl_ms.unwrap_or(default)),
        SoftPinAction::Disable => Some(0),
        SoftPinAction::Preserve | SoftPinAction::Unknown(_) => None,
    };
    pending.filter(|ttl| *ttl != 0 || carried != 0)
}

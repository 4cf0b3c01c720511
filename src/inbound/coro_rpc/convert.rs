//! Between the protocol's types and the hall's.

use bytes::Bytes;
use standfast_kernel::api::{EndItem, PutItem, Refusal, ReplicaDescriptor, ReplicaList, ReplicateConfig};
use standfast_kernel::types::{self as k, ClientId, SegmentId, SegmentSpec};
use standfast_wire::List;
use standfast_wire::struct_pack::Expected;
use standfast_wire::types as w;
use standfast_wire::types::{ErrorCode, SoftPinAction};

/// Longest soft pin (SEMANTICS 1.8).
const SOFT_PIN_TTL_MS_MAX: u64 = 24 * 3_600_000;
/// Most preferred segments; each is looked for once an object.
const PREFERRED_SEGMENTS_MAX: usize = 256;

pub(super) fn code(refusal: &Refusal) -> ErrorCode {
    ErrorCode(refusal.code() as i32)
}

pub(super) fn client(id: w::Uuid) -> ClientId {
    ClientId(uuid(id))
}

fn uuid(id: w::Uuid) -> k::Uuid {
    k::Uuid { first: id.first, second: id.second }
}

/// Names must be text, because operators read them.
fn text(bytes: &[u8]) -> Expected<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| ErrorCode::INVALID_PARAMS)
}

pub(super) fn segment(s: &w::Segment<'_>) -> Expected<SegmentSpec> {
    Ok(SegmentSpec {
        id: SegmentId(uuid(s.id)),
        name: text(s.name)?,
        base: s.base,
        size: s.size,
        te_endpoint: text(s.te_endpoint)?,
        protocol: if s.protocol.is_empty() { "tcp".to_owned() } else { text(s.protocol)? },
    })
}

/// How to place the objects of a call with so many keys and sizes, or why a
/// master without NoF and DFS refuses to (SEMANTICS 2.2, PutStart, in its order).
///
/// Pins and groups are accepted: nothing is evicted, which is more than a pin
/// promises, and every lease is granted for its own object. `data_type`,
/// `host_id` and `prefer_alloc_in_same_node` are hints without a promise.
pub(super) fn config(c: &w::ReplicateConfig<'_>, keys: usize, sizes: usize) -> Expected<ReplicateConfig> {
    if keys != sizes || (c.replica_num == 0 && c.nof_replica_num == 0 && c.dfs_replica_num == 0) {
        return Err(ErrorCode::INVALID_PARAMS);
    }
    match c.dfs_replica_num {
        0 => {}
        1 if c.replica_num > 0 => return Err(ErrorCode::DFS_SERVICE_UNAVAILABLE),
        _ => return Err(ErrorCode::INVALID_PARAMS),
    }
    let soft_pin = match (c.soft_pin_action, c.soft_pin_ttl_ms) {
        (SoftPinAction::PRESERVE | SoftPinAction::DISABLE, ttl) => ttl.is_none(),
        (SoftPinAction::ENABLE, ttl) => ttl.is_none_or(|ttl| ttl <= SOFT_PIN_TTL_MS_MAX),
        _ => false,
    };
    let groups = c.group_ids.is_none_or(|groups| groups.len() == keys);
    let names = c.preferred_segments.len() <= PREFERRED_SEGMENTS_MAX;
    if c.nof_replica_num > 0 || !soft_pin || !groups || !names {
        return Err(ErrorCode::INVALID_PARAMS);
    }
    // The old single name overrides the list (SEMANTICS 1.6). A name that is
    // not text belongs to no segment.
    let names = if c.preferred_segment.is_empty() { c.preferred_segments } else { List::default() };
    let names = names.iter().chain(Some(c.preferred_segment).filter(|name| !name.is_empty()));
    Ok(ReplicateConfig {
        replica_num: u32::try_from(c.replica_num).unwrap_or(u32::MAX),
        preferred_segments: names.filter_map(|name| text(name).ok()).collect(),
    })
}

/// Why an element of a call is refused whose config is: its own faults come first.
pub(super) fn refused_put(item: &PutItem, config: ErrorCode) -> ErrorCode {
    if item.key.is_empty() || item.size == 0 { ErrorCode::INVALID_PARAMS } else { config }
}

pub(super) fn end_item(payload: &Bytes, meta: &w::ObjectMeta<'_>) -> EndItem {
    EndItem { key: payload.slice_ref(meta.key), checksum: meta.object_checksum }
}

fn descriptor(r: &ReplicaDescriptor) -> w::ReplicaDescriptor<'_> {
    let buffer_descriptor = w::BufferDescriptor {
        size: r.size,
        buffer_address: r.address,
        protocol: r.segment.protocol.as_bytes(),
        transport_endpoint: r.segment.te_endpoint.as_bytes(),
    };
    w::ReplicaDescriptor {
        id: r.id,
        descriptor_variant: w::Descriptor::Memory(w::MemoryDescriptor { buffer_descriptor }),
        status: match r.status {
            k::ReplicaStatus::Processing => w::ReplicaStatus::PROCESSING,
            k::ReplicaStatus::Complete => w::ReplicaStatus::COMPLETE,
        },
    }
}

/// Shows where to write, as the protocol's views of it.
pub(super) fn with_started<T>(
    results: &[Expected<Vec<ReplicaDescriptor>>],
    show: impl FnOnce(&[Expected<List<'_, w::ReplicaDescriptor<'_>>>]) -> T,
) -> T {
    let views = views(results.iter().flatten().map(Vec::as_slice));
    let mut rest = &views[..];
    let lists = results.iter().map(|r| match r {
        Ok(own) => Ok(take(&mut rest, own.len())),
        Err(code) => Err(*code),
    });
    show(&lists.collect::<Vec<_>>())
}

/// Shows where to read, as the protocol's views of it.
pub(super) fn with_found<T>(
    results: &[Expected<ReplicaList>],
    show: impl FnOnce(&[Expected<w::GetReplicaListResponse<'_>>]) -> T,
) -> T {
    let views = views(results.iter().flatten().map(|found| found.replicas.as_slice()));
    let mut rest = &views[..];
    let lists = results.iter().map(|r| match r {
        Ok(found) => Ok(w::GetReplicaListResponse {
            replicas: take(&mut rest, found.replicas.len()),
            lease_ttl_ms: u64::try_from(found.lease.as_millis()).unwrap_or(u64::MAX),
            object_checksum: found.checksum,
        }),
        Err(code) => Err(*code),
    });
    show(&lists.collect::<Vec<_>>())
}

/// All of a reply's views in one row, because the protocol's lists borrow.
fn views<'a>(lists: impl Iterator<Item = &'a [ReplicaDescriptor]>) -> Vec<w::ReplicaDescriptor<'a>> {
    lists.flatten().map(descriptor).collect()
}

fn take<'v>(row: &mut &'v [w::ReplicaDescriptor<'v>], count: usize) -> List<'v, w::ReplicaDescriptor<'v>> {
    let (own, rest) = row.split_at(count.min(row.len()));
    *row = rest;
    List::new(own)
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;

//! Between the protocol's types and the hall's.

use bytes::Bytes;
use std::collections::BTreeMap;

use standfast_kernel::api::{
    EndItem, PingReply, PutItem, Refusal, ReplicaDescriptor, ReplicaDescriptors, ReplicaList, ReplicaType,
    ReplicateConfig, StorageConfig, TaskAssignment, TaskState, TransferBuffers,
};
use standfast_kernel::types::{self as k, ClientId, SegmentId, SegmentSpec, TaskId, WallTime};
use standfast_wire::List;
use standfast_wire::struct_pack::Expected;
use standfast_wire::types as w;
use standfast_wire::types::ErrorCode;
use standfast_wire::{Map, Str};

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
pub(super) fn text(bytes: &[u8]) -> Expected<String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| ErrorCode::INVALID_PARAMS)
}

/// The name of something that may not be there. What is no text names nothing,
/// because all names that are given are text.
pub(super) fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn segment(s: &w::Segment<'_>) -> Expected<SegmentSpec> {
    Ok(SegmentSpec {
        id: SegmentId(uuid(s.id)),
        name: text(s.name)?,
        base: s.base,
        size: s.size,
        te_endpoint: text(s.te_endpoint)?,
        protocol: if s.protocol.is_empty() { "tcp".to_owned() } else { text(s.protocol)? },
        host_id: text(s.host_id)?,
    })
}

pub(super) fn segment_id(id: w::Uuid) -> SegmentId {
    SegmentId(uuid(id))
}

pub(super) fn segment_status(status: k::SegmentStatus) -> w::SegmentStatus {
    w::SegmentStatus(status as i32)
}

pub(super) fn ping(reply: PingReply) -> w::PingResponse {
    // An epoch counts primaries; it never comes near the end of an i64.
    let view_version_id = count(reply.view_version.0);
    w::PingResponse { view_version_id, client_status: w::ClientStatus(reply.status as i32) }
}

pub(super) fn storage_config(config: &StorageConfig) -> w::GetStorageConfigResponse<'_> {
    w::GetStorageConfigResponse {
        fsdir: config.fsdir.as_bytes(),
        enable_disk_eviction: config.enable_disk_eviction,
        quota_bytes: config.quota_bytes,
    }
}

/// A result that borrows its value.
pub(super) fn by_ref<T>(result: &Expected<T>) -> Expected<&T> {
    result.as_ref().map_err(|code| *code)
}

/// Shows clients and their hosts, as the protocol's views of them.
pub(super) fn with_hosts<T>(
    hosts: &Expected<BTreeMap<ClientId, Vec<String>>>,
    show: impl FnOnce(Expected<Map<'_, w::Uuid, List<'_, Str<'_>>>>) -> T,
) -> T {
    let hosts = match hosts {
        Ok(hosts) => hosts,
        Err(code) => return show(Err(*code)),
    };
    let names: Vec<Vec<Str<'_>>> =
        hosts.values().map(|own| own.iter().map(String::as_bytes).collect()).collect();
    let clients = hosts.keys().map(|client| w::Uuid { first: client.0.first, second: client.0.second });
    let entries: Vec<_> = clients.zip(names.iter().map(|own| List::new(own))).collect();
    show(Ok(Map(List::new(&entries))))
}

/// How to place the objects of a call with so many keys and sizes. Each key has
/// a size, and a group where there are groups (SEMANTICS 2.0, 1.6): it is
/// checked here, because here a call is cut into batches. The hall judges the rest.
pub(super) fn config(
    payload: &Bytes,
    c: &w::ReplicateConfig<'_>,
    keys: usize,
    sizes: usize,
) -> Expected<ReplicateConfig> {
    let groups = c.group_ids.is_none_or(|groups| groups.len() == keys);
    if keys != sizes || !groups || c.preferred_segments.len() > PREFERRED_SEGMENTS_MAX {
        return Err(ErrorCode::INVALID_PARAMS);
    }
    // A number that is too large stays too large.
    let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(ReplicateConfig {
        replica_num: count(c.replica_num),
        nof_replica_num: count(c.nof_replica_num),
        dfs_replica_num: count(c.dfs_replica_num),
        // A name that is not text belongs to no segment.
        preferred_segments: c.preferred_segments.iter().filter_map(|name| text(name).ok()).collect(),
        preferred_segment: name(c.preferred_segment),
        soft_pin_action: c.soft_pin_action.0.into(),
        soft_pin_ttl_ms: c.soft_pin_ttl_ms,
        with_hard_pin: c.with_hard_pin,
        data_type: k::DataType(c.data_type.0),
        group_ids: c.group_ids.map(|groups| groups.iter().map(|group| payload.slice_ref(group)).collect()),
        host_id: name(c.host_id),
        prefer_alloc_in_same_node: c.prefer_alloc_in_same_node,
    })
}

/// What to write. A size that is missing is refused with the whole call.
pub(super) fn put_items(
    payload: &Bytes,
    keys: List<'_, Str<'_>>,
    sizes: List<'_, u64>,
) -> impl ExactSizeIterator<Item = PutItem> {
    let mut sizes = sizes.iter();
    keys.iter().map(move |key| PutItem { key: payload.slice_ref(key), size: sizes.next().unwrap_or(0) })
}

/// An unknown kind is like one that no object has.
pub(super) fn replica_type(kind: w::ReplicaType) -> ReplicaType {
    match kind {
        w::ReplicaType::MEMORY => ReplicaType::Memory,
        w::ReplicaType::DISK => ReplicaType::Disk,
        w::ReplicaType::LOCAL_DISK => ReplicaType::LocalDisk,
        w::ReplicaType::NOF_SSD => ReplicaType::NofSsd,
        w::ReplicaType::ALL => ReplicaType::All,
        _ => ReplicaType::Dfs,
    }
}

pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
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
    results: &[Expected<ReplicaDescriptors>],
    show: impl FnOnce(&[Expected<List<'_, w::ReplicaDescriptor<'_>>>]) -> T,
) -> T {
    let views = views(results.iter().flatten().map(ReplicaDescriptors::as_slice));
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

/// Shows what to copy from and to, as the protocol's views of it.
pub(super) fn with_copy<T>(
    started: &Expected<TransferBuffers>,
    show: impl FnOnce(Expected<w::CopyStartResponse<'_>>) -> T,
) -> T {
    let buffers = match started {
        Ok(buffers) => buffers,
        Err(code) => return show(Err(*code)),
    };
    let targets: Vec<_> = buffers.targets.iter().map(descriptor).collect();
    show(Ok(w::CopyStartResponse { source: descriptor(&buffers.source), targets: List::new(&targets) }))
}

pub(super) fn move_buffers(buffers: &TransferBuffers) -> w::MoveStartResponse<'_> {
    let target = buffers.targets.first().map(descriptor);
    w::MoveStartResponse { source: descriptor(&buffers.source), target }
}

pub(super) fn task(id: w::Uuid) -> TaskId {
    TaskId::from(uuid(id))
}

pub(super) fn task_id(id: TaskId) -> w::Uuid {
    let k::Uuid { first, second } = id.uuid();
    w::Uuid { first, second }
}

/// A status that Mooncake does not have ends no task.
pub(super) fn task_status(status: w::TaskStatus) -> Expected<k::TaskStatus> {
    let code = u8::try_from(status.0).ok();
    code.and_then(k::TaskStatus::from_code).ok_or(ErrorCode::INVALID_PARAMS)
}

pub(super) fn assignment(task: &TaskAssignment) -> w::TaskAssignment<'_> {
    w::TaskAssignment {
        id: task_id(task.id),
        r#type: w::TaskType(task.kind as i32),
        payload: task.payload.as_bytes(),
        created_at_ms_epoch: epoch_ms(task.created),
        max_retry_attempts: task.retries,
    }
}

pub(super) fn task_state(task: &TaskState) -> w::QueryTaskResponse<'_> {
    w::QueryTaskResponse {
        id: task_id(task.id),
        r#type: w::TaskType(task.kind as i32),
        status: w::TaskStatus(task.status as i32),
        created_at_ms_epoch: epoch_ms(task.created),
        last_updated_at_ms_epoch: epoch_ms(task.updated),
        assigned_client: w::Uuid { first: task.client.0.first, second: task.client.0.second },
        message: task.message.as_bytes(),
    }
}

fn epoch_ms(time: WallTime) -> i64 {
    count(time.0 / 1_000)
}

/// Shows what matched, as the protocol's views of it.
pub(super) fn with_matches<T>(
    found: &Expected<Vec<(Bytes, ReplicaList)>>,
    show: impl FnOnce(Expected<Map<'_, Str<'_>, List<'_, w::ReplicaDescriptor<'_>>>>) -> T,
) -> T {
    let found = match found {
        Ok(found) => found,
        Err(code) => return show(Err(*code)),
    };
    let views = views(found.iter().map(|(_, list)| list.replicas.as_slice()));
    let mut rest = &views[..];
    let entries = found.iter().map(|(key, list)| (&key[..], take(&mut rest, list.replicas.len())));
    show(Ok(Map(List::new(&entries.collect::<Vec<_>>()))))
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

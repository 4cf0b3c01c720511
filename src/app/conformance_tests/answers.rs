//! Answers as text, so that those of different protocols can be compared.

use standfast_kernel::api::{ClientStatus, ReplicaDescriptor, ReplicaList, Response, TransferBuffers};
use standfast_kernel::types::ReplicaStatus;

pub(super) fn code<T>(result: Result<T, i32>, ok: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|code| format!("error {code}"), ok)
}

pub(super) fn done(result: Result<(), i32>) -> String {
    code(result, |()| "ok".to_owned())
}

/// One replica. Identifiers are a node's own.
pub(super) fn replica(endpoint: &str, address: u64, size: u64, is_complete: bool) -> String {
    format!("{endpoint}@{address:x}+{size}{}", if is_complete { "" } else { "?" })
}

/// Replicas in no order: segments are tried from a random one on.
pub(super) fn replicas(mut replicas: Vec<String>) -> String {
    replicas.sort();
    format!("[{}]", replicas.join(" "))
}

pub(super) fn found(list: Vec<String>, lease_ms: u64, checksum: Option<u64>) -> String {
    format!("{} {lease_ms} {checksum:?}", replicas(list))
}

fn descriptor(r: &ReplicaDescriptor) -> String {
    replica(&r.segment.te_endpoint, r.address, r.size, r.status == ReplicaStatus::Complete)
}

fn descriptors(list: &[ReplicaDescriptor]) -> String {
    replicas(list.iter().map(descriptor).collect())
}

fn list(list: &ReplicaList) -> String {
    found(list.replicas.iter().map(descriptor).collect(), list.lease.as_millis() as u64, list.checksum)
}

fn buffers(buffers: &TransferBuffers) -> String {
    format!("{} to {}", descriptor(&buffers.source), descriptors(&buffers.targets))
}

/// What the hall answered.
pub(super) fn of(response: Response) -> Vec<String> {
    let code_of = |refusal: standfast_kernel::api::Refusal| refusal.code() as i32;
    macro_rules! each {
        ($results:expr, $show:expr) => {
            $results.into_iter().map(|r| code(r.map_err(code_of), $show)).collect()
        };
    }
    macro_rules! one {
        ($result:expr, $show:expr) => {
            vec![code($result.map_err(code_of), $show)]
        };
    }
    match response {
        Response::MountSegment(r)
        | Response::ReMountSegment(r)
        | Response::UnmountSegment(r)
        | Response::GracefulUnmountSegment(r)
        | Response::CopyEnd(r)
        | Response::CopyRevoke(r)
        | Response::MoveEnd(r)
        | Response::MoveRevoke(r)
        | Response::MarkTaskToComplete(r) => vec![done(r.map_err(code_of))],
        Response::QuerySegmentStatus(r) => one!(r, |status| (status as i32).to_string()),
        Response::Ping(pong) => vec![ping(pong.status == ClientStatus::NeedRemount)],
        Response::BatchQueryIp(hosts) => hosts
            .into_iter()
            .map(|(client, hosts)| format!("{}-{} {hosts:?}", client.0.first, client.0.second))
            .collect(),
        Response::GetFsdir(fsdir) => vec![format!("`{fsdir}`")],
        Response::GetStorageConfig(c) => {
            vec![format!("`{}` {} {}", c.fsdir, c.enable_disk_eviction, c.quota_bytes)]
        }
        Response::PutStart(r) | Response::UpsertStart(r) => each!(r, |list| descriptors(&list)),
        Response::PutEnd(r) | Response::PutRevoke(r) | Response::Remove(r) => {
            r.into_iter().map(|r| done(r.map_err(code_of))).collect()
        }
        Response::GetReplicaList(r) => each!(r, |found| list(&found)),
        Response::ExistKey(r) => each!(r, |exists| exists.to_string()),
        Response::GetReplicaListByRegex(r) => match r {
            Ok(matches) => matches
                .iter()
                .map(|(key, found)| matched(key, found.replicas.iter().map(descriptor)))
                .collect(),
            Err(refusal) => vec![format!("error {}", code_of(refusal))],
        },
        Response::RemoveByRegex(r) => one!(r, |count| count.to_string()),
        Response::RemoveAll(count) => vec![count.to_string()],
        Response::BatchReplicaClear(keys) => keys.iter().map(|key| key.escape_ascii().to_string()).collect(),
        Response::CopyStart(r) | Response::MoveStart(r) => one!(r, |b| buffers(&b)),
        Response::CreateCopyTask(r) | Response::CreateMoveTask(r) => one!(r, |_| "a task".to_owned()),
        Response::QueryTask(r) => one!(r, |task| task.message),
        Response::ListKeys(r) => one!(r, |keys| format!("{keys:?}")),
        Response::GetMetadata(r) => one!(r, |value| value.escape_ascii().to_string()),
        Response::PutMetadata(r) => one!(r, |put| format!("{put:?}")),
        Response::RemoveMetadata(r) => vec![done(r.map_err(code_of))],
        Response::FetchTasks(tasks) => tasks.into_iter().map(|task| task.payload).collect(),
    }
}

pub(super) fn ping(needs_remount: bool) -> String {
    if needs_remount { "remount" } else { "ok" }.to_owned()
}

pub(super) fn matched(key: &[u8], list: impl Iterator<Item = String>) -> String {
    format!("{} {}", key.escape_ascii(), replicas(list.collect()))
}

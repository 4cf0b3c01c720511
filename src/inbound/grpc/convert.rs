//! Client calls between the contract's types and the hall's.

use std::collections::BTreeMap;

use standfast_kernel::api::{
    ClientStatus, EndItem, PutItem, Refusal, ReplicaDescriptor, ReplicaType, ReplicateConfig, Request,
    Response,
};
use standfast_kernel::types::{ClientId, ReplicaStatus, SegmentId, SegmentSpec, Uuid, limits};
use standfast_proto::v1;
use tonic::Status;

use crate::shell::Fault;

/// Names what a malformed request lacks.
fn missing(what: &str) -> Status {
    let text = format!("{what} is missing or 0-0: expected an identity");
    v1::Refusal::new(v1::RefusalCode::InvalidArgument, text).into()
}

fn uuid(id: Option<v1::Uuid>, what: &str) -> Result<Uuid, Status> {
    let id = id.map(|id| Uuid { first: id.first, second: id.second }).filter(|id| !id.is_nil());
    id.ok_or_else(|| missing(what))
}

fn segment(s: v1::Segment) -> Result<SegmentSpec, Status> {
    Ok(SegmentSpec {
        id: SegmentId(uuid(s.id, "segment.id")?),
        name: s.name,
        base: s.base,
        size: s.size,
        te_endpoint: s.te_endpoint,
        protocol: if s.protocol.is_empty() { "tcp".to_owned() } else { s.protocol },
        host_id: s.host_id,
    })
}

fn client(id: Option<v1::Uuid>) -> Result<ClientId, Status> {
    uuid(id, "client").map(ClientId)
}

pub(super) fn mount(r: v1::MountSegmentRequest) -> Result<Request, Status> {
    let segment = segment(r.segment.ok_or_else(|| missing("segment"))?)?;
    Ok(Request::MountSegment { client: client(r.client)?, segment })
}

pub(super) fn remount(r: v1::ReMountSegmentRequest) -> Result<Request, Status> {
    let segments = r.segments.into_iter().map(segment).collect::<Result<_, _>>()?;
    Ok(Request::ReMountSegment { client: client(r.client)?, segments })
}

pub(super) fn unmount(r: v1::UnmountSegmentRequest) -> Result<Request, Status> {
    let segment = SegmentId(uuid(r.segment, "segment")?);
    Ok(Request::UnmountSegment { client: client(r.client)?, segment })
}

pub(super) fn ping(r: v1::PingRequest) -> Result<Request, Status> {
    Ok(Request::Ping { client: client(r.client)? })
}

pub(super) fn put_start(r: v1::PutStartRequest) -> Result<Request, Status> {
    let config = r.config.map_or_else(ReplicateConfig::default, |c| ReplicateConfig {
        replica_num: c.replica_num,
        preferred_segments: c.preferred_segments,
        host_id: c.host_id,
        ..ReplicateConfig::default()
    });
    let items = r.items.into_iter().map(|i| PutItem { key: i.key, size: i.size }).collect();
    Ok(Request::PutStart { client: client(r.client)?, config, items })
}

pub(super) fn put_end(r: v1::PutEndRequest) -> Result<Request, Status> {
    let items = r.items.into_iter().map(|i| EndItem { key: i.key, checksum: i.checksum }).collect();
    Ok(Request::PutEnd { client: client(r.client)?, items, replica_type: ReplicaType::All })
}

/// A fault as the status of the whole call.
pub(super) fn fault(fault: &Fault) -> Status {
    let text = fault.to_string();
    let refusal = match fault {
        Fault::Unknown(_) => v1::Refusal {
            cure: "read the key back, or repeat the call: nothing is known about this one".into(),
            ..v1::Refusal::new(v1::RefusalCode::OutcomeUnknown, text)
        },
        Fault::TooMany(_) => v1::Refusal {
            cure: format!("send batches of at most {}", limits::BATCH_ITEMS_MAX),
            ..v1::Refusal::new(v1::RefusalCode::LimitExceeded, text)
        },
        Fault::Refused(Refusal::NotPrimary { primary, epoch }) => v1::Refusal {
            primary_addr: primary.clone(),
            epoch: Some(epoch.0),
            cure: "call the primary; `standfast status` names it".into(),
            ..v1::Refusal::new(v1::RefusalCode::NotPrimary, text)
        },
        Fault::Refused(_) => v1::Refusal {
            cure: "standfast status".into(),
            ..v1::Refusal::new(v1::RefusalCode::Unavailable, text)
        },
    };
    refusal.into()
}

fn error(refusal: &Refusal) -> v1::Error {
    v1::Error { code: refusal.code() as i32, text: refusal.to_string() }
}

fn elements(results: Vec<Result<(), Refusal>>) -> Vec<v1::ElementResult> {
    results.into_iter().map(|r| v1::ElementResult { error: r.err().as_ref().map(error) }).collect()
}

/// The segments of one reply, each named once.
#[derive(Default)]
struct Segments {
    index: BTreeMap<*const SegmentSpec, u32>,
    table: Vec<v1::SegmentRef>,
}

impl Segments {
    fn replica(&mut self, r: &ReplicaDescriptor) -> v1::Replica {
        let next = self.table.len() as u32;
        let segment = *self.index.entry(std::sync::Arc::as_ptr(&r.segment)).or_insert_with(|| {
            self.table.push(v1::SegmentRef {
                name: r.segment.name.clone(),
                te_endpoint: r.segment.te_endpoint.clone(),
                protocol: r.segment.protocol.clone(),
            });
            next
        });
        let status = match r.status {
            ReplicaStatus::Processing => v1::ReplicaStatus::Processing,
            ReplicaStatus::Complete => v1::ReplicaStatus::Complete,
        };
        v1::Replica { id: r.id, segment, address: r.address, size: r.size, status: status.into() }
    }

    fn replicas(&mut self, replicas: &[ReplicaDescriptor]) -> Vec<v1::Replica> {
        replicas.iter().map(|r| self.replica(r)).collect()
    }
}

/// The hall answered another call than was asked: a bug, but not one to crash for.
fn mismatch() -> Status {
    Status::internal("the answer belongs to another call")
}

pub(super) fn mount_reply(response: Response) -> Result<v1::MountSegmentReply, Status> {
    let Response::MountSegment(result) = response else { return Err(mismatch()) };
    Ok(v1::MountSegmentReply { error: result.err().as_ref().map(error) })
}

pub(super) fn remount_reply(response: Response) -> Result<v1::ReMountSegmentReply, Status> {
    let Response::ReMountSegment(result) = response else { return Err(mismatch()) };
    Ok(v1::ReMountSegmentReply { error: result.err().as_ref().map(error) })
}

pub(super) fn unmount_reply(response: Response) -> Result<v1::UnmountSegmentReply, Status> {
    let Response::UnmountSegment(result) = response else { return Err(mismatch()) };
    Ok(v1::UnmountSegmentReply { error: result.err().as_ref().map(error) })
}

pub(super) fn ping_reply(response: &Response) -> Result<v1::PingReply, Status> {
    let Response::Ping(pong) = *response else { return Err(mismatch()) };
    let status = match pong.status {
        ClientStatus::Ok => v1::ClientStatus::Ok,
        ClientStatus::NeedRemount => v1::ClientStatus::NeedRemount,
    };
    Ok(v1::PingReply { view_version: pong.view_version.0, status: status.into() })
}

pub(super) fn put_start_reply(response: Response) -> Result<v1::PutStartReply, Status> {
    let Response::PutStart(results) = response else { return Err(mismatch()) };
    let mut segments = Segments::default();
    let results = results.into_iter().map(|r| match r {
        Ok(replicas) => v1::PutStartResult { error: None, replicas: segments.replicas(&replicas) },
        Err(refusal) => v1::PutStartResult { error: Some(error(&refusal)), replicas: Vec::new() },
    });
    let results = results.collect();
    Ok(v1::PutStartReply { segments: segments.table, results })
}

pub(super) fn put_end_reply(response: Response) -> Result<v1::PutEndReply, Status> {
    let Response::PutEnd(results) = response else { return Err(mismatch()) };
    Ok(v1::PutEndReply { results: elements(results) })
}

pub(super) fn get_reply(response: Response) -> Result<v1::GetReplicaListReply, Status> {
    let Response::GetReplicaList(results) = response else { return Err(mismatch()) };
    let mut segments = Segments::default();
    let results = results.into_iter().map(|r| match r {
        Ok(found) => v1::GetReplicaListResult {
            error: None,
            replicas: segments.replicas(&found.replicas),
            lease_ttl_ms: found.lease.as_millis() as u64,
            checksum: found.checksum,
        },
        Err(refusal) => {
            v1::GetReplicaListResult { error: Some(error(&refusal)), ..v1::GetReplicaListResult::default() }
        }
    });
    let results = results.collect();
    Ok(v1::GetReplicaListReply { segments: segments.table, results })
}

pub(super) fn exist_reply(response: Response) -> Result<v1::ExistKeyReply, Status> {
    use v1::exist_key_result::Answer;
    let Response::ExistKey(results) = response else { return Err(mismatch()) };
    let answer = |r: Result<bool, Refusal>| r.map_or_else(|e| Answer::Error(error(&e)), Answer::Exists);
    let results = results.into_iter().map(|r| v1::ExistKeyResult { answer: Some(answer(r)) });
    Ok(v1::ExistKeyReply { results: results.collect() })
}

pub(super) fn remove_reply(response: Response) -> Result<v1::RemoveReply, Status> {
    let Response::Remove(results) = response else { return Err(mismatch()) };
    Ok(v1::RemoveReply { results: elements(results) })
}

//! The calls of the gRPC contract.

use standfast_kernel::api::{ReplicaType, ReplicateConfig, Request};
use standfast_kernel::types::{ClientId, SegmentSpec};
use standfast_proto::v1;
use standfast_proto::v1::exist_key_result::Answer;
use standfast_proto::v1::master_client::MasterClient;
use tonic::transport::Channel;

use super::answers;

pub(super) struct Client(MasterClient<Channel>);

fn uuid(id: standfast_kernel::types::Uuid) -> Option<v1::Uuid> {
    Some(v1::Uuid { first: id.first, second: id.second })
}

fn client(id: ClientId) -> Option<v1::Uuid> {
    uuid(id.0)
}

fn segment(s: &SegmentSpec) -> v1::Segment {
    let SegmentSpec { id, name, base, size, te_endpoint, protocol, host_id } = s.clone();
    v1::Segment { id: uuid(id.0), name, base, size, te_endpoint, protocol, host_id }
}

fn code(error: Option<&v1::Error>) -> Result<(), i32> {
    error.map_or(Ok(()), |error| Err(error.code))
}

fn elements(results: &[v1::ElementResult]) -> Vec<String> {
    results.iter().map(|r| answers::done(code(r.error.as_ref()))).collect()
}

fn replicas(list: &[v1::Replica], segments: &[v1::SegmentRef]) -> Vec<String> {
    let show = |r: &v1::Replica| {
        let endpoint = &segments[r.segment as usize].te_endpoint;
        answers::replica(endpoint, r.address, r.size, r.status() == v1::ReplicaStatus::Complete)
    };
    list.iter().map(show).collect()
}

/// What the contract can say of it.
fn config(c: &ReplicateConfig) -> Option<v1::ReplicateConfig> {
    let ReplicateConfig { replica_num, preferred_segments, host_id, .. } = c.clone();
    let said = ReplicateConfig {
        replica_num,
        preferred_segments: preferred_segments.clone(),
        host_id: host_id.clone(),
        ..ReplicateConfig::default()
    };
    (said == *c).then_some(v1::ReplicateConfig { replica_num, preferred_segments, host_id })
}

impl Client {
    pub(super) async fn connect(addr: &str) -> Self {
        Self(MasterClient::connect(format!("http://{addr}")).await.expect("the door listens"))
    }

    /// `None`: the contract has no such call.
    pub(super) async fn ask(&mut self, request: &Request) -> Option<Vec<String>> {
        let (door, tenant) = (&mut self.0, String::new());
        macro_rules! reply {
            ($call:expr) => {
                $call.await.expect("an answer").into_inner()
            };
        }
        Some(match request.clone() {
            Request::MountSegment { client: c, segment: s } => {
                let r = v1::MountSegmentRequest { client: client(c), segment: Some(segment(&s)) };
                vec![answers::done(code(reply!(door.mount_segment(r)).error.as_ref()))]
            }
            Request::ReMountSegment { client: c, segments } => {
                let segments = segments.iter().map(segment).collect();
                let r = v1::ReMountSegmentRequest { client: client(c), segments };
                vec![answers::done(code(reply!(door.re_mount_segment(r)).error.as_ref()))]
            }
            Request::UnmountSegment { client: c, segment } => {
                let r = v1::UnmountSegmentRequest { client: client(c), segment: uuid(segment.0) };
                vec![answers::done(code(reply!(door.unmount_segment(r)).error.as_ref()))]
            }
            Request::Ping { client: c } => {
                let pong = reply!(door.ping(v1::PingRequest { client: client(c) }));
                vec![answers::ping(pong.status() == v1::ClientStatus::NeedRemount)]
            }
            Request::PutStart { client: c, config: how, items } => {
                let config = Some(config(&how)?);
                let items =
                    items.into_iter().map(|i| v1::PutStartItem { key: i.key, size: i.size }).collect();
                let reply =
                    reply!(door.put_start(v1::PutStartRequest { client: client(c), config, items, tenant }));
                let show = |r: &v1::PutStartResult| {
                    let placed = code(r.error.as_ref());
                    answers::code(placed, |()| answers::replicas(replicas(&r.replicas, &reply.segments)))
                };
                reply.results.iter().map(show).collect()
            }
            Request::PutEnd { client: c, items, replica_type: ReplicaType::All } => {
                let item =
                    |i: standfast_kernel::api::EndItem| v1::PutEndItem { key: i.key, checksum: i.checksum };
                let items = items.into_iter().map(item).collect();
                elements(
                    &reply!(door.put_end(v1::PutEndRequest { client: client(c), items, tenant })).results,
                )
            }
            Request::GetReplicaList { keys } => {
                let reply = reply!(door.get_replica_list(v1::GetReplicaListRequest { keys, tenant }));
                let show = |r: &v1::GetReplicaListResult| {
                    let list = replicas(&r.replicas, &reply.segments);
                    answers::code(code(r.error.as_ref()), |()| {
                        answers::found(list, r.lease_ttl_ms, r.checksum)
                    })
                };
                reply.results.iter().map(show).collect()
            }
            Request::ExistKey { keys } => {
                let reply = reply!(door.exist_key(v1::ExistKeyRequest { keys, tenant }));
                let show = |r: v1::ExistKeyResult| match r.answer.expect("an answer") {
                    Answer::Exists(exists) => exists.to_string(),
                    Answer::Error(error) => format!("error {}", error.code),
                };
                reply.results.into_iter().map(show).collect()
            }
            Request::Remove { keys, force } => {
                elements(&reply!(door.remove(v1::RemoveRequest { keys, force, tenant })).results)
            }
            _ => return None,
        })
    }
}

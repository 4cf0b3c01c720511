//! The calls of Mooncake's protocol.

use bytes::Bytes;
use standfast_kernel::api::{ReplicaType, ReplicateConfig, Request, SegmentKey, SoftPinAction};
use standfast_kernel::types::{ClientId, SegmentSpec, Uuid};
use standfast_wire::calls::{self as w, Call};
use standfast_wire::frame::{self, Framer};
use standfast_wire::struct_pack::Expected;
use standfast_wire::types as t;
use standfast_wire::{Form, List, Response, ResponseHeader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answers;

const TENANT: &[u8] = b"default";

pub(super) struct Client {
    socket: TcpStream,
    framer: Framer<ResponseHeader>,
    /// Ask in lists, also for one key.
    in_lists: bool,
}

fn uuid(id: Uuid) -> t::Uuid {
    t::Uuid { first: id.first, second: id.second }
}

fn client(id: ClientId) -> t::Uuid {
    uuid(id.0)
}

fn segment(s: &SegmentSpec) -> t::Segment<'_> {
    t::Segment {
        id: uuid(s.id.0),
        name: s.name.as_bytes(),
        base: s.base,
        size: s.size,
        te_endpoint: s.te_endpoint.as_bytes(),
        protocol: s.protocol.as_bytes(),
        host_id: s.host_id.as_bytes(),
    }
}

fn config<'a>(c: &'a ReplicateConfig, preferred: &'a [&'a [u8]]) -> t::ReplicateConfig<'a> {
    assert!(c.group_ids.is_none(), "no case needs groups");
    t::ReplicateConfig {
        replica_num: c.replica_num.into(),
        nof_replica_num: c.nof_replica_num.into(),
        dfs_replica_num: c.dfs_replica_num.into(),
        soft_pin_action: t::SoftPinAction(match c.soft_pin_action {
            SoftPinAction::Preserve => 0,
            SoftPinAction::Enable => 1,
            SoftPinAction::Disable => 2,
            SoftPinAction::Unknown(n) => n,
        }),
        soft_pin_ttl_ms: c.soft_pin_ttl_ms,
        with_hard_pin: c.with_hard_pin,
        preferred_segments: List::new(preferred),
        preferred_segment: c.preferred_segment.as_bytes(),
        preferred_nof_segments: List::default(),
        prefer_alloc_in_same_node: c.prefer_alloc_in_same_node,
        data_type: t::ObjectDataType(c.data_type.0),
        host_id: c.host_id.as_bytes(),
        group_ids: None,
    }
}

fn code<T>(result: Expected<T>, show: impl FnOnce(T) -> String) -> String {
    answers::code(result.map_err(|code| code.0), show)
}

fn done(result: Expected<()>) -> Vec<String> {
    vec![code(result, |()| "ok".to_owned())]
}

fn each(results: List<'_, Expected<()>>) -> Vec<String> {
    results.iter().flat_map(done).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn replica(r: t::ReplicaDescriptor<'_>) -> String {
    let t::Descriptor::Memory(memory) = r.descriptor_variant else { return format!("{r:?}") };
    let buffer = memory.buffer_descriptor;
    let is_complete = r.status == t::ReplicaStatus::COMPLETE;
    answers::replica(&text(buffer.transport_endpoint), buffer.buffer_address, buffer.size, is_complete)
}

fn started(result: Expected<List<'_, t::ReplicaDescriptor<'_>>>) -> String {
    code(result, |list| answers::replicas(list.iter().map(replica).collect()))
}

fn found(result: Expected<t::GetReplicaListResponse<'_>>) -> String {
    code(result, |found| {
        answers::found(
            found.replicas.iter().map(replica).collect(),
            found.lease_ttl_ms,
            found.object_checksum,
        )
    })
}

fn buffers(source: t::ReplicaDescriptor<'_>, targets: Vec<String>) -> String {
    format!("{} to {}", replica(source), answers::replicas(targets))
}

impl Client {
    pub(super) async fn connect(addr: &str, in_lists: bool) -> Self {
        let dial = async {
            loop {
                match TcpStream::connect(addr).await {
                    Ok(socket) => return socket,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let socket =
            tokio::time::timeout(std::time::Duration::from_secs(30), dial).await.expect("it listens");
        Self { socket, framer: Framer::new(frame::DEFAULT_MAX_PAYLOAD), in_lists }
    }

    async fn call<'a, C: Call<'a>>(
        &mut self,
        call: C,
        show: impl FnOnce(Response<'_>) -> Option<Vec<String>>,
    ) -> Option<Vec<String>> {
        let mut bytes = Vec::new();
        frame::write_request(&mut bytes, 1, &call, Form::LONG).expect("fits");
        self.socket.write_all(&bytes).await.expect("sent");
        let frame = loop {
            if let Some(frame) = self.framer.next_frame().expect("sound") {
                break frame;
            }
            assert!(self.socket.read_buf(self.framer.buffer()).await.expect("read") > 0, "closed");
        };
        assert_eq!(frame.header.err_code, 0, "{}", C::METHOD.name());
        let (response, _) = Response::decode_as(C::METHOD, &frame.payload).expect("a result");
        Some(show(response).expect("of this call"))
    }

    /// `None`: the protocol has no such call.
    pub(super) async fn ask(&mut self, request: &Request) -> Option<Vec<String>> {
        // The call, its result, and that result as text.
        macro_rules! ask {
            ($name:ident, $call:expr, $show:expr) => {
                self.call($call, |response| match response {
                    Response::$name(result) => Some($show(result)),
                    _ => None,
                })
                .await
            };
        }
        let single = !self.in_lists && request.elements() == 1;
        match request {
            Request::MountSegment { client: c, segment: s } => {
                ask!(MountSegment, w::MountSegment { segment: segment(s), client_id: client(*c) }, done)
            }
            Request::ReMountSegment { client: c, segments } => {
                let list: Vec<_> = segments.iter().map(segment).collect();
                let call = w::ReMountSegment { segments: List::new(&list), client_id: client(*c) };
                ask!(ReMountSegment, call, done)
            }
            Request::UnmountSegment { client: c, segment } => {
                let call = w::UnmountSegment { segment_id: uuid(segment.0), client_id: client(*c) };
                ask!(UnmountSegment, call, done)
            }
            Request::GracefulUnmountSegment { client: c, segment, grace } => {
                let call = w::GracefulUnmountSegment {
                    segment_id: uuid(segment.0),
                    client_id: client(*c),
                    grace_period_ms: grace.as_millis() as u64,
                };
                ask!(GracefulUnmountSegment, call, done)
            }
            Request::QuerySegmentStatus { segment: SegmentKey::Id(id) } => {
                let show = |r: Expected<t::SegmentStatus>| vec![code(r, |status| status.0.to_string())];
                ask!(QuerySegmentStatusById, w::QuerySegmentStatusById { segment_id: uuid(id.0) }, show)
            }
            Request::QuerySegmentStatus { segment: SegmentKey::Name(name) } => {
                let show = |r: Expected<t::SegmentStatus>| vec![code(r, |status| status.0.to_string())];
                ask!(QuerySegmentStatus, w::QuerySegmentStatus { segment_name: name.as_bytes() }, show)
            }
            Request::Ping { client: c } => {
                let show = |r: Expected<t::PingResponse>| {
                    vec![code(r, |pong| answers::ping(pong.client_status == t::ClientStatus::NEED_REMOUNT))]
                };
                ask!(Ping, w::Ping { client_id: client(*c) }, show)
            }
            Request::BatchQueryIp { clients } => {
                let ids: Vec<_> = clients.iter().map(|c| client(*c)).collect();
                let call = w::BatchQueryIp { client_ids: List::new(&ids) };
                self.call(call, |response| {
                    let Response::BatchQueryIp(Ok(hosts)) = response else { return None };
                    let show = |(id, hosts): (t::Uuid, List<'_, &[u8]>)| {
                        let hosts: Vec<String> = hosts.iter().map(text).collect();
                        format!("{}-{} {hosts:?}", id.first, id.second)
                    };
                    Some(hosts.0.iter().map(show).collect())
                })
                .await
            }
            Request::GetFsdir => {
                let show = |r: Expected<&[u8]>| vec![code(r, |fsdir| format!("`{}`", text(fsdir)))];
                ask!(GetFsdir, w::GetFsdir, show)
            }
            Request::GetStorageConfig => {
                let show = |r: Expected<t::GetStorageConfigResponse<'_>>| {
                    vec![code(r, |c| {
                        format!("`{}` {} {}", text(c.fsdir), c.enable_disk_eviction, c.quota_bytes)
                    })]
                };
                ask!(GetStorageConfig, w::GetStorageConfig, show)
            }
            Request::PutStart { .. }
            | Request::UpsertStart { .. }
            | Request::PutEnd { .. }
            | Request::PutRevoke { .. } => self.write(request, single).await,
            Request::GetReplicaList { keys } if single => {
                let call = w::GetReplicaList { key: &keys[0], tenant_id: TENANT };
                ask!(GetReplicaList, call, |r| vec![found(r)])
            }
            Request::GetReplicaList { keys } => {
                let keys = slices(keys);
                let call = w::BatchGetReplicaList { keys: List::new(&keys), tenant_id: TENANT };
                ask!(BatchGetReplicaList, call, |r: List<'_, _>| r.iter().map(found).collect())
            }
            Request::ExistKey { keys } if single => {
                let show = |r: Expected<bool>| vec![code(r, |exists| exists.to_string())];
                ask!(ExistKey, w::ExistKey { key: &keys[0], tenant_id: TENANT }, show)
            }
            Request::ExistKey { keys } => {
                let keys = slices(keys);
                let call = w::BatchExistKey { keys: List::new(&keys), tenant_id: TENANT };
                let show = |r: Expected<bool>| code(r, |exists| exists.to_string());
                ask!(BatchExistKey, call, |r: List<'_, _>| r.iter().map(show).collect())
            }
            Request::Remove { keys, force } if single => {
                ask!(Remove, w::Remove { key: &keys[0], force: *force, tenant_id: TENANT }, done)
            }
            Request::Remove { keys, force } => {
                let keys = slices(keys);
                let call = w::BatchRemove { keys: List::new(&keys), force: *force, tenant_id: TENANT };
                ask!(BatchRemove, call, each)
            }
            Request::GetReplicaListByRegex { pattern } => {
                let call = w::GetReplicaListByRegex { regex: pattern, tenant_id: TENANT };
                self.call(call, |response| match response {
                    Response::GetReplicaListByRegex(Ok(matches)) => Some(
                        matches
                            .0
                            .iter()
                            .map(|(key, list)| answers::matched(key, list.iter().map(replica)))
                            .collect(),
                    ),
                    Response::GetReplicaListByRegex(Err(code)) => Some(vec![format!("error {}", code.0)]),
                    _ => None,
                })
                .await
            }
            Request::RemoveByRegex { pattern, force } => {
                let call = w::RemoveByRegex { regex: pattern, force: *force, tenant_id: TENANT };
                ask!(RemoveByRegex, call, |r: Expected<i64>| vec![code(r, |count| count.to_string())])
            }
            Request::RemoveAll { force } => {
                let call = w::RemoveAll { force: *force, tenant_id: TENANT };
                ask!(RemoveAll, call, |count: i64| vec![count.to_string()])
            }
            Request::BatchReplicaClear { keys, client: c, segment } => {
                let keys = slices(keys);
                let call = w::BatchReplicaClear {
                    object_keys: List::new(&keys),
                    client_id: client(*c),
                    segment_name: segment.as_bytes(),
                };
                self.call(call, |response| {
                    let Response::BatchReplicaClear(Ok(keys)) = response else { return None };
                    Some(keys.iter().map(|key| key.escape_ascii().to_string()).collect())
                })
                .await
            }
            _ => self.transfer(request).await,
        }
    }

    async fn write(&mut self, request: &Request, single: bool) -> Option<Vec<String>> {
        macro_rules! ask {
            ($name:ident, $call:expr, $show:expr) => {
                self.call($call, |response| match response {
                    Response::$name(result) => Some($show(result)),
                    _ => None,
                })
                .await
            };
        }
        let all =
            |list: List<'_, Expected<List<'_, t::ReplicaDescriptor<'_>>>>| list.iter().map(started).collect();
        match request {
            Request::PutStart { client: c, config: how, items }
            | Request::UpsertStart { client: c, config: how, items } => {
                let preferred: Vec<&[u8]> = how.preferred_segments.iter().map(String::as_bytes).collect();
                let config = config(how, &preferred);
                let is_put = matches!(request, Request::PutStart { .. });
                if let ([item], true) = (&items[..], single) {
                    let (client_id, key, slice_length) = (client(*c), &item.key[..], item.size);
                    return if is_put {
                        let call = w::PutStart { client_id, key, slice_length, config, tenant_id: TENANT };
                        ask!(PutStart, call, |r| vec![started(r)])
                    } else {
                        let call = w::UpsertStart { client_id, key, slice_length, config, tenant_id: TENANT };
                        ask!(UpsertStart, call, |r| vec![started(r)])
                    };
                }
                let keys: Vec<&[u8]> = items.iter().map(|item| &item.key[..]).collect();
                let sizes: Vec<u64> = items.iter().map(|item| item.size).collect();
                let (keys, slice_lengths) = (List::new(&keys), List::new(&sizes));
                let client_id = client(*c);
                if is_put {
                    let call = w::BatchPutStart { client_id, keys, slice_lengths, config, tenant_id: TENANT };
                    ask!(BatchPutStart, call, all)
                } else {
                    let call =
                        w::BatchUpsertStart { client_id, keys, slice_lengths, config, tenant_id: TENANT };
                    ask!(BatchUpsertStart, call, all)
                }
            }
            Request::PutEnd { client: c, items, replica_type } => {
                let meta = |i: &'_ standfast_kernel::api::EndItem| (i.key.clone(), i.checksum);
                let owned: Vec<_> = items.iter().map(meta).collect();
                let metas: Vec<_> = owned
                    .iter()
                    .map(|(key, checksum)| t::ObjectMeta { key, object_checksum: *checksum })
                    .collect();
                let (client_id, replica_type) = (client(*c), kind(*replica_type));
                if single {
                    let object_meta = metas[0];
                    let call = w::PutEnd { client_id, object_meta, replica_type, tenant_id: TENANT };
                    ask!(PutEnd, call, done)
                } else {
                    let object_metas = List::new(&metas);
                    let call = w::BatchPutEnd { client_id, object_metas, replica_type, tenant_id: TENANT };
                    ask!(BatchPutEnd, call, each)
                }
            }
            Request::PutRevoke { client: c, keys, replica_type } => {
                let (client_id, replica_type) = (client(*c), kind(*replica_type));
                if single {
                    let call = w::PutRevoke { client_id, key: &keys[0], replica_type, tenant_id: TENANT };
                    ask!(PutRevoke, call, done)
                } else {
                    let keys = slices(keys);
                    let call = w::BatchPutRevoke {
                        client_id,
                        keys: List::new(&keys),
                        replica_type,
                        tenant_id: TENANT,
                    };
                    ask!(BatchPutRevoke, call, each)
                }
            }
            _ => None,
        }
    }

    async fn transfer(&mut self, request: &Request) -> Option<Vec<String>> {
        macro_rules! ask {
            ($name:ident, $call:expr, $show:expr) => {
                self.call($call, |response| match response {
                    Response::$name(result) => Some($show(result)),
                    _ => None,
                })
                .await
            };
        }
        let tenant_id = TENANT;
        let a_task = |r: Expected<t::Uuid>| vec![code(r, |_| "a task".to_owned())];
        match request {
            Request::CopyStart { client: c, key, source, targets } => {
                let names: Vec<&[u8]> = targets.iter().map(String::as_bytes).collect();
                let call = w::CopyStart {
                    client_id: client(*c),
                    key,
                    tenant_id,
                    src_segment: source.as_bytes(),
                    tgt_segments: List::new(&names),
                };
                let show = |r: Expected<t::CopyStartResponse<'_>>| {
                    vec![code(r, |b| buffers(b.source, b.targets.iter().map(replica).collect()))]
                };
                ask!(CopyStart, call, show)
            }
            Request::MoveStart { client: c, key, source, target } => {
                let call = w::MoveStart {
                    client_id: client(*c),
                    key,
                    tenant_id,
                    src_segment: source.as_bytes(),
                    tgt_segment: target.as_bytes(),
                };
                let show = |r: Expected<t::MoveStartResponse<'_>>| {
                    vec![code(r, |b| buffers(b.source, b.target.into_iter().map(replica).collect()))]
                };
                ask!(MoveStart, call, show)
            }
            Request::CopyEnd { client: c, key } => {
                ask!(CopyEnd, w::CopyEnd { client_id: client(*c), key, tenant_id }, done)
            }
            Request::CopyRevoke { client: c, key } => {
                ask!(CopyRevoke, w::CopyRevoke { client_id: client(*c), key, tenant_id }, done)
            }
            Request::MoveEnd { client: c, key } => {
                ask!(MoveEnd, w::MoveEnd { client_id: client(*c), key, tenant_id }, done)
            }
            Request::MoveRevoke { client: c, key } => {
                ask!(MoveRevoke, w::MoveRevoke { client_id: client(*c), key, tenant_id }, done)
            }
            Request::CreateCopyTask { key, targets } => {
                let names: Vec<&[u8]> = targets.iter().map(String::as_bytes).collect();
                ask!(CreateCopyTask, w::CreateCopyTask { key, tenant_id, targets: List::new(&names) }, a_task)
            }
            Request::CreateMoveTask { key, source, target } => {
                let (source, target) = (source.as_bytes(), target.as_bytes());
                ask!(CreateMoveTask, w::CreateMoveTask { key, tenant_id, source, target }, a_task)
            }
            Request::QueryTask { id } => {
                let show = |r: Expected<t::QueryTaskResponse<'_>>| vec![code(r, |task| text(task.message))];
                ask!(QueryTask, w::QueryTask { task_id: uuid(id.uuid()) }, show)
            }
            Request::FetchTasks { client: c, max } => {
                self.call(w::FetchTasks { client_id: client(*c), batch_size: *max }, |response| {
                    let Response::FetchTasks(Ok(tasks)) = response else { return None };
                    Some(tasks.iter().map(|task| text(task.payload)).collect())
                })
                .await
            }
            Request::MarkTaskToComplete { client: c, id, status, message } => {
                let status = t::TaskStatus(*status as i32);
                let request =
                    t::TaskCompleteRequest { id: uuid(id.uuid()), status, message: message.as_bytes() };
                ask!(MarkTaskToComplete, w::MarkTaskToComplete { client_id: client(*c), request }, done)
            }
            _ => None,
        }
    }
}

fn slices(keys: &[Bytes]) -> Vec<&[u8]> {
    keys.iter().map(|key| &key[..]).collect()
}

fn kind(kind: ReplicaType) -> t::ReplicaType {
    t::ReplicaType(kind as i32)
}

//! A connection that speaks Mooncake's protocol, as the released client does: one request outstanding.

use std::time::Duration;

use bytes::Bytes;
use standfast_wire::calls::{self as w, Call};
use standfast_wire::frame::{self, Frame, Framer};
use standfast_wire::types::{self as t, Descriptor, ErrorCode, ReplicaType, Uuid};
use standfast_wire::{Form, List, Response, ResponseHeader, RpcError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::door::{CALL_LIMIT, Fault, Refused, Replica, Replicas, Segment};

const TENANT: &[u8] = b"default";
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// One TCP connection.
pub(super) struct Wire {
    socket: TcpStream,
    framer: Framer<ResponseHeader>,
    request: Vec<u8>,
    seq: u32,
    client: Uuid,
}

/// Reads the results out of a response; `None` when it belongs to another call.
macro_rules! results {
    ($frame:expr, $name:ident) => {
        match Response::decode_as(w::$name::METHOD, &$frame.payload) {
            Ok((Response::$name(results), _)) => Ok(results),
            Ok(_) => Err(fault::<w::$name<'_>>("the answer belongs to another call")),
            Err(error) => Err(fault::<w::$name<'_>>(&error.to_string())),
        }
    };
    ($frame:expr, plain $name:ident) => {
        match Response::decode_as(w::$name::METHOD, &$frame.payload) {
            Ok((Response::$name(results), _)) => Ok(results),
            Ok(_) => Err(fault::<w::$name>("the answer belongs to another call")),
            Err(error) => Err(fault::<w::$name>(&error.to_string())),
        }
    };
}

fn fault<'a, C: Call<'a>>(why: &str) -> Fault {
    Fault { call: C::METHOD.name(), why: why.to_owned() }
}

fn code(code: ErrorCode) -> Refused {
    Refused(code.0)
}

impl Wire {
    pub(super) async fn open(addr: &str, client_number: u64) -> Result<Self, String> {
        let socket = timeout(CONNECT_LIMIT, TcpStream::connect(addr)).await;
        let socket = socket.map_err(|_| "no connection within 1000 ms")?.map_err(|e| e.to_string())?;
        socket.set_nodelay(true).map_err(|e| e.to_string())?;
        let framer = Framer::new(frame::DEFAULT_MAX_PAYLOAD);
        let client = Uuid { first: client_number, second: 1 };
        Ok(Self { socket, framer, request: Vec::new(), seq: 0, client })
    }

    async fn call<'a, C: Call<'a>>(&mut self, call: &C) -> Result<Frame<ResponseHeader>, Fault> {
        self.request.clear();
        self.seq = self.seq.wrapping_add(1);
        frame::write_request(&mut self.request, self.seq, call, Form::SHORT)
            .map_err(|error| fault::<C>(&error.to_string()))?;
        let exchanged = timeout(CALL_LIMIT, self.exchange()).await;
        let frame = exchanged.unwrap_or_else(|_| Err(format!("no answer within {} s", CALL_LIMIT.as_secs())));
        frame.map_err(|why| fault::<C>(&why))
    }

    async fn exchange(&mut self) -> Result<Frame<ResponseHeader>, String> {
        self.socket.write_all(&self.request).await.map_err(|e| e.to_string())?;
        let frame = loop {
            if let Some(frame) = self.framer.next_frame().map_err(|e| e.to_string())? {
                break frame;
            }
            let read = self.socket.read_buf(self.framer.buffer()).await.map_err(|e| e.to_string())?;
            if read == 0 {
                return Err("the master closed the connection".to_owned());
            }
        };
        if frame.header.seq_num != self.seq {
            return Err("an answer out of order".to_owned());
        }
        match frame.header.err_code {
            0 => Ok(frame),
            number => Err(RpcError::decode(number, &frame.payload).map_or_else(
                |_| format!("transport error {number}"),
                |error| {
                    format!("transport error {}: {}", error.code, String::from_utf8_lossy(&error.message))
                },
            )),
        }
    }

    pub(super) async fn mount(&mut self, lent: &Segment) -> Result<Result<(), Refused>, Fault> {
        let call = w::MountSegment { segment: segment(lent), client_id: self.client };
        let frame = self.call(&call).await?;
        Ok(results!(frame, MountSegment)?.map_err(code))
    }

    pub(super) async fn remount(&mut self, lent: &[Segment]) -> Result<Result<(), Refused>, Fault> {
        let segments: Vec<_> = lent.iter().map(segment).collect();
        let call = w::ReMountSegment { segments: List::new(&segments), client_id: self.client };
        let frame = self.call(&call).await?;
        Ok(results!(frame, ReMountSegment)?.map_err(code))
    }

    pub(super) async fn unmount(&mut self, lent: &Segment) -> Result<Result<(), Refused>, Fault> {
        let call = w::UnmountSegment { segment_id: segment(lent).id, client_id: self.client };
        let frame = self.call(&call).await?;
        Ok(results!(frame, plain UnmountSegment)?.map_err(code))
    }

    pub(super) async fn ping(&mut self) -> Result<bool, Fault> {
        let frame = self.call(&w::Ping { client_id: self.client }).await?;
        match results!(frame, plain Ping)? {
            Ok(pong) => Ok(pong.client_status == t::ClientStatus::NEED_REMOUNT),
            Err(code) => Err(fault::<w::Ping>(&format!("{code:?}"))),
        }
    }

    pub(super) async fn put_start(
        &mut self,
        keys: &[Bytes],
        bytes: u64,
        mut each: impl FnMut(Result<Replicas<'_>, Refused>) + Send,
    ) -> Result<(), Fault> {
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let sizes = vec![bytes; keys.len()];
        let call = w::BatchPutStart {
            client_id: self.client,
            keys: List::new(&keys),
            slice_lengths: List::new(&sizes),
            config: plain(),
            tenant_id: TENANT,
        };
        let frame = self.call(&call).await?;
        for placed in results!(frame, BatchPutStart)? {
            each(placed.map(replicas).map_err(code));
        }
        Ok(())
    }

    pub(super) async fn put_end(
        &mut self,
        keys: &[Bytes],
        mut each: impl FnMut(Result<(), Refused>) + Send,
    ) -> Result<(), Fault> {
        let metas: Vec<_> = keys.iter().map(|key| t::ObjectMeta { key, object_checksum: None }).collect();
        let call = w::BatchPutEnd {
            client_id: self.client,
            object_metas: List::new(&metas),
            replica_type: ReplicaType::ALL,
            tenant_id: TENANT,
        };
        let frame = self.call(&call).await?;
        results!(frame, BatchPutEnd)?.iter().for_each(|ended| each(ended.map_err(code)));
        Ok(())
    }

    pub(super) async fn get(
        &mut self,
        keys: &[Bytes],
        mut each: impl FnMut(Result<Replicas<'_>, Refused>) + Send,
    ) -> Result<(), Fault> {
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let call = w::BatchGetReplicaList { keys: List::new(&keys), tenant_id: TENANT };
        let frame = self.call(&call).await?;
        for found in results!(frame, BatchGetReplicaList)? {
            each(found.map(|found| replicas(found.replicas)).map_err(code));
        }
        Ok(())
    }

    pub(super) async fn exist(
        &mut self,
        keys: &[Bytes],
        mut each: impl FnMut(Result<bool, Refused>) + Send,
    ) -> Result<(), Fault> {
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let frame = self.call(&w::BatchExistKey { keys: List::new(&keys), tenant_id: TENANT }).await?;
        results!(frame, BatchExistKey)?.iter().for_each(|exists| each(exists.map_err(code)));
        Ok(())
    }

    pub(super) async fn remove(
        &mut self,
        keys: &[Bytes],
        mut each: impl FnMut(Result<(), Refused>) + Send,
    ) -> Result<(), Fault> {
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let call = w::BatchRemove { keys: List::new(&keys), force: true, tenant_id: TENANT };
        let frame = self.call(&call).await?;
        results!(frame, BatchRemove)?.iter().for_each(|removed| each(removed.map_err(code)));
        Ok(())
    }
}

fn segment(lent: &Segment) -> t::Segment<'_> {
    t::Segment {
        id: Uuid { first: lent.id, second: 2 },
        name: lent.name.as_bytes(),
        base: lent.base,
        size: lent.bytes,
        te_endpoint: lent.name.as_bytes(),
        protocol: b"tcp",
        host_id: b"",
    }
}

fn replicas<'a>(list: List<'a, t::ReplicaDescriptor<'a>>) -> Replicas<'a> {
    let first = list.iter().next().and_then(|replica| match replica.descriptor_variant {
        Descriptor::Memory(memory) => Some(Replica {
            endpoint: memory.buffer_descriptor.transport_endpoint,
            address: memory.buffer_descriptor.buffer_address,
            bytes: memory.buffer_descriptor.size,
            is_complete: replica.status == t::ReplicaStatus::COMPLETE,
        }),
        _ => None,
    });
    Replicas { count: list.len(), first }
}

/// One replica, anywhere.
fn plain() -> t::ReplicateConfig<'static> {
    t::ReplicateConfig {
        replica_num: 1,
        nof_replica_num: 0,
        dfs_replica_num: 0,
        soft_pin_action: t::SoftPinAction::PRESERVE,
        soft_pin_ttl_ms: None,
        with_hard_pin: false,
        preferred_segments: List::default(),
        preferred_segment: b"",
        preferred_nof_segments: List::default(),
        prefer_alloc_in_same_node: false,
        data_type: t::ObjectDataType::KVCACHE,
        host_id: b"",
        group_ids: None,
    }
}

//! A client of the Mooncake door, made of the wire library.

use std::time::Duration;

use standfast_wire::calls::{self as w, Call};
use standfast_wire::frame::{self, Frame, Framer};
use standfast_wire::types::{
    ObjectDataType, ObjectMeta, ReplicaType, ReplicateConfig, Segment, SoftPinAction, Uuid,
};
use standfast_wire::{Form, List, ResponseHeader, RpcError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::node::PATIENCE;

pub(crate) const ME: Uuid = Uuid { first: 7, second: 9 };
pub(crate) const TENANT: &[u8] = b"default";

pub(crate) struct Client {
    socket: TcpStream,
    framer: Framer<ResponseHeader>,
    seq: u32,
}

/// What came back: a call's payload, or the transport's error.
pub(crate) type Answer = Result<Frame<ResponseHeader>, RpcError>;

impl Client {
    pub(crate) async fn connect(address: &str) -> Self {
        let socket = TcpStream::connect(address).await.expect("the door listens");
        socket.set_nodelay(true).expect("a socket");
        Self { socket, framer: Framer::new(frame::DEFAULT_MAX_PAYLOAD), seq: 0 }
    }

    /// Waits until the door listens.
    pub(crate) async fn connect_when_served(address: &str) -> Self {
        let dial = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, dial).await.expect("the door listens in time");
        Self::connect(address).await
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.expect("sent");
    }

    /// Whether it gets an answer, or has been closed.
    pub(crate) async fn is_served(&mut self) -> bool {
        let mut bytes = Vec::new();
        frame::write_request(&mut bytes, 0, &w::ServiceReady, Form::LONG).expect("it fits");
        // A closed connection shows at the latest when it is read from.
        let _ = self.socket.write_all(&bytes).await;
        self.receive().await.is_some()
    }

    /// So many bytes as they come.
    pub(crate) async fn receive_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = self.socket.read_exact(&mut bytes);
        tokio::time::timeout(PATIENCE, read).await.expect("in time").expect("the connection stays");
        bytes
    }

    /// The next response; `None` when the door has closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<(u32, Answer)> {
        loop {
            if let Some(frame) = self.framer.next_frame().expect("sound frames") {
                let answer = match frame.header.err_code {
                    0 => Ok(frame.clone()),
                    code => Err(RpcError::decode(code, &frame.payload).expect("an error's payload")),
                };
                return Some((frame.header.seq_num, answer));
            }
            let read = self.socket.read_buf(self.framer.buffer());
            match tokio::time::timeout(PATIENCE, read).await.expect("an answer in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Calls, and expects an answer with the right number.
    pub(crate) async fn call<'a, C: Call<'a>>(&mut self, call: &C) -> Answer {
        let mut bytes = Vec::new();
        self.seq += 1;
        frame::write_request(&mut bytes, self.seq, call, Form::LONG).expect("it fits");
        self.send_bytes(&bytes).await;
        let (seq, answer) = self.receive().await.expect("the connection stays");
        assert_eq!(seq, self.seq);
        answer
    }
}

/// The result in a response frame, of the variant that is named.
macro_rules! result_of {
    ($name:ident, $answer:expr) => {
        match standfast_wire::Response::decode_as(standfast_wire::Method::$name, &$answer.payload) {
            Ok((standfast_wire::Response::$name(result), _)) => result,
            other => unreachable!("not a result of this call: {other:?}"),
        }
    };
}
pub(crate) use result_of;

pub(crate) fn plain() -> ReplicateConfig<'static> {
    ReplicateConfig {
        replica_num: 1,
        nof_replica_num: 0,
        dfs_replica_num: 0,
        soft_pin_action: SoftPinAction::PRESERVE,
        soft_pin_ttl_ms: None,
        with_hard_pin: false,
        preferred_segments: List::default(),
        preferred_segment: b"",
        preferred_nof_segments: List::default(),
        prefer_alloc_in_same_node: false,
        data_type: ObjectDataType::KVCACHE,
        host_id: b"",
        group_ids: None,
    }
}

pub(crate) fn mount(size: u64) -> w::MountSegment<'static> {
    let segment = Segment {
        id: Uuid { first: 1, second: 0 },
        name: b"host-1:1",
        base: 1 << 40,
        size,
        te_endpoint: b"10.0.0.1:17000",
        protocol: b"tcp",
        host_id: b"host-1",
    };
    w::MountSegment { segment, client_id: ME }
}

pub(crate) fn put_start(key: &[u8]) -> w::PutStart<'_> {
    w::PutStart { client_id: ME, key, slice_length: 100, config: plain(), tenant_id: TENANT }
}

pub(crate) fn put_end(key: &[u8]) -> w::PutEnd<'_> {
    let object_meta = ObjectMeta { key, object_checksum: Some(5) };
    w::PutEnd { client_id: ME, object_meta, replica_type: ReplicaType::ALL, tenant_id: TENANT }
}

pub(crate) fn exist(key: &[u8]) -> w::ExistKey<'_> {
    w::ExistKey { key, tenant_id: TENANT }
}

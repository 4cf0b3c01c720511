//! A connection that speaks Standfast's own protocol.

use bytes::Bytes;
use standfast_proto::access::Channel;
use standfast_proto::v1;
use standfast_proto::v1::exist_key_result::Answer;
use standfast_proto::v1::master_client::MasterClient;
use tonic::{Response, Status};

use super::super::client;
use super::door::{CALL_LIMIT, Fault, Refused, Replica, Replicas, Segment};

/// Largest reply: a batch of 10,000 with its addresses.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// One HTTP/2 connection.
pub(super) struct Grpc {
    master: MasterClient<Channel>,
    client: v1::Uuid,
}

async fn call<T>(
    name: &'static str,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Fault> {
    client::within(CALL_LIMIT, call).await.map_err(|status| {
        let text = if status.message().is_empty() { status.code().description() } else { status.message() };
        Fault { call: name, why: text.to_owned() }
    })
}

fn outcome(error: Option<&v1::Error>) -> Result<(), Refused> {
    error.map_or(Ok(()), |error| Err(Refused(error.code)))
}

fn replicas<'a>(replicas: &[v1::Replica], segments: &'a [v1::SegmentRef]) -> Replicas<'a> {
    let first = replicas.first().map(|replica| Replica {
        endpoint: segments
            .get(replica.segment as usize)
            .map_or(&[], |segment| segment.te_endpoint.as_bytes()),
        address: replica.address,
        bytes: replica.size,
        is_complete: replica.status() == v1::ReplicaStatus::Complete,
    });
    Replicas { count: replicas.len(), first }
}

impl Grpc {
    pub(super) async fn open(addr: &str, client_number: u64) -> Result<Self, String> {
        let channel = client::open(addr, client::CONNECT_LIMIT).await?;
        let master = MasterClient::new(channel).max_decoding_message_size(REPLY_BYTES_MAX);
        Ok(Self { master, client: v1::Uuid { first: client_number, second: 1 } })
    }

    fn segment(segment: &Segment) -> v1::Segment {
        v1::Segment {
            id: Some(v1::Uuid { first: segment.id, second: 2 }),
            name: segment.name.clone(),
            base: segment.base,
            size: segment.bytes,
            te_endpoint: segment.name.clone(),
            protocol: "tcp".to_owned(),
            host_id: String::new(),
        }
    }

    pub(super) async fn mount(&mut self, segment: &Segment) -> Result<Result<(), Refused>, Fault> {
        let segment = Some(Self::segment(segment));
        let request = v1::MountSegmentRequest { client: Some(self.client), segment };
        let reply = call("MountSegment", self.master.mount_segment(request)).await?;
        Ok(outcome(reply.error.as_ref()))
    }

    pub(super) async fn remount(&mut self, segments: &[Segment]) -> Result<Result<(), Refused>, Fault> {
        let segments = segments.iter().map(Self::segment).collect();
        let request = v1::ReMountSegmentRequest { client: Some(self.client), segments };
        let reply = call("ReMountSegment", self.master.re_mount_segment(request)).await?;
        Ok(outcome(reply.error.as_ref()))
    }

    pub(super) async fn unmount(&mut self, segment: &Segment) -> Result<Result<(), Refused>, Fault> {
        let segment = Some(v1::Uuid { first: segment.id, second: 2 });
        let request = v1::UnmountSegmentRequest { client: Some(self.client), segment };
        let reply = call("UnmountSegment", self.master.unmount_segment(request)).await?;
        Ok(outcome(reply.error.as_ref()))
    }

    pub(super) async fn ping(&mut self) -> Result<bool, Fault> {
        let reply = call("Ping", self.master.ping(v1::PingRequest { client: Some(self.client) })).await?;
        Ok(reply.status() == v1::ClientStatus::NeedRemount)
    }

    pub(super) async fn put_start(
        &mut self,
        keys: &[Bytes],
        bytes: u64,
        mut each: impl FnMut(Result<Replicas<'_>, Refused>) + Send,
    ) -> Result<(), Fault> {
        let items = keys.iter().map(|key| v1::PutStartItem { key: key.clone(), size: bytes }).collect();
        let tenant = String::new();
        let request = v1::PutStartRequest { client: Some(self.client), config: None, items, tenant };
        let reply = call("PutStart", self.master.put_start(request)).await?;
        for result in &reply.results {
            let placed = outcome(result.error.as_ref());
            each(placed.map(|()| replicas(&result.replicas, &reply.segments)));
        }
        Ok(())
    }

    pub(super) async fn put_end(
        &mut self,
        keys: &[Bytes],
        mut each: impl FnMut(Result<(), Refused>) + Send,
    ) -> Result<(), Fault> {
        let items = keys.iter().map(|key| v1::PutEndItem { key: key.clone(), checksum: None }).collect();
        let request = v1::PutEndRequest { client: Some(self.client), items, tenant: String::new() };
        let reply = call("PutEnd", self.master.put_end(request)).await?;
        reply.results.iter().for_each(|result| each(outcome(result.error.as_ref())));
        Ok(())
    }

    pub(super) async fn get(
        &mut self,
        keys: &[Bytes],
        mut each: impl FnMut(Result<Replicas<'_>, Refused>) + Send,
    ) -> Result<(), Fault> {
        let request = v1::GetReplicaListRequest { keys: keys.to_vec(), tenant: String::new() };
        let reply = call("GetReplicaList", self.master.get_replica_list(request)).await?;
        for result in &reply.results {
            let found = outcome(result.error.as_ref());
            each(found.map(|()| replicas(&result.replicas, &reply.segments)));
        }
        Ok(())
    }

    pub(super) async fn exist(
        &mut self,
        keys: &[Bytes],
        mut each: impl FnMut(Result<bool, Refused>) + Send,
    ) -> Result<(), Fault> {
        let request = v1::ExistKeyRequest { keys: keys.to_vec(), tenant: String::new() };
        let reply = call("ExistKey", self.master.exist_key(request)).await?;
        for result in &reply.results {
            each(match &result.answer {
                Some(Answer::Exists(exists)) => Ok(*exists),
                Some(Answer::Error(error)) => Err(Refused(error.code)),
                None => Ok(false),
            });
        }
        Ok(())
    }

    pub(super) async fn remove(
        &mut self,
        keys: &[Bytes],
        mut each: impl FnMut(Result<(), Refused>) + Send,
    ) -> Result<(), Fault> {
        let request = v1::RemoveRequest { keys: keys.to_vec(), force: true, tenant: String::new() };
        let reply = call("Remove", self.master.remove(request)).await?;
        reply.results.iter().for_each(|result| each(outcome(result.error.as_ref())));
        Ok(())
    }
}

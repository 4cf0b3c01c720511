//! What clients may get wrong: exact answers, nothing done, the node lives on.

use standfast_proto::v1;
use tonic::Code;

use crate::node::{CLIENT, Node, end, refusal, segment, start};

fn put(key: Vec<u8>, size: u64, replica_num: u32) -> v1::PutStartRequest {
    v1::PutStartRequest {
        client: Some(CLIENT),
        config: Some(v1::ReplicateConfig { replica_num, preferred_segments: Vec::new() }),
        items: vec![v1::PutStartItem { key: key.into(), size }],
        tenant: String::new(),
    }
}

#[tokio::test]
async fn elements_that_cannot_be_are_named() {
    let a = Node::start("--node a --role primary");
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    let tail = |s: v1::NodeStatus| s.positions.expect("positions").tail;
    let before = tail(a.status(false).await);
    let params = v1::ErrorCode::InvalidParams as i32;
    let cases = [
        (put(Vec::new(), 1, 1), params, "key length is 0"),
        (put(vec![b'k'; 4097], 1, 1), params, "key length is 4097: expected 1 to 4096"),
        (put(b"k".to_vec(), 0, 1), params, "size is 0"),
        (put(b"k".to_vec(), 1, 0), params, "replica_num is 0"),
        (put(b"k".to_vec(), 1, 65), params, "replica_num is 65"),
        (put(b"k".to_vec(), u64::MAX, 1), v1::ErrorCode::NoAvailableHandle as i32, "no segment has"),
    ];
    for (request, code, text) in cases {
        let reply = client.put_start(request).await.expect("answered").into_inner();
        let error = reply.results[0].error.clone().expect(text);
        assert_eq!(error.code, code, "{error:?}");
        assert!(error.text.contains(text), "{error:?}");
    }
    for (base, size) in [(0, 1), (1, 0), (u64::MAX, 2)] {
        let mut request = segment(2, size);
        request.segment.as_mut().expect("set").base = base;
        let reply = client.mount_segment(request).await.expect("answered").into_inner();
        assert_eq!(reply.error.map(|e| e.code), Some(params), "base {base} size {size}");
    }
    let reply = client.put_end(end(&["never started"])).await.expect("answered").into_inner();
    assert_eq!(reply.results[0].error.as_ref().map(|e| e.code), Some(v1::ErrorCode::ObjectNotFound.into()));
    assert_eq!(tail(a.status(false).await), before, "nothing was logged");
}

#[tokio::test]
async fn calls_that_cannot_be_are_refused_as_a_whole() {
    let a = Node::start("--node a --role primary");
    let mut client = a.master().await;
    let (code, r) = refusal(client.put_start(v1::PutStartRequest::default()).await);
    assert_eq!((code, r.code()), (Code::InvalidArgument, v1::RefusalCode::InvalidArgument));
    assert!(r.text.contains("client is missing"), "{}", r.text);
    let keys = vec![prost_key(); 10_001];
    let (code, r) = refusal(client.exist_key(v1::ExistKeyRequest { keys, tenant: String::new() }).await);
    assert_eq!((code, r.code()), (Code::ResourceExhausted, v1::RefusalCode::LimitExceeded));
    assert!(r.text.contains("10001 elements"), "{}", r.text);
    let huge = put(vec![0; 9 << 20], 1, 1);
    assert_eq!(client.put_start(huge).await.expect_err("too large").code(), Code::OutOfRange);
    assert_eq!(
        client.put_start(start(&[])).await.expect("an empty batch is fine").into_inner().results.len(),
        0
    );
}

fn prost_key() -> bytes::Bytes {
    bytes::Bytes::from_static(b"k")
}

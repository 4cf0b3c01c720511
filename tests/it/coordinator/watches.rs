//! Several watches on one stream, and several streams on one connection, as etcd's own clients use them: each process
//! has one connection, and on it one stream for all its watches.

use std::collections::BTreeSet;

use bytes::Bytes;
use standfast_proto::etcdserverpb as pb;
use standfast_proto::etcdserverpb::kv_client::KvClient;
use standfast_proto::etcdserverpb::watch_client::WatchClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::on_both;
use super::servers::{Etcd, Server, Witness};
use crate::node::PATIENCE;

on_both!(
    each_watch_of_a_stream_is_told,
    a_cancelled_watch_is_silent_and_the_others_go_on,
    an_unknown_watch_is_cancelled_without_a_word,
    a_watch_begins_where_it_is_asked_to,
    two_streams_of_a_connection_are_both_told,
);

/// What etcd answers a watch that it refuses with: it belongs to no watch.
const NO_WATCH: i64 = -1;
/// More than a witness takes on one stream.
const TOO_MANY: usize = 64;

async fn channel(address: &str) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("a URL");
    endpoint.connect().await.expect("it listens")
}

/// Writes, and says at which revision.
async fn write(channel: &Channel, request: pb::request_op::Request) -> i64 {
    let success = vec![pb::RequestOp { request: Some(request) }];
    let txn = pb::TxnRequest { success, ..Default::default() };
    let answer = KvClient::new(channel.clone()).txn(txn).await.expect("it answers").into_inner();
    answer.header.expect("a header").revision
}

async fn put(channel: &Channel, key: &'static str) -> i64 {
    let put =
        pb::PutRequest { key: Bytes::from_static(key.as_bytes()), value: "v".into(), ..Default::default() };
    write(channel, pb::request_op::Request::RequestPut(put)).await
}

async fn delete(channel: &Channel, key: &'static str) -> i64 {
    let delete = pb::DeleteRangeRequest { key: Bytes::from_static(key.as_bytes()), ..Default::default() };
    write(channel, pb::request_op::Request::RequestDeleteRange(delete)).await
}

fn create(key: &'static str, start_revision: i64) -> pb::WatchRequest {
    let key = Bytes::from_static(key.as_bytes());
    let create = pb::WatchCreateRequest { key, start_revision, ..Default::default() };
    pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) }
}

/// What one watch was told: the watch, whether it is a deletion, the key, and its revision.
type Told = (i64, bool, String, i64);

/// A watch stream.
struct Stream {
    requests: mpsc::Sender<pb::WatchRequest>,
    answers: Streaming<pb::WatchResponse>,
}

impl Stream {
    /// Opens it with its first watch, from now on: etcd says nothing before it is asked.
    async fn open(channel: &Channel, key: &'static str) -> (Self, i64) {
        let (requests, receiver) = mpsc::channel(TOO_MANY);
        requests.send(create(key, 0)).await.expect("there is room");
        let mut client = WatchClient::new(channel.clone());
        let open = tokio::time::timeout(PATIENCE, client.watch(ReceiverStream::new(receiver))).await;
        let answers = open.expect("an answer in time").expect("it answers").into_inner();
        let mut stream = Self { requests, answers };
        let first = stream.created().await;
        assert!(!first.canceled, "{first:?}");
        (stream, first.watch_id)
    }

    async fn cancel(&self, watch_id: i64) {
        let cancel = pb::WatchCancelRequest { watch_id };
        let cancel = pb::watch_request::RequestUnion::CancelRequest(cancel);
        let request = pb::WatchRequest { request_union: Some(cancel) };
        self.requests.send(request).await.expect("the stream is open");
    }

    async fn answer(&mut self) -> pb::WatchResponse {
        let next = tokio::time::timeout(PATIENCE, self.answers.message()).await;
        next.expect("an answer in time").expect("no error").expect("the stream stays open")
    }

    /// Asks for a watch of one key and gives the answer, which is the next one.
    async fn create(&mut self, key: &'static str, start_revision: i64) -> pb::WatchResponse {
        self.requests.send(create(key, start_revision)).await.expect("the stream is open");
        self.created().await
    }

    async fn created(&mut self) -> pb::WatchResponse {
        let answer = self.answer().await;
        assert!(answer.created && answer.events.is_empty(), "{answer:?}");
        answer
    }

    /// A watch from now on.
    async fn watch(&mut self, key: &'static str) -> i64 {
        let answer = self.create(key, 0).await;
        assert!(!answer.canceled, "{answer:?}");
        answer.watch_id
    }

    /// What is told until so many changes were told. A header is never before what it tells.
    async fn told(&mut self, count: usize) -> BTreeSet<Told> {
        let mut told = BTreeSet::new();
        while told.len() < count {
            let answer = self.answer().await;
            assert!(!answer.created && !answer.canceled && !answer.events.is_empty(), "{answer:?}");
            let at = answer.header.expect("a header").revision;
            for event in answer.events {
                let deleted = event.r#type() == pb::event::EventType::Delete;
                let kv = event.kv.expect("a record");
                assert!(at >= kv.mod_revision, "the header is at {at}: {kv:?}");
                let key = String::from_utf8(kv.key.to_vec()).expect("text");
                assert!(told.insert((answer.watch_id, deleted, key, kv.mod_revision)), "told twice");
            }
        }
        told
    }
}

fn change(watch: i64, key: &str, at: i64) -> Told {
    (watch, false, key.to_owned(), at)
}

fn deletion(watch: i64, key: &str, at: i64) -> Told {
    (watch, true, key.to_owned(), at)
}

async fn each_watch_of_a_stream_is_told(server: impl Server) {
    let channel = channel(server.address()).await;
    let (mut stream, first) = Stream::open(&channel, "one").await;
    let (second, other) = (stream.watch("one").await, stream.watch("two").await);
    assert_eq!(BTreeSet::from([first, second, other]).len(), 3, "each has a number of its own");
    let one = put(&channel, "one").await;
    let two = put(&channel, "two").await;
    let gone = delete(&channel, "one").await;
    let wanted = [
        change(first, "one", one),
        change(second, "one", one),
        change(other, "two", two),
        deletion(first, "one", gone),
        deletion(second, "one", gone),
    ];
    assert_eq!(stream.told(wanted.len()).await, wanted.into());
}

async fn a_cancelled_watch_is_silent_and_the_others_go_on(server: impl Server) {
    let channel = channel(server.address()).await;
    let (mut stream, stays) = Stream::open(&channel, "one").await;
    let goes = stream.watch("one").await;
    stream.cancel(goes).await;
    let answer = stream.answer().await;
    assert_eq!((answer.watch_id, answer.canceled, answer.created), (goes, true, false));
    let (first, second) = (put(&channel, "one").await, put(&channel, "one").await);
    assert_eq!(stream.told(2).await, [change(stays, "one", first), change(stays, "one", second)].into());
    let again = stream.watch("one").await;
    assert!(again != stays && again != goes, "a number is not used twice");
    let third = put(&channel, "one").await;
    assert_eq!(stream.told(2).await, [change(stays, "one", third), change(again, "one", third)].into());
}

async fn an_unknown_watch_is_cancelled_without_a_word(server: impl Server) {
    let channel = channel(server.address()).await;
    let (mut stream, known) = Stream::open(&channel, "one").await;
    stream.cancel(known + 77).await;
    stream.cancel(known).await;
    let answer = stream.answer().await;
    assert_eq!((answer.watch_id, answer.canceled), (known, true));
    // A client that closes a watch whose end is on its way.
    stream.cancel(known).await;
    stream.watch("one").await;
}

async fn a_watch_begins_where_it_is_asked_to(server: impl Server) {
    let channel = channel(server.address()).await;
    let first = put(&channel, "one").await;
    let gone = delete(&channel, "one").await;
    let (mut stream, now) = Stream::open(&channel, "one").await;
    let late = stream.create("one", gone).await.watch_id;
    assert_eq!(stream.told(1).await, [deletion(late, "one", gone)].into());
    let early = stream.create("one", first).await.watch_id;
    let past = [change(early, "one", first), deletion(early, "one", gone)];
    assert_eq!(stream.told(2).await, past.into());
    let next = put(&channel, "one").await;
    assert_eq!(stream.told(3).await, [now, late, early].map(|watch| change(watch, "one", next)).into());
}

async fn two_streams_of_a_connection_are_both_told(server: impl Server) {
    let channel = channel(server.address()).await;
    let (mut a, of_a) = Stream::open(&channel, "one").await;
    let (mut b, of_b) = Stream::open(&channel, "one").await;
    let first = put(&channel, "one").await;
    assert_eq!(a.told(1).await, [change(of_a, "one", first)].into());
    assert_eq!(b.told(1).await, [change(of_b, "one", first)].into());
    drop(a);
    let gone = delete(&channel, "one").await;
    assert_eq!(b.told(1).await, [deletion(of_b, "one", gone)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_too_many_is_refused_and_the_others_go_on() {
    let witness = Witness::start();
    let channel = channel(witness.address()).await;
    let (mut stream, first) = Stream::open(&channel, "one").await;
    let mut watches = vec![first];
    let refused = loop {
        assert!(watches.len() < TOO_MANY, "a stream has a limit");
        let answer = stream.create("one", 0).await;
        if answer.canceled {
            break answer;
        }
        watches.push(answer.watch_id);
    };
    assert_eq!(refused.watch_id, NO_WATCH);
    assert!(refused.cancel_reason.contains(&watches.len().to_string()), "{refused:?}");
    let at = put(&channel, "one").await;
    let wanted: BTreeSet<Told> = watches.iter().map(|watch| change(*watch, "one", at)).collect();
    assert_eq!(stream.told(wanted.len()).await, wanted);
}

//! `standfast trace`: the path of a write through both nodes.

use std::process::Command;

use serde_json::Value;

use crate::node::{Node, end, segment, start};

fn trace(node: &Node, seq: u64) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(["trace", &seq.to_string(), "--json", "--connect", &node.addr])
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (out.status.code().expect("a code"), text(out.stdout), text(out.stderr))
}

#[tokio::test]
async fn a_write_is_followed_through_both_nodes_in_order() {
    let (a, b) = Node::pair("").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    client.put_start(start(&["traced"])).await.expect("started");
    client.put_end(end(&["traced"])).await.expect("ended");
    let is_end = |seq: &u64| trace(&a, *seq).1.contains("\"op\":\"PUT_END\"");
    let seq = (1..10).find(is_end).expect("among the first entries");
    b.until("applied", |s| s.positions.as_ref().is_some_and(|p| p.applied > seq)).await;

    for node in [&a, &b] {
        let (code, line, said) = trace(node, seq);
        assert_eq!((code, line.lines().count()), (0, 1), "{line}{said}");
        let path: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            (&path["schema"], &path["op"], &path["call"]),
            (&1.into(), &"PUT_END".into(), &"put_end".into())
        );
        assert!(path["key"].as_str().expect("a key").ends_with("traced"), "{path}");
        let steps = path["path"].as_array().expect("steps");
        let at = |stage: &str| {
            let step = steps.iter().find(|s| s["stage"] == stage);
            let step = step.ok_or_else(|| format!("no {stage} in {line}")).expect("there");
            (step["at_ms"].as_f64().expect("a time"), step["error_ms"].as_f64().expect("an error"))
        };
        let order = ["received", "decided", "appended", "sent", "acked", "committed", "replied"];
        assert!(order.windows(2).all(|w| at(w[0]).0 <= at(w[1]).0), "{line}");
        // The nodes' clocks are two, but between sending and hearing it must have been there.
        for stage in ["standby_received", "standby_applied"] {
            let (time, error) = at(stage);
            assert!(at("sent").0 - error <= time && time <= at("acked").0 + error, "{stage}: {line}");
        }
        let clock = &path["clocks"][0];
        assert_eq!(clock["standby"], "b");
        assert!(clock["error_ms"].as_f64().expect("stated") > 0.0 && clock["samples"].as_u64() > Some(0));
    }

    let (code, _, said) = trace(&a, 999_999);
    assert!(code == 1 && said.contains("not assigned yet"), "{code} {said}");
}

#[tokio::test]
async fn the_end_of_the_log_and_the_slowest_writes_are_listed() {
    use standfast_proto::v1::recorder_client::RecorderClient;
    use standfast_proto::v1::{ListTracesRequest, TraceOrder};

    let (a, b) = Node::pair("").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    for key in ["one", "two"] {
        client.put_start(start(&[key])).await.expect("started");
        client.put_end(end(&[key])).await.expect("ended");
    }
    let list = async |node: &Node, order: TraceOrder, limit| {
        let channel =
            tonic::transport::Endpoint::from_shared(format!("http://{}", node.addr)).expect("valid");
        let mut recorder = RecorderClient::new(channel.connect().await.expect("connected"));
        let reply = recorder.list_traces(ListTracesRequest { order: order.into(), limit }).await;
        reply.map(|reply| reply.into_inner().traces)
    };
    let newest = list(&a, TraceOrder::Newest, 2).await.expect("listed");
    let ops: Vec<&str> = newest.iter().filter_map(|trace| trace.op.as_deref()).collect();
    assert_eq!(ops, ["PUT_END", "PUT_START"], "of `two`");
    assert_eq!(newest[0].seq, newest[1].seq + 1, "the newest first");
    assert!(
        newest[0].request.as_ref().is_some_and(|request| request.replied_ns.is_some()),
        "in sync mode it has waited"
    );
    let tail = newest[0].tail;
    b.until("applied", |s| s.positions.as_ref().is_some_and(|p| p.applied == tail)).await;
    let on_standby = list(&b, TraceOrder::Newest, 1).await.expect("listed");
    assert_eq!((on_standby.len(), on_standby[0].seq), (1, tail - 1));
    assert!(on_standby[0].batches[0].applied_ns.is_some(), "it tells its own part");

    let slowest = list(&a, TraceOrder::Slowest, 200).await.expect("listed");
    let took = |trace: &standfast_proto::v1::WriteTrace| {
        let request = trace.request.as_ref().expect("decided here");
        request.replied_ns.expect("answered") - request.received_ns
    };
    assert!(slowest.len() >= 4 && slowest.windows(2).all(|w| took(&w[0]) >= took(&w[1])), "{slowest:?}");
    assert_eq!(list(&b, TraceOrder::Slowest, 9).await.expect("listed"), [], "a standby decides nothing");
    for (order, limit) in [(TraceOrder::Newest, 0), (TraceOrder::Newest, 201), (TraceOrder::Unspecified, 1)] {
        let refused = list(&a, order, limit).await.expect_err("bad input");
        assert!(refused.message().contains("expected"), "{refused}");
    }
}

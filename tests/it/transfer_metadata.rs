//! The transfer metadata server: as the stock master's, and its contents outlive the node.

use nix::sys::signal::Signal;
use reqwest::Method;

use crate::node::{Node, PATIENCE};

const FLAGS: &str = "--transfer-metadata 127.0.0.1:0";
const RAM: &str = "mooncake%2Fram%2F127.0.0.1%3A52201";

struct Asked {
    code: u16,
    body: String,
    kind: Option<String>,
}

async fn ask(node: &Node, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Asked {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
    let url = format!("http://{}{path}", node.transfer_metadata);
    let answer = client.request(method, url).body(body).send().await.expect("answered");
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    Asked { code: answer.status().as_u16(), kind, body: answer.text().await.expect("a body") }
}

async fn said(node: &Node, method: Method, key: &str, body: &str) -> (u16, String) {
    let asked = ask(node, method, &format!("/metadata?key={key}"), body.to_owned()).await;
    (asked.code, asked.body)
}

#[tokio::test]
async fn it_answers_as_a_stock_master_does() {
    let node = Node::start(&format!("--node a --role primary {FLAGS}"));
    let rpc = "mooncake/rpc_meta/x";
    // Requests and answers as they were seen on release 0.3.13.post1, in their order.
    for (method, key, body, code, text) in [
        (Method::GET, RAM, "", 404, "metadata not found"),
        (Method::PUT, "x", "{\"a\":1}", 200, "metadata updated"),
        (Method::GET, "x", "", 200, "{\"a\":1}"),
        (Method::PUT, rpc, "{\"a\":1}", 200, "metadata updated"),
        (Method::PUT, rpc, "{\"a\":1}", 200, "metadata unchanged"),
        (Method::PUT, rpc, "{\"a\":2}", 400, "Duplicate rpc_meta key not allowed"),
        (Method::DELETE, "x", "", 200, "metadata deleted"),
        (Method::DELETE, "x", "", 404, "metadata not found"),
        (Method::PUT, RAM, "one", 200, "metadata updated"),
        (Method::PUT, RAM, "two", 200, "metadata updated"),
        (Method::GET, RAM, "", 200, "two"),
        (Method::GET, "mooncake/ram/127.0.0.1:52201", "", 404, "metadata not found"),
    ] {
        let what = format!("{method} {key} {body}");
        assert_eq!(said(&node, method, key, body).await, (code, text.to_owned()), "{what}");
    }
    let found = ask(&node, Method::GET, &format!("/metadata?key={RAM}"), "").await;
    assert_eq!(found.kind.as_deref(), Some("application/json"));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let asked = ask(&node, method, "/metadata", "").await;
        assert_eq!((asked.code, asked.body.as_str()), (400, "Missing key parameter"));
    }
    let health = ask(&node, Method::GET, "/health", "").await;
    assert_eq!((health.code, health.body.as_str()), (200, "OK"));
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_hurts_nobody() {
    let node = Node::start(&format!("--node a --role primary {FLAGS}"));
    let put = |key: String, bytes: usize| {
        let node = &node;
        async move { ask(node, Method::PUT, &format!("/metadata?key={key}"), vec![b'v'; bytes]).await.code }
    };
    assert_eq!(put("k".repeat(4096), 1).await, 200);
    assert_eq!(put("k".repeat(4097), 1).await, 400);
    assert_eq!(put("largest".into(), 1 << 20).await, 200);
    assert_eq!(put("larger".into(), (1 << 20) + 1).await, 413);
    let mut last = 200;
    for n in 0..100 {
        last = put(format!("many-{n}"), 1 << 20).await;
        if last != 200 {
            break;
        }
    }
    assert_eq!(last, 507, "there is a bound of all of it");
    assert_eq!(said(&node, Method::DELETE, "largest", "").await.0, 200);
    assert_eq!(put("after".into(), 100).await, 200);
    let found = ask(&node, Method::GET, "/metadata?key=many-0", "").await;
    assert!(found.code == 200 && found.body.len() == 1 << 20 && found.body.bytes().all(|b| b == b'v'));
}

#[tokio::test]
async fn it_outlives_the_node_that_was_told() {
    let (a, b) = Node::pair(FLAGS).await;
    let long = "x".repeat(30_000);
    assert_eq!(said(&a, Method::PUT, RAM, &long).await.0, 200);
    assert_eq!(said(&a, Method::PUT, "rpc_meta/gone", "1").await.0, 200);
    assert_eq!(said(&a, Method::DELETE, "rpc_meta/gone", "").await.0, 200);
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let (code, body) = said(&b, method, RAM, "").await;
        assert!(code == 503 && body.contains("service plane is not active"), "a standby: {code} {body}");
    }
    let (ours, theirs) = a.compared_with(&b).await;
    assert_eq!((&ours.digest, &ours.recount), (&theirs.digest, &theirs.recount));
    a.signal(Signal::SIGKILL);
    assert!(b.promote().await.accepted);
    assert_eq!(said(&b, Method::GET, RAM, "").await, (200, long.clone()));
    assert_eq!(said(&b, Method::GET, "rpc_meta/gone", "").await.0, 404);
    // A standby that comes later gets it by a copy of the state.
    let c = Node::start(&format!("--node c --role standby --peer {} {FLAGS}", b.addr));
    c.until("in sync", |s| {
        s.rehearsal.as_ref().is_some_and(|r| r.verdict() == standfast_proto::v1::Verdict::Yes)
    })
    .await;
    b.signal(Signal::SIGKILL);
    assert!(c.promote().await.accepted);
    assert_eq!(said(&c, Method::GET, RAM, "").await, (200, long));
}

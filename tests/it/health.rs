//! Probes, the status as JSON, and the stock admin endpoints, of running nodes.

use nix::sys::signal::Signal;
use serde_json::Value;
use standfast::telemetry::http_client;
use standfast_proto::v1;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::node::{Node, PATIENCE, end, segment, start};
use crate::scrape::page;

async fn codes(node: &Node, paths: &[&str]) -> Vec<u16> {
    let mut codes = Vec::new();
    for path in paths {
        codes.push(page(node, path).await.0);
    }
    codes
}

async fn json(node: &Node, path: &str) -> (u16, Value) {
    let (code, body) = page(node, path).await;
    assert_eq!(body.lines().count(), 1, "one line: {body}");
    (code, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn probes_tell_primary_and_standby_apart_and_follow_a_failover() {
    let (a, b) = Node::pair("").await;
    let probes = ["/livez", "/readyz", "/primary", "/standby", "/standby?max_lag=5s"];
    assert_eq!(codes(&a, &probes).await, [200, 200, 200, 503, 503]);
    assert_eq!(codes(&b, &probes).await, [200, 200, 503, 200, 200]);
    let (code, text) = page(&b, "/standby?max_lag=soon").await;
    assert!(code == 400 && text.contains("`soon`") && text.contains("expected"), "{text}");
    let (code, text) = page(&b, "/primary").await;
    assert_eq!((code, text.as_str()), (503, "this node is standby\n"));
    assert_eq!(page(&a, "/nothing").await.0, 404);

    a.signal(Signal::SIGKILL);
    assert!(b.promote().await.accepted);
    assert_eq!(codes(&b, &probes).await, [200, 200, 200, 503, 503]);
}

#[tokio::test]
async fn a_primary_without_the_right_to_answer_is_not_ready() {
    let (a, b) = Node::pair("").await;
    b.signal(Signal::SIGSTOP);
    a.until("silenced", |s| s.rights.as_ref().is_some_and(|r| !r.may_answer)).await;
    assert_eq!(codes(&a, &["/livez", "/readyz", "/primary"]).await, [200, 503, 503]);
    assert_eq!(page(&a, "/ha_status").await.1, "leader_warmup\n");
    let (code, body) = json(&a, "/query_key?key=k").await;
    assert_eq!((code, &body["success"], &body["error_code"]), (503, &false.into(), &(-1011).into()));
}

#[tokio::test]
async fn grpc_health_says_the_same() {
    let (a, b) = Node::pair("").await;
    for (node, master) in [(&a, ServingStatus::Serving), (&b, ServingStatus::NotServing)] {
        let channel =
            tonic::transport::Channel::from_shared(format!("http://{}", node.addr)).expect("an address");
        let mut client = HealthClient::new(channel.connect().await.expect("it listens"));
        for (service, expected) in [("", ServingStatus::Serving), ("standfast.v1.Master", master)] {
            let request = HealthCheckRequest { service: service.into() };
            let mut told = client.watch(request).await.expect("answered").into_inner();
            while told.message().await.expect("goes on").expect("a state").status() != expected {}
        }
    }
}

#[tokio::test]
async fn the_status_is_one_line_of_json_in_which_unknown_is_absent() {
    let (a, b) = Node::pair("").await;
    let (code, of_a) = json(&a, "/status").await;
    assert_eq!((code, &of_a["schema"], &of_a["identity"]["node"]), (200, &1.into(), &"a".into()));
    assert_eq!(of_a["leadership"]["role"], "ROLE_PRIMARY");
    assert_eq!(of_a["identity"]["http_addr"], a.http.as_str());
    assert!(of_a.get("upstream").is_none(), "a primary follows nobody");
    assert!(json(&b, "/status").await.1["upstream"]["link"] == "LINK_STATE_UP");
}

#[tokio::test]
async fn stock_endpoints_answer_in_the_stock_form() {
    let (a, b) = Node::pair("").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 30)).await.expect("mounted");
    client.put_start(start(&["k", "open"])).await.expect("started");
    client.put_end(end(&["k"])).await.expect("ended");

    assert_eq!(
        (page(&a, "/role").await.1, page(&b, "/role").await.1),
        ("leader\n".into(), "standby\n".into())
    );
    assert_eq!(page(&a, "/ha_status").await.1, "serving\n");
    let (_, health) = json(&a, "/health").await;
    assert_eq!((&health["status"], &health["service_ready"]), (&"ok".into(), &true.into()));
    assert_eq!(json(&b, "/leader").await.1["leader_address"], a.addr.as_str());

    let (code, found) = json(&a, "/query_key?key=k").await;
    let buffer = &found["data"][0];
    assert_eq!((code, &found["success"], &buffer["size_"]), (200, &true.into(), &100.into()));
    assert_eq!((&buffer["protocol_"], &buffer["transport_endpoint_"]), (&"tcp".into(), &"host-1:1".into()));
    assert_eq!(buffer["buffer_address_"], 1_u64 << 40);
    let (code, missing) = json(&a, "/query_key?key=none").await;
    assert_eq!((code, &missing["error_code"]), (404, &(-704).into()));
    assert_eq!(json(&a, "/query_key").await.0, 404, "as release 0.3.13.post1 has it");
    let (_, many) = json(&a, "/batch_query_keys?keys=k,none").await;
    assert_eq!(
        (&many["data"]["k"]["ok"], &many["data"]["none"]["error"]),
        (&true.into(), &"OBJECT_NOT_FOUND".into())
    );
    assert_eq!(json(&a, "/batch_query_keys").await, (400, serde_json::json!({"error": "No keys provided"})));

    assert_eq!(page(&a, "/get_all_keys").await, (200, "k\n".to_owned()), "what can be read");
    assert_eq!(page(&a, "/get_all_segments").await, (200, "host-1:1\n".to_owned()));
    assert_eq!(json(&a, "/kv_events/status").await.0, 200);
    assert_eq!(json(&a, "/api/v1/drain_jobs/query?job_id=1-1").await.0, 409);
    let (_, detail) = json(&a, "/get_segments_detail").await;
    let row = &detail["segments"][0];
    assert_eq!((&detail["total_segments"], &row["base_address"]), (&1.into(), &"0x10000000000".into()));
    assert_eq!((&row["size_human"], &row["status"]), (&"1.0 GiB".into(), &"OK".into()));
    let (_, text) = page(&a, "/query_segment?segment=host-1:1").await;
    let used = row["allocator_used_bytes"].as_u64().expect("a number");
    assert_eq!(text, format!("host-1:1\nUsed(bytes): {used}\nCapacity(bytes) : {}\n", 1 << 30));
    assert_eq!(page(&a, "/query_segment?segment=no").await.0, 500);
    let (_, state) = json(&a, "/api/v1/segments/status?segment=host-1:1").await;
    assert_eq!((&state["status"], &state["status_name"]), (&1.into(), &"OK".into()));
    assert_eq!(json(&a, "/api/v1/segments/status?segment=no").await.0, 404);
    assert_eq!(json(&a, "/api/v1/tenant_quotas").await.0, 409);
    for path in [
        "/get_all_keys",
        "/get_all_segments",
        "/get_segments_detail",
        "/kv_events/status",
        "/api/v1/drain_jobs/query?job_id=1-1",
        "/api/v1/tenant_quotas",
        "/query_key?key=k",
        "/query_key",
        "/query_segment?segment=x",
    ] {
        let (code, body) = json(&b, path).await;
        assert_eq!((code, &body["error_message"]), (503, &"service plane is not active".into()), "{path}");
    }

    let post = http_client("http:", PATIENCE)
        .expect("a client")
        .post(format!("http://{}/api/v1/remove_all?force=true", a.http));
    let removed = post.send().await.expect("answered").text().await.expect("a body");
    assert_eq!(removed, "{\"removed_count\":1,\"success\":true}\n");
    let calls = a.status(false).await.traffic.expect("traffic").calls;
    let http = |c: &&v1::CallStatus| c.door == "http" && c.call == "remove_all";
    assert_eq!(calls.iter().find(http).map(|c| c.requests), Some(1));
}

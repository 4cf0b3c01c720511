//! Log lines: one for each role change, a level that changes at run time; the
//! webhook; the support bundle.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Command;

use serde_json::Value;
use standfast::telemetry::http_client;
use standfast_proto::v1;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::node::{Node, PATIENCE, end, segment, start};
use crate::scrape::{page, scrape, until};

pub(crate) fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the log");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[tokio::test]
async fn a_role_change_is_one_line_with_reason_epoch_and_seq() {
    let dir = tempfile::tempdir().expect("a folder");
    let (log_a, log_b) = (dir.path().join("a"), dir.path().join("b"));
    let a = Node::start_logged(&log_a, "--node a --role primary --log-format json");
    let follow = format!("--node b --role standby --peer {} --log-format json", a.addr);
    let b = Node::start_logged(&log_b, &follow);
    b.until("in sync", |s| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)).await;
    drop(a);
    assert!(b.promote().await.accepted);
    let changes = |path| lines(path).into_iter().filter(|l| l["code"] == "role_changed").collect::<Vec<_>>();
    let of_a = changes(&log_a);
    assert_eq!(of_a.len(), 1, "{of_a:?}");
    assert_eq!((&of_a[0]["epoch"], &of_a[0]["cause"]), (&1.into(), &"configuration".into()));
    let of_b = changes(&log_b);
    let said: Vec<&str> = of_b.iter().map(|l| l["message"].as_str().expect("text")).collect();
    assert_eq!(said.len(), 2, "candidate, then primary: {said:?}");
    let last = &of_b[1];
    assert_eq!((&last["epoch"], &last["actor"], &last["node"]), (&2.into(), &"test".into(), &"b".into()));
    assert!(last["seq"].as_u64() > Some(1) && said[1].contains("a test"), "{last}");
}

#[tokio::test]
async fn the_level_changes_at_run_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("log");
    let a = Node::start_logged(&log, "--node a --role primary --log-format json");
    assert_eq!(page(&a, "/loglevel").await, (200, "info\n".to_owned()));
    let put = |level: &'static str| {
        let request = http_client("http:", PATIENCE)
            .expect("a client")
            .put(format!("http://{}/loglevel", a.http))
            .body(level);
        async move {
            let answer = request.send().await.expect("answered");
            (answer.status().as_u16(), answer.text().await.expect("a body"))
        }
    };
    let (code, text) = put("loud").await;
    assert!(code == 400 && text.contains("`loud`") && text.contains("expected"), "{text}");
    assert!(lines(&log).iter().all(|l| l["level"] != "DEBUG"));
    assert_eq!(put("debug").await, (200, "debug\n".to_owned()));
    // Its own HTTP client and server say something at this level.
    page(&a, "/livez").await;
    a.status(false).await;
    let chatty = async {
        while lines(&log).iter().all(|l| l["level"] != "DEBUG") {
            a.status(false).await;
        }
    };
    tokio::time::timeout(PATIENCE, chatty).await.expect("debug lines come");
}

/// One POST's body.
pub(crate) async fn posted(listener: &TcpListener) -> Value {
    let come = async {
        let (socket, _) = listener.accept().await.expect("a connection");
        receive(socket).await
    };
    tokio::time::timeout(PATIENCE, come).await.expect("in time")
}

/// Its body, from a connection.
pub(crate) async fn receive(mut socket: impl AsyncRead + AsyncWrite + Unpin) -> Value {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.expect("a length").trim().parse::<usize>().expect("a number") {
                let body = serde_json::from_str(body).expect("JSON");
                socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("answered");
                socket.flush().await.expect("answered");
                return body;
            }
        }
        assert!(socket.read_buf(&mut request).await.expect("a request") > 0, "ended early");
    }
}

#[tokio::test]
async fn a_role_change_is_told_to_the_webhook() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let a = Node::start(&format!("--node a --role primary --webhook {url}"));
    let told = posted(&listener).await;
    assert_eq!((&told["schema"], &told["event"]), (&1.into(), &"role_change".into()));
    let change = &told["change"];
    assert_eq!((&change["kind"], &change["to_node"]), (&"ROLE_CHANGE_KIND_BOOTSTRAP".into(), &"a".into()));
    let ok = "standfast_notifications_total{result=\"ok\"}";
    until(&a, "counted", |s| s.value(ok) == Some(1.0)).await;
    let quiet = Node::start("--node q --role primary");
    assert!(!scrape(&quiet).await.families.contains("standfast_notifications_total"));
}

#[tokio::test]
async fn a_support_bundle_has_what_each_node_tells_and_no_key() {
    let (a, b) = Node::pair("--enable-lab --verify-cycle-ms 500 --verify-recount-ms 1000").await;
    let mut client = a.master().await;
    client.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    client.put_start(start(&["secret-key"])).await.expect("started");
    client.put_end(end(&["secret-key"])).await.expect("ended");
    let tail = a.status(false).await.positions.map(|p| p.tail);
    b.until("applied", |s| s.positions.as_ref().map(|p| p.applied) == tail).await;
    // What differs is told with its key and both values, on the screen only.
    let damage = v1::LabCorruptRequest { kind: "field".into(), pick: 1, count: 1 };
    b.admin().await.lab_corrupt(damage).await.expect("damaged");
    b.until("named, with its key", |s| {
        let named = |m: &v1::Mismatch| m.text.contains("secret-key");
        s.verification.iter().flat_map(|v| &v.recent).any(named)
            && s.events.iter().any(|e| e.code == "verify_mismatch" && e.text.contains("secret-key"))
    })
    .await;
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("bundle.tar.gz");
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_standfast"))
            .args(["support-bundle", "--json", "--connect", &a.addr, "--out"])
            .arg(&file)
            .output()
            .expect("it runs")
    };
    let out = run();
    let line: Value = serde_json::from_slice(&out.stdout).expect("one line of JSON");
    assert_eq!((out.status.code(), &line["missing"]), (Some(0), &serde_json::json!([])), "{line}");
    let archive = std::fs::File::open(&file).expect("it is there");
    let mut parts = BTreeMap::new();
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(archive)).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("text");
        assert!(!content.contains("secret-key"), "{name}");
        parts.insert(name, content);
    }
    for node in ["a", "b"] {
        let part = |file: &str| &parts[&format!("standfast-support/nodes/{node}/{file}")];
        assert!(part("metrics.txt").contains("standfast_node_role"));
        let status: Value = serde_json::from_str(part("status.json")).expect("JSON");
        assert_eq!(status["identity"]["node"], node);
        let writes: Value = serde_json::from_str(part("writes.json")).expect("JSON");
        assert!(writes["writes"].as_array().expect("a list").len() >= 2, "{writes}");
    }
    let of_b: Value = serde_json::from_str(&parts["standfast-support/nodes/b/status.json"]).expect("JSON");
    let told = &of_b["verification"]["recent"][0];
    assert_eq!((&told["kind"], told.get("key")), (&"field".into(), None), "that it differs is told: {told}");
    assert_eq!(run().status.code(), Some(1), "what is there is not overwritten");
}

//! `standfast dashboards` and `standfast runbook` as an operator types them.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// What a Grafana was sent.
type Seen = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

async fn store(State(seen): State<Seen>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let uid = body["dashboard"]["uid"].as_str().unwrap_or_default().to_owned();
    let is_known = headers.get("authorization").is_some_and(|token| token == "Bearer secret");
    seen.lock().await.push((headers, body));
    if is_known {
        (StatusCode::OK, format!("{{\"status\":\"success\",\"url\":\"/d/{uid}\"}}"))
    } else {
        (StatusCode::UNAUTHORIZED, "{\"message\":\"invalid API key\"}".to_owned())
    }
}

async fn grafana() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let seen = Seen::default();
    let app = Router::new().route("/api/dashboards/db", post(store)).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

async fn standfast(args: &[&str], token: &str) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_standfast"));
    command.args(args).env("GRAFANA_TOKEN", token).stdin(Stdio::null());
    command.output().await.expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[tokio::test]
async fn dashboards_are_pushed_with_a_token_and_a_refusal_is_told() {
    let (url, seen) = grafana().await;
    let push = ["dashboards", "push", "--grafana", &url, "--folder", "sre", "--json"];
    let done = standfast(&push, "secret").await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let line: Value = serde_json::from_str(text(&done.stdout)).expect("one line of JSON");
    assert_eq!((&line["schema"], line["files"].as_array().map(Vec::len)), (&1.into(), Some(6)));
    assert_eq!(line["files"][0]["result"], "/d/standfast-overview");
    for (_, body) in seen.lock().await.iter() {
        assert_eq!((&body["overwrite"], &body["folderUid"]), (&true.into(), &"sre".into()));
        assert!(body["dashboard"]["panels"].as_array().is_some_and(|p| p.len() > 5));
        assert!(body["dashboard"].get("__inputs").is_none(), "nobody is there to be asked");
    }

    let refused = standfast(&push, "wrong").await;
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    let why = text(&refused.stderr);
    assert!(why.contains("401") && why.contains("invalid API key") && why.contains("next: "), "{why}");
}

#[tokio::test]
async fn a_grafana_that_is_not_there_and_addresses_that_cannot_be_are_told() {
    for (url, code, why) in [
        ("http://127.0.0.1:1", 3, "no answer from http://127.0.0.1:1/"),
        ("ftp://grafana.example", 2, "expected http://"),
        ("https://127.0.0.1:1", 3, "no answer from https://127.0.0.1:1/"),
        ("grafana", 2, "relative URL without a base"),
    ] {
        let ended = standfast(&["dashboards", "push", "--grafana", url], "secret").await;
        assert_eq!(ended.status.code(), Some(code), "{url}: {}", text(&ended.stderr));
        assert!(text(&ended.stderr).contains(why), "{url}: {}", text(&ended.stderr));
    }
}

#[tokio::test]
async fn files_are_written_once_and_with_other_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("new").display().to_string();
    let write = |set: &'static str| {
        let target = target.clone();
        async move { standfast(&["dashboards", "write", &target, "--set", set], "").await }
    };
    let first = write("lag=7s").await;
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    assert!(text(&first.stdout).lines().all(|line| line.ends_with("  written")));
    assert!(text(&write("lag=7s").await.stdout).lines().all(|line| line.ends_with("  unchanged")));
    let alerts = std::fs::read_to_string(folder.path().join("new/alerts.yaml")).expect("written");
    assert!(alerts.contains("# lag=7s: ") && alerts.contains("> 7\n"), "{alerts}");
    let bad = write("lag=soon").await;
    assert_eq!(bad.status.code(), Some(2));
    assert!(
        text(&bad.stderr).contains("--set lag=soon: expected a time such as 30s"),
        "{}",
        text(&bad.stderr)
    );
}

#[test]
fn a_page_is_shown_by_the_name_that_the_pager_says() {
    let show = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_standfast")).args(args).output().expect("the binary runs")
    };
    let page = show(&["runbook", "StandfastNoPrimary"]);
    assert_eq!(page.status.code(), Some(0));
    assert!(text(&page.stdout).starts_with("# NoPrimary\n"), "{}", text(&page.stdout));
    let json: Value =
        serde_json::from_str(text(&show(&["runbook", "failover", "--json"]).stdout)).expect("JSON");
    assert_eq!((&json["schema"], &json["name"]), (&1.into(), &"procedures/failover".into()));
    assert!(text(&show(&["runbook"]).stdout).contains("  TwoPrimaries "));
    let unknown = show(&["runbook", "NoPrimry"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("next: standfast runbook NoPrimary"), "{}", text(&unknown.stderr));
}

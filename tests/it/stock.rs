//! A stock command line, as `mooncake_master` and as `standfast mooncake-master`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use standfast_proto::v1;
use standfast_wire::calls as w;
use standfast_wire::types::ErrorCode;

use crate::coordinator::Etcd;
use crate::mooncake::{Client, TENANT, mount, put_end, put_start, result_of};
use crate::node::{Node, PATIENCE};
use crate::scrape::page;

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("standfast-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    /// The binary under the stock master's name.
    fn link(&self) -> PathBuf {
        let link = self.0.join("mooncake_master");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_standfast"), &link).expect("a link");
        link
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays for the system to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(program: &Path, flags: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(program);
    command.args(flags.split_whitespace()).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn the_link_name_takes_the_stock_flags_and_file_and_serves_clients() {
    let folder = Folder::new("link");
    let config =
        folder.write("master.yaml", "rpc_port: 50051\ndefault_kv_lease_ttl: 5s\nrpc_thread_num: 4\n");
    let mut command = Command::new(folder.link());
    command.args([
        "-rpc_port",
        "0",
        "--port=0",
        "-rpc_address=127.0.0.1",
        "--cluster_id=kv",
        "--nolog_prefix",
        "--metrics_port=0",
    ]);
    command.arg(format!("--config_path={}", config.display()));
    let node = Node::start_words(command);
    assert!(node.http.starts_with("0.0.0.0:"), "metrics are where a stock master has them: {}", node.http);
    let mut client = Client::connect_when_served(&node.mooncake).await;
    for answer in [
        client.call(&mount(1 << 20)).await,
        client.call(&put_start(b"k")).await,
        client.call(&put_end(b"k")).await,
    ] {
        answer.expect("a result");
    }
    let found = client.call(&w::GetReplicaList { key: b"k", tenant_id: TENANT }).await.expect("a result");
    let found = result_of!(GetReplicaList, found).expect("readable");
    assert_eq!(found.lease_ttl_ms, 5000, "as the file says");
    let identity = node.status(false).await.identity.expect("identity");
    assert_eq!((identity.cluster.as_str(), identity.node.ends_with("-0")), ("kv", true));
}

#[tokio::test]
async fn two_stock_lines_and_five_words_of_ours_are_a_pair() {
    let start = |more: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        command
            .args(["mooncake-master", "--port=0", "--rpc_address=127.0.0.1", "--metrics_port=0"])
            .args(more.split_whitespace());
        Node::start_words(command)
    };
    let a = start("--standfast_node=a");
    let b = start(&format!("--standfast_node=b --standfast_role=standby --standfast_peer={}", a.addr));
    b.until("in sync", |s| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes)).await;
    let mut client = Client::connect_when_served(&a.mooncake).await;
    let mounted = tokio::time::timeout(PATIENCE, client.call(&mount(1 << 20))).await.expect("in time");
    assert_eq!(result_of!(MountSegment, mounted.expect("a result")), Ok(()));
}

/// A port of which the next is free, too: it will be that for peers.
fn free_pair() -> u16 {
    let free =
        |port: u16| TcpListener::bind(("127.0.0.1", port)).and_then(|l| l.local_addr()).map(|a| a.port());
    let mut ports = (0..100).filter_map(|_| free(0).ok());
    ports.find(|port| port.checked_add(1).is_some_and(|next| free(next).is_ok())).expect("two ports")
}

#[tokio::test]
async fn two_unchanged_stock_lines_are_a_pair_through_etcd() {
    let Some(etcd) = Etcd::start_or_skip().await else { return };
    let line = |port: u16| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        command.args(["mooncake-master", "--enable_ha=true", "--rpc_address=127.0.0.1", "--metrics_port=0"]);
        command.arg(format!("--etcd_endpoints=http://{}", etcd.address)).arg(format!("--rpc_port={port}"));
        Node::start_words(command)
    };
    let role = |s: &v1::NodeStatus| s.leadership.as_ref().map(v1::Leadership::role);
    let in_sync = |s: &v1::NodeStatus| s.rehearsal.as_ref().is_some_and(|r| r.verdict() == v1::Verdict::Yes);
    let port = free_pair();
    let a = line(port);
    a.until("the first leads", |s| role(s) == Some(v1::Role::Primary)).await;
    let b = line(free_pair());
    b.until("the second is in sync", in_sync).await;
    let mut client = Client::connect_when_served(&a.mooncake).await;
    let mounted = tokio::time::timeout(PATIENCE, client.call(&mount(1 << 20))).await.expect("in time");
    assert_eq!(result_of!(MountSegment, mounted.expect("a result")), Ok(()));
    for answer in [client.call(&put_start(b"k")).await, client.call(&put_end(b"k")).await] {
        answer.expect("a result");
    }
    let (_, leader) = page(&b, "/leader").await;
    assert!(leader.contains(&format!("\"leader_address\":\"{}\"", a.mooncake)), "{leader}");
    a.signal(Signal::SIGKILL);
    b.until("the second leads", |s| role(s) == Some(v1::Role::Primary)).await;
    let mut client = Client::connect_when_served(&b.mooncake).await;
    let read = async {
        loop {
            let found =
                client.call(&w::GetReplicaList { key: b"k", tenant_id: TENANT }).await.expect("a result");
            match result_of!(GetReplicaList, found) {
                // Not now, says a primary that waits for the coordinator: a client asks again.
                Err(ErrorCode::UNAVAILABLE_IN_CURRENT_STATUS) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answer => return answer.map(|found| found.replicas.len()),
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, read).await.expect("in time"), Ok(1));
    // The same line again: now it follows.
    let again = line(port);
    again.until("the first is back in sync", in_sync).await;
    assert_eq!(role(&again.status(false).await), Some(v1::Role::Standby));
}

#[test]
fn a_flag_that_is_not_here_refuses_the_start_and_says_how_to_go_on() {
    let folder = Folder::new("refused");
    let link = folder.link();
    let (code, out, err) = run(&link, "--enable_offload --enable_snapshto --rpc_port=0");
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    for part in ["--enable_offload is `true`", "--allow_unsupported", "--enable_snapshot is"] {
        assert!(err.contains(part), "{err}");
    }
    let (code, _, err) = run(&link, "--put_start_release_timeout_sec=10");
    assert_eq!(code, Some(2), "what a stock master refuses, too: {err}");
    assert!(err.contains("put release timeout `10000 ms`"), "{err}");
    let (code, out, _) = run(&link, "--helpfull");
    assert!(code == Some(0) && out.contains("--enable_offload: not here"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    let (code, out, _) = run(&link, "--version");
    assert!(code == Some(0) && out.starts_with("standfast "), "{out}");
    let standfast = Path::new(env!("CARGO_BIN_EXE_standfast"));
    let (code, _, err) = run(standfast, "--json mooncake-master --help");
    assert_eq!(code, Some(2), "{err}");
    let (code, out, err) =
        run(standfast, "config check --json mooncake-master --enable_offload --rpc_port=0");
    let line: serde_json::Value = serde_json::from_str(&out).expect("one line of JSON");
    assert_eq!((code, &line["verdict"]), (Some(2), &"refused".into()), "{out}{err}");
    assert!(line["problems"][0]["text"].as_str().is_some_and(|t| t.contains("--enable_offload")), "{out}");
}

#[test]
fn a_configuration_is_checked_and_shown_without_a_start() {
    let standfast = Path::new(env!("CARGO_BIN_EXE_standfast"));
    let good = "--node a --role primary --webhook https://h:443/secret";
    let (code, out, err) = run(standfast, &format!("config check {good}"));
    assert!(code == Some(0) && out.starts_with("OK  node a") && err.is_empty(), "{out}{err}");
    let (code, out, err) = run(standfast, &format!("config print {good} --json"));
    assert!(code == Some(0) && out.lines().count() == 1 && err.is_empty(), "{out}{err}");
    let line: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let row = |flag: &str| {
        let rows = line["values"].as_array().expect("a list");
        rows.iter().find(|row| row["flag"] == flag).cloned().unwrap_or_default()
    };
    assert_eq!(row("--peer")["value"], serde_json::Value::Null);
    assert_eq!(
        (&row("--webhook")["value"], &row("--webhook")["source"]),
        (&"https://h:443/***".into(), &"flag".into())
    );
    assert!(!out.contains("secret"), "{out}");
    let bad = "--node a --coordinator etcd://h:1 --shrink-ms 150";
    let (code, out, said) = run(standfast, &format!("config check {bad}"));
    let (started, _, refused) = run(standfast, &format!("serve {bad}"));
    assert_eq!((code, started, out.as_str()), (Some(2), Some(2), ""));
    let bare = |text: &str| text.replace("standfast: ", "").replace("error: ", "");
    assert_eq!(bare(&said), bare(&refused), "the same words");
    assert!(said.contains("--shrink-ms is 150: expected at least 2 times --heartbeat-ms (100)"), "{said}");
}

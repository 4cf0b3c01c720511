//! The demo as a process: what it leaves behind.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::collector::Collector;
use crate::node::PATIENCE;

/// The addresses in `a (pid 1) is primary at 127.0.0.1:2, b (pid 3) standby at 127.0.0.1:4`.
fn addresses(line: &str) -> Vec<String> {
    let words = line.split([' ', ',']);
    words.filter(|word| word.starts_with("127.0.0.1:")).map(str::to_owned).collect()
}

#[tokio::test]
async fn no_node_outlives_a_demo_that_is_killed() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(["demo", "--headless", "--duration", "30s"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let said = BufReader::new(demo.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let nodes = said.map(|line| addresses(&line)).find(|nodes| nodes.len() == 2).expect("both nodes started");
    assert!(nodes.iter().all(|addr| TcpStream::connect(addr).is_ok()), "{nodes:?}");
    demo.kill().expect("SIGKILL");
    demo.wait().expect("it is gone");
    let ended = async {
        while nodes.iter().any(|addr| TcpStream::connect(addr).is_ok()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap_or_else(|_| panic!("a node of {nodes:?} still listens"));
}

#[tokio::test]
async fn a_demo_fills_a_collector_with_the_spans_of_its_writes_and_of_its_failover() {
    let collector = Collector::start().await;
    let demo = tokio::process::Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(["demo", "--headless", "--duration", "6s", "--json", "--otlp", &collector.url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let filled = collector.until("writes of both nodes, and the failover", |spans| {
        let of = |node: &str, name: &str| spans.iter().any(|(n, s)| n == node && s.name == name);
        of("a", "batch.ship") && of("b", "standby.apply") && of("b", "failover")
    });
    let (demo, spans) = tokio::join!(tokio::time::timeout(4 * PATIENCE, demo), filled);
    let demo = demo.expect("it ends").expect("it runs");
    let failovers = spans.iter().filter(|(_, span)| span.name == "failover").count();
    assert_eq!(failovers, 1, "{}", String::from_utf8_lossy(&demo.stderr));
    let line: serde_json::Value = serde_json::from_slice(&demo.stdout).expect("one line of JSON");
    assert_eq!(line["schema"], 1);
}

//! The demo as a process: what it leaves behind.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

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

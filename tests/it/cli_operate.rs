//! `status`, `failover` and `detach` as an operator types them: exit codes, stdout and what they change.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::node::Node;

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one line on stdout: {}", self.out);
        serde_json::from_str(&self.out).expect("JSON")
    }
}

fn standfast(connect: &str, args: &str) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(args.split_whitespace())
        .env("STANDFAST_CONNECT", connect)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test]
async fn any_node_leads_to_the_others() {
    let (a, b) = Node::pair("").await;
    for connect in [&a.addr, &b.addr] {
        let status = standfast(connect, "status --json --recount");
        assert_eq!(status.code, Some(0), "{}", status.out);
        let line = status.json();
        assert_eq!((&line["verdict"], &line["schema"]), (&"ok".into(), &1.into()));
        let names: Vec<&Value> =
            line["nodes"].as_array().expect("a list").iter().map(|n| &n["node"]).collect();
        assert_eq!(names, ["a", "b"], "primary first");
        assert_eq!(line["nodes"][0]["recount"], line["nodes"][1]["recount"]);
    }
    let table = standfast(&b.addr, "status");
    assert!(table.out.lines().all(|line| line.chars().count() <= 80), "{}", table.out);
    assert!(table.out.contains("OK: "), "{}", table.out);
}

#[tokio::test]
async fn an_operator_sees_the_loss_and_promotes_by_name() {
    let (a, b) = Node::pair("").await;
    let dry = standfast(&a.addr, "failover --to b --dry-run --json");
    assert_eq!((dry.code, &dry.json()["accepted"]), (Some(0), &true.into()));
    let refused = standfast(&a.addr, "failover --to a --dry-run");
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("next: "), "a refusal ends with a command: {}", refused.err);
    let unconfirmed = standfast(&a.addr, "failover --to b");
    assert_eq!(unconfirmed.code, Some(2), "{}", unconfirmed.err);
    assert_eq!(standfast(&a.addr, "status").code, Some(0), "nothing has changed");

    a.signal(Signal::SIGKILL);
    b.until("alone", |s| s.upstream.as_ref().is_some_and(|u| u.lag.is_some_and(|l| l.entries.is_none())))
        .await;
    let alone = standfast(&b.addr, "status");
    assert_eq!(alone.code, Some(1));
    let cure = format!("standfast failover --to b --connect {}", b.addr);
    assert!(alone.out.contains(&cure), "{}", alone.out);
    let done = standfast(&b.addr, "failover --to b --yes --json --reason lost");
    assert_eq!(done.code, Some(0), "{}", done.err);
    let line = done.json();
    assert_eq!((&line["epoch"], &line["lost"]["entries"]), (&2.into(), &0.into()));
    assert!(line["phases"]["fence"].is_number(), "{line}");
    let status = b.status(false).await;
    let change = status.history.last().expect("a row");
    assert_eq!(change.reason, "lost");
    assert!(change.actor.contains('@'), "{}", change.actor);
}

#[tokio::test]
async fn detach_is_asked_of_the_primary_wherever_one_connects() {
    let (_a, b) = Node::pair("").await;
    let done = standfast(&b.addr, "detach b --yes --json");
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.json()["in_sync"], serde_json::json!(["a"]));
    let unknown = standfast(&b.addr, "detach zz --yes");
    assert_eq!(unknown.code, Some(1), "{}", unknown.err);
}

#[tokio::test]
async fn the_exit_code_tells_what_kind_of_no_it_is() {
    // Port 1 is privileged and nobody's.
    assert_eq!(standfast("127.0.0.1:1", "status").code, Some(3));
    assert_eq!(standfast("127.0.0.1:1", "failover --to b --yes").code, Some(3));
    assert_eq!(standfast("127.0.0.1:1", "detach b --yes").code, Some(3));
    assert_eq!(standfast("nowhere", "status").code, Some(2));
    assert_eq!(standfast("127.0.0.1:1", "demo --duration 1s").code, Some(2));
}

//! `standfast bench` against real nodes, with small counts.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::mooncake::{Client, exist, result_of};
use crate::node::{Node, PATIENCE};

/// Runs it; the exit code, the line on stdout and what was said on stderr.
async fn bench(flags: &str) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
    command.args(["bench", "--json", "--allow-busy"]).args(flags.split_whitespace()).stdin(Stdio::null());
    let run = tokio::time::timeout(PATIENCE, command.output()).await.expect("in time").expect("it runs");
    let (out, err) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr).into_owned());
    assert!(out.lines().count() <= 1, "one line: {out}");
    (run.status.code().expect("an exit code"), serde_json::from_str(&out).unwrap_or_default(), err)
}

#[tokio::test]
async fn every_call_over_either_protocol_and_nothing_stays() {
    let (a, b) = Node::pair("--mooncake 127.0.0.1:0").await;
    drop(Client::connect_when_served(&a.mooncake).await);
    for protocol in ["grpc", "mooncake"] {
        for op in ["put", "get", "exist", "mixed"] {
            let target =
                if protocol == "grpc" { a.addr.clone() } else { format!("{},status={}", a.mooncake, a.addr) };
            let flags = format!(
                "--protocol {protocol} --op {op} --target {target},name=ours --batch 50 --connections 3 --keys 700 \
                 --count 1001 --rounds 2"
            );
            let (exit, line, err) = bench(&flags).await;
            assert_eq!((exit, &line["verdict"]), (0, &"ok".into()), "{protocol} {op}: {line} {err}");
            let ours = &line["targets"][0];
            assert_eq!(
                (&ours["standbys"], &ours["ack"], &ours["wrong"]),
                (&1.into(), &"sync".into(), &0.into())
            );
            assert_eq!(
                (&ours["rounds"], &ours["pid"]),
                (&2.into(), &a.pid().into()),
                "{protocol} {op}: {line}"
            );
            assert!(ours["keys_per_s"]["median"].as_f64().is_some_and(|rate| rate > 0.0), "{line}");
            assert!(ours["drain_ms"]["median"].is_f64() && ours["batch_p99_ms"]["median"].is_f64(), "{line}");
            assert!(err.contains("ours: round 2 of 2"), "{err}");
        }
    }
    let (ours, theirs) = a.compared_with(&b).await;
    assert_eq!(ours.objects, 0, "the bench has removed what it put");
    assert_eq!((&ours.recount, &ours.digest), (&theirs.recount, &theirs.digest));
    assert_eq!(ours.digest, ours.recount);
}

#[tokio::test]
async fn two_masters_are_compared_with_the_same_keys() {
    let (a, b) = (Node::start("--node a --role primary"), Node::start("--node b --role primary"));
    let flags = format!(
        "--target {},name=ours --against {},name=theirs --rounds 3 --count 2000 --connections 1 --key-len 32",
        a.addr, b.addr
    );
    let (exit, line, err) = bench(&flags).await;
    assert_eq!((exit, line["targets"].as_array().map(Vec::len)), (0, Some(2)), "{line} {err}");
    let ratio = &line["ratios"][0];
    assert!(ratio["against"] == "theirs" && ratio["keys_per_s"].as_f64().is_some_and(|r| r > 0.0), "{line}");
    for node in [a, b] {
        // Start, end and removal of each key, and the same mounts on both.
        let all = |s: &standfast_proto::v1::NodeStatus| {
            s.log.as_ref().is_some_and(|log| log.appended_entries >= 3 * 3 * 2000)
        };
        node.until("three entries a key and round", all).await;
    }
}

#[tokio::test]
async fn a_round_may_last_a_time() {
    let a = Node::start("--node a --role primary");
    let (exit, line, err) =
        bench(&format!("--target {} --duration 300ms --op exist --keys 500", a.addr)).await;
    assert_eq!((exit, &line["verdict"]), (0, &"ok".into()), "{line} {err}");
    assert!(line["targets"][0]["keys_per_s"]["median"].as_f64().is_some_and(|rate| rate > 0.0), "{line}");
}

/// The answers are refusals: the figures of a run without right answers are nobody's.
#[tokio::test]
async fn a_master_that_may_not_answer_makes_a_bad_run() {
    let (a, b) = Node::pair("--mooncake 127.0.0.1:0").await;
    let mut client = Client::connect_when_served(&a.mooncake).await;
    let flags = format!(
        "--protocol mooncake --op exist --target {} --keys 64 --batch 64 --connections 1 --duration 6s",
        a.mooncake
    );
    let run = bench(&flags);
    let stop = async {
        // The bench is at work once its objects are there.
        a.until("objects", |s| s.store.as_ref().is_some_and(|store| store.objects == 64)).await;
        b.signal(nix::sys::signal::Signal::SIGSTOP);
    };
    let ((exit, line, err), ()) = tokio::join!(run, stop);
    assert_eq!((exit, &line["verdict"]), (1, &"bad".into()), "{line} {err}");
    let reasons = line["reasons"].to_string();
    assert!(reasons.contains("UNAVAILABLE_IN_CURRENT_STATUS"), "{reasons}");
    let answer = client.call(&exist(b"k")).await.expect("a result");
    assert!(result_of!(ExistKey, answer).is_err());
}

#[tokio::test]
async fn what_cannot_be_is_said_before_anything_is_done() {
    for (flags, exit, part) in [
        ("--batch 0", 2, "--batch is 0: expected 1 to 10000"),
        ("--key-len 31", 2, "--key-len is 31: expected 32 to 4096"),
        ("--target here", 2, "expected HOST:PORT"),
        ("--target 127.0.0.1:1 --against 127.0.0.1:1", 2, "two targets are called `127.0.0.1:1`"),
        ("--value-bytes 1000000000", 2, "are too much"),
        ("--count 5 --duration 1s", 2, "cannot be used with"),
        ("--protocol mooncake --target 127.0.0.1:1", 3, "127.0.0.1:1: "),
    ] {
        let (code, line, err) = bench(flags).await;
        assert_eq!((code, line), (exit, Value::Null), "{flags}: {err}");
        assert!(err.contains(part), "{flags}: {err}");
    }
}

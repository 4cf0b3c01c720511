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

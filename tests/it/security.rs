//! Who may give orders and follow: a token, certificates, and what is written down of it.

use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::Method;
use standfast_proto::v1;

use crate::certificates::Files;
use crate::coordinator::{Server as _, Witness};
use crate::leadership::{CLUSTER, in_sync, leads};
use crate::node::{Node, PATIENCE};
use crate::scrape::scrape;

const TOKEN: &str = "0123456789abcdef-of-this-cluster";

/// Exit code, the line of JSON, and what was said on stderr.
pub(crate) fn cli(connect: &str, args: &str) -> (Option<i32>, serde_json::Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_standfast"))
        .args(args.split_whitespace())
        .env("STANDFAST_CONNECT", connect)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let line = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), line, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Asks the command line until it sees a pair in sync.
async fn until_in_sync(connect: &str, access: &str) -> serde_json::Value {
    let watch = async {
        let mut again = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            again.tick().await;
            let (_, line, _) = cli(connect, &format!("topology --json {access}"));
            if line["in_sync"].as_array().is_some_and(|members| members.len() == 2) {
                return line;
            }
        }
    };
    tokio::time::timeout(PATIENCE, watch).await.expect("a pair in sync")
}

/// Lines of the audit in a log, as JSON.
fn audited(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).expect("a log");
    text.lines().filter(|line| line.contains("\"audit\"")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_peers_need_the_token_and_every_order_is_written_down() {
    let files = Files::new();
    let (right, wrong) =
        (files.write("token", TOKEN), files.write("wrong", "0123456789abcdef-of-another-one"));
    let (right, wrong) = (right.display(), wrong.display());
    let witness = Witness::start();
    let base = format!("--cluster {CLUSTER} --coordinator {} --log-format json", witness.url());
    let (log_a, log_b) = (files.at("a.log"), files.at("b.log"));
    let a = Node::start_logged(&log_a, &format!("--node a {base} --operator-token-file {right}"));
    a.until("it leads", leads).await;
    let stranger = Node::start(&format!("--node c {base}"));
    let left_out = |s: &v1::NodeStatus| {
        let why = s.upstream.as_ref().and_then(|u| u.reason.clone());
        why.is_some_and(|why| why.contains("no token was shown"))
    };
    stranger.until("a node without the token does not follow", left_out).await;
    let b = Node::start_logged(&log_b, &format!("--node b {base} --operator-token-file {right}"));
    b.until("one with it does", in_sync).await;
    for (flag, why) in
        [(String::new(), "no token was shown"), (format!("--token-file {wrong}"), "the token is not")]
    {
        let (code, line, _) = cli(&a.addr, &format!("switchover --to b --yes --json --reason r {flag}"));
        assert_eq!((code, &line["accepted"]), (Some(1), &false.into()), "{line}");
        let text = line["reasons"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(why), "{line}");
        assert!(line["reasons"][0]["cure"].as_str().is_some_and(|c| c.contains("--token-file")), "{line}");
    }
    let order = format!("switchover --to b --yes --json --reason firmware --token-file {right}");
    let (code, line, said) = cli(&a.addr, &order);
    assert_eq!((code, &line["accepted"]), (Some(0), &true.into()), "{line} {said}");
    let lines = audited(&log_a);
    let has = |parts: &[&str]| lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["switchover", "refused: no token", "127.0.0.1:", "trace_id"]), "{lines:#?}");
    assert!(has(&["switchover", "accepted", "firmware", "\"proof\":\"token\"", "@"]), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains(TOKEN)), "no secret in the log");
    let (code, _, said) = cli(&a.addr, "status --token-file /nowhere/token");
    assert!(code == Some(2) && said.contains("cannot read /nowhere/token"), "{code:?} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_over_http_need_the_token_and_questions_do_not() {
    let files = Files::new();
    let (token, log) = (files.write("token", TOKEN), files.at("a.log"));
    let flags =
        format!("--node a --role primary --log-format json --operator-token-file {}", token.display());
    let a = Node::start_logged(&log, &flags);
    let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
    let order = |method: Method, path: &str, token: Option<&str>| {
        let order = client.request(method, format!("http://{}{path}", a.http)).body("debug");
        match token {
            Some(token) => order.bearer_auth(token),
            None => order,
        }
    };
    let ask = client.get(format!("http://{}/loglevel", a.http));
    assert_eq!(ask.send().await.expect("an answer").status(), 200, "a question");
    for (method, path) in [(Method::PUT, "/loglevel"), (Method::POST, "/api/v1/remove_all?force=true")] {
        for (shown, why) in [(None, "no token was shown"), (Some("0123456789abcdef-x"), "the token is not")] {
            let refused = order(method.clone(), path, shown).send().await.expect("an answer");
            assert_eq!(refused.status(), 401, "{path}");
            let said = refused.text().await.expect("text");
            assert!(said.contains(why) && said.contains("Authorization: Bearer"), "{path}: {said}");
        }
        let done = order(method, path, Some(TOKEN)).send().await.expect("an answer");
        assert_eq!(done.status(), 200, "{path}");
    }
    let lines = audited(&log);
    let has = |parts: &[&str]| lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["POST /api/v1/remove_all", "refused: no token", "127.0.0.1:"]), "{lines:#?}");
    assert!(has(&["PUT /loglevel", "answered with 200", "\"proof\":\"token\""]), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains(TOKEN)), "no secret in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_authority_is_as_good_and_another_one_is_refused() {
    let files = Files::new();
    let (ours, others) = (files.authority("ca"), files.authority("other"));
    files.certificate("node", &ours, 2100);
    files.certificate("operator", &ours, 2100);
    files.certificate("stranger", &others, 2100);
    files.certificate("old", &ours, 2001);
    let at = |name: &str| files.path(name);
    let witness = Witness::start();
    let tls = |name: &str| {
        let (cert, key) = (at(&format!("{name}.pem")), at(&format!("{name}.key")));
        format!("--tls-cert {cert} --tls-key {key} --tls-ca {}", at("ca.pem"))
    };
    let base = format!("--cluster {CLUSTER} --coordinator {}", witness.url());
    let a = Node::start(&format!("--node a {base} {}", tls("node")));
    let b = Node::start(&format!("--node b {base} {}", tls("node")));
    let ca = format!("--ca {}", at("ca.pem"));
    let shows = |name: &str| {
        format!("{ca} --cert {} --key {}", at(&format!("{name}.pem")), at(&format!("{name}.key")))
    };
    let both = format!("{},{}", a.addr, b.addr);
    let map = until_in_sync(&both, &ca).await;
    let to = if map["primary"] == "a" { "b" } else { "a" };
    let order = |access: &str| cli(&both, &format!("switchover --to {to} --yes --json --reason r {access}"));
    let (code, line, _) = order(&ca);
    assert_eq!(code, Some(1), "{line}");
    assert!(
        line["reasons"][0]["text"].as_str().is_some_and(|t| t.contains("no certificate was shown")),
        "{line}"
    );
    // Who is signed by somebody else does not even get a connection.
    let (code, line, said) = order(&shows("stranger"));
    assert!(code.is_some_and(|c| c != 0), "{line} {said}");
    let (code, line, said) = order(&shows("operator"));
    assert_eq!((code, &line["accepted"]), (Some(0), &true.into()), "{line} {said}");
    // A node that is not believed, and one that is not dialled over TLS.
    let (code, line, said) = cli(&both, &format!("topology --json --ca {}", at("other.pem")));
    assert_eq!(code, Some(3), "{line}");
    assert!(said.contains("invalid peer certificate"), "{said}");
    assert_eq!(cli(&both, "topology --json").0, Some(3), "not over TLS");
    let until = scrape(&a).await.value("standfast_tls_certificate_not_after_timestamp_seconds");
    assert_eq!(until, Some(4_102_444_800.0), "the beginning of 2100");
    // One that has ended is found, by the node itself and by whoever dials it.
    let old = Node::start(&format!("--node c --role primary {} --cluster old", tls("old")));
    let (code, line, said) = cli(&old.addr, &format!("topology --json {ca}"));
    assert_eq!(code, Some(3));
    assert!(said.contains("xpired"), "{line} {said}");
    let (code, line, said) = cli(&both, "status --json --cert x.pem");
    assert!(code == Some(2) && said.contains("--cert and --key go together"), "{line} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_open_to_everybody_is_said_at_start_and_in_the_status() {
    let files = Files::new();
    let open = Node::start_at("0.0.0.0:0", "--node a --role primary");
    let status = open.status(false).await;
    let codes: Vec<_> = status.findings.iter().map(|f| &*f.code).collect();
    assert_eq!(codes, ["port_open"]);
    assert_eq!(scrape(&open).await.value("standfast_port_open"), Some(1.0));
    let token = files.write("token", TOKEN);
    let flags = format!("--node a --role primary --operator-token-file {}", token.display());
    let guarded = Node::start_at("0.0.0.0:0", &flags);
    assert!(guarded.status(false).await.findings.is_empty());
    let local = Node::start("--node a --role primary");
    assert!(local.status(false).await.findings.is_empty());
    for (flags, part) in [
        ("--operator-token-file /nowhere/token", "cannot read /nowhere/token"),
        ("--tls-cert /nowhere/cert --tls-key /nowhere/key", "cannot read /nowhere/cert"),
        ("--tls-cert x", "--tls-key"),
        ("--tls-ca x", "--tls-cert"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_standfast"))
            .args(["serve", "--node", "a", "--role", "primary", "--grpc", "127.0.0.1:0"])
            .args(flags.split_whitespace())
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(part), "{flags}: {said}");
    }
    let short = files.write("short", "secret");
    let (code, _, said) = cli(&local.addr, &format!("status --token-file {}", short.display()));
    assert!(code == Some(2) && said.contains("at least 16 visible ASCII characters"), "{said}");
}

/// Asks the command line, as somebody who believes `ca`, until its line is as wanted.
async fn until_line(connect: &str, words: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    let mut last = serde_json::Value::Null;
    let watch = async {
        let mut again = tokio::time::interval(std::time::Duration::from_millis(200));
        while !wanted(&last) {
            again.tick().await;
            last = cli(connect, words).1;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, watch).await;
    assert!(seen.is_ok(), "{words}: {last}");
}

/// A whole new authority, on a pair that goes on; then files that do not do.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_while_the_nodes_run_and_damaged_ones_are_not() {
    let files = Files::new();
    let (ours, others) = (files.authority("ca"), files.authority("other"));
    files.certificate("node", &ours, 2100);
    let tls = ["cert", "key", "ca"].map(|flag| {
        let name = if flag == "ca" { "ca" } else { "node" };
        let suffix = if flag == "key" { "key" } else { "pem" };
        format!("--tls-{flag} {}", files.path(&format!("{name}.{suffix}")))
    });
    let witness = Witness::start();
    let base = format!("--cluster {CLUSTER} --coordinator {} {}", witness.url(), tls.join(" "));
    let (a, b) = (Node::start(&format!("--node a {base}")), Node::start(&format!("--node b {base}")));
    let both = format!("{},{}", a.addr, b.addr);
    until_in_sync(&both, &format!("--ca {}", files.path("ca.pem"))).await;
    // Both authorities are believed, then certificates of the new one are shown.
    let believed = |name: &str| std::fs::read_to_string(files.at(name)).expect("there");
    let old = believed("ca.pem");
    files.write("ca.pem", &(old.clone() + &believed("other.pem")));
    files.certificate("node", &others, 2090);
    let ca = format!("--ca {}", files.path("other.pem"));
    for node in [&a, &b] {
        let both_there = |line: &serde_json::Value| line["in_sync"].as_array().is_some_and(|m| m.len() == 2);
        until_line(&node.addr, &format!("topology --json {ca}"), both_there).await;
    }
    until_in_sync(&both, &ca).await;
    let until = scrape(&a).await.value("standfast_tls_certificate_not_after_timestamp_seconds");
    assert_eq!(until, Some(3_786_912_000.0), "the beginning of 2090");
    // A key of another certificate, one that has ended, no certificate at all.
    let status = format!("status --json {ca}");
    let refused = |line: &serde_json::Value| line.to_string().contains("certificate_refused");
    let (certificate, key) = (believed("node.pem"), believed("node.key"));
    files.certificate("stranger", &ours, 2100);
    files.certificate("ended", &others, 2001);
    for (new, its_key) in [
        (certificate.clone(), believed("stranger.key")),
        (believed("ended.pem"), believed("ended.key")),
        ("nothing".to_owned(), key.clone()),
    ] {
        files.write("node.pem", &new);
        files.write("node.key", &its_key);
        until_line(&both, &status, refused).await;
        files.write("node.pem", &certificate);
        files.write("node.key", &key);
        until_line(&both, &status, |line| line.is_object() && !refused(line)).await;
    }
}

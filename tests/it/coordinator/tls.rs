//! Coordinators over TLS: the same conformance, and what is said of certificates that do not do.

use std::process::Command;

use standfast::ports::Coordinator as _;
use standfast_proto::access::SharedAccess;

use super::*;
use crate::certificates::Files;
use crate::leadership::{CLUSTER, in_sync, leads};
use crate::node::{Node, PATIENCE};
use crate::security::cli;

/// An authority `ca` with certificates `server`, `node`, and `old`, which has ended; and `stranger` of `other`.
fn files() -> Files {
    let files = Files::new();
    let (ours, others) = (files.authority("ca"), files.authority("other"));
    for (name, until) in [("server", 2100), ("node", 2100), ("old", 2001)] {
        files.certificate(name, &ours, until);
    }
    files.certificate("stranger", &others, 2100);
    files
}

fn witness_flags(files: &Files, name: &str) -> String {
    let at = |suffix: &str| files.path(&format!("{name}.{suffix}"));
    format!("--tls-cert {} --tls-key {} --tls-ca {}", at("pem"), at("key"), files.path("ca.pem"))
}

/// Etcd that shows `server`, and wants to see a certificate of `ca`.
async fn etcd(files: &Files) -> Option<Etcd> {
    let flags = format!(
        "--cert-file {} --key-file {} --trusted-ca-file {} --client-cert-auth",
        files.path("server.pem"),
        files.path("server.key"),
        files.path("ca.pem")
    );
    Etcd::start_tls_or_skip(&flags, files.access("ca", Some("node"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_conforms_over_tls() {
    let files = files();
    let witness = Witness::start_with(&witness_flags(&files, "server"));
    let access = files.access("ca", Some("node"));
    conformance!(|cluster| connect_as(access.clone(), cluster, &[&witness.address], CALL_DEADLINE));
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_conforms_over_tls() {
    let files = files();
    let Some(etcd) = etcd(&files).await else { return };
    let access = files.access("ca", Some("node"));
    conformance!(|cluster| connect_as(access.clone(), cluster, &[&etcd.address], CALL_DEADLINE));
}

async fn refusal(address: &str, access: SharedAccess) -> String {
    let coordinator = connect_as(access, CLUSTER, &[address], CALL_DEADLINE);
    coordinator.read().await.expect_err("it is not to be spoken to").to_string()
}

/// Certificates that do not do, and what is said of each.
async fn refuses_by_name(files: &Files, address: &str) {
    for (access, part) in [
        (files.access("other", Some("node")), "is not believed: see --coordinator-ca"),
        (files.access("ca", None), "see --coordinator-cert"),
        (files.access("ca", Some("stranger")), "see --coordinator-cert"),
        (files.access("ca", Some("old")), "see --coordinator-cert"),
    ] {
        let said = refusal(address, access).await;
        assert!(said.contains(part) && said.contains(address), "{said}");
    }
    let plain = refusal(address, SharedAccess::default()).await;
    assert!(plain.contains(address), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_is_believed_and_believes_by_the_authority() {
    let files = files();
    let witness = Witness::start_with(&witness_flags(&files, "server"));
    refuses_by_name(&files, &witness.address).await;
    let access = files.access("ca", Some("node"));
    let old = Witness::start_with(&witness_flags(&files, "old"));
    let said = refusal(&old.address, access.clone()).await;
    assert!(said.contains("xpired") && said.contains("see --coordinator-ca"), "{said}");
    let open = Witness::start();
    let said = refusal(&open.address, access).await;
    assert!(said.contains("it speaks no TLS: see --coordinator"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_believed_and_believes_by_the_authority() {
    let files = files();
    let Some(etcd) = etcd(&files).await else { return };
    refuses_by_name(&files, &etcd.address).await;
}

/// Certificates of the nodes serve for the coordinator too, unless it has its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_is_led_over_tls_by_a_witness_and_by_etcd() {
    let files = files();
    let own = witness_flags(&files, "node");
    let witness = Witness::start_with(&witness_flags(&files, "server"));
    let of_nodes = format!("--coordinator witness+tls://{} {own}", witness.address);
    let Some(etcd) = etcd(&files).await else { return };
    let its_own = format!(
        "--coordinator etcd+tls://{} --coordinator-ca {} --coordinator-cert {} --coordinator-key {}",
        etcd.address,
        files.path("ca.pem"),
        files.path("node.pem"),
        files.path("node.key")
    );
    let a = Node::start(&format!("--node a --cluster {CLUSTER} {its_own}"));
    a.until("it leads", leads).await;
    let b = Node::start(&format!("--node b --cluster {CLUSTER} {its_own}"));
    b.until("it follows", in_sync).await;
    let c = Node::start(&format!("--node c --cluster {CLUSTER} {of_nodes}"));
    let leads = async {
        let mut again = tokio::time::interval(Duration::from_millis(100));
        while cli(&c.addr, &format!("topology --json --ca {}", files.path("ca.pem"))).1["primary"] != "c" {
            again.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, leads).await.expect("it leads by the witness's word");
}

/// An unchanged stock line: etcd's authority is one of the system's.
#[tokio::test(flavor = "multi_thread")]
async fn a_stock_line_with_https_is_led_by_etcd_over_tls() {
    let files = files();
    let shown = format!("--cert-file {} --key-file {}", files.path("server.pem"), files.path("server.key"));
    let Some(etcd) = Etcd::start_tls_or_skip(&shown, files.access("ca", None)).await else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
    command.env("SSL_CERT_FILE", files.at("ca.pem")).env_remove("SSL_CERT_DIR");
    command.arg("mooncake-master").args([
        "--enable_ha=true",
        &format!("--etcd_endpoints=https://{}", etcd.address),
        "--rpc_address=127.0.0.1",
        "--rpc_port=0",
        "--standfast_port=0",
        "--metrics_port=0",
        "--metrics_host=127.0.0.1",
    ]);
    let a = Node::start_words(command);
    a.until("it leads", leads).await;
}

#[test]
fn flags_of_tls_without_it_are_refused_at_start() {
    let serve = "serve --node a --coordinator";
    for (words, part) in [
        (
            format!("{serve} etcd://127.0.0.1:1 --coordinator-ca f"),
            "--coordinator-ca is f: expected a --coordinator over TLS",
        ),
        (format!("{serve} etcd+tls://127.0.0.1:1 --coordinator-ca /nowhere/ca"), "cannot read /nowhere/ca"),
        (format!("{serve} etcd+tls://127.0.0.1:1 --coordinator-cert f"), "--coordinator-key"),
        ("witness --file f --tls-ca f".to_owned(), "--tls-cert"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_standfast"))
            .args(words.split_whitespace())
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{words}: {said}");
    }
}

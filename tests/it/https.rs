//! What nodes and commands send to others goes over TLS where the address says so.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use standfast_proto::v1;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tonic::transport::Identity;

use crate::collector::Collector;
use crate::logs::{lines, receive};
use crate::node::{CLIENT, Node, PATIENCE, segment};
use crate::scrape::until;

/// A certificate for this machine, and a file that names it as trusted.
struct Certificate {
    made: CertifiedKey<KeyPair>,
    file: PathBuf,
    _folder: TempDir,
}

impl Certificate {
    fn new() -> Self {
        let made = generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("trusted.pem");
        std::fs::write(&file, made.cert.pem()).expect("a file");
        Self { made, file, _folder: folder }
    }

    fn identity(&self) -> Identity {
        Identity::from_pem(self.made.cert.pem(), self.made.signing_key.serialize_pem())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![self.made.cert.der().clone()], key).expect("they fit");
        TlsAcceptor::from(Arc::new(config))
    }

    /// A lonely primary that trusts it, and nobody else.
    fn node(&self, log: Option<&std::path::Path>, flags: &str) -> Node {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        command.env("SSL_CERT_FILE", &self.file).env_remove("SSL_CERT_DIR");
        command.args([
            "serve",
            "--grpc",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--node",
            "a",
            "--role",
            "primary",
        ]);
        command.args(flags.split_whitespace());
        match log {
            Some(log) => Node::start_logged_as(log, command),
            None => Node::start_words(command),
        }
    }
}

#[tokio::test]
async fn a_webhook_and_spans_go_over_tls() {
    let ours = Certificate::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let collector = Collector::start_tls(ours.identity()).await;
    let hook = format!("https://{}/hook", listener.local_addr().expect("an address"));
    let a = ours.node(None, &format!("--webhook {hook} --otlp {} --trace-sample always", collector.url));
    let told = async {
        let (socket, _) = listener.accept().await.expect("a connection");
        receive(ours.acceptor().accept(socket).await.expect("a handshake")).await
    };
    let body = tokio::time::timeout(PATIENCE, told).await.expect("in time");
    assert_eq!((&body["event"], &body["schema"]), (&"role_change".into(), &1.into()), "{body}");
    a.master().await.mount_segment(segment(1, 1 << 20)).await.expect("mounted");
    let there = |spans: &[(String, Span)]| spans.iter().any(|(_, s)| s.name == "standfast.mount_segment");
    collector.until("the mount", there).await;
}

/// A certificate that nobody vouches for is refused, counted, and named in the log; the node goes on.
#[tokio::test]
async fn whom_nobody_vouches_for_is_told_nothing() {
    let (ours, foreign) = (Certificate::new(), Certificate::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hook = format!("https://{}/hook", listener.local_addr().expect("an address"));
    let acceptor = foreign.acceptor();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let refused = acceptor.accept(socket).await.map(|_| ()).expect_err("no handshake");
            assert!(refused.to_string().to_lowercase().contains("certificate"), "{refused}");
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let collector = Collector::start_tls(foreign.identity()).await;
    let flags = format!("--log-format json --webhook {hook} --otlp {} --trace-sample always", collector.url);
    let a = ours.node(Some(&log), &flags);
    let mut master = a.master().await;
    // It may not have the right to answer yet.
    while let Err(status) = master.mount_segment(segment(1, 1 << 20)).await {
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    }
    for lost in
        ["standfast_notifications_total{result=\"failed\"}", "standfast_spans_dropped_total{why=\"refused\"}"]
    {
        until(&a, lost, |s| s.value(lost) > Some(0.0)).await;
    }
    // A handshake that takes too long is refused for that; a later one says why.
    let told = async {
        loop {
            let said: Vec<String> = lines(&log).iter().map(ToString::to_string).collect();
            let says =
                |what: &str| said.iter().any(|line| line.contains(what) && line.contains("ertificate"));
            if says("the webhook was not taken") && says("the collector did not take spans") {
                return;
            }
            master.ping(v1::PingRequest { client: Some(CLIENT) }).await.expect("it goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the log names the certificate");
}

#[test]
fn health_is_asked_without_curl() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let a = Node::start("--node a --role primary");
    runtime.block_on(until(&a, "it leads", |s| s.value("standfast_may_answer") == Some(1.0)));
    let ask = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standfast"));
        let output = command.arg("health").args(words).output().expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, said, _) = ask(&["primary", "--http", &a.http]);
    assert_eq!((code, &*said), (Some(0), "primary in epoch 1\n"));
    let (code, said, _) = ask(&["standby", "--http", &a.http, "--json", "--max-lag", "500ms"]);
    let line: serde_json::Value = serde_json::from_str(&said).expect("a line of JSON");
    assert_eq!((code, &line["ok"], &line["schema"]), (Some(1), &false.into(), &1.into()), "{said}");
    for (words, expected, why) in [
        (&["livez", "--http", "127.0.0.1:1"][..], 3, "no answer from http://127.0.0.1:1/livez"),
        (&["standby", "--http", &a.http, "--max-lag", "much"], 2, "`much`"),
        (&["livez", "--max-lag", "5"], 2, "--max-lag is about a standby"),
    ] {
        let (code, _, told) = ask(words);
        assert!(code == Some(expected) && told.contains(why), "{words:?}: {code:?} {told}");
    }
}

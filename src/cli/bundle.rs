//! `standfast support-bundle`: what every node tells, in one archive, for whoever helps from afar.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use standfast_proto::v1::recorder_client::RecorderClient;
use standfast_proto::v1::{GetTraceRequest, NodeStatus};

use super::ClientArgs;
use super::client;
use super::exit::{Exit, Failure};
use super::status::survey;
use super::text;
use crate::telemetry;

const AFTER_HELP: &str = "\
Examples:
  standfast support-bundle
  standfast support-bundle --out /tmp/bundle.tar.gz --json

The archive has a folder for each node that answers: its status, its metrics,
what its probes say and the path of its newest writes. Keys are left out; names
of nodes, segments and hosts are not. Exit code 1 when something is missing.";

/// For one page over HTTP.
const PAGE_LIMIT: Duration = Duration::from_secs(5);
/// Newest writes whose stages are taken in.
const WRITES: u64 = 100;

/// Flags of `standfast support-bundle`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BundleArgs {
    /// File to write [default: standfast-support-CLUSTER-UNIXTIME.tar.gz]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// One file of the archive.
struct Part {
    name: String,
    content: String,
}

/// Asks every node that is found and writes the archive.
pub(crate) async fn run(client: &ClientArgs, args: &BundleArgs) -> Result<Exit, Failure> {
    let found = survey(&client.connect, false).await;
    let (mut parts, mut missing, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    let mut out = args.out.clone();
    for (seen, status) in found.answered() {
        let name = seen.name().to_owned();
        let default = || PathBuf::from(default_name(status));
        out.get_or_insert_with(default);
        node(&name, &seen.addr, status, &mut parts, &mut missing).await;
        nodes.push(name);
    }
    for silent in found.nodes.iter().filter(|seen| seen.status().is_none()) {
        missing.push(format!("{}: does not answer", silent.addr));
    }
    let Some(out) = out.filter(|_| !nodes.is_empty()) else {
        let asked = client.connect.join(", ");
        return Err(Failure::new(Exit::Unreachable, format!("no node answers at {asked}")));
    };
    let about =
        json!({ "schema": 1, "version": env!("CARGO_PKG_VERSION"), "nodes": nodes, "missing": missing });
    parts.push(Part { name: "about.json".into(), content: format!("{about}\n") });
    write(&out, &parts).map_err(|e| Failure::new(Exit::Bad, format!("{e:#}")))?;
    let file = out.display().to_string();
    let lines = if client.json {
        vec![json!({ "schema": 1, "file": file, "nodes": nodes, "missing": missing }).to_string()]
    } else {
        missing.iter().map(|m| format!("missing: {m}")).chain([file]).collect()
    };
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&lines));
    Ok(if missing.is_empty() { Exit::Ok } else { Exit::Bad })
}

fn default_name(status: &NodeStatus) -> String {
    let cluster = status.identity.as_ref().map_or("cluster", |i| &*i.cluster);
    let seconds = status.taken.as_ref().map_or(0, |t| t.unix_us / 1_000_000);
    format!("standfast-support-{cluster}-{seconds}.tar.gz")
}

async fn node(name: &str, addr: &str, status: &NodeStatus, parts: &mut Vec<Part>, missing: &mut Vec<String>) {
    let mut add = |file: &str, content: Result<String, String>| match content {
        Ok(content) => parts.push(Part { name: format!("nodes/{name}/{file}"), content }),
        Err(why) => missing.push(format!("{name}/{file}: {why}")),
    };
    add(
        "status.json",
        telemetry::to_json(&without_keys(status)).map(|v| format!("{v}\n")).map_err(|e| e.to_string()),
    );
    add("writes.json", newest_writes(addr, status).await);
    let http = status.identity.as_ref().and_then(|i| i.http_addr.clone());
    for (file, path) in [("metrics.txt", "/metrics"), ("readyz.txt", "/readyz"), ("primary.txt", "/primary")]
    {
        add(
            file,
            match &http {
                Some(http) => page(http, path).await,
                None => Err("it serves no HTTP".to_owned()),
            },
        );
    }
}

/// Happenings whose sentences name keys.
const NAME_KEYS: &[&str] = &["quarantined", "verify_mismatch", "diverged"];

/// What is quarantined or differs is told without naming whose it is.
fn without_keys(status: &NodeStatus) -> NodeStatus {
    let mut status = status.clone();
    status.quarantine.iter_mut().flat_map(|q| &mut q.entries).for_each(|entry| entry.key = None);
    for mismatch in status.verification.iter_mut().flat_map(|v| &mut v.recent) {
        mismatch.key = None;
        mismatch.text.clear();
    }
    status.events.iter_mut().filter(|e| NAME_KEYS.contains(&&*e.code)).for_each(|e| e.text.clear());
    status
}

async fn newest_writes(addr: &str, status: &NodeStatus) -> Result<String, String> {
    let tail = status.positions.as_ref().map_or(1, |p| p.tail);
    let mut recorder = RecorderClient::new(client::open(addr, client::CONNECT_LIMIT).await?);
    let mut writes: Vec<Value> = Vec::new();
    for seq in tail.saturating_sub(WRITES).max(1)..tail {
        let asked = client::within(client::STATUS_LIMIT, recorder.get_trace(GetTraceRequest { seq })).await;
        let mut write = asked.map_err(|status| status.message().to_owned())?;
        write.key = None;
        writes.push(telemetry::trace_to_json(&write).map_err(|e| e.to_string())?);
    }
    Ok(format!("{}\n", json!({ "schema": 1, "writes": writes })))
}

/// A page with its status, whatever that is.
async fn page(http: &str, path: &str) -> Result<String, String> {
    let ask = async {
        let url = format!("http://{http}{path}");
        let answer = telemetry::http_client(&url, PAGE_LIMIT)?.get(url).send().await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>((status, answer.text().await?))
    };
    let (status, text) = ask.await.map_err(|e| e.to_string())?;
    Ok(if status.is_success() { text } else { format!("{status}\n{text}") })
}

fn write(out: &PathBuf, parts: &[Part]) -> anyhow::Result<()> {
    let file = File::create_new(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for part in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(part.content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(
            &mut header,
            format!("standfast-support/{}", part.name),
            part.content.as_bytes(),
        )?;
    }
    archive.into_inner()?.finish()?.sync_all()?;
    Ok(())
}

//! Debian's Prometheus as a process, and its API.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use standfast::monitoring::{Settings, rules};
use standfast::telemetry::http_client;

use crate::node::PATIENCE;

/// Without these programs says so and lets the test pass; where nobody reads the output, that must not pass for
/// a check.
pub(crate) fn present(programs: &[&str]) -> bool {
    for program in programs {
        let probe =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if probe.is_err() {
            let why = format!("skipped: {program} is not installed; cure: cargo xtask setup");
            assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{why}");
            eprintln!("{why}");
            return false;
        }
    }
    true
}

/// One that scrapes whoever is in its list, with our rules.
pub(crate) struct Prometheus {
    child: Child,
    url: Url,
    folder: tempfile::TempDir,
    client: reqwest::Client,
}

/// A node to scrape: cluster, instance, address.
pub(crate) type Target = (&'static str, &'static str, String);

impl Prometheus {
    /// With these settings, and nobody to scrape.
    pub(crate) async fn start(settings: &Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("alerts.yaml"), rules::alerts_yaml(settings)).expect("a file");
        std::fs::write(path("recording.yaml"), rules::recording_yaml(settings)).expect("a file");
        std::fs::write(path("targets.json"), "[]").expect("a file");
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: [recording.yaml, alerts.yaml]\nscrape_configs:\n  - job_name: {}\n    \
             file_sd_configs: [{{files: [targets.json], refresh_interval: 1s}}]\n",
            settings.job
        );
        std::fs::write(path("prometheus.yaml"), config).expect("a file");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", path("prometheus.yaml").display()));
        command.arg(format!("--storage.tsdb.path={}", path("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("prometheus starts");
        let address = format!("http://127.0.0.1:{port}");
        let url = address.parse().expect("a URL");
        let client = http_client(&address, PATIENCE).expect("a client");
        let prometheus = Self { child, url, folder, client };
        prometheus.until("prometheus is ready", || prometheus.is_ready()).await;
        prometheus
    }

    async fn is_ready(&self) -> bool {
        let ready = self.url.join("/-/ready").expect("a URL");
        self.client.get(ready).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Scrapes these from now on.
    pub(crate) fn scrape(&self, targets: &[Target]) {
        let mut list = String::from("[");
        for (cluster, instance, address) in targets {
            let comma = if list.len() > 1 { "," } else { "" };
            let labels = format!("{{\"cluster\":\"{cluster}\",\"instance\":\"{instance}\"}}");
            let _ = write!(list, "{comma}{{\"targets\":[\"{address}\"],\"labels\":{labels}}}");
        }
        list.push(']');
        // Replaced at once: it must not be read half written.
        let file = self.folder.path().join("targets.json");
        let fresh = Path::new(&file).with_extension("new");
        std::fs::write(&fresh, list).and_then(|()| std::fs::rename(&fresh, &file)).expect("a file");
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let mut url = self.url.join(path).expect("a URL");
        url.query_pairs_mut().extend_pairs(query);
        let text = self.client.get(url).send().await.expect("answered").text().await.expect("a body");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["status"], "success", "{query:?}: {text}");
        answer["data"].clone()
    }

    /// The series that an expression has now.
    pub(crate) async fn query(&self, expr: &str) -> Vec<Value> {
        let data = self.get("/api/v1/query", &[("query", expr)]).await;
        data["result"].as_array().cloned().unwrap_or_default()
    }

    /// Alerts with their annotations.
    pub(crate) async fn alerts(&self) -> Vec<Value> {
        self.get("/api/v1/alerts", &[]).await["alerts"].as_array().cloned().expect("a list")
    }

    /// Waits until an expression has so many series.
    pub(crate) async fn until_series(&self, expr: &str, count: usize) {
        self.until(expr, || async { self.query(expr).await.len() >= count }).await;
    }

    async fn until<F: Future<Output = bool>>(&self, what: &str, is_so: impl Fn() -> F) {
        let watch = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        // Generous: everything else of the test runs beside it.
        let watched = tokio::time::timeout(3 * PATIENCE, watch).await;
        watched.map_err(|_| format!("never: {what}")).expect("in time");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! `standfast dashboards`: writes dashboards and rules as files, or pushes the dashboards to Grafana.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::{Client, Url};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::text;
use crate::monitoring::board::Form;
use crate::monitoring::{Settings, boards, files};
use crate::outbound::root_cause;
use crate::telemetry::http_client;

/// For one answer of Grafana.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "\
Examples:
  standfast dashboards write ./dashboards --set lag=10s --set job=kv
  GRAFANA_TOKEN=... standfast dashboards push --grafana http://grafana:3000
The README.md that is written lists every setting with its reason.";

/// Flags of `standfast dashboards`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DashboardsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Write dashboards, alerts, recording rules and their tests
    Write {
        /// The folder; made when it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        #[command(flatten)]
        settings: Set,
    },
    /// Create or update the dashboards in Grafana
    Push {
        /// Grafana's address
        #[arg(long, value_name = "URL")]
        grafana: Url,
        /// Environment variable that holds a service account's token
        #[arg(long, value_name = "NAME", default_value = "GRAFANA_TOKEN")]
        token_env: String,
        /// Uid of the folder that they go into; General unless given
        #[arg(long, value_name = "UID")]
        folder: Option<String>,
        #[command(flatten)]
        settings: Set,
    },
}

#[derive(Debug, Clone, Args)]
struct Set {
    /// Change a threshold or an address
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Set {
    fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        for given in &self.set {
            settings.set(given).map_err(|bad| Failure::new(Exit::Usage, bad.to_string()))?;
        }
        Ok(settings)
    }
}

/// Does what was asked and says what came of it.
pub(crate) async fn run(is_json: bool, args: &DashboardsArgs) -> Result<Exit, Failure> {
    let done = match &args.what {
        What::Write { folder, settings } => write(folder, &settings.settings()?)?,
        What::Push { grafana, token_env, folder, settings } => {
            let target = Target::new(grafana, std::env::var(token_env).ok(), folder.clone())?;
            push(&target, &settings.settings()?).await?
        }
    };
    let lines = if is_json {
        vec![json!({"schema": 1, "files": done}).to_string()]
    } else {
        done.iter()
            .map(|d| [d["name"].as_str(), d["result"].as_str()].map(Option::unwrap_or_default).join("  "))
            .collect()
    };
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&lines));
    Ok(Exit::Ok)
}

/// Writes every file; those that are the same already are left alone.
fn write(folder: &Path, settings: &Settings) -> Result<Vec<Value>, Failure> {
    let mut done = Vec::new();
    for (path, text) in files(settings) {
        let target = folder.join(&path);
        let is_same = std::fs::read_to_string(&target).is_ok_and(|present| present == text);
        if !is_same {
            let made = target.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::write(&target, text)).map_err(|error| {
                Failure::new(Exit::Bad, format!("cannot write {}: {error}", target.display()))
            })?;
        }
        done.push(json!({"name": path, "result": if is_same { "unchanged" } else { "written" }}));
    }
    Ok(done)
}

/// A Grafana.
struct Target {
    client: Client,
    url: Url,
    token: Option<String>,
    folder: Option<String>,
}

impl Target {
    fn new(grafana: &Url, token: Option<String>, folder: Option<String>) -> Result<Self, Failure> {
        if !["http", "https"].contains(&grafana.scheme()) {
            let text = format!("--grafana is `{grafana}`: expected http://host:port or https://host");
            return Err(Failure::new(Exit::Usage, text));
        }
        let client = http_client(grafana.as_str(), ANSWER_LIMIT);
        let client = client.map_err(|error| {
            let why = root_cause(&error);
            Failure::new(Exit::Bad, format!("cannot speak to {grafana}: {why}"))
                .cure("install the system's certificates, or name a file of them in SSL_CERT_FILE")
        })?;
        let mut url = grafana.clone();
        url.set_path(&format!("{}/api/dashboards/db", grafana.path().trim_end_matches('/')));
        Ok(Self { client, url, token, folder })
    }

    /// Creates or replaces one; what Grafana says of it.
    async fn put(&self, dashboard: Value) -> Result<String, Failure> {
        let mut body =
            json!({"dashboard": dashboard, "overwrite": true, "message": "standfast dashboards push"});
        if let Some(folder) = &self.folder {
            body["folderUid"] = folder.as_str().into();
        }
        let mut request = self.client.post(self.url.clone());
        request = request.header("Content-Type", "application/json").body(body.to_string());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|error| self.no_answer(&error))?;
        let code = answer.status();
        let text = answer.text().await.map_err(|error| self.no_answer(&error))?;
        if code.is_success() {
            let answer: Value = serde_json::from_str(&text).unwrap_or_default();
            return Ok(answer["url"].as_str().unwrap_or("stored").to_owned());
        }
        let said = text::cut(text.trim(), 200);
        let failure = Failure::new(Exit::Bad, format!("Grafana refused the dashboard with {code}: {said}"));
        Err(match code.as_u16() {
            401 | 403 => failure.cure(
                "put a service account's token with the role Editor into the variable that --token-env names",
            ),
            _ => failure,
        })
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        let exit = if error.is_connect() { Exit::Unreachable } else { Exit::Unknown };
        let why = root_cause(error);
        Failure::new(exit, format!("no answer from {}: {why}", self.url))
            .cure("push again: it replaces what is there")
    }
}

/// Pushes all, one after another; stops at the first that is not taken.
async fn push(target: &Target, settings: &Settings) -> Result<Vec<Value>, Failure> {
    let mut done = Vec::new();
    for board in boards::all(settings) {
        let url = target.put(board.json(settings, Form::Provisioned)).await?;
        done.push(json!({"name": board.uid(), "result": url}));
    }
    Ok(done)
}

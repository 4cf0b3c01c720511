//! `standfast health`: asks one node's probe, for images without curl.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::exit::{Exit, Failure};
use super::text;
use crate::outbound::root_cause;
use crate::telemetry::http_client;

const AFTER_HELP: &str = "\
Examples:
  standfast health                             does this node do its part
  standfast health primary --http 10.0.0.1:9003
  standfast health standby --max-lag 500ms
  HEALTHCHECK CMD [\"standfast\", \"health\", \"livez\"]
Exit code 0 when the answer is yes, 1 when it is no, 3 when nobody answers.";

/// For one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Flags of `standfast health`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct HealthArgs {
    /// What is asked
    #[arg(value_enum, default_value = "readyz")]
    probe: Probe,
    /// The node's HTTP address
    #[arg(long, value_name = "HOST:PORT", value_parser = super::host_port, default_value = "127.0.0.1:9003")]
    http: String,
    /// How far a standby may be behind: 1000 entries, 500ms or 2s
    #[arg(long, value_name = "LAG")]
    max_lag: Option<String>,
}

/// The pages of the HTTP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Probe {
    /// Its loop runs
    Livez,
    /// It answers as primary, or follows as standby
    Readyz,
    /// It is the primary, and may answer
    Primary,
    /// It is a standby in sync
    Standby,
}

impl Probe {
    fn word(self) -> &'static str {
        match self {
            Self::Livez => "livez",
            Self::Readyz => "readyz",
            Self::Primary => "primary",
            Self::Standby => "standby",
        }
    }
}

/// Asks, and ends as the node says.
pub(crate) async fn run(is_json: bool, args: &HealthArgs) -> Result<Exit, Failure> {
    let (probe, http) = (args.probe.word(), &args.http);
    if args.max_lag.is_some() && args.probe != Probe::Standby {
        let text =
            format!("--max-lag is about a standby: expected `standfast health standby`, not `{probe}`");
        return Err(Failure::new(Exit::Usage, text));
    }
    let mut url = format!("http://{http}/{probe}");
    if let Some(lag) = &args.max_lag {
        // The node names a lag that it cannot read; what could not stand in an address is no lag either.
        let clean: String = lag.chars().filter(char::is_ascii_alphanumeric).collect();
        url = format!("{url}?max_lag={clean}");
    }
    let no_answer = |error: &reqwest::Error| {
        Failure::new(Exit::Unreachable, format!("no answer from {url}: {}", root_cause(error)))
    };
    let client = http_client(&url, ANSWER_LIMIT).map_err(|error| no_answer(&error))?;
    let answer = client.get(&url).send().await.map_err(|error| no_answer(&error))?;
    let code = answer.status().as_u16();
    let said = answer.text().await.map_err(|error| no_answer(&error))?;
    let said = text::cut(said.trim(), 200);
    let (exit, ok) = match code {
        200 => (Exit::Ok, true),
        400 => return Err(Failure::new(Exit::Usage, said)),
        _ => (Exit::Bad, false),
    };
    let line = if is_json {
        json!({"schema": 1, "probe": probe, "http": http, "ok": ok, "text": said}).to_string()
    } else {
        said.to_string()
    };
    // Whoever closed stdout still gets the exit code.
    drop(text::print(&[line]));
    Ok(exit)
}

//! What an SRE imports: dashboards, alerts, recording rules and runbooks, made from one place and from the
//! catalogue's names. `standfast dashboards` writes and pushes them, `standfast runbook` shows the pages.

pub mod board;
pub mod boards;
#[cfg(test)]
mod lint_tests;
pub mod panel;
#[cfg(test)]
mod promql;
mod readme;
pub mod rules;
pub mod runbook;
mod settings;

use std::path::{Path, PathBuf};

use board::Form;
pub use settings::{BadSetting, Settings, Value};

/// Every file of the folder `dashboards/`, with its path in it.
#[must_use]
pub fn files(s: &Settings) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for board in boards::all(s) {
        for (folder, form) in [("provisioning", Form::Provisioned), ("import", Form::Imported)] {
            let path = Path::new(folder).join(format!("{}.json", board.uid()));
            files.push((path, pretty(&board.json(s, form))));
        }
    }
    let texts = [
        ("alerts.yaml", rules::alerts_yaml(s)),
        ("recording.yaml", rules::recording_yaml(s)),
        ("alerts_test.yaml", rules::promtool_tests(s)),
        ("README.md", readme::page(s)),
    ];
    files.extend(texts.map(|(name, text)| (PathBuf::from(name), text)));
    files
}

/// With keys in order, whatever the map keeps.
fn pretty(value: &serde_json::Value) -> String {
    format!("{:#}\n", sorted(value))
}

fn sorted(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

//! The files of `dashboards/`, judged by the programs that read them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::prometheus::present;

fn judged(program: &str, args: &[&str]) {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    let output = Command::new(program).args(args).current_dir(folder).output().expect("it runs");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

#[test]
fn promtool_accepts_the_rules_and_each_alert_is_silent_and_fires() {
    if present(&["promtool"]) {
        judged(
            "promtool",
            &["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml", "recording.yaml"],
        );
        judged("promtool", &["check", "config", "prometheus.yaml"]);
        judged("promtool", &["test", "rules", "alerts_test.yaml"]);
    }
}

#[test]
fn amtool_accepts_the_routes_and_pages_for_pages_only() {
    if !present(&["amtool"]) {
        return;
    }
    judged("amtool", &["check-config", "alertmanager.yaml"]);
    for (receiver, labels) in [
        ("pager", ["service=standfast", "severity=page"]),
        ("tickets", ["service=standfast", "severity=ticket"]),
        ("nobody", ["service=standfast", "severity=info"]),
        ("tickets", ["service=other", "severity=page"]),
    ] {
        let verify = format!("--verify.receivers={receiver}");
        judged(
            "amtool",
            &["config", "routes", "test", "--config.file=alertmanager.yaml", &verify, labels[0], labels[1]],
        );
    }
}

//! House rules of dashboards, alerts and runbooks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::board::{Board, Form};
use super::panel::{Kind, expand};
use super::promql::{self, Selector};
use super::rules::{Series, Severity, alerts, cases, groups, recordings};
use super::runbook::{self, PAGES};
use super::{Settings, boards, files};
use crate::telemetry::catalog::{self, Kind as MetricKind, Metric, Values};

/// Labels that Prometheus gives to every series.
const TARGET: [&str; 3] = ["cluster", "job", "instance"];
/// Series that Prometheus itself makes, and their labels.
const PROMETHEUS: [&str; 1] = ["up"];
/// Counters of which it is also asked whether they ever counted: they may have before the first scrape.
const EVER: [&str; 1] = ["standfast_failovers_total"];

fn base(name: &str) -> Option<(&'static Metric, &'static str)> {
    let exact = catalog::all().find(|m| m.name == name && m.kind != MetricKind::Histogram).map(|m| (m, ""));
    exact.or_else(|| {
        ["_bucket", "_sum", "_count"].into_iter().find_map(|part| {
            let histogram = catalog::all()
                .find(|m| m.kind == MetricKind::Histogram && name.strip_suffix(part) == Some(m.name));
            histogram.map(|m| (m, part))
        })
    })
}

fn labels_of(name: &str) -> Result<BTreeSet<&'static str>, String> {
    let mut labels: BTreeSet<&'static str> = TARGET.into();
    if PROMETHEUS.contains(&name) {
        return Ok(labels);
    }
    if let Some(rule) = recordings(&Settings::default()).iter().find(|r| r.name == name) {
        labels = ["cluster"].into();
        labels.extend((!rule.window.is_empty()).then_some("window"));
        return Ok(labels);
    }
    let (metric, part) = base(name).ok_or_else(|| format!("{name} is not in the catalogue"))?;
    labels.extend(metric.labels.iter().map(|l| l.name));
    labels.extend((part == "_bucket").then_some("le"));
    Ok(labels)
}

fn check_selector(s: &Selector) -> Result<(), String> {
    let labels = labels_of(&s.name)?;
    for (label, operator, value) in &s.matchers {
        if !labels.contains(&**label) {
            return Err(format!("{} has no label {label}", s.name));
        }
        let closed =
            base(&s.name).and_then(|(m, _)| m.labels.iter().find(|l| l.name == label).map(|l| l.values));
        if let Some(Values::Closed(list)) = closed
            && !operator.contains('~')
            && !list.contains(&&**value)
        {
            return Err(format!("{} has no {label}={value}", s.name));
        }
    }
    let Some((metric, part)) = base(&s.name) else { return Ok(()) };
    let counts = metric.kind == MetricKind::Counter || !part.is_empty();
    let as_counter = ["rate", "irate", "increase"].contains(&&*s.function);
    if counts != as_counter && !EVER.contains(&metric.name) {
        return Err(format!("{}: rate and increase are for counters, and counters for them", s.name));
    }
    Ok(())
}

/// What is wrong with an expression.
fn check(expr: &str) -> Result<(), String> {
    let named = promql::read(expr)?;
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for selector in &named.selectors {
        check_selector(selector)?;
        known.extend(labels_of(&selector.name)?);
    }
    // `instance` alone may be the same in two clusters.
    if expr
        .split(" on (")
        .skip(1)
        .any(|rest| !rest.split(')').next().is_some_and(|on| on.contains("cluster")))
    {
        return Err("joined without the cluster".to_owned());
    }
    match named.labels.iter().find(|l| !known.contains(&***l)) {
        Some(label) => Err(format!("no series has the label {label}")),
        None if named.selectors.is_empty() => Err("it selects nothing".to_owned()),
        None => Ok(()),
    }
}

fn all_boards() -> Vec<Board> {
    boards::all(&Settings::default())
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_expression_names_what_the_catalogue_has() {
    let s = Settings::default();
    let panels = all_boards().into_iter().flat_map(|b| b.rows).flat_map(|r| r.panels);
    let asked = panels.flat_map(|p| p.targets.into_iter().map(move |t| (p.title, expand(&t.expr))));
    let rules = recordings(&s).into_iter().map(|r| (r.name, r.expr));
    let alerts = alerts(&s).into_iter().map(|a| (a.name, a.expr));
    let mut count = 0;
    for (place, expr) in asked.chain(rules).chain(alerts) {
        assert_eq!(check(&expr), Ok(()), "{place}: {expr}");
        count += 1;
    }
    for board in all_boards() {
        for annotation in board.json(&s, Form::Provisioned)["annotations"]["list"].as_array().expect("a list")
        {
            let expr = annotation["expr"].as_str().expect("an expression");
            assert_eq!(check(expr), Ok(()), "{annotation}");
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn a_bad_expression_is_refused() {
    for (expr, why) in [
        ("standfast_epochs", "not in the catalogue"),
        ("standfast_epoch{node=\"a\"}", "has no label node"),
        ("standfast_node_role{role=\"leader\"}", "has no role=leader"),
        ("rate(standfast_epoch[5m])", "for counters"),
        ("standfast_calls_total", "for counters"),
        ("standfast_call_duration_seconds", "not in the catalogue"),
        ("sum by (standby) (standfast_epoch)", "no series has the label standby"),
        ("cluster:standfast_promotable:max{instance=\"a\"}", "has no label instance"),
        ("standfast_epoch and on (instance) standfast_epoch", "without the cluster"),
        ("1 + 1", "selects nothing"),
    ] {
        let error = check(expr).expect_err(expr);
        assert!(error.contains(why), "{expr}: {error}");
    }
}

#[test]
fn every_panel_says_what_it_asks_its_unit_and_what_is_healthy() {
    for board in all_boards() {
        let mut titles = BTreeSet::new();
        for panel in board.panels() {
            let place = format!("{} / {}", board.title, panel.title);
            assert!(titles.insert(panel.title), "twice: {place}");
            assert!(panel.about.contains('?'), "no question: {place}");
            assert!(!panel.healthy.is_empty() && !panel.unit.is_empty(), "{place}");
            assert!(
                panel.runbook.is_empty() || runbook::find(panel.runbook).is_some(),
                "{place}: {}",
                panel.runbook
            );
            assert_eq!(panel.targets.is_empty(), panel.kind == Kind::Alerts, "{place}");
            for target in &panel.targets {
                let named = promql::read(&expand(&target.expr)).expect("readable");
                let ranged = named.selectors.iter().all(|s| s.range.is_empty() || s.range.starts_with("$__"));
                assert!(ranged, "{place}: a fixed range does not follow the zoom: {}", target.expr);
                let bound = |s: &Selector| s.matchers.iter().any(|(label, ..)| label == "cluster");
                assert!(named.selectors.iter().any(bound), "{place}: no cluster: {}", target.expr);
                assert!(panel.kind == Kind::Table || !target.legend.is_empty(), "{place}");
            }
        }
    }
}

#[test]
fn the_overview_is_one_screen() {
    let board = &all_boards()[0];
    assert_eq!((board.name, board.panels().count()), ("overview", 12));
    let json = board.json(&Settings::default(), Form::Provisioned);
    let bottom = |p: &Value| p["gridPos"]["y"].as_u64().zip(p["gridPos"]["h"].as_u64()).map(|(y, h)| y + h);
    assert!(json["panels"].as_array().expect("panels").iter().filter_map(bottom).max() <= Some(22));
}

#[test]
fn ids_are_unique_and_no_panel_covers_another() {
    let mut uids = BTreeSet::new();
    for board in all_boards() {
        let json = board.json(&Settings::default(), Form::Provisioned);
        let uid = json["uid"].as_str().expect("a uid").to_owned();
        assert!(uid.len() <= 40 && uids.insert(uid.clone()), "{uid}");
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeMap::new());
        for panel in json["panels"].as_array().expect("panels") {
            assert!(ids.insert(panel["id"].as_u64()), "{uid}: {}", panel["id"]);
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|k| panel["gridPos"][k].as_u64().expect("a place"));
            assert!(x + w <= 24 && w > 0 && h > 0, "{uid}: {}", panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                let other = cells.insert(cell, panel["title"].clone());
                assert_eq!(other, None, "{uid}: {} covers another", panel["title"]);
            }
        }
    }
    assert_eq!(uids.len(), 6);
}

/// "Dashboard exists": with a data source that only its author has, and no panel about what a takeover would do.
#[test]
fn trap_09_every_data_source_is_a_variable_and_only_the_import_asks_for_one() {
    fn sources<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("datasource").filter(|d| d.is_object()));
                map.values().for_each(|v| sources(v, found));
            }
            Value::Array(list) => list.iter().for_each(|v| sources(v, found)),
            _ => {}
        }
    }
    for board in all_boards() {
        for (form, asks) in [(Form::Provisioned, false), (Form::Imported, true)] {
            let json = board.json(&Settings::default(), form);
            let mut found = Vec::new();
            sources(&json, &mut found);
            assert!(found.len() > 10 && found.iter().all(|d| d["uid"] == "${datasource}"), "{found:?}");
            assert_eq!(json.get("__inputs").is_some(), asks, "{}", board.name);
            assert_eq!(json.to_string().contains("DS_PROMETHEUS"), asks, "{}", board.name);
            let names: Vec<&Value> =
                json["templating"]["list"].as_array().expect("a list").iter().map(|v| &v["name"]).collect();
            assert_eq!(names, ["datasource", "traces", "cluster", "node"]);
        }
    }
}

#[test]
fn trap_09_the_first_screen_says_whether_a_takeover_would_keep_the_index() {
    let asked: Vec<String> =
        all_boards()[0].panels().flat_map(|panel| panel.targets.iter().map(|t| t.expr.clone())).collect();
    for name in ["promotable", "replication_lag", "in_sync_copies"] {
        assert!(asked.iter().any(|expr| expr.contains(name)), "no panel asks for {name}: {asked:#?}");
    }
}

#[test]
fn every_alert_has_a_page_a_reason_and_a_name_without_digits() {
    let s = Settings::default();
    let known: BTreeSet<&str> = s.all().iter().map(|(name, ..)| *name).collect();
    let mut names = BTreeSet::new();
    for a in alerts(&s) {
        assert!(names.insert(a.name), "twice: {}", a.name);
        assert!(
            a.name.chars().all(|c| c.is_ascii_alphabetic()) && a.name.starts_with(char::is_uppercase),
            "{}",
            a.name
        );
        assert!(runbook::find(a.name).is_some(), "{} has no page", a.name);
        assert!(a.settings.iter().all(|name| known.contains(name)), "{}", a.name);
        let explained = !a.settings.is_empty() || a.name == "MemoryDamaged";
        assert!(explained, "{}: why this threshold?", a.name);
        assert!(a.summary.ends_with('.') && !a.summary.contains("{{"), "{}", a.name);
        let valued = a.text.contains("$value") || a.text.contains("$labels") || a.expr.starts_with("absent");
        assert!(a.text.ends_with('.') && valued, "{}", a.name);
        assert!(all_boards().iter().any(|b| b.name == a.board), "{}", a.name);
        assert!(!a.silent.is_empty() && (!a.firing.is_empty() || a.expr.starts_with("absent")), "{}", a.name);
        assert_ne!(a.silent, a.firing, "{}", a.name);
        let cases = cases(&s);
        let more = cases.iter().filter(|case| case.alert == a.name).flat_map(|case| &case.series);
        for Series(series, _) in a.silent.iter().chain(&a.firing).chain(more) {
            let named = promql::read(series).expect("readable").selectors.remove(0);
            let checked = Selector { function: String::new(), ..named };
            let labels = labels_of(&checked.name).expect(a.name);
            assert!(checked.matchers.iter().all(|(l, ..)| labels.contains(&**l)), "{series}");
        }
    }
    assert!(cases(&s).iter().all(|case| names.contains(case.alert)), "a case of no alert");
    for rule in recordings(&s) {
        assert!(
            !rule.name.contains(|c: char| c.is_ascii_digit()) && rule.name.matches(':').count() == 2,
            "{}",
            rule.name
        );
    }
    let groups: Vec<&str> = groups(&s).iter().map(|g| g.name).collect();
    assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), groups.len());
}

#[test]
fn drills_do_not_page() {
    for a in alerts(&Settings::default()).iter().filter(|a| a.expr.contains("standfast_failovers_total")) {
        assert!(a.expr.contains("drill=\"no\"") || a.severity == Severity::Info, "{}", a.name);
    }
    let routes = std::fs::read_to_string(root().join("dashboards/alertmanager.yaml")).expect("the sample");
    assert!(routes.contains("StandfastDrillRan"), "a drill silences what follows from it");
    let known: BTreeSet<String> =
        alerts(&Settings::default()).iter().map(super::rules::Alert::full_name).collect();
    let rules = routes.split("- source_matchers");
    let beside =
        rules.clone().find(|rule| rule.contains("[alertname = \"StandfastNoPrimary\"]")).expect("a rule");
    assert!(beside.contains("StandfastStandbyNotPromotable"), "one page for one cause: {beside}");
    let arbiter =
        rules.clone().find(|rule| rule.contains("[alertname = \"StandfastArbiterDown\"]")).expect("a rule");
    assert!(arbiter.contains("StandfastStandbyNotPromotable"), "{arbiter}");
    for word in routes
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| w.starts_with("Standfast") && w.len() > 9)
    {
        assert!(known.contains(word), "there is no alert {word}");
    }
}

#[test]
fn every_page_is_about_an_alert_or_a_procedure_and_has_its_headings() {
    let alerts: BTreeSet<&str> = alerts(&Settings::default()).iter().map(|a| a.name).collect();
    for page in PAGES {
        let expected: &[&str] = if page.is_alert() {
            assert!(alerts.contains(page.name), "{}: there is no such alert", page.name);
            &["Meaning", "Impact", "Diagnosis", "Mitigation", "Do not"]
        } else {
            &["Before", "Steps", "Afterwards", "Do not"]
        };
        let headings: Vec<&str> = page.text.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(headings, expected, "{}", page.name);
        let title = if page.is_alert() { page.name } else { page.title() };
        assert!(page.text.starts_with(&format!("# {title}\n\n")) && page.gist().len() > 10, "{}", page.name);
        let is_tested = page.text.contains("```console");
        assert!(!page.is_alert() || is_tested, "{}: no command is tested", page.name);
    }
    let mut found: Vec<String> = Vec::new();
    for (folder, prefix) in [("runbooks", ""), ("runbooks/procedures", "procedures/")] {
        for entry in std::fs::read_dir(root().join(folder)).expect(folder).flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            found.extend(name.strip_suffix(".md").map(|n| format!("{prefix}{n}")));
        }
    }
    let compiled: BTreeSet<String> = PAGES.iter().map(|p| p.name.to_owned()).collect();
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), compiled, "every page is compiled in");
}

#[test]
fn the_folder_is_what_the_generator_writes() {
    let folder = root().join("dashboards");
    let fresh = files(&Settings::default());
    for (path, text) in &fresh {
        let present = std::fs::read_to_string(folder.join(path)).unwrap_or_default();
        assert!(present == *text, "dashboards/{} has drifted; run `cargo xtask dashboards`", path.display());
    }
    for form in ["provisioning", "import"] {
        for entry in std::fs::read_dir(folder.join(form)).expect(form).flatten() {
            let path = Path::new(form).join(entry.file_name());
            assert!(fresh.iter().any(|(p, _)| *p == path), "left over: {}", path.display());
        }
    }
}

#[test]
fn a_setting_changes_rules_panels_and_the_page_and_two_runs_are_equal() {
    let mut s = Settings::default();
    s.set("lag=77s").expect("a setting");
    let texts: BTreeMap<PathBuf, String> = files(&s).into_iter().collect();
    assert!(texts[Path::new("alerts.yaml")].contains("(standfast_replication_lag_seconds) > 77"));
    assert!(texts[Path::new("README.md")].contains("| `lag` | 77s |"));
    assert!(texts[Path::new("provisioning/standfast-replication.json")].contains("77.0"));
    assert_eq!(texts, files(&s).into_iter().collect());
}

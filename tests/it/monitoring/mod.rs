//! Dashboards, alerts and runbooks against running pairs that Debian's Prometheus scrapes.

mod console;
mod files;
mod planted;
mod prometheus;
mod push;
mod states;

use std::collections::{BTreeMap, BTreeSet};

use standfast::monitoring::panel::{Kind, expand};
use standfast::monitoring::runbook::PAGES;
use standfast::monitoring::{Settings, Value, boards, rules};

use console::Block;
use prometheus::{Prometheus, Target, present};
use states::{Cluster, STATES, State};

/// Clusters that procedures are followed on, by the state that each begins in, and the blocks in their order. No alert is
/// awaited there.
const PROCEDURES: &[(&str, &[&str])] = &[
    ("led", &["procedure-switchover"]),
    ("no-primary", &["procedure-failover"]),
    ("detached", &["procedure-forced"]),
    ("gone", &["procedure-empty"]),
    ("standby-gone", &["procedure-rebuild"]),
    ("mismatch", &["procedure-repair"]),
    ("led", &["procedure-drill"]),
    ("nothing", &["nothing"]),
    ("coordinator-away", &["procedure-etcd", "procedure-etcd-dead", "procedure-etcd-back"]),
    ("upgrade", &["procedure-upgrade", "procedure-upgrade-standby", "procedure-upgrade-old"]),
    ("damaged-led", &["procedure-damaged", "procedure-damaged-after"]),
];

/// Clusters that run beside each other; the others wait for their turn.
const AT_ONCE: usize = 7;

/// Thresholds that are reached within seconds.
fn quick() -> Settings {
    let mut quick = Settings::default();
    for (name, value, _) in Settings::default().all() {
        let holds = name.ends_with("_for")
            || ["no_primary", "not_promotable", "alone", "target_down", "silence"].contains(&name);
        if holds && matches!(value, Value::Seconds(_)) {
            quick.set(&format!("{name}=1s")).expect("a setting");
        }
    }
    for given in [
        "lag=3s",
        "stalled=4s",
        "verify_age=5s",
        "latency=0.3",
        "expiry_window=5m",
        "rehearsal=8s",
        "flat=10s",
    ] {
        quick.set(given).expect("a setting");
    }
    quick
}

fn all_targets(clusters: &BTreeMap<&'static str, Cluster>) -> Vec<Target> {
    clusters.values().flat_map(Cluster::targets).collect()
}

async fn start_all(states: &[State]) -> BTreeMap<&'static str, Cluster> {
    let starting: Vec<_> = states.iter().map(|s| (s.name, tokio::spawn(Cluster::start(s.name)))).collect();
    let mut clusters = BTreeMap::new();
    for (name, cluster) in starting {
        clusters.insert(name, cluster.await.expect(name));
    }
    clusters
}

async fn break_all(clusters: &mut BTreeMap<&'static str, Cluster>, prometheus: &Prometheus) {
    let mut breaking = Vec::new();
    for (name, mut cluster) in std::mem::take(clusters) {
        breaking.push((
            name,
            tokio::spawn(async move {
                cluster.break_it().await;
                cluster
            }),
        ));
    }
    for (name, cluster) in breaking {
        clusters.insert(name, cluster.await.expect(name));
    }
    prometheus.scrape(&all_targets(clusters));
    if let Some(mut restarted) = clusters.remove("restarts") {
        let others = all_targets(clusters);
        let publish = |c: &Cluster| prometheus.scrape(&[others.clone(), c.targets()].concat());
        states::crash_loop(&mut restarted, prometheus, publish).await;
        clusters.insert("restarts", restarted);
    }
}

/// What fires, by cluster.
fn firing(alert: &str, cluster: &str) -> String {
    format!("ALERTS{{alertname=\"Standfast{alert}\", cluster=\"{cluster}\", alertstate=\"firing\"}}")
}

/// A pair alone on the machine, looked at for longer than any alert holds back.
async fn nothing_fires_while_all_is_well(prometheus: &Prometheus) {
    let calm = Cluster::start("calm").await;
    // The standby first: as long as only the primary is known, nobody is known to be promotable.
    let targets = calm.targets();
    prometheus.scrape(&targets[1..]);
    prometheus.until_series("cluster:standfast_promotable:max{cluster=\"calm\"} == 1", 1).await;
    prometheus.scrape(&targets);
    prometheus.until_series("sum_over_time(up{cluster=\"calm\"}[5m]) >= 20", 2).await;
    let fired = prometheus.query("max_over_time(ALERTS{alertstate=\"firing\", cluster=\"calm\"}[15s])").await;
    assert!(fired.is_empty(), "{fired:?}");
    // What is asked of the calls and of the loop is known, not merely absent.
    for known in ["LatencyHigh", "LoopDelayHigh", "PromotableBudgetBurns"] {
        let alert = rules::alerts(&quick()).into_iter().find(|a| a.name == known).expect("there is one");
        let (left, _) = alert.expr.split_once(" > ").expect("a threshold");
        let left = left.trim_start_matches("max by (cluster) (").trim_start_matches(['\n', ' ', '(']);
        assert!(!prometheus.query(left).await.is_empty(), "{known}: {left}");
    }
    // Both loops turn.
    prometheus.until_series("rate(standfast_loop_delay_seconds_count{cluster=\"calm\"}[10s]) > 0", 2).await;
    prometheus.scrape(&[]);
}

/// What a state looks like, and is not. The coordinator is away for longer than its alert holds back.
async fn what_is_expected_is_silent(prometheus: &Prometheus, states: &[State]) {
    for state in states.iter().filter(|state| !state.silent.is_empty()) {
        if state.name == "coordinator-away" {
            let unknown =
                "standfast_promotable_reason{cluster=\"coordinator-away\", code=\"coordinator\"}[5s]";
            let lasts = format!("min_over_time({unknown}) == 1 and count_over_time({unknown}) >= 4");
            prometheus.until_series(&lasts, 1).await;
        }
        for alert in state.silent {
            let told = prometheus.query(&firing(alert, state.name)).await;
            assert!(told.is_empty(), "{}: {told:?}", state.name);
        }
    }
}

/// Panels and recording rules that have no data now.
async fn without_data(prometheus: &Prometheus) -> BTreeSet<String> {
    let mut without = BTreeSet::new();
    let filled_in = |expr: &str| {
        let expr = expr.replace("$cluster", ".*").replace("$node", ".*");
        expr.replace("$__rate_interval", "20s").replace("$__range", "5m")
    };
    for board in boards::all(&quick()) {
        for (panel, target) in board.panels().flat_map(|p| p.targets.iter().map(move |t| (p, t))) {
            assert_ne!(panel.kind, Kind::Alerts);
            let expr = filled_in(&expand(&target.expr));
            if prometheus.query(&expr).await.is_empty() {
                without.insert(format!("{} / {}: {expr}", board.title, panel.title));
            }
        }
    }
    for rule in rules::recordings(&quick()) {
        if prometheus.query(&rule.expr).await.is_empty() {
            without.insert(format!("{}: {}", rule.name, rule.expr));
        }
    }
    without
}

async fn texts_are_filled_in(prometheus: &Prometheus) {
    let alerts = prometheus.alerts().await;
    assert!(!alerts.is_empty());
    for alert in alerts {
        let text = alert["annotations"].to_string();
        assert!(!text.contains("<error") && !text.contains("%!") && !text.contains("{{"), "{text}");
        assert!(!text.contains("<no value>") && !text.contains("cluster  "), "a label is missing: {text}");
    }
}

fn all_blocks() -> Vec<Block> {
    PAGES.iter().flat_map(console::blocks).collect()
}

#[test]
fn every_page_is_tested_in_the_state_in_which_its_alert_fires() {
    let procedures = PROCEDURES.iter().flat_map(|(_, blocks)| *blocks).copied();
    let states: BTreeSet<&str> = STATES.iter().map(|s| s.name).chain(procedures).collect();
    let blocks = all_blocks();
    for block in &blocks {
        assert!(states.contains(block.state) && !block.is_empty(), "{}: {block:?}", block.page);
    }
    let tested_in = |page: &str, state: &str| blocks.iter().any(|b| b.page == page && b.state == state);
    // Nothing stops a node's loop and leaves the rest of it alone; that its turns are counted is seen while all is well.
    let mut proved: BTreeSet<&str> = ["TelemetryDead", "LoopStuck"].into();
    assert!(tested_in("TelemetryDead", "nothing"));
    for (alert, state) in STATES.iter().flat_map(|s| s.fires.iter().map(move |alert| (*alert, s.name))) {
        assert!(tested_in(alert, state), "{alert} is not tested in {state}");
        proved.insert(alert);
    }
    let all = rules::alerts(&Settings::default());
    let unproved: Vec<&str> = all.iter().map(|a| a.name).filter(|name| !proved.contains(name)).collect();
    assert!(unproved.is_empty(), "no state in which these fire: {unproved:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts some 50 nodes, a third of them at once: a step of its own in `cargo xtask verify`"]
async fn alerts_fire_panels_have_data_and_runbooks_say_what_is_seen() {
    if !present(&["prometheus"]) {
        return;
    }
    let prometheus = Prometheus::start(&quick()).await;
    prometheus.until_series("ALERTS{alertname=\"StandfastTelemetryDead\", alertstate=\"firing\"}", 1).await;
    nothing_fires_while_all_is_well(&prometheus).await;
    let mut without: Option<BTreeSet<String>> = None;
    let mut wrong = Vec::new();
    for states in STATES.chunks(AT_ONCE) {
        let mut clusters = start_all(states).await;
        let targets = all_targets(&clusters);
        prometheus.scrape(&targets);
        prometheus.until_series("sum_over_time(up[5m]) >= 3 and up == 1", targets.len()).await;
        break_all(&mut clusters, &prometheus).await;
        for (state, alert) in states.iter().flat_map(|s| s.fires.iter().map(move |alert| (s.name, alert))) {
            prometheus.until_series(&firing(alert, state), 1).await;
        }
        if clusters.contains_key("healthy") {
            beside_the_broken_the_healthy_is_silent(&prometheus).await;
        }
        what_is_expected_is_silent(&prometheus, states).await;
        texts_are_filled_in(&prometheus).await;
        // Each panel has data in some state.
        let now = without_data(&prometheus).await;
        without = Some(without.map_or(now.clone(), |before| before.intersection(&now).cloned().collect()));
        for block in all_blocks() {
            if let Some(cluster) = clusters.get(block.state) {
                wrong.extend(block.run(cluster));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(without.as_ref().is_some_and(BTreeSet::is_empty), "no data in any state: {without:#?}");
}

async fn beside_the_broken_the_healthy_is_silent(prometheus: &Prometheus) {
    // A machine on which so many nodes run at once is late itself; these were silent before.
    let but = "alertname!~\"StandfastLatencyHigh|StandfastLoopDelayHigh|StandfastPromotableBudgetBurns\"";
    let healthy =
        prometheus.query(&format!("ALERTS{{cluster=\"healthy\", alertstate=\"firing\", {but}}}")).await;
    assert!(healthy.is_empty(), "{healthy:?}");
    let telemetry = prometheus.query("ALERTS{alertname=\"StandfastTelemetryDead\"}").await;
    assert!(telemetry.is_empty(), "{telemetry:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn procedures_can_be_followed_as_they_are_written() {
    let mut wrong = Vec::new();
    for (state, names) in PROCEDURES {
        let mut cluster = Cluster::start(state).await;
        cluster.break_it().await;
        for name in *names {
            cluster.enter(name).await;
            for block in all_blocks().iter().filter(|b| b.state == *name) {
                wrong.extend(block.run(&cluster));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

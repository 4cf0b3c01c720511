//! A dashboard: panels in rows, variables, annotations and links. Its text depends on nothing but the
//! panels and the settings.

use serde_json::{Value, json};

use super::panel::{Panel, source};
use super::settings::Settings;

/// Grafana's grid.
const COLUMNS: u32 = 24;

/// The oldest major version that the dashboards are made for.
const GRAFANA: &str = "10.0.0";

/// Rows of panels under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// The last word of its uid and the name of its file.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// In order, left to right and down.
    pub rows: Vec<Row>,
}

/// Panels under one heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// Left to right; one that does not fit begins a new line.
    pub panels: Vec<Panel>,
}

/// A heading and what is under it.
#[must_use]
pub fn row(title: &'static str, panels: Vec<Panel>) -> Row {
    Row { title, panels }
}

/// For whom a dashboard is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Grafana reads it from a folder or over its API.
    Provisioned,
    /// Somebody imports it by hand, and is asked for the data source.
    Imported,
}

impl Board {
    /// Stable, so that links and alerts find it: `standfast-overview`.
    #[must_use]
    pub fn uid(&self) -> String {
        format!("standfast-{}", self.name)
    }

    /// All panels.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }

    /// As Grafana reads it.
    #[must_use]
    pub fn json(&self, settings: &Settings, form: Form) -> Value {
        let mut board = json!({
            "uid": self.uid(),
            "title": self.title,
            "description": self.about,
            "tags": ["standfast"],
            "schemaVersion": 39,
            "version": 1,
            "editable": false,
            "graphTooltip": 1,
            "timezone": "utc",
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timepicker": {},
            "fiscalYearStartMonth": 0,
            "weekStart": "",
            "liveNow": false,
            "links": links(),
            "annotations": {"list": annotations()},
            "templating": {"list": variables()},
            "panels": self.place(settings),
        });
        if form == Form::Imported {
            board["__inputs"] = json!([{"name": "DS_PROMETHEUS", "label": "Prometheus", "description": "Where the nodes' metrics are",
                "type": "datasource", "pluginId": "prometheus", "pluginName": "Prometheus"}]);
            board["__requires"] = self.requires();
            board["templating"]["list"][0]["current"] =
                json!({"selected": true, "text": "${DS_PROMETHEUS}", "value": "${DS_PROMETHEUS}"});
        }
        board
    }

    fn place(&self, settings: &Settings) -> Vec<Value> {
        let runbooks = settings.runbooks.to_string();
        let (mut placed, mut y) = (Vec::new(), 0);
        for row in &self.rows {
            placed.push(json!({"id": placed.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}));
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                let (w, h) = panel.size;
                if x + w > COLUMNS {
                    (x, y, height) = (0, y + height, 0);
                }
                placed.push(panel.json(placed.len() + 1, (x, y), &runbooks, &traces()));
                (x, height) = (x + w, height.max(h));
            }
            y += height;
        }
        placed
    }

    fn requires(&self) -> Value {
        let plugin = |kind: &str, id: &str| json!({"type": kind, "id": id, "name": id, "version": ""});
        let mut panels: Vec<String> = self
            .place(&Settings::default())
            .iter()
            .filter_map(|p| p["type"].as_str().map(str::to_owned))
            .collect();
        panels.sort_unstable();
        panels.dedup();
        panels.retain(|p| p != "row");
        let grafana = json!({"type": "grafana", "id": "grafana", "name": "Grafana", "version": GRAFANA});
        let panels = panels.iter().map(|p| plugin("panel", p));
        [grafana, plugin("datasource", "prometheus")].into_iter().chain(panels).collect()
    }
}

/// The explorer, with the spans of the time on display.
fn traces() -> String {
    let query = r#"{"a":{"datasource":"${traces}","queries":[{"refId":"A","queryType":"traceql","query":"{resource.service.name=\"standfast\"}"}],"range":{"from":"${__from}","to":"${__to}"}}}"#;
    let encoded: String = query
        .chars()
        .map(|c| match c {
            '"' => "%22".to_owned(),
            '\\' => "%5C".to_owned(),
            ' ' => "%20".to_owned(),
            c => c.to_string(),
        })
        .collect();
    format!("/explore?schemaVersion=1&orgId=1&panes={encoded}")
}

fn links() -> Value {
    let link = json!({"asDropdown": false, "icon": "external link", "includeVars": true, "keepTime": true, "tags": [], "targetBlank": false, "tooltip": "", "title": "", "type": "link", "url": ""});
    let with = |changes: Value| {
        let mut link = link.clone();
        if let (Some(link), Value::Object(changes)) = (link.as_object_mut(), changes) {
            link.extend(changes);
        }
        link
    };
    json!([
        with(json!({"type": "dashboards", "title": "Standfast", "tags": ["standfast"], "asDropdown": true})),
        with(
            json!({"title": "Traces", "url": traces(), "icon": "bolt", "includeVars": false, "targetBlank": true,
            "tooltip": "Spans of the time on display"})
        ),
    ])
}

/// What happened, as marks on every graph.
fn annotations() -> Value {
    let mark = |name: &str, color: &str, expr: &str, title: &str, is_time: bool| {
        json!({
            "name": name, "datasource": source(), "enable": true, "hide": false, "iconColor": color,
            "expr": super::panel::expand(expr), "titleFormat": title, "textFormat": "{{instance}}", "tagKeys": "cluster",
            "useValueForTime": if is_time { "on" } else { "" }, "step": "15s",
        })
    };
    json!([
        mark(
            "Role changes",
            "red",
            r#"1000 * standfast_failover_last_timestamp_seconds{@cluster}"#,
            "Role change",
            true
        ),
        mark(
            "Drills",
            "blue",
            r#"sum by (cluster, instance) (increase(standfast_failovers_total{@cluster, drill="yes"}[1m])) > 0"#,
            "Drill",
            false
        ),
        mark("Pauses", "yellow", "standfast_paused{@cluster} == 1", "Automatic failover is paused", false),
        mark(
            "Starts and upgrades",
            "purple",
            "1000 * (process_start_time_seconds and on (cluster, job, instance) standfast_build_info{@cluster})",
            "Process started",
            true
        ),
        mark(
            "Alone",
            "orange",
            r#"standfast_in_sync_copies{@cluster} < 2 and on (cluster, instance) standfast_node_role{role="primary"} == 1"#,
            "No other copy is in sync",
            false
        ),
    ])
}

fn variables() -> Value {
    let query = |name: &str, label: &str, about: &str, query: &str| {
        json!({
            "type": "query", "name": name, "label": label, "description": about, "datasource": source(),
            "query": {"query": query, "refId": name}, "regex": "", "refresh": 2, "sort": 1,
            "multi": true, "includeAll": true, "allValue": ".*", "hide": 0, "skipUrlSync": false, "options": [],
            "current": {"selected": true, "text": "All", "value": "$__all"},
        })
    };
    let datasource = |name: &str, label: &str, kind: &str, hide: u8| {
        json!({
            "type": "datasource", "name": name, "label": label, "query": kind, "regex": "", "refresh": 1, "hide": hide,
            "multi": false, "includeAll": false, "skipUrlSync": false, "options": [], "current": {},
        })
    };
    json!([
        datasource("datasource", "Data source", "prometheus", 0),
        datasource("traces", "Traces", "tempo", 2),
        query(
            "cluster",
            "Cluster",
            "From the label `cluster` of the scrape; All also where there is none",
            "label_values(standfast_build_info, cluster)"
        ),
        query(
            "node",
            "Node",
            "The label `instance`",
            r#"label_values(standfast_build_info{cluster=~"$cluster"}, instance)"#
        ),
    ])
}

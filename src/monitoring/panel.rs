//! One panel: a question, the expressions that answer it, and what is healthy.

use serde_json::{Value, json};

/// How a panel shows its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One figure for each series, now.
    Stat,
    /// Lines over time.
    Graph,
    /// States over time.
    Timeline,
    /// A row for each series, now.
    Table,
    /// Alerts that fire; asks Grafana, not Prometheus.
    Alerts,
}

/// One expression, and the name of its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// `@node` stands for the matchers of cluster and node, `@cluster` for that of the cluster.
    pub expr: String,
    /// Grafana's template of a name.
    pub legend: &'static str,
}

/// Colours of thresholds, in words that Grafana has shades for in light and dark.
pub const OK: &str = "green";
/// To be looked at.
pub const WARN: &str = "yellow";
/// Wrong.
pub const BAD: &str = "red";
/// Neither good nor bad.
pub const PLAIN: &str = "blue";

/// A panel, without its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// The question that it answers, and how to read it.
    pub about: &'static str,
    /// The healthy range, in words.
    pub healthy: &'static str,
    /// The page to read when it is not.
    pub runbook: &'static str,
    /// How.
    pub kind: Kind,
    /// Grafana's name of the unit.
    pub unit: &'static str,
    /// The expressions.
    pub targets: Vec<Target>,
    /// From which value on which colour; the first has none.
    pub steps: Vec<(Option<f64>, &'static str)>,
    /// Words and colours for values.
    pub words: Vec<(i64, &'static str, &'static str)>,
    /// Width and height in Grafana's grid of 24 columns.
    pub size: (u32, u32),
    /// Its data link leads to the traces.
    pub to_traces: bool,
    /// Its values may be below 0.
    pub signed: bool,
}

impl Panel {
    /// A panel of this kind; what follows fills it in.
    #[must_use]
    pub fn new(kind: Kind, title: &'static str, about: &'static str) -> Self {
        let size = match kind {
            Kind::Stat => (4, 4),
            Kind::Graph => (12, 8),
            Kind::Timeline => (12, 6),
            Kind::Table | Kind::Alerts => (12, 6),
        };
        Self {
            title,
            about,
            healthy: "",
            runbook: "",
            kind,
            unit: "short",
            targets: Vec::new(),
            steps: vec![(None, PLAIN)],
            words: Vec::new(),
            size,
            to_traces: false,
            signed: false,
        }
    }

    /// The unit of the values.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// What is healthy, and the page to read when it is not.
    #[must_use]
    pub fn healthy(mut self, healthy: &'static str, runbook: &'static str) -> Self {
        (self.healthy, self.runbook) = (healthy, runbook);
        self
    }

    /// One more expression.
    #[must_use]
    pub fn ask(mut self, expr: impl Into<String>, legend: &'static str) -> Self {
        self.targets.push(Target { expr: expr.into(), legend });
        self
    }

    /// Good below `warn`, wrong from `bad` on.
    #[must_use]
    pub fn below(mut self, warn: f64, bad: f64) -> Self {
        self.steps = vec![(None, OK), (Some(warn), WARN), (Some(bad), BAD)];
        self
    }

    /// Wrong below `least`.
    #[must_use]
    pub fn at_least(mut self, least: f64) -> Self {
        self.steps = vec![(None, BAD), (Some(least), OK)];
        self
    }

    /// A word and a colour for a value.
    #[must_use]
    pub fn word(mut self, value: i64, word: &'static str, colour: &'static str) -> Self {
        self.words.push((value, word, colour));
        self
    }

    /// Another size.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = (width, height);
        self
    }

    /// Its values may be below 0.
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Its points lead to the traces of that time.
    #[must_use]
    pub fn to_traces(mut self) -> Self {
        self.to_traces = true;
        self
    }

    /// The question, the healthy range and the page, as Grafana shows them.
    #[must_use]
    pub fn description(&self) -> String {
        let mut text = format!("{}\n\nHealthy: {}.", self.about, self.healthy);
        if !self.runbook.is_empty() {
            text.push_str(&format!("\n\nRunbook: `standfast runbook {}`", self.runbook));
        }
        text
    }

    /// As Grafana reads it.
    pub(super) fn json(&self, id: usize, (x, y): (u32, u32), runbooks: &str, traces: &str) -> Value {
        let (w, h) = self.size;
        let mut panel = json!({
            "id": id,
            "type": self.plugin(),
            "title": self.title,
            "description": self.description(),
            "gridPos": {"x": x, "y": y, "w": w, "h": h},
            "links": self.links(runbooks),
            "options": self.options(),
        });
        if self.kind == Kind::Alerts {
            return panel;
        }
        panel["datasource"] = source();
        panel["targets"] = self.targets.iter().zip(b'A'..).map(|(t, r)| self.target(t, r)).collect();
        panel["fieldConfig"] = json!({"defaults": self.defaults(traces), "overrides": []});
        if self.kind == Kind::Table {
            let hidden = json!({"Time": true, "Value": true, "__name__": true, "job": true});
            let organize = json!({"id": "organize", "options": {"excludeByName": hidden}});
            panel["transformations"] = json!([organize]);
        }
        panel
    }

    fn plugin(&self) -> &'static str {
        match self.kind {
            Kind::Stat => "stat",
            Kind::Graph => "timeseries",
            Kind::Timeline => "state-timeline",
            Kind::Table => "table",
            Kind::Alerts => "alertlist",
        }
    }

    fn links(&self, runbooks: &str) -> Value {
        if self.runbook.is_empty() {
            return json!([]);
        }
        let url = format!("{runbooks}/{}.md", self.runbook);
        json!([{"title": "Runbook", "type": "link", "icon": "doc", "url": url, "targetBlank": true, "asDropdown": false,
            "includeVars": false, "keepTime": false, "tags": [], "tooltip": self.runbook}])
    }

    fn target(&self, target: &Target, letter: u8) -> Value {
        let is_now = matches!(self.kind, Kind::Stat | Kind::Table);
        json!({
            "refId": char::from(letter).to_string(),
            "datasource": source(),
            "editorMode": "code",
            "expr": expand(&target.expr),
            "legendFormat": target.legend,
            "instant": is_now,
            "range": !is_now,
            "format": if self.kind == Kind::Table { "table" } else { "time_series" },
            "exemplar": false,
        })
    }

    fn defaults(&self, traces: &str) -> Value {
        let steps: Vec<Value> = self.steps.iter().map(|(v, c)| json!({"value": v, "color": c})).collect();
        let mut defaults = json!({
            "unit": self.unit,
            "color": {"mode": if self.kind == Kind::Graph { "palette-classic" } else { "thresholds" }},
            "thresholds": {"mode": "absolute", "steps": steps},
            "mappings": self.mappings(),
            "noValue": "unknown",
        });
        if self.to_traces {
            defaults["links"] = json!([{"title": "Traces of this time", "url": traces, "targetBlank": true}]);
        }
        if self.kind == Kind::Graph {
            let drawn = if self.steps.len() > 1 { "dashed" } else { "off" };
            // A gap stays a gap: what nobody knows is not drawn.
            defaults["custom"] = json!({"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false,
                "thresholdsStyle": {"mode": drawn}});
            if !self.signed {
                defaults["min"] = json!(0);
            }
        }
        if self.unit == "percentunit" {
            defaults["decimals"] = json!(2);
        }
        defaults
    }

    fn mappings(&self) -> Value {
        if self.words.is_empty() {
            return json!([]);
        }
        let words = self.words.iter().zip(0..).map(|((value, text, color), index)| {
            (value.to_string(), json!({"text": text, "color": color, "index": index}))
        });
        json!([{"type": "value", "options": words.collect::<serde_json::Map<_, _>>()}])
    }

    fn options(&self) -> Value {
        match self.kind {
            Kind::Stat => json!({
                "reduceOptions": {"values": false, "calcs": ["lastNotNull"], "fields": ""},
                "textMode": "auto", "colorMode": "background", "graphMode": "none", "justifyMode": "auto",
                "orientation": "auto",
            }),
            Kind::Graph => json!({
                "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Kind::Timeline => json!({
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
                "tooltip": {"mode": "single", "sort": "none"},
                "mergeValues": true, "rowHeight": 0.8, "showValue": "auto", "alignValue": "left",
            }),
            Kind::Table => json!({"showHeader": true, "cellHeight": "sm"}),
            Kind::Alerts => json!({
                "viewMode": "list", "groupMode": "default", "groupBy": [], "maxItems": 20, "sortOrder": 1,
                "dashboardAlerts": false, "alertName": "", "alertInstanceLabelFilter": "{service=\"standfast\", cluster=~\"$cluster\"}",
                "stateFilter": {"firing": true, "pending": true, "noData": false, "normal": false, "error": true},
            }),
        }
    }
}

/// The data source that the dashboard's variable names.
pub(super) fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// The expression as Grafana sends it.
#[must_use]
pub fn expand(expr: &str) -> String {
    expr.replace("@node", r#"cluster=~"$cluster", instance=~"$node""#)
        .replace("@cluster", r#"cluster=~"$cluster""#)
}

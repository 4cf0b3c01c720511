//! Every metric that a node exports: one table, from which the exposition, the
//! reference page `docs/metrics.md` and the tests are made. What is not in it
//! cannot be exported.

mod native;
mod stock;

pub use native::*;
pub use stock::*;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What one label may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// One of these.
    Closed(&'static [&'static str]),
    /// A name that the operator gave; how many there can be is in the text.
    Named(&'static str),
}

/// One label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with its unit.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it tells, in one sentence.
    pub help: &'static str,
    /// Its labels, in order.
    pub labels: &'static [Label],
    /// What a healthy cluster shows; empty where any value is.
    pub healthy: &'static str,
    /// When it is absent, because nobody knows it; empty = always there.
    pub absent: &'static str,
    /// It says the same for as long as the process lives.
    pub constant: bool,
}

impl Metric {
    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, help, labels: &[], healthy: "", absent: "", constant: false }
    }

    const fn by(mut self, labels: &'static [Label]) -> Self {
        self.labels = labels;
        self
    }

    const fn healthy(mut self, range: &'static str) -> Self {
        self.healthy = range;
        self
    }

    const fn absent(mut self, when: &'static str) -> Self {
        self.absent = when;
        self
    }

    const fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// Its unit, from its name; empty for counts and flags.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let base = self.name.strip_suffix("_total").unwrap_or(self.name);
        if base.ends_with("_seconds") {
            "seconds"
        } else if base.ends_with("_bytes") {
            "bytes"
        } else {
            ""
        }
    }

    /// True when this label set may carry a sample.
    #[must_use]
    pub fn accepts(&self, values: &[&str]) -> bool {
        self.labels.len() == values.len()
            && self.labels.iter().zip(values).all(|(label, value)| match label.values {
                Values::Closed(list) => list.contains(value),
                Values::Named(_) => true,
            })
    }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric::new(name, Kind::Counter, help)
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric::new(name, Kind::Gauge, help)
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric::new(name, Kind::Histogram, help)
}

const fn closed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Closed(values) }
}

const fn named(name: &'static str, what: &'static str) -> Label {
    Label { name, values: Values::Named(what) }
}

/// The whole catalogue, in the order in which it is exported.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    NATIVE.iter().copied().chain(stock_names())
}

fn stock_names() -> impl Iterator<Item = &'static Metric> {
    STOCK.iter().copied().chain(STOCK_CALLS.iter().flat_map(StockCall::metrics)).chain(STOCK_OFF)
}

/// The reference page.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\nGenerated from `src/telemetry/catalog/`; `STANDFAST_BLESS=1 cargo test -p standfast --lib \
         catalog` writes it anew.\n\nA node serves them at `GET /metrics` of its HTTP port (9003), in the text format \
         0.0.4, in every role.\nWhat nobody knows is absent, never 0. No label carries a key or a client.\n",
    );
    section(&mut page, "Native", &mut NATIVE.iter().copied());
    page.push_str(
        "\nUnder the names of the stock master, for the dashboards that exist. A stock name that is not here\n\
         is not measured. On a standby the gauges of what is stored are 0, as on a stock standby, so that sums over all\n\
         nodes are right.\n",
    );
    section(&mut page, "Stock names", &mut stock_names());
    page
}

fn section(page: &mut String, title: &str, metrics: &mut dyn Iterator<Item = &'static Metric>) {
    use std::fmt::Write as _;
    let _ = writeln!(
        page,
        "\n## {title}\n\n| Name | Kind | Labels | What it tells | Healthy | Absent |\n|---|---|---|---|---|---|"
    );
    for m in metrics {
        let labels: Vec<String> = m.labels.iter().map(describe).collect();
        let or = |text: &'static str, empty: &'static str| if text.is_empty() { empty } else { text };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} | {} |",
            m.name,
            m.kind.word(),
            labels.join("; "),
            m.help,
            or(m.healthy, "any"),
            or(m.absent, "never"),
        );
    }
}

fn describe(label: &Label) -> String {
    match label.values {
        Values::Closed(values) => format!("`{}`: {}", label.name, values.join(", ")),
        Values::Named(what) => format!("`{}`: {what}", label.name),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

    #[test]
    fn the_reference_page_is_what_the_catalogue_says() {
        if std::env::var_os("STANDFAST_BLESS").is_some() {
            std::fs::write(PAGE, reference()).expect("the page can be written");
        }
        let page = std::fs::read_to_string(PAGE).expect("docs/metrics.md");
        assert_eq!(page, reference(), "docs/metrics.md has drifted: see its first lines");
    }

    #[test]
    fn names_are_distinct_and_follow_the_conventions() {
        let names: Vec<&str> = all().map(|m| m.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for m in NATIVE {
            assert!(m.name.starts_with("standfast_") || m.name.starts_with("process_"), "{}", m.name);
            assert_eq!(m.name.ends_with("_total"), m.kind == Kind::Counter, "{}", m.name);
            assert!(!m.name.contains("_us") && !m.name.contains("_ms"), "{}: base units only", m.name);
        }
        for m in all() {
            assert!(m.help.ends_with('.') && !m.help.contains('|'), "{}", m.name);
        }
    }

    #[test]
    fn a_label_outside_its_closed_set_is_not_accepted() {
        assert!(NODE_ROLE.accepts(&["primary"]));
        assert!(!NODE_ROLE.accepts(&["leader"]) && !NODE_ROLE.accepts(&[]) && !EPOCH.accepts(&["x"]));
    }
}

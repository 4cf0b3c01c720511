//! Reading a node's HTTP port, as Prometheus and probes do.

use std::collections::{BTreeMap, BTreeSet};

use standfast::telemetry::http_client;

use crate::node::{Node, PATIENCE};

/// One scrape: samples by series, and the families that are there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scrape {
    /// `name{labels}` to value.
    pub(crate) series: BTreeMap<String, f64>,
    /// Names behind `# TYPE`.
    pub(crate) families: BTreeSet<String>,
}

impl Scrape {
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }

    /// The series of one family.
    pub(crate) fn of(&self, family: &str) -> BTreeMap<&str, f64> {
        let parts = ["", "_bucket", "_sum", "_count"].map(|part| format!("{family}{part}"));
        let is_of = |series: &str| parts.iter().any(|p| series.split('{').next() == Some(p));
        self.series.iter().filter(|(s, _)| is_of(s)).map(|(s, v)| (&**s, *v)).collect()
    }

    fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                scrape.families.insert(rest.split(' ').next().expect("a name").to_owned());
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a sample");
                let value = value.parse().expect("a number");
                assert_eq!(scrape.series.insert(series.to_owned(), value), None, "twice: {series}");
            }
        }
        scrape
    }
}

/// Asks for a page; its status and body.
pub(crate) async fn page(node: &Node, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", node.http);
    let client = http_client(&url, PATIENCE).expect("a client");
    let answer = client.get(url).send().await.expect("answered");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

pub(crate) async fn scrape(node: &Node) -> Scrape {
    let (code, text) = page(node, "/metrics").await;
    assert_eq!(code, 200);
    Scrape::parse(&text)
}

/// Scrapes until it is as wanted.
pub(crate) async fn until(node: &Node, what: &str, wanted: impl Fn(&Scrape) -> bool) -> Scrape {
    let watch = async {
        loop {
            let scrape = scrape(node).await;
            if wanted(&scrape) {
                return scrape;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, watch).await.map_err(|_| format!("never: {what}")).expect("in time")
}

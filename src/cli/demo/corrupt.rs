//! Damage that the demo plants in the standby's memory while the load runs, and
//! what verification makes of it.

use std::time::Duration;

use serde_json::{Value, json};
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::{Counter, LabCorruptRequest, Verification};
use tokio::time::{Instant, sleep};

use super::super::client::{self, ADMIN_LIMIT, CONNECT_LIMIT, within};
use super::cluster::Node;

/// Planted one after the other.
const PLANTED: u64 = 3;
/// Found and repaired within this time, or it counts as missed.
const FOUND_LIMIT: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What was planted and what became of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CorruptFacts {
    pub(super) planted: u64,
    pub(super) found: u64,
    pub(super) repaired: u64,
    /// The longest of them.
    pub(super) detect_ms: Option<f64>,
    /// The longest from being named to being overwritten.
    pub(super) repair_ms: Option<f64>,
    pub(super) false_alarms: u64,
}

impl CorruptFacts {
    /// As the line of the contract has it; all unknown where nothing was planted.
    pub(super) fn line(facts: Option<&Self>) -> Value {
        let of = |f: fn(&Self) -> Value| facts.map_or(Value::Null, f);
        json!({
            "planted": of(|f| json!(f.planted)), "found": of(|f| json!(f.found)),
            "repaired": of(|f| json!(f.repaired)), "detect_ms": of(|f| json!(f.detect_ms)),
            "repair_ms": of(|f| json!(f.repair_ms)), "false_alarms": of(|f| json!(f.false_alarms)),
        })
    }

    /// What is wrong with it, as sentences.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.found < self.planted || self.repaired < self.planted {
            let (planted, found, repaired) = (self.planted, self.found, self.repaired);
            wrong
                .push(format!("of {planted} planted corruptions {found} were found and {repaired} repaired"));
        }
        if self.false_alarms > 0 {
            wrong.push(format!("{} corruptions were reported that nobody planted", self.false_alarms));
        }
        wrong
    }
}

/// Flips a bit of one object after the other. An object that the load rewrites
/// meanwhile leaves only its digest off, which is found and repaired just so.
pub(super) async fn plant(standby: &Node) -> Result<CorruptFacts, String> {
    let mut facts = CorruptFacts::default();
    let before = reports(&look(standby).await?);
    for pick in 0..PLANTED {
        let known = reports(&look(standby).await?);
        let began = Instant::now();
        corrupt(standby, pick).await?;
        facts.planted += 1;
        let mut found = false;
        while began.elapsed() < FOUND_LIMIT {
            let v = look(standby).await?;
            if !found && reports(&v) > known {
                found = true;
                facts.found += 1;
                facts.detect_ms = longest(facts.detect_ms, began.elapsed());
            }
            if found && is_whole(&v) {
                facts.repaired += 1;
                break;
            }
            sleep(LOOK_EVERY).await;
        }
    }
    let after = look(standby).await?;
    // As the node itself timed it; unknown when all were rewritten before they could be named.
    let times = after.recent.iter().filter_map(|m| Some(m.repaired_unix_us? - m.found_unix_us));
    facts.repair_ms = times.max().map(|us| us as f64 / 1e3);
    facts.false_alarms = (reports(&after) - before).saturating_sub(facts.planted);
    Ok(facts)
}

fn longest(known: Option<f64>, time: Duration) -> Option<f64> {
    Some(known.unwrap_or(0.0).max(time.as_secs_f64() * 1e3))
}

/// Differences that were named, and digests that were off.
fn reports(v: &Verification) -> u64 {
    let sum = |counters: &[Counter], of: &dyn Fn(&str) -> bool| -> u64 {
        counters.iter().filter(|c| of(&c.label)).map(|c| c.value).sum()
    };
    sum(&v.mismatches, &|_| true) + sum(&v.repairs, &|label| label == "digest")
}

fn is_whole(v: &Verification) -> bool {
    [v.homes_unequal, v.homes_inconclusive, v.mismatched_keys].iter().all(|n| *n == Some(0))
        && v.recount_equal != Some(false)
}

async fn look(node: &Node) -> Result<Verification, String> {
    let status = client::status(&node.addr, false).await?;
    status.verification.ok_or_else(|| "the standby says nothing about verification".to_owned())
}

async fn corrupt(node: &Node, pick: u64) -> Result<(), String> {
    let channel = client::open(&node.addr, CONNECT_LIMIT).await?;
    let request = LabCorruptRequest { kind: "flipped-bit".into(), pick: pick * 0x1_0001_0101, count: 1 };
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel).lab_corrupt(request)).await;
    let reply = reply.map_err(|status| status.message().to_owned())?;
    if reply.names.is_empty() { Err("there was no object to damage".to_owned()) } else { Ok(()) }
}

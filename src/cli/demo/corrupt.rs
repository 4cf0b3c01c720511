//! Damage that the demo plants in the standby's memory while the load runs, and
//! what verification makes of it.

use std::time::Duration;

use serde_json::{Value, json};
use standfast_proto::v1::admin_client::AdminClient;
use standfast_proto::v1::{Counter, LabCorruptRequest, Mismatch, NodeStatus, Verification};
use tokio::time::{Instant, sleep};

use super::super::client::{self, ADMIN_LIMIT, CONNECT_LIMIT, within};
use super::cluster::Node;

/// Planted one after the other.
const PLANTED: u64 = 3;
/// Found and repaired within this time, or it counts as missed.
const FOUND_LIMIT: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Code of the event that a digest was off while the content was right.
const DIGEST_RESET: &str = "digest_reset";

/// What was planted and what became of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CorruptFacts {
    pub(super) planted: u64,
    pub(super) found: u64,
    pub(super) repaired: u64,
    /// The longest of them.
    pub(super) detect_ms: Option<f64>,
    /// The longest from being named to being overwritten; unknown where none was named before the load rewrote it.
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
        let (planted, found, repaired) = (self.planted, self.found, self.repaired);
        if planted == 0 || found != planted || repaired != planted {
            wrong
                .push(format!("of {planted} planted corruptions {found} were found and {repaired} repaired"));
        }
        if self.false_alarms > 0 {
            wrong.push(format!("{} corruptions were reported that nobody planted", self.false_alarms));
        }
        wrong
    }
}

/// One damaged object.
#[derive(Debug)]
struct Plant {
    /// Its scoped key.
    key: Vec<u8>,
    /// The home that holds it.
    home: u32,
}

/// What became of one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Report {
    /// It was named; it was overwritten after so many µs.
    Named(Option<i64>),
    /// The load has rewritten or removed the object, which left only the digest of its home off; it was counted anew.
    Digest,
}

impl Plant {
    /// What the node says of this one, and did not say before it was planted. What it says of others is no answer.
    fn report(&self, before: &NodeStatus, now: &NodeStatus) -> Option<Report> {
        let named = |status: &NodeStatus| -> Vec<Mismatch> {
            let recent = status.verification.iter().flat_map(|v| &v.recent);
            recent.filter(|m| m.home == self.home && m.key.as_deref() == Some(&*self.key)).cloned().collect()
        };
        if let Some(m) = named(now).get(named(before).len()) {
            return Some(Report::Named(m.repaired_unix_us.map(|at| at - m.found_unix_us)));
        }
        let known = before.events.iter().map(|event| event.number).max().unwrap_or(0);
        let about = format!("shard {}:", self.home);
        let is_reset = now.events.iter().any(|event| {
            event.number > known && event.code == DIGEST_RESET && event.text.starts_with(&about)
        });
        is_reset.then_some(Report::Digest)
    }
}

/// Flips a bit of one object after the other, each when the one before is repaired.
pub(super) async fn plant(standby: &Node) -> Result<CorruptFacts, String> {
    let mut facts = CorruptFacts::default();
    let first = look(standby).await?;
    for pick in 0..PLANTED {
        let before = look(standby).await?;
        let began = Instant::now();
        let plant = corrupt(standby, pick).await?;
        facts.planted += 1;
        Box::pin(follow(standby, &plant, &before, began, &mut facts)).await?;
    }
    facts.false_alarms = false_alarms(&first, &look(standby).await?, facts.found);
    Ok(facts)
}

/// Watches until it is found and repaired, or for too long.
async fn follow(
    standby: &Node,
    plant: &Plant,
    before: &NodeStatus,
    began: Instant,
    facts: &mut CorruptFacts,
) -> Result<(), String> {
    let mut is_found = false;
    while began.elapsed() < FOUND_LIMIT {
        let now = look(standby).await?;
        let report = plant.report(before, &now);
        if report.is_some() && !is_found {
            is_found = true;
            facts.found += 1;
            facts.detect_ms = longest(facts.detect_ms, began.elapsed().as_secs_f64() * 1e3);
        }
        let is_repaired = match report {
            Some(Report::Named(took_us)) => took_us.is_some(),
            Some(Report::Digest) => true,
            None => false,
        };
        if is_repaired && is_whole(&now) {
            facts.repaired += 1;
            // As the node itself timed it.
            if let Some(Report::Named(Some(took_us))) = report {
                facts.repair_ms = longest(facts.repair_ms, took_us as f64 / 1e3);
            }
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn longest(known: Option<f64>, ms: f64) -> Option<f64> {
    Some(known.unwrap_or(0.0).max(ms))
}

/// Reports since `first` that are about nothing planted: each plant that was found explains one.
fn false_alarms(first: &NodeStatus, last: &NodeStatus, found: u64) -> u64 {
    reports(last).saturating_sub(reports(first)).saturating_sub(found)
}

/// Differences that were named, and digests that were off.
fn reports(status: &NodeStatus) -> u64 {
    let Some(v) = &status.verification else { return 0 };
    let sum = |counters: &[Counter], of: &dyn Fn(&str) -> bool| -> u64 {
        counters.iter().filter(|c| of(&c.label)).map(|c| c.value).sum()
    };
    sum(&v.mismatches, &|_| true) + sum(&v.repairs, &|label| label == "digest")
}

fn is_whole(status: &NodeStatus) -> bool {
    let whole = |v: &Verification| {
        [v.homes_unequal, v.homes_inconclusive, v.mismatched_keys].iter().all(|n| *n == Some(0))
            && v.recount_equal != Some(false)
    };
    status.verification.as_ref().is_some_and(whole)
}

async fn look(node: &Node) -> Result<NodeStatus, String> {
    let status = client::status(&node.addr, false).await?;
    let says = status.verification.is_some();
    says.then_some(status).ok_or_else(|| "the standby says nothing about verification".to_owned())
}

async fn corrupt(node: &Node, pick: u64) -> Result<Plant, String> {
    let channel = client::open(&node.addr, CONNECT_LIMIT).await?;
    let request = LabCorruptRequest { kind: "flipped-bit".into(), pick: pick * 0x1_0001_0101, count: 1 };
    let reply = within(ADMIN_LIMIT, AdminClient::new(channel).lab_corrupt(request)).await;
    let reply = reply.map_err(|status| status.message().to_owned())?;
    match (&reply.names[..], &reply.homes[..]) {
        ([key], [home]) => Ok(Plant { key: key.to_vec(), home: *home }),
        ([], _) => Err("there was no object to damage".to_owned()),
        (names, homes) => Err(format!(
            "one object was to be damaged; the node says {} in {} homes",
            names.len(),
            homes.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use standfast_proto::v1::Event;

    use super::*;

    /// A standby that has named these keys (home, key, repaired) and counted these homes' digests anew.
    fn standby(named: &[(u32, &str, bool)], resets: &[u32]) -> NodeStatus {
        let counter = |label: &str, n: usize| Counter { label: label.into(), value: n as u64 };
        let mismatch = |(home, key, repaired): &(u32, &str, bool)| Mismatch {
            home: *home,
            key: Some(key.as_bytes().to_vec().into()),
            found_unix_us: 1_000,
            repaired_unix_us: repaired.then_some(1_500),
            ..Mismatch::default()
        };
        let event = |(i, home): (usize, &u32)| Event {
            number: i as u64 + 1,
            code: DIGEST_RESET.into(),
            text: format!("shard {home}: the content equals the primary's"),
            ..Event::default()
        };
        NodeStatus {
            verification: Some(Verification {
                mismatches: vec![counter("missing", 0), counter("field", named.len())],
                repairs: vec![counter("repaired", named.len()), counter("digest", resets.len())],
                recent: named.iter().map(mismatch).collect(),
                homes_unequal: Some(0),
                homes_inconclusive: Some(0),
                mismatched_keys: Some(0),
                ..Verification::default()
            }),
            events: resets.iter().enumerate().map(event).collect(),
            ..NodeStatus::default()
        }
    }

    #[test]
    fn only_what_is_said_of_the_planted_object_is_found() {
        let plant = Plant { key: b"k".to_vec(), home: 7 };
        let report = |before: &NodeStatus, now: &NodeStatus| plant.report(before, now);
        let none = standby(&[], &[]);
        assert_eq!(report(&none, &none), None);
        assert_eq!(report(&none, &standby(&[(7, "k", false)], &[])), Some(Report::Named(None)));
        assert_eq!(report(&none, &standby(&[(7, "k", true)], &[])), Some(Report::Named(Some(500))));
        assert_eq!(report(&none, &standby(&[], &[7])), Some(Report::Digest));
        for alarm in [
            standby(&[(7, "other", true)], &[]),
            standby(&[(8, "k", true)], &[]),
            standby(&[], &[77]),
            standby(&[], &[8]),
        ] {
            assert_eq!(report(&none, &alarm), None, "{alarm:?}");
        }
        let known = standby(&[(7, "k", true)], &[7]);
        assert_eq!(report(&known, &known), None, "both were said before");
        let again = standby(&[(7, "k", true), (7, "k", true)], &[7]);
        assert_eq!(report(&known, &again), Some(Report::Named(Some(500))));
    }

    #[test]
    fn every_report_that_no_plant_explains_is_a_false_alarm() {
        let first = standby(&[(1, "old", true)], &[]);
        let last = standby(&[(1, "old", true), (7, "k", true), (8, "other", true)], &[9]);
        assert_eq!(false_alarms(&first, &last, 3), 0);
        assert_eq!(false_alarms(&first, &last, 1), 2);
        assert_eq!(false_alarms(&first, &standby(&[(1, "old", true)], &[]), 1), 0);
    }

    #[test]
    fn a_copy_is_whole_when_nothing_is_known_or_looked_at() {
        let whole = |change: fn(&mut Verification)| {
            let mut status = standby(&[], &[]);
            change(status.verification.as_mut().expect("there"));
            is_whole(&status)
        };
        assert!(whole(|_| {}) && !is_whole(&NodeStatus::default()));
        assert!(!whole(|v| v.homes_unequal = Some(1)) && !whole(|v| v.homes_inconclusive = None));
        assert!(!whole(|v| v.mismatched_keys = Some(1)) && !whole(|v| v.recount_equal = Some(false)));
    }

    #[test]
    fn all_must_have_been_planted_found_and_repaired_and_nothing_else() {
        let facts = |planted, found, repaired, false_alarms| {
            CorruptFacts { planted, found, repaired, false_alarms, ..CorruptFacts::default() }.wrong().len()
        };
        assert_eq!(facts(3, 3, 3, 0), 0);
        for wrong in [facts(0, 0, 0, 0), facts(3, 2, 2, 0), facts(3, 3, 2, 0), facts(3, 4, 3, 0)] {
            assert_eq!(wrong, 1);
        }
        assert_eq!((facts(3, 3, 3, 1), facts(3, 2, 2, 1)), (1, 2));
    }
}

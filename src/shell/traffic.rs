//! Counters of calls. Relaxed: each is exact, no two are read at one moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use standfast_kernel::api::{Refusal, Request, Response};
use standfast_proto::v1;

use crate::telemetry::Times;
use crate::telemetry::catalog::STOCK_CALLS;

const CALLS: [&str; 35] = [
    "MountSegment",
    "ReMountSegment",
    "UnmountSegment",
    "GracefulUnmountSegment",
    "QuerySegmentStatus",
    "Ping",
    "BatchQueryIp",
    "GetFsdir",
    "GetStorageConfig",
    "PutStart",
    "UpsertStart",
    "PutEnd",
    "PutRevoke",
    "GetReplicaList",
    "ExistKey",
    "Remove",
    "GetReplicaListByRegex",
    "RemoveByRegex",
    "RemoveAll",
    "BatchReplicaClear",
    "CopyStart",
    "CopyEnd",
    "CopyRevoke",
    "MoveStart",
    "MoveEnd",
    "MoveRevoke",
    "CreateCopyTask",
    "CreateMoveTask",
    "QueryTask",
    "FetchTasks",
    "MarkTaskToComplete",
    "ListKeys",
    "GetMetadata",
    "PutMetadata",
    "RemoveMetadata",
];

/// Where a write spends its time: until its decision begins, until it is
/// appended, until it may be acknowledged.
const STAGES: [&str; 3] = ["queue", "log", "ack"];

/// Changing calls whose stages are told apart; the others are counted together.
const WRITES: [&str; 4] = ["PutStart", "UpsertStart", "PutEnd", "Remove"];

/// The word for those others.
const OTHER: &str = "other";

/// Through which door a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Our own contract.
    Grpc,
    /// Mooncake's protocol.
    Mooncake,
    /// The HTTP port.
    Http,
}

impl Door {
    const ALL: [Self; 3] = [Self::Grpc, Self::Mooncake, Self::Http];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Mooncake => "mooncake",
            Self::Http => "http",
        }
    }
}

/// What became of calls and of their elements.
#[derive(Debug)]
pub struct Traffic {
    calls: [[Call; CALLS.len()]; Door::ALL.len()],
    stock: [Stock; STOCK_CALLS.len()],
    stages: [[Times; STAGES.len()]; WRITES.len() + 1],
    acked_writes: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    without_room: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        // An array this long has no default of its own.
        Self {
            calls: std::array::from_fn(|_| std::array::from_fn(|_| Call::default())),
            stock: std::array::from_fn(|_| Stock::default()),
            stages: <[[Times; STAGES.len()]; WRITES.len() + 1]>::default(),
            acked_writes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            without_room: AtomicU64::new(0),
        }
    }
}

#[derive(Debug, Default)]
struct Call {
    requests: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
    time: Times,
}

#[derive(Debug, Default)]
struct Stock {
    requests: AtomicU64,
    failures: AtomicU64,
    partial_successes: AtomicU64,
    items: AtomicU64,
    failed_items: AtomicU64,
}

impl Traffic {
    /// A call came in.
    pub(super) fn received(&self, door: Door, request: &Request) {
        self.call(door, request.name(), |c| add(&c.requests, 1));
    }

    /// A call was answered.
    pub(super) fn answered(&self, door: Door, name: &str, mutation: bool, response: &Response) {
        let (ok, failed) = outcomes(response);
        self.call(door, name, |c| {
            add(&c.ok, ok);
            add(&c.failed, failed);
        });
        if mutation {
            add(&self.acked_writes, ok);
        }
        add(&self.without_room, without_room(response));
    }

    /// A call of Mooncake's protocol was answered, of whose items so many failed;
    /// counted as the stock master does.
    pub fn stock(&self, op: &str, batch: bool, items: u64, failed: u64) {
        let Some(at) = STOCK_CALLS.iter().position(|c| c.op == op && c.batch == batch) else { return };
        let counts = &self.stock[at];
        add(&counts.requests, 1);
        add(&counts.items, items);
        add(&counts.failed_items, failed);
        match failed {
            0 => {}
            _ if failed < items => add(&counts.partial_successes, 1),
            _ => add(&counts.failures, 1),
        }
    }

    /// A call was refused as a whole; nothing was done.
    pub(super) fn refused(&self) {
        add(&self.refused, 1);
    }

    /// A call's outcome is unknown to its client.
    pub(super) fn unknown(&self) {
        add(&self.unknown, 1);
    }

    /// From the door's handing over the request until its answer.
    pub(super) fn took(&self, door: Door, name: &str, time: Duration) {
        self.call(door, name, |c| c.time.note(time));
    }

    /// A write of this name has passed all of its stages.
    pub(super) fn passed(&self, name: &str, stages: [Duration; STAGES.len()]) {
        let call = WRITES.iter().position(|write| *write == name).unwrap_or(WRITES.len());
        for (times, took) in self.stages[call].iter().zip(stages) {
            times.note(took);
        }
    }

    fn call(&self, door: Door, name: &str, count: impl FnOnce(&Call)) {
        if let Some(i) = CALLS.iter().position(|c| *c == name) {
            count(&self.calls[door as usize][i]);
        }
    }

    fn write_stages(&self) -> impl Iterator<Item = v1::Stage> {
        let calls = WRITES.into_iter().map(snake_case).chain([OTHER.to_owned()]).zip(&self.stages);
        calls.flat_map(|(call, stages)| {
            STAGES.iter().zip(stages).map(move |(stage, times)| v1::Stage {
                stage: (*stage).to_owned(),
                call: call.clone(),
                time: Some(times.reading()),
            })
        })
    }

    /// For the status.
    pub(super) fn status(&self, pending: u64) -> v1::Traffic {
        let of_door = |door: Door| {
            CALLS.iter().zip(&self.calls[door as usize]).map(move |(name, c)| v1::CallStatus {
                call: snake_case(name),
                door: door.word().to_owned(),
                requests: get(&c.requests),
                elements: vec![
                    v1::Counter { label: "ok".into(), value: get(&c.ok) },
                    v1::Counter { label: "error".into(), value: get(&c.failed) },
                ],
                time: Some(c.time.reading()),
                ..v1::CallStatus::default()
            })
        };
        let stock = STOCK_CALLS.iter().zip(&self.stock).map(|(call, c)| v1::StockCall {
            op: call.op.to_owned(),
            batch: call.batch,
            requests: get(&c.requests),
            failures: get(&c.failures),
            partial_successes: get(&c.partial_successes),
            items: get(&c.items),
            failed_items: get(&c.failed_items),
        });
        v1::Traffic {
            calls: Door::ALL.into_iter().flat_map(of_door).collect(),
            acked_writes: Some(get(&self.acked_writes)),
            refused: Some(get(&self.refused)),
            unknown_outcomes: Some(get(&self.unknown)),
            allocation_failures: Some(get(&self.without_room)),
            pending_replies: Some(pending),
            stock_calls: stock.collect(),
            write_stages: self.write_stages().collect(),
            ..v1::Traffic::default()
        }
    }
}

/// The number of a call, as the flight recorder keeps it.
pub(super) fn call_number(name: &str) -> u8 {
    CALLS.iter().position(|c| *c == name).map_or(u8::MAX, |i| i as u8)
}

/// The words of a call and its door behind their numbers.
pub(super) fn words(call: u8, door: u8) -> (String, String) {
    let door = Door::ALL.into_iter().find(|d| *d as u8 == door).map_or("", Door::word);
    (CALLS.get(usize::from(call)).map(|name| snake_case(name)).unwrap_or_default(), door.to_owned())
}

/// The word of a call in the contract: `PutStart` is `put_start`.
pub(super) fn snake_case(name: &str) -> String {
    let mut word = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Writes for which there was no memory.
fn without_room(response: &Response) -> u64 {
    let (Response::PutStart(started) | Response::UpsertStart(started)) = response else { return 0 };
    started.iter().filter(|r| matches!(r, Err(Refusal::NoAvailableHandle(_)))).count() as u64
}

/// Elements that succeeded and that failed.
fn outcomes(response: &Response) -> (u64, u64) {
    fn split<T, E>(results: &[Result<T, E>]) -> (u64, u64) {
        let ok = results.iter().filter(|r| r.is_ok()).count() as u64;
        (ok, results.len() as u64 - ok)
    }
    match response {
        Response::MountSegment(r)
        | Response::ReMountSegment(r)
        | Response::UnmountSegment(r)
        | Response::GracefulUnmountSegment(r) => split(std::slice::from_ref(r)),
        Response::QuerySegmentStatus(r) => split(std::slice::from_ref(r)),
        Response::Ping(_) | Response::GetFsdir(_) | Response::GetStorageConfig(_) => (1, 0),
        Response::BatchQueryIp(found) => (found.len() as u64, 0),
        Response::PutStart(r) | Response::UpsertStart(r) => split(r),
        Response::PutEnd(r) | Response::PutRevoke(r) | Response::Remove(r) => split(r),
        Response::GetReplicaList(r) => split(r),
        Response::ExistKey(r) => split(r),
        Response::GetReplicaListByRegex(r) => split(std::slice::from_ref(r)),
        Response::RemoveByRegex(r) => split(std::slice::from_ref(r)),
        Response::RemoveAll(_) => (1, 0),
        // Stock masters skip the rest without a word: they did not fail.
        Response::BatchReplicaClear(cleared) => (cleared.len() as u64, 0),
        Response::CopyStart(r) | Response::MoveStart(r) => split(std::slice::from_ref(r)),
        Response::CopyEnd(r)
        | Response::CopyRevoke(r)
        | Response::MoveEnd(r)
        | Response::MoveRevoke(r)
        | Response::RemoveMetadata(r)
        | Response::MarkTaskToComplete(r) => split(std::slice::from_ref(r)),
        Response::ListKeys(r) => split(std::slice::from_ref(r)),
        Response::GetMetadata(r) => split(std::slice::from_ref(r)),
        Response::PutMetadata(r) => split(std::slice::from_ref(r)),
        Response::CreateCopyTask(r) | Response::CreateMoveTask(r) => split(std::slice::from_ref(r)),
        Response::QueryTask(r) => split(std::slice::from_ref(r)),
        Response::FetchTasks(tasks) => (tasks.len() as u64, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_contract() {
        let traffic = Traffic::default();
        traffic.received(Door::Grpc, &Request::ExistKey { keys: Vec::new() });
        let status = traffic.status(0);
        let called: Vec<&v1::CallStatus> = status.calls.iter().filter(|call| call.requests > 0).collect();
        assert_eq!((called.len(), &*called[0].call, &*called[0].door), (1, "exist_key", "grpc"));
        let words = status.calls.iter().map(|call| &call.call);
        assert!(words.clone().all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
        assert!(words.clone().any(|word| word == "get_replica_list"));
    }

    #[test]
    fn every_call_of_the_hall_is_counted_and_is_in_the_catalogue() {
        let status = Traffic::default().status(0);
        let words: Vec<&str> = status.calls.iter().take(CALLS.len()).map(|call| &*call.call).collect();
        assert_eq!(words, crate::telemetry::catalog::CALLS);
    }

    #[test]
    fn the_stages_of_writes_are_told_apart_by_call() {
        let traffic = Traffic::default();
        for (name, ms) in [("PutEnd", 7), ("Remove", 1), ("RemoveAll", 1), ("MountSegment", 1)] {
            traffic.passed(name, [Duration::ZERO, Duration::ZERO, Duration::from_millis(ms)]);
        }
        let stages = traffic.status(0).write_stages;
        let calls: Vec<&str> = stages.iter().step_by(STAGES.len()).map(|stage| &*stage.call).collect();
        assert_eq!(calls, crate::telemetry::catalog::WRITES);
        let acks = |call: &str| {
            let ack = stages.iter().find(|s| s.stage == "ack" && s.call == call).expect("there");
            let time = ack.time.as_ref().expect("counted");
            (time.counts.iter().sum::<u64>(), time.sum_us)
        };
        assert_eq!((acks("put_end"), acks("remove")), ((1, 7_000), (1, 1_000)));
        assert_eq!((acks("other"), acks("put_start")), ((2, 2_000), (0, 0)));
    }

    #[test]
    fn a_batch_of_which_some_items_failed_is_a_partial_success() {
        let traffic = Traffic::default();
        for (items, failed) in [(3, 0), (3, 1), (3, 3)] {
            traffic.stock("put_start", true, items, failed);
        }
        let status = traffic.status(0);
        let c = status.stock_calls.iter().find(|c| c.op == "put_start" && c.batch).expect("counted");
        assert_eq!((c.requests, c.failures, c.partial_successes), (3, 1, 1));
        assert_eq!((c.items, c.failed_items), (9, 4));
    }
}

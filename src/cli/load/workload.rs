//! The load: writers that each own a range of keys, and what all of them share.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use standfast_proto::v1::{
    ElementResult, Error, ErrorCode, ExistKeyRequest, PutEndItem, PutEndRequest, PutStartItem, PutStartReply,
    PutStartRequest, RemoveRequest, ReplicateConfig, Uuid, exist_key_result,
};
use tokio::sync::RwLock;
use tokio::time::Instant;

use super::ledger::{Ledger, State, add};
use super::memory::{Dice, Memory, checksum_of, size_of, stamp};
use super::route::{Answer, Caller, Route};

/// Batch sizes, singles included: while a writer's keys are put for the first time, and afterwards.
const FIRST_BATCHES: [usize; 6] = [1, 16, 128, 256, 256, 256];
const BATCHES: [usize; 7] = [1, 1, 4, 16, 64, 128, 128];
/// After a call that did not go through: a client that asks again at once only counts more of what is unknown.
const PAUSE: Duration = Duration::from_millis(40);

/// For what is open at the end to be settled.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// One of so many puts into shared memory is slow.
const SLOW_ONE_IN: u64 = 16;
/// And writes at most so many keys.
const SLOW_KEYS_MAX: usize = 16;
/// The longest pause between its two parts, for each key.
const SLICE_MS_MAX: u64 = 20;

/// What all clients share.
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) memory: Memory,
    pub(crate) route: Arc<Route>,
    /// Held for reading during each turn, so that writing it stops the load between turns.
    pub(crate) gate: RwLock<()>,
    pub(crate) stop: AtomicBool,
    pub(crate) outage: Outage,
}

impl World {
    pub(crate) fn new(keys: u32, addrs: Vec<String>) -> Self {
        Self::with_memory(keys, addrs, Memory::default())
    }

    /// One whose lent memory may be known to other processes.
    pub(crate) fn with_memory(keys: u32, addrs: Vec<String>, memory: Memory) -> Self {
        Self {
            ledger: Ledger::new(keys),
            memory,
            route: Arc::new(Route::new(addrs)),
            gate: RwLock::default(),
            stop: AtomicBool::new(false),
            outage: Outage::default(),
        }
    }
}

/// From the kill to the first good write. It begins when the process is gone, so that a write which the dying one
/// still answered does not end it.
#[derive(Default)]
pub(crate) struct Outage {
    pub(crate) began: OnceLock<Instant>,
    pub(crate) ended: OnceLock<Instant>,
}

impl Outage {
    /// A write was acknowledged that was sent at `sent`.
    fn good_write(&self, sent: Instant) {
        if self.began.get().is_some_and(|began| sent >= *began) {
            self.ended.get_or_init(Instant::now);
        }
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        Some(self.ended.get()?.saturating_duration_since(*self.began.get()?))
    }
}

pub(crate) fn key_name(key: u32) -> bytes::Bytes {
    format!("demo/layer-{}/block-{key:08}", key % 32).into_bytes().into()
}

/// A result's error number; 0 = success.
pub(crate) fn code(error: Option<&Error>) -> ErrorCode {
    error.map_or(ErrorCode::Ok, |error| ErrorCode::try_from(error.code).unwrap_or(ErrorCode::InternalError))
}

/// A client that writes its own keys and nobody else's.
pub(crate) struct Writer {
    world: Arc<World>,
    caller: Caller,
    id: Uuid,
    keys: Range<u32>,
    cursor: u32,
    /// All own keys have been put once.
    filled: bool,
    dice: Dice,
    /// Keys whose end or removal is to be repeated.
    open_ends: Vec<u32>,
    open_removes: Vec<u32>,
    /// Starts whose outcome is unknown, by key: so many ends may be charged to them (SEMANTICS R21).
    lost_starts: HashMap<u32, u32>,
}

impl Writer {
    pub(crate) fn new(world: &Arc<World>, nr: u32, keys: Range<u32>, seed: u64) -> Self {
        Self {
            world: Arc::clone(world),
            caller: Caller::new(Arc::clone(&world.route)),
            id: Uuid { first: 100 + u64::from(nr), second: seed | 1 },
            cursor: keys.start,
            keys,
            filled: false,
            dice: Dice(seed.rotate_left(nr)),
            open_ends: Vec::new(),
            open_removes: Vec::new(),
            lost_starts: HashMap::new(),
        }
    }

    /// Goes on until it is told to stop.
    pub(crate) async fn run(mut self) {
        let world = Arc::clone(&self.world);
        while !world.stop.load(Ordering::Relaxed) {
            let turn = world.gate.read().await;
            let went_through = self.turn().await;
            drop(turn);
            if !went_through {
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.settle().await;
    }

    /// What is open at the end would prove nothing: it is repeated until its outcome is known.
    async fn settle(&mut self) {
        let until = Instant::now() + SETTLE_LIMIT;
        while Instant::now() < until && !(self.open_ends.is_empty() && self.open_removes.is_empty()) {
            if !self.repeat().await {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Repeats what has an unknown outcome: ends, then removals.
    async fn repeat(&mut self) -> bool {
        if self.open_ends.is_empty() {
            return self.remove_again().await;
        }
        let keys = std::mem::take(&mut self.open_ends);
        self.end(keys).await
    }

    async fn turn(&mut self) -> bool {
        if !(self.open_ends.is_empty() && self.open_removes.is_empty()) {
            return self.repeat().await;
        }
        let sizes: &[usize] = if self.filled { &BATCHES } else { &FIRST_BATCHES };
        let size = sizes[self.dice.below(sizes.len() as u64) as usize];
        match self.dice.below(16) {
            0 | 1 => self.exist(size).await,
            2 => self.remove(size).await,
            3..=5 if self.filled => self.remove(size).await,
            _ => {
                let keys = self.free_keys(size);
                if keys.is_empty() { self.remove(size).await } else { self.put(keys).await }
            }
        }
    }

    /// The next own keys that can be put.
    fn free_keys(&mut self, size: usize) -> Vec<u32> {
        let mut keys = Vec::with_capacity(size);
        for _ in 0..self.keys.len() {
            if keys.len() == size {
                break;
            }
            if matches!(self.world.ledger.get(self.cursor).state, State::Absent | State::StartUnknown) {
                keys.push(self.cursor);
            }
            self.cursor += 1;
            if self.cursor == self.keys.end {
                (self.cursor, self.filled) = (self.keys.start, true);
            }
        }
        keys
    }

    /// Own keys from a random place on whose state is one of `states`.
    fn some_keys(&mut self, size: usize, states: &[State]) -> Vec<u32> {
        let len = self.keys.len() as u32;
        let from = self.dice.below(u64::from(len)) as u32;
        let ring = (0..len.min(4 * size as u32)).map(|i| self.keys.start + (from + i) % len);
        ring.filter(|&key| states.contains(&self.world.ledger.get(key).state)).take(size).collect()
    }

    async fn put(&mut self, keys: Vec<u32>) -> bool {
        let world = Arc::clone(&self.world);
        let before: Vec<State> = keys.iter().map(|&key| world.ledger.get(key).state).collect();
        let items = keys.iter().map(|&key| {
            let attempt = world.ledger.begin(key);
            PutStartItem { key: key_name(key), size: size_of(key, attempt) }
        });
        let config =
            ReplicateConfig { replica_num: 1 + self.dice.below(4) as u32 / 3, ..ReplicateConfig::default() };
        let request = PutStartRequest {
            client: Some(self.id),
            config: Some(config),
            items: items.collect(),
            tenant: String::new(),
        };
        match self.caller.call(|mut master| async move { master.put_start(request).await }).await {
            Answer::Reply(reply) => {
                let begun = self.place(&keys, &before, &reply).await;
                begun.is_empty() || self.end(begun).await
            }
            Answer::Refused => {
                keys.iter().zip(before).for_each(|(&key, was)| world.ledger.set(key, was));
                false
            }
            Answer::Unknown => {
                for &key in &keys {
                    world.ledger.set(key, State::StartUnknown);
                    *self.lost_starts.entry(key).or_default() += 1;
                }
                false
            }
        }
    }

    /// Writes the bytes where the master said; returns the keys whose bytes are written.
    async fn place(&mut self, keys: &[u32], before: &[State], reply: &PutStartReply) -> Vec<u32> {
        let slice = self.slice().filter(|_| keys.len() <= SLOW_KEYS_MAX);
        let world = Arc::clone(&self.world);
        let ledger = &world.ledger;
        if reply.results.len() != keys.len() {
            ledger.unexpected(format!("{} results for {} puts", reply.results.len(), keys.len()));
        }
        let mut begun = Vec::with_capacity(keys.len());
        for (i, (&key, &was)) in keys.iter().zip(before).enumerate() {
            let Some(result) = reply.results.get(i) else {
                ledger.set(key, State::SetAside);
                continue;
            };
            match code(result.error.as_ref()) {
                ErrorCode::Ok => match self.write(key, result, reply, slice).await {
                    Ok(()) => begun.push(key),
                    Err(what) => {
                        ledger.wrong(what);
                        ledger.set(key, State::SetAside);
                    }
                },
                ErrorCode::NoAvailableHandle => {
                    add(&ledger.counts.no_space);
                    ledger.set(key, was);
                }
                // The lost start had begun it.
                ErrorCode::ObjectAlreadyExists if was == State::StartUnknown => ledger.set(key, was),
                ErrorCode::ObjectAlreadyExists => self.is_back(key),
                other => {
                    ledger.unexpected(format!("put of key {key} is answered with {}", other.as_str_name()));
                    ledger.set(key, was);
                }
            }
        }
        begun
    }

    /// Now and then a put writes in two parts with a pause between, as long transfers do; whoever led when it began may
    /// be dead when it ends.
    fn slice(&mut self) -> Option<Duration> {
        let is_slow = self.world.memory.is_shared() && self.dice.below(SLOW_ONE_IN) == 0;
        is_slow.then(|| Duration::from_millis(1 + self.dice.below(SLICE_MS_MAX)))
    }

    async fn write(
        &self,
        key: u32,
        result: &standfast_proto::v1::PutStartResult,
        reply: &PutStartReply,
        slice: Option<Duration>,
    ) -> Result<(), String> {
        let value = stamp(key, self.world.ledger.get(key).attempt);
        if result.replicas.is_empty() {
            return Err(format!("key {key} was begun without an address"));
        }
        for replica in &result.replicas {
            let segment = reply.segments.get(replica.segment as usize).map_or("", |segment| &segment.name);
            if replica.size != value.len() as u64 {
                return Err(format!("key {key} was given {} bytes, expected {}", replica.size, value.len()));
            }
            let (first, rest) = value.split_at(value.len() / 2);
            let memory = &self.world.memory;
            memory.write(segment, replica.address, first).map_err(|wrong| wrong.0)?;
            if let Some(pause) = slice {
                tokio::time::sleep(pause).await;
            }
            let at = replica.address + first.len() as u64;
            memory.write(segment, at, rest).map_err(|wrong| wrong.0)?;
        }
        Ok(())
    }

    /// Publishes keys whose bytes are written. May be repeated.
    async fn end(&mut self, keys: Vec<u32>) -> bool {
        let world = Arc::clone(&self.world);
        let ledger = &world.ledger;
        let items = keys.iter().map(|&key| PutEndItem {
            key: key_name(key),
            checksum: Some(checksum_of(key, ledger.get(key).attempt)),
        });
        let request = PutEndRequest { client: Some(self.id), items: items.collect(), tenant: String::new() };
        let sent = Instant::now();
        let answer = self.caller.call(|mut master| async move { master.put_end(request).await }).await;
        let Answer::Reply(reply) = answer else {
            keys.iter().for_each(|&key| ledger.set(key, State::EndUnknown));
            self.open_ends = keys;
            return false;
        };
        for (key, result) in self.pair(&keys, &reply.results) {
            match code(result.error.as_ref()) {
                ErrorCode::Ok => {
                    ledger.set(key, State::Acked);
                    self.lost_starts.remove(&key);
                    world.outage.good_write(sent);
                }
                // Charged to an earlier attempt, whose start had an unknown outcome (SEMANTICS R21): nothing is
                // published, nothing acknowledged. That attempt wrote nothing, so this one's end is sent once more.
                ErrorCode::InvalidWrite if self.has_lost_start(key) => {
                    ledger.set(key, State::EndUnknown);
                    self.open_ends.push(key);
                }
                // A start is acknowledged only when it cannot be lost, in async mode too.
                other => {
                    let name = other.as_str_name();
                    ledger.unexpected(format!("the end of the write of key {key} is answered with {name}"));
                    ledger.set(key, State::SetAside);
                }
            }
        }
        true
    }

    /// Whether an end of this key may be charged to a start that was lost; each of them explains one.
    fn has_lost_start(&mut self, key: u32) -> bool {
        let left = self.lost_starts.get_mut(&key).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }

    /// An acknowledged put is not there. Where that may be, its end was lost: its start still stands.
    fn is_missing(&mut self, key: u32, how: &str) {
        let ledger = &self.world.ledger;
        ledger.missing(key, ledger.get(key).attempt, how);
        if ledger.may_be_lost(key) {
            ledger.set(key, State::StartUnknown);
            *self.lost_starts.entry(key).or_default() += 1;
        } else {
            ledger.set(key, State::SetAside);
        }
    }

    /// A removed key is there. Where that may be, its removal was lost, and is repeated.
    fn is_back(&mut self, key: u32) {
        let ledger = &self.world.ledger;
        ledger.returned(key);
        if ledger.may_be_lost(key) {
            ledger.set(key, State::RemoveUnknown);
            self.open_removes.push(key);
        } else {
            ledger.set(key, State::SetAside);
        }
    }

    async fn remove(&mut self, size: usize) -> bool {
        let keys = self.some_keys(size, &[State::Acked]);
        if keys.is_empty() {
            return true;
        }
        let world = Arc::clone(&self.world);
        let ledger = &world.ledger;
        keys.iter().for_each(|&key| ledger.set(key, State::Removing));
        let results = match self.send_remove(&keys, false).await {
            Answer::Reply(results) => results,
            Answer::Refused => {
                keys.iter().for_each(|&key| ledger.set(key, State::Acked));
                return false;
            }
            Answer::Unknown => {
                keys.iter().for_each(|&key| ledger.set(key, State::RemoveUnknown));
                self.open_removes.extend(keys);
                return false;
            }
        };
        for (key, result) in self.pair(&keys, &results) {
            match code(result.error.as_ref()) {
                ErrorCode::Ok => ledger.set(key, State::Absent),
                ErrorCode::ObjectHasLease => ledger.set(key, State::Acked),
                other => {
                    self.is_missing(key, other.as_str_name());
                }
            }
        }
        true
    }

    /// Repeats removals whose outcome is unknown; by force, as a reader's lease would leave them unknown for ever.
    /// Bytes that are still leased are not used again before their leases are over (PROTOCOL A3).
    async fn remove_again(&mut self) -> bool {
        let world = Arc::clone(&self.world);
        let keys = std::mem::take(&mut self.open_removes);
        let Answer::Reply(results) = self.send_remove(&keys, true).await else {
            self.open_removes = keys;
            return false;
        };
        for (key, result) in self.pair(&keys, &results) {
            match code(result.error.as_ref()) {
                ErrorCode::Ok | ErrorCode::ObjectNotFound => world.ledger.set(key, State::Absent),
                other => {
                    let name = other.as_str_name();
                    world
                        .ledger
                        .unexpected(format!("the repeated removal of key {key} is answered with {name}"));
                    world.ledger.set(key, State::SetAside);
                }
            }
        }
        true
    }

    async fn send_remove(&mut self, keys: &[u32], force: bool) -> Answer<Vec<ElementResult>> {
        let names = keys.iter().map(|&key| key_name(key)).collect();
        let request = RemoveRequest { keys: names, force, tenant: String::new() };
        match self.caller.call(|mut master| async move { master.remove(request).await }).await {
            Answer::Reply(reply) => Answer::Reply(reply.results),
            Answer::Refused => Answer::Refused,
            Answer::Unknown => Answer::Unknown,
        }
    }

    async fn exist(&mut self, size: usize) -> bool {
        let keys = self.some_keys(size, &[State::Acked, State::Absent]);
        let world = Arc::clone(&self.world);
        let names = keys.iter().map(|&key| key_name(key)).collect();
        let request = ExistKeyRequest { keys: names, tenant: String::new() };
        let answer = self.caller.call(|mut master| async move { master.exist_key(request).await }).await;
        let Answer::Reply(reply) = answer else { return false };
        for (&key, result) in keys.iter().zip(&reply.results) {
            let entry = world.ledger.get(key);
            add(&world.ledger.counts.exists_checked);
            match (&result.answer, entry.state) {
                (Some(exist_key_result::Answer::Exists(true)), State::Acked)
                | (Some(exist_key_result::Answer::Exists(false)), State::Absent) => {}
                (Some(exist_key_result::Answer::Exists(true)), _) => {
                    self.is_back(key);
                }
                (Some(exist_key_result::Answer::Exists(false)), _) => {
                    self.is_missing(key, "it does not exist");
                }
                (Some(exist_key_result::Answer::Error(_)) | None, _) => {
                    world.ledger.unexpected(format!("whether key {key} exists is answered with an error"));
                }
            }
        }
        true
    }

    /// Results beside their keys; a reply of another length is a fault of its own.
    fn pair<'a>(&self, keys: &[u32], results: &'a [ElementResult]) -> Vec<(u32, &'a ElementResult)> {
        if keys.len() != results.len() {
            self.world.ledger.unexpected(format!("{} results for {} keys", results.len(), keys.len()));
        }
        keys.iter().copied().zip(results).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lost_start_explains_one_end_and_no_more() {
        let world = Arc::new(World::new(4, vec!["127.0.0.1:1".into()]));
        let mut writer = Writer::new(&world, 0, 0..4, 1);
        assert!(!writer.has_lost_start(2), "no start was lost");
        writer.lost_starts.insert(2, 2);
        let explained = [2, 1, 2, 2].map(|key| writer.has_lost_start(key));
        assert_eq!(explained, [true, false, true, false]);
    }

    #[test]
    fn what_may_be_lost_is_put_or_removed_again_and_else_set_aside() {
        for may_lose in [false, true] {
            let world = Arc::new(World::new(4, vec!["127.0.0.1:1".into()]));
            if may_lose {
                world.ledger.may_lose_from(Instant::now() - Duration::from_secs(3600));
            }
            let mut writer = Writer::new(&world, 0, 0..4, 1);
            writer.is_missing(0, "it is not there");
            writer.is_back(1);
            let states = [0, 1].map(|key| world.ledger.get(key).state);
            let aside = [State::SetAside; 2];
            assert_eq!(states, if may_lose { [State::StartUnknown, State::RemoveUnknown] } else { aside });
            assert_eq!((writer.has_lost_start(0), writer.open_removes == [1]), (may_lose, may_lose));
        }
    }

    #[tokio::test]
    async fn a_start_without_an_answer_is_lost_and_one_that_was_never_sent_is_not() {
        let world = Arc::new(World::new(4, vec!["127.0.0.1:1".into()]));
        let mut writer = Writer::new(&world, 0, 0..4, 1);
        assert!(!writer.put(vec![0, 1]).await, "nobody is there");
        assert_eq!((world.ledger.get(0).state, writer.lost_starts.len()), (State::Absent, 0));
        writer.open_removes = vec![3];
        world.ledger.set(3, State::RemoveUnknown);
        assert!(!writer.turn().await);
        assert_eq!(writer.open_removes, [3], "what is open stays open until it is answered");
    }

    #[test]
    fn only_a_write_sent_after_the_kill_ends_the_outage() {
        let outage = Outage::default();
        let before = Instant::now();
        outage.good_write(before);
        let began = before + Duration::from_nanos(1);
        outage.began.set(began).expect("set once");
        outage.good_write(before);
        assert_eq!(outage.duration(), None);
        outage.good_write(began);
        assert!(outage.duration().is_some());
    }
}

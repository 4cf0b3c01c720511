//! Reading: while the load runs, and every key once at the end. Each byte is compared.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use standfast_proto::v1::{
    ErrorCode, GetReplicaListReply, GetReplicaListRequest, GetReplicaListResult, ReplicaStatus,
};
use tokio::time::Instant;

use super::ledger::{Entry, State, add};
use super::memory::{self, Dice, checksum_of};
use super::route::{Answer, Caller, Route};
use super::workload::{World, code, key_name};

const BATCH_MAX: u64 = 64;
const FINAL_BATCH: u32 = 256;
/// Attempts at one batch of the final reading, and the wait after one without an answer: a primary may have to wait
/// for a promise. What came too late is asked for again at once.
const FINAL_TRIES: u32 = 20;
const FINAL_PAUSE: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);
/// For the whole final reading.
const FINAL_LIMIT: Duration = Duration::from_secs(30);

/// What one look at a key showed.
enum Look {
    /// The bytes of this attempt.
    Bytes(u32),
    NotThere,
    /// The lease ended before the bytes were read: they prove nothing.
    TooLate,
    /// It was wrong, and the ledger was told so.
    Wrong,
}

/// A client that reads keys at random and compares every byte.
pub(crate) struct Reader {
    world: Arc<World>,
    caller: Caller,
    dice: Dice,
}

impl Reader {
    pub(crate) fn new(world: &Arc<World>, seed: u64) -> Self {
        Self::by_way_of(world, Arc::clone(&world.route), seed)
    }

    /// One that finds the primary by another route, or asks one node whatever its role.
    pub(crate) fn by_way_of(world: &Arc<World>, route: Arc<Route>, seed: u64) -> Self {
        Self { world: Arc::clone(world), caller: Caller::new(route), dice: Dice(seed) }
    }

    /// Goes on until it is told to stop.
    pub(crate) async fn run(mut self) {
        let world = Arc::clone(&self.world);
        while !world.stop.load(Ordering::Relaxed) {
            let turn = world.gate.read().await;
            let size = 1 + self.dice.below(BATCH_MAX);
            let len = u64::from(world.ledger.len());
            let keys: Vec<u32> = (0..size).map(|_| self.dice.below(len) as u32).collect();
            let answered = self.check(&keys).await;
            drop(turn);
            if !answered {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn check(&mut self, keys: &[u32]) -> bool {
        let world = Arc::clone(&self.world);
        let before: Vec<Entry> = keys.iter().map(|&key| world.ledger.get(key)).collect();
        let Some((looks, after)) = look(&mut self.caller, &world, keys).await else { return false };
        for (i, &key) in keys.iter().enumerate() {
            let (was, is) = (before[i], after[i]);
            judge(&world, key, &looks[i], (was == is).then_some(is.state), is.attempt);
        }
        true
    }
}

/// Reads every key once, when the load has ended. Returns how many acknowledged keys could not be asked for.
pub(crate) async fn read_all(world: &Arc<World>) -> u64 {
    let mut caller = Caller::new(Arc::clone(&world.route));
    let until = Instant::now() + FINAL_LIMIT;
    let (mut unread, mut gave_up) = (0, false);
    let mut from = 0;
    while from < world.ledger.len() {
        let to = world.ledger.len().min(from + FINAL_BATCH);
        let mut left: Vec<u32> = (from..to).collect();
        if !gave_up {
            let ask = async |keys: &[u32]| look(&mut caller, world, keys).await;
            // What does not answer so often in a row will not answer the rest either.
            gave_up = !read_batch(world, &mut left, until, ask).await;
        }
        unread += left.iter().filter(|&&key| world.ledger.get(key).state == State::Acked).count() as u64;
        from = to;
    }
    unread
}

/// What each key showed, and what the ledger says of it afterwards.
type Looked = (Vec<Look>, Vec<Entry>);

/// Reads keys until all have been judged, `until` has come or the tries are used up; leaves in `keys` those that
/// were not. False when there was no answer at all.
async fn read_batch(
    world: &World,
    keys: &mut Vec<u32>,
    until: Instant,
    mut ask: impl AsyncFnMut(&[u32]) -> Option<Looked>,
) -> bool {
    let mut answered = false;
    for _ in 0..FINAL_TRIES {
        if keys.is_empty() || Instant::now() > until {
            break;
        }
        let Some((looks, entries)) = ask(keys).await else {
            tokio::time::sleep(FINAL_PAUSE).await;
            continue;
        };
        answered = true;
        let mut looked = looks.iter().zip(&entries);
        keys.retain(|&key| {
            let Some((look, entry)) = looked.next() else { return true };
            judge(world, key, look, Some(entry.state), entry.attempt);
            matches!(look, Look::TooLate)
        });
    }
    answered
}

/// Asks where the keys are and reads them there.
async fn look(caller: &mut Caller, world: &World, keys: &[u32]) -> Option<Looked> {
    let names = keys.iter().map(|&key| key_name(key)).collect();
    let request = GetReplicaListRequest { keys: names, tenant: String::new() };
    // The lease counts from before the request was sent.
    let sent = Instant::now();
    let answer = caller.call(|mut master| async move { master.get_replica_list(request).await }).await;
    let Answer::Reply(reply) = answer else { return None };
    if reply.results.len() != keys.len() {
        world.ledger.unexpected(format!("{} results for {} reads", reply.results.len(), keys.len()));
        return None;
    }
    let looks = keys.iter().zip(&reply.results).map(|(&key, result)| read(world, key, result, &reply, sent));
    let looks = looks.collect();
    Some((looks, keys.iter().map(|&key| world.ledger.get(key)).collect()))
}

fn read(
    world: &World,
    key: u32,
    result: &GetReplicaListResult,
    reply: &GetReplicaListReply,
    sent: Instant,
) -> Look {
    match code(result.error.as_ref()) {
        ErrorCode::Ok => {}
        ErrorCode::ObjectNotFound | ErrorCode::ReplicaIsNotReady => return Look::NotThere,
        other => {
            world.ledger.unexpected(format!("a read of key {key} is answered with {}", other.as_str_name()));
            return Look::Wrong;
        }
    }
    let mut attempts = Vec::with_capacity(result.replicas.len());
    for replica in &result.replicas {
        let segment = reply.segments.get(replica.segment as usize).map_or("", |segment| &segment.name);
        let bytes = world.memory.read(segment, replica.address, replica.size);
        let attempt = bytes.and_then(|bytes| memory::check(key, &bytes)).map_err(|wrong| wrong.0);
        attempts.push(match replica.status() {
            ReplicaStatus::Complete => attempt,
            other => Err(format!("key {key}: a reader is shown a replica that is {}", other.as_str_name())),
        });
    }
    if sent.elapsed() >= Duration::from_millis(result.lease_ttl_ms) {
        return Look::TooLate;
    }
    let first = match attempts.into_iter().reduce(|a, b| if a == b { a } else { a.and(b) }) {
        Some(Ok(attempt)) => attempt,
        Some(Err(what)) => {
            world.ledger.wrong(what);
            return Look::Wrong;
        }
        None => {
            world.ledger.wrong(format!("key {key} is readable but has no replica"));
            return Look::Wrong;
        }
    };
    if result.checksum != Some(checksum_of(key, first)) {
        world.ledger.wrong(format!("key {key}: the checksum is not that of attempt {first}"));
    }
    Look::Bytes(first)
}

/// Compares a look with the ledger. `settled` is the key's state if it stood still meanwhile; `attempt` is the
/// highest that can have been written.
fn judge(world: &World, key: u32, look: &Look, settled: Option<State>, attempt: u32) {
    let ledger = &world.ledger;
    match (look, settled) {
        (Look::TooLate | Look::Wrong, _) => return,
        (Look::Bytes(found), Some(State::Acked)) if *found != attempt => {
            // Where the last put may be lost, an older one may be what is left.
            if *found < attempt && ledger.may_be_lost(key) {
                ledger.missing(key, attempt, "an older value is there instead");
            } else {
                ledger.wrong(format!(
                    "key {key}: attempt {found} is there, attempt {attempt} was acknowledged"
                ));
            }
        }
        (Look::Bytes(found), _) if *found > attempt || *found == 0 => {
            ledger.wrong(format!("key {key}: attempt {found} is there, the last one was {attempt}"));
        }
        (Look::Bytes(_), Some(State::Absent)) => ledger.returned(key),
        // Whatever is unknown of the last attempt: an earlier one was removed before it began.
        (Look::Bytes(found), Some(_)) if *found < attempt => ledger.returned(key),
        (Look::NotThere, Some(State::Acked)) => ledger.missing(key, attempt, "it is not there"),
        (Look::Bytes(_) | Look::NotThere, _) => {}
    }
    add(&ledger.counts.reads_checked);
}

#[cfg(test)]
mod tests {
    use super::super::ledger::read as count;
    use super::*;

    fn world(may_lose: bool) -> World {
        let world = World::new(1, vec!["127.0.0.1:1".into()]);
        if may_lose {
            world.ledger.may_lose_from(Instant::now() - Duration::from_secs(3600));
        }
        world
    }

    /// (missing, returned, wrong)
    fn judged(world: &World, look: &Look, settled: Option<State>) -> (u64, u64, u64) {
        judge(world, 0, look, settled, 3);
        let counts = &world.ledger.counts;
        (count(&counts.acked_missing), count(&counts.returned), count(&counts.wrong_bytes))
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_nothing_else() {
        for (look, settled, expected) in [
            (Look::Bytes(3), Some(State::Acked), (0, 0, 0)),
            (Look::Bytes(2), Some(State::Acked), (0, 0, 1)),
            (Look::NotThere, Some(State::Acked), (1, 0, 0)),
            (Look::Bytes(3), Some(State::Absent), (0, 1, 0)),
            (Look::NotThere, Some(State::Absent), (0, 0, 0)),
            (Look::Bytes(4), Some(State::EndUnknown), (0, 0, 1)),
            (Look::Bytes(3), Some(State::EndUnknown), (0, 0, 0)),
            (Look::NotThere, Some(State::EndUnknown), (0, 0, 0)),
            (Look::Bytes(2), Some(State::EndUnknown), (0, 1, 0)),
            (Look::Bytes(2), Some(State::StartUnknown), (0, 1, 0)),
            (Look::Bytes(2), Some(State::RemoveUnknown), (0, 1, 0)),
            (Look::Bytes(3), Some(State::RemoveUnknown), (0, 0, 0)),
            (Look::NotThere, Some(State::RemoveUnknown), (0, 0, 0)),
            (Look::Bytes(2), None, (0, 0, 0)),
            (Look::NotThere, None, (0, 0, 0)),
            (Look::TooLate, Some(State::Acked), (0, 0, 0)),
        ] {
            assert_eq!(judged(&world(false), &look, settled), expected, "{settled:?}");
        }
    }

    fn one_acked_key() -> World {
        let world = world(false);
        world.ledger.begin(0);
        world.ledger.set(0, State::Acked);
        world
    }

    /// Reads the key with these looks in turn; (answered, keys left, looks used).
    async fn batch(world: &World, mut looks: impl FnMut() -> Option<Look>) -> (bool, usize, u32) {
        let (mut keys, mut used) = (vec![0], 0);
        let until = Instant::now() + FINAL_LIMIT;
        let answered = read_batch(world, &mut keys, until, async |keys: &[u32]| {
            used += 1;
            assert_eq!(keys, [0]);
            looks().map(|look| (vec![look], vec![world.ledger.get(0)]))
        });
        let answered = answered.await;
        (answered, keys.len(), used)
    }

    #[tokio::test]
    async fn what_came_too_late_is_read_again_and_else_stays_unread() {
        let world = one_acked_key();
        let mut looks = vec![Some(Look::NotThere), None, Some(Look::TooLate)];
        assert_eq!(batch(&world, || looks.pop().expect("three looks suffice")).await, (true, 0, 3));
        assert_eq!(count(&world.ledger.counts.acked_missing), 1, "the last look counts");

        let world = one_acked_key();
        assert_eq!(batch(&world, || Some(Look::TooLate)).await, (true, 1, FINAL_TRIES));
        assert_eq!(count(&world.ledger.counts.reads_checked), 0);
        assert_eq!(batch(&world, || Some(Look::Wrong)).await, (true, 0, 1), "a complaint is made once");
    }

    #[test]
    fn what_may_be_lost_may_be_old_but_never_wrong() {
        let world = world(true);
        assert_eq!(judged(&world, &Look::Bytes(2), Some(State::Acked)), (1, 0, 0));
        assert_eq!(judged(&world, &Look::Bytes(3), Some(State::Absent)), (1, 0, 0));
        assert_eq!(judged(&world, &Look::Bytes(4), Some(State::Acked)), (1, 0, 1));
        assert_eq!(count(&world.ledger.counts.missing_beyond), 0);
    }
}

//! What one connection asks, and whether each answer is the right one.

use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use tokio::time::Instant;

use super::door::{Door, Fault, Refused, Replicas};
use super::keys::Series;
use super::lender::Lent;

/// Wrong answers that are kept word for word.
const COMPLAINTS_MAX: usize = 3;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Op {
    /// Start and end of new objects
    Put,
    /// Where objects are that are there
    Get,
    /// Whether objects exist that do
    Exist,
    /// Of ten batches six exist, three get, one put
    Mixed,
}

impl Op {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Exist => "exist",
            Self::Mixed => "mixed",
        }
    }

    /// Whether it needs objects that are there before.
    pub(super) fn reads(self) -> bool {
        self != Self::Put
    }

    /// The one kind of batch at this place in a row of batches.
    fn step(self, batch: u64) -> Self {
        match (self, batch % 10) {
            (Self::Mixed, 0..6) => Self::Exist,
            (Self::Mixed, 6..9) => Self::Get,
            (Self::Mixed, _) => Self::Put,
            (op, _) => op,
        }
    }
}

/// When a connection has done its part of a round.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Keys(u64),
    Time(Duration),
}

/// What a connection did in one round.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Keys that were answered as they must be.
    pub(super) good: u64,
    /// Keys that were not.
    pub(super) wrong: u64,
    pub(super) complaints: Vec<String>,
    /// For each batch, from the question to the answer; for a put from its start to the end's answer.
    pub(super) batch_us: Vec<u32>,
}

impl Tally {
    fn complain(&mut self, text: impl FnOnce() -> String) {
        self.wrong += 1;
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(text());
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.good += other.good;
        self.wrong += other.wrong;
        self.batch_us.extend(other.batch_us);
        let room = COMPLAINTS_MAX.saturating_sub(self.complaints.len());
        self.complaints.extend(other.complaints.into_iter().take(room));
    }
}

/// Why an answer is not the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error("refused: {0}")]
    Refused(#[from] Refused),
    #[error("{0}")]
    Other(&'static str),
}

/// Counts the results of one call on keys.
struct Check<'a> {
    what: &'static str,
    keys: &'a [Bytes],
    seen: usize,
    tally: &'a mut Tally,
}

impl<'a> Check<'a> {
    fn new(what: &'static str, keys: &'a [Bytes], tally: &'a mut Tally) -> Self {
        Self { what, keys, seen: 0, tally }
    }

    /// The next result: what is wrong with it, if something is.
    fn next(&mut self, wrong: Option<Wrong>) {
        if let Some(wrong) = wrong {
            let key = self.keys.get(self.seen).map_or("of nobody".into(), |key| String::from_utf8_lossy(key));
            self.tally.complain(|| format!("{} {key}: {wrong}", self.what));
        } else {
            self.tally.good += 1;
        }
        self.seen += 1;
    }

    /// There must have been one for each key.
    fn over(self) {
        if self.seen != self.keys.len() {
            let (what, seen, keys) = (self.what, self.seen, self.keys.len());
            self.tally.complain(|| format!("{what}: {seen} results for {keys} keys"));
        }
    }
}

/// What is wrong with the replicas of one object.
fn misplaced(found: &Replicas<'_>, lent: &Lent, bytes: u64, is_complete: bool) -> Option<Wrong> {
    let Some(replica) = found.first.filter(|_| found.count == 1) else {
        return Some(Wrong::Other("not one replica in memory"));
    };
    if replica.bytes != bytes {
        Some(Wrong::Other("another size"))
    } else if !lent.holds(&replica) {
        Some(Wrong::Other("not where memory was lent"))
    } else if replica.is_complete != is_complete {
        Some(Wrong::Other("another status"))
    } else {
        None
    }
}

/// One connection with its own keys.
pub(super) struct Worker {
    pub(super) door: Door,
    pub(super) lent: Lent,
    /// Of round 0; each round has its own.
    pub(super) series: Series,
    pub(super) batch: usize,
    pub(super) value_bytes: u64,
    /// Keys a second, evenly spread; `None` is as many as the master takes.
    pub(super) pace: Option<f64>,
    /// Where the objects of round 0 are.
    pub(super) filled: Vec<u64>,
    /// Objects that were put in the newest round, or may have been.
    pub(super) puts: u64,
}

impl Worker {
    /// Puts the objects that are to be there before the first round.
    pub(super) async fn fill(&mut self, keys: u64, tally: &mut Tally) -> Result<(), Fault> {
        for first in (0..keys).step_by(self.batch) {
            let keys = self.series.batch(first, self.batch.min((keys - first) as usize));
            let mut addresses = Vec::with_capacity(keys.len());
            self.put(&keys, Some(&mut addresses), tally).await?;
            self.filled.extend(addresses);
        }
        Ok(())
    }

    /// Does its part of a round.
    pub(super) async fn round(
        &mut self,
        op: Op,
        round: u32,
        until: Until,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        let begun = Instant::now();
        let fresh = Series { round, ..self.series };
        let (mut asked, mut batch) = (0, 0);
        self.puts = 0;
        loop {
            let left = match until {
                Until::Keys(keys) => keys - asked,
                Until::Time(time) if begun.elapsed() < time => u64::MAX,
                Until::Time(_) => 0,
            };
            let size = (self.batch as u64).min(left) as usize;
            if size == 0 {
                return Ok(());
            }
            if let Some(pace) = self.pace {
                tokio::time::sleep_until(begun + Duration::from_secs_f64(asked as f64 / pace)).await;
            }
            let started = Instant::now();
            let answered = match op.step(batch) {
                Op::Put | Op::Mixed => {
                    let keys = fresh.batch(self.puts, size);
                    self.puts += size as u64;
                    self.put(&keys, None, tally).await?;
                    size
                }
                Op::Get => self.get(asked, size, tally).await?,
                Op::Exist => self.exist(asked, size, tally).await?,
            };
            tally.batch_us.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX));
            asked += answered as u64;
            batch += 1;
        }
    }

    /// Removes the objects of a round, so that the next finds the master as this one did.
    pub(super) async fn remove(&mut self, round: u32, tally: &mut Tally) -> Result<(), Fault> {
        let series = Series { round, ..self.series };
        for first in (0..self.puts).step_by(self.batch) {
            let keys = series.batch(first, self.batch.min((self.puts - first) as usize));
            let mut check = Check::new("remove", &keys, tally);
            self.door.remove(&keys, |removed| check.next(removed.err().map(Wrong::from))).await?;
            check.over();
        }
        Ok(())
    }

    async fn put(
        &mut self,
        keys: &[Bytes],
        mut addresses: Option<&mut Vec<u64>>,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        let Self { door, lent, value_bytes: bytes, .. } = self;
        // A put is one good answer, that of its end.
        let good = tally.good;
        let mut check = Check::new("start of put", keys, tally);
        let each = |placed: Result<Replicas<'_>, Refused>| match placed {
            Ok(placed) => {
                if let (Some(addresses), Some(first)) = (addresses.as_mut(), placed.first) {
                    addresses.push(first.address);
                }
                check.next(misplaced(&placed, lent, *bytes, false));
            }
            Err(refused) => check.next(Some(refused.into())),
        };
        door.put_start(keys, *bytes, each).await?;
        check.over();
        tally.good = good;
        let mut check = Check::new("end of put", keys, tally);
        door.put_end(keys, |ended| check.next(ended.err().map(Wrong::from))).await?;
        check.over();
        Ok(())
    }

    /// Some keys of round 0, over and over, and the number of the first.
    fn known(&self, asked: u64, size: usize) -> (Vec<Bytes>, usize) {
        let first = asked as usize % self.filled.len();
        (self.series.batch(first as u64, size.min(self.filled.len() - first)), first)
    }

    async fn get(&mut self, asked: u64, size: usize, tally: &mut Tally) -> Result<usize, Fault> {
        let (keys, first) = self.known(asked, size);
        let Self { door, lent, value_bytes: bytes, filled, .. } = self;
        let mut check = Check::new("get", &keys, tally);
        let each = |found: Result<Replicas<'_>, Refused>| match found {
            Ok(found) => {
                let at = filled.get(first + check.seen).copied();
                let moved = found.first.map(|replica| replica.address) != at;
                let moved = moved.then_some(Wrong::Other("not where it was put"));
                check.next(misplaced(&found, lent, *bytes, true).or(moved));
            }
            Err(refused) => check.next(Some(refused.into())),
        };
        door.get(&keys, each).await?;
        check.over();
        Ok(keys.len())
    }

    async fn exist(&mut self, asked: u64, size: usize, tally: &mut Tally) -> Result<usize, Fault> {
        let (keys, _) = self.known(asked, size);
        let mut check = Check::new("exist", &keys, tally);
        let each = |exists: Result<bool, Refused>| match exists {
            Ok(exists) => check.next((!exists).then_some(Wrong::Other("it does not"))),
            Err(refused) => check.next(Some(refused.into())),
        };
        self.door.exist(&keys, each).await?;
        check.over();
        Ok(keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::door::Replica;
    use super::*;

    #[test]
    fn mixed_is_six_three_one() {
        let of = |op| (0..100).filter(|&batch| Op::Mixed.step(batch) == op).count();
        assert_eq!((of(Op::Exist), of(Op::Get), of(Op::Put), of(Op::Mixed)), (60, 30, 10, 0));
        assert_eq!(Op::Get.step(9), Op::Get);
    }

    #[test]
    fn each_wrong_answer_is_seen() {
        let lent = Lent::by(1, false);
        let good = Replica {
            endpoint: b"bench-00000001-0.invalid:1",
            address: 1 << 44,
            bytes: 100,
            is_complete: false,
        };
        let found = |first| Replicas { count: 1, first: Some(first) };
        let judge = |found| misplaced(&found, &lent, 100, false);
        assert_eq!(judge(found(good)), None);
        for (wrong, why) in [
            (found(Replica { bytes: 99, ..good }), "another size"),
            (found(Replica { address: 5, ..good }), "not where memory was lent"),
            (found(Replica { is_complete: true, ..good }), "another status"),
            (Replicas { count: 2, first: Some(good) }, "not one replica in memory"),
            (Replicas { count: 0, first: None }, "not one replica in memory"),
        ] {
            assert_eq!(judge(wrong), Some(Wrong::Other(why)));
        }
    }

    #[test]
    fn results_are_counted_against_keys() {
        let keys = [Bytes::from_static(b"a"), Bytes::from_static(b"b")];
        let mut tally = Tally::default();
        let mut check = Check::new("exist", &keys, &mut tally);
        check.next(None);
        check.over();
        let mut check = Check::new("exist", &keys, &mut tally);
        check.next(Some(Refused(-704).into()));
        check.next(None);
        check.over();
        assert_eq!((tally.good, tally.wrong), (2, 2));
        assert_eq!(tally.complaints[0], "exist: 1 results for 2 keys");
        assert!(tally.complaints[1].starts_with("exist a: refused: OBJECT_NOT_FOUND"), "{tally:?}");
    }
}

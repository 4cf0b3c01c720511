//! Random transactions, on a coordinator and on the model beside each other.

use std::fmt::Write as _;

use standfast::ports::Coordinator;
use standfast_kernel::coordination::{
    Compare, Key, Put, Records, Revision, Transaction, TransactionOutcome, Value,
};

use super::memory::Memory;

const ROUNDS: u64 = 600;
const KEYS: [Key; 3] = [Key::Alive, Key::MasterView, Key::Isr];

/// xorshift64*: the same numbers in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// Compares of the last revisions, so that about half of them hold.
fn draw(chance: &mut Chance, now: u64, n: u64) -> Transaction {
    let mut compares = Vec::new();
    for _ in 0..chance.below(3) {
        let back = [0, 1, 2, 3, 5][chance.below(5) as usize];
        let wanted = if chance.below(3) == 0 { 0 } else { now.saturating_sub(back) };
        let key = KEYS[chance.below(2) as usize].clone();
        let compare = if chance.below(2) == 0 { Compare::Modified } else { Compare::Created };
        compares.push(compare(key, Revision(wanted)));
    }
    let mut then = Vec::new();
    for _ in 0..chance.below(3) {
        then.push(match chance.below(4) {
            0 => Put::Set(Key::Alive, Value::Alive(n)),
            1 => Put::Delete(Key::Alive),
            2 => Put::Set(Key::MasterView, Value::MasterView(format!("host:{n}"))),
            _ => Put::Delete(Key::MasterView),
        });
    }
    Transaction { compares, then, or_else: KEYS.to_vec() }
}

fn shift(txn: &Transaction, by: u64) -> Transaction {
    let moved = |r: &Revision| if *r == Revision::NONE { *r } else { Revision(r.0 + by) };
    let compares = txn.compares.iter().map(|c| match c {
        Compare::Modified(key, r) => Compare::Modified(key.clone(), moved(r)),
        Compare::Created(key, r) => Compare::Created(key.clone(), moved(r)),
    });
    Transaction { compares: compares.collect(), ..txn.clone() }
}

/// An outcome as text, with revisions counted from `zero`.
fn describe(outcome: &TransactionOutcome, zero: u64) -> String {
    match outcome {
        TransactionOutcome::Committed(at) => format!("committed at {}", at.0 - zero),
        TransactionOutcome::CompareFailed(truth) => describe_records(truth, zero),
        TransactionOutcome::Unknown(why) if why.contains("duplicate key") => "duplicate".to_owned(),
        TransactionOutcome::Unknown(why) => why.clone(),
    }
}

fn describe_records(records: &Records, zero: u64) -> String {
    let mut text = format!("at {}:", records.at.0 - zero);
    for (key, record) in &records.records {
        let record = record.as_ref().map(|r| (r.created.0 - zero, r.modified.0 - zero, r.value.clone()));
        let _ = write!(text, " {key:?} {record:?}");
    }
    text
}

pub(super) async fn same_as_memory(real: &impl Coordinator) {
    let model = Memory::new("model");
    let (mut model_news, mut real_news) = (model.follow(), real.follow());
    let zero = [model.read().await.expect("it answers").at.0, real.read().await.expect("it answers").at.0];
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut now = zero[0];
    let mut ends = [0_u32; 3];
    for n in 0..ROUNDS {
        let txn = draw(&mut chance, now, n);
        let expected = model.transact(&txn).await;
        let found = real.transact(&shift(&txn, zero[1] - zero[0])).await;
        assert_eq!(describe(&found, zero[1]), describe(&expected, zero[0]), "round {n}: {txn:?}");
        now = model.read().await.expect("it answers").at.0;
        ends[match expected {
            TransactionOutcome::Committed(_) => 0,
            TransactionOutcome::CompareFailed(_) => 1,
            TransactionOutcome::Unknown(_) => 2,
        }] += 1;
    }
    assert!(ends.iter().all(|n| *n >= 10), "all ends are met: {ends:?}");
    // The last write is a mark, so that both watches end there.
    let mark = Transaction {
        compares: vec![],
        then: vec![Put::Set(Key::Alive, Value::Alive(u64::MAX))],
        or_else: vec![],
    };
    let mut told = Vec::new();
    for (watch, last, zero) in [
        (&mut model_news, super::cases::committed(&model.transact(&mark).await), zero[0]),
        (&mut real_news, super::cases::committed(&real.transact(&mark).await), zero[1]),
    ] {
        let mut changes = Vec::new();
        for records in super::cases::seen_until(watch, last).await.into_iter().skip(1) {
            for (key, record) in records.records {
                let record = record.map(|r| (r.created.0 - zero, r.value));
                changes.push((records.at.0 - zero, key, record));
            }
        }
        told.push(changes);
    }
    // Within one revision a watch may tell keys in any order.
    for changes in &mut told {
        changes.sort_by_key(|(at, key, _)| (*at, key.clone()));
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].len() >= 100, "only {} changes were told", told[0].len());
}

//! The client key (PROTOCOL C5), exhaustively: three epochs, each holder with
//! transactions that are delayed, reordered and repeated. A binary of its own,
//! because mutants are one switch for the whole process.

use std::collections::BTreeSet;

use standfast_kernel::coordination::{
    EpochCause, EpochRecord, Key, Outcome, Publish, RecordStore, RecordView, Revision, Transaction, Value,
    publish,
};
use standfast_kernel::types::{CopyId, Epoch, Instant};

type Store = RecordStore<Key, Value>;

/// Holders, in order; the first comes back at the same address.
const ADDRESSES: [&str; 3] = ["a:1", "b:1", "a:1"];
/// Transactions of one holder that are on their way at once: an unanswered one
/// is sent again.
const ON_THE_WAY_MAX: usize = 2;
/// Transactions that one holder sends at most; two suffice without faults.
const SENT_MAX: u8 = 4;

#[derive(Clone)]
struct World {
    store: Store,
    /// Index of the present holder.
    holder: usize,
    epochs: Vec<Revision>,
    /// Transactions of each holder not yet carried out, if ever.
    on_the_way: Vec<(usize, Transaction)>,
    sent: [u8; 3],
    /// What each holder last read of the key.
    read: Vec<RecordView>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            store: Store::default(),
            holder: 0,
            epochs: Vec::new(),
            on_the_way: Vec::new(),
            sent: [0; 3],
            read: vec![RecordView::default(); 3],
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let record = EpochRecord {
            holder: "n".parse().expect("valid"),
            copy: CopyId(self.holder as u128),
            address: String::new(),
            mooncake: None,
            cause: EpochCause::Failover,
            actor: String::new(),
            nonce: 0,
            reason: "gone".into(),
            quiet: false,
            previous: Epoch(0),
            automatic: Vec::new(),
        };
        let put = standfast_kernel::coordination::Put::Set(Key::Epoch, Value::Epoch(record));
        let txn = Transaction { compares: vec![], then: vec![put], or_else: vec![] };
        self.store.apply(&txn).expect("one key");
        self.epochs.push(self.store.revision());
    }

    /// Everything that can happen next.
    fn next(&self) -> Vec<Result<Self, String>> {
        let mut next = Vec::new();
        if self.holder + 1 < ADDRESSES.len() {
            let mut w = self.clone();
            w.holder += 1;
            w.begin();
            next.push(Ok(w));
        }
        for (who, address) in ADDRESSES.iter().enumerate().take(self.holder + 1) {
            // It looks, at any time; a deposed holder may not know it yet.
            let mut w = self.clone();
            let first = w.read[who].master_view.at == Revision::NONE;
            if w.read[who].learn(Instant(1), &self.store.read(&[Key::MasterView])) || first {
                next.push(Ok(w));
            }
            let step = publish(&self.read[who], self.epochs[who], address);
            let waiting = self.on_the_way.iter().filter(|(w, _)| *w == who).count();
            if let Publish::Do(txn) = step
                && waiting < ON_THE_WAY_MAX
                && self.sent[who] < SENT_MAX
            {
                let mut w = self.clone();
                w.sent[who] += 1;
                w.on_the_way.push((who, txn));
                w.on_the_way.sort_by_key(|(who, txn)| (*who, format!("{txn:?}")));
                next.push(Ok(w));
            }
        }
        for n in 0..self.on_the_way.len() {
            let mut w = self.clone();
            let (who, txn) = w.on_the_way.remove(n);
            // Carried out now, answered or not ...
            let checked = w.carry_out(who, &txn);
            next.push(checked.map(|()| w));
            // ... or lost on its way.
            let mut lost = self.clone();
            lost.on_the_way.remove(n);
            next.push(Ok(lost));
        }
        next
    }

    fn carry_out(&mut self, who: usize, txn: &Transaction) -> Result<(), String> {
        let key = |store: &Store| store.records().get(&Key::MasterView).cloned();
        let before = key(&self.store);
        let Outcome::Committed(_) = self.store.apply(txn).expect("one key") else { return Ok(()) };
        let after = key(&self.store);
        let current = Value::MasterView(ADDRESSES[self.holder].into());
        if let (Some(was), None) = (&before, &after)
            && was.value == current
        {
            return Err(format!("holder {who} deleted the present holder's key"));
        }
        match (&before, &after) {
            (_, Some(now)) if now.value != current => {
                Err(format!("holder {who} published its address over that of holder {}", self.holder))
            }
            (Some(was), Some(now)) if was.created == now.created => {
                Err("the key was overwritten: clients do not move".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Equal worlds behave equally: revisions matter only by what equals what.
    fn digest(&self) -> String {
        let records: Vec<_> = self.store.records().iter().map(|(k, r)| (k, r.created, r.modified)).collect();
        let known = |v: &RecordView| v.master_view.at > Revision::NONE;
        let read: Vec<_> = self.read.iter().map(|v| (known(v), v.master_view.record.clone())).collect();
        format!(
            "{:?} {records:?} {:?} {:?} {:?} {read:?}",
            self.holder, self.epochs, self.on_the_way, self.sent
        )
    }
}

/// The number of worlds seen, or what went wrong.
fn explore() -> Result<usize, String> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![World::new()];
    while let Some(world) = todo.pop() {
        if !seen.insert(world.digest()) {
            continue;
        }
        for next in world.next() {
            todo.push(next?);
        }
    }
    Ok(seen.len())
}

#[test]
fn no_order_of_transactions_publishes_a_stale_address_or_loses_a_live_one() {
    let worlds = explore().expect("safe in every order");
    assert!(worlds > 10_000, "only {worlds} worlds: the model shrank");
    each_mutant_shows();
}

#[cfg(not(feature = "mutants"))]
fn each_mutant_shows() {}

#[cfg(feature = "mutants")]
fn each_mutant_shows() {
    use standfast_kernel::mutants::{self, Mutant};

    let cases = [
        (Mutant::PublishNoEpoch, "published its address over"),
        (Mutant::RetireAnyView, "deleted the present holder's key"),
        (Mutant::PutOverView, "clients do not move"),
    ];
    for (mutant, shows) in cases {
        mutants::set(Some(mutant));
        let found = explore();
        mutants::set(None);
        assert!(found.as_ref().is_err_and(|e| e.contains(shows)), "{mutant:?}: {found:?}");
    }
}

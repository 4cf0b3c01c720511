use super::*;
use crate::coordination::{EpochCause, Outcome, RecordStore, RecordView, Versioned};
use crate::types::{AckMode, CopyId, Epoch, Instant, WallTime};
use std::time::Duration;

type Store = RecordStore<Key, Value>;

fn epoch_record(copy: u128, previous: Epoch, nonce: u64) -> EpochRecord {
    EpochRecord {
        holder: "n".parse().expect("valid"),
        copy: CopyId(copy),
        address: "h:1".into(),
        mooncake: None,
        cause: EpochCause::Failover,
        actor: "test".into(),
        nonce,
        reason: "gone".into(),
        quiet: false,
        previous,
        automatic: Vec::new(),
    }
}

fn history() -> HistoryRecord {
    HistoryRecord {
        epoch: None,
        node: "n".parse().expect("valid"),
        cause: EpochCause::Failover,
        reason: "a test".into(),
        actor: "test".into(),
        at: WallTime(0),
        phases: Vec::new(),
        loss: None,
    }
}

fn isr(copies: &[u128]) -> IsrRecord {
    let member = |copy: &u128| crate::coordination::IsrMember {
        copy: CopyId(*copy),
        node: "n".parse().expect("valid"),
        address: "h:1".into(),
    };
    IsrRecord {
        members: copies.iter().map(member).collect(),
        silent: Vec::new(),
        ack: AckMode::Sync,
        min_insync: 1,
        read_ttl_max: Duration::from_secs(10),
    }
}

/// A cluster that copy 1 has founded, with 1 and 2 in sync.
fn cluster() -> (Store, RecordView) {
    let mut store = Store::default();
    let founded = bootstrap(epoch_record(1, Epoch(0), 1), isr(&[1]), history());
    assert!(commits(&mut store, &founded));
    let view = view(&store);
    assert!(commits(&mut store, &change_isr(view.base(), isr(&[1, 2]))));
    let view = self::view(&store);
    (store, view)
}

fn view(store: &Store) -> RecordView {
    let mut view = RecordView::default();
    view.learn(Instant(1), &store.read(&[Key::Epoch, Key::Isr, Key::Alive, Key::MasterView]));
    view
}

fn commits(store: &mut Store, txn: &Transaction) -> bool {
    match store.apply(txn).expect("no key twice") {
        Outcome::Committed(_) => true,
        Outcome::CompareFailed(truth) => {
            assert!(
                [Key::Epoch, Key::Isr, Key::Alive].iter().all(|k| truth.records.iter().any(|(r, _)| r == k))
            );
            false
        }
        Outcome::Unknown(_) => unreachable!("a store always knows"),
    }
}

/// Everything that may have happened since a transaction was built, and which
/// transactions it must beat.
#[test]
fn each_transaction_fails_once_what_it_stands_on_has_moved() {
    let (before, v) = cluster();
    let (base, alive) = (v.base(), v.alive.modified());
    let e = base.epoch;
    let me = || epoch_record(2, e.epoch(), 7);
    let id = HistoryId { previous: e.epoch(), nonce: 7 };
    let target = HandOver { target: me(), history: history() };
    let found = RehearsalRecord {
        copy: CopyId(2),
        verdict: Some(true),
        reasons: Vec::new(),
        keys: None,
        at: WallTime(0),
    };
    let all: Vec<(&str, Transaction)> = vec![
        ("bootstrap", bootstrap(epoch_record(3, Epoch(0), 9), isr(&[3]), history())),
        ("takeover", takeover(base, None, None, me(), history())),
        ("silent takeover", takeover(base, Some(alive), None, me(), history())),
        ("forced", forced(base, alive, None, me(), isr(&[2]), history())),
        ("isr", change_isr(base, isr(&[1]))),
        ("renew", renew(e, 1)),
        ("hand over", hand_over(base, target)),
        ("retire", retire_view(e, Revision(99))),
        ("create", create_view(e, "h:2".into())),
        ("history", update_history(e, id, history(), None)),
        ("rehearsal", rehearse(base, None, "n".parse().expect("valid"), found)),
    ];
    let moves: Vec<(&str, Transaction, &[&str])> = vec![
        ("nothing", Txn { compares: vec![], then: vec![], or_else: vec![] }, &["bootstrap", "retire"]),
        (
            "another took over",
            takeover(base, None, None, epoch_record(3, e.epoch(), 8), history()),
            &[
                "bootstrap",
                "takeover",
                "silent takeover",
                "forced",
                "isr",
                "renew",
                "hand over",
                "retire",
                "create",
                "history",
                "rehearsal",
            ],
        ),
        (
            "the in-sync set changed",
            change_isr(base, isr(&[1])),
            &[
                "bootstrap",
                "takeover",
                "silent takeover",
                "forced",
                "isr",
                "hand over",
                "retire",
                "rehearsal",
            ],
        ),
        ("the holder renewed", renew(e, 1), &["bootstrap", "silent takeover", "forced", "retire"]),
        ("a view was created", create_view(e, "h:9".into()), &["bootstrap", "retire", "create"]),
    ];
    for (what, happened, beaten) in moves {
        for (name, txn) in &all {
            let mut store = before.clone();
            assert!(commits(&mut store, &happened), "{what}");
            let dead = txn.is_dead(&store.read(&[Key::Epoch, Key::Isr, Key::Alive, Key::MasterView]));
            assert_eq!(commits(&mut store, txn), !beaten.contains(name), "{name} after: {what}");
            assert!(!dead || beaten.contains(name), "{name} after: {what} was called dead");
        }
    }
}

#[test]
fn a_new_epoch_is_the_revision_of_its_record_and_starts_a_fresh_counter() {
    let (mut store, v) = cluster();
    let base = v.base();
    assert!(commits(&mut store, &renew(base.epoch, 41)));
    assert!(commits(
        &mut store,
        &takeover(base, None, None, epoch_record(2, base.epoch.epoch(), 7), history())
    ));
    let after = view(&store);
    assert_eq!(after.recorded_epoch(), store.revision().epoch());
    assert_eq!(after.alive.record.as_ref().map(|r| (r.value, r.modified)), Some((0, store.revision())));
    assert_eq!(after.isr, v.isr.clone().at_revision(store.revision()), "membership stays as it is");
    assert!(after.names(CopyId(2)));
    let id = HistoryId { previous: base.epoch.epoch(), nonce: 7 };
    assert!(store.records().contains_key(&Key::History(id)));
}

/// PROTOCOL C1: whoever needs an unanswered transaction dead writes a key that it compares again.
#[test]
fn an_unanswered_change_of_the_set_is_dead_once_the_same_set_is_written_again() {
    let (mut store, v) = cluster();
    let late = change_isr(v.base(), isr(&[1]));
    let keys = [Key::Epoch, Key::Isr];
    assert!(!late.is_dead(&store.read(&keys)), "it may be on its way");
    assert!(commits(&mut store, &change_isr(v.base(), isr(&[1, 2]))));
    assert!(late.is_dead(&store.read(&keys)));
    assert!(!commits(&mut store, &late));
    // What was not read, or is not there, proves nothing.
    assert!(!late.is_dead(&store.read(&[Key::Alive])));
    let create = create_view(v.base().epoch, "h:1".into());
    assert!(!create.is_dead(&store.read(&[Key::Epoch, Key::MasterView])));
}

#[test]
fn the_oldest_history_goes_with_an_update_but_never_the_updated_one() {
    let (mut store, v) = cluster();
    let id = |nonce| HistoryId { previous: Epoch(0), nonce };
    assert!(store.records().contains_key(&Key::History(id(1))));
    assert!(commits(&mut store, &update_history(v.base().epoch, id(5), history(), Some(id(1)))));
    assert!(!store.records().contains_key(&Key::History(id(1))));
    assert!(commits(&mut store, &update_history(v.base().epoch, id(5), history(), Some(id(5)))));
    assert!(store.records().contains_key(&Key::History(id(5))));
}

impl<V> crate::coordination::Known<V> {
    fn at_revision(mut self, at: Revision) -> Self {
        self.at = at;
        self
    }
}

#[test]
fn a_fresh_view_knows_nothing() {
    let v = RecordView::default();
    assert_eq!((v.recorded_epoch(), v.base().isr), (Epoch(0), Revision::NONE));
    let unknown: Option<Versioned<EpochRecord>> = None;
    assert_eq!(v.epoch.record, unknown);
}

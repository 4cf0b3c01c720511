use proptest::prelude::*;

use super::*;

type Store = RecordStore<u8, u32>;

fn txn(compares: Vec<Compare<u8>>, then: Vec<Put<u8, u32>>) -> Txn<u8, u32> {
    Txn { compares, then, or_else: vec![1, 2] }
}

fn commit(store: &mut Store, then: Vec<Put<u8, u32>>) -> Revision {
    match store.apply(&txn(vec![], then)).expect("no duplicate") {
        Outcome::Committed(at) => at,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_written_together_share_the_revision() {
    let mut store = Store::default();
    let at = commit(&mut store, vec![Put::Set(1, 10), Put::Set(2, 20)]);
    assert_eq!(at, Revision(2), "an empty store is at 1");
    let read = store.read(&[1, 2, 3]);
    let versions: Vec<_> =
        read.records.iter().map(|(_, r)| r.as_ref().map(|r| (r.created, r.modified))).collect();
    assert_eq!(versions, [Some((at, at)), Some((at, at)), None]);
    let later = commit(&mut store, vec![Put::Set(1, 11)]);
    assert_eq!(store.records()[&1], Versioned { created: at, modified: later, value: 11 });
}

#[test]
fn a_key_that_returns_is_created_anew() {
    let mut store = Store::default();
    commit(&mut store, vec![Put::Set(1, 10)]);
    commit(&mut store, vec![Put::Delete(1)]);
    let at = commit(&mut store, vec![Put::Set(1, 10)]);
    assert_eq!(store.records()[&1].created, at);
}

#[test]
fn a_failed_compare_changes_nothing_and_tells_the_truth() {
    let mut store = Store::default();
    let at = commit(&mut store, vec![Put::Set(1, 10)]);
    let before = store.clone();
    let lost = txn(vec![Compare::Created(1, at), Compare::Modified(2, at)], vec![Put::Set(2, 1)]);
    let truth = Reading { at, records: vec![(1, store.records().get(&1).cloned()), (2, None)] };
    assert_eq!(store.apply(&lost), Ok(Outcome::CompareFailed(truth)));
    assert_eq!(store, before);
}

#[test]
fn one_key_is_not_written_twice_in_one_transaction() {
    let mut store = Store::default();
    let before = store.clone();
    for then in [
        vec![Put::Delete(1), Put::Set(1, 2)],
        vec![Put::Set(1, 1), Put::Set(2, 1), Put::Set(1, 2)],
        vec![Put::Set(1, 1), Put::Delete(1)],
    ] {
        assert_eq!(store.apply(&txn(vec![], then)), Err(DuplicateKey(1)));
    }
    assert_eq!(store, before);
    assert!(store.apply(&txn(vec![], vec![Put::Delete(1), Put::Delete(1)])).is_ok());
}

#[test]
fn what_changes_nothing_has_no_revision() {
    let mut store = Store::default();
    assert_eq!(commit(&mut store, vec![Put::Delete(7)]), Revision(1));
    assert_eq!(commit(&mut store, vec![]), Revision(1));
    assert_eq!(store.changes_from(Revision(1)).expect("kept").count(), 0);
}

#[test]
fn a_watch_sees_each_change_once_until_it_is_compacted_away() {
    let mut store = Store::default();
    let first = commit(&mut store, vec![Put::Set(1, 10), Put::Set(2, 20)]);
    let second = commit(&mut store, vec![Put::Delete(1)]);
    let seen = |store: &Store, from| {
        let changes = store.changes_from(from)?;
        Ok(changes.map(|c| (c.revision, c.key, c.record.is_some())).collect::<Vec<_>>())
    };
    assert_eq!(seen(&store, first), Ok(vec![(first, 1, true), (first, 2, true), (second, 1, false)]));
    assert_eq!(seen(&store, first.next()), Ok(vec![(second, 1, false)]));
    store.compact(second);
    assert_eq!(seen(&store, second), Ok(vec![(second, 1, false)]));
    assert_eq!(seen(&store, first), Err(Compacted(second)));
}

/// Compares (created or modified, key, revision) and writes (`None` deletes).
type Drawn = (Vec<(bool, u8, u64)>, Vec<(u8, Option<u32>)>);

/// From few keys and few revisions, so that compares hit as well as miss.
fn any_txn() -> impl Strategy<Value = Drawn> {
    let compares = prop::collection::vec((any::<bool>(), 0..4_u8, 0..8_u64), 0..3);
    let then = prop::collection::vec((0..4_u8, prop::option::of(any::<u32>())), 0..4);
    (compares, then)
}

proptest! {
    /// Against the shortest description of the semantics: a list of all writes.
    #[test]
    fn the_store_is_the_fold_of_its_changes(txns in prop::collection::vec(any_txn(), 1..40)) {
        let mut store = Store::default();
        let mut watched: BTreeMap<u8, Versioned<u32>> = BTreeMap::new();
        let mut next = Revision(0);
        for (compares, then) in txns {
            let compares: Vec<_> = compares.into_iter().map(|(created, key, r)| {
                if created { Compare::Created(key, Revision(r)) } else { Compare::Modified(key, Revision(r)) }
            }).collect();
            let then: Vec<_> = then.into_iter().map(|(key, value)| {
                value.map_or(Put::Delete(key), |v| Put::Set(key, v))
            }).collect();
            let holds = compares.iter().all(|c| match c {
                Compare::Created(k, r) => watched.get(k).map_or(0, |x| x.created.0) == r.0,
                Compare::Modified(k, r) => watched.get(k).map_or(0, |x| x.modified.0) == r.0,
            });
            let before = store.revision();
            let t = txn(compares, then);
            let dead = t.is_dead(&store.read(&[0, 1, 2, 3]));
            match store.apply(&t) {
                Err(_) => { prop_assert!(t.check().is_err()); }
                Ok(Outcome::Committed(at)) => {
                    prop_assert!(holds && !dead);
                    prop_assert!(at == before || at == before.next());
                    prop_assert_eq!(at, store.revision());
                }
                Ok(Outcome::CompareFailed(truth)) => {
                    prop_assert!(!holds);
                    prop_assert_eq!(truth.at, before);
                    prop_assert_eq!(store.revision(), before);
                }
                Ok(Outcome::Unknown(_)) => prop_assert!(false, "a store always knows"),
            }
            for change in store.changes_from(next.max(Revision(1))).expect("nothing is compacted") {
                prop_assert!(change.revision <= store.revision());
                match &change.record {
                    Some(record) => watched.insert(change.key, record.clone()),
                    None => watched.remove(&change.key),
                };
            }
            next = store.revision().next();
            prop_assert_eq!(&watched, store.records());
        }
    }
}

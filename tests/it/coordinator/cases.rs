//! What every coordinator must do.

use std::time::Duration;

use standfast::ports::{Coordinator, News, Shelf};
use standfast_kernel::coordination::{
    Base, EpochCause, EpochRecord, HistoryId, HistoryLoss, HistoryRecord, IsrMember, IsrRecord, Key, Publish,
    Put, RecordView, Records, RehearsalRecord, Revision, Transaction, TransactionOutcome, Value, bootstrap,
    change_isr, create_view, publish, rehearse, renew, retire_view, takeover, update_history,
};
use standfast_kernel::types::{AckMode, CopyId, Epoch, Instant, WallTime};
use tokio::sync::mpsc;

use crate::node::PATIENCE;

pub(super) fn holder(copy: u128, previous: Epoch) -> EpochRecord {
    EpochRecord {
        holder: format!("n{copy}").parse().expect("valid"),
        copy: CopyId(copy),
        address: format!("host-{copy}:50052"),
        mooncake: Some(format!("host-{copy}:50051")),
        cause: EpochCause::Failover,
        actor: "a \"test\"".into(),
        nonce: u64::MAX - copy as u64,
        reason: "gone".into(),
        quiet: false,
        previous,
        automatic: Vec::new(),
    }
}

pub(super) fn isr(copies: &[u128]) -> IsrRecord {
    let member = |copy: &u128| IsrMember {
        copy: CopyId(*copy),
        node: format!("n{copy}").parse().expect("valid"),
        address: format!("host-{copy}:50052"),
    };
    IsrRecord {
        members: copies.iter().map(member).collect(),
        silent: Vec::new(),
        ack: AckMode::Sync,
        min_insync: 1,
        read_ttl_max: Duration::from_secs(10),
    }
}

pub(super) fn history(copy: u128) -> HistoryRecord {
    HistoryRecord {
        epoch: None,
        node: format!("n{copy}").parse().expect("valid"),
        cause: EpochCause::Failover,
        reason: "a test, with ünicode".into(),
        actor: "test".into(),
        at: WallTime(1),
        phases: vec![("fence".into(), Duration::from_micros(7))],
        loss: Some(HistoryLoss { entries_at_risk: Some(1), entries_lost: None }),
    }
}

fn founding(copy: u128) -> Transaction {
    bootstrap(holder(copy, Epoch(0)), isr(&[copy]), history(copy))
}

pub(super) fn committed(outcome: &TransactionOutcome) -> Revision {
    match outcome {
        TransactionOutcome::Committed(at) => *at,
        other => panic!("not committed: {other:?}"),
    }
}

fn lost(outcome: TransactionOutcome) -> Records {
    match outcome {
        TransactionOutcome::CompareFailed(truth) => truth,
        other => panic!("not lost: {other:?}"),
    }
}

pub(super) async fn view(c: &impl Coordinator) -> RecordView {
    let mut view = RecordView::default();
    view.learn(Instant(1), &c.read().await.expect("it answers"));
    view
}

/// Copy 1 leads, copies 1 and 2 are in sync.
pub(super) async fn found(c: &impl Coordinator) -> Base {
    let epoch = committed(&c.transact(&founding(1)).await);
    let isr = committed(&c.transact(&change_isr(Base { epoch, isr: epoch }, isr(&[1, 2]))).await);
    Base { epoch, isr }
}

pub(super) async fn a_new_cluster_has_no_records(c: impl Coordinator) {
    let read = c.read().await.expect("it answers");
    let nothing: Vec<_> = Key::GROUND.map(|k| (k, None)).into();
    assert_eq!(read.records, nothing);
    assert!(read.at > Revision::NONE);
    for shelf in [Shelf::History, Shelf::Rehearsals] {
        assert_eq!(c.list(shelf).await.expect("it answers").records, []);
    }
}

pub(super) async fn a_cluster_is_founded_once(c: impl Coordinator) {
    let at = committed(&c.transact(&founding(1)).await);
    let truth = lost(c.transact(&founding(2)).await);
    assert_eq!(truth.at, at);
    let record = truth.get(&Key::Epoch).expect("there is a holder");
    assert_eq!((record.created, record.modified), (at, at));
    assert_eq!(record.value, Value::Epoch(holder(1, Epoch(0))));
    let isr_record = truth.get(&Key::Isr).expect("there is a set");
    assert_eq!(
        (isr_record.modified, &isr_record.value),
        (at, &Value::Isr(isr(&[1]))),
        "one revision for all"
    );
}

pub(super) async fn the_loser_of_a_takeover_learns_the_truth(c: impl Coordinator) {
    let base = found(&c).await;
    let wins = takeover(base, None, None, holder(2, base.epoch.epoch()), history(2));
    let loses = takeover(base, None, None, holder(3, base.epoch.epoch()), history(3));
    let at = committed(&c.transact(&wins).await);
    let truth = lost(c.transact(&loses).await);
    let mut seen = RecordView::default();
    seen.learn(Instant(1), &truth);
    assert!(seen.names(CopyId(2)));
    assert_eq!(seen.recorded_epoch(), at.epoch());
    assert_eq!(seen.isr.modified(), base.isr, "membership stays as it is");
    assert_eq!(seen.alive.modified(), at, "the counter starts anew with the epoch");
}

pub(super) async fn each_compare_guards(c: impl Coordinator) {
    let base = found(&c).await;
    let alive = view(&c).await.alive.modified();
    let silent = takeover(base, Some(alive), None, holder(2, base.epoch.epoch()), history(2));
    committed(&c.transact(&renew(base.epoch, 1)).await);
    lost(c.transact(&silent).await);
    let again = committed(&c.transact(&change_isr(base, isr(&[1, 2]))).await);
    lost(c.transact(&takeover(base, None, None, holder(2, base.epoch.epoch()), history(2))).await);
    let base = Base { isr: again, ..base };
    let epoch =
        committed(&c.transact(&takeover(base, None, None, holder(2, base.epoch.epoch()), history(2))).await);
    lost(c.transact(&renew(base.epoch, 2)).await);
    lost(c.transact(&change_isr(base, isr(&[1]))).await);
    committed(&c.transact(&change_isr(Base { epoch, ..base }, isr(&[2]))).await);
}

pub(super) async fn clients_are_moved_by_a_new_key(c: impl Coordinator) {
    let base = found(&c).await;
    let Publish::Do(txn) = publish(&view(&c).await, base.epoch, "a:1") else { panic!("not yet published") };
    let first = committed(&c.transact(&txn).await);
    assert_eq!(publish(&view(&c).await, base.epoch, "a:1"), Publish::Done(first));
    lost(c.transact(&create_view(base.epoch, "x:1".into())).await);
    let epoch =
        committed(&c.transact(&takeover(base, None, None, holder(2, base.epoch.epoch()), history(2))).await);
    // The former holder's transactions, late.
    lost(c.transact(&retire_view(base.epoch, first)).await);
    let Publish::Do(retire) = publish(&view(&c).await, epoch, "b:1") else { panic!("it names the former") };
    committed(&c.transact(&retire).await);
    lost(c.transact(&create_view(base.epoch, "a:1".into())).await);
    let Publish::Do(create) = publish(&view(&c).await, epoch, "b:1") else { panic!("nobody is named") };
    let second = committed(&c.transact(&create).await);
    assert!(second > first);
    lost(c.transact(&retire).await);
    assert_eq!(publish(&view(&c).await, epoch, "b:1"), Publish::Done(second));
}

pub(super) async fn one_key_is_not_written_twice(c: impl Coordinator) {
    let before = c.read().await.expect("it answers");
    let view = || Value::MasterView("a:1".into());
    let then = vec![Put::Delete(Key::MasterView), Put::Set(Key::MasterView, view())];
    let txn = Transaction { compares: vec![], then, or_else: vec![] };
    match c.transact(&txn).await {
        TransactionOutcome::Unknown(why) => assert!(why.contains("duplicate key"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(c.read().await.expect("it answers"), before);
}

pub(super) async fn every_kind_of_record_comes_back(c: impl Coordinator) {
    let base = found(&c).await;
    let found = RehearsalRecord {
        copy: CopyId(u128::MAX),
        verdict: Some(false),
        reasons: vec!["quarantine".into()],
        keys: None,
        at: WallTime(3),
    };
    let node = "n2".parse().expect("valid");
    committed(&c.transact(&rehearse(base, None, node, found.clone())).await);
    let listed = c.list(Shelf::Rehearsals).await.expect("it answers");
    let key = Key::Rehearsal("n2".parse().expect("valid"));
    assert_eq!(listed.get(&key).map(|r| &r.value), Some(&Value::Rehearsal(found)));
    let v = view(&c).await;
    assert_eq!((v.holder(), v.in_sync()), (Some(&holder(1, Epoch(0))), Some(&isr(&[1, 2]))));
    assert_eq!(v.alive.record.map(|r| r.value), Some(0));
}

pub(super) async fn history_is_listed_in_order_and_bounded(c: impl Coordinator) {
    let base = found(&c).await;
    let id = |previous| HistoryId { previous: Epoch(previous), nonce: 1 };
    for previous in [1_000, 20, 3] {
        committed(&c.transact(&update_history(base.epoch, id(previous), history(1), None)).await);
    }
    let listed = |records: Records| -> Vec<u64> {
        let ids = records.records.iter().filter_map(|(key, _)| match key {
            Key::History(id) => Some(id.previous.0),
            _ => None,
        });
        ids.collect()
    };
    assert_eq!(listed(c.list(Shelf::History).await.expect("it answers")), [0, 3, 20, 1_000]);
    let founding = HistoryId { previous: Epoch(0), nonce: holder(1, Epoch(0)).nonce };
    committed(&c.transact(&update_history(base.epoch, id(3), history(2), Some(founding))).await);
    let after = c.list(Shelf::History).await.expect("it answers");
    assert_eq!(after.get(&Key::History(id(3))).map(|r| &r.value), Some(&Value::History(history(2))));
    assert_eq!(listed(after), [3, 20, 1_000]);
}

/// The next readings, until one is at this revision; each merged by revision.
pub(super) async fn seen_until(news: &mut mpsc::Receiver<News>, last: Revision) -> Vec<Records> {
    let mut seen = Vec::new();
    let reading = async {
        loop {
            match news.recv().await.expect("it goes on") {
                News::Seen(records) => {
                    let at = records.at;
                    seen.push(records);
                    if at >= last {
                        return;
                    }
                }
                News::Lost(why) => panic!("the watch broke: {why}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("in time");
    seen
}

pub(super) async fn a_watch_tells_everything_once_and_in_order(c: impl Coordinator) {
    let base = found(&c).await;
    let mut news = c.follow();
    let first = seen_until(&mut news, base.isr).await;
    assert_eq!(first, [c.read().await.expect("it answers")], "first of all, everything");
    let mut wrote = Vec::new();
    for n in 1..=50 {
        wrote.push(committed(&c.transact(&renew(base.epoch, n)).await));
    }
    let created = committed(&c.transact(&create_view(base.epoch, "a:1".into())).await);
    let deleted = committed(&c.transact(&retire_view(base.epoch, created)).await);
    wrote.extend([created, deleted]);
    let seen = seen_until(&mut news, deleted).await;
    let at: Vec<Revision> = seen.iter().map(|records| records.at).collect();
    assert_eq!(at, wrote);
    let numbers = seen[..50].iter().filter_map(|r| r.get(&Key::Alive)).map(|r| r.value.clone());
    assert!(numbers.eq((1..=50).map(Value::Alive)));
    assert_eq!(seen[50].get(&Key::MasterView).map(|r| r.created), Some(created));
    assert_eq!(seen[51].records, [(Key::MasterView, None)]);
}

pub(super) async fn two_clusters_do_not_see_each_other(c: impl Coordinator) {
    // Every case has a cluster of its own in one coordinator: another one's
    // records would have been there from the beginning.
    let base = found(&c).await;
    let v = view(&c).await;
    assert_eq!(v.base(), base);
    let listed = c.list(Shelf::History).await.expect("it answers");
    assert_eq!(listed.records.len(), 1, "{listed:?}");
}

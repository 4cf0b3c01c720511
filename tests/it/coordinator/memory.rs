//! The kernel's model behind the port.

use std::sync::Arc;

use parking_lot::Mutex;
use standfast::ports::{Coordinator, CoordinatorFault, News, Shelf};
use standfast_kernel::coordination::{Key, RecordStore, Records, Transaction, TransactionOutcome, Value};
use tokio::sync::{mpsc, watch};

#[derive(Clone)]
pub(crate) struct Memory {
    name: String,
    store: Arc<Mutex<RecordStore<Key, Value>>>,
    changed: Arc<watch::Sender<()>>,
}

impl Memory {
    pub(crate) fn new(name: &str) -> Self {
        let store = Arc::new(Mutex::new(RecordStore::default()));
        Self { name: name.to_owned(), store, changed: Arc::new(watch::channel(()).0) }
    }

    fn ground(&self) -> Records {
        self.store.lock().read(&Key::GROUND)
    }
}

impl Coordinator for Memory {
    async fn read(&self) -> Result<Records, CoordinatorFault> {
        Ok(self.ground())
    }

    async fn list(&self, shelf: Shelf) -> Result<Records, CoordinatorFault> {
        let store = self.store.lock();
        let wanted = |key: &Key| match shelf {
            Shelf::History => matches!(key, Key::History(_)),
            Shelf::Rehearsals => matches!(key, Key::Rehearsal(_)),
        };
        let found = store.records().iter().filter(|(key, _)| wanted(key));
        let records = found.map(|(key, r)| (key.clone(), Some(r.clone()))).collect();
        Ok(Records { at: store.revision(), records })
    }

    async fn transact(&self, transaction: &Transaction) -> TransactionOutcome {
        let outcome = self.store.lock().apply(transaction);
        self.changed.send_replace(());
        outcome.unwrap_or_else(|duplicate| TransactionOutcome::Unknown(format!("duplicate key: {duplicate}")))
    }

    fn follow(&self) -> mpsc::Receiver<News> {
        let (news, receiver) = mpsc::channel(64);
        let (this, mut changed) = (self.clone(), self.changed.subscribe());
        tokio::spawn(async move {
            let first = this.ground();
            let mut next = first.at.next();
            if news.send(News::Seen(first)).await.is_err() {
                return;
            }
            loop {
                let changes: Vec<_> = {
                    let store = this.store.lock();
                    let changes = store.changes_from(next).expect("nothing is compacted");
                    changes.cloned().collect()
                };
                for change in changes {
                    next = change.revision.next();
                    let seen = Records { at: change.revision, records: vec![(change.key, change.record)] };
                    if news.send(News::Seen(seen)).await.is_err() {
                        return;
                    }
                }
                if changed.changed().await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    fn location(&self) -> &str {
        &self.name
    }
}

//! The store and its file, together: what is visible is on disk.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use standfast_kernel::coordination::{Change, Compacted, Outcome, Put, Revision, Txn, Versioned};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, JournalFault, Store};

/// Changes kept for watches; a watch that is further behind reads anew.
const CHANGES_MAX: usize = 4096;
/// Records kept; a cluster has about a hundred.
const RECORDS_MAX: usize = 10_000;

/// Why a transaction was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It cannot be: etcd says this, too.
    #[error("duplicate key given in txn request")]
    DuplicateKey,
    /// There is no room.
    #[error("the witness holds {RECORDS_MAX} records, which is its limit")]
    Full,
    /// The file failed: the witness ends.
    #[error("the witness cannot write its file")]
    Broken,
}

/// The store and its file, for many calls at once.
#[derive(Debug, Clone)]
pub(super) struct Witness {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Whoever writes holds it from the decision to the end; what is visible
    /// changes only then, so the store is never locked while the disk works.
    journal: Mutex<Journal>,
    store: Mutex<Store>,
    failure: Mutex<Option<String>>,
    revision: watch::Sender<Revision>,
    stop: CancellationToken,
}

impl Witness {
    pub(super) fn open(
        path: PathBuf,
        start: Option<Revision>,
        stop: CancellationToken,
    ) -> Result<Self, JournalFault> {
        let (journal, store) = Journal::open(path, start)?;
        let (revision, _) = watch::channel(store.revision());
        let shared = Shared {
            journal: Mutex::new(journal),
            store: Mutex::new(store),
            failure: Mutex::new(None),
            revision,
            stop,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(super) fn revision(&self) -> Revision {
        self.shared.store.lock().revision()
    }

    /// Why it ended, if its file failed.
    pub(super) fn failure(&self) -> Option<String> {
        self.shared.failure.lock().clone()
    }

    /// Resolves when it ends.
    pub(super) async fn stopped(&self) {
        self.shared.stop.cancelled().await;
    }

    /// Tells of each new revision.
    pub(super) fn revisions(&self) -> watch::Receiver<Revision> {
        self.shared.revision.subscribe()
    }

    /// Carries out a transaction, on a thread that may wait for the disk.
    pub(super) async fn apply(&self, txn: Txn<Bytes, Bytes>) -> Result<Outcome<Bytes, Bytes>, Refused> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || this.apply_now(&txn)).await;
        // The task neither panics nor is it aborted, but for the end of the runtime.
        done.unwrap_or(Err(Refused::Broken))
    }

    fn apply_now(&self, txn: &Txn<Bytes, Bytes>) -> Result<Outcome<Bytes, Bytes>, Refused> {
        let mut journal = self.shared.journal.lock();
        if self.shared.failure.lock().is_some() {
            return Err(Refused::Broken);
        }
        let (outcome, before, full) = {
            let store = self.shared.store.lock();
            let outcome = store.judge(txn).map_err(|_| Refused::DuplicateKey)?;
            let is_new = |put: &&Put<Bytes, Bytes>| {
                matches!(put, Put::Set(..)) && !store.records().contains_key(put.key())
            };
            let new = txn.then.iter().filter(is_new).count();
            (outcome, store.revision(), new > 0 && store.records().len() + new > RECORDS_MAX)
        };
        // What only reads, or changes nothing, needs no entry.
        let Outcome::Committed(at) = outcome else { return Ok(outcome) };
        if at == before {
            return Ok(outcome);
        }
        if full {
            return Err(Refused::Full);
        }
        journal.append(at, &txn.then).map_err(|fault| self.broken(&fault))?;
        let long = {
            let mut store = self.shared.store.lock();
            store.apply(txn).map_err(|_| Refused::DuplicateKey)?;
            if store.changes_kept() > CHANGES_MAX {
                store.compact(Revision(at.0.saturating_sub(CHANGES_MAX as u64 / 2)));
            }
            journal.is_long().then(|| store.clone())
        };
        self.shared.revision.send_replace(at);
        if let Some(store) = long {
            journal.rewrite(&store).map_err(|fault| self.broken(&fault))?;
        }
        Ok(outcome)
    }

    /// What is on disk is not known any more: nothing may be answered from here on.
    fn broken(&self, fault: &JournalFault) -> Refused {
        tracing::error!("{fault}; the witness ends");
        *self.shared.failure.lock() = Some(fault.to_string());
        self.shared.stop.cancel();
        Refused::Broken
    }

    /// The keys from `key` on, up to `end`, and the revision they are read at.
    pub(super) fn range(&self, key: &Bytes, end: &Bytes) -> (Revision, Vec<(Bytes, Versioned<Bytes>)>) {
        let store = self.shared.store.lock();
        let found = store.records().range(key.clone()..);
        let found = found.take_while(|(k, _)| covers(key, end, k)).map(|(k, r)| (k.clone(), r.clone()));
        (store.revision(), found.collect())
    }

    /// The changes of those keys since `from`, and the revision up to which they are told.
    pub(super) fn changes(
        &self,
        from: Revision,
        key: &Bytes,
        end: &Bytes,
    ) -> Result<(Revision, Vec<Change<Bytes, Bytes>>), Compacted> {
        let store = self.shared.store.lock();
        let changes = store.changes_from(from)?;
        let ours = changes.filter(|change| covers(key, end, &change.key)).cloned();
        Ok((store.revision(), ours.collect()))
    }

    /// Forgets the changes before `at`.
    pub(super) fn compact(&self, at: Revision) {
        self.shared.store.lock().compact(at);
    }
}

/// Whether a range of etcd's covers this key: one key without an end, all from
/// `key` on where the end is a zero byte.
fn covers(key: &Bytes, end: &Bytes, asked: &Bytes) -> bool {
    match end.as_ref() {
        [] => asked == key,
        [0] => asked >= key,
        _ => asked >= key && asked < end,
    }
}

//! The log as the rest of the kernel shares it.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::codec::Prepared;
use super::log::{Batch, LogLimits, OpLog};
use crate::sync::{Order, Ranked, RankedMutex};
use crate::types::{Epoch, LogPos, Seq};

/// Where the log stands; one consistent reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogMarks {
    /// Next seq to assign.
    pub tail: Seq,
    /// First seq still held.
    pub trim: Seq,
    /// Position of the last entry.
    pub last: LogPos,
    /// Entries appended since the process began.
    pub appended: u64,
    /// Bytes held.
    pub bytes: usize,
    /// Bounds.
    pub limits: LogLimits,
    /// Nothing from here on is trimmed.
    pub pinned_at: Option<Seq>,
    /// It holds more than its bounds allow, which takes a pin.
    pub is_over: bool,
}

/// Thread-safe owner of the [`OpLog`] (plan task 1.2). Appending takes a leaf
/// mutex for O(1) work; readers copy a batch under it and never wait for more.
#[derive(Debug, Clone)]
pub struct OpLogManager {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: RankedMutex<OpLog>,
    /// Copy of the tail, readable without the mutex.
    tail: AtomicU64,
}

impl OpLogManager {
    /// An empty log with these bounds.
    #[must_use]
    pub fn new(limits: LogLimits) -> Self {
        let log = Ranked::mutex(Order::LOG, OpLog::new(limits));
        Self { shared: Arc::new(Shared { log, tail: AtomicU64::new(Seq::FIRST.0) }) }
    }

    /// Appends an entry that this node decided (plan: `Append`). Called while
    /// the home's write lock is held, so that per home log order is apply order.
    #[must_use]
    pub fn append(&self, epoch: Epoch, entry: Prepared) -> LogPos {
        let mut log = self.shared.log.lock();
        let seq = log.append(epoch, entry);
        self.shared.tail.store(log.tail().0, Ordering::Release);
        LogPos::new(epoch, seq)
    }

    /// Appends an entry received from the primary, at exactly the tail.
    pub fn append_raw(&self, pos: LogPos, entry: &[u8]) {
        let mut log = self.shared.log.lock();
        log.append_raw(pos, entry);
        self.shared.tail.store(log.tail().0, Ordering::Release);
    }

    /// Entries from `from` on (plan: `GetEntriesSince`). `None` when they are
    /// trimmed away, or `from` is beyond the tail.
    #[must_use]
    pub fn get_entries_since(&self, from: Seq, max_entries: usize, max_bytes: usize) -> Option<Batch> {
        self.shared.log.lock().read(from, max_entries, max_bytes)
    }

    /// Gives up entries before `seq`, in whole chunks (plan: `TruncateBefore`).
    pub fn truncate_before(&self, seq: Seq) {
        self.shared.log.lock().truncate_before(seq);
    }

    /// Next seq to assign.
    #[must_use]
    pub fn tail(&self) -> Seq {
        Seq(self.shared.tail.load(Ordering::Acquire))
    }

    /// Position of the last entry, or [`LogPos::NONE`].
    #[must_use]
    pub fn last(&self) -> LogPos {
        self.shared.log.lock().last()
    }

    /// True when that very entry was appended here (PROTOCOL S1).
    #[must_use]
    pub fn contains(&self, pos: LogPos) -> bool {
        self.shared.log.lock().contains(pos)
    }

    /// All marks at once.
    #[must_use]
    pub fn marks(&self) -> LogMarks {
        let log = self.shared.log.lock();
        LogMarks {
            tail: log.tail(),
            trim: log.trim(),
            last: log.last(),
            appended: log.appended(),
            bytes: log.bytes(),
            limits: log.limits(),
            pinned_at: log.pinned_at(),
            is_over: log.is_over(),
        }
    }

    /// Keeps all entries from this seq on, or lets the limits decide again.
    pub fn pin(&self, from: Option<Seq>) {
        self.shared.log.lock().pin(from);
    }

    /// Starts over behind an entry of another log (PROTOCOL S5): see [`OpLog::restart`].
    pub fn restart(&self, epochs: Vec<(Epoch, Seq)>, after: LogPos) {
        let mut log = self.shared.log.lock();
        log.restart(epochs, after);
        self.shared.tail.store(log.tail().0, Ordering::Release);
    }

    /// Position of the entry before `seq`; [`LogPos::NONE`] before the first.
    #[must_use]
    pub fn before(&self, seq: Seq) -> LogPos {
        self.shared.log.lock().before(seq)
    }

    /// First seq of each epoch up to this entry.
    #[must_use]
    pub fn epochs_upto(&self, upto: LogPos) -> Vec<(Epoch, Seq)> {
        self.shared.log.lock().epochs_upto(upto)
    }

    /// End of what this log has in common with another: see [`OpLog::common_end`].
    #[must_use]
    pub fn common_end(&self, theirs: &[(Epoch, Seq)], tail: Seq) -> Seq {
        self.shared.log.lock().common_end(theirs, tail)
    }

    /// Bytes of the entries from `seq` on; `None` when some are trimmed away.
    #[must_use]
    pub fn bytes_from(&self, seq: Seq) -> Option<u64> {
        self.shared.log.lock().bytes_from(seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oplog::Op;
    use crate::types::{CopyId, WallTime};

    #[test]
    fn threads_that_append_get_dense_seqs_and_readers_see_whole_entries() {
        let log = OpLogManager::new(LogLimits::default());
        let append = |log: &OpLogManager| {
            let op = Op::TermStart { node: "a".into(), copy: CopyId(1) };
            log.append(Epoch(1), Prepared::new(Epoch(1), WallTime(0), op.place(), &op)).seq
        };
        let mut seqs: Vec<u64> = std::thread::scope(|s| {
            let workers: Vec<_> =
                (0..4).map(|_| s.spawn(|| (0..500).map(|_| append(&log)).collect::<Vec<_>>())).collect();
            let reader = s.spawn(|| {
                let mut at = Seq::FIRST;
                while at.0 <= 2000 {
                    let batch = log.get_entries_since(at, 64, 1 << 20).expect("nothing is trimmed");
                    for e in crate::oplog::split_entries(&batch.entries) {
                        let e = crate::oplog::codec::decode(e.expect("whole")).expect("good");
                        assert_eq!(e.pos.seq, at.0);
                        at = at.next();
                    }
                }
            });
            let all = workers.into_iter().flat_map(|w| w.join().expect("worker")).collect();
            reader.join().expect("reader");
            all
        });
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=2000).collect::<Vec<_>>());
        assert_eq!(log.tail(), Seq(2001));
    }
}

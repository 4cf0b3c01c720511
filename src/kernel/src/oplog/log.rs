//! The bounded ring of entry bytes.

use std::collections::VecDeque;

use bytes::Bytes;

use super::codec::{Prepared, split_first};
use crate::types::{Epoch, LogPos, Seq, limits};

/// How much the log may hold. The oldest chunk goes when either is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Entries.
    pub entries: u64,
    /// Bytes.
    pub bytes: usize,
    /// Bytes of a chunk: what is trimmed is trimmed in whole chunks.
    pub chunk_bytes: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            entries: limits::LOG_ENTRIES_MAX,
            bytes: limits::LOG_BYTES_MAX,
            chunk_bytes: limits::LOG_CHUNK_BYTES,
        }
    }
}

/// Consecutive entries, as they are shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The entry before the first one, or [`LogPos::NONE`].
    pub prev: LogPos,
    /// Number of entries.
    pub count: u32,
    /// Their bytes, one after the other.
    pub entries: Bytes,
}

impl Batch {
    /// Seq of the first entry, or the next one when there is none.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.prev.end()
    }

    /// Exclusive end.
    #[must_use]
    pub fn end(&self) -> Seq {
        Seq(self.prev.end().0.saturating_add(u64::from(self.count)))
    }
}

#[derive(Debug)]
struct Chunk {
    first: Seq,
    /// Bytes of all entries before the first, since the log began.
    before: u64,
    bytes: Vec<u8>,
    /// Start of each entry in `bytes`.
    starts: Vec<u32>,
}

/// Entries `trim..tail` as bytes, and in which epoch each was appended. The
/// table of epochs is kept beyond the trim (PROTOCOL 3).
#[derive(Debug)]
pub struct OpLog {
    chunks: VecDeque<Chunk>,
    tail: Seq,
    trim: Seq,
    bytes: usize,
    /// Bytes of all entries since the log began, trimmed or held.
    total: u64,
    /// First seq that this log was to append itself since it last started over, and entries appended before.
    begun: (Seq, u64),
    limits: LogLimits,
    /// Nothing from this seq on is trimmed, whatever the limits say.
    pin: Option<Seq>,
    /// Something would have been trimmed but for the pin.
    over: bool,
    /// First seq of each epoch, ascending in both.
    epochs: Vec<(Epoch, Seq)>,
}

impl OpLog {
    /// An empty log.
    #[must_use]
    pub fn new(limits: LogLimits) -> Self {
        Self {
            chunks: VecDeque::new(),
            tail: Seq::FIRST,
            trim: Seq::FIRST,
            bytes: 0,
            total: 0,
            begun: (Seq::FIRST, 0),
            limits,
            pin: None,
            over: false,
            epochs: Vec::new(),
        }
    }

    /// Starts over behind an entry of another log, whose table of epochs this
    /// is: what a copy of the state is followed by (PROTOCOL S5).
    pub fn restart(&mut self, epochs: Vec<(Epoch, Seq)>, after: LogPos) {
        let begun = (after.end(), self.appended());
        *self = Self { tail: after.end(), trim: after.end(), begun, epochs, ..Self::new(self.limits) };
        invariant!(self.last() == after, "the epochs of a log that ends at {after} say {}", self.last());
    }

    /// First seq of each epoch up to the entry `upto`, ascending.
    #[must_use]
    pub fn epochs_upto(&self, upto: LogPos) -> Vec<(Epoch, Seq)> {
        self.epochs.iter().copied().take_while(|(_, first)| first.0 <= upto.seq).collect()
    }

    /// End of what this log has in common with another one, which begins its
    /// epochs so and ends at `tail`. An entry is in both if both have its epoch.
    #[must_use]
    pub fn common_end(&self, theirs: &[(Epoch, Seq)], tail: Seq) -> Seq {
        let end = |epochs: &[(Epoch, Seq)], i: usize, tail: Seq| epochs.get(i + 1).map_or(tail, |(_, f)| *f);
        for (i, (epoch, _)) in self.epochs.iter().enumerate().rev() {
            if let Some(j) = theirs.iter().position(|(e, _)| e == epoch) {
                return end(&self.epochs, i, self.tail).min(end(theirs, j, tail));
            }
        }
        Seq::FIRST
    }

    /// Keeps all entries from this seq on, or lets the limits decide again.
    pub fn pin(&mut self, from: Option<Seq>) {
        self.pin = from;
        while self.over && self.chunks.len() > 2 && self.may_drop(Seq(u64::MAX)) {
            self.drop_oldest();
            self.over = self.is_full();
        }
        self.over &= self.chunks.len() > 2;
    }

    /// True when it holds more than its bounds allow, because of the pin.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Where the trim is pinned.
    #[must_use]
    pub fn pinned_at(&self) -> Option<Seq> {
        self.pin
    }

    /// Bytes of the entries from `seq` on; `None` when some are trimmed away.
    #[must_use]
    pub fn bytes_from(&self, seq: Seq) -> Option<u64> {
        if seq < self.trim || seq > self.tail {
            return None;
        }
        let at = self.chunks.partition_point(|c| c.first <= seq).checked_sub(1);
        let Some(chunk) = at.map(|at| &self.chunks[at]) else { return Some(0) };
        let inside = chunk.starts.get(seq.since(chunk.first) as usize).copied();
        let start = inside.map_or(chunk.bytes.len() as u64, u64::from);
        Some(self.total - chunk.before - start)
    }

    /// Next seq to assign.
    #[must_use]
    pub fn tail(&self) -> Seq {
        self.tail
    }

    /// Entries appended since the process began; those that a copy of the state stands for are none of them.
    #[must_use]
    pub fn appended(&self) -> u64 {
        let (from, before) = self.begun;
        before + self.tail.since(from)
    }

    /// First seq still held.
    #[must_use]
    pub fn trim(&self) -> Seq {
        self.trim
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its bounds.
    #[must_use]
    pub fn limits(&self) -> LogLimits {
        self.limits
    }

    /// Position of the last entry ever appended, or [`LogPos::NONE`].
    #[must_use]
    pub fn last(&self) -> LogPos {
        self.before(self.tail)
    }

    /// Position of the entry before `seq`; [`LogPos::NONE`] before the first.
    #[must_use]
    pub fn before(&self, seq: Seq) -> LogPos {
        let entry = Seq(seq.0.saturating_sub(1));
        self.epoch_of(entry).map_or(LogPos::NONE, |e| LogPos::new(e, entry))
    }

    /// True when an entry with exactly this epoch and seq was appended here,
    /// held or trimmed (PROTOCOL S1). True for [`LogPos::NONE`].
    #[must_use]
    pub fn contains(&self, pos: LogPos) -> bool {
        pos == LogPos::NONE || self.epoch_of(Seq(pos.seq)) == Some(pos.epoch)
    }

    fn epoch_of(&self, seq: Seq) -> Option<Epoch> {
        if seq.0 == 0 || seq >= self.tail {
            return None;
        }
        let after = self.epochs.partition_point(|(_, first)| *first <= seq);
        self.epochs.get(after.checked_sub(1)?).map(|(e, _)| *e)
    }

    /// Appends an entry that this node decided; gives it its seq.
    pub fn append(&mut self, epoch: Epoch, entry: Prepared) -> Seq {
        let seq = self.begin(epoch, entry.len());
        if let Some(chunk) = self.chunks.back_mut() {
            entry.finish(seq, &mut chunk.bytes);
        }
        seq
    }

    /// Appends an entry as it came from the primary. The caller has decoded it
    /// and checked that its seq is the tail.
    pub fn append_raw(&mut self, pos: LogPos, entry: &[u8]) {
        invariant!(pos.seq == self.tail.0, "raw append of {pos} at tail {}", self.tail);
        self.begin(pos.epoch, entry.len());
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.bytes.extend_from_slice(entry);
        }
    }

    /// Takes the next seq for an entry of `len` bytes and opens its place.
    fn begin(&mut self, epoch: Epoch, len: usize) -> Seq {
        let seq = self.tail;
        match self.epochs.last() {
            Some((e, _)) if *e == epoch => {}
            last => {
                invariant!(last.is_none_or(|(e, _)| *e < epoch), "epoch {epoch} appended after {last:?}");
                self.epochs.push((epoch, seq));
            }
        }
        let full = self.chunks.back().is_none_or(|c| c.bytes.len() + len > self.limits.chunk_bytes);
        if full {
            self.open_chunk(seq);
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.starts.push(chunk.bytes.len() as u32);
        }
        self.bytes += len;
        self.total += len as u64;
        self.tail = seq.next();
        seq
    }

    /// Opens a chunk, trimming and recycling the oldest when the log is full.
    fn open_chunk(&mut self, first: Seq) {
        let mut recycled = None;
        while self.is_full() && self.may_drop(Seq(u64::MAX)) {
            recycled = self.drop_oldest();
        }
        self.over = self.chunks.len() > 1 && self.is_full();
        let (mut bytes, mut starts) = recycled.map_or_else(
            || (Vec::with_capacity(self.limits.chunk_bytes), Vec::new()),
            |c| (c.bytes, c.starts),
        );
        bytes.clear();
        starts.clear();
        self.chunks.push_back(Chunk { first, before: self.total, bytes, starts });
    }

    fn is_full(&self) -> bool {
        self.bytes + self.limits.chunk_bytes > self.limits.bytes
            || self.tail.since(self.trim) >= self.limits.entries
    }

    /// True when the oldest chunk holds only entries before `seq` and the pin.
    fn may_drop(&self, seq: Seq) -> bool {
        let kept = self.pin.map_or(seq, |pin| pin.min(seq));
        self.chunks.get(1).is_some_and(|next| next.first <= kept)
    }

    fn drop_oldest(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.bytes.len();
        self.trim = self.chunks.front().map_or(self.tail, |c| c.first);
        Some(chunk)
    }

    /// Drops whole chunks that hold only entries before `seq`.
    pub fn truncate_before(&mut self, seq: Seq) {
        while self.may_drop(seq) {
            self.drop_oldest();
        }
    }

    /// Entries from `from` on, within one chunk, at least one when `from < tail`.
    /// `None` when `from` is trimmed away or beyond the tail.
    #[must_use]
    pub fn read(&self, from: Seq, max_entries: usize, max_bytes: usize) -> Option<Batch> {
        if from < self.trim || from > self.tail {
            return None;
        }
        let prev = self.before(from);
        if from == self.tail {
            return Some(Batch { prev, count: 0, entries: Bytes::new() });
        }
        let at = self.chunks.partition_point(|c| c.first <= from) - 1;
        let chunk = &self.chunks[at];
        let index = from.since(chunk.first) as usize;
        let start = chunk.starts[index] as usize;
        let end_of = |i: usize| chunk.starts.get(i + 1).map_or(chunk.bytes.len(), |s| *s as usize);
        let last = (index + max_entries.max(1)).min(chunk.starts.len()) - 1;
        let mut upto = last;
        if end_of(last) - start > max_bytes {
            upto = chunk.starts.partition_point(|s| (*s as usize) <= start + max_bytes).max(index + 2) - 2;
        }
        let count = (upto - index + 1) as u32;
        Some(Batch { prev, count, entries: Bytes::copy_from_slice(&chunk.bytes[start..end_of(upto)]) })
    }
}

/// The entries of a batch's bytes, one by one, not yet decoded. Ends with an
/// error item when the bytes cannot be split.
pub fn split_entries(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], super::DecodeError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        Some(split_first(rest).map(|(first, after)| {
            rest = after;
            first
        }))
        .inspect(|item| {
            if item.is_err() {
                rest = &[];
            }
        })
    })
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;

//! A set of bytes of one mount, by address.

use std::collections::BTreeMap;

use crate::types::ByteRange;

/// Bytes as maximal runs: runs that touch are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// Ends by starts.
    runs: BTreeMap<u64, u64>,
    bytes: u64,
}

impl Ranges {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All runs in ascending order, as offset and length.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.runs.iter().map(|(start, end)| (*start, end - start))
    }

    /// The run that holds this byte.
    fn around(&self, offset: u64) -> Option<(u64, u64)> {
        let (start, end) = self.runs.range(..=offset).next_back()?;
        (offset < *end).then_some((*start, *end))
    }

    /// True when none of these bytes is in it.
    pub(super) fn is_clear_of(&self, start: u64, end: u64) -> bool {
        self.around(start).is_none() && self.runs.range(start..end).next().is_none()
    }

    /// Adds bytes, none of which is in it.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        self.bytes += end - start;
        let before = self.runs.range(..start).next_back().filter(|(_, e)| **e == start).map(|(s, _)| *s);
        let end = self.runs.remove(&end).unwrap_or(end);
        self.runs.insert(before.unwrap_or(start), end);
    }

    /// Takes bytes out, all of which are in it; false, and nothing is changed, if not.
    pub(super) fn take(&mut self, start: u64, end: u64) -> bool {
        let Some((from, to)) = self.around(start).filter(|(_, to)| end <= *to && start < end) else {
            return false;
        };
        self.bytes -= end - start;
        if from < start {
            self.runs.insert(from, start);
        } else {
            self.runs.remove(&from);
        }
        if end < to {
            self.runs.insert(end, to);
        }
        true
    }

    /// Takes all of it out that is among these bytes; returns what that was.
    pub(super) fn cut(&mut self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let from = self.around(start).map_or(start, |(from, _)| from);
        let within = self.runs.range(from..end).map(|(s, e)| ((*s).max(start), (*e).min(end)));
        let pieces: Vec<(u64, u64)> = within.collect();
        for (start, end) in &pieces {
            self.take(*start, *end);
        }
        pieces
    }
}

/// True when these ranges are inside of `size` bytes and share none.
pub(super) fn are_apart<'a>(size: u64, ranges: impl Iterator<Item = &'a ByteRange>) -> bool {
    let mut seen = Ranges::default();
    for range in ranges {
        let Some(end) = range.end().filter(|end| *end <= size && range.len > 0) else { return false };
        if !seen.is_clear_of(range.offset, end) {
            return false;
        }
        seen.add(range.offset, end);
    }
    true
}

#[cfg(test)]
#[path = "ranges_tests.rs"]
mod tests;

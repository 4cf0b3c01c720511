//! What transfer engines tell each other through the master (SEMANTICS 7.2: the transfer metadata server): values
//! under keys, which nobody here reads. They may be longer than an entry, so each comes in parts.

use std::collections::BTreeMap;

use super::{ApplyError, Digester};
use crate::types::limits;

/// A value, cut into parts of at most [`limits::METADATA_PART_BYTES_MAX`].
pub(super) type Parts = Vec<Box<[u8]>>;

/// Values under keys, and the one that is being written.
#[derive(Debug, Default)]
pub struct TransferMetadata {
    values: BTreeMap<Box<[u8]>, Parts>,
    /// Parts of a value that has not come to its end; nobody sees it. A primary writes a value in one go, so a new
    /// first part means that the primary before has not come to the end of its own.
    draft: Option<(Box<[u8]>, Parts)>,
    /// Bytes of keys and values. Derived.
    bytes: usize,
}

/// What a part belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Value = 0,
    Draft = 1,
}

/// A part, where it belongs.
pub(super) type Part<'a> = (Stage, &'a [u8], usize, &'a [u8]);

impl TransferMetadata {
    /// The value under this key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.values.get(key).map(|parts| parts.concat())
    }

    /// True when the value under this key is this one.
    #[must_use]
    pub fn holds(&self, key: &[u8], value: &[u8]) -> bool {
        self.values.get(key).is_some_and(|parts| parts.iter().flat_map(|part| part.iter()).eq(value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.values.keys().map(|key| &**key)
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that the key and its value take; 0 when it is not there.
    #[must_use]
    pub fn bytes_of(&self, key: &[u8]) -> usize {
        self.values.get(key).map_or(0, |parts| size(key, parts))
    }

    /// All parts, in order.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let values = self.values.iter().map(|(key, parts)| (Stage::Value, key, parts));
        let draft = self.draft.iter().map(|(key, parts)| (Stage::Draft, key, parts));
        values.chain(draft).flat_map(|(stage, key, parts)| each(stage, key, parts))
    }

    /// Adds a part to the draft; the last one makes it the value.
    pub(super) fn part(
        &mut self,
        (key, index, last): (&[u8], u16, bool),
        bytes: &[u8],
        digester: Digester,
        digest: &mut u128,
    ) -> Result<(), ApplyError> {
        let continues =
            self.draft.as_ref().is_some_and(|(k, p)| **k == *key && p.len() == usize::from(index));
        if index > 0 && !continues {
            return Err(ApplyError::MetadataPart(index));
        }
        let mut sum = |stage, key: &[u8], parts: &Parts, change: fn(u128, u128) -> u128| {
            *digest = each(stage, key, parts).fold(*digest, |sum, part| change(sum, digester.metadata(part)));
        };
        let draft = self.draft.take();
        if let Some((key, parts)) = &draft {
            sum(Stage::Draft, key, parts, u128::wrapping_sub);
        }
        let (key, mut parts) = draft.filter(|_| index > 0).unwrap_or_else(|| (key.into(), Parts::new()));
        parts.push(bytes.into());
        if !last {
            sum(Stage::Draft, &key, &parts, u128::wrapping_add);
            self.draft = Some((key, parts));
            return Ok(());
        }
        if let Some(former) = self.values.get(&key) {
            sum(Stage::Value, &key, former, u128::wrapping_sub);
        }
        sum(Stage::Value, &key, &parts, u128::wrapping_add);
        self.bytes = self.bytes - self.bytes_of(&key) + size(&key, &parts);
        self.values.insert(key, parts);
        Ok(())
    }

    /// The key and its value are gone.
    pub(super) fn remove(
        &mut self,
        key: &[u8],
        digester: Digester,
        digest: &mut u128,
    ) -> Result<(), ApplyError> {
        let (key, parts) = self.values.remove_entry(key).ok_or(ApplyError::NoMetadata)?;
        let terms = each(Stage::Value, &key, &parts).map(|part| digester.metadata(part));
        *digest = terms.fold(*digest, u128::wrapping_sub);
        self.bytes -= size(&key, &parts);
        Ok(())
    }

    /// Adds a part of a copy of the state; false when it is not the next one of its value.
    pub(super) fn restore(&mut self, stage: Stage, key: &[u8], index: u16, bytes: &[u8]) -> bool {
        let parts = match stage {
            Stage::Value => self.values.entry(key.into()).or_default(),
            Stage::Draft if index == 0 && self.draft.is_some() => return false,
            Stage::Draft => {
                let (draft, parts) = self.draft.get_or_insert_with(|| (key.into(), Parts::new()));
                if **draft != *key {
                    return false;
                }
                parts
            }
        };
        if parts.len() != usize::from(index) {
            return false;
        }
        parts.push(bytes.into());
        if stage == Stage::Value {
            self.bytes += bytes.len() + if index == 0 { key.len() } else { 0 };
        }
        true
    }

    /// Sum of the terms of all parts.
    pub(super) fn recount(&self, digester: Digester) -> u128 {
        self.parts().fold(0, |sum, part| sum.wrapping_add(digester.metadata(part)))
    }

    /// True when what is derived equals what is counted.
    pub(super) fn derived_agrees(&self) -> bool {
        self.values.iter().map(|(key, parts)| size(key, parts)).sum::<usize>() == self.bytes
    }
}

fn size(key: &[u8], parts: &Parts) -> usize {
    key.len() + parts.iter().map(|part| part.len()).sum::<usize>()
}

fn each<'a>(stage: Stage, key: &'a [u8], parts: &'a Parts) -> impl Iterator<Item = Part<'a>> {
    parts.iter().enumerate().map(move |(index, part)| (stage, key, index, &**part))
}

/// The parts of a value, at least one.
pub fn metadata_parts(value: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> {
    let n = value.len().div_ceil(limits::METADATA_PART_BYTES_MAX).max(1);
    (0..n).map(move |i| {
        let from = i * limits::METADATA_PART_BYTES_MAX;
        &value[from..value.len().min(from + limits::METADATA_PART_BYTES_MAX)]
    })
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;

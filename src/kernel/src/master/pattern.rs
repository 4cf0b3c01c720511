//! Choosing objects by a regular expression over their keys.
//!
//! Stock masters use ECMAScript expressions over bytes and search, so they match
//! anywhere in the key. This dialect is that of the `regex` crate over bytes,
//! which takes linear time. The differences: no look-ahead, no back-references
//! and no `\\c` or `[^]` (all refused); a character outside ASCII in a class is
//! refused; `(?i)` and the like are understood.

use std::cell::Cell;

use bytes::Bytes;
use regex::bytes::{Regex, RegexBuilder};

use super::call::{Call, invalid};
use crate::api::{DEFAULT_TENANT, Refusal, ReplicaList};
use crate::store::Object;
use crate::types::{HomeId, limits};

/// A compiled expression.
pub(super) struct Pattern {
    regex: Regex,
}

impl Pattern {
    pub(super) fn compile(pattern: &[u8]) -> Result<Self, Refusal> {
        let text = String::from_utf8_lossy(pattern);
        if pattern.len() > limits::REGEX_BYTES_MAX {
            return Err(invalid("regular expression", &text, "at most 4096 bytes"));
        }
        let text = std::str::from_utf8(pattern).map_err(|_| invalid("regular expression", &text, "UTF-8"))?;
        let regex = RegexBuilder::new(text)
            .unicode(false)
            .size_limit(limits::REGEX_PROGRAM_BYTES_MAX)
            .dfa_size_limit(limits::REGEX_PROGRAM_BYTES_MAX)
            .nest_limit(limits::REGEX_NEST_MAX)
            .build();
        let regex =
            regex.map_err(|_| invalid("regular expression", &text, "a valid expression of bounded size"))?;
        Ok(Self { regex })
    }

    /// True when the expression is found in the object's key, and its tenant is
    /// the default one.
    pub(super) fn matches(&self, object: &Object) -> bool {
        user_key(object.key()).is_some_and(|key| self.regex.is_match(key))
    }
}

/// The key as clients know it.
fn user_key(scoped: &[u8]) -> Option<&[u8]> {
    scoped.strip_prefix(DEFAULT_TENANT)?.strip_prefix(&[0])
}

impl Call<'_> {
    /// Keys of the default tenant's readable objects in one shard.
    pub(super) fn list_keys(&mut self, shard: u16) -> Result<Vec<Bytes>, Refusal> {
        let home = HomeId::from_index(shard.into()).filter(|home| *home != HomeId::SEGMENTS);
        let home = home.ok_or_else(|| invalid("shard", &shard, "0 to 1023"))?;
        let mut keys = self.list(home, |table, o| o.is_readable(table));
        keys.sort_unstable();
        Ok(keys.iter().filter_map(|key| user_key(key)).map(Bytes::copy_from_slice).collect())
    }

    /// Two passes: no lease is granted before it is known how much matches.
    pub(super) fn get_matching(&mut self, pattern: &Bytes) -> Result<Vec<(Bytes, ReplicaList)>, Refusal> {
        let keys = self.list_matching(pattern)?;
        let found = self.each(&keys, |call, table, key| {
            let key = Bytes::copy_from_slice(user_key(key)?);
            call.get(table, &key).ok().map(|list| (key, list))
        });
        Ok(found.into_iter().flatten().collect())
    }

    /// Scoped keys of the readable objects that match, sorted. Refuses an
    /// expression that matches more than one answer holds.
    fn list_matching(&mut self, pattern: &Bytes) -> Result<Vec<Box<[u8]>>, Refusal> {
        let compiled = Pattern::compile(pattern)?;
        let (mut keys, mut bytes, replicas) = (Vec::new(), 0, Cell::new(0));
        for home in (0..limits::SHARDS).filter_map(HomeId::from_index) {
            let mut matching = self.list(home, |table, o| {
                let matches = o.is_readable(table) && compiled.matches(o);
                replicas.set(replicas.get() + if matches { o.replicas().len() } else { 0 });
                matches
            });
            bytes += matching.iter().map(|key| key.len()).sum::<usize>();
            keys.append(&mut matching);
            if keys.len() > limits::REGEX_MATCHES_MAX
                || replicas.get() > limits::REGEX_REPLICAS_MAX
                || bytes > limits::REGEX_KEY_BYTES_MAX
            {
                let text = String::from_utf8_lossy(pattern).into_owned();
                return Err(invalid("regular expression", &text, MATCHES));
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }
}

/// What is expected of an expression that is read by.
const MATCHES: &str = "one that matches at most 100000 keys, 262144 replicas and 16 MiB of keys";

const _: () = assert!(
    limits::REGEX_MATCHES_MAX == 100_000
        && limits::REGEX_REPLICAS_MAX == 262_144
        && limits::REGEX_KEY_BYTES_MAX == 16 << 20,
    "the refusal says so"
);

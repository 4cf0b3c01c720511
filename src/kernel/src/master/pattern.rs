//! Choosing objects by a regular expression over their keys.
//!
//! Stock masters use ECMAScript expressions over bytes and search, so they match
//! anywhere in the key. This dialect is that of the `regex` crate over bytes,
//! which takes linear time. The differences: no look-ahead, no back-references
//! and no `\\c` or `[^]` (all refused); a character outside ASCII in a class is
//! refused; `(?i)` and the like are understood.

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
    /// Two passes: no lease is granted before the number of matches is known.
    pub(super) fn get_matching(&mut self, pattern: &Bytes) -> Result<Vec<(Bytes, ReplicaList)>, Refusal> {
        let compiled = Pattern::compile(pattern)?;
        let mut keys = Vec::new();
        for home in (0..limits::SHARDS).filter_map(HomeId::from_index) {
            keys.append(&mut self.list(home, |table, o| o.is_readable(table) && compiled.matches(o)));
            if keys.len() > limits::REGEX_MATCHES_MAX {
                let text = String::from_utf8_lossy(pattern).into_owned();
                return Err(invalid("regular expression", &text, "one that matches at most 100000 keys"));
            }
        }
        keys.sort_unstable();
        let table = self.master.store.segments().read();
        let keys = keys.iter().filter_map(|k| user_key(k)).map(Bytes::copy_from_slice);
        Ok(keys.filter_map(|key| self.get(&table, &key).ok().map(|list| (key, list))).collect())
    }
}

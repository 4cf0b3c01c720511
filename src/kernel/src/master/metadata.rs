//! The transfer metadata server (SEMANTICS 7.2, WIRE 12.2): what engines tell each other, kept and replicated here.

use bytes::Bytes;

use super::Master;
use super::call::{Call, invalid};
use crate::api::{MetadataPut, Refusal};
use crate::oplog::Op;
use crate::store::{SegmentTable, metadata_parts};
use crate::types::{ClientId, WallTime, limits};

/// A key with this in it is given once: where a process is reached that may still live.
const GIVEN_ONCE: &[u8] = b"rpc_meta";

impl Call<'_> {
    pub(super) fn get_metadata(&mut self, key: &Bytes) -> Result<Bytes, Refusal> {
        let table = self.master.store.segments().read();
        self.depend(table.mark().applied());
        table.metadata().get(key).map(Bytes::from).ok_or(Refusal::MetadataNotFound)
    }

    pub(super) fn put_metadata(&mut self, key: &Bytes, value: &Bytes) -> Result<MetadataPut, Refusal> {
        if key.is_empty() || key.len() > limits::KEY_BYTES_MAX {
            return Err(invalid("key length", &key.len(), "1 to 4096 bytes"));
        }
        if value.len() > limits::METADATA_VALUE_BYTES_MAX {
            return Err(invalid("metadata length", &value.len(), "at most 1048576 bytes"));
        }
        // It says where memory is: a successor that knew less would send readers to what is there no more.
        self.byte_critical = true;
        let mut table = self.master.store.segments().write();
        self.depend(table.mark().applied());
        let known = table.metadata();
        if known.holds(key, value) {
            return Ok(MetadataPut::Unchanged);
        }
        let former = known.bytes_of(key);
        if former > 0 && key.windows(GIVEN_ONCE.len()).any(|part| part == GIVEN_ONCE) {
            return Ok(MetadataPut::Duplicate);
        }
        if former == 0 && known.keys().len() >= limits::METADATA_KEYS_MAX {
            return Err(Refusal::Full { what: "metadata keys", max: limits::METADATA_KEYS_MAX });
        }
        if known.bytes() - former + key.len() + value.len() > limits::METADATA_BYTES_MAX {
            return Err(Refusal::Full { what: "bytes of metadata", max: limits::METADATA_BYTES_MAX });
        }
        let parts = metadata_parts(value);
        let count = parts.len();
        for (i, bytes) in parts.enumerate() {
            let op = Op::MetadataPart { key, part: i as u16, last: i + 1 == count, bytes };
            let pos = self.master.log_to_table(self.wall, &mut table, &op);
            self.wrote(pos);
        }
        Ok(MetadataPut::Updated)
    }

    pub(super) fn remove_metadata(&mut self, key: &Bytes) -> Result<(), Refusal> {
        self.byte_critical = true;
        let mut table = self.master.store.segments().write();
        self.depend(table.mark().applied());
        if table.metadata().bytes_of(key) == 0 {
            return Err(Refusal::MetadataNotFound);
        }
        let pos = self.master.log_to_table(self.wall, &mut table, &Op::MetadataRemove { key });
        self.wrote(pos);
        Ok(())
    }
}

impl Master {
    /// Forgets what a client that is about to be expired has told about its segments, where that is asked for.
    pub(super) fn forget_metadata(&self, wall: WallTime, table: &mut SegmentTable, client: ClientId) {
        if !self.metadata_cleanup {
            return;
        }
        let lends =
            |name: &[u8]| table.mounts().any(|m| m.client == client && m.segment.name.as_bytes() == name);
        let is_about = |key: &[u8]| segment_of(key).is_some_and(|name| lends(&name));
        let gone: Vec<Vec<u8>> =
            table.metadata().keys().filter(|key| is_about(key)).map(<[u8]>::to_vec).collect();
        for key in gone {
            self.log_to_table(wall, table, &Op::MetadataRemove { key: &key });
        }
    }
}

/// The segment that a key of the transfer engine is about: `mooncake/[CLUSTER/]ram/NAME` or `.../rpc_meta/NAME`, in
/// the percent-encoded spelling in which keys are stored.
fn segment_of(key: &[u8]) -> Option<Vec<u8>> {
    let key = percent_decoded(key);
    let rest = key.strip_prefix(b"mooncake/")?;
    [&b"ram/"[..], b"rpc_meta/"].into_iter().find_map(|kind| {
        let at = rest.windows(kind.len()).position(|part| part == kind)?;
        (at == 0 || rest[at - 1] == b'/').then(|| rest[at + kind.len()..].to_vec())
    })
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, tail @ ..] = rest {
        let pair = match tail {
            [a, b, ..] if *first == b'%' => digit(*a).zip(digit(*b)),
            _ => None,
        };
        out.push(pair.map_or(*first, |(a, b)| a << 4 | b));
        rest = if pair.is_some() { &tail[2..] } else { tail };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_engines_spell_them() {
        for (key, name) in [
            ("mooncake%2Fram%2F127.0.0.1%3A52201", Some("127.0.0.1:52201")),
            ("mooncake/rpc_meta/h:1", Some("h:1")),
            ("mooncake%2fcluster%2frpc_meta%2fh", Some("h")),
            ("mooncake/program/h", None),
            ("other/ram/h", None),
            ("mooncake%2", None),
            ("%", None),
        ] {
            assert_eq!(segment_of(key.as_bytes()).as_deref(), name.map(str::as_bytes), "{key}");
        }
    }
}

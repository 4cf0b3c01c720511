//! Lending memory.

use std::borrow::Cow;

use super::call::{Call, invalid};
use crate::api::Refusal;
use crate::oplog::Op;
use crate::store::apply_to_segments;
use crate::types::{ClientId, KeyHash, SegmentSpec, limits};

impl Call<'_> {
    pub(super) fn mount(&mut self, client: ClientId, segment: &SegmentSpec) -> Result<(), Refusal> {
        check_segment(segment)?;
        let store = &self.master.store;
        let mut table = store.segments().write();
        // A mount moves bytes into play: byte-critical (PROTOCOL A6).
        self.byte_critical = true;
        if let Some(known) = table.mounted(segment.id) {
            self.depend(table.mark().applied());
            let same = known.client == client && *known.segment == *segment;
            return if same { Ok(()) } else { Err(Refusal::SegmentAlreadyExists(segment.id)) };
        }
        let op = Op::MountSegment { client, segment: Cow::Borrowed(segment) };
        let mut allocators = store.allocators().lock();
        let pos = self.master.append(self.wall, KeyHash::SEGMENTS, &op);
        let applied = apply_to_segments(&mut table, &mut allocators, pos, &op);
        invariant!(applied.is_ok(), "a checked mount applies: {applied:?}");
        self.wrote(pos);
        Ok(())
    }
}

fn check_segment(s: &SegmentSpec) -> Result<(), Refusal> {
    if s.base == 0 {
        return Err(invalid("segment base", &s.base, "an address other than 0"));
    }
    if s.size == 0 || s.base.checked_add(s.size).is_none() {
        return Err(invalid("segment size", &s.size, "1 or more, ending below 2^64"));
    }
    for (what, text) in
        [("segment name", &s.name), ("te_endpoint", &s.te_endpoint), ("protocol", &s.protocol)]
    {
        if text.len() > limits::ENDPOINT_BYTES_MAX {
            return Err(invalid(what, &text.len(), "at most 512 bytes"));
        }
    }
    if s.name.is_empty() {
        return Err(invalid("segment name", &"empty", "a name"));
    }
    Ok(())
}

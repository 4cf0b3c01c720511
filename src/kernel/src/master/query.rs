//! Questions about segments.

use super::call::Call;
use crate::api::{Refusal, SegmentKey};
use crate::store::Mount;
use crate::types::SegmentStatus;

impl Call<'_> {
    /// By a name that several segments share: OK when one of them is.
    pub(super) fn segment_status(&mut self, segment: &SegmentKey) -> Result<SegmentStatus, Refusal> {
        let table = self.master.store.segments().read();
        self.depend(table.mark().applied());
        match segment {
            SegmentKey::Id(id) => {
                table.mounted(*id).map(Mount::status).ok_or_else(|| Refusal::SegmentNotFound(id.to_string()))
            }
            SegmentKey::Name(name) => {
                let of_name = || table.mounts().filter(|m| m.segment.name == *name).map(Mount::status);
                let found = of_name().find(|s| *s == SegmentStatus::Ok).or_else(|| of_name().next());
                found.ok_or_else(|| Refusal::SegmentNotFound(name.chars().take(80).collect()))
            }
        }
    }
}

//! Memory segments.

use crate::struct_pack::{List, Str, arguments};
use crate::types::{Segment, Uuid};

arguments! {
    /// Registers a segment; doing so twice is fine.
    MountSegment<'a> { segment: Segment<'a>, client_id: Uuid }
}

arguments! {
    /// Registers all segments a client owns, after `Ping` asked for it.
    ReMountSegment<'a> { segments: List<'a, Segment<'a>>, client_id: Uuid }
}

arguments! {
    /// Removes a segment and what lived only there; an unknown one is fine.
    UnmountSegment { segment_id: Uuid, client_id: Uuid }
}

arguments! {
    /// Allocates nothing more in a segment, and removes it after the grace period.
    GracefulUnmountSegment {
        segment_id: Uuid,
        client_id: Uuid,
        /// Milliseconds.
        grace_period_ms: u64,
    }
}

arguments! {
    /// Status of a segment, polled after a graceful unmount.
    QuerySegmentStatusById { segment_id: Uuid }
}

arguments! {
    /// Status of a segment.
    QuerySegmentStatus<'a> { segment_name: Str<'a> }
}

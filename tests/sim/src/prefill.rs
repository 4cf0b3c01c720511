//! A log that is long from the start, so that catching up on it takes a while.

use bytes::Bytes;
use standfast_kernel::api::{EndItem, PutItem, ReplicateConfig, Request};
use standfast_kernel::node::NodeEvent;
use standfast_kernel::types::{ClientId, SegmentId, SegmentSpec, Uuid};

use crate::invariants::Outcome;
use crate::memory::Memory;
use crate::world::World;

const BATCH: u64 = 1_000;
const SEGMENT: &str = "prefill";

impl World {
    /// Fills the first primary's log before anything else happens, where the
    /// scenario wants it. The objects fill a segment of their own to the last byte.
    pub(crate) fn prefill(&mut self) -> Outcome {
        let objects = self.params.prefill / 2;
        let master = self.hosts[0].process.as_ref().and_then(|p| p.master.clone());
        let Some(master) = master.filter(|_| objects > 0) else { return Ok(()) };
        let (now, wall, client) = (self.now(0), self.wall(), ClientId::default());
        let segment = SegmentSpec {
            id: SegmentId(Uuid { first: 9, second: 9 }),
            name: SEGMENT.into(),
            base: 1 << 40,
            size: objects,
            ..Memory::segment(0)
        };
        let config = ReplicateConfig { replica_num: 1, preferred_segments: vec![SEGMENT.into()] };
        let mut requests = vec![Request::MountSegment { client, segment }];
        for batch in 0..objects / BATCH {
            let keys = || (0..BATCH).map(move |k| Bytes::from(format!("{SEGMENT}-{batch}-{k}")));
            let items = keys().map(|key| PutItem { key, size: 1 }).collect();
            requests.push(Request::PutStart { client, config: config.clone(), items });
            let items = keys().map(|key| EndItem { key, checksum: None }).collect();
            requests.push(Request::PutEnd { client, items });
        }
        for request in &requests {
            // Nobody waits for these answers.
            let _ = master.execute(now, wall, request);
        }
        self.node_event(0, NodeEvent::Appended)
    }
}
